"""Descriptions of classes as further rows."""

import re

import numpy as np
import pytest

from sklearn_bert._data.class_descriptions import append_descriptions
from sklearn_bert._data.rows import Rows
from sklearn_bert._data.targets import MultiLabelTarget, SingleLabelTarget

TEXTS = (["a", "b", "c"],)


def rows_of(y, weights=(1.0, 0.5, 0.75), columns=TEXTS):
    y = np.asarray(y)
    return Rows(columns, y, np.array(weights), MultiLabelTarget if y.ndim == 2 else SingleLabelTarget)


@pytest.mark.parametrize(
    ("y", "keys"),
    [
        (["x", "y", "x"], ["y", "a longer label"]),
        (np.array(["x", "y", "x"], dtype=object), ["y", "z"]),
        ([1, 2, 1], [2, 7]),
        ([1, 2, 1], [np.int64(2), 7.0]),
        ([True, False, True], [False]),
        ([1.0, 2.0, 1.0], [2]),
    ],
    ids=["str", "object", "int", "numbers that are equal", "bool", "float"],
)
def test_a_description_is_a_row_of_its_class_that_weighs_four(y, keys):
    before = rows_of(y)
    after = append_descriptions(before, dict.fromkeys(keys, "said in words"))
    assert after.columns == (["a", "b", "c", *["said in words"] * len(keys)],)
    assert after.y.tolist() == [*before.y.tolist(), *keys]
    assert after.y.dtype.kind == before.y.dtype.kind
    assert after.weights.tolist() == [1.0, 0.5, 0.75, *[3.0] * len(keys)]


def test_of_several_labels_a_description_has_one():
    after = append_descriptions(rows_of([[1, 0, 1], [0, 0, 0], [1, 1, 0]]), {2: "third", 0: "first"})
    assert after.columns[0][3:] == ["third", "first"]
    assert after.y[3:].tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("y", "key"),
    [
        (["x", "y", "x"], 1),
        ([1, 2, 1], "1"),
        ([1, 2, 1], 1.5),
        ([1, 2, 1], None),
        ([1, 2, 1], (1, 2)),
        ([True, False, True], 7),
    ],
)
def test_a_key_of_another_type_than_y_is_refused(y, key):
    message = (
        f"class_descriptions names [{key!r}], but y holds labels such as {y[0]!r}. Expected labels of the same type. "
        "Write them as in y."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        append_descriptions(rows_of(y), {key: "in words"})


@pytest.mark.parametrize("text", ["", " \n", None, 3, ["a", "b"]], ids=repr)
def test_a_description_that_is_no_text_is_refused(text):
    message = (
        f"Got {text!r} as the description of 'x' in class_descriptions, expected a text. Say in a sentence what such "
        "texts are about, or leave the class out."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        append_descriptions(rows_of(["x", "y", "x"]), {"y": "fine", "x": text})


def test_a_label_that_y_has_no_column_of_is_refused():
    message = (
        "class_descriptions names [3, 'name'], which are none of the 2 labels. Expected all by name, as the columns of "
        "a DataFrame y have it, or all by position from 0 to 1."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        append_descriptions(rows_of([[1, 0], [0, 1], [1, 1]]), {0: "one", 3: "four", "name": "none"})


def test_pairs_have_no_descriptions():
    with pytest.raises(ValueError, match=r"^Got class_descriptions and pairs of texts, expected single texts\. Pass"):
        append_descriptions(rows_of(["x", "y", "x"], columns=TEXTS * 2), {"x": "in words"})
