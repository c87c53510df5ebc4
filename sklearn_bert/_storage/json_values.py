"""Convert plain values of Python and NumPy to JSON and back, with their types and dtypes.

JSON has no tuples, arrays, NaN, or keys other than str. Such a value is written as an object with one
key, which names its kind. Decoding only creates values of the kinds listed here, so a file cannot run
code.
"""

import math
import os
from pathlib import Path

import numpy as np
import torch

_KINDS = "biufU"  # of arrays; object arrays are written value by value


class NotPlainError(TypeError):
    """A value has a type that this module cannot encode."""

    def __init__(self, value):
        super().__init__(f"a value of type {type(value).__module__}.{type(value).__qualname__}: {value!r:.80}")


def encode(value, classes=()):
    """Encode a plain value as one that `json.dumps` accepts.

    Parameters
    ----------
    value : object
        None, bool, int, float, str; lists, tuples, dicts and NumPy arrays of such values; NumPy scalars,
        paths, torch devices; and objects of `classes` whose attributes are such values.
    classes : sequence of type
        Classes whose objects are encoded by class name and attributes.

    Returns
    -------
    encoded : None, bool, int, float, str, list or dict

    Raises
    ------
    NotPlainError
        If the value, or a value inside it, has another type.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return value
    if kind is float:
        return {"float": str(value)}
    if kind is list:
        return [encode(item, classes) for item in value]
    if kind is tuple:
        return {"tuple": [encode(item, classes) for item in value]}
    if kind is dict:
        return {"dict": [[encode(key, classes), encode(item, classes)] for key, item in value.items()]}
    if isinstance(value, (np.ndarray, np.generic)):
        return {"array" if kind is np.ndarray else "scalar": _encode_array(np.asarray(value), value, classes)}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if isinstance(value, os.PathLike) and isinstance(os.fspath(value), str):
        return {"path": os.fspath(value)}
    if kind in classes:
        return {"object": [kind.__name__, {name: encode(item, classes) for name, item in vars(value).items()}]}
    raise NotPlainError(value)


def decode(value, classes=()):
    """Decode what `encode` returned, to an equal value of the same type.

    Parameters
    ----------
    value : object
        A value that `json.loads` returned.
    classes : sequence of type
        Classes whose objects may be created.

    Returns
    -------
    decoded : object

    Raises
    ------
    ValueError, TypeError, KeyError, ...
        If `value` is not an output of `encode`.
    """
    if isinstance(value, list):
        return [decode(item, classes) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    return _DECODERS[kind](content, classes)


def _encode_array(array, value, classes):
    is_object = array.dtype.kind == "O"
    if not is_object and (array.dtype.kind not in _KINDS or array.dtype.itemsize > 8 * array.dtype.kind.count("f") > 0):
        raise NotPlainError(value)  # a long double, for example, has more digits than a float
    values = [encode(item, classes) for item in array.ravel().tolist()]
    return {"dtype": "object" if is_object else array.dtype.str, "shape": list(array.shape), "values": values}


def _decode_array(content, classes):
    dtype = np.dtype(content["dtype"])
    if dtype.kind not in _KINDS + "O":
        raise ValueError(f"no dtype of a plain array: {dtype}")
    array = np.empty(len(content["values"]), dtype=dtype)
    for i, item in enumerate(content["values"]):
        array[i] = decode(item, classes)
    return array.reshape(content["shape"])


def _decode_object(content, classes):
    name, attributes = content
    kind = {known.__name__: known for known in classes}[name]
    made = object.__new__(kind)
    vars(made).update({key: decode(item, classes) for key, item in attributes.items()})
    return made


_DECODERS = {
    "float": lambda content, _: float(content),
    "tuple": lambda content, classes: tuple(decode(item, classes) for item in content),
    "dict": lambda content, classes: {decode(key, classes): decode(item, classes) for key, item in content},
    "array": _decode_array,
    "scalar": lambda content, classes: _decode_array(content, classes)[()],
    "device": lambda content, _: torch.device(content),
    "path": lambda content, _: Path(content),
    "object": _decode_object,
}
