"""Thresholds are the best there are on rows that the fits have not seen, and nothing else changes."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import balanced_accuracy_score, f1_score

from sklearn_bert import BertClassifier, TunedThresholdsClassifierCV
from tests.cases import exactly

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


@pytest.fixture(scope="module")
def tuned():
    return TunedThresholdsClassifierCV(Sigmoid(), n_thresholds=len(X)).fit(X, Y)


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


def test_few_thresholds_are_spread_over_the_positive_rows():
    few = TunedThresholdsClassifierCV(Sigmoid(), n_thresholds=5).fit(X, Y)
    assert few.best_scores_[0] > 0.9 * TunedThresholdsClassifierCV(Sigmoid()).fit(X, Y).best_scores_[0]


def test_y_may_be_sparse():
    tuned = TunedThresholdsClassifierCV(Sigmoid()).fit(X, sparse.csr_array(Y))
    assert tuned.best_thresholds_.tolist() == TunedThresholdsClassifierCV(Sigmoid()).fit(X, Y).best_thresholds_.tolist()


@pytest.mark.parametrize("y", [Y[:, 0], Y[:, :1], Y * 2], ids=["1-D", "one column", "twos"])
def test_other_targets_are_an_error(y):
    message = (
        f"TunedThresholdsClassifierCV expects a 2-D y of 0 and 1, a column per label, got shape {y.shape}. For two "
        "classes use sklearn.model_selection.TunedThresholdClassifierCV."
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
