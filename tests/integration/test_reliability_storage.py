"""If the disk is full or read-only, or files change during loading, stored estimators remain complete.

Kills at any moment of a write are in `tests/runtime/test_atomic_files.py`, `tests/storage/` and `tests/training/`.
"""

import errno
import os
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._storage import folder as folder_module
from sklearn_bert._storage import persistence
from sklearn_bert._training.training_net import BertNet
from tests.helpers import FAST, exactly, weights_of

ONE_EPOCH = FAST | {"max_epochs": 1, "batch_size": 16}


def cannot_be_written(path, number):
    return exactly(
        f"[Errno {number}] {str(path)!r} cannot be written ({os.strerror(number)}); what was there before is "
        "unchanged. Free some disk space, check the permissions of the folder or close the programs that use it, and "
        "try again, or choose another path"
    )


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a separate disk of 100 kB, which is less than two of the tiny estimators."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        sys.platform == "linux"
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("needs permission to mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder):
    with suppress(OSError), open(folder / "rest", "wb", buffering=0) as file:
        while True:
            file.write(b"0" * 4096)


@pytest.mark.slow
def test_full_disk_keeps_the_stored_estimator(tiny_bert, reviews, small_disk):
    first = BertClassifier(tiny_bert, **ONE_EPOCH).fit(*reviews)
    second = BertClassifier(tiny_bert, **ONE_EPOCH | {"random_state": 1}).fit(*reviews)
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


def test_full_disk_ends_a_training_that_resumes_when_there_is_space(tiny_bert, reviews, small_disk, monkeypatch):
    epochs, settings = [], ONE_EPOCH | {"max_epochs": 4, "freeze": "encoder"}
    expected = BertClassifier(tiny_bert, **settings).fit(*reviews)
    classifier = BertClassifier(tiny_bert, checkpoint_dir=small_disk, **settings)
    train_step = BertNet.train_step

    def fill_in_the_third_epoch(net, batch, **params):
        if len(net.history) == 3 and not (small_disk / "rest").exists():
            fill(small_disk)
        epochs.append(len(net.history))
        return train_step(net, batch, **params)

    monkeypatch.setattr(BertNet, "train_step", fill_in_the_third_epoch)
    state = small_disk / "training_state.safetensors"
    with pytest.raises(OSError, match=cannot_be_written(state, errno.ENOSPC)):
        classifier.fit(*reviews)
    assert not hasattr(classifier, "net_")
    assert sorted(path.name for path in small_disk.iterdir()) == ["rest", state.name]
    (small_disk / "rest").write_bytes(b"")
    epochs.clear()
    assert torch.equal(weights_of(classifier.fit(*reviews)), weights_of(expected))
    assert set(epochs) == {3, 4}


@pytest.fixture
def read_only(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    return small_disk


def test_read_only_folder_raises_before_any_training(tiny_bert, reviews, read_only, monkeypatch):
    classifier = BertClassifier(tiny_bert, **ONE_EPOCH).fit(*reviews)
    for folder in (read_only / "model", read_only / "new" / "model"):
        with pytest.raises(OSError, match=cannot_be_written(folder, errno.EROFS)):
            classifier.save_pretrained(folder)
    monkeypatch.setattr(BertNet, "fit", None)
    for folder in (read_only, read_only / "new"):
        path = folder / "training_state.safetensors"
        with pytest.raises(OSError, match=cannot_be_written(path, errno.EROFS)):
            clone(classifier).set_params(checkpoint_dir=folder).fit(*reviews)
    assert list(read_only.iterdir()) == []


# -- files that change during loading ---------------------------------------------------------------------


FILES = ["sklearn_bert.json", "config.json", "model.safetensors", "head.safetensors", "tokenizer.json"]


@pytest.mark.parametrize("reading", [1, 2])
@pytest.mark.parametrize("name", FILES)
def test_file_deleted_during_loading_raises(tiny_bert, reviews, tmp_path, monkeypatch, name, reading):
    """Each file is read twice: first for its checksum, then for its content."""
    BertRegressor(tiny_bert, **ONE_EPOCH).fit(reviews[0], np.arange(48.0)).save_pretrained(tmp_path / "model")
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


def test_folder_replaced_during_loading_raises(tiny_bert, reviews, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    first, second = (BertClassifier(tiny_bert, **ONE_EPOCH | {"random_state": seed}).fit(*reviews) for seed in (0, 1))
    first.save_pretrained(folder)
    load = persistence.load_tokenizer

    def replace_folder(*args):
        tokenizer = load(*args)
        second.save_pretrained(folder)
        return tokenizer

    with monkeypatch.context() as patch:
        patch.setattr(persistence, "load_tokenizer", replace_folder)
        message = f"{str(folder)!r} was replaced while it was read. Load it again."
        with pytest.raises(OSError, match=exactly(message)):
            BertClassifier.from_pretrained(folder)
    assert torch.equal(weights_of(BertClassifier.from_pretrained(folder)), weights_of(second))
