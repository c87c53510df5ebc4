"""Weights of classes and of labels from `class_weight`."""

import numpy as np
import pytest

from sklearn_bert._data.class_weight import weights_of_classes, weights_of_labels
from tests.helpers import exactly

CLASSES, Y = np.array(["a", "b", "c"]), np.array(["a", "b", "b", "c", "c", "c", "b", "c"])
LABELS = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]])


# -- classes ----------------------------------------------------------------------------------------------


def test_classes_missing_from_class_weight_get_weight_one():
    assert weights_of_classes(None, CLASSES, Y, np.ones(8)).tolist() == [1, 1, 1]
    assert weights_of_classes({"c": 5}, CLASSES, Y, np.ones(8)).tolist() == [1, 1, 5]


def test_balanced_ignores_classes_without_rows():
    more = np.array(["0", *CLASSES])
    weights = weights_of_classes("balanced", more, Y, np.arange(1.0, 9.0))
    assert weights[0] == 1
    assert weights[1:].tolist() == weights_of_classes("balanced", CLASSES, Y, np.arange(1.0, 9.0)).tolist()
    sums = [weights[j] * np.arange(1.0, 9.0)[more[j] == Y].sum() for j in (2, 3)]
    assert sums[0] == pytest.approx(sums[1])


def test_additional_classes_in_a_complete_class_weight_are_ignored():
    weights = {"a": 2.0, "b": 1.0, "c": 3.0, "d": 4.0}
    assert weights_of_classes(weights, CLASSES, Y, np.ones(8)).tolist() == [2, 1, 3]


def test_unknown_class_in_class_weight_raises():
    message = "class_weight names ['d'], which are not among the classes ['a', 'b', 'c']. Classes left out weigh 1."
    with pytest.raises(ValueError, match=exactly(message)):
        weights_of_classes({"a": 2.0, "d": 3.0}, CLASSES, Y, np.ones(8))


@pytest.mark.parametrize("class_weight", [{"a": -1.0}, {"b": np.inf}, {"a": 0, "b": 0, "c": 0}], ids=str)
def test_negative_infinite_and_all_zero_class_weights_raise(class_weight):
    message = (
        f"Got class_weight={class_weight!r}, expected finite non-negative weights that are not all zero. Pass "
        "'balanced' or None for a usual choice."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        weights_of_classes(class_weight, CLASSES, Y, np.ones(8))


# -- labels -----------------------------------------------------------------------------------------------


def test_balanced_gives_rows_with_and_without_a_label_equal_weight():
    rows = np.array([1.0, 3.0, 2.0, 2.0])
    weights = weights_of_labels("balanced", LABELS, rows)
    for j in (0, 1):
        assert rows @ LABELS[:, j] * weights[j] == pytest.approx(rows @ (1 - LABELS[:, j]))
    assert weights[2:].tolist() == [1.0, 1.0]  # no row has the one, all rows have the other: nothing to balance


def test_dict_sets_label_weights_by_position_and_leaves_the_others():
    assert weights_of_labels({3: 2.5, 0: 0.5}, LABELS, np.ones(4)).tolist() == [0.5, 1.0, 1.0, 2.5]


@pytest.mark.parametrize("unknown", [4, "a"])
def test_unknown_label_in_class_weight_raises(unknown):
    message = (
        f"class_weight names {[unknown]}, which are none of the 4 labels. Expected all by name, as the columns of a "
        "DataFrame y have it, or all by position from 0 to 3. Labels left out have 1."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        weights_of_labels({0: 1.0, unknown: 2.0}, LABELS, np.ones(4))


@pytest.mark.parametrize("class_weight", [{0: -1.0}, {1: np.inf}, {1: None}, {2: "high"}], ids=str)
def test_label_weights_that_are_no_weights_raise(class_weight):
    message = f"Got class_weight={class_weight!r}, expected finite non-negative weights of some of the 4 labels."
    with pytest.raises(ValueError, match=exactly(message)):
        weights_of_labels(class_weight, LABELS, np.ones(4))
