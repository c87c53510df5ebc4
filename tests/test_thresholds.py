"""`TunedThresholdsClassifierCV`: each threshold maximises the metric on rows that its fit did not see."""

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
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score, cross_validate
from sklearn.multiclass import OneVsRestClassifier

from sklearn_bert import BertClassifier, TunedThresholdsClassifierCV
from tests.helpers import FAST, exactly

RNG = np.random.default_rng(0)
Y = (RNG.random((400, 4)) < [0.5, 0.1, 0.02, 0.0]).astype(int)
X = RNG.normal(size=Y.shape) + 2 * Y - [1, 2, 3, 3]  # weak logits of Y; the best thresholds of the labels differ


class Sigmoid(ClassifierMixin, BaseEstimator):
    """Probabilities are a function of X alone, so that they do not depend on the fit or the fold."""

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


class FailsOnAllRows(Sigmoid):
    """The fits of the folds succeed, the fit on all rows fails."""

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
    """The precision, NaN if no row is predicted."""
    return precision_score(y_true, y_pred, zero_division=np.nan)


@pytest.fixture(scope="module")
def tuned():
    return TunedThresholdsClassifierCV(Sigmoid(), n_thresholds=len(X)).fit(X, Y)


@pytest.fixture
def fits(monkeypatch):
    """The arguments X, y and sample_weight of each fit of a Sigmoid."""
    calls, fit = [], Sigmoid.fit

    def record(self, X, y, sample_weight=None):
        calls.append((X, y, sample_weight))
        return fit(self, X, y, sample_weight)

    monkeypatch.setattr(Sigmoid, "fit", record)
    return calls


def test_best_thresholds_maximise_the_metric_of_each_label(tuned):
    probabilities = Sigmoid().predict_proba(X)
    for j in range(3):
        above = probabilities[:, j, None] > np.linspace(0, 1, 2001)
        scores = [f1_score(Y[:, j], predicted, zero_division=0) for predicted in np.unique(above, axis=1).T]
        assert tuned.best_scores_[j] >= max(scores) - 1e-12
        found = f1_score(Y[:, j], probabilities[:, j] > tuned.best_thresholds_[j])
        assert tuned.best_scores_[j] == pytest.approx(found)


def test_tuned_thresholds_raise_macro_f1(tuned):
    plain = f1_score(Y, Sigmoid().predict_proba(X) > 0.5, average="macro", zero_division=0)
    assert f1_score(Y, tuned.predict(X), average="macro", zero_division=0) > plain + 0.03


def test_label_without_positive_rows_keeps_threshold_one_half(tuned):
    assert tuned.best_thresholds_[3] == 0.5
    assert np.isnan(tuned.best_scores_[3])


def test_predict_uses_the_estimator_fitted_on_all_rows(tuned):
    assert tuned.estimator_.n_rows_ == len(X)
    assert np.array_equal(tuned.predict_proba(X), Sigmoid().predict_proba(X))
    assert tuned.predict(X).dtype == np.int64
    assert np.array_equal(tuned.predict(X), tuned.predict_proba(X) > tuned.best_thresholds_)
    assert tuned.classes_.tolist() == [0, 1, 2, 3]
    assert not hasattr(tuned, "decision_function")
    assert not hasattr(tuned, "predict_log_proba")


def test_another_metric_gives_other_thresholds(tuned):
    other = TunedThresholdsClassifierCV(Sigmoid(), metric=balanced_accuracy_score).fit(X, Y)
    assert other.best_thresholds_[1] < tuned.best_thresholds_[1]


def test_fit_ignores_rows_of_zero_weight():
    weights = np.r_[np.ones(300), np.zeros(100)]
    weighted = TunedThresholdsClassifierCV(Sigmoid()).fit(X, Y, sample_weight=weights)
    few = TunedThresholdsClassifierCV(Sigmoid()).fit(X[:300], Y[:300])
    assert weighted.best_scores_.tolist() == pytest.approx(few.best_scores_.tolist(), nan_ok=True)


def test_each_fold_is_fitted_on_its_rows_of_x_y_and_sample_weight(fits):
    columns = np.c_[X, np.arange(len(X))]  # the last column is the number of the row
    y = pd.DataFrame(np.c_[Y, np.ones(len(Y), dtype=int)], columns=[*"abcde"]).sample(frac=1, random_state=0)
    weights = np.random.default_rng(1).random(len(X))
    TunedThresholdsClassifierCV(Sigmoid(), cv=4).fit(columns, y, sample_weight=weights)
    assert [len(X) for X, _, _ in fits] == [300] * 4 + [400]
    for fold_X, fold_y, fold_weights in fits:
        rows = fold_X[:, -1].astype(int)
        pd.testing.assert_frame_equal(fold_y, y.iloc[rows])
        assert np.array_equal(fold_weights, weights[rows])


