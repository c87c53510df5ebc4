"""Thresholds are the best there are on rows that the fits have not seen, and nothing else changes."""

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score
from sklearn.model_selection import KFold
from sklearn.multiclass import OneVsRestClassifier

from sklearn_bert import BertClassifier, TunedThresholdsClassifierCV
from tests.helpers import exactly

RNG = np.random.default_rng(0)
Y = (RNG.random((400, 4)) < [0.5, 0.1, 0.02, 0.0]).astype(int)
X = RNG.normal(size=Y.shape) + 2 * Y - [1, 2, 3, 3]  # logits that know a little of Y, each label by another threshold


class Sigmoid(ClassifierMixin, BaseEstimator):
    """Probabilities straight from X: what a fit does not change, folds do not either."""

    def __init__(self, verbose=0):
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.arange(y.shape[1])
        self.n_rows_ = len(X)
        return self

    def predict(self, X):
        return (self.predict_proba(X) > 0.5).astype(int)

    def predict_proba(self, X):
        return 1 / (1 + np.exp(-X))


class Refuses(Sigmoid):
    """Fits folds, but not all rows."""

    def fit(self, X, y, sample_weight=None):
        if len(X) == len(Y):
            raise RuntimeError("refused")
        return super().fit(X, y)


class OneColumn(Sigmoid):
    def predict_proba(self, X):
        return super().predict_proba(X)[:, :1]


def undefined(y_true, y_pred):
    return np.nan


def precision(y_true, y_pred):
    """NaN where nothing is predicted."""
    return precision_score(y_true, y_pred, zero_division=np.nan)


@pytest.fixture(scope="module")
def tuned():
    return TunedThresholdsClassifierCV(Sigmoid(), n_thresholds=len(X)).fit(X, Y)


@pytest.fixture
def fits(monkeypatch):
    """What each fit of a Sigmoid was given: X, y and weights."""
    seen, fit = [], Sigmoid.fit

    def see(self, X, y, sample_weight=None):
        seen.append((X, y, sample_weight))
        return fit(self, X, y, sample_weight)

    monkeypatch.setattr(Sigmoid, "fit", see)
    return seen


def test_no_threshold_is_better_on_any_label(tuned):
    probabilities = Sigmoid().predict_proba(X)
    for j in range(3):
        grid = np.linspace(0, 1, 2001)
        scores = [f1_score(Y[:, j], probabilities[:, j] > t, zero_division=0) for t in grid]
        assert tuned.best_scores_[j] >= max(scores) - 1e-12
        found = f1_score(Y[:, j], probabilities[:, j] > tuned.best_thresholds_[j])
        assert tuned.best_scores_[j] == pytest.approx(found)


def test_macro_f1_rises(tuned):
    plain = f1_score(Y, Sigmoid().predict_proba(X) > 0.5, average="macro", zero_division=0)
    assert f1_score(Y, tuned.predict(X), average="macro", zero_division=0) > plain + 0.03


def test_a_label_of_one_kind_keeps_one_half(tuned):
    assert tuned.best_thresholds_[3] == 0.5
    assert np.isnan(tuned.best_scores_[3])


def test_predictions_are_of_the_estimator_fitted_on_all_rows(tuned):
    assert tuned.estimator_.n_rows_ == len(X)
    assert np.array_equal(tuned.predict_proba(X), Sigmoid().predict_proba(X))
    assert tuned.predict(X).dtype == np.int64
    assert np.array_equal(tuned.predict(X), tuned.predict_proba(X) > tuned.best_thresholds_)
    assert tuned.classes_.tolist() == [0, 1, 2, 3]
    assert not hasattr(tuned, "decision_function")


def test_another_metric_has_other_thresholds(tuned):
    other = TunedThresholdsClassifierCV(Sigmoid(), metric=balanced_accuracy_score).fit(X, Y)
    assert other.best_thresholds_[1] < tuned.best_thresholds_[1]


def test_rows_of_zero_weight_do_not_matter():
    weights = np.r_[np.ones(300), np.zeros(100)]
    weighted = TunedThresholdsClassifierCV(Sigmoid()).fit(X, Y, sample_weight=weights)
    few = TunedThresholdsClassifierCV(Sigmoid()).fit(X[:300], Y[:300])
    assert weighted.best_scores_.tolist() == pytest.approx(few.best_scores_.tolist(), nan_ok=True)


