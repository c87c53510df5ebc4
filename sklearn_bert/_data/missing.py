"""What counts as a missing value in a container of any library.

The lowest room: it knows no library, so that pandas need not be installed.
"""

_MISSING_TYPES = ("NAType", "NaTType", "MaskedConstant")  # pandas.NA, pandas.NaT, numpy.ma.masked


def is_missing(value):
    """Whether a single value is None, masked, NA, or NaN or NaT of any type; containers and str are not."""
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return True
    if hasattr(value, "__len__"):
        return False
    try:
        return bool(value != value)  # of all values only NaN and NaT differ from themselves
    except (TypeError, ValueError, ArithmeticError):
        return False
