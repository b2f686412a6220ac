"""What is told picture by picture becomes one table, and what cannot is told."""

import numpy as np
import pytest

from gansmith.data.metadata.samples import assembled, numbered
from gansmith.data.metadata.splits import held_out_rows, is_held_out


def told(samples):
    return {entry.name: entry.reason for entry in assembled(samples)[1]}


def test_nothing_said_is_nothing_known():
    for samples in ([], [{}, {}], [{"width": 3}]):
        facts, refused = assembled(samples)
        assert (facts.labels, facts.captions, facts.attributes, facts.landmarks) == (None,) * 4
        assert (facts.held_out, refused) == (None, [])


def test_labels_as_integers_and_strings():
    assert assembled([{"label": 2}, {"class": 0}])[0].labels.tolist() == [2, 0]
    facts = assembled([{"label": "dog"}, {"label": "cat"}])[0]
    assert (facts.labels.tolist(), facts.label_names) == ([1, 0], ("cat", "dog"))
    assert assembled([{"label": True}, {"label": False}])[0].labels.tolist() == [1, 0]
    named = assembled([{"label": 0, "label_name": "a"}, {"label": 2, "label_name": "c"}])[0]
    assert named.label_names == ("a", "1", "c")


BAD = {
    "1 picture has no label": [1, None],
    "2 pictures have no label": [1, -1, None],
    "of one kind": [1, "a"],
    "labels must be": [1.5, 2.5],
    "labels must be integers or": [[1], [2]],
    "count from 0": [0, -2],
    "stay below 100,000": [0, 100_000],
}


@pytest.mark.parametrize("reason", BAD)
def test_labels_that_are_none(reason):
    with pytest.raises(ValueError, match=reason):
        numbered(BAD[reason])
    assert reason in told([{"label": value} for value in BAD[reason]])["labels"]


def test_names_count_where_there_are_enough():
    assert numbered([0, 1], ("a", "b", "c"))[1] == ("a", "b", "c")
    assert numbered([0, 3], ("a", "b"))[1] == ("0", "1", "2", "3")
    assert numbered([None, -1], ("a",)) == (None, ())


def test_captions_of_some():
    facts, refused = assembled([{"text": "a"}, {}, {"caption": 3}])
    assert facts.captions == ("a", "", "")
    assert refused[0].reason == "2 pictures have none; theirs is empty"


def test_attributes_of_all_in_any_order():
    facts = assembled([{"attributes": {"a": 1, "b": 0}}, {"attributes": {"b": 1, "a": True}}])[0]
    assert (facts.attributes.tolist(), facts.attribute_names) == ([[1, 0], [1, 1]], ("a", "b"))
    assert "0 or 1" in told([{"attributes": {"a": 2}}])["attributes"]
    assert "different" in told([{}, {"attributes": {"a": 1}}])["attributes"]
    assert told([{"attributes": [1, 0]}]) == {}


@pytest.mark.parametrize("points", [[[1, 2, 3]], [], [[]], [["a", "b"]], [1, 2], "no", 5, [[1, 2], [3]]])
def test_landmarks_that_are_no_points(points):
    assert "landmarks are not used" in told([{"landmarks": points}])["landmarks"]
    assert "landmarks are not used" in told([{"landmarks": [[1, 2]] * 3}, {"landmarks": points}])["landmarks"]


def test_splits_by_name():
    names = ["data/train-00000-of-00002", "x/validation/0000", "a.test", "my_val_01", "Training-1", "dev"]
    assert [is_held_out(name) for name in names] == [False, True, True, True, False, True]
    assert [is_held_out(name) for name in ["latest", "trains", "0001", "contest/1"]] == [None] * 4
    assert is_held_out("test_set/train-1") is False  # The last word counts.
    assert held_out_rows(["train", "test"], [2, 1]).tolist() == [False, False, True]
    assert held_out_rows(["test", "val"], [2, 1]) is None
    assert held_out_rows(["a", "b"], [2, 1]) is None
    assert np.array_equal(held_out_rows(["a", "val"], [0, 1]), None)
