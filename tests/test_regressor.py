"""The y table's rows of the regressor, through `fit` and `predict`."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from sklearn_bert import BertRegressor

QUICK = {"max_epochs": 2, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}
EXACT = QUICK | {"precision": "float64"}


@pytest.fixture(scope="module")
def stars(reviews):
    texts, labels = reviews
    y = np.array([4.0 if label == "good" else 1.0 for label in labels]) + ["!" in text for text in texts]
    return texts, y


@pytest.mark.parametrize("dtype", [float, np.float32, int, bool, "Int64", "Float64", "object"])
def test_one_output_from_every_numeric_dtype(tiny_bert, stars, dtype):
    texts, y = stars
    y = pd.Series(y).astype(int).astype(dtype) if isinstance(dtype, str) else y.astype(dtype)
    regressor = BertRegressor(tiny_bert, **QUICK).fit(texts, y)
    assert regressor.problem_type_ == "regression"
    assert (regressor.predict(texts).shape, regressor.predict(texts).dtype) == ((48,), np.float64)


def test_it_learns(tiny_bert, stars):
    assert BertRegressor(tiny_bert, **QUICK | {"max_epochs": 20}).fit(*stars).score(*stars) > 0.9


def test_whole_stars_stay_numbers(tiny_bert, stars):
    """A fold whose floats happen to be whole must not turn into a classification."""
    texts, _ = stars
    values = BertRegressor(tiny_bert, **QUICK).fit(texts, [1.0, 5.0] * 24).predict(texts)
    assert not np.isin(values, [1.0, 5.0]).any()


def test_several_outputs_are_predicted_together(tiny_bert, stars):
    texts, y = stars
    both = np.column_stack([y, -100 * y])
    regressor = BertRegressor(tiny_bert, **QUICK | {"max_epochs": 20}).fit(texts, pd.DataFrame(both))
    assert regressor.predict(texts).shape == (48, 2)
    assert regressor.score(texts, both) > 0.9


def test_a_column_vector_is_ravelled_with_a_warning(tiny_bert, stars):
    texts, y = stars
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        regressor = BertRegressor(tiny_bert, **QUICK).fit(texts, y.reshape(-1, 1))
    assert regressor.predict(texts).shape == (48,)


def test_the_units_of_y_do_not_matter(tiny_bert, stars):
    texts, y = stars
    stars_, euros = (BertRegressor(tiny_bert, **EXACT).fit(texts, s).predict(texts) for s in (y, 3e5 + 1e5 * y))
    np.testing.assert_allclose(euros, 3e5 + 1e5 * stars_, rtol=1e-8)


def test_without_scaling_the_loss_is_the_plain_mean_squared_error(tiny_bert, stars):
    texts, y = stars
    regime = EXACT | {"learning_rate": 1e-12, "max_epochs": 1, "dropout": 0.0, "attention_dropout": 0.0}
    regressor = BertRegressor(tiny_bert, scale_target=False, **regime).fit(texts, y)
    assert regressor.loss_curve_[0] == pytest.approx(np.mean((regressor.predict(texts) - y) ** 2), rel=1e-6)


def test_a_constant_target_is_predicted_as_it_is(tiny_bert, stars):
    values = BertRegressor(tiny_bert, **QUICK | {"max_epochs": 10}).fit(stars[0], np.full(48, 1e6)).predict(stars[0])
    np.testing.assert_allclose(values, 1e6, rtol=1e-5)


def test_weights_shift_the_prediction(tiny_bert):
    texts, y = ["movie"] * 32, [0.0, 1.0] * 16
    regime = QUICK | {"max_epochs": 15}
    values = BertRegressor(tiny_bert, **regime).fit(texts, y, sample_weight=[1.0, 9.0] * 16).predict(texts)
    np.testing.assert_allclose(values, 0.9, atol=0.1)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["1", "2"] * 24, "BertRegressor expects numbers in y, got values of dtype <U1."),
        (np.array(["1", "2"] * 24, dtype=object), "BertRegressor expects numbers in y, got values of dtype object."),
        (pd.Series([1, 2] * 24, dtype="category"), "BertRegressor expects numbers in y, got values of dtype category."),
        ([1.0, np.nan] * 24, "Input y contains NaN"),
        ([1.0, None] * 24, "Input y contains NaN"),
        ([1.0, np.inf] * 24, "Input y contains infinity"),
        (None, "requires y to be passed, but the target y is None"),
    ],
    ids=["str", "object-str", "category", "nan", "none", "inf", "absent"],
)
def test_a_y_without_numbers_is_an_error_that_names_the_cure(tiny_bert, stars, y, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        BertRegressor(tiny_bert, **QUICK).fit(stars[0], y)


def test_a_stream_keeps_the_scale_of_its_first_chunk(tiny_bert, reviews):
    texts, y = reviews[0], np.array([1000.0 if label == "good" else 200.0 for label in reviews[1]])
    regressor = BertRegressor(tiny_bert, max_epochs=1, learning_rate=1e-2, batch_size=8, random_state=0, device="cpu")
    for _ in range(8):
        for start in (0, 16, 32):
            regressor.partial_fit(texts[start : start + 16], y[start : start + 16])
    assert regressor.score(texts, y) > 0.8
    with pytest.raises(
        ValueError, match=r"^y has 2 columns, expected 1 as in the first fit\. Pass the same columns\.$"
    ):
        regressor.partial_fit(texts, np.column_stack([y, y]))
