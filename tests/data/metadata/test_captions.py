"""Captions go into a column and come back."""

import torch

from gansmith.data.metadata.captions import LONGEST, to_column, to_texts


def test_texts_come_back():
    texts = ["a face", "", "größer 😀", "two\nlines"]
    column = to_column(texts)
    assert (column.dtype, column.shape[0]) == (torch.uint8, 4)
    assert column.shape[1] == len("größer 😀".encode())
    assert to_texts(column) == texts
    assert to_texts(column[[2, 0]]) == [texts[2], texts[0]]


def test_long_texts_are_cut_between_letters():
    column = to_column(["ä" * LONGEST])
    assert column.shape == (1, LONGEST)
    assert to_texts(column) == ["ä" * (LONGEST // 2)]
    assert to_texts(to_column(["a" + "ä" * LONGEST])) == ["a" + "ä" * (LONGEST // 2 - 1)]


def test_no_texts_and_zero_bytes():
    assert to_column([]).shape == (0, 1)
    assert to_texts(to_column(["a\0b"])) == ["a b"]
