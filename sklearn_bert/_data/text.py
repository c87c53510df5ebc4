"""What counts as text: any container of strings becomes one or two lists of str.

A leaf: it knows containers (by what they can do, so pandas and polars need not be installed), not
tokenizers and not estimators.
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
        If `X` is no collection of texts, has no rows or more than two columns, a row is missing or
        no str, or a text holds a lone surrogate, which has no UTF-8 form.
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
    """One or two 1-D containers."""
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
        return _pairs_columns(X)
    return [X]


def _pairs_columns(X):
    size = len(X[0])
    odd = [i for i, row in enumerate(X) if not isinstance(row, tuple) or len(row) != size]
    if odd:
        raise ValueError(
            f"X begins with a tuple of {size}, but not all rows are such tuples: see {_rows(odd)}. "
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
    """A list of plain str, or an error that names the rows which are none."""
    if hasattr(column, "to_list"):  # pandas and polars: missing values stay recognisable
        texts = column.to_list()
    elif hasattr(column, "tolist"):
        texts = column.tolist()
    else:
        texts = list(column)
    if set(map(type, texts)) - {str}:
        _check_rows_are_text(texts)
        texts = [str.__str__(text) for text in texts]  # subclasses such as numpy.str_, an Enum's value
    _check_encodable(texts)
    return texts


def _check_rows_are_text(texts):
    missing = [i for i, text in enumerate(texts) if is_missing(text)]
    if missing:
        raise ValueError(
            f"Input X contains NaN: no text (None, NaN or NA) at {_rows(missing)}. Expected a str in every row. "
            "Drop these rows, or fill them with ''."
        )
    odd = [i for i, text in enumerate(texts) if not isinstance(text, str)]
    if odd:
        kind = type(texts[odd[0]]).__name__
        cure = {
            "bytes": "Decode them, for example with text.decode('utf-8').",
            "list": "Join the tokens to one str, or pass sentence pairs as (first, second) tuples.",
            "tuple": "Pass sentence pairs as a list in which every row is a (first, second) tuple.",
        }.get(kind, "Convert them, for example with str(value), if the digits or names are the text.")
        raise ValueError(f"X holds values of type {kind} at {_rows(odd)}. Expected a str in every row. {cure}")


def _check_encodable(texts):
    try:
        "".join(texts).encode()  # one call for the common case
    except UnicodeEncodeError:
        odd = [i for i, text in enumerate(texts) if not _is_encodable(text)]
        raise ValueError(
            f"X holds a lone surrogate, which cannot be encoded as UTF-8, at {_rows(odd)}. Expected valid Unicode. "
            "Read the source with its right encoding, or clean with text.encode('utf-8', 'replace').decode()."
        ) from None


def _is_encodable(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rows(indices):
    """'row 3' or 'rows 0, 4, 7, ... (12 in all)'."""
    named = ", ".join(map(str, indices[:_MAX_ROWS_NAMED]))
    if len(indices) > _MAX_ROWS_NAMED:
        named += f", ... ({len(indices)} in all)"
    return f"row{'s' if len(indices) > 1 else ''} {named}"
