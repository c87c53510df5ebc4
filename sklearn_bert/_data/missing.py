"""Recognise missing values of any library.

Types are compared by name, so pandas need not be installed.
"""

_MISSING_TYPES = ("NAType", "NaTType", "MaskedConstant")  # pandas.NA, pandas.NaT, numpy.ma.masked


def is_missing(value):
    """Whether a single value is missing: None, masked, NA, NaT, or NaN of any type. Containers and str never are."""
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return True
    if hasattr(value, "__len__"):
        return False
    try:
        return bool(value != value)  # only NaN and NaT differ from themselves
    except (TypeError, ValueError, ArithmeticError):
        return False
