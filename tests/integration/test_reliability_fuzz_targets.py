"""Generated targets and weights: fits predict the documented kind of output, or raise and change nothing.

Warnings are errors here, so a warning of a dependency fails the test. The numbers of generated inputs are those of
`docs/reliability.md`.
"""

import copy
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning

from sklearn_bert import BertClassifier, BertRegressor
from tests.integration.generated import REPRODUCIBLE, SETTINGS, assert_probabilities

N_ROWS = st.integers(6, 12)


LABELS = {
    "int": st.integers(-3, 3),
    "wide int": st.sampled_from([-(2**63), -1, 0, 2**53 + 1, 2**63 - 1]),
    "bool": st.booleans(),
    "str": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3),
    "whole float": st.integers(-3, 3).map(float),
}


CONTAINERS_1D = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "Series": pd.Series,
    "polars": pl.Series,
    "category": lambda y: pd.Series(y, dtype="category"),
}


CONTAINERS_2D = {
    "lists": lambda y: [list(row) for row in y],
    "array": np.array,
    "float array": lambda y: np.array(y, dtype=float),
    "DataFrame": lambda y: pd.DataFrame(y, columns=[f"c{j}" for j in range(len(y[0]))]),
    "polars": lambda y: pl.DataFrame(np.array(y), schema=[f"c{j}" for j in range(len(y[0]))]),
    "sparse": lambda y: sparse.csr_array(np.array(y)),
}


FINITE = st.one_of(
    st.floats(-1e300, 1e300), st.floats(-10, 10), st.sampled_from([0.0, -0.0, 5e-324, 1e-300, 1e300, 2.0**53])
)


def rows_of(n, data):
    words = "the movie was good bad very !".split()
    return [" ".join(data.draw(st.lists(st.sampled_from(words), max_size=5))) for _ in range(n)]


def fit_or_none(estimator, X, y, sample_weight=None):
    """The fitted estimator; or None, if fit raises a whole sentence and leaves the estimator unfitted."""
    before, error_message = copy.deepcopy((X, y)), None
    try:
        estimator.fit(X, y, sample_weight)
    except ValueError as error:
        error_message = str(error)
    assert before[0] == X
    assert_same_values(y, before[1])
    assert error_message is None or error_message.endswith(".")
    assert hasattr(estimator, "net_") == (error_message is None)
    return None if error_message else estimator


def assert_same_values(found, expected):
    if sparse.issparse(found):
        found, expected = found.toarray(), expected.toarray()
    assert list(map(repr, np.asarray(found).flat)) == list(map(repr, np.asarray(expected).flat))


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=160, **REPRODUCIBLE)
def test_classifier_fits_or_raises_for_any_y_of_one_label_per_text(tiny_bert, data):
    n = data.draw(N_ROWS)
    kind = data.draw(st.sampled_from(sorted(LABELS)))
    values = data.draw(st.lists(LABELS[kind], min_size=n, max_size=n))
    container = data.draw(st.sampled_from(sorted(CONTAINERS_1D)))
    y = CONTAINERS_1D[container](values)
    classifier = fit_or_none(BertClassifier(tiny_bert, **SETTINGS), rows_of(n, data), y)
    assert (classifier is None) == (len(set(values)) < 2)
    if classifier is not None:
        X = ["never seen", "", *rows_of(2, data)]
        assert classifier.classes_.tolist() == sorted(set(values))
        assert_probabilities(classifier.predict_proba(X), (4, len(classifier.classes_)))
        assert set(classifier.predict(X).tolist()) <= set(values)
        assert classifier.predict(X).dtype == classifier.classes_.dtype
        n_scores = () if len(classifier.classes_) == 2 else (len(classifier.classes_),)
        assert classifier.decision_function(X).shape == (4, *n_scores)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=100, **REPRODUCIBLE)
def test_classifier_predicts_a_matrix_for_any_y_of_several_labels_per_text(tiny_bert, data):
    n, n_labels = data.draw(N_ROWS), data.draw(st.integers(2, 4))
    columns = [data.draw(st.one_of(*(st.just([k] * n) for k in (0, 1)), labels(n))) for _ in range(n_labels)]
    y = CONTAINERS_2D[data.draw(st.sampled_from(sorted(CONTAINERS_2D)))](np.array(columns).T.tolist())
    classifier = fit_or_none(BertClassifier(tiny_bert, **SETTINGS), rows_of(n, data), y)
    probabilities, predicted = classifier.predict_proba(["unseen", ""]), classifier.predict(["unseen", ""])
    assert (probabilities.shape, probabilities.dtype) == ((2, n_labels), np.float64)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert (predicted.shape, predicted.dtype) == ((2, n_labels), np.int64)
    assert set(predicted.flat) <= {0, 1}


