"""Convert `class_weight` to one weight per class or label, in their order."""

import numpy as np
from sklearn.utils import compute_class_weight

_MAX_NAMED = 5


def weights_of_classes(class_weight, classes, y, sample_weight):
    """Weight of each class, for rows with one class each.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        Classes that a dict leaves out have weight 1.
    classes : ndarray of shape (K,)
        All classes, sorted. Some may be absent from `y`.
    y : ndarray of shape (n,)
        The class of each row.
    sample_weight : ndarray of shape (n,)

    Returns
    -------
    weights : ndarray of shape (K,), float64

    Raises
    ------
    ValueError
        If a dict names unknown classes, or the weights are negative, infinite or all zero.
    """
    known = classes.tolist()
    unknown = [label for label in class_weight if label not in known] if isinstance(class_weight, dict) else []
    if unknown and not class_weight.keys() >= set(known):  # else it names all known classes and more: y may lack some
        raise ValueError(
            f"class_weight names {unknown[:_MAX_NAMED]}, which are not among the classes {known[:_MAX_NAMED]}"
            f"{' ...' * (len(known) > _MAX_NAMED)}. Classes left out weigh 1."
        )
    # "balanced" is computed over the classes that have rows.
    weighted = np.isin(classes, y) if class_weight == "balanced" else np.full(len(classes), True)
    weights = np.ones(len(classes))
    weights[weighted] = compute_class_weight(class_weight, classes=classes[weighted], y=y, sample_weight=sample_weight)
    if not all(map(_is_weight, weights)) or not weights.any():
        raise ValueError(
            f"Got class_weight={class_weight!r}, expected finite non-negative weights that are not all zero. "
            "Pass 'balanced' or None for a usual choice."
        )
    return weights


def weights_of_labels(class_weight, y, sample_weight):
    """Weight of each label in the rows that have it, which is the `pos_weight` of the loss.

    Parameters
    ----------
    class_weight : dict or "balanced"
        A dict maps positions of labels to weights; labels left out have weight 1. "balanced" gives the rows with
        a label the same total weight as the rows without it.
    y : ndarray of shape (n, L) of 0 and 1
    sample_weight : ndarray of shape (n,)

    Returns
    -------
    weights : ndarray of shape (L,), float64

    Raises
    ------
    ValueError
        If a dict names unknown labels, or a weight is negative or infinite.
    """
    n_labels = y.shape[1]
    if class_weight == "balanced":
        positive = sample_weight @ y
        negative = sample_weight.sum() - positive
        one_sided = (positive == 0) | (negative == 0)  # all rows have the label, or none: nothing to balance
        return np.where(one_sided, 1.0, negative / np.where(one_sided, 1.0, positive))
    weights = values_of_labels(class_weight, n_labels, 1.0, "class_weight")
    if not all(map(_is_weight, weights.flat)):
        raise ValueError(
            f"Got class_weight={class_weight!r}, expected finite non-negative weights of some of the {n_labels} labels."
        )
    return weights


def values_of_labels(mapping, n_labels, default, name):
    """The values of a dict by label position, (n_labels,); labels that are left out have the default."""
    check_positions(mapping, n_labels, name, f" Labels left out have {default:g}.")
    return floats_or_nan([mapping.get(j, default) for j in range(n_labels)])


def check_positions(mapping, n_labels, name, addition=""):
    """Raise a ValueError unless all keys of the dict are label positions."""
    unknown = [label for label in mapping if label not in range(n_labels)]
    if unknown:
        raise ValueError(
            f"{name} names {unknown}, which are none of the {n_labels} labels. Expected all by name, as the columns of "
            f"a DataFrame y have it, or all by position from 0 to {n_labels - 1}.{addition}"
        )


def floats_or_nan(values):
    """The values as a float64 array; a single NaN if one of them cannot be converted."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.array(np.nan)


def _is_weight(value):
    return 0 <= value < np.inf
