"""Warnings that point at the user's line of code, and appear once in a search that fits a hundred times."""

import sys
import warnings

_BETWEEN = {
    "joblib",
    "sklearn",
    "sklearn_bert",
    "skorch",
    "torch",
}  # packages whose calls may lie between the user's line and this module
_REPEATS = ("joblib", "sklearn.model_selection")
_given = set()


def warn_user(message, *, about=None):
    """Warn, with the location of the first line outside this package and the packages that call it.

    A search, cross-validation and other fits that joblib repeats give each warning once per process.

    Parameters
    ----------
    message : str
    about : hashable, optional
        Identifies warnings that count as the same. Without it, repeated fits warn each time.
    """
    level, repeated = 2, False
    frame = sys._getframe(1)
    while frame.f_back is not None and _module(frame).partition(".")[0] in _BETWEEN:
        repeated = repeated or _module(frame).startswith(_REPEATS)
        frame, level = frame.f_back, level + 1
    if repeated and about is not None:
        if about in _given:
            return
        _given.add(about)
    warnings.warn(message, UserWarning, stacklevel=level)


def _module(frame):
    return frame.f_globals.get("__name__", "")
