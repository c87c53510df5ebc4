"""Warnings that point at the line of the user, and come once where a search fits a hundred times."""

import sys
import warnings

_BETWEEN = {
    "joblib",
    "sklearn",
    "sklearn_bert",
    "skorch",
    "torch",
}  # packages that may call from the user's line to here
_REPEATS = ("joblib", "sklearn.model_selection")
_given = set()


def warn_user(message, *, about=None):
    """Warn, with the location of the first line outside this package and the packages that call it.

    Parameters
    ----------
    message : str
    about : hashable, optional
        Searches, cross-validation and other fits that joblib repeats warn only once in a process about it.
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
