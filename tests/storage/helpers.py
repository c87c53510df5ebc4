"""Fitted estimators of every kind, and what is the same after saving and loading."""

import copy

import numpy as np
import pandas as pd
import torch

from sklearn_bert import BertClassifier, BertRegressor
from tests.helpers import FAST

ONE_EPOCH = FAST | {"max_epochs": 1}


def y_of_kind(kind, labels, texts):
    """The y of each kind for the same texts."""
    good = np.array([label == "good" for label in labels])
    loud = np.array(["!" in text for text in texts])
    three = good * 1 + loud
    return {
        "str": np.array(["no", "maybe", "yes, größer"])[three],
        "object": np.array(["no", "maybe", "yes"], dtype=object)[three],
        "category": pd.Series(np.array(["no", "maybe", "yes"])[three], dtype="category"),
        "int": three - 1,
        "uint8": three.astype(np.uint8),
        "bool": good,
        "float": three.astype(float) * 5,
        "float32": three.astype(np.float32),
        "labels": np.column_stack([good, loud]).astype(int),
        "named labels": pd.DataFrame({"good": good, 3: loud}).astype(int),
        "number": 3e5 + 1e5 * three,
        "numbers": np.column_stack([3e5 + 1e5 * good, -0.001 * loud]),
    }[kind]


CLASSES = ("str", "object", "category", "int", "uint8", "bool", "float", "float32", "labels", "named labels")
FORMS = {  # estimator, kind of y, parameters, whether X is pairs of texts
    **{kind: (BertClassifier, kind, {}, False) for kind in CLASSES},
    **{kind: (BertRegressor, kind, {}, False) for kind in ("number", "numbers")},
    "number, unscaled": (BertRegressor, "number", {"scale_target": False}, False),
    "pairs": (BertClassifier, "str", {}, True),
    "joint pairs": (BertRegressor, "number", {"pair_encoding": "cross_encoder"}, True),
    "hidden layers": (BertClassifier, "str", {"hidden_layer_sizes": [6, 5], "pooling": "cls"}, False),
    "pooler": (BertClassifier, "int", {"pooling": "pooler"}, False),
    "pooler, number": (BertRegressor, "numbers", {"pooling": "pooler"}, False),
    "cls": (BertClassifier, "str", {"pooling": "cls"}, False),
    "mean": (BertClassifier, "str", {"pooling": "mean"}, False),
    "float64": (BertRegressor, "number", {"precision": "float64", "pooling": "pooler"}, False),
    "settings": (
        BertClassifier,
        "int",
        {
            "class_weight": {-1: 1.0, 0: np.float64(2.0), 1: 3},
            "learning_rate": np.float32(1e-3),
            "device": torch.device("cpu"),
            "max_length": 20,
            "long_text": "truncate",
            "dropout": 0.3,
        },
        False,
    ),
}


def fit_form(tiny_bert, reviews, form):
    """A fitted estimator of a value of FORMS, and its X."""
    estimator, kind, settings, pairs = form
    texts, labels = reviews
    X = list(zip(texts, texts[::-1], strict=True)) if pairs else texts
    return estimator(tiny_bert, **ONE_EPOCH | settings).fit(X, y_of_kind(kind, labels, texts)), X


def assert_same(found, expected, X):
    """Both estimators have the same class, parameters, fitted attributes and predictions, to the bit."""
    assert type(found) is type(expected)
    assert found.get_params() == expected.get_params()
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(expected, method):
            first, second = getattr(found, method)(X), getattr(expected, method)(X)
            assert (first.dtype, first.shape) == (second.dtype, second.shape)
            np.testing.assert_array_equal(first, second)
    for name in ("classes_", "label_names_", "feature_names_in_"):
        assert hasattr(found, name) == hasattr(expected, name)
        if hasattr(expected, name):
            assert getattr(found, name).dtype == getattr(expected, name).dtype
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in ("problem_type_", "n_iter_", "loss_curve_", "truncation_", "unknown_tokens_"):
        assert getattr(found, name) == getattr(expected, name)


def fitted_elsewhere(estimator, **settings):
    """A copy of the estimator, as if it had been fitted on another machine with these parameters."""
    copied = copy.copy(estimator).set_params(**settings)
    copied.net_ = copy.copy(copied.net_)
    copied.net_.precision = settings.get("precision", copied.net_.precision)
    return copied
