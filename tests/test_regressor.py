"""`BertRegressor`: every type of y through `fit` and `predict`, scaling, `partial_fit`."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from sklearn_bert import BertRegressor
from tests.helpers import EXACT, FAST


@pytest.fixture(scope="module")
def ratings(reviews):
    """The reviews with a number each: 1 or 4, and one more for an exclamation mark."""
    texts, labels = reviews
    y = np.array([4.0 if label == "good" else 1.0 for label in labels]) + ["!" in text for text in texts]
    return texts, y


@pytest.mark.parametrize("dtype", [float, np.float32, int, bool, "Int64", "Float64", "object"])
def test_fit_accepts_every_numeric_dtype_for_one_output(tiny_bert, ratings, dtype):
    texts, y = ratings
    y = pd.Series(y).astype(int).astype(dtype) if isinstance(dtype, str) else y.astype(dtype)
    regressor = BertRegressor(tiny_bert, **FAST).fit(texts, y)
    assert regressor.problem_type_ == "regression"
    assert (regressor.predict(texts).shape, regressor.predict(texts).dtype) == ((48,), np.float64)


def test_fit_learns_the_ratings(tiny_bert, ratings):
    assert BertRegressor(tiny_bert, **FAST | {"max_epochs": 20}).fit(*ratings).score(*ratings) > 0.9


def test_fit_keeps_regression_for_integer_valued_ratings(tiny_bert, ratings):
    """The estimator class decides first: y with only whole numbers is still a regression."""
    texts, _ = ratings
    values = BertRegressor(tiny_bert, **FAST).fit(texts, [1.0, 5.0] * 24).predict(texts)
    assert not np.isin(values, [1.0, 5.0]).any()


def test_fit_and_predict_accept_several_outputs(tiny_bert, ratings):
    texts, y = ratings
    both = np.column_stack([y, -100 * y])
    regressor = BertRegressor(tiny_bert, **FAST | {"max_epochs": 20}).fit(texts, pd.DataFrame(both))
    assert regressor.predict(texts).shape == (48, 2)
    assert regressor.score(texts, both) > 0.9


def test_fit_ravels_a_column_vector_y_with_a_warning(tiny_bert, ratings):
    texts, y = ratings
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        regressor = BertRegressor(tiny_bert, **FAST).fit(texts, y.reshape(-1, 1))
    assert regressor.predict(texts).shape == (48,)


def test_predictions_follow_the_scale_of_y(tiny_bert, ratings):
    texts, y = ratings
    predicted, rescaled = (BertRegressor(tiny_bert, **EXACT).fit(texts, s).predict(texts) for s in (y, 3e5 + 1e5 * y))
    np.testing.assert_allclose(rescaled, 3e5 + 1e5 * predicted, rtol=1e-8)


def test_loss_without_scale_target_is_the_mean_squared_error(tiny_bert, ratings):
    texts, y = ratings
    settings = EXACT | {"learning_rate": 1e-12, "max_epochs": 1, "dropout": 0.0, "attention_dropout": 0.0}
    regressor = BertRegressor(tiny_bert, scale_target=False, **settings).fit(texts, y)
    assert regressor.loss_curve_[0] == pytest.approx(np.mean((regressor.predict(texts) - y) ** 2), rel=1e-6)


def test_predict_returns_a_constant_target(tiny_bert, ratings):
    values = BertRegressor(tiny_bert, **FAST | {"max_epochs": 10}).fit(ratings[0], np.full(48, 1e6)).predict(ratings[0])
    np.testing.assert_allclose(values, 1e6, rtol=1e-5)


def test_sample_weight_moves_the_prediction_to_the_weighted_mean(tiny_bert):
    texts, y = ["movie"] * 32, [0.0, 1.0] * 16
    settings = FAST | {"max_epochs": 15}
    values = BertRegressor(tiny_bert, **settings).fit(texts, y, sample_weight=[1.0, 9.0] * 16).predict(texts)
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
def test_fit_raises_for_a_y_without_finite_numbers_and_names_the_remedy(tiny_bert, ratings, y, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        BertRegressor(tiny_bert, **FAST).fit(ratings[0], y)


def test_partial_fit_keeps_the_scale_of_the_first_chunk(tiny_bert, reviews):
    texts, y = reviews[0], np.array([1000.0 if label == "good" else 200.0 for label in reviews[1]])
    regressor = BertRegressor(tiny_bert, max_epochs=1, learning_rate=1e-2, batch_size=8, random_state=0, device="cpu")
    for _ in range(8):
        for start in (0, 16, 32):
            regressor.partial_fit(texts[start : start + 16], y[start : start + 16])
    assert regressor.score(texts, y) > 0.8
    with pytest.raises(
        ValueError, match=r"^y has 2 columns, expected 1 as in the first call\. Pass the same columns\.$"
    ):
        regressor.partial_fit(texts, np.column_stack([y, y]))
