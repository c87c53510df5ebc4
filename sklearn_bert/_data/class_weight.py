"""What `class_weight` makes of classes and of labels: numbers by position.

A leaf: numpy and scikit-learn's own balance.
"""

import numpy as np
from sklearn.utils import compute_class_weight

_MAX_NAMED = 5


def weights_of_classes(class_weight, classes, y, sample_weight):
    """A weight for each class, of rows that have one class each.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        A dict may leave out classes, which weigh 1.
    classes : ndarray of shape (K,)
        Sorted; `y` may lack some.
    y, sample_weight : ndarray of shape (n,)

    Returns
    -------
    weights : ndarray of shape (K,)
    """
    known = classes.tolist()
    unknown = [label for label in class_weight if label not in known] if isinstance(class_weight, dict) else []
    if unknown and not class_weight.keys() >= set(known):  # all classes and more: some are not in these rows
        raise ValueError(
            f"class_weight names {unknown[:_MAX_NAMED]}, which are not among the classes {known[:_MAX_NAMED]}"
            f"{' ...' * (len(known) > _MAX_NAMED)}. Classes left out weigh 1."
        )
    # Balance is between the classes that have rows.
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
    """A weight for each label where a row has it: "balanced" evens out the rows with it and those without.

    Parameters
    ----------
    class_weight : dict or "balanced"
        A dict by position, which may leave out labels, which weigh 1.
    y : ndarray of shape (n, L) of 0 and 1
    sample_weight : ndarray of shape (n,)

    Returns
    -------
    weights : ndarray of shape (L,)
    """
    n_labels = y.shape[1]
    if class_weight == "balanced":
        positive = sample_weight @ y
        negative = sample_weight.sum() - positive
        one_sided = (positive == 0) | (negative == 0)  # nothing to even out
        return np.where(one_sided, 1.0, negative / np.where(one_sided, 1.0, positive))
    unknown = [label for label in class_weight if label not in range(n_labels)]
    if unknown:
        raise ValueError(
            f"class_weight names {unknown}, which are none of the {n_labels} labels. Expected all by name, as the "
            f"columns of a DataFrame y have it, or all by position from 0 to {n_labels - 1}. Labels left out weigh 1."
        )
    if not all(map(_is_weight, class_weight.values())):
        raise ValueError(
            f"Got class_weight={class_weight!r}, expected finite non-negative weights of some of the {n_labels} labels."
        )
    return np.array([class_weight.get(j, 1.0) for j in range(n_labels)], dtype=np.float64)


def _is_weight(value):
    return 0 <= value < np.inf
