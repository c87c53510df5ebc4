"""Types of what users pass, and scikit-learn's decorators with types.

scikit-learn has no annotations: for a type checker, a method with one of its decorators has no signature. The
functions here return scikit-learn's decorators with an annotation that the method keeps its signature.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import sklearn.base
import sklearn.utils.metaestimators
from numpy.typing import ArrayLike

Method = TypeVar("Method", bound=Callable[..., Any])


class Sparse(Protocol):
    """A sparse matrix or array of SciPy, which has no annotations."""

    def toarray(self) -> Any: ...


Targets = ArrayLike | Sparse


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Method], Method]:
    """scikit-learn's `_fit_context`: the method validates the constructor's parameters before it runs."""
    return sklearn.base._fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)


def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """scikit-learn's `available_if`: an estimator has the method only if `check(estimator)` is true."""
    return sklearn.utils.metaestimators.available_if(check)
