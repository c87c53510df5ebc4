import numpy as np
import pandas as pd
import pytest

from sklearn_bert._data.missing import is_missing


@pytest.mark.parametrize("value", [None, float("nan"), np.float32("nan").item(), np.float64("nan"), pd.NA, pd.NaT])
def test_missing_values_of_every_library_are_recognised(value):
    assert is_missing(value) is True


@pytest.mark.parametrize("value", ["", "nan", "NA", 0, 0.0, float("inf"), False, [], np.array([np.nan])], ids=repr)
def test_what_only_looks_missing_is_a_value(value):
    assert is_missing(value) is False
