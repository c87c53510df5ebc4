import inspect
import re

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_bert._typing import available_if, fit_context


class Sized(BaseEstimator):
    """An estimator of one parameter, with a method for large sizes only."""

    _parameter_constraints = {"size": [int]}

    def __init__(self, size=1):
        self.size = size

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, sample_weight=None):
        """Fit nothing."""
        return self

    @available_if(lambda self: self.size > 1)
    def halve(self, by=2):
        """A part of the size."""
        return self.size // by


def test_fit_context_checks_the_parameters_before_the_method_runs():
    assert Sized(size=2).fit(["a"]).size == 2
    with pytest.raises(
        InvalidParameterError,
        match="^" + re.escape("The 'size' parameter of Sized must be an instance of 'int'. Got 'two' instead.") + "$",
    ):
        Sized(size="two").fit(["a"])


def test_a_method_is_available_if_the_check_is_true():
    assert Sized(size=4).halve() == 2
    assert not hasattr(Sized(size=1), "halve")


@pytest.mark.parametrize(
    ("name", "doc", "signature"),
    [("fit", "Fit nothing.", "(self, X, y=None, *, sample_weight=None)"), ("halve", "A part of the size.", "(by=2)")],
)
def test_a_decorated_method_keeps_name_docstring_and_signature(name, doc, signature):
    method = getattr(Sized if name == "fit" else Sized(size=2), name)
    assert method.__name__ == name
    assert inspect.getdoc(method) == doc
    assert str(inspect.signature(method)) == signature
