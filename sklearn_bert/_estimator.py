"""What all estimators here share: texts as X, fitted once there is a net, and failures that change nothing."""

from contextlib import contextmanager

import numpy as np
from sklearn.utils.validation import validate_data
from transformers import PreTrainedTokenizerBase

from ._data.text import check_texts
from ._inspection.html_view import HtmlViewMixin


class TextInputMixin(HtmlViewMixin):
    """Estimators that take texts, or pairs of texts, and are fitted once they have a ``net_``."""

    tokenizer_: PreTrainedTokenizerBase
    n_features_in_: int
    feature_names_in_: np.ndarray

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def _check_X(self, X, *, reset):
        """One or two lists of str; sets feature names and number of columns if `reset`, else compares them."""
        columns = check_texts(X)
        if reset:
            vars(self).pop("n_features_in_", None)  # a list has none, and validate_data leaves an earlier one
        # Names are compared where both have them: the same texts are welcome in any other container.
        if reset or (hasattr(X, "columns") and hasattr(self, "feature_names_in_")):
            validate_data(self, X=X, skip_check_array=True, reset=reset)
        self._check_n_columns(len(columns), reset=reset)
        return columns

    def _check_n_columns(self, n_columns, *, reset):
        if reset:
            self._n_columns = n_columns
        elif self._n_columns not in (None, n_columns):  # None: a model of transformers may take either
            raise ValueError(
                f"X has {n_columns} text column(s), but {type(self).__name__} was fitted with {self._n_columns}. "
                "Pass the same columns as in fit."
            )


@contextmanager
def unchanged_by_failure(estimator):
    """Give the estimator its attributes back if the context fails: half-trained, it must not look trained."""
    earlier = dict(vars(estimator))
    try:
        yield
    except BaseException:  # an interrupt too
        vars(estimator).clear()
        vars(estimator).update(earlier)
        raise
