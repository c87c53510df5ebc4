"""Weights of classes and of labels, by position."""

import numpy as np
import pytest

from sklearn_bert._data.class_weight import weights_of_classes, weights_of_labels
from tests.helpers import exactly

CLASSES, Y = np.array(["a", "b", "c"]), np.array(["a", "b", "b", "c", "c", "c", "b", "c"])
LABELS = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]])


# -- classes ----------------------------------------------------------------------------------------------


def test_classes_left_out_weigh_one():
    assert weights_of_classes(None, CLASSES, Y, np.ones(8)).tolist() == [1, 1, 1]
    assert weights_of_classes({"c": 5}, CLASSES, Y, np.ones(8)).tolist() == [1, 1, 5]


def test_balance_is_between_the_classes_that_have_rows():
    more = np.array(["0", *CLASSES])
    weights = weights_of_classes("balanced", more, Y, np.arange(1.0, 9.0))
    assert weights[0] == 1
    assert weights[1:].tolist() == weights_of_classes("balanced", CLASSES, Y, np.arange(1.0, 9.0)).tolist()
    sums = [weights[j] * np.arange(1.0, 9.0)[more[j] == Y].sum() for j in (2, 3)]
    assert sums[0] == pytest.approx(sums[1])


def test_weights_of_all_classes_and_more_serve_rows_that_lack_some():
    weights = {"a": 2.0, "b": 1.0, "c": 3.0, "d": 4.0}
    assert weights_of_classes(weights, CLASSES, Y, np.ones(8)).tolist() == [2, 1, 3]


def test_a_weight_of_no_class_is_refused():
    message = "class_weight names ['d'], which are not among the classes ['a', 'b', 'c']. Classes left out weigh 1."
    with pytest.raises(ValueError, match=exactly(message)):
        weights_of_classes({"a": 2.0, "d": 3.0}, CLASSES, Y, np.ones(8))


@pytest.mark.parametrize("class_weight", [{"a": -1.0}, {"b": np.inf}, {"a": 0, "b": 0, "c": 0}], ids=str)
def test_weights_without_sense_are_refused(class_weight):
    message = (
        f"Got class_weight={class_weight!r}, expected finite non-negative weights that are not all zero. Pass "
        "'balanced' or None for a usual choice."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        weights_of_classes(class_weight, CLASSES, Y, np.ones(8))


# -- labels -----------------------------------------------------------------------------------------------


def test_balanced_labels_weigh_as_much_with_as_without():
    rows = np.array([1.0, 3.0, 2.0, 2.0])
    weights = weights_of_labels("balanced", LABELS, rows)
    for j in (0, 1):
        assert rows @ LABELS[:, j] * weights[j] == pytest.approx(rows @ (1 - LABELS[:, j]))
    assert weights[2:].tolist() == [1.0, 1.0]  # none has it, all have it: nothing to even out


def test_a_dict_weighs_labels_by_position_and_leaves_the_others():
    assert weights_of_labels({3: 2.5, 0: 0.5}, LABELS, np.ones(4)).tolist() == [0.5, 1.0, 1.0, 2.5]


@pytest.mark.parametrize("unknown", [4, "a"])
def test_a_weight_of_no_label_is_refused(unknown):
    message = (
        f"class_weight names {[unknown]}, which are none of the 4 labels. Expected all by name, as the columns of a "
        "DataFrame y have it, or all by position from 0 to 3. Labels left out weigh 1."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        weights_of_labels({0: 1.0, unknown: 2.0}, LABELS, np.ones(4))


@pytest.mark.parametrize("class_weight", [{0: -1.0}, {1: np.inf}], ids=str)
def test_weights_of_labels_below_zero_or_infinite_are_refused(class_weight):
    message = f"Got class_weight={class_weight!r}, expected finite non-negative weights of some of the 4 labels."
    with pytest.raises(ValueError, match=exactly(message)):
        weights_of_labels(class_weight, LABELS, np.ones(4))
