"""`check_texts` accepts texts in every container, and its errors name the rows that are not texts."""

import copy
import operator
import re
from collections import UserDict

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from sklearn_bert._data.text import check_texts
from tests.helpers import cases, exactly

TEXTS = ["Good soup.", "", "très bon", "Good soup."]
FIRST, SECOND = ["Who?", "", "Where?"], ["me", "you", ""]
ROWS = list(zip(FIRST, SECOND, strict=True))

STRING = np.dtypes.StringDType()
ARROW = pd.ArrowDtype(pa.string())

SINGLES = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "list of numpy.str_": [np.str_(text) for text in TEXTS],
    "list of 1-tuples": [(text,) for text in TEXTS],
    "str array": np.array(TEXTS),
    "object array": np.array(TEXTS, dtype=object),
    "object array of numpy.str_": np.array([np.str_(text) for text in TEXTS], dtype=object),
    "StringDType array": np.array(TEXTS, dtype=STRING),
    "strided array": np.repeat(np.array(TEXTS), 2)[::2],
    "(n, 1) str array": np.array(TEXTS)[:, None],
    "(n, 1) object array": np.array(TEXTS, dtype=object)[:, None],
    "pandas Series of str": pd.Series(TEXTS),
    "pandas Series of object": pd.Series(TEXTS, dtype=object),
    "pandas Series of string": pd.Series(TEXTS, dtype="string"),
    "pandas Series of category": pd.Series(TEXTS, dtype="category"),
    "pandas Series of arrow strings": pd.Series(TEXTS, dtype=ARROW),
    "pandas Index": pd.Index(TEXTS),
    "pandas DataFrame": pd.DataFrame({"review": TEXTS}),
    "pandas DataFrame of arrow strings": pd.DataFrame({"review": TEXTS}, dtype=ARROW),
    "polars Series": pl.Series(TEXTS),
    "polars Series of categories": pl.Series(TEXTS, dtype=pl.Categorical),
    "polars DataFrame": pl.DataFrame({"review": TEXTS}),
    "arrow array": pa.array(TEXTS),
    "arrow dictionary": pa.array(TEXTS).dictionary_encode(),
    "arrow chunks": pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
    "arrow table": pa.table({"review": TEXTS}),
    "arrow record batch": pa.record_batch({"review": TEXTS}),
    "list of lists of one": [[text] for text in TEXTS],
    "list of arrays of one": list(np.array(TEXTS)[:, None]),
    "pandas Series of lists of one": pd.Series([[text] for text in TEXTS]),
}
PAIRS = {
    "list of tuples": ROWS,
    "tuple of tuples": tuple(ROWS),
    "list of tuples of numpy.str_": [(np.str_(a), np.str_(b)) for a, b in ROWS],
    "str array": np.array(ROWS),
    "object array": np.array(ROWS, dtype=object),
    "StringDType array": np.array(ROWS, dtype=STRING),
    "array in Fortran order": np.asfortranarray(ROWS),
    "pandas DataFrame": pd.DataFrame({"question": FIRST, "answer": SECOND}),
    "pandas DataFrame of categories": pd.DataFrame({"question": FIRST, "answer": SECOND}, dtype="category"),
    "pandas DataFrame with duplicate column names": pd.DataFrame(ROWS, columns=["text", "text"]),
    "pandas DataFrame with a MultiIndex": pd.DataFrame(ROWS, columns=pd.MultiIndex.from_product([["q"], [2, 1]])),
    "polars DataFrame": pl.DataFrame({"question": FIRST, "answer": SECOND}),
    "arrow table": pa.table({"question": FIRST, "answer": SECOND}),
    "arrow table with duplicate column names": pa.table([FIRST, SECOND], names=["text", "text"]),
}
MIXED = "but not all rows are such tuples: see"
EXPECTED = (
    "Expected the texts as a list of str, a 1-D array, a Series, or a DataFrame or 2-D array with one text column, "
    "or with two for sentence pairs."
)


