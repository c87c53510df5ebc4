"""Check X: convert any container of texts to one or two lists of str.

Containers are recognised by their methods, so pandas and polars need not be installed. This module
does not depend on tokenizers or estimators.
"""

from collections.abc import Mapping, Set

import numpy as np

from .containers import has_method, name_rows, refuse_lazy, split_table, text_key
from .missing import is_missing

_EXPECTED = (
    "Expected the texts as a list of str, a 1-D array, a Series, or a DataFrame or 2-D array with one "
    "text column, or with two for sentence pairs."
)
_SEQUENCES = (list, tuple, np.ndarray)


def check_texts(X, missing=None):
    """Convert any container of texts to one or two lists of str.

    Parameters
    ----------
    X : list, tuple, ndarray, Series or DataFrame of pandas or polars, array or table of pyarrow
        ``n`` texts; or ``n`` sentence pairs, as two columns or as a list of ``(first, second)``
        tuples.
    missing : str, optional
        Replaces each missing value.

    Returns
    -------
    columns : tuple of one or two lists of str, each of length n
        The first sentences and, for pairs, the second ones.

    Raises
    ------
    ValueError
        If `X` is not a sequence of texts, has no rows or more than two columns, holds a missing value or
        a value that is not a str, or a text with a lone surrogate, which UTF-8 cannot encode.
    """
    columns = tuple(_to_str_list(column, missing) for column in _split_columns(X))
    if not columns[0]:
        raise ValueError(
            "Found array with 0 sample(s) while a minimum of 1 is required: X holds no texts. "
            + _EXPECTED
            + " Check how they were selected."
        )
    return columns


def _split_columns(X):
    """Split X into its columns: a list of one or two 1-D containers of length n."""
    refuse_lazy(X, "X")
    if isinstance(X, (str, bytes)):
        raise ValueError(f"X is one {type(X).__name__}, not a collection of texts. {_EXPECTED} Wrap it in a list: [X].")
    if has_method(X, "toarray"):
        raise ValueError(
            f"X is a sparse matrix of shape {X.shape}, which holds vectors. {_EXPECTED} Pass the texts themselves, "
            "without a vectorizer before: the model has its own tokenizer."
        )
    record = _first_record(X)
    if record:
        raise ValueError(
            f"X is of type {type(X).__name__}, not a sequence of texts. {_EXPECTED} Select the texts by their key, for "
            f"example X[{text_key(record)!r}]; the keys are {list(record)}."
        )
    if isinstance(X, (Mapping, Set, type)) or not hasattr(X, "__len__") or getattr(X, "shape", None) == ():
        raise ValueError(
            f"X is of type {type(X).__name__}, not a sequence of texts. {_EXPECTED} Collect the texts first, for "
            "example with list(X)."
        )
    table = split_table(X)
    if table is not None:
        _check_n_columns(len(table[0]), X)
        return table[1]
    if getattr(X, "ndim", 1) > 1:
        if X.ndim > 2:
            raise ValueError(f"X has {X.ndim} dimensions. {_EXPECTED} Reshape it to one row per text or pair.")
        _check_n_columns(X.shape[1])
        return list(X.T)
    if isinstance(X, (list, tuple)) and len(X) and isinstance(X[0], tuple):
        return _split_tuples(X)
    return [X]


def _first_record(X):
    """X if it is a mapping, its first row if it is a dataset of Hugging Face, None for anything else."""
    if isinstance(X, Mapping):
        return X
    is_dataset = hasattr(type(X), "column_names") and not hasattr(X, "columns")  # Arrow tables have both
    return X[0] if is_dataset and hasattr(X, "__len__") and len(X) else None


def _split_tuples(X):
    """Split n tuples of one or two texts into one or two columns, each a tuple of n texts."""
    size = len(X[0])
    wrong = [i for i, row in enumerate(X) if not isinstance(row, tuple) or len(row) != size]
    if wrong:
        raise ValueError(
            f"X begins with a tuple of {size}, but not all rows are such tuples: see {name_rows(wrong)}. "
            "Give every row the same number of texts: all single texts, or all (first, second) tuples."
        )
    _check_n_columns(size)
    return list(zip(*X, strict=True))


def _check_n_columns(n_columns, X=None):
    if n_columns not in (1, 2):
        select = "X.select(['question', 'answer'])" if hasattr(type(X), "column_names") else "X[['question', 'answer']]"
        raise ValueError(
            f"X has {n_columns} columns. {_EXPECTED} Select the text columns first, "
            f"for example {select}, or pick one inside a ColumnTransformer."
        )


def _to_str_list(column, missing):
    """Convert a 1-D container to a list of plain str, or raise an error that names the rows that are not str."""
    for name in (
        "to_list",
        "tolist",
        "to_pylist",
    ):  # keep the missing values of pandas, polars and pyarrow recognisable
        if has_method(column, name):
            texts = getattr(column, name)()
            break
    else:
        texts = list(column)
    if set(map(type, texts)) - {str}:
        if all(isinstance(row, _SEQUENCES) and len(row) == 1 for row in texts):
            texts = [row[0] for row in texts]
        if missing is not None:
            texts = [missing if is_missing(text) else text for text in texts]
        _check_rows_are_text(texts)
        texts = [str.__str__(text) for text in texts]  # of subclasses: numpy.str_, members of a str Enum
    _check_encodable(texts)
    return texts


def _check_rows_are_text(texts):
    missing = [i for i, text in enumerate(texts) if is_missing(text)]
    if missing:
        raise ValueError(
            f"Input X contains NaN: no text (None, NaN or NA) at {name_rows(missing)}. Expected a str in every row. "
            "Drop these rows, or fill them with ''."
        )
    wrong = [i for i, text in enumerate(texts) if not isinstance(text, str)]
    if wrong:
        kind, cure = type(texts[wrong[0]]).__name__, _cure(texts[wrong[0]])
        raise ValueError(f"X holds values of type {kind} at {name_rows(wrong)}. Expected a str in every row. {cure}")


def _cure(value):
    """The advice, a sentence, for a row that is not a str."""
    if isinstance(value, bytes):
        return "Decode them, for example with text.decode('utf-8')."
    if isinstance(value, tuple):
        return "Pass sentence pairs as a list in which every row is a (first, second) tuple."
    if isinstance(value, Mapping) and value:
        key = text_key(value)
        return f"Select the texts by their key, for example [row[{key!r}] for row in X]; the keys are {list(value)}."
    if hasattr(value, "__len__"):
        return "Join the tokens to one str, or pass sentence pairs as (first, second) tuples."
    return "Convert them, for example with str(value), if the digits or names are the text."


def _check_encodable(texts):
    try:
        "".join(texts).encode()  # one call is fast, and nearly always enough
    except UnicodeEncodeError:
        wrong = [i for i, text in enumerate(texts) if not _is_encodable(text)]
        raise ValueError(
            f"X holds a lone surrogate, which cannot be encoded as UTF-8, at {name_rows(wrong)}. "
            "Expected valid Unicode. Read the source with its right encoding, or clean with "
            "text.encode('utf-8', 'replace').decode()."
        ) from None


def _is_encodable(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
