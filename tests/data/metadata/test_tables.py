"""Tables as users and their programs write them become columns; names in them find their pictures."""

import json
import pickle

import numpy as np
import pytest

from gansmith.data.metadata.tables import (
    Pictures,
    as_points,
    open_text,
    plain_name,
    read_sidecars,
    read_table,
)
from gansmith.errors import DataError


def cells(table):
    """Column name -> its cells as text, blank ones as None."""
    return {
        column.name: [column.kinds[code] if code >= 0 else None for code in column.codes]
        for column in table.columns
    }


def read(file, text):
    return read_table(file, text if isinstance(text, bytes) else text.encode())


def test_columns_keep_distinct_texts_once():
    table = read("labels.csv", "file,label\na,cat\nb,dog\nc,cat\nd,\n")
    column = table.columns[1]
    assert column.kinds == ("cat", "dog")
    assert column.codes.tolist() == [0, 1, 0, -1]
    assert [column.name for column in table.files] == ["file"]
    assert table.lines.tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    "text",
    [
        "file,caption\na.png,a cat\nb.png,two\n",
        "\ufefffile;caption\na.png;a cat\nb.png;two\n",
        "file\tcaption\r\na.png\ta cat\r\nb.png\ttwo",
        "file,caption\ra.png,a cat\rb.png,two\r",
        '\n  \n file , caption \n\n a.png ,  "a cat"\n,\nb.png,two   \n\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_dialects_say_the_same(text, encoding):
    raw = text.removeprefix("\ufeff").encode(encoding) if encoding == "utf-16" else text.encode()
    table = read("captions.tsv", raw)
    assert cells(table) == {"file": ["a.png", "b.png"], "caption": ["a cat", "two"]}


def test_quoted_cells_hold_commas_quotes_and_new_lines():
    table = read("captions.csv", 'file,caption\na.png,"one, ""two""\nthree"\nb.png,x\n')
    assert cells(table)["caption"] == ['one, "two"\nthree', "x"]
    assert table.lines.tolist() == [3, 4]


def test_more_rows_than_are_held_at_a_time_stay_in_order():
    rows = [f"{number}.png,{number % 7}" for number in range(1000)]
    table = read("labels.csv", "\n".join(["file,label", *rows]))
    assert cells(table)["file"] == [f"{number}.png" for number in range(1000)]
    assert cells(table)["label"] == [str(number % 7) for number in range(1000)]


def test_short_rows_are_blank_at_the_end_and_long_ones_left_out():
    table = read(
        "a.csv", "file,caption,label\na.png\nb.png,x,1,,\nc.png,no, quotes, here\nd.png,y,2\ne,1,2,3,4\n"
    )
    assert cells(table) == {
        "file": ["a.png", "b.png", "d.png"],
        "caption": [None, "x", "y"],
        "label": [None, "1", "2"],
    }
    assert len(table.notes) == 1
    assert "line 4 and 1 more have more cells" in table.notes[0]
    (note,) = read("a.csv", "file\na.png,b\n").notes
    assert note.startswith("line 2 has more cells")


def test_a_column_that_is_named_again_or_not_at_all_is_left_out():
    table = read("a.csv", "file,,Label,label\na.png,7,x,y\n")
    assert cells(table) == {"file": ["a.png"], "Label": ["x"]}


def test_text_that_is_not_utf8_is_refused_with_its_line():
    with pytest.raises(DataError, match=r"line 2 is not UTF-8.*Windows-1252"):
        read("captions.csv", "file,caption\na.png,caf\u00e9\n".encode("cp1252"))
    with pytest.raises(DataError, match="zero bytes"):
        read("captions.csv", "file,caption\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="is not UTF-16"):
        read("captions.csv", "file,caption".encode("utf-16") + b"\x00")
    assert open_text("\ufeffh\u00e9".encode("utf-16-be")).read() == "h\u00e9"


@pytest.mark.parametrize(
    "text", ['file,caption\na.png,x\nb.png,"never closed\n', 'file,caption\na.png,"x" y\n']
)
def test_damaged_quotes_are_refused_with_their_line(text):
    with pytest.raises(DataError, match=f"line {text.count(chr(10))}"):
        read("captions.csv", text)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("results.csv", "epoch,loss\n1,2\n"),
        ("results.csv", ""),
        ("stats.jsonl", '{"loss": 1}\n'),
        ("stats.jsonl", ""),
        ("package.json", '{"version": "1", "scripts": {"a": "b"}}'),
        ("coco.json", '{"images": [{"file_name": "a.png"}], "annotations": []}'),
        ("numbers.json", "[1, 2]"),
        ("numbers.json", "3"),
        ("rows.json", '[{"a": 1}]'),
        ("dataset.json", '{"labels": null}'),
        ("dataset.json", "{}"),
    ],
)
def test_other_files_are_no_tables(file, text):
    assert read(file, text) is None


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("labels.csv", "a.png,cat\n", "a column file is missing"),
        ("captions.tsv", "", "a column file is missing"),
        ("metadata.jsonl", "", "a column file is missing"),
        ("metadata.json", '[{"a": 1}]', "a column file is missing"),
        ("landmarks.json", "[]", "must be written"),
        ("landmarks_68.json", '{"a.png": [[1, 2, 3]]}', "not understood"),
        ("landmarks.json", '{"a.png": [["left", 2]]}', "not understood"),
        ("labels.json", '{"a.png": 1.5}', "integers or strings"),
        ("labels.json", '{"a.png": 1, "b.png": 2, "a.png": 3}', "'a.png' is given twice"),
        ("dataset.json", "[]", "must be written"),
        ("dataset.json", '{"labels": [["a.png", [0, 1]]]}', "integers or strings"),
        ("ffhq-dataset-v2.json", "[]", "FFHQ"),
        ("list_attr_celeba.txt", "000001.jpg 1 -1\n", "number of pictures"),
        ("metadata.jsonl", '{"file_name": "a"}\n\n{"file_name"\n', "line 3"),
        ("metadata.jsonl", '{"file_name": "a"}\n[]\n', "line 2"),
    ],
)
def test_tables_that_are_meant_and_cannot_be_used_say_why(file, text, message):
    with pytest.raises((DataError, ValueError), match=message):
        read(file, text)


