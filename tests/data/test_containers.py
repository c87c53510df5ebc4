"""Columns and their names, data that are not in memory, and what an error message says of rows and keys."""

import dask.array
import dask.bag
import dask.dataframe
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sklearn_bert._data.containers import column_names, has_method, name_rows, refuse_lazy, split_table, text_key
from sklearn_bert._data.text import check_texts
from tests.helpers import cases, exactly

COLUMNS = {"first": [1, 2], "second": [3, 4]}
TABLES = {"pandas": pd.DataFrame(COLUMNS), "polars": pl.DataFrame(COLUMNS), "arrow": pa.table(COLUMNS)}


@pytest.mark.parametrize("table", **cases(TABLES))
def test_a_table_of_any_library_has_names_and_columns(table):
    names, columns = split_table(table)
    assert names == column_names(table) == ["first", "second"]
    assert [np.asarray(column).tolist() for column in columns] == [[1, 2], [3, 4]]


@pytest.mark.parametrize("data", [[1], np.ones((2, 2)), pd.Series([1]), pa.array([1])], ids=lambda x: type(x).__name__)
def test_anything_else_has_no_columns(data):
    assert split_table(data) is column_names(data) is None


def test_a_column_named_like_a_method_is_no_method():
    table = pd.DataFrame({"collect": [1], "toarray": [2], "column_names": [3]})
    assert not has_method(table, "toarray")
    assert has_method(table, "to_numpy")
    refuse_lazy(table, "X")
    assert column_names(table) == ["collect", "toarray", "column_names"]


FRAME = dask.dataframe.from_pandas(pd.DataFrame({"text": ["a", "b"]}), npartitions=2)
IN_PARTS = ", or predict in parts: [estimator.predict(part.compute()) for part in X.partitions]"
LAZY = {
    "dask DataFrame": (FRAME, "DataFrame of dask", "compute()" + IN_PARTS),
    "dask Series": (FRAME["text"], "Series of dask", "compute()" + IN_PARTS),
    "dask array": (dask.array.ones(2), "Array of dask", "compute()" + IN_PARTS),
    "dask bag": (dask.bag.from_sequence("ab"), "Bag of dask", "compute()"),
    "polars LazyFrame": (pl.LazyFrame({"text": ["a", "b"]}), "LazyFrame of polars", "collect()"),
}


@pytest.mark.parametrize(("X", "kind", "cure"), **cases(LAZY))
def test_refuse_lazy_raises_for_rows_that_are_not_in_memory(X, kind, cure):
    message = f"X is of type {kind}, whose rows are not in memory. Expected rows in memory. Pass X.{cure}."
    with pytest.raises(ValueError, match=exactly(message)):
        refuse_lazy(X, "X")


def test_the_remedies_for_lazy_rows_give_rows_in_memory():
    assert check_texts(FRAME["text"].compute()) == check_texts(LAZY["polars LazyFrame"][0].collect()) == (["a", "b"],)
    assert [check_texts(part.compute()) for part in FRAME["text"].partitions] == [(["a"],), (["b"],)]


def test_refuse_lazy_names_y_and_a_computed_y_passes():
    y = dask.array.ones(2)
    message = "y is of type Array of dask, whose rows are not in memory. Expected rows in memory. Pass y.compute()."
    with pytest.raises(ValueError, match=exactly(message)):
        refuse_lazy(y, "y")
    refuse_lazy(y.compute(), "y")


@pytest.mark.parametrize(
    ("rows", "named"),
    [([3], "row 3"), (range(5), "rows 0, 1, 2, 3, 4"), (range(6), "rows 0, 1, 2, 3, 4, ... (6 in all)")],
    ids=["one", "five", "six"],
)
def test_name_rows_names_five_rows_at_most(rows, named):
    assert name_rows(rows) == named


def test_text_key_is_the_key_of_the_longest_text():
    assert text_key({"id": 7, "label": "good", "text": "Good soup."}) == "text"
    assert text_key({"label": ["good"], "text": ["Good soup."]}) == "text"
    assert text_key({"train": {}, "test": {}}) == "train"