def test_label_that_all_rows_have_is_one_in_every_fold(fits):
    y = Y.copy()
    y[:, 3] = 1
    tuned = TunedThresholdsClassifierCV(Sigmoid()).fit(X, y)
    assert all((fold_y[:, 3] == 1).all() for _, fold_y, _ in fits)
    assert tuned.best_thresholds_[3] == 0.5


def test_class_weight_by_label_name_applies_in_every_fold(tiny_bert, reviews):
    texts = reviews[0]
    y = pd.DataFrame({"movie": ["movie" in text for text in texts], "very": ["very" in text for text in texts]}) * 1
    settings = {"max_epochs": 1, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}
    by_name = BertClassifier(tiny_bert, class_weight={"movie": 3}, **settings)
    by_position = BertClassifier(tiny_bert, class_weight={0: 3}, **settings)
    named = TunedThresholdsClassifierCV(by_name, cv=2).fit(texts, y)
    numbered = TunedThresholdsClassifierCV(by_position, cv=2).fit(texts, y.to_numpy())
    assert named.estimator_.label_names_.tolist() == ["movie", "very"]
    assert np.array_equal(named.best_thresholds_, numbered.best_thresholds_)


def test_shuffled_folds_and_threads_keep_probabilities_with_their_rows(tuned):
    cv = KFold(5, shuffle=True, random_state=0)
    with joblib.parallel_config(backend="threading"):
        other = TunedThresholdsClassifierCV(Sigmoid(), n_thresholds=len(X), cv=cv, n_jobs=2).fit(X, Y)
    assert np.array_equal(other.best_thresholds_, tuned.best_thresholds_)
    assert np.array_equal(other.best_scores_, tuned.best_scores_, equal_nan=True)