def labels(n):
    return st.lists(st.integers(0, 1), min_size=n, max_size=n)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=160, **REPRODUCIBLE)
def test_regressor_predicts_finite_numbers_of_the_shape_of_any_finite_y(tiny_bert, data):
    n, n_outputs = data.draw(N_ROWS), data.draw(st.integers(1, 3))
    columns = []
    for _ in range(n_outputs):
        constant = st.just(data.draw(FINITE)).map(lambda value: [value] * n)
        columns.append(data.draw(st.one_of(constant, st.lists(FINITE, min_size=n, max_size=n))))
    flat = n_outputs == 1
    container = CONTAINERS_1D[data.draw(st.sampled_from(["list", "tuple", "array", "Series", "polars"]))]
    table = data.draw(st.sampled_from(["lists", "array", "DataFrame", "polars"]))
    y = container(columns[0]) if flat else CONTAINERS_2D[table](np.array(columns).T.tolist())
    regressor = fit_or_none(BertRegressor(tiny_bert, **SETTINGS), rows_of(n, data), y)
    predicted = regressor.predict(["unseen", ""])
    assert (predicted.shape, predicted.dtype) == ((2,) if flat else (2, n_outputs), np.float64)
    assert np.isfinite(predicted).all()


@given(data=st.data())
@settings(max_examples=120, **REPRODUCIBLE)
def test_fit_raises_for_invalid_targets_and_accepts_weights_of_any_size(tiny_bert, data):
    n = 6
    weight = st.sampled_from([0.0, 5e-324, 1e-300, 1.0, 3, 1e300, 1e308, np.inf, np.nan, -1.0])
    value = st.sampled_from([0, 1, 2.5, np.inf, np.nan, None, "a", b"a", (1,), {1}, 10**400, 1j, pd.NaT, [0, 1]])
    y = data.draw(st.lists(value, min_size=n, max_size=n))
    weights = data.draw(st.lists(weight, min_size=n, max_size=n))
    X = ["the movie was good", "bad", "", "very very bad", "!", "good"]
    for estimator, valid_y in ((BertClassifier, [0, 1] * 3), (BertRegressor, [1.5, 2, 0, 0, 1, 9])):
        assert_raises(estimator(tiny_bert, **SETTINGS), X, y, except_for={0, 1, 2.5})
        fitted = fit_or_none(estimator(tiny_bert, **SETTINGS), X, valid_y, weights)
        if fitted is not None:
            assert np.isfinite(fitted.predict(X)).all()
        else:
            assert not all(1.0 <= w <= 3 for w in weights)


def assert_raises(estimator, X, y, except_for):
    fitted = fit_or_none(estimator, X, np.fromiter(y, dtype=object, count=len(y)))
    if fitted is not None:
        assert all(type(value) in (int, float) for value in y)
        assert set(y) <= except_for


def test_fit_of_a_column_vector_y_gives_exactly_one_warning(tiny_bert, reviews):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        BertClassifier(tiny_bert, **SETTINGS).fit(reviews[0], np.array(reviews[1])[:, None])
    assert [warning.category for warning in caught] == [DataConversionWarning]


@pytest.mark.slow
@given(order=st.permutations(range(12)))
@settings(max_examples=40, **REPRODUCIBLE)
def test_row_order_does_not_change_a_fit_in_one_batch(tiny_bert, reviews, order):
    strict = {"precision": "float64", "dropout": 0.0, "attention_dropout": 0.0, "batch_size": 12}
    X, y = reviews[0][:12], np.array([0, 1, 2] * 3 + [0, 0, 3])
    classifier = BertClassifier(tiny_bert, **SETTINGS | strict)
    expected = clone(classifier).fit(X, y).predict_proba(X)
    found = clone(classifier).fit([X[i] for i in order], y[list(order)]).predict_proba(X)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
