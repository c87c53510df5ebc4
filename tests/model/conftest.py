"""Fixtures of the tests of checkpoints: a folder to change, a hub without a network, and what a user can read."""

import logging
import shutil
import sys
from pathlib import Path

import pytest
from transformers.utils import logging as transformers_logging

from tests.model.checkpoint_folders import BIN, LIBRARIES, Hub, set_log_levels


@pytest.fixture
def no_network(tmp_path, monkeypatch):
    """Empty caches and an empty working directory; a connection fails the test; global settings are reset after it."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: pytest.fail("the test asked for a server"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    yield
    set_log_levels(logging.WARNING)
    transformers_logging.enable_progress_bar()  # the hub's too


@pytest.fixture
def folder(tiny_bert, tmp_path):
    """A copy of the checkpoint of the tiny BERT, which a test may change."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "checkpoint"))


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """A hub with one repository, 'org/name', of which the cache has no files."""
    for extra in (BIN, "README.md", "tf_model.h5", "onnx/config.json", "2_Dense/config.json", "1_a/b/c.json"):
        (folder / extra).parent.mkdir(exist_ok=True, parents=True)
        (folder / extra).write_bytes(b"not needed")
    hub = Hub(folder, tmp_path / "cache")
    monkeypatch.setattr("sklearn_bert._model.hub.snapshot_download", hub)
    monkeypatch.setattr("sklearn_bert._model.hub.model_info", hub.model_info)
    return hub


@pytest.fixture
def read_output(capfd, monkeypatch):
    """A function that returns all output since its last call, at log level INFO.

    Log handlers may hold an earlier stderr, so they get the present one.
    """
    for handler in LIBRARIES[0].handlers + LIBRARIES[1].handlers:
        if type(handler) is logging.StreamHandler:
            monkeypatch.setattr(handler, "stream", sys.stderr)
    set_log_levels(logging.INFO)
    return lambda: "".join(capfd.readouterr())
