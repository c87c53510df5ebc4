"""Import optional dependencies where they are used; the error says how to install them."""

from importlib import import_module


def import_extra(module, extra, caller):
    """Import a module of an optional dependency.

    Parameters
    ----------
    module : str
        Dotted name, such as "matplotlib.pyplot".
    extra : str
        The extra of this package that installs it, such as "plot".
    caller : str
        The function that needs it, for the error message.

    Returns
    -------
    module : module

    Raises
    ------
    ImportError
        If the module cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{caller} needs {module.split('.')[0]}, which cannot be imported ({error}). "
            f"Install it with pip install 'sklearn-bert[{extra}]'."
        ) from error
