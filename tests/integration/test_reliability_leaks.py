"""Fits, whether they succeed or fail, leave no thread, process, file or memory behind."""

import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from contextlib import contextmanager
from pathlib import Path

import pytest
from skorch.callbacks import Callback

from sklearn_bert import BertClassifier
from sklearn_bert._training.training_net import BertNet
from tests.benchmarks import soak
from tests.helpers import FAST, exactly

ONE_EPOCH = FAST | {"max_epochs": 1, "batch_size": 16}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def resources():
    """Numbers of threads, child processes and open files of this process, and its temporary files."""
    return {
        "threads": threading.active_count(),
        "system threads": len(list(Path("/proc/self/task").iterdir())),
        "children": Path("/proc/self/task", str(os.getpid()), "children").read_text().split(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "temporary": sorted(path.name for path in Path(tempfile.gettempdir()).iterdir()),
    }


def assert_resources(expected):
    """The resources are as expected within ten seconds: loading threads of transformers end a moment after loading."""
    for _ in range(100):
        if resources() == expected:
            return
        time.sleep(0.1)
    assert resources() == expected


@contextmanager
def temporary_files_in(folder, monkeypatch):
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("TMPDIR", str(folder))
        yield


def test_a_fit_frees_its_optimizer_at_once(tiny_bert, reviews):
    """Not when Python looks for cycles: it counts objects, and does not see how large a few of them are."""

    class Watch(Callback):
        def on_train_begin(self, net, **kwargs):
            optimizers.append(weakref.ref(net.optimizer_))

    optimizers = []
    gc.collect()
    gc.disable()
    try:
        for changes in ({}, {"max_seconds": 60}, {"early_stopping": True}, {"freeze": "encoder"}):
            BertClassifier(tiny_bert, callbacks=[Watch()], **ONE_EPOCH | changes).fit(*reviews)
        assert [optimizer() for optimizer in optimizers] == [None] * 4
    finally:
        gc.enable()


@pytest.mark.slow
def test_fifty_fits_leave_no_thread_process_or_file(tiny_bert, reviews, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def work(i):
        folder = tmp_path / f"{i % 2}"
        classifier = BertClassifier(tiny_bert, checkpoint_dir=tmp_path / f"state {i}", **ONE_EPOCH).fit(*reviews)
        classifier.save_pretrained(folder)
        BertClassifier.from_pretrained(folder).predict(reviews[0][:3])

    with temporary_files_in(tmp_path / "temporary", monkeypatch):
        work(0)
        time.sleep(1)
        before = resources()
        for i in range(1, 51):
            work(i)
        assert_resources(before)
    assert list((tmp_path / "work").iterdir()) == []
    for i in range(51):
        assert [path.name for path in (tmp_path / f"state {i}").iterdir()] == ["training_state.safetensors"]
    assert len(list((tmp_path / "0").parent.iterdir())) == 51 + 2 + 2  # states, models, work and temporary


def test_failed_fits_leave_no_thread_process_or_file(tiny_bert, reviews, tmp_path, monkeypatch):
    def fail(*args, **params):
        raise RuntimeError("anything")

    monkeypatch.setattr(BertNet, "train_step", fail)

    def work():
        with pytest.raises(RuntimeError, match=exactly("anything")):
            BertClassifier(tiny_bert, **ONE_EPOCH).fit(*reviews)

    with temporary_files_in(tmp_path / "temporary", monkeypatch):
        work()
        time.sleep(1)
        before = resources()
        for _ in range(10):
            work()
        assert_resources(before)


@pytest.mark.slow
def test_memory_does_not_grow_after_the_first_fits():
    """A short run of the soak test in a separate process; `docs/test_runs.md` has the command of the full run."""
    command = [sys.executable, "-m", "tests.benchmarks.soak", "--fits", "60", "--predictions", "300"]
    home = Path(soak.__file__).parents[2]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=home).stdout
    assert soak.growth_of(out) < 1.0, out
