"""`is_missing` knows the missing values of every library."""

import numpy as np
import pandas as pd
import pytest

from sklearn_bert._data.missing import is_missing


@pytest.mark.parametrize("value", [None, float("nan"), np.float32("nan").item(), np.float64("nan"), pd.NA, pd.NaT])
def test_is_missing_is_true_for_the_missing_values_of_every_library(value):
    assert is_missing(value) is True


@pytest.mark.parametrize("value", ["", "nan", "NA", 0, 0.0, float("inf"), False, [], np.array([np.nan])], ids=repr)
def test_is_missing_is_false_for_values_that_only_look_missing(value):
    assert is_missing(value) is False
