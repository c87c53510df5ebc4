"""Cross-fitting: folds that test each row once, and predictions for the rows that a fit did not use."""

from numbers import Integral
from typing import NamedTuple

import numpy as np
from scipy.special import logit
from sklearn.model_selection import KFold, StratifiedKFold, check_cv
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params

from ._data.targets import MultiLabelTarget, RegressionTarget

_SMALLEST = np.finfo(np.float32).eps  # probabilities closer to 0 or 1 would have logits that are outliers


def check_partition(splits, n_rows, name):
    """Concatenate the test rows of all folds; raise a ValueError that names `name` unless each row is there once."""
    rows = np.concatenate([test for _, test in splits])
    if not np.array_equal(np.sort(rows), np.arange(n_rows)):
        raise ValueError(
            f"{name} expects cv to test each of the {n_rows} rows once, got {len(rows)} "
            f"test rows, {len(np.unique(rows))} of them different. Pass a cv such as sklearn.model_selection.KFold."
        )
    return rows


def check_probabilities(probabilities, shape, estimator, name):
    """Raise a ValueError with the name of the meta-estimator unless the probabilities are an array of this shape."""
    found = getattr(probabilities, "shape", None)
    if found != shape:
        got = f"a {type(probabilities).__name__}" if found is None else f"shape {found}"
        raise ValueError(
            f"{name} expects {type(estimator).__name__}.predict_proba to give an array of shape {shape}, got {got}. "
            "Wrap the estimator in sklearn.multiclass.OneVsRestClassifier."
        )


def make_folds(cv, values, outputs, split_params, seed):
    """The folds of a `TextTargetEncoder` for a checked y, as pairs of training and test rows."""
    single_label = outputs.target_type in ("binary", "multiclass")
    n_folds, folds = 5 if cv is None else cv, StratifiedKFold if single_label else KFold
    is_number = isinstance(n_folds, Integral)
    splitter = folds(n_folds, shuffle=True, random_state=seed) if is_number else check_cv(cv)
    splits = list(splitter.split(np.zeros(len(values)), values, **split_params))
    check_partition(splits, len(values), "TextTargetEncoder")
    for train, _ in splits:
        if single_label and len(np.unique(values[train])) < 2:
            raise ValueError(
                f"A fold of cv has 1 class in its training rows: {values[train].tolist()[0]!r}. TextTargetEncoder "
                "expects at least two. Pass more rows of the others, or another cv."
            )
    return splits


class Outputs(NamedTuple):
    """The type, the classes and the names of the features that a text is encoded to."""

    target_type: str
    classes: np.ndarray | None  # None for numbers
    endings: list[str]  # of the names of the features; the name of the column comes first
    as_logit: bool

    @classmethod
    def of(cls, values, target_class, labels, response):
        """The outputs of a checked y; `labels` are the names of its columns, or None."""
        if target_class is RegressionTarget:
            kind, classes = "continuous" if values.ndim == 1 else "continuous-multioutput", None
        elif target_class is MultiLabelTarget:
            kind, classes = "multilabel-indicator", np.arange(values.shape[1])
        else:
            classes = np.unique(values)
            if len(classes) < 2:
                raise ValueError(
                    f"y holds 1 class: {classes.tolist()[0]!r}. TextTargetEncoder expects at least two. "
                    "Check how y was selected."
                )
            kind = "binary" if len(classes) == 2 else "multiclass"
        if values.ndim == 2:
            named = range(values.shape[1]) if labels is None else labels
        else:
            named = () if classes is None else classes[1:] if kind == "binary" else classes
        return cls(kind, classes, [f"_{name}" for name in named] or [""], response == "logit")

    def features(self, estimator, texts):
        """Compute the features of texts, (n, n_outputs) float64, with a fitted estimator."""
        if self.classes is None:
            return np.asarray(estimator.predict(texts), dtype=np.float64).reshape(len(texts), len(self.endings))
        found = estimator.predict_proba(texts)
        known = self.classes if self.target_type == "multilabel-indicator" else estimator.classes_
        check_probabilities(found, (len(texts), len(known)), estimator, "TextTargetEncoder")
        probabilities = np.zeros((len(texts), len(self.classes)))
        probabilities[:, np.searchsorted(self.classes, known)] = found
        probabilities = probabilities[:, -len(self.endings) :]
        if not self.as_logit:
            return probabilities
        clipped = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
        return np.log(clipped) if self.target_type == "multiclass" else logit(clipped)


def fit_and_predict(estimator, outputs, texts, y, params, train, test, owner, context):
    """Fit on all rows and return the estimator; or fit on the rows `train` and return features of the rows `test`."""
    X_train, y_train = texts, y
    if test is not None:
        X_train, y_train = [texts[i] for i in train], _safe_indexing(y, train)
        params = _check_method_params(texts, params, train)
    data = {"X": X_train, "y": y_train}
    with context.propagate_callback_context(estimator):
        context.call_on_fit_task_begin(estimator=owner, **data)
        estimator.fit(X_train, y_train, **params)
    context.call_on_fit_task_end(estimator=owner, **data)
    return estimator if test is None else outputs.features(estimator, [texts[i] for i in test])
