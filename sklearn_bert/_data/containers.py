"""Helpers for X and y: named columns, rows that are not in memory, and row numbers for error messages.

Containers are recognised by their methods, so pandas, polars, pyarrow, dask and scipy need not be installed.
"""

_MAX_ROWS_NAMED = 5


def has_method(data, name):
    """Whether the type has such a method; of the object, a column of this name would be an attribute, too."""
    return callable(getattr(type(data), name, None))


def split_table(data):
    """Names and columns of a DataFrame or an Arrow table, as two lists; None for anything else."""
    if not hasattr(data, "columns"):
        return None
    if hasattr(type(data), "column_names"):  # Arrow, whose `columns` are the data
        return list(data.column_names), list(data.columns)
    names = list(data.columns)
    return names, [data.iloc[:, j] if hasattr(data, "iloc") else data[name] for j, name in enumerate(names)]


def column_names(data):
    """Names of the columns of a DataFrame or an Arrow table, a list; None for anything else."""
    table = split_table(data)
    return None if table is None else table[0]


def refuse_lazy(data, name):
    """Raise a ValueError if the rows are not computed yet: dask, a LazyFrame of polars, or Spark."""
    library = type(data).__module__.partition(".")[0]
    method = "compute" if library.startswith("dask") else "collect"
    if library.startswith("dask") or has_method(data, method):
        parts = name == "X" and hasattr(type(data), "partitions")
        raise ValueError(
            f"{name} is of type {type(data).__name__} of {library}, whose rows are not in memory. Expected rows in "
            f"memory. Pass {name}.{method}()"
            f"{', or predict in parts: [estimator.predict(part.compute()) for part in X.partitions]' if parts else ''}."
        )


def name_rows(indices):
    """Row numbers for an error message: 'row 3' or 'rows 0, 4, 7, ... (12 in all)'."""
    named = ", ".join(map(str, indices[:_MAX_ROWS_NAMED]))
    if len(indices) > _MAX_ROWS_NAMED:
        named += f", ... ({len(indices)} in all)"
    return f"row{'s' if len(indices) > 1 else ''} {named}"


def text_key(record):
    """The key of the longest text in a dict of texts, or of lists of texts: probably the one to use."""

    def n_characters(key):
        value = record[key]
        value = value[0] if isinstance(value, (list, tuple)) and value else value
        return len(value) if isinstance(value, str) else 0

    return max(record, key=n_characters)
