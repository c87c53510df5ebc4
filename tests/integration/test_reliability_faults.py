"""Nothing lost: the disk, the memory, another process or the user's patience fails, and what stood there still stands.

Kills at any moment of a write are in `test_atomic.py`, `test_persistence.py` and `test_training_state.py`, a lack of
memory in `test_inference.py`, interrupts in `test_base.py`.
"""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._runtime import device
from sklearn_bert._storage import folder as folder_module
from sklearn_bert._storage import persistence
from sklearn_bert._training.training_net import BertNet
from tests.benchmarks import soak
from tests.helpers import exactly

QUICK = {"max_epochs": 1, "learning_rate": 1e-2, "batch_size": 16, "random_state": 0, "device": "cpu"}
LONG = QUICK | {"max_epochs": 4, "early_stopping": True, "n_iter_no_change": 9}
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, mounts or forks")


def weights_of(estimator):
    return torch.cat([p.detach().flatten() for p in estimator.module_.parameters()])


def cannot_be_written(path, number):
    return exactly(
        f"[Errno {number}] {str(path)!r} cannot be written ({os.strerror(number)}); what stood there before still "
        "does. Free some space or see to the rights of the folder and try again, or choose another place"
    )


# -- divergence -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_lost_loss_names_epoch_step_learning_rate_and_cures(tiny_bert, reviews, monkeypatch, estimator, loss):
    get_loss, n_calls = BertNet.get_loss, []

    def lose(net, *args, **params):
        n_calls.append(1)  # three batches an epoch: the second of the second epoch is the fifth
        return get_loss(net, *args, **params) * (loss if len(n_calls) == 5 else 1)

    monkeypatch.setattr(BertNet, "get_loss", lose)
    y = (np.array(reviews[1]) == "good") * 1
    diverging = estimator(tiny_bert, **QUICK | {"max_epochs": 3, "precision": "float32"})
    message = (
        "The training diverged in epoch 2, step 2: loss or weights are no longer finite, with learning_rate=0.01, "
        "head_learning_rate=None and precision='float32'. Lower the learning rates, raise warmup_fraction, or lower "
        "max_grad_norm. If it diverges in the first step, look for very large numbers in y and very uneven weights."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        diverging.fit(reviews[0], y)
    assert vars(diverging).keys() == diverging.get_params().keys()


# -- the disk ---------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own of 100 kB, less than two of the tiny estimators."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        sys.platform == "linux"
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("needs the right to mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder):
    with suppress(OSError), open(folder / "rest", "wb", buffering=0) as file:
        while True:
            file.write(b"0" * 4096)


def test_a_full_disk_leaves_the_stored_estimator_as_it_was(tiny_bert, reviews, small_disk):
    first = BertClassifier(tiny_bert, **QUICK).fit(*reviews)
    second = BertClassifier(tiny_bert, **QUICK | {"random_state": 1}).fit(*reviews)
    first.save_pretrained(small_disk / "model")
    with pytest.raises(OSError, match=cannot_be_written(small_disk / "model", errno.ENOSPC)) as raised:
        second.save_pretrained(small_disk / "model")
    assert raised.value.errno == errno.ENOSPC
    assert [path.name for path in small_disk.iterdir()] == ["model"]
    fill(small_disk)
    with pytest.raises(OSError, match=cannot_be_written(small_disk / "other", errno.ENOSPC)):
        second.save_pretrained(small_disk / "other")
    assert torch.equal(weights_of(BertClassifier.from_pretrained(small_disk / "model")), weights_of(first))
    with pytest.raises(OSError, match=cannot_be_written(small_disk / "model.onnx", errno.ENOSPC)):
        pytest.importorskip("onnxscript") and second.export_onnx(small_disk / "model.onnx")
    assert sorted(path.name for path in small_disk.iterdir()) == ["model", "rest"]


def test_a_full_disk_ends_a_training_that_goes_on_once_there_is_space(tiny_bert, reviews, small_disk, monkeypatch):
    save_epochs = []
    expected = BertClassifier(tiny_bert, **QUICK | {"max_epochs": 4, "freeze": "encoder"}).fit(*reviews)
    classifier = BertClassifier(tiny_bert, checkpoint_dir=small_disk, **QUICK | {"max_epochs": 4, "freeze": "encoder"})
    train_step = BertNet.train_step

    def fill_in_the_third_epoch(net, batch, **params):
        if len(net.history) == 3 and not (small_disk / "rest").exists():
            fill(small_disk)
        save_epochs.append(len(net.history))
        return train_step(net, batch, **params)

    monkeypatch.setattr(BertNet, "train_step", fill_in_the_third_epoch)
    state = small_disk / "training_state.safetensors"
    with pytest.raises(OSError, match=cannot_be_written(state, errno.ENOSPC)):
        classifier.fit(*reviews)
    assert not hasattr(classifier, "net_")
    assert sorted(path.name for path in small_disk.iterdir()) == ["rest", state.name]
    (small_disk / "rest").write_bytes(b"")
    save_epochs.clear()
    assert torch.equal(weights_of(classifier.fit(*reviews)), weights_of(expected))
    assert set(save_epochs) == {3, 4}


@pytest.fixture
def read_only(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    return small_disk


def test_a_folder_that_may_not_be_written_is_named_before_any_training(tiny_bert, reviews, read_only, monkeypatch):
    classifier = BertClassifier(tiny_bert, **QUICK).fit(*reviews)
    for folder in (read_only / "model", read_only / "new" / "model"):
        with pytest.raises(OSError, match=cannot_be_written(folder, errno.EROFS)):
            classifier.save_pretrained(folder)
    monkeypatch.setattr(BertNet, "fit", None)
    for folder in (read_only, read_only / "new"):
        path = folder / "training_state.safetensors"
        with pytest.raises(OSError, match=cannot_be_written(path, errno.EROFS)):
            clone(classifier).set_params(checkpoint_dir=folder).fit(*reviews)
    assert list(read_only.iterdir()) == []


FILES = ["sklearn_bert.json", "config.json", "model.safetensors", "head.safetensors", "tokenizer.json"]


@pytest.mark.parametrize("reading", [1, 2])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_vanishes_while_a_folder_is_read_is_named(tiny_bert, reviews, tmp_path, monkeypatch, name, reading):
    """At any reading of it: first its digest is read, then its content."""
    BertRegressor(tiny_bert, **QUICK).fit(reviews[0], np.arange(48.0)).save_pretrained(tmp_path / "model")
    inside, seen = folder_module._inside, []

    def vanish(folder, file):
        path = inside(folder, file)
        seen.append(file)
        if seen.count(name) == reading:
            path.unlink()
        return path

    monkeypatch.setattr(folder_module, "_inside", vanish)
    if reading == 2 and name in ("config.json", "tokenizer.json"):  # read by transformers
        monkeypatch.setattr(folder_module, "_inside", inside)
        read = persistence.read_manifest
        monkeypatch.setattr(
            persistence, "read_manifest", lambda folder: (read(folder), (tmp_path / "model" / name).unlink())[0]
        )
    with pytest.raises(OSError, match=r"^The .*(Copy the folder again|Save the checkpoint again|save_pretrained).*\.$"):
        BertRegressor.from_pretrained(tmp_path / "model")


def test_a_folder_that_is_replaced_while_it_is_read_is_never_a_mixture(tiny_bert, reviews, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    first, second = (BertClassifier(tiny_bert, **QUICK | {"random_state": seed}).fit(*reviews) for seed in (0, 1))
    first.save_pretrained(folder)
    load = persistence.load_tokenizer

    def replaced(*args):
        tokenizer = load(*args)
        second.save_pretrained(folder)
        return tokenizer

    with monkeypatch.context() as patch:
        patch.setattr(persistence, "load_tokenizer", replaced)
        message = f"{str(folder)!r} was replaced while it was read. Load it again."
        with pytest.raises(OSError, match=exactly(message)):
            BertClassifier.from_pretrained(folder)
    assert torch.equal(weights_of(BertClassifier.from_pretrained(folder)), weights_of(second))


# -- processes --------------------------------------------------------------------------------------------


@linux
@pytest.mark.slow
def test_a_killed_worker_ends_a_search_and_the_next_one_is_as_good_as_serial(tiny_bert, reviews):
    def die(estimator, X, y):
        os.kill(os.getpid(), signal.SIGKILL)

    classifier, grid = BertClassifier(tiny_bert, **QUICK), {"max_epochs": [1, 2]}
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


def in_a_fork(function, seconds):
    """Exit code of a forked process that calls the function; None if it does not come to an end."""
    child = multiprocessing.get_context("fork").Process(target=function)
    child.start()
    child.join(seconds)
    if child.is_alive():
        child.kill()
        child.join()
        return None
    return child.exitcode


@linux
def test_a_fork_during_a_fit_in_another_thread_does_not_wait_for_it(tiny_bert, reviews):
    held, done = threading.Event(), threading.Event()

    def hold():
        with device.seeded(0, torch.device("cpu")):
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert in_a_fork(lambda: BertClassifier(tiny_bert, **QUICK).fit(*reviews), seconds=60) == 0
    finally:
        done.set()
        thread.join()


# In a process of its own, since a test has one thread only; large enough for torch to use several.
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
    child.join(60)
    code = child.exitcode
    child.kill()
    assert code == 0, code
    assert torch.get_num_threads() == 2
""")


@linux
@pytest.mark.slow
def test_a_fork_after_torchs_threads_ran_predicts_and_fits_with_one(minilm):
    subprocess.run([sys.executable, "-c", FORKED, minilm], check=True, env=os.environ | {"OMP_NUM_THREADS": "2"})


@linux
@pytest.mark.gpu
def test_a_fork_after_cuda_is_an_error_that_names_the_cure(tiny_bert, reviews):
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    classifier = BertClassifier(tiny_bert, **QUICK | {"device": "cuda"}).fit(*reviews)

    def predict():
        with pytest.raises(RuntimeError, match="you must use the 'spawn' start method"):
            classifier.predict(reviews[0])

    assert in_a_fork(predict, seconds=60) == 0


# -- threads ----------------------------------------------------------------------------------------------


def test_predictions_in_eight_threads_beside_fits_are_the_serial_ones(tiny_bert, reviews):
    estimators = [
        BertClassifier(tiny_bert, **QUICK).fit(*reviews),
        BertClassifier(tiny_bert, long_text="window", **QUICK).fit(*reviews),
        BertRegressor(tiny_bert, **QUICK).fit(reviews[0], np.arange(96.0).reshape(48, 2)),
    ]
    expected = [estimator.predict(reviews[0]) for estimator in estimators]
    weights = weights_of(estimators[0])
    with ThreadPoolExecutor(10) as pool:
        fits = [pool.submit(clone(estimators[0]).fit, *reviews) for _ in range(6)]
        predictions = [pool.submit(estimator.predict, reviews[0]) for _ in range(40) for estimator in estimators]
        for i, prediction in enumerate(predictions):
            np.testing.assert_array_equal(prediction.result(), expected[i % 3])
        assert all(torch.equal(weights_of(fit.result()), weights) for fit in fits)


def test_a_search_in_threads_is_the_serial_one(tiny_bert, reviews):
    search = GridSearchCV(BertClassifier(tiny_bert, **QUICK), {"max_epochs": [1, 2], "batch_size": [8, 16]}, cv=2)
    serial = clone(search).fit(*reviews)
    with joblib.parallel_backend("threading", n_jobs=4):
        threaded = clone(search).fit(*reviews)
    for name in ("mean_test_score", "split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(threaded.cv_results_[name], serial.cv_results_[name])
    assert torch.equal(weights_of(threaded.best_estimator_), weights_of(serial.best_estimator_))


# -- what is left behind ----------------------------------------------------------------------------------


def held():
    """Numbers of threads, child processes and open files of this process, and its temporary files."""
    return {
        "threads": threading.active_count(),
        "of the system": len(list(Path("/proc/self/task").iterdir())),
        "children": Path("/proc/self/task", str(os.getpid()), "children").read_text().split(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "temporary": sorted(path.name for path in Path(tempfile.gettempdir()).iterdir()),
    }


def assert_held(expected):
    """What is held is what was, soon: transformers' loading threads end a moment after they have loaded."""
    for _ in range(100):
        if held() == expected:
            return
        time.sleep(0.1)
    assert held() == expected


@contextmanager
def temporary_files_in(folder, monkeypatch):
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("TMPDIR", str(folder))
        yield


@linux
def test_fifty_fits_leave_nothing_behind(tiny_bert, reviews, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def work(i):
        folder = tmp_path / f"{i % 2}"
        classifier = BertClassifier(tiny_bert, checkpoint_dir=tmp_path / f"state {i}", **QUICK).fit(*reviews)
        classifier.save_pretrained(folder)
        BertClassifier.from_pretrained(folder).predict(reviews[0][:3])

    with temporary_files_in(tmp_path / "temporary", monkeypatch):
        work(0)
        time.sleep(1)
        before = held()
        for i in range(1, 51):
            work(i)
        assert_held(before)
    assert list((tmp_path / "work").iterdir()) == []
    for i in range(51):
        assert [path.name for path in (tmp_path / f"state {i}").iterdir()] == ["training_state.safetensors"]
    assert len(list((tmp_path / "0").parent.iterdir())) == 51 + 2 + 2  # states, models, work and temporary


@linux
def test_failed_fits_leave_nothing_behind_either(tiny_bert, reviews, tmp_path, monkeypatch):
    def fail(*args, **params):
        raise RuntimeError("anything")

    monkeypatch.setattr(BertNet, "train_step", fail)

    def work():
        with pytest.raises(RuntimeError, match=exactly("anything")):
            BertClassifier(tiny_bert, **QUICK).fit(*reviews)

    with temporary_files_in(tmp_path / "temporary", monkeypatch):
        work()
        time.sleep(1)
        before = held()
        for _ in range(10):
            work()
        assert_held(before)


@linux
@pytest.mark.slow
def test_memory_stays_where_it_is_after_the_first_fits():
    """A part of the soak, in a process of its own; the whole is a command of `docs/reliability.md`."""
    command = [sys.executable, "-m", "tests.benchmarks.soak", "--fits", "60", "--predictions", "300"]
    home = Path(soak.__file__).parents[2]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=home).stdout
    assert soak.growth_of(out) < 1.0, out