def test_each_fold_is_fitted_on_its_rows_of_y_as_given_and_of_the_weights(fits):
    columns = np.c_[X, np.arange(len(X))]  # each row knows its place
    y = pd.DataFrame(np.c_[Y, np.ones(len(Y), dtype=int)], columns=[*"abcde"]).sample(frac=1, random_state=0)
    weights = np.random.default_rng(1).random(len(X))
    TunedThresholdsClassifierCV(Sigmoid(), cv=4).fit(columns, y, sample_weight=weights)
    assert [len(X) for X, _, _ in fits] == [300] * 4 + [400]
    for fold_X, fold_y, fold_weights in fits:
        places = fold_X[:, -1].astype(int)
        pd.testing.assert_frame_equal(fold_y, y.iloc[places])
        assert np.array_equal(fold_weights, weights[places])


def test_a_label_that_all_rows_have_is_one_in_every_fold(fits):
    y = Y.copy()
    y[:, 3] = 1
    tuned = TunedThresholdsClassifierCV(Sigmoid()).fit(X, y)
    assert all((fold_y[:, 3] == 1).all() for _, fold_y, _ in fits)
    assert tuned.best_thresholds_[3] == 0.5


def test_weights_of_labels_by_name_hold_in_the_folds(tiny_bert, reviews):
    texts = reviews[0]
    y = pd.DataFrame({"movie": ["movie" in text for text in texts], "very": ["very" in text for text in texts]}) * 1
    settings = {"max_epochs": 1, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}
    by_name = BertClassifier(tiny_bert, class_weight={"movie": 3}, **settings)
    by_position = BertClassifier(tiny_bert, class_weight={0: 3}, **settings)
    named = TunedThresholdsClassifierCV(by_name, cv=2).fit(texts, y)
    numbered = TunedThresholdsClassifierCV(by_position, cv=2).fit(texts, y.to_numpy())
    assert named.estimator_.label_names_.tolist() == ["movie", "very"]
    assert np.array_equal(named.best_thresholds_, numbered.best_thresholds_)


def test_neither_shuffled_folds_nor_threads_change_whose_probabilities_are_whose(tuned):
    cv = KFold(5, shuffle=True, random_state=0)
    with joblib.parallel_config(backend="threading"):
        other = TunedThresholdsClassifierCV(Sigmoid(), n_thresholds=len(X), cv=cv, n_jobs=2).fit(X, Y)
    assert np.array_equal(other.best_thresholds_, tuned.best_thresholds_)
    assert np.array_equal(other.best_scores_, tuned.best_scores_, equal_nan=True)


def test_folds_that_are_no_partition_are_an_error():
    message = (
        "TunedThresholdsClassifierCV expects cv to test each of the 400 rows once, got 200 test rows, 100 of them "
        "different. Pass a cv such as sklearn.model_selection.KFold."
    )
    cv = [(np.arange(400), np.arange(100))] * 2
    with pytest.raises(ValueError, match=exactly(message)):
        TunedThresholdsClassifierCV(Sigmoid(), cv=cv).fit(X, Y)


