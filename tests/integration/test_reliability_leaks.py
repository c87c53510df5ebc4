"""Fits, whether they succeed or fail, leave no thread, process, file or memory behind.

Threads, processes and files are counted in a process of their own: in one that has run other tests, those of the other
tests come to an end meanwhile.
"""

import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path

import pytest
import torch
from skorch.callbacks import Callback

from sklearn_bert import BertClassifier
from sklearn_bert._training.training_net import BertNet
from tests.benchmarks import soak
from tests.helpers import FAST, exactly, fresh_process

ONE_EPOCH = FAST | {"max_epochs": 1, "batch_size": 16}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def resources():
    """Numbers of threads, child processes, open files and temporary files of this process."""
    tasks = Path("/proc/self/task")
    return {
        "threads": threading.active_count(),
        "system threads": len(list(tasks.iterdir())),
        "children": sum(len(path.read_text().split()) for path in tasks.glob(f"{os.getpid()}/children")),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "temporary files": len(list(Path(tempfile.gettempdir()).iterdir())),
    }


def added_by(work, n, folder):
    """Work once, and n times more in the same empty folder: {resource: numbers after the first and after the last}.

    Only those of which there are more. They have a minute to come to an end: transformers does not wait for the threads
    that load a checkpoint.
    """
    for name in ("work", "temporary"):
        (folder / name).mkdir()
    os.chdir(folder / "work")
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "temporary")
    torch.set_num_threads(1)
    work(0)
    before = resources()
    for i in range(1, n + 1):
        work(i)
    end = time.monotonic() + 60
    while True:
        after = resources()
        added = {name: (before[name], after[name]) for name in before if after[name] > before[name]}
        if not added or time.monotonic() > end:
            return added
        time.sleep(0.1)


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


def added_by_fits(model, reviews, tmp_path):
    def work(i):
        folder = tmp_path / f"{i % 2}"
        classifier = BertClassifier(model, checkpoint_dir=tmp_path / f"state {i}", **ONE_EPOCH).fit(*reviews)
        classifier.save_pretrained(folder)
        BertClassifier.from_pretrained(folder).predict(reviews[0][:3])

    return added_by(work, 50, tmp_path)


@pytest.mark.slow
def test_fifty_fits_leave_no_thread_process_or_file(tiny_bert, reviews, tmp_path):
    with fresh_process() as call:
        assert call(added_by_fits, tiny_bert, reviews, tmp_path) == {}
    assert list((tmp_path / "work").iterdir()) == []
    for i in range(51):
        assert [path.name for path in (tmp_path / f"state {i}").iterdir()] == ["training_state.safetensors"]
    assert len(list((tmp_path / "0").parent.iterdir())) == 51 + 2 + 2  # states, models, work and temporary


def added_by_failed_fits(model, reviews, tmp_path):
    def fail(*args, **params):
        raise RuntimeError("anything")

    BertNet.train_step = fail  # of this process only

    def work(i):
        with pytest.raises(RuntimeError, match=exactly("anything")):
            BertClassifier(model, **ONE_EPOCH).fit(*reviews)

    return added_by(work, 10, tmp_path)


def test_failed_fits_leave_no_thread_process_or_file(tiny_bert, reviews, tmp_path):
    with fresh_process() as call:
        assert call(added_by_failed_fits, tiny_bert, reviews, tmp_path) == {}
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.slow
def test_memory_does_not_grow_after_the_first_fits():
    """A short run of the soak test in a separate process; `docs/test_runs.md` has the command of the full run."""
    command = [sys.executable, "-m", "tests.benchmarks.soak", "--fits", "60", "--predictions", "300"]
    home = Path(soak.__file__).parents[2]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=home).stdout
    assert soak.growth_of(out) < 1.0, out
