"""What all estimators of the package share: texts as X, and a failed fit that changes nothing."""

from contextlib import contextmanager

import numpy as np
from sklearn.utils.validation import validate_data
from transformers import PreTrainedTokenizerBase

from ._data.text import check_texts
from ._inspection.html_view import HtmlViewMixin


class TextInputMixin(HtmlViewMixin):
    """For estimators that take texts or pairs of texts; they are fitted if they have a ``net_``."""

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
            vars(self).pop("n_features_in_", None)  # a list sets none, and validate_data would keep an earlier one
        # Names are compared only if both have them: the same texts may come in any other container.
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
    """Restore the estimator's attributes if the context fails: a half-trained estimator must not look fitted."""
    earlier = dict(vars(estimator))
    try:
        yield
    except BaseException:  # an interrupt too
        vars(estimator).clear()
        vars(estimator).update(earlier)
        raise
