"""Grid searches on the worker processes of a Dask cluster on this machine."""

import os
import signal
import threading
import time
import uuid
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from sklearn_bert import BertClassifier
from tests.distributed_worker import DETERMINISTIC, example_rows

distributed = pytest.importorskip("dask.distributed")
N_FITS = 18  # six candidates in three folds


class Texts(list):
    """A list of texts that counts how often this process pickles it."""

    n_pickled = 0

    def __reduce__(self):
        Texts.n_pickled += 1
        return list, (list(self),)


class RecordingScore:
    """The accuracy; each call creates a file in a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, estimator, X, y):
        Path(self.folder, uuid.uuid4().hex).touch()
        return estimator.score(X, y)


@pytest.fixture(scope="module")
def client():
    """The client of a scheduler with two worker processes; the scheduler replaces a worker that dies."""
    environment = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, env=environment
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def make_search(tiny_bert, **settings):
    classifier = BertClassifier(tiny_bert, **DETERMINISTIC)
    grid = {"learning_rate": [1e-3, 1e-2, 3e-2], "max_epochs": [1, 2]}
    return GridSearchCV(classifier, grid, cv=3, **settings)


@pytest.fixture(scope="module")
def serial(tiny_bert):
    texts, y, *_ = example_rows()
    return make_search(tiny_bert).fit(texts, y)


def assert_same_search(search, serial):
    scores = [name for name in serial.cv_results_ if name.startswith(("split", "mean_test", "std_test", "rank"))]
    assert len(scores) == 6
    for name in scores:
        np.testing.assert_allclose(search.cv_results_[name], serial.cv_results_[name], rtol=1e-9)
    assert search.best_params_ == serial.best_params_


@pytest.mark.slow
def test_grid_search_on_dask_equals_the_serial_search_and_sends_texts_once(client, serial, tiny_bert):
    texts, y, *_ = example_rows()
    Texts.n_pickled = 0
    with joblib.parallel_config("dask"):
        search = make_search(tiny_bert).fit(Texts(texts), y)
    assert_same_search(search, serial)
    assert Texts.n_pickled < N_FITS / 4


@pytest.mark.slow
def test_grid_search_on_dask_survives_a_killed_worker(client, serial, tiny_bert, tmp_path):
    texts, y, *_ = example_rows()
    workers = client.run(os.getpid)
    victim = next(iter(workers.values()))

    def kill():
        while len(list(tmp_path.iterdir())) < 3:
            time.sleep(0.02)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with joblib.parallel_config("dask"):
        search = make_search(tiny_bert, scoring=RecordingScore(tmp_path)).fit(texts, y)
    killer.join()
    assert_same_search(search, serial)
    assert len(list(tmp_path.iterdir())) >= N_FITS
    client.wait_for_workers(2, timeout=60)
    assert victim not in client.run(os.getpid).values()
