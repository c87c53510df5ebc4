"""`Rows` keep texts, y and weights aligned, and their fingerprints differ if the data differ."""

import numpy as np
import pytest

from sklearn_bert._data.rows import Rows
from sklearn_bert._data.targets import SingleLabelTarget
from tests.helpers import exactly

ROWS = Rows((["a", "b", "c"], ["d", "e", "f"]), np.array([0, 1, 1]), np.array([1.0, 2.0, 3.0]), SingleLabelTarget)


def test_take_keeps_texts_y_and_weights_of_the_rows():
    part = ROWS.take(np.array([True, False, True]))
    assert part.columns == (["a", "c"], ["d", "f"])
    assert part.y.tolist() == [0, 1]
    assert part.weights.tolist() == [1.0, 3.0]
    assert part.target_class is SingleLabelTarget


def test_weights_for_applies_class_weight_and_has_mean_one():
    target = SingleLabelTarget(ROWS.y, ROWS.weights, class_weight={0: 3.0})
    assert ROWS.weights_for(target).tolist() == pytest.approx([9 / 8, 6 / 8, 9 / 8])


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        (ROWS._replace(columns=(["a", "b", "c"], ["d", "ef", ""])), {"X"}),
        (ROWS._replace(columns=(["a", "b", "cd"], ["", "e", "f"])), {"X"}),
        (ROWS._replace(y=np.array([0, 1, 0])), {"y"}),
        (ROWS._replace(y=np.array(["0", "1", "1"], dtype=object)), {"y"}),
        (ROWS._replace(weights=np.array([1.0, 2.0, 4.0])), {"sample_weight"}),
        (ROWS.take(np.ones(3, dtype=bool)), set()),
    ],
    ids=["second texts", "moved text", "y", "str y", "weights", "the same"],
)
def test_fingerprints_differ_for_the_parts_that_changed(changed, names):
    before, after = ROWS.fingerprints(), changed.fingerprints()
    assert {name for name in before if before[name] != after[name]} == names


@pytest.mark.parametrize("class_weight", [{0: 1e308, 1: 1e308}, {0: 1e-320, 1: 1e-320}, {0: 0.0, 1: 1e-320}])
def test_weights_for_has_mean_one_for_extreme_class_weights(class_weight):
    rows = Rows((["a"] * 4,), np.array([0, 1, 1, 0]), np.ones(4), SingleLabelTarget)
    weights = rows.weights_for(SingleLabelTarget(rows.y, rows.weights, class_weight))
    assert weights.mean() == pytest.approx(1)


def test_weights_for_raises_if_class_weight_gives_every_row_weight_zero():
    rows = Rows((["a"] * 2,), np.array([0, 0]), np.ones(2), SingleLabelTarget)
    target = SingleLabelTarget(rows.y, rows.weights, {0: 0, 1: 1}, classes=[0, 1])
    message = "class_weight gives every row weight 0. Give the classes in y positive ones or pass None."
    with pytest.raises(ValueError, match=exactly(message)):
        rows.weights_for(target)