def test_json_values_become_what_a_csv_would_say():
    lines = [
        {
            "file_name": "a.png",
            "text": "x",
            "label": 3,
            "smiling": True,
            "age": 1.5,
            "attributes": {"hat": False},
        },
        {"file_name": "b.png", "text": ["first", "second"], "hat": None, "objects": {"bbox": []}},
    ]
    table = read("metadata.jsonl", "\n".join(map(json.dumps, lines)))
    assert cells(table) == {
        "file_name": ["a.png", "b.png"],
        "text": ["x", "first"],
        "label": ["3", None],
        "smiling": ["true", None],
        "age": ["1.5", None],
        "hat": ["false", None],
    }
    assert table.notes == ("lists and objects are not used: objects",)
    assert cells(read("metadata.json", json.dumps(lines))) == cells(table)


def test_json_by_file_needs_no_file_column():
    table = read("facts.json", json.dumps({"a.png": {"caption": "x", "name": "Ada"}, "b.png": {"file": "?"}}))
    assert [column.name for column in table.files] == ["file"]
    assert cells(table)["file"] == ["a.png", "b.png"]
    assert not table.sure


@pytest.mark.parametrize(
    ("file", "value", "column"),
    [("labels.json", 3, "label"), ("captions.json", "x", "caption"), ("splits.json", "train", "split")],
)
def test_plain_json_values_are_what_the_file_is_called(file, value, column):
    assert cells(read(file, json.dumps({"a.png": value})))[column] == [str(value)]


def test_landmarks_in_json():
    table = read("landmarks_2.json", '{"a.png": [[1, 2], [3, null]], "b.png": {"landmarks": [[5, 6]]}}')
    assert {row: points.tolist() for row, points in table.points.items() if row} == {1: [[5, 6]]}
    np.testing.assert_array_equal(table.points[0], np.float32([[1, 2], [3, np.nan]]))
    named = read("landmarks.json", '{"a.png": {"keypoints": {"nose": [1, 2], "chin": [3]}}}')
    assert cells(named) == {"nose_x": ["1"], "nose_y": ["2"], "file": ["a.png"]}


@pytest.mark.parametrize("value", [None, [], [1, 2], [[1, 2, 3]], [["a", 1]], {}, [[10**400, 1]]])
def test_what_is_no_list_of_points(value):
    assert as_points(value) is None


def test_points_that_are_not_finite_are_nan():
    points = as_points([[1e300, 1], [float("inf"), 2]])
    assert points.dtype == np.float32
    assert np.isnan(points[:, 0]).all()
    assert points[:, 1].tolist() == [1, 2]


def test_ffhq_names_the_aligned_picture_the_thumbnail_and_the_original():
    entry = {
        "category": "validation",
        "image": {"file_path": "images1024x1024/00000/00000.png", "face_landmarks": [[1.5, 2.5]]},
        "thumbnail": {"file_path": "thumbnails128x128/00000/00000.png"},
        "in_the_wild": {"file_path": "in-the-wild-images/00000/00000.png", "face_landmarks": [[7, 8]]},
    }
    table = read("ffhq-dataset-v2.json", json.dumps({"0": entry}))
    assert cells(table)["file"] == [entry[key]["file_path"] for key in ("image", "thumbnail", "in_the_wild")]
    assert cells(table)["split"] == ["validation"] * 3
    assert {row: points.tolist() for row, points in table.points.items()} == {0: [[1.5, 2.5]], 2: [[7, 8]]}
    assert not table.sure


