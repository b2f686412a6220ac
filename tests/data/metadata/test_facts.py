"""What is known of pictures, from whatever their owner wrote beside them."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gansmith.data.metadata.facts import Facts, find_facts
from gansmith.errors import DataError

SHARED = Path(__file__).parents[3].parent / "shared" / "data"


def find(names, files, label=None):
    """The facts, and the reasons by name of file."""
    raw = {name: text if isinstance(text, bytes) else text.encode() for name, text in files.items()}
    facts, refused = find_facts(names, tuple(sorted(raw)), raw.__getitem__, label=label)
    return facts, [(entry.name, entry.reason) for entry in refused]


def table(header, rows):
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)])


def pictures(count):
    return tuple(f"{number:03}.png" for number in range(count))


def test_nothing_is_known_of_bare_pictures():
    for names in ((), ("a.png", "b.png")):
        facts, refused = find(names, {"notes.md": "x", "deep/labels.csv": "file,label\na.png,1"})
        assert [
            getattr(facts, name) for name in ("labels", "attributes", "captions", "landmarks", "held_out")
        ] == [None] * 5
        assert refused == []


def test_everything_in_one_table():
    text = (
        "file,label,caption,split,smiling,nose_x,nose_y\nb,dog,two,test,no,3,4\na,cat,one,train,yes,1,2.5\n"
    )
    facts, refused = find(("a.png", "b.png"), {"data.csv": text})
    assert facts.labels.tolist() == [0, 1]
    assert facts.label_names == ("cat", "dog")
    assert facts.captions == ("one", "two")
    assert facts.held_out.tolist() == [False, True]
    assert (facts.attributes.tolist(), facts.attributes.dtype) == ([[1], [0]], np.uint8)
    assert facts.attribute_names == ("smiling",)
    assert (facts.landmarks.tolist(), facts.landmarks.dtype) == ([[[1, 2.5]], [[3, 4]]], np.float32)
    assert facts.landmark_names == ("nose",)
    assert refused == []


def test_tables_are_merged_and_the_first_stands():
    files = {
        "labels.csv": "file,label,caption\na,1,\nb,0,kept\n",
        "captions.jsonl": '{"file": "a", "text": "one"}\n{"file": "b", "text": "lost"}',
        "metadata.csv": "image,label\na,0\nb,0\n",
        "zoo.tsv": "path\thappy\nb\ttrue\na\tfalse\n",
    }
    facts, refused = find(("a.png", "b.png"), files)
    assert facts.labels.tolist() == [1, 0]
    assert facts.captions == ("one", "kept")
    assert facts.attribute_names == ("happy",)
    assert facts.attributes.tolist() == [[0], [1]]
    assert refused == [
        ("captions.jsonl", "1 picture has another text than in labels.csv, which is used"),
        ("metadata.csv", "1 picture has another label than in labels.csv, which is used"),
    ]


def test_facts_can_be_cut_and_sent():
    facts, _ = find(("a.png", "b.png"), {"data.csv": "file,label,caption\nb,dog,two\na,cat,one\n"})
    cut = pickle.loads(pickle.dumps(facts)).take([1])
    assert cut.labels.tolist() == [1]
    assert cut.captions == ("two",)
    assert cut.label_names == ("cat", "dog")
    assert Facts().take([]).labels is None


def test_a_table_for_each_part_fills_the_whole():
    files = {
        "train/metadata.csv": "file_name,text\na.png,one\n",
        "test/metadata.jsonl": '{"file_name": "sub/a.png", "text": "two"}',
    }
    facts, refused = find(("test/sub/a.png", "train/a.png"), files)
    assert facts.captions == ("two", "one")
    assert facts.held_out.tolist() == [True, False]
    assert refused == []


# Labels


@pytest.mark.parametrize("column", ["label", "Class", " target "])
def test_label_columns(column):
    facts, _ = find(("a.png", "b.png"), {"anything.csv": f"file,{column}\na,2\nb,0\n"})
    assert facts.labels.tolist() == [2, 0]
    assert facts.label_names == ("0", "1", "2")


def test_any_column_can_be_the_label():
    rows = [(f"{number:03}", (number * 3) % 11, "fm"[number % 2]) for number in range(100)]
    files = {"labels.csv": table("file,Age,sex", rows)}
    facts, refused = find(pictures(100), files)
    assert facts.labels is None
    assert facts.attribute_names == (*(f"Age={age}" for age in range(11)), "sex=f", "sex=m")
    facts, refused = find(pictures(100), files, label="age")
    assert facts.label_names == tuple(map(str, range(11)))  # 10 behind 9.
    assert facts.labels.tolist() == [age for _, age, _ in rows]
    assert facts.attribute_names == ("sex=f", "sex=m")
    assert refused == []


def test_a_chosen_label_has_the_values_that_pictures_have():
    facts, refused = find(("a.png", "b.png"), {"x.csv": "file,kind\na,10\nb,9\nc,7\n"}, label="kind")
    assert facts.label_names == ("9", "10")
    assert facts.labels.tolist() == [1, 0]
    assert refused == [("c", "x.csv names it, but there is no such picture")]


def test_a_label_chosen_by_its_usual_name_is_the_usual_label():
    files = {"labels.csv": "file,class\na,2\nb,0\n"}
    chosen, plain = (find(("a.png", "b.png"), files, label=label)[0] for label in ("class", None))
    assert chosen.label_names == plain.label_names == ("0", "1", "2")


def test_captions_can_be_labels_and_stay_captions():
    facts, _ = find(("a.png", "b.png"), {"x.csv": "file,text\na,cat\nb,dog\n"}, label="text")
    assert facts.label_names == facts.captions == ("cat", "dog")


def test_an_unknown_label_names_the_nearest_column():
    files = {"labels.csv": "file,race,age\na,1,2\n"}
    with pytest.raises(DataError, match=r"Received: 'rase'. Did you mean 'race'\?"):
        find(("a.png",), files, label="rase")
    with pytest.raises(DataError, match="There is no table"):
        find(("cat/a.png", "dog/a.png"), {}, label="race")
    with pytest.raises(DataError, match=r"labels.csv: it cannot be read as labels \(line 2 is not UTF-8"):
        find(("a.png",), {"labels.csv": b"file,race\na,\xff\n"}, label="race")


def test_a_chosen_label_with_too_many_values_is_refused(monkeypatch):
    monkeypatch.setattr("gansmith.data.metadata.settle._CHOSEN_CLASSES_AT_MOST", 3)
    files = {"x.csv": table("file,serial,identity", [(name, name, name) for name in pictures(4)])}
    with pytest.raises(DataError, match=r"at most 3 different values. Received: data.label='serial' with 4"):
        find(pictures(4), files, label="serial")
    assert len(find(pictures(4), files, label="identity")[0].label_names) == 4  # CelebA has 10,177 people.
    assert find(pictures(3), files, label="serial")[0].labels.tolist() == [0, 1, 2]


def test_a_chosen_label_for_some_pictures_is_a_label_for_none():
    facts, refused = find(("cat/a.png", "dog/b.png"), {"x.csv": "file,race\ncat/a,1\ndog/b,\n"}, label="race")
    assert facts.labels is None
    assert refused == [("x.csv", "1 picture has no race; labels are not used")]


def test_labels_that_are_no_good_are_not_replaced_by_folders():
    names = ("cat/a.png", "dog/b.png")
    for text in ("{", '{"cat/a.png": 1}', '{"cat/a.png": 1, "dog/b.png": -1}', '{"x.png": 1}'):
        facts, refused = find(names, {"labels.json": text})
        assert facts.labels is None
        assert any("used" in reason for file, reason in refused if file == "labels.json")
    assert find(names, {"metadata.json": "{"})[0].label_names == ("cat", "dog")


# Names


def test_a_picture_that_is_named_twice_must_be_told_the_same():
    same = "file,label\na.png,1\n./a.png,1\na.png,\n"
    facts, refused = find(("a.png",), {"labels.csv": same})
    assert (facts.labels.tolist(), refused) == ([1], [])
    facts, refused = find(
        ("a.png", "b.png"), {"labels.csv": "file,label,hat\na.png,1,0\nb,1,1\n\na.png,2,0\n"}
    )
    assert facts.labels is None
    assert facts.attributes.tolist() == [[0], [1]]
    assert refused == [
        ("labels.csv", "lines 2 and 5 differ about a.png (label: 1 and 2); labels are not used")
    ]
    facts, refused = find(("a.png",), {"x.json": '{"a.png": {"hat": 1}, "./a.png": {"hat": 0}}'})
    assert refused == [("x.json", "it differs about a.png (hat: 1 and 0); hat is not used")]


def test_a_chosen_label_that_contradicts_itself_is_no_label():
    facts, refused = find(("a.png",), {"x.csv": "file,race\na,1\na,2\n"}, label="race")
    assert facts.labels is None
    assert [file for file, _ in refused] == ["x.csv"]


def test_of_several_captions_the_first_is_used():
    facts, refused = find(
        ("a.png", "b.png"), {"captions.csv": "image,caption\na,one\na,two\na,three\nb,four\n"}
    )
    assert facts.captions == ("one", "four")
    assert refused == [("captions.csv", "1 picture has several captions; the first is used")]


def test_at_most_twenty_names_without_a_picture_are_told_one_by_one():
    rows = [(f"{number:03}.png", number % 2) for number in range(100)]
    files = {"attributes.csv": table("file,hat", rows), "labels.csv": table("file,label", rows)}
    facts, refused = find(pictures(10), files)
    assert facts.labels.tolist() == [0, 1] * 5
    assert refused[0] == ("010.png", "labels.csv names it, but there is no such picture")
    assert [name for name, _ in refused] == [
        *(f"{number:03}.png" for number in range(10, 30)),
        "labels.csv",
        "attributes.csv",
    ]
    assert {reason for _, reason in refused[20:]} == {"it names 70 more pictures that are not here"}


def test_names_that_several_pictures_could_have_are_told():
    facts, refused = find(("x/a.png", "y/a.png", "b.png"), {"labels.csv": "file,label\na,1\nb,2\n"})
    assert facts.labels is None
    assert refused[0] == ("a", "labels.csv names it, but several pictures could be meant")


def test_a_table_about_other_pictures_is_told():
    facts, refused = find(("a.png",), {"zoo.csv": "file,hat\nx,1\ny,0\n", "zoo.json": '{"x": {"hat": 1}}'})
    assert facts.attributes is None
    assert refused == [("zoo.csv", "none of the 2 names in it is a picture here; it is not used")]


def test_the_file_column_is_the_one_that_names_pictures():
    facts, _ = find(("a.png",), {"x.csv": "name,image_id,hat\nAda,a,1\n"})
    assert facts.attribute_names == ("hat",)


# Captions, splits, attributes


def test_missing_captions_are_empty():
    facts, refused = find(pictures(3), {"captions.json": '{"001.png": "x"}'})
    assert facts.captions == ("", "x", "")
    assert refused == [("captions.json", "2 pictures have no caption; theirs is empty")]
    assert find(("a.png",), {"captions.csv": "file,caption\na,\n"})[0].captions is None


@pytest.mark.parametrize("column", ["caption", "text", "Prompt", "description", "sentence"])
def test_caption_columns(column):
    assert find(("a.png",), {"x.csv": f"file,{column}\na,hi\n"})[0].captions == ("hi",)


@pytest.mark.parametrize(
    ("train", "rest"),
    [("train", "val"), ("Training", "validation"), ("0", "1"), ("0", "2"), ("train", "test")],
)
@pytest.mark.parametrize("column", ["split", "partition", "subset"])
def test_splits(column, train, rest):
    facts, refused = find(pictures(3), {"x.csv": f"file,{column}\n000,{train}\n001,{rest}\n002,{train}\n"})
    assert facts.held_out.tolist() == [False, True, False]
    assert (facts.attributes, refused) == (None, [])


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (("train", "north"), "its split says 'north'"),
        (("train", ""), "1 picture has no split"),
        (("train", "train"), "all pictures are on one side of its split"),
        (("test", "val"), "all pictures are on one side of its split"),
    ],
)
def test_splits_that_are_not_used(values, why):
    facts, refused = find(pictures(2), {"x.csv": "file,split\n000,{}\n001,{}\n".format(*values)})
    assert facts.held_out is None
    assert len(refused) == 1
    assert refused[0][1].startswith(why)
    assert refused[0][1].endswith("the split is not used")


@pytest.mark.parametrize(
    ("no", "yes"), [("0", "1"), ("-1", "1"), ("False", "TRUE"), ("no", "Yes"), ("0.0", "1.0")]
)
def test_yes_or_no_columns_are_attributes(no, yes):
    facts, _ = find(pictures(3), {"x.csv": f"file,Big_Hat\n000,{yes}\n001,{no}\n002,{yes}\n"})
    assert facts.attribute_names == ("Big_Hat",)
    assert facts.attributes.tolist() == [[1], [0], [1]]


def test_few_values_are_one_attribute_each():
    kinds = [10, 9, -1]
    rows = [(f"{number:03}", kinds[number % 3]) for number in range(15)]
    facts, refused = find(pictures(15), {"x.csv": table("file,race", rows)})
    assert facts.attribute_names == ("race=-1", "race=9", "race=10")
    np.testing.assert_array_equal(facts.attributes[:3], [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert (facts.attributes.sum(axis=1) == 1).all()
    assert refused == []


def test_many_values_and_constants_are_no_attributes():
    rows = [(f"{number:03}", number, f"text {number}", "same", 256) for number in range(200)]
    facts, refused = find(pictures(200), {"x.csv": table("file,age,note,set,width", rows)})
    assert facts.attributes is None
    why = "not used as attributes: age, note (more than 32 values, or fewer than 5 rows for each)"
    assert refused == [("x.csv", why)]
    fourteen = {"x.csv": table("file,race", [(f"{number:03}", number % 3) for number in range(14)])}
    assert find(pictures(14), fourteen)[0].attributes is None


def test_attributes_of_some_pictures_are_not_used():
    facts, refused = find(pictures(3), {"x.csv": "file,hat,tie\n000,1,1\n001,,0\n002,0,1\n"})
    assert facts.attribute_names == ("tie",)
    assert refused == [("x.csv", "not used as attributes: hat (1 picture has no value there)")]


# Landmarks


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("x0,y0,x1,y1", ()),
        ("x_1,y_1,x_2,y_2", ()),
        ("left_eye_x,left_eye_y,nose_x,nose_y", ("left_eye", "nose")),
        ("LeftEye_x,LeftEye_y,mouth-right x,mouth-right y", ("left_eye", "right_mouth")),
    ],
)
def test_landmark_columns(header, names):
    facts, refused = find(pictures(2), {"landmarks.csv": f"file,{header}\n000,1,2,3,4\n001,5,6,7,8.5\n"})
    assert facts.landmarks.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8.5]]]
    assert facts.landmark_names == names
    assert (facts.attributes, refused) == (None, [])


def test_all_xs_before_all_ys_are_pairs_too():
    facts, _ = find(pictures(1), {"landmarks.csv": "file,x0,x1,y0,y1\n000,1,2,3,4\n"})
    assert facts.landmarks.tolist() == [[[1, 3], [2, 4]]]


def test_missing_landmarks_are_nan():
    text = "file,a_x,a_y,b_x,b_y\n000,1,2,3,4\n001,1,,3,4\n002,nan,inf,,\n"
    facts, refused = find(pictures(4), {"landmarks.csv": text})
    nan = np.nan
    expected = np.float32([[[1, 2], [3, 4]], [[nan, nan], [3, 4]], [[nan, nan]] * 2, [[nan, nan]] * 2])
    np.testing.assert_array_equal(facts.landmarks, expected)
    assert refused == [
        ("landmarks.csv", "2 pictures have no landmarks; theirs are NaN"),
        ("landmarks.csv", "1 picture has some landmarks only; the others are NaN"),
    ]
    assert find(pictures(1), {"landmarks.csv": "file,x0,y0\n000,,\n"})[0].landmarks is None


def test_a_box_is_no_landmark():
    facts, _ = find(
        pictures(1), {"list_bbox_celeba.csv": "image_id,x_1,y_1,width,height\n000,95,71,226,313\n"}
    )
    assert facts.landmarks is None


def test_landmarks_that_are_text_are_told():
    facts, refused = find(pictures(1), {"landmarks.csv": 'file,nose_x,nose_y\n000,"1,5","2,5"\n'})
    assert facts.landmarks is None
    assert refused == [("landmarks.csv", "nose_x has text that is not a number; its points are not used")]


def test_landmarks_in_json_of_different_lengths():
    text = '{"000.png": [[1, 2], [3, 4]], "001.png": [[1, 2]], "002.png": [[5, 6], [7, 8]]}'
    facts, refused = find(pictures(3), {"landmarks_2.json": text})
    assert facts.landmarks[[0, 2]].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert np.isnan(facts.landmarks[1]).all()
    assert "1 picture has another number of landmarks than 2" in refused[0][1]


def test_of_two_files_with_landmarks_the_first_is_used():
    columns, points = "file,x0,y0\n000,1,2\n", '{"000.png": [[3, 4]]}'
    facts, refused = find(pictures(1), {"landmarks.csv": columns, "more.json": points})
    assert facts.landmarks.tolist() == [[[1, 2]]]
    assert refused == [("more.json", "its landmarks are not used; those of landmarks.csv are")]
    facts, refused = find(pictures(1), {"more.csv": columns, "landmarks.json": points})
    assert facts.landmarks.tolist() == [[[3, 4]]]
    facts, refused = find(pictures(1), {"landmarks.json": points, "more.json": '{"000.png": [[5, 6]]}'})
    assert facts.landmarks.tolist() == [[[3, 4]]]
    assert refused == [("more.json", "1 picture has other landmarks in landmarks.json, and those are used")]


# Published layouts


CELEBA = {
    "list_attr_celeba.txt": "3\nBald Male \n000001.jpg -1  1\n000002.jpg  1 -1\n000003.jpg  1  1\n",
    "list_landmarks_align_celeba.txt": (
        "3\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x "
        "rightmouth_y\n" + "".join(f"00000{n}.jpg  {n} 2  3 4  5 6  7 8  9 10\n" for n in (1, 2, 3))
    ),
    "list_eval_partition.txt": "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n",
    "identity_CelebA.txt": "000001.jpg 2880\n000002.jpg 31\n000003.jpg 2880\n",
}


@pytest.mark.parametrize("folder", ["", "Anno/"])
@pytest.mark.parametrize("name", ["00000{}.jpg", "img_align_celeba/00000{}.png"])
def test_celeba(folder, name):
    names = tuple(name.format(number) for number in (1, 2, 3))
    files = {folder + file: text for file, text in CELEBA.items()}
    facts, refused = find(names, files)
    assert facts.labels is None
    assert facts.attribute_names == ("Bald", "Male")
    assert facts.attributes.tolist() == [[0, 1], [1, 0], [1, 1]]
    assert facts.landmark_names == ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
    assert facts.landmarks[:, 0].tolist() == [[1, 2], [2, 2], [3, 2]]
    assert facts.held_out.tolist() == [False, True, True]
    assert refused == []
    people, _ = find(names, files, label="Identity")
    assert people.labels.tolist() == [1, 0, 1]
    assert people.label_names == ("31", "2880")
    men, _ = find(names, files, label="male")
    assert (men.labels.tolist(), men.label_names, men.attribute_names) == ([1, 0, 1], ("-1", "1"), ("Bald",))


def test_celeba_as_csv():
    files = {
        "list_attr_celeba.csv": "image_id,Bald,Male\n000001.jpg,-1,1\n000002.jpg,1,-1\n",
        "list_landmarks_align_celeba.csv": "image_id,lefteye_x,lefteye_y\n000001.jpg,1,2\n000002.jpg,3,4\n",
        "list_eval_partition.csv": "image_id,partition\n000001.jpg,0\n000002.jpg,2\n",
    }
    names = ("img_align_celeba/img_align_celeba/000001.jpg", "img_align_celeba/img_align_celeba/000002.jpg")
    facts, refused = find(names, files)
    assert facts.attributes.tolist() == [[0, 1], [1, 0]]
    assert facts.landmarks.tolist() == [[[1, 2]], [[3, 4]]]
    assert facts.held_out.tolist() == [False, True]
    assert refused == []


def test_ffhq_landmarks_belong_to_pictures_of_their_size():
    entry = {
        "category": "training",
        "image": {"file_path": "images1024x1024/00000/00000.png", "face_landmarks": [[1, 2]]},
        "in_the_wild": {"file_path": "in-the-wild-images/00000/00000.png", "face_landmarks": [[7, 8]]},
    }
    names = ("images1024x1024/00000/00000.png", "in-the-wild-images/00000/00000.png")
    facts, _ = find(names, {"ffhq-dataset-v2.json": json.dumps({"0": entry})})
    assert facts.landmarks.tolist() == [[[1, 2]], [[7, 8]]]
    thumbs, _ = find(
        ("thumbnails128x128/00000/00000.png",), {"ffhq-dataset-v2.json": json.dumps({"0": entry})}
    )
    assert thumbs.landmarks is None


def test_files_beside_pictures_are_captions_and_labels():
    names = ("00000/0.jpg", "00000/1.jpg", "00001/2.jpg")
    stems = [name[:-4] for name in names]
    files = {f"{stem}.txt": f"picture {number}\n" for number, stem in enumerate(stems)}
    files |= {f"{stem}.cls": f"{number % 2}" for number, stem in enumerate(stems)}
    files |= {
        f"{stem}.json": json.dumps({"hat": number > 0, "width": 256}) for number, stem in enumerate(stems)
    }
    facts, refused = find(names, files)
    assert facts.captions == ("picture 0", "picture 1", "picture 2")
    assert facts.labels.tolist() == [0, 1, 0]
    assert facts.attribute_names == ("hat",)
    assert facts.attributes.tolist() == [[0], [1], [1]]
    assert refused == []


def test_json_beside_pictures_is_not_a_table_of_the_whole():
    facts, refused = find(("a.png", "b.png"), {"a.json": '{"b.png": {"hat": 1}}', "b.json": '{"hat": 0}'})
    assert facts.attributes is None
    assert ("*.json", "lists and objects are not used: b.png") in refused


def test_few_files_beside_pictures_are_told_and_not_used():
    facts, refused = find(pictures(3), {"000.txt": "x"})
    assert facts.captions is None
    assert refused == [("*.txt", "1 of 3 pictures have one; they are used where half of them have")]


@pytest.mark.parametrize(
    ("names", "held_out", "label_names"),
    [
        (("Test/cat/1.png", "Train/cat/1.png", "Train/dog/1.png"), [True, False, False], ("cat", "dog")),
        (("train/1.png", "val/1.png"), [False, True], ()),
        (("train/a/1.png", "val/1.png"), [False, True], ()),
        (("test/1.png", "val/1.png"), None, ("test", "val")),
        (("other/1.png", "test/1.png", "train/1.png"), None, ("other", "test", "train")),
        (("0/1.png", "1/1.png"), None, ("0", "1")),
    ],
)
def test_folders_called_train_and_test_are_a_split(names, held_out, label_names):
    facts, _ = find(names, {})
    assert (None if facts.held_out is None else facts.held_out.tolist()) == held_out
    assert facts.label_names == label_names


def test_a_split_in_a_table_comes_before_folders():
    facts, _ = find(("test/1.png", "train/1.png"), {"x.csv": "file,split\ntest/1,train\ntrain/1,test\n"})
    assert facts.held_out.tolist() == [False, True]


def test_files_that_cannot_be_read_are_told():
    def read(file):
        raise OSError(f"no {file}")

    facts, refused = find_facts(("a.png",), ("captions.csv", "labels.csv", "x.json"), read)
    assert facts.captions is None
    assert [(entry.name, entry.reason) for entry in refused] == [
        ("labels.csv", "it cannot be read as labels (no labels.csv); labels are not used"),
        ("captions.csv", "it cannot be read (no captions.csv); it is not used"),
    ]


def test_lists_in_a_table_are_told():
    _, refused = find(("a.png",), {"metadata.jsonl": '{"file_name": "a.png", "box": [1, 2, 3, 4], "hat": 1}'})
    assert refused == [("metadata.jsonl", "lists and objects are not used: box")]


def real(folder, archive, label=None):
    path = SHARED / folder
    if not (path / archive).is_file():
        pytest.skip(f"{path / archive} is not here")
    with zipfile.ZipFile(path / archive) as opened:
        names = sorted(name for name in opened.namelist() if not name.endswith("/"))
    others = tuple(sorted(file.name for file in path.iterdir() if file.suffix != ".zip"))
    return find_facts(names, others, lambda name: (path / name).read_bytes(), label=label)


def test_real_tables_of_faces():
    facts, refused = real("utkface_128", "utkface_128.zip", label="race")
    assert facts.labels.shape == (18_000,)
    assert facts.label_names == ("0", "1", "2", "3", "4")
    assert facts.attribute_names == ("gender",)
    assert [entry.name for entry in refused] == ["labels.csv"]  # Ages.


def test_real_landmarks_of_faces():
    facts, refused = real("london_faces_256", "london_faces_256.zip")
    assert facts.landmarks.shape == (262, 189, 2)
    assert np.nanmin(facts.landmarks) > -256
    missing = int(np.isnan(facts.landmarks).all(axis=(1, 2)).sum())
    assert missing == 102 + 8  # The smiling ones, and those with 83 or 106 points.
    assert f"{missing} pictures have no landmarks; theirs are NaN" in [entry.reason for entry in refused]
    assert facts.label_names == ("canada", "composite", "lisa", "neutral", "smiling", "zoom")


def test_real_captions():
    facts, refused = real("noto_emoji_128", "noto_emoji_128.zip")
    assert len(facts.captions) == 1385
    assert all(facts.captions)
    assert refused == []
