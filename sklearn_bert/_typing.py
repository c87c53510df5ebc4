"""Types of what users pass, and scikit-learn's decorators with the types that they lack.

scikit-learn has no annotations: to a type checker, a method behind one of its decorators has no signature. The
functions here return scikit-learn's own decorators and say that the method stays what it is.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import sklearn.base
import sklearn.utils.metaestimators
from numpy.typing import ArrayLike

Method = TypeVar("Method", bound=Callable[..., Any])


class Sparse(Protocol):
    """A sparse matrix or array of SciPy, which has no annotations either."""

    def toarray(self) -> Any: ...


Targets = ArrayLike | Sparse


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Method], Method]:
    """scikit-learn's `_fit_context`: a method that checks the constructor's parameters before it runs."""
    return sklearn.base._fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)


def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """scikit-learn's `available_if`: a method that an estimator has only if `check(estimator)` is true."""
    return sklearn.utils.metaestimators.available_if(check)
