"""Check X: any container of strings becomes one or two lists of str.

Containers are recognised by their methods, so pandas and polars need not be installed. This module knows
no tokenizer and no estimator.
"""

from .missing import is_missing

_EXPECTED = (
    "Expected the texts as a list of str, a 1-D array, a Series, or a DataFrame or 2-D array with one "
    "text column, or with two for sentence pairs."
)
_MAX_ROWS_NAMED = 5


def check_texts(X):
    """Turn any container of texts into one or two lists of str.

    Parameters
    ----------
    X : list, tuple, ndarray, pandas or polars Series or DataFrame
        ``n`` texts; or ``n`` sentence pairs, as two columns or as a list of ``(first, second)``
        tuples.

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
    columns = tuple(_to_str_list(column) for column in _split_columns(X))
    if not columns[0]:
        raise ValueError(
            "Found array with 0 sample(s) while a minimum of 1 is required: X holds no texts. "
            + _EXPECTED
            + " Check how they were selected."
        )
    return columns


def _split_columns(X):
    """Split X into its columns: a list of one or two 1-D containers of length n."""
    if isinstance(X, (str, bytes)):
        raise ValueError(f"X is one {type(X).__name__}, not a collection of texts. {_EXPECTED} Wrap it in a list: [X].")
    if isinstance(X, (dict, set, frozenset, type)) or not hasattr(X, "__len__") or getattr(X, "shape", None) == ():
        raise ValueError(
            f"X is of type {type(X).__name__}, not a sequence of texts. {_EXPECTED} Collect the texts first, for "
            "example with list(X)."
        )
    if hasattr(X, "columns"):
        _check_n_columns(len(X.columns))
        return [X.iloc[:, j] if hasattr(X, "iloc") else X[X.columns[j]] for j in range(len(X.columns))]
    if getattr(X, "ndim", 1) > 1:
        if X.ndim > 2:
            raise ValueError(f"X has {X.ndim} dimensions. {_EXPECTED} Reshape it to one row per text or pair.")
        _check_n_columns(X.shape[1])
        return list(X.T)
    if isinstance(X, (list, tuple)) and len(X) and isinstance(X[0], tuple):
        return _split_tuples(X)
    return [X]


def _split_tuples(X):
    """Split n tuples of one or two texts into one or two columns, each a tuple of n texts."""
    size = len(X[0])
    wrong = [i for i, row in enumerate(X) if not isinstance(row, tuple) or len(row) != size]
    if wrong:
        raise ValueError(
            f"X begins with a tuple of {size}, but not all rows are such tuples: see {_name_rows(wrong)}. "
            "Give every row the same number of texts: all single texts, or all (first, second) tuples."
        )
    _check_n_columns(size)
    return list(zip(*X, strict=True))


def _check_n_columns(n_columns):
    if n_columns not in (1, 2):
        raise ValueError(
            f"X has {n_columns} columns. {_EXPECTED} Select the text columns first, "
            "for example X[['question', 'answer']], or pick one inside a ColumnTransformer."
        )


def _to_str_list(column):
    """Convert a 1-D container to a list of plain str, or raise an error that names the rows that are not str."""
    if hasattr(column, "to_list"):  # of pandas and polars; keeps their missing values recognisable
        texts = column.to_list()
    elif hasattr(column, "tolist"):
        texts = column.tolist()
    else:
        texts = list(column)
    if set(map(type, texts)) - {str}:
        _check_rows_are_text(texts)
        texts = [str.__str__(text) for text in texts]  # of subclasses: numpy.str_, members of a str Enum
    _check_encodable(texts)
    return texts


def _check_rows_are_text(texts):
    missing = [i for i, text in enumerate(texts) if is_missing(text)]
    if missing:
        raise ValueError(
            f"Input X contains NaN: no text (None, NaN or NA) at {_name_rows(missing)}. Expected a str in every row. "
            "Drop these rows, or fill them with ''."
        )
    wrong = [i for i, text in enumerate(texts) if not isinstance(text, str)]
    if wrong:
        kind = type(texts[wrong[0]]).__name__
        cure = {
            "bytes": "Decode them, for example with text.decode('utf-8').",
            "list": "Join the tokens to one str, or pass sentence pairs as (first, second) tuples.",
            "tuple": "Pass sentence pairs as a list in which every row is a (first, second) tuple.",
        }.get(kind, "Convert them, for example with str(value), if the digits or names are the text.")
        raise ValueError(f"X holds values of type {kind} at {_name_rows(wrong)}. Expected a str in every row. {cure}")


def _check_encodable(texts):
    try:
        "".join(texts).encode()  # one call is fast, and nearly always enough
    except UnicodeEncodeError:
        wrong = [i for i, text in enumerate(texts) if not _is_encodable(text)]
        raise ValueError(
            f"X holds a lone surrogate, which cannot be encoded as UTF-8, at {_name_rows(wrong)}. "
            "Expected valid Unicode. Read the source with its right encoding, or clean with "
            "text.encode('utf-8', 'replace').decode()."
        ) from None


def _is_encodable(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name_rows(indices):
    """Row numbers for an error message: 'row 3' or 'rows 0, 4, 7, ... (12 in all)'."""
    named = ", ".join(map(str, indices[:_MAX_ROWS_NAMED]))
    if len(indices) > _MAX_ROWS_NAMED:
        named += f", ... ({len(indices)} in all)"
    return f"row{'s' if len(indices) > 1 else ''} {named}"
