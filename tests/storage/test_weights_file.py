"""Weights are read from a safetensors file as they were written, into memory of their own."""

import os

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from sklearn_bert._storage import weights_file
from sklearn_bert._storage.weights_file import read_weights_file

WEIGHTS = {
    "matrix": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
    "number": torch.tensor(1.5, dtype=torch.float64),
    "empty": torch.empty(0, 4),
    "low": torch.tensor([0.1, -3e38]).bfloat16(),
    "half": torch.tensor([0.1]).half(),
    "counts": torch.tensor([2**40, -1]),
    "flags": torch.tensor([True, False]),
}


@pytest.fixture
def path(tmp_path):
    save_file(WEIGHTS, tmp_path / "weights.safetensors", metadata={"format": "pt"})
    return tmp_path / "weights.safetensors"


def test_the_weights_are_those_that_were_written(path):
    found = read_weights_file(path)
    assert found.keys() == WEIGHTS.keys()
    for name, expected in WEIGHTS.items():
        assert found[name].dtype == expected.dtype
        assert torch.equal(found[name], expected)


def test_the_weights_stay_when_the_file_changes(path):
    found = read_weights_file(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert torch.equal(found["matrix"], WEIGHTS["matrix"])


def test_a_truncated_file_and_one_of_another_format_raise(path):
    content = path.read_bytes()
    for damaged in (content[:-1], content[:20], b"", b"no weights at all", content[:8] + b"}" + content[9:]):
        path.write_bytes(damaged)
        with pytest.raises((SafetensorError, OSError)):
            read_weights_file(path)
    path.unlink()
    with pytest.raises(OSError, match="weights"):
        read_weights_file(path)


def test_a_file_that_becomes_shorter_while_it_is_read_raises(path, monkeypatch):
    class Shortening:
        """Stands for `safe_open`: after the header was checked, the file loses its end."""

        def __init__(self, path, framework):
            os.truncate(path, path.stat().st_size - 1)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    monkeypatch.setattr(weights_file, "safe_open", Shortening)
    with pytest.raises(OSError, match=r"^it became shorter while it was read$"):
        read_weights_file(path)
