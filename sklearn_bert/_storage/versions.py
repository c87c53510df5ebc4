"""The format of stored estimators, and the versions that wrote them.

The format number increases if code for the old format cannot read the new one. The versions of the libraries
appear in warnings, error messages and the model card.
"""

import importlib.metadata
import platform
import warnings

from sklearn.exceptions import InconsistentVersionWarning

__version__ = "0.1.0"
FORMAT = 1
PICKLE_FORMAT = 2
_LIBRARIES = ("scikit-learn", "numpy", "torch", "transformers", "tokenizers", "skorch")


def versions():
    """Versions of Python, this package and the libraries that it uses, as a dict of str."""
    found = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"sklearn_bert": __version__, "python": platform.python_version(), **found}


class StoredVersionWarning(InconsistentVersionWarning):
    """scikit-learn's warning about a pickle of another version, extended to the libraries that matter here."""

    def __init__(self, name, stored):
        scikit_learn = "scikit-learn"
        self.stored = stored
        super().__init__(
            estimator_name=name,
            current_sklearn_version=importlib.metadata.version(scikit_learn),
            original_sklearn_version=stored[scikit_learn],
        )

    def __str__(self):
        differences = ", ".join(f"{name} {old} (here {versions()[name]})" for name, old in _differences(self.stored))
        return (
            f"This {self.estimator_name} was pickled with {differences}. Its predictions may differ, or it may break. "
            "Fit it again here, or store estimators with save_pretrained, which is safe between versions."
        )


def warn_if_versions_differ(name, stored):
    """Warn if an estimator of this class was pickled with other versions than the installed ones."""
    if _differences(stored):
        warnings.warn(StoredVersionWarning(name, stored), stacklevel=3)


def _differences(stored):
    """Names and stored versions of the libraries of which another feature release (such as 5.17) is installed."""
    here = versions()
    pairs = [(name, version, here[name]) for name, version in stored.items() if name in _LIBRARIES]
    return [(name, old) for name, old, new in pairs if old.split(".")[:2] != new.split(".")[:2]]


def check_format(number, made_by, what, expected=FORMAT):
    """Raise an error for a format that this version cannot read.

    Parameters
    ----------
    number : int or None
        The format number; None if there is none.
    made_by : dict
        What `versions` returned when the estimator was stored.
    what : str
        The subject of the message, such as "The pickle".
    expected : int
        The number that this version reads.

    Raises
    ------
    ValueError
        If the number is another one.
    """
    if number == expected:
        return
    maker = made_by.get("sklearn_bert", "unknown") if isinstance(made_by, dict) else "unknown"
    raise ValueError(
        f"{what} has format {number!r} (written by sklearn_bert {maker}), this is sklearn_bert "
        f"{__version__}, which reads format {expected}. Load it with the version that wrote it, or fit again."
    )
