"""What tests of many inputs share: tables of named cases, whole messages, and a process that has seen nothing."""

import re
import subprocess
import sys

import joblib
import numpy as np
import torch

FAST = {"max_epochs": 2, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}
EXACT = FAST | {"precision": "float64"}

_PREDICT = (
    "import sys, joblib, numpy, torch; torch.set_num_threads(1);"
    "estimator, texts = joblib.load(sys.argv[1]); numpy.save(sys.argv[2], estimator.predict_proba(texts))"
)

MATRIX = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0], [1, 0, 1]], dtype=np.int64)  # of three labels


def fit(check, y, sample_weight=None, **params):
    """The checked y and the target fitted on it."""
    values, target_class = check(y)
    weights = np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    return values, target_class(values, weights, **params)


def weights_of(estimator):
    """All parameters of the fitted module as one flat tensor."""
    return torch.cat([p.detach().flatten() for p in estimator.module_.parameters()])


def cases(table):
    """Arguments of `pytest.mark.parametrize` from a dict of names and values."""
    return {"argvalues": list(table.values()), "ids": list(table)}


def exactly(message):
    """The pattern of a message from its first to its last character."""
    return f"^{re.escape(message)}$"


def probabilities_in_a_fresh_process(estimator, texts, folder):
    """What the estimator predicts after a journey through a file into a new process."""
    stored, predicted = str(folder / "estimator.joblib"), str(folder / "probabilities.npy")
    joblib.dump((estimator, texts), stored)
    subprocess.run([sys.executable, "-c", _PREDICT, stored, predicted], check=True)
    return np.load(predicted)
