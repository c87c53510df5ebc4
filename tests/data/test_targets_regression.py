"""Targets of the regressor: one output and several, scaled and unscaled, up to the limits of float64."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from sklearn_bert._data.target_validation import check_regression_y
from sklearn_bert._data.targets import RegressionTarget
from tests.data.example_targets import INTS, PRICES, TABLE, WEIGHTS, fit_target
from tests.helpers import cases, exactly

NUMBERS = {
    "list of int": INTS,
    "list of whole floats": [3.0, 1.0, 3.0, 2.0],
    "float32 array": np.array(INTS, dtype=np.float32),
    "uint8 array": np.array(INTS, dtype=np.uint8),
    "object array of numbers": np.array([3, 1.0, np.float32(3), np.int8(2)], dtype=object),
    "pandas": pd.Series(INTS, index=[1, 1, 0, 5]),
    "pandas Int64": pd.Series(INTS, dtype="Int64"),
    "pandas Float64": pd.Series(INTS, dtype="Float64"),
    "pandas arrow": pd.Series(INTS, dtype="double[pyarrow]"),
    "polars": pl.Series(INTS),
}


TABLES = {
    "array": TABLE,
    "list of lists": TABLE.tolist(),
    "pandas of float and int": pd.DataFrame({"price": PRICES, "stars": INTS}),
    "pandas of nullable numbers": pd.DataFrame({"price": PRICES, "stars": INTS}).convert_dtypes(),
    "polars of float and int": pl.DataFrame({"price": PRICES, "stars": INTS}),
    "sparse": sparse.coo_array(TABLE),
}


@pytest.mark.parametrize("y", **cases(NUMBERS))
def test_check_regression_y_returns_a_1d_y_in_float64(y):
    values, target_class = check_regression_y(y)
    assert target_class is RegressionTarget
    np.testing.assert_array_equal(values, np.array(INTS, dtype=np.float64), strict=True)


@pytest.mark.parametrize("y", **cases(TABLES))
def test_check_regression_y_returns_a_2d_y_for_several_outputs(y):
    values, target_class = check_regression_y(y)
    assert target_class is RegressionTarget
    np.testing.assert_array_equal(values, TABLE, strict=True)


@pytest.mark.parametrize("y", [PRICES, TABLE], ids=["one output", "two outputs"])
def test_predict_inverts_encode_in_shape_and_value(y):
    values, target = fit_target(check_regression_y, y)
    encoded = target.encode(values)
    assert (encoded.shape, encoded.dtype) == ((4, target.num_labels), np.float64)
    np.testing.assert_allclose(target.predict(encoded), y, rtol=1e-13, strict=True)


@pytest.mark.parametrize("y", [PRICES, TABLE], ids=["one output", "two outputs"])
def test_encode_gives_each_output_weighted_mean_zero_and_variance_one(y):
    values, target = fit_target(check_regression_y, y, WEIGHTS[:4])
    encoded = target.encode(values)
    np.testing.assert_allclose(np.average(encoded, axis=0, weights=WEIGHTS[:4]), 0, atol=1e-14)
    np.testing.assert_allclose(np.average(encoded**2, axis=0, weights=WEIGHTS[:4]), 1)


@pytest.mark.parametrize("y", [PRICES, TABLE], ids=["one output", "two outputs"])
def test_encode_counts_weight_k_as_k_copies(y):
    values, weighted = fit_target(check_regression_y, y, WEIGHTS[:4])
    _, copied = fit_target(check_regression_y, y.repeat(WEIGHTS[:4].astype(int), axis=0))
    np.testing.assert_allclose(weighted.encode(values), copied.encode(values))


def test_encode_and_predict_without_scaling_are_the_identity():
    values, target = fit_target(check_regression_y, TABLE, WEIGHTS[:4], scale=False)
    np.testing.assert_array_equal(target.encode(values), TABLE)
    np.testing.assert_array_equal(target.predict(TABLE), TABLE)


# --- the limits of float64 ---------------------------------------------------------------------


@pytest.mark.parametrize("constant", [0.0, 0.1, -1 / 3, 1e8 / 7, 1e-12])
def test_encode_of_a_constant_output_is_zero_despite_rounding_errors(constant):
    """The standard deviation consists of rounding errors only, and must not be a divisor."""
    weights = np.random.default_rng(0).random(30)
    values, target = fit_target(check_regression_y, np.full(30, constant), weights)
    np.testing.assert_allclose(target.encode(values), 0, atol=1e-7)
    np.testing.assert_allclose(target.predict(np.array([[0.0], [1.0]])), [constant, constant + 1], rtol=1e-14)


@pytest.mark.parametrize("size", [1e-200, 1e200, 1e299])
def test_encode_standardises_numbers_near_the_limits_of_float64(size):
    y, target = fit_target(check_regression_y, [size, 3 * size])
    encoded = target.encode(y)
    np.testing.assert_allclose(encoded.ravel(), [-1, 1])
    np.testing.assert_allclose(target.predict(encoded), [size, 3 * size])


@pytest.mark.parametrize("n", [3, 10, 1000])
@pytest.mark.parametrize("constant", [6.441148769597133e68, -1e300, 5e-324])
def test_encode_of_a_constant_of_any_size_is_exactly_zero(constant, n):
    y, target = fit_target(check_regression_y, np.full(n, constant))
    np.testing.assert_array_equal(target.encode(y), 0)
    np.testing.assert_array_equal(target.predict(np.zeros((1, 1))), constant)


def test_encode_stays_finite_for_the_smallest_differences():
    for y in ([5e-324] * 7 + [0.0], [1.0, np.nextafter(1.0, 2.0)] * 4):
        y, target = fit_target(check_regression_y, y)
        assert np.isfinite(target.encode(y)).all()
        np.testing.assert_allclose(target.predict(target.encode(y)), y, rtol=1e-15, atol=1e-323)


@pytest.mark.parametrize("y", [[1.1e300, 0.0], [[0.0, 1.0], [2.0, -1.7e308]]])
def test_regression_target_raises_for_numbers_beyond_1e300(y):
    largest = "1.1e+300" if np.ndim(y) == 1 else "-1.7e+308"
    message = (
        f"y holds {largest}, expected numbers between -1e+300 and 1e+300, so that predictions stay finite. "
        "Divide y by a constant."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        fit_target(check_regression_y, y)