def test_stylegan_lists_files_with_labels():
    table = read("dataset.json", '{"labels": [["00000/a.png", 3], ["00000/b.png", "x"]]}')
    assert cells(table) == {"file": ["00000/a.png", "00000/b.png"], "label": ["3", "x"]}


def test_celeba_text_files():
    attributes = read(
        "list_attr_celeba.txt", "2\r\nBald Smiling \r\n000001.jpg -1  1\r\n000002.jpg  1 -1 \r\n"
    )
    assert cells(attributes) == {
        "file": ["000001.jpg", "000002.jpg"],
        "Bald": ["-1", "1"],
        "Smiling": ["1", "-1"],
    }
    assert attributes.lines.tolist() == [3, 4]
    points = read("list_landmarks_align_celeba.txt", "1\nnose_x nose_y\n000001.jpg   97   11\n")
    assert cells(points) == {"file": ["000001.jpg"], "nose_x": ["97"], "nose_y": ["11"]}
    assert cells(read("list_eval_partition.txt", "000001.jpg 2\n"))["partition"] == ["2"]
    assert cells(read("identity_CelebA.txt", "000001.jpg 2880\n"))["identity"] == ["2880"]


def test_tables_travel_to_other_processes():
    table = pickle.loads(pickle.dumps(read("labels.csv", "file,label\na,cat\n")))
    assert cells(table) == {"file": ["a"], "label": ["cat"]}


@pytest.mark.parametrize(
    ("text", "name"), [(r".\a\b.png", "a/b.png"), ("././a", "a"), ("/a/b", "a/b"), (".a", ".a"), ("./", "")]
)
def test_plain_names(text, name):
    assert plain_name(text) == name


PICTURES = ("a.png", "dir/b.jpg", "dir/c.png", "other/c.png", "v1.2.png", "x.jpg", "x.png", "Y.png", "y.png")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.png", "a.png"),
        (r".\dir\b.jpg", "dir/b.jpg"),
        ("a", "a.png"),
        ("v1.2", "v1.2.png"),
        ("a.jpg", "a.png"),
        ("dir/b", "dir/b.jpg"),
        ("b.jpg", "dir/b.jpg"),
        ("b", "dir/b.jpg"),
        ("DIR/B.JPG", "dir/b.jpg"),
        ("A", "a.png"),
        ("/home/me/data/dir/c.png", "dir/c.png"),
        ("y", "y.png"),
        ("x.png", "x.png"),
        ("c.png", -2),
        ("x", -2),
        ("gone.png", -1),
        ("third/c.png", -1),
        ("a.txt", -1),
        ("v1", -1),
        ("ir/b.jpg", -1),
        ("/", -1),
    ],
)
def test_pictures_are_found_by_what_tables_call_them(text, found):
    (index,) = Pictures(PICTURES).find((text,))
    assert index == (PICTURES.index(found) if isinstance(found, str) else found)


def test_of_several_names_for_a_picture_the_likest_counts():
    pictures = Pictures(("1.png", "2.png"))
    assert pictures.find(("1.png", "1", "./1.png")).tolist() == [0, -1, 0]
    assert pictures.find(("1", "1.JPG", "q/1")).tolist() == [-2, -2, -1]
    assert pictures.find(("cat/1.png", "dog/1.png", "dog/2.png")).tolist() == [-2, -2, 1]
    assert pictures.find(("1", "1")).tolist() == [0, 0]
    assert pictures.find(("1", "1")).tolist() == [0, 0]  # Remembered.


def test_files_beside_pictures():
    files = {
        "a.txt": b"\xef\xbb\xbfa cat\n",
        "d/b.txt": b"a dog",
        "c.TXT": b"\xff",
        "e.txt": b"?",
        "a.cls": b" 3\n",
    }
    names = ("a.png", "c.png", "d/b.jpg")
    table = read_sidecars(names, tuple(files), ".txt", files.__getitem__)
    assert cells(table) == {"caption": ["a cat", "a dog"], "file": ["a.png", "d/b.jpg"]}
    assert table.notes[0].startswith("c.TXT cannot be read")
    few = read_sidecars(names, tuple(files), ".cls", files.__getitem__)
    assert few.files == ()
    assert few.notes == ("1 of 3 pictures have one; they are used where half of them have",)
    assert read_sidecars(names, tuple(files), ".json", files.__getitem__) is None
    alone = read_sidecars(("a.png",), tuple(files), ".cls", files.__getitem__)
    assert cells(alone)["label"] == ["3"]


def test_json_beside_pictures():
    files = {"a.json": b'{"caption": "x", "name": "Ada"}', "b.json": b"[]", "c.json": b"{"}
    names = ("a.jpg", "b.jpg", "c.jpg")
    table = read_sidecars(names, tuple(files), ".json", files.__getitem__)
    assert cells(table) == {"caption": ["x"], "name": ["Ada"], "file": ["a.jpg"]}
    assert [column.name for column in table.files] == ["file"]
    assert table.notes == ("b.json cannot be read (it is not a JSON object); nor can 1 more",)