@pytest.mark.parametrize("X", **cases(SINGLES))
def test_check_texts_returns_the_same_list_for_every_container(X):
    assert check_texts(X) == (TEXTS,)


@pytest.mark.parametrize("X", **cases(PAIRS))
def test_check_texts_returns_two_lists_in_column_order_for_every_container_of_pairs(X):
    assert check_texts(X) == (FIRST, SECOND)


@pytest.mark.parametrize("X", **cases({f"{name}, single": X for name, X in SINGLES.items()} | PAIRS))
def test_check_texts_returns_plain_str(X):
    assert {type(text) for column in check_texts(X) for text in column} == {str}


@pytest.mark.parametrize("index", [[2, 0, 1], [7, 7, 7], ["x", "y", "x"], [1.5, None, 0.0]], ids=str)
@pytest.mark.parametrize(
    ("X", "columns"),
    [(pd.Series(FIRST), (FIRST,)), (pd.DataFrame(ROWS), (FIRST, SECOND))],
    ids=["Series", "DataFrame"],
)
def test_check_texts_ignores_the_pandas_index(X, columns, index):
    assert check_texts(X.set_axis(index, axis=0)) == columns


@pytest.mark.parametrize(
    ("X", "is_same"),
    [
        (list(TEXTS), operator.eq),
        ([np.str_(text) for text in TEXTS], operator.eq),
        (list(ROWS), operator.eq),
        (np.array(ROWS, dtype=object), np.array_equal),
        (pd.DataFrame(ROWS, index=[2, 0, 0]), pd.DataFrame.equals),
        (pl.DataFrame(ROWS, orient="row"), pl.DataFrame.equals),
    ],
    ids=["list", "list of numpy.str_", "list of tuples", "array", "pandas", "polars"],
)
def test_check_texts_does_not_change_its_input(X, is_same):
    before = copy.deepcopy(X)
    for column in check_texts(X):
        column.clear()
    assert is_same(X, before)


UNICODE = {
    "emoji of several code points": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u202e\u0645\u0631\u062d\u0628\u0627\u202c",
    "combining marks, not composed": "e\u0301 n\u0303 Z\u0351\u036b",
    "zero width": "a\u200bb\u200d\ufeffc",
    "NUL": "a\0b\0",
    "newlines and blanks": " \t\r\n\u2028\u00a0",
    "the last code point": "\U0010ffff\uffff",
}


@pytest.mark.parametrize("text", **cases(UNICODE))
@pytest.mark.parametrize("container", [list, pd.Series, pl.Series])
def test_check_texts_keeps_valid_unicode_unchanged(text, container):
    assert check_texts(container([text, "plain"])) == ([text, "plain"],)


@pytest.mark.parametrize(
    ("X", "kind"),
    [
        ("Good soup.", "str"),
        (np.str_("Good soup."), "str_"),
        (b"Good soup.", "bytes"),
    ],
    ids=["str", "numpy.str_", "bytes"],
)
def test_check_texts_raises_for_a_single_text(X, kind):
    message = f"X is one {kind}, not a collection of texts. {EXPECTED} Wrap it in a list: [X]."
    with pytest.raises(ValueError, match=exactly(message)):
        check_texts(X)


