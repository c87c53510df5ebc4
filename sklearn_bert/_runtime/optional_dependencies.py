"""Packages that only some functions need: imported on use, with an error that names the extra.

A leaf: it knows names of packages only.
"""

from importlib import import_module


def import_extra(module, extra, caller):
    """The module, of a package that the extra installs.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{caller} needs {module.split('.')[0]}, which cannot be imported ({error}). "
            f"Install it with pip install 'sklearn-bert[{extra}]'."
        ) from error
