"""Values are decoded from JSON equal, with the same types and dtypes."""

import datetime
import enum
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from sklearn_bert._storage.json_values import NotPlainError, decode, encode
from tests.helpers import cases


@dataclass(frozen=True)
class Report:
    n_rows: int
    names: tuple


class Colour(str, enum.Enum):  # noqa: UP042 - a str by inheritance is what is tested
    RED = "red"


def round_trip(value, classes=()):
    return decode(json.loads(json.dumps(encode(value, classes), allow_nan=False)), classes)


PLAIN = {
    "none": None,
    "bool": True,
    "int": 2**80,
    "float": 0.1 + 0.2,
    "nan": math.nan,
    "-inf": -math.inf,
    "str": "naïve \ud800 \x00",
    "list": [1, [2.5, "three"], ()],
    "tuple": (1, (2, [3])),
    "dict": {1: "a", "b": {True: None}, (1, 2): 3.0},
    "tag-lookalike": {"tuple": [1, 2]},
    "path": Path("a/b"),
    "device": torch.device("cuda:1"),
}


@pytest.mark.parametrize("value", **cases(PLAIN))
def test_a_plain_value_is_decoded_to_the_same_value(value):
    assert repr(round_trip(value)) == repr(value)


ARRAYS = {
    "int8": np.array([-1, 2], dtype=np.int8),
    "uint64": np.array([2**64 - 1], dtype=np.uint64),
    "big-endian": np.array([1, 2], dtype=">i4"),
    "float16": np.array([0.1, np.inf], dtype=np.float16),
    "float32": np.array([0.1, -0.0, np.nan], dtype=np.float32),
    "float64": np.array([[0.1, 5e-324], [1e308, -np.inf]]),
    "bool": np.array([True, False]),
    "str": np.array(["a", "größer"]),
    "object": np.array(["a", 1, None, (1, 2)], dtype=object),
    "2-D object": np.array([["a", "b"], ["c", "d"]], dtype=object),
    "empty": np.empty((0, 3)),
    "0-D": np.array(3),
}


@pytest.mark.parametrize("array", **cases(ARRAYS))
def test_an_array_is_decoded_with_its_dtype_and_shape(array):
    back = round_trip(array)
    assert type(back) is np.ndarray
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)
    np.testing.assert_array_equal(np.signbit(back), np.signbit(array)) if array.dtype.kind == "f" else None


@pytest.mark.parametrize("scalar", [np.float32(0.1), np.int64(3), np.bool_(True), np.str_("a")], ids=repr)
def test_a_numpy_scalar_is_decoded_with_its_type(scalar):
    back = round_trip(scalar)
    assert (type(back), back) == (type(scalar), scalar)


def test_an_object_is_decoded_if_its_class_is_given():
    report = Report(3, ("a", "b"))
    assert round_trip(report, (Report,)) == report
    with pytest.raises(KeyError):
        decode(encode(report, (Report,)))


@pytest.mark.parametrize(
    "value",
    **cases(
        {
            "date": datetime.date(2020, 1, 1),
            "enum": Colour.RED,
            "set": {1},
            "complex": 1j,
            "datetime64": np.array(["2020"], dtype="datetime64[D]"),
            "long double": np.array([1], dtype=np.longdouble),
            "function": print,
            "random state": np.random.RandomState(0),
            "inside an array": np.array([datetime.date(2020, 1, 1)], dtype=object),
            "a report": Report(1, ()),
        }
    ),
)
def test_encoding_another_type_is_an_error_that_names_it(value):
    with pytest.raises(NotPlainError, match=r"^a value of type [\w.]+: ") as raised:
        encode([{"key": value}])
    inner = value.item() if isinstance(value, np.ndarray) and value.dtype == object else value
    assert type(inner).__name__ in str(raised.value)


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": 2},
        {"function": "os.system"},
        {"object": ["Popen", {}]},
        {"array": {"dtype": "V8", "shape": [1], "values": [0]}},
        {"array": {"dtype": "int64", "shape": [3], "values": [0]}},
    ],
    ids=str,
)
def test_decoding_what_encode_does_not_return_is_an_error(value):
    with pytest.raises((ValueError, KeyError, TypeError)):
        decode(value)
