"""Class descriptions: the description of a class becomes one more training row of this class.

With few rows per class, a sentence about what they have in common helps more than another row. With many rows it has
little effect.
"""

from numbers import Real

import numpy as np

from .class_weight import check_positions

_WEIGHT = 4.0  # rows of mean weight; from 2 to 8 there was little difference on TREC, SST-2 and the tickets
_MAX_NAMED = 5


def append_descriptions(rows, descriptions):
    """Add one row for each description.

    Parameters
    ----------
    rows : Rows
        The rows of a first fit.
    descriptions : dict
        Text by class; with several labels per row, by label position.

    Returns
    -------
    rows : Rows

    Raises
    ------
    ValueError
        If the rows are pairs of texts, a description is not a str, or a key cannot be a label of y.
    """
    if len(rows.columns) > 1:
        raise ValueError(
            "Got class_descriptions and pairs of texts, expected single texts. Pass class_descriptions=None for pairs."
        )
    for key, text in descriptions.items():
        if not isinstance(text, str) or not text.strip():
            raise ValueError(
                f"Got {text!r} as the description of {key!r} in class_descriptions, expected a text. Say in a sentence "
                "what such texts are about, or leave the class out."
            )
    described = (_several_labels if rows.y.ndim == 2 else _labels)(rows.y, list(descriptions))
    return rows._replace(
        columns=([*rows.columns[0], *descriptions.values()],),
        y=np.concatenate([rows.y, described]),
        weights=np.concatenate([rows.weights, np.full(len(described), _WEIGHT * rows.weights.mean())]),
    )


def _labels(y, keys):
    """The y of the d descriptions, (d,): the described classes in the dtype of y."""
    if y.dtype.kind in "OU":
        alike = [isinstance(key, str) == isinstance(y[0], str) for key in keys]
    else:
        alike = [isinstance(key, (Real, np.bool_)) and key == y.dtype.type(key) for key in keys]
    if not all(alike):
        raise ValueError(
            f"class_descriptions names {keys[:_MAX_NAMED]}, but y holds labels such as {y[:1].tolist()[0]!r}. Expected "
            "labels of the same type. Write them as in y."
        )
    return np.fromiter(keys, dtype=object).astype(str if y.dtype.kind == "U" else y.dtype)


def _several_labels(y, keys):
    """The y of the d descriptions, (d, L): each row has the described label only."""
    check_positions(keys, y.shape[1], "class_descriptions")
    return np.eye(y.shape[1], dtype=y.dtype)[[int(key) for key in keys]]
