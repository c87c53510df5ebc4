"""Killed workers, forks and threads: fits and predictions end with an error or equal the serial ones."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._runtime import device
from tests.helpers import FAST, weights_of

ONE_EPOCH = FAST | {"max_epochs": 1, "batch_size": 16}


linux = pytest.mark.skipif(sys.platform != "linux", reason="forks or kills processes")


# -- processes --------------------------------------------------------------------------------------------


@linux
@pytest.mark.slow
def test_killed_worker_ends_a_grid_search_and_the_next_search_equals_the_serial_one(tiny_bert, reviews):
    def die(estimator, X, y):
        os.kill(os.getpid(), signal.SIGKILL)

    classifier, grid = BertClassifier(tiny_bert, **ONE_EPOCH), {"max_epochs": [1, 2]}
    search = GridSearchCV(classifier, grid, cv=2, n_jobs=2, scoring=die)
    with pytest.raises(TerminatedWorkerError):
        search.fit(*reviews)
    assert not hasattr(search, "cv_results_")
    assert not hasattr(classifier, "net_")
    scores = [
        GridSearchCV(classifier, grid, cv=2, n_jobs=n_jobs).fit(*reviews).cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)


def in_a_fork(function, seconds=240):
    """Exit code of a forked process that calls the function; None if it does not end, which takes a second or two."""
    child = multiprocessing.get_context("fork").Process(target=function)
    child.start()
    child.join(seconds)
    if child.is_alive():
        child.kill()
        child.join()
        return None
    return child.exitcode


@linux
def test_fork_during_a_fit_in_another_thread_does_not_block(tiny_bert, reviews):
    entered, done = threading.Event(), threading.Event()

    def occupy():
        with device.seeded(0, torch.device("cpu")):
            entered.set()
            done.wait()

    thread = threading.Thread(target=occupy)
    thread.start()
    entered.wait()
    try:
        assert in_a_fork(lambda: BertClassifier(tiny_bert, **ONE_EPOCH).fit(*reviews)) == 0
    finally:
        done.set()
        thread.join()


# A separate process, since tests run with one thread; the texts are long enough for torch to use several threads.
FORKED = textwrap.dedent("""
    import sys, torch, numpy, multiprocessing, warnings
    from sklearn_bert import BertClassifier
    torch.set_num_threads(2)
    texts, y = ["good " * 200, "bad " * 200] * 4, [1, 0] * 4
    classifier = BertClassifier(sys.argv[1], max_epochs=1, random_state=0, device="cpu", max_length=128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = classifier.fit(texts, y).predict_proba(texts)

    def predict():
        found = classifier.predict_proba(texts)
        numpy.testing.assert_allclose(found, expected, atol=1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            classifier.fit(texts[:2], y[:2])

    child = multiprocessing.get_context("fork").Process(target=predict)
    child.start()
    child.join(240)
    code = child.exitcode
    child.kill()
    assert code == 0, code
    assert torch.get_num_threads() == 2
""")


@linux
@pytest.mark.slow
def test_fork_after_torch_used_threads_predicts_and_fits_with_one_thread(minilm):
    subprocess.run([sys.executable, "-c", FORKED, minilm], check=True, env=os.environ | {"OMP_NUM_THREADS": "2"})


@linux
@pytest.mark.gpu
def test_fork_after_cuda_raises_and_names_the_remedy(tiny_bert, reviews):
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    classifier = BertClassifier(tiny_bert, **ONE_EPOCH | {"device": "cuda"}).fit(*reviews)

    def predict():
        with pytest.raises(RuntimeError, match="you must use the 'spawn' start method"):
            classifier.predict(reviews[0])

    assert in_a_fork(predict) == 0


# -- threads ----------------------------------------------------------------------------------------------


def test_predictions_in_threads_during_fits_equal_serial_predictions(tiny_bert, reviews):
    estimators = [
        BertClassifier(tiny_bert, **ONE_EPOCH).fit(*reviews),
        BertClassifier(tiny_bert, long_text="window", **ONE_EPOCH).fit(*reviews),
        BertRegressor(tiny_bert, **ONE_EPOCH).fit(reviews[0], np.arange(96.0).reshape(48, 2)),
    ]
    expected = [estimator.predict(reviews[0]) for estimator in estimators]
    weights = weights_of(estimators[0])
    with ThreadPoolExecutor(10) as pool:
        fits = [pool.submit(clone(estimators[0]).fit, *reviews) for _ in range(6)]
        predictions = [pool.submit(estimator.predict, reviews[0]) for _ in range(40) for estimator in estimators]
        for i, prediction in enumerate(predictions):
            np.testing.assert_array_equal(prediction.result(), expected[i % 3])
        assert all(torch.equal(weights_of(fit.result()), weights) for fit in fits)


def test_grid_search_in_threads_equals_the_serial_search(tiny_bert, reviews):
    search = GridSearchCV(BertClassifier(tiny_bert, **ONE_EPOCH), {"max_epochs": [1, 2], "batch_size": [8, 16]}, cv=2)
    serial = clone(search).fit(*reviews)
    with joblib.parallel_backend("threading", n_jobs=4):
        threaded = clone(search).fit(*reviews)
    for name in ("mean_test_score", "split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(threaded.cv_results_[name], serial.cv_results_[name])
    assert torch.equal(weights_of(threaded.best_estimator_), weights_of(serial.best_estimator_))
