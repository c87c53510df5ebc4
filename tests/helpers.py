"""Shared by many test modules: fast settings, weights as a tensor, named cases, whole messages, processes, a clock."""

import multiprocessing
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from unittest import mock

import joblib
import numpy as np
import torch

from sklearn_bert._training.time_budget import TimeBudget

# The settings of most fits of the tiny BERT; with EXACT another order of summation changes 1e-15 only.
FAST = {"max_epochs": 2, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}
EXACT = FAST | {"precision": "float64"}

_PREDICT = (
    "import sys, joblib, numpy, torch; torch.set_num_threads(1);"
    "estimator, texts = joblib.load(sys.argv[1]); numpy.save(sys.argv[2], estimator.predict_proba(texts))"
)


def weights_of(estimator):
    """All parameters of the fitted module as one flat tensor."""
    return torch.cat([p.detach().flatten() for p in estimator.module_.parameters()])


def cases(table):
    """Arguments of `pytest.mark.parametrize` from a dict of names and values."""
    return {"argvalues": list(table.values()), "ids": list(table)}


def exactly(message):
    """The pattern of a message from its first to its last character."""
    return f"^{re.escape(message)}$"


@contextmanager
def ticking_clock(seconds):
    """A clock that is so many seconds later whenever a fit with a budget of time looks at it: once in each step.

    So a budget holds the same steps on a fast machine and on a busy one. Gives the times that the clock has shown.
    """
    shown = []

    def clock():
        shown.append(seconds * len(shown))
        return shown[-1]

    with (
        mock.patch("sklearn_bert._plan.monotonic", clock),
        mock.patch("sklearn_bert._training.callbacks.TimeBudget", partial(TimeBudget, clock=clock)),
    ):
        yield shown


@contextmanager
def fresh_process():
    """A process that has run no other tests. Gives a function that calls a function there: of the module, not local."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield lambda function, *args: pool.submit(function, *args).result()


def probabilities_in_a_new_process(estimator, texts, folder):
    """The probabilities that a new process predicts after it has loaded the estimator from a file."""
    stored, predicted = str(folder / "estimator.joblib"), str(folder / "probabilities.npy")
    joblib.dump((estimator, texts), stored)
    subprocess.run([sys.executable, "-c", _PREDICT, stored, predicted], check=True)
    return np.load(predicted)