def test_fit_raises_if_the_folds_are_not_a_partition():
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
def test_fit_raises_for_probabilities_of_another_shape(estimator, got):
    message = (
        f"TunedThresholdsClassifierCV expects {type(estimator).__name__}.predict_proba to give an array of shape "
        f"(80, 4), got {got}. Wrap the estimator in sklearn.multiclass.OneVsRestClassifier."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        TunedThresholdsClassifierCV(estimator).fit(X, Y)


def test_metadata_routing_passes_sample_weight_only_if_requested(fits):
    weights = np.ones(len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError):
            TunedThresholdsClassifierCV(Sigmoid()).fit(X, Y, sample_weight=weights)
        requesting = Sigmoid().set_fit_request(sample_weight=True)
        TunedThresholdsClassifierCV(requesting).fit(X, Y, sample_weight=weights)
    assert all(fold_weights is not None for _, _, fold_weights in fits)


class WithValidation(Sigmoid):
    """Records what `fit` gets besides X and y."""

    def fit(self, X, y, sample_weight=None, *, X_val=None, groups=None):
        self.got_ = (sample_weight, X_val, groups)
        return super().fit(X, y)


def test_metadata_routing_inside_a_search_and_a_cross_validation_reaches_estimator_and_cv():
    """X_val as it is, and of weights and groups the values of the rows."""
    weights, groups, X_val = np.arange(400.0), np.arange(400) // 4, X[:10]
    params = {"sample_weight": weights, "X_val": X_val, "groups": groups}
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = WithValidation().set_fit_request(**dict.fromkeys(params, True))
        tuned = TunedThresholdsClassifierCV(estimator, cv=GroupKFold(3)).set_score_request(sample_weight=True)
        search = GridSearchCV(tuned, {"n_thresholds": [5, 50]}, cv=GroupKFold(2)).fit(X, Y, **params)
        results = cross_validate(tuned, X, Y, cv=GroupKFold(2), params=params, return_estimator=True)
        assert len(cross_val_score(search, X, Y, params=params, cv=GroupKFold(2))) == 2
    for fitted, n_rows in [(search.best_estimator_, 400), *((tuned, 200) for tuned in results["estimator"])]:
        got_weights, got_X_val, got_groups = fitted.estimator_.got_
        assert got_X_val is X_val
        assert got_weights.shape == got_groups.shape == (n_rows,)
        np.testing.assert_array_equal(got_weights // 4, got_groups)


def test_parameters_of_fit_reach_the_estimator_without_metadata_routing():
    groups = np.arange(400)
    tuned = TunedThresholdsClassifierCV(WithValidation()).fit(X, Y, X_val=X[:10], groups=groups)
    assert tuned.estimator_.got_[0] is None
    assert tuned.estimator_.got_[2] is groups
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        TunedThresholdsClassifierCV(WithValidation()).fit(X, Y, colour=1)


def test_metadata_routing_passes_x_val_to_a_bert_classifier(tiny_bert, reviews):
    texts = reviews[0]
    y = np.array([["movie" in text, "very" in text] for text in texts], dtype=int)
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = BertClassifier(tiny_bert, **FAST | {"max_epochs": 1}).set_fit_request(X_val=True, y_val=True)
        tuned = TunedThresholdsClassifierCV(classifier, cv=2)
        search = GridSearchCV(tuned, {"n_thresholds": [5]}, cv=2).fit(texts, y, X_val=texts[:9], y_val=y[:9])
    assert len(search.best_estimator_.estimator_.validation_scores_) == 1


def test_failed_fit_leaves_the_estimator_unchanged():
    tuned = TunedThresholdsClassifierCV(FailsOnAllRows())
    with pytest.raises(RuntimeError, match="refused"):
        tuned.fit(X, Y)
    with pytest.raises(NotFittedError):
        tuned.predict(X)
    before = dict(vars(tuned.fit(X[:300], Y[:300])))
    with pytest.raises(RuntimeError, match="refused"):
        tuned.fit(X, 1 - Y)
    assert all(vars(tuned)[name] is value for name, value in before.items())


def test_thresholds_where_the_metric_is_nan_are_skipped():
    low = X - 8  # nothing exceeds one half
    tuned = TunedThresholdsClassifierCV(Sigmoid(), metric=precision).fit(low, Y)
    assert not np.isnan(tuned.best_scores_[:3]).any()
    assert tuned.predict(low)[:, :3].any(axis=0).all()


@pytest.mark.parametrize(
    ("y", "label"), [(Y, "0"), (pd.DataFrame(Y, columns=[*"abcd"]), "'a'")], ids=["array", "frame"]
)
def test_fit_raises_if_the_metric_is_nan_at_every_threshold(y, label):
    message = (
        f"The metric undefined gave NaN at every threshold of label {label}, expected "
        "a number for at least one. Pass a metric that is defined if a label is in some rows only."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        TunedThresholdsClassifierCV(Sigmoid(), metric=undefined).fit(X, y)


def test_n_features_in_and_feature_names_in_are_those_of_the_estimator(tuned):
    frame = pd.DataFrame(X[:, :2], columns=["first", "second"])
    linear = TunedThresholdsClassifierCV(OneVsRestClassifier(LogisticRegression()), cv=2)
    assert not hasattr(linear, "n_features_in_")
    linear.fit(frame, Y[:, :2])
    assert (linear.n_features_in_, linear.feature_names_in_.tolist()) == (2, ["first", "second"])
    linear.fit(X[:, :3], Y[:, :2])
    assert linear.n_features_in_ == 3
    assert not hasattr(linear, "feature_names_in_")
    assert not hasattr(tuned, "n_features_in_")  # a Sigmoid does not set it


def test_small_n_thresholds_spreads_the_thresholds_over_the_positive_rows():
    few = TunedThresholdsClassifierCV(Sigmoid(), n_thresholds=5).fit(X, Y)
    assert few.best_scores_[0] > 0.9 * TunedThresholdsClassifierCV(Sigmoid()).fit(X, Y).best_scores_[0]


def test_fit_accepts_a_sparse_y():
    tuned = TunedThresholdsClassifierCV(Sigmoid()).fit(X, sparse.csr_array(Y))
    assert tuned.best_thresholds_.tolist() == TunedThresholdsClassifierCV(Sigmoid()).fit(X, Y).best_thresholds_.tolist()


@pytest.mark.parametrize(
    ("y", "found"),
    [(Y[:, 0], ""), (Y[:, :1], ""), (Y * 2, ", with 2 in it"), (np.where(Y, np.nan, 0), ", with nan in it")],
    ids=["1-D", "one column", "twos", "NaN"],
)
def test_fit_raises_for_a_y_that_is_not_multi_label(y, found):
    message = (
        f"TunedThresholdsClassifierCV expects a 2-D y of 0 and 1, a column per label, got shape {y.shape}{found}. For "
        "two classes use sklearn.model_selection.TunedThresholdClassifierCV."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        TunedThresholdsClassifierCV(Sigmoid()).fit(X, y)


def test_clone_get_params_and_not_fitted_error_work_as_for_other_estimators():
    tuned = TunedThresholdsClassifierCV(Sigmoid(), cv=3)
    assert clone(tuned).cv == 3
    assert tuned.get_params()["estimator__verbose"] == 0
    with pytest.raises(NotFittedError):
        tuned.predict(X)


def test_best_thresholds_given_to_a_bert_classifier_give_the_same_predictions(tiny_bert, reviews):
    texts = reviews[0]
    y = np.array([["movie" in text, "very very" in text] for text in texts], dtype=int)
    settings = {"max_epochs": 3, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}
    classifier = BertClassifier(tiny_bert, **settings)
    tuned = TunedThresholdsClassifierCV(classifier, cv=2).fit(texts, y)
    plain = classifier.set_params(threshold=tuned.best_thresholds_).fit(texts, y)
    assert np.array_equal(plain.predict(texts), tuned.predict(texts))
    assert tuned.decision_function(texts).shape == y.shape
    np.testing.assert_allclose(np.exp(tuned.predict_log_proba(texts)), tuned.predict_proba(texts))