@pytest.mark.parametrize(
    "X",
    [{}, {"a"}, frozenset("a"), iter("ab"), None, 3, np.float64(3.5), np.array("Good soup.")],
    ids=lambda X: type(X).__name__,
)
def test_check_texts_raises_for_objects_that_are_not_sequences(X):
    message = (
        f"X is of type {type(X).__name__}, not a sequence of texts. {EXPECTED} "
        "Collect the texts first, for example with list(X)."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_texts(X)


class Dataset:
    """Rows are dicts, and columns are asked for by name, as in a dataset of Hugging Face."""

    column_names = property(lambda self: ["label", "text"])

    def __len__(self):
        return 2

    def __getitem__(self, key):
        rows = [{"label": "good", "text": "Good soup."}, {"label": "bad", "text": "Cold soup."}]
        return [row[key] for row in rows] if isinstance(key, str) else rows[key]


BY_KEY = {
    "dict of texts": {"text": "Good soup.", "label": "good"},
    "dict of lists": {"label": ["good", "bad"], "text": ["Good soup.", "Cold soup."]},
    "UserDict": UserDict(text=["Good soup."], label=[1]),
    "dataset": Dataset(),
}


@pytest.mark.parametrize("X", **cases(BY_KEY))
def test_check_texts_raises_for_data_by_key_and_names_the_key_of_the_texts(X):
    keys = getattr(X, "column_names", None) or list(X)
    message = (
        f"X is of type {type(X).__name__}, not a sequence of texts. {EXPECTED} Select the texts by their key, for "
        f"example X['text']; the keys are {keys}."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_texts(X)


class Stream:
    """A dataset of Hugging Face that is read row by row."""

    column_names = property(lambda self: ["label", "text"])

    def __iter__(self):
        return iter([Dataset()[0], Dataset()[1]])


def test_check_texts_asks_for_the_rows_of_a_stream_and_then_for_their_texts():
    with pytest.raises(
        ValueError, match=r"^X is of type Stream, not a sequence of texts\. .* for example with list\(X\)\.$"
    ):
        check_texts(Stream())
    with pytest.raises(ValueError, match=re.escape("for example [row['text'] for row in X];")):
        check_texts(list(Stream()))


@pytest.mark.parametrize("container", [list, pd.Series, lambda rows: np.array(rows, dtype=object)])
def test_check_texts_raises_for_rows_by_key_and_names_the_key_of_the_texts(container):
    message = (
        "X holds values of type dict at rows 0, 1. Expected a str in every row. Select the texts by their key, for "
        "example [row['text'] for row in X]; the keys are ['label', 'text']."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_texts(container([Dataset()[0], Dataset()[1]]))


def test_the_remedies_for_data_by_key_select_the_texts():
    for X in (Dataset(), BY_KEY["dict of lists"]):
        assert check_texts(X["text"]) == (["Good soup.", "Cold soup."],)
    X = [Dataset()[0], Dataset()[1]]
    assert check_texts([row["text"] for row in X]) == (["Good soup.", "Cold soup."],)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array, sparse.coo_array])
def test_check_texts_raises_for_a_sparse_matrix(container):
    message = (
        f"X is a sparse matrix of shape (2, 3), which holds vectors. {EXPECTED} Pass the texts themselves, without a "
        "vectorizer before: the model has its own tokenizer."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_texts(container(np.ones((2, 3))))


NO_ROWS = {
    "list": [],
    "tuple": (),
    "float array": np.array([]),
    "str array": np.array([], dtype=str),
    "(0, 1) array": np.empty((0, 1), dtype=object),
    "(0, 2) array": np.empty((0, 2), dtype=object),
    "pandas Series": pd.Series([], dtype=object),
    "pandas DataFrame": pd.DataFrame({"question": [], "answer": []}),
    "polars Series": pl.Series([], dtype=pl.String),
    "polars DataFrame": pl.DataFrame({"question": []}),
    "arrow array": pa.array([], type=pa.string()),
    "arrow table": pa.table({"question": pa.array([], type=pa.string())}),
}


@pytest.mark.parametrize("X", **cases(NO_ROWS))
def test_check_texts_raises_for_zero_rows(X):
    message = (
        f"Found array with 0 sample(s) while a minimum of 1 is required: X holds no texts. {EXPECTED} "
        "Check how they were selected."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_texts(X)


WRONG_WIDTH = {
    "3 columns of an array": (np.full((2, 3), "a"), 3),
    "3 columns of pandas": (pd.DataFrame({name: TEXTS for name in "abc"}), 3),
    "3 columns of polars": (pl.DataFrame({name: TEXTS for name in "abc"}), 3),
    "3-tuples": ([("a", "b", "c"), ("d", "e", "f")], 3),
    "no column of an array": (np.empty((2, 0)), 0),
    "no column of pandas": (pd.DataFrame(index=[0, 1]), 0),
    "0-tuples": ([(), ()], 0),
}


@pytest.mark.parametrize(("X", "n_columns"), **cases(WRONG_WIDTH))
def test_check_texts_raises_for_zero_or_more_than_two_columns(X, n_columns):
    message = (
        f"X has {n_columns} columns. {EXPECTED} Select the text columns first, for example X[['question', 'answer']], "
        "or pick one inside a ColumnTransformer."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_texts(X)


def test_check_texts_raises_for_a_wide_arrow_table_and_names_its_own_method():
    X = pa.table({"question": FIRST, "answer": SECOND, "row": [0, 1, 2]})
    with pytest.raises(ValueError, match=re.escape("for example X.select(['question', 'answer']), or pick")):
        check_texts(X)
    assert check_texts(X.select(["question", "answer"])) == (FIRST, SECOND)


@pytest.mark.parametrize("n_dimensions", [3, 4])
def test_check_texts_raises_for_an_array_of_more_than_two_dimensions(n_dimensions):
    message = f"X has {n_dimensions} dimensions. {EXPECTED} Reshape it to one row per text or pair."
    with pytest.raises(ValueError, match=exactly(message)):
        check_texts(np.full((1,) * n_dimensions, "a"))


def missing_at(rows):
    return exactly(
        f"Input X contains NaN: no text (None, NaN or NA) at {rows}. Expected a str in every row. "
        "Drop these rows, or fill them with ''."
    )


MISSING = {
    "None": ["a", None, "b", None],
    "float NaN": ["a", float("nan"), "b", np.float64("nan")],
    "pd.NA": ["a", pd.NA, "b", pd.NA],
    "pd.NaT": ["a", pd.NaT, "b", pd.NaT],
    "object array": np.array(["a", None, "b", np.nan], dtype=object),
    "StringDType array": np.array(["a", None, "b", None], dtype=np.dtypes.StringDType(na_object=None)),
    "pandas str": pd.Series(["a", None, "b", None], index=[3, 2, 1, 0]),
    "pandas object": pd.Series(["a", None, "b", np.nan], dtype=object),
    "pandas string": pd.Series(["a", None, "b", None], dtype="string"),
    "pandas category": pd.Series(["a", None, "b", None], dtype="category"),
    "pandas arrow": pd.Series(["a", None, "b", None], dtype=ARROW),
    "polars": pl.Series(["a", None, "b", None]),
    "arrow array": pa.array(["a", None, "b", None]),
    "arrow chunks": pa.chunked_array([["a", None], ["b", None]]),
    "lists of one": [["a"], [None], ["b"], [float("nan")]],
    "second of tuples": [("a", "a"), ("a", None), ("a", "b"), ("a", float("nan"))],
    "second column of pandas": pd.DataFrame({"q": ["a"] * 4, "a": ["a", None, "b", None]}),
    "second column of polars": pl.DataFrame({"q": ["a"] * 4, "a": ["a", None, "b", None]}),
}


@pytest.mark.parametrize("X", **cases(MISSING))
def test_check_texts_raises_for_missing_texts_and_lists_their_rows(X):
    with pytest.raises(ValueError, match=missing_at("rows 1, 3")):
        check_texts(X)


@pytest.mark.parametrize(
    "X",
    [
        ["a", None],
        pd.Series(["a", pd.NA], dtype="string"),
        pl.Series(["a", None]),
        pa.chunked_array([["a", None]]),
        np.array([["a"], [np.nan]], dtype=object),
        pd.DataFrame({"text": ["a", np.nan]}),
    ],
    ids=["list", "pandas", "polars", "arrow", "array", "frame"],
)
def test_check_texts_replaces_missing_texts_if_asked(X):
    assert check_texts(X, missing="none") == (["a", "none"],)


def test_check_texts_replaces_the_missing_texts_of_pairs():
    assert check_texts([("a", None), (None, "b")], missing="") == (["a", ""], ["", "b"])


@pytest.mark.parametrize(
    ("n_missing", "rows"),
    [(1, "row 0"), (5, "rows 0, 1, 2, 3, 4"), (6, "rows 0, 1, 2, 3, 4, ... (6 in all)")],
    ids=["one", "five", "six"],
)
def test_check_texts_abbreviates_a_list_of_more_than_five_rows(n_missing, rows):
    with pytest.raises(ValueError, match=missing_at(rows)):
        check_texts([*[None] * n_missing, "text"])


CONVERT = "Convert them, for example with str(value), if the digits or names are the text."
DECODE = "Decode them, for example with text.decode('utf-8')."
JOIN = "Join the tokens to one str, or pass sentence pairs as (first, second) tuples."
NOT_TEXTS = {
    "numbers": ([1, 2], "int", "rows 0, 1", CONVERT),
    "one number": (["a", 2.5, "b"], "float", "row 1", CONVERT),
    "bool": ([True], "bool", "row 0", CONVERT),
    "array of numbers": (np.arange(7), "int", "rows 0, 1, 2, 3, 4, ... (7 in all)", CONVERT),
    "(n, 1) array of numbers": (np.ones((2, 1)), "float", "rows 0, 1", CONVERT),
    "pandas column of numbers": (pd.DataFrame({"q": ["a", "b"], "n": [1, 2]}), "int", "rows 0, 1", CONVERT),
    "polars column of numbers": (pl.DataFrame({"q": ["a", "b"], "n": [1, 2]}), "int", "rows 0, 1", CONVERT),
    "bytes": (["a", b"b"], "bytes", "row 1", DECODE),
    "array of bytes": (np.array([b"a", b"b"]), "bytes", "rows 0, 1", DECODE),
    "nested lists": ([["a", "b"], ["c", "d"]], "list", "rows 0, 1", JOIN),
    "lists of one and of two": ([["a"], ["c", "d"]], "list", "rows 0, 1", JOIN),
    "arrays": ([np.array(["a", "b"])], "ndarray", "row 0", JOIN),
    "arrow numbers": (pa.chunked_array([[1], [2]]), "int", "rows 0, 1", CONVERT),
}


@pytest.mark.parametrize(("X", "kind", "rows", "remedy"), **cases(NOT_TEXTS))
def test_check_texts_raises_for_other_types_and_names_type_rows_and_remedy(X, kind, rows, remedy):
    message = f"X holds values of type {kind} at {rows}. Expected a str in every row. {remedy}"
    with pytest.raises(ValueError, match=exactly(message)):
        check_texts(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([("a", "b"), "ab", ("c",)], f"X begins with a tuple of 2, {MIXED} rows 1, 2. Give every row"),
        ([("a",), ("a", "b")], f"X begins with a tuple of 1, {MIXED} row 1. Give every row"),
        ([("a",), "c", None], f"X begins with a tuple of 1, {MIXED} rows 1, 2. Give every row"),
        (["a", ("a", "b")], "X holds values of type tuple at row 1. Expected a str in every row. Pass sentence pairs"),
    ],
    ids=["pair first", "1-tuple first", "1-tuple before others", "str first"],
)
def test_check_texts_raises_for_a_mixture_of_texts_and_pairs(X, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        check_texts(X)


@pytest.mark.parametrize(
    ("X", "rows"),
    [
        (["ok", "\ud800"], "row 1"),
        (["\ud83d", "\ude00"], "rows 0, 1"),
        ([("ok", "ok"), ("ok", "bad \udcff")], "row 1"),
        (["\udfff"] * 6, "rows 0, 1, 2, 3, 4, ... (6 in all)"),
    ],
    ids=["one", "halves in two rows", "second of a pair", "many"],
)
def test_check_texts_raises_for_lone_surrogates_and_lists_their_rows(X, rows):
    message = (
        f"X holds a lone surrogate, which cannot be encoded as UTF-8, at {rows}. Expected valid Unicode. "
        "Read the source with its right encoding, or clean with text.encode('utf-8', 'replace').decode()."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_texts(X)
