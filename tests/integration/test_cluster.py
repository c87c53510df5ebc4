"""A search on worker processes of a Dask cluster, on this machine, and rows from files larger than memory."""

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
from tests.distributed_worker import EXACT, reviews

distributed = pytest.importorskip("dask.distributed")
N_FITS = 18  # six candidates in three folds


class Texts(list):
    """Texts that count how often they are pickled in this process."""

    n_pickled = 0

    def __reduce__(self):
        Texts.n_pickled += 1
        return list, (list(self),)


class NotingScore:
    """The accuracy, and a file in a folder for each time that it is asked for."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, estimator, X, y):
        Path(self.folder, uuid.uuid4().hex).touch()
        return estimator.score(X, y)


@pytest.fixture(scope="module")
def client():
    """Of a scheduler and two worker processes; a worker that dies is replaced."""
    environment = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, env=environment
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def make_search(tiny_bert, **settings):
    classifier = BertClassifier(tiny_bert, **EXACT)
    grid = {"learning_rate": [1e-3, 1e-2, 3e-2], "max_epochs": [1, 2]}
    return GridSearchCV(classifier, grid, cv=3, **settings)


@pytest.fixture(scope="module")
def serial(tiny_bert):
    texts, y, *_ = reviews()
    return make_search(tiny_bert).fit(texts, y)


def assert_same_search(search, serial):
    scores = [name for name in serial.cv_results_ if name.startswith(("split", "mean_test", "std_test", "rank"))]
    assert len(scores) == 6
    for name in scores:
        np.testing.assert_allclose(search.cv_results_[name], serial.cv_results_[name], rtol=1e-9)
    assert search.best_params_ == serial.best_params_


@pytest.mark.slow
def test_a_search_on_dask_gives_the_scores_of_the_serial_one_and_ships_texts_once(client, serial, tiny_bert):
    texts, y, *_ = reviews()
    Texts.n_pickled = 0
    with joblib.parallel_config("dask"):
        search = make_search(tiny_bert).fit(Texts(texts), y)
    assert_same_search(search, serial)
    assert Texts.n_pickled < N_FITS / 4


@pytest.mark.slow
def test_a_search_outlives_a_killed_worker(client, serial, tiny_bert, tmp_path):
    texts, y, *_ = reviews()
    workers = client.run(os.getpid)
    victim = next(iter(workers.values()))

    def kill():
        while len(list(tmp_path.iterdir())) < 3:
            time.sleep(0.02)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with joblib.parallel_config("dask"):
        search = make_search(tiny_bert, scoring=NotingScore(tmp_path)).fit(texts, y)
    killer.join()
    assert_same_search(search, serial)
    assert len(list(tmp_path.iterdir())) >= N_FITS
    client.wait_for_workers(2, timeout=60)
    assert victim not in client.run(os.getpid).values()
