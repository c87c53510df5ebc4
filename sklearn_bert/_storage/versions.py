"""The format of stored estimators, and the versions that wrote them.

The format number grows when code for the old format cannot read the new one. The versions of libraries
are for people, and for error messages.
"""

import importlib.metadata
import platform

__version__ = "0.1.0"
FORMAT = 1
_LIBRARIES = ("scikit-learn", "numpy", "torch", "transformers", "tokenizers", "skorch")


def versions():
    """Versions of Python, of this package and of the libraries that it uses: a dict of str."""
    found = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"sklearn_bert": __version__, "python": platform.python_version(), **found}


def check_format(number, made_by, what):
    """Raise an error for a format that this version cannot read.

    Parameters
    ----------
    number : int or None
        The format number; None if there is none.
    made_by : dict
        What `versions` returned when the estimator was stored.
    what : str
        The subject of the message, such as "The pickle".

    Raises
    ------
    ValueError
    """
    if number == FORMAT:
        return
    maker = made_by.get("sklearn_bert", "unknown") if isinstance(made_by, dict) else "unknown"
    raise ValueError(
        f"{what} has format {number!r} (written by sklearn_bert {maker}), this is sklearn_bert "
        f"{__version__}, which reads format {FORMAT}. Load it with the version that wrote it, or fit again."
    )
