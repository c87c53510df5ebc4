"""Storing and loading need the memory of the weights once: of an encoder whose vocabulary is nearly all of them."""

import os
import sys
from pathlib import Path

import pytest
import torch
from transformers import BertModel

from tests.benchmarks.resident import peak_above_start
from tests.benchmarks.storage_memory import LOADS, STORES, peak_of, prepare
from tests.conftest import WORDS, make_config, make_tokenizer

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak cannot be read"
)
ALLOWED = {"export_onnx": 3.0}
NEEDS_ONNX = pytest.mark.skipif(torch.__version__ < (2, 8), reason="torch cannot export the models")


@pytest.fixture(scope="module")
def large_vocabulary(tmp_path_factory):
    """A folder with the stored forms of a classifier with 61 MB of weights, the classifier, and their MiB."""
    checkpoint, folder = tmp_path_factory.mktemp("checkpoint"), tmp_path_factory.mktemp("stored")
    config = make_config(60_000, hidden_size=256, num_hidden_layers=1)
    BertModel(config).save_pretrained(checkpoint)
    make_tokenizer(WORDS).save_pretrained(checkpoint)
    return folder, *prepare(checkpoint, folder)


@pytest.mark.parametrize(
    "step",
    [*LOADS, *(pytest.param(step, marks=[pytest.mark.slow, NEEDS_ONNX] * (step == "export_onnx")) for step in STORES)],
)
def test_a_step_needs_little_more_memory_than_the_weights(large_vocabulary, step):
    folder, fitted, mib = large_vocabulary
    if step == "export_onnx":
        pytest.importorskip("onnxscript")
    assert peak_of(step, folder, fitted) / mib <= ALLOWED.get(step, 1.3)


def test_the_peak_is_that_of_a_copy():
    array, peak = peak_above_start(lambda: torch.ones(2**25, dtype=torch.uint8))
    assert 32 <= peak < 34
    assert len(array) == 2**25
    assert Path("/proc/self/status").exists()