@pytest.mark.parametrize(
    ("estimator", "got"),
    [(RandomForestClassifier(2), "a list"), (OneColumn(), "shape (80, 1)")],
    ids=["list", "one column"],
)
def test_probabilities_in_another_form_are_an_error(estimator, got):
    message = (
        f"TunedThresholdsClassifierCV expects {type(estimator).__name__}.predict_proba to give an array of shape "
        f"(80, 4), got {got}. Wrap the estimator in sklearn.multiclass.OneVsRestClassifier."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        TunedThresholdsClassifierCV(estimator).fit(X, Y)


def test_with_metadata_routing_the_estimator_asks_for_the_weights(fits):
    weights = np.ones(len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError):
            TunedThresholdsClassifierCV(Sigmoid()).fit(X, Y, sample_weight=weights)
        asking = Sigmoid().set_fit_request(sample_weight=True)
        TunedThresholdsClassifierCV(asking).fit(X, Y, sample_weight=weights)
    assert all(fold_weights is not None for _, _, fold_weights in fits)


def test_a_failed_fit_leaves_the_estimator_as_it_was():
    tuned = TunedThresholdsClassifierCV(Refuses())
    with pytest.raises(RuntimeError, match="refused"):
        tuned.fit(X, Y)
    with pytest.raises(NotFittedError):
        tuned.predict(X)
    before = dict(vars(tuned.fit(X[:300], Y[:300])))
    with pytest.raises(RuntimeError, match="refused"):
        tuned.fit(X, 1 - Y)
    assert all(vars(tuned)[name] is value for name, value in before.items())


def test_a_threshold_at_which_the_metric_is_nan_is_not_taken():
    low = X - 8  # nothing exceeds one half
    tuned = TunedThresholdsClassifierCV(Sigmoid(), metric=precision).fit(low, Y)
    assert not np.isnan(tuned.best_scores_[:3]).any()
    assert tuned.predict(low)[:, :3].any(axis=0).all()


@pytest.mark.parametrize(
    ("y", "label"), [(Y, "0"), (pd.DataFrame(Y, columns=[*"abcd"]), "'a'")], ids=["array", "frame"]
)
def test_a_metric_that_is_always_nan_is_an_error(y, label):
    message = (
        f"The metric undefined gave NaN at every threshold of label {label}, expected "
        "a number at one at least. Pass a metric that is defined where a label is in some rows only."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        TunedThresholdsClassifierCV(Sigmoid(), metric=undefined).fit(X, y)


def test_it_has_the_features_that_its_estimator_has(tuned):
    frame = pd.DataFrame(X[:, :2], columns=["first", "second"])
    linear = TunedThresholdsClassifierCV(OneVsRestClassifier(LogisticRegression()), cv=2)
    assert not hasattr(linear, "n_features_in_")
    linear.fit(frame, Y[:, :2])
    assert (linear.n_features_in_, linear.feature_names_in_.tolist()) == (2, ["first", "second"])
    linear.fit(X[:, :3], Y[:, :2])
    assert linear.n_features_in_ == 3
    assert not hasattr(linear, "feature_names_in_")
    assert not hasattr(tuned, "n_features_in_")  # a Sigmoid counts nothing


def test_few_thresholds_are_spread_over_the_positive_rows():
    few = TunedThresholdsClassifierCV(Sigmoid(), n_thresholds=5).fit(X, Y)
    assert few.best_scores_[0] > 0.9 * TunedThresholdsClassifierCV(Sigmoid()).fit(X, Y).best_scores_[0]


def test_y_may_be_sparse():
    tuned = TunedThresholdsClassifierCV(Sigmoid()).fit(X, sparse.csr_array(Y))
    assert tuned.best_thresholds_.tolist() == TunedThresholdsClassifierCV(Sigmoid()).fit(X, Y).best_thresholds_.tolist()


@pytest.mark.parametrize(
    ("y", "found"),
    [(Y[:, 0], ""), (Y[:, :1], ""), (Y * 2, ", with 2 in it"), (np.where(Y, np.nan, 0), ", with nan in it")],
    ids=["1-D", "one column", "twos", "NaN"],
)
def test_other_targets_are_an_error(y, found):
    message = (
        f"TunedThresholdsClassifierCV expects a 2-D y of 0 and 1, a column per label, got shape {y.shape}{found}. For "
        "two classes use sklearn.model_selection.TunedThresholdClassifierCV."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        TunedThresholdsClassifierCV(Sigmoid()).fit(X, y)


def test_it_is_an_estimator_like_any():
    tuned = TunedThresholdsClassifierCV(Sigmoid(), cv=3)
    assert clone(tuned).cv == 3
    assert tuned.get_params()["estimator__verbose"] == 0
    with pytest.raises(NotFittedError):
        tuned.predict(X)


def test_it_tunes_texts_and_hands_its_thresholds_over(tiny_bert, reviews):
    texts = reviews[0]
    y = np.array([["movie" in text, "very very" in text] for text in texts], dtype=int)
    settings = {"max_epochs": 3, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}
    classifier = BertClassifier(tiny_bert, **settings)
    tuned = TunedThresholdsClassifierCV(classifier, cv=2).fit(texts, y)
    plain = classifier.set_params(threshold=tuned.best_thresholds_).fit(texts, y)
    assert np.array_equal(plain.predict(texts), tuned.predict(texts))
    assert tuned.decision_function(texts).shape == y.shape
