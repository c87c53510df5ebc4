"""Pickle and copy a fitted estimator: its state is converted to plain values and back.

The net is stored as arrays, the config as JSON, the tokenizer as the content of its files. So a pickle holds the
weights once and no code of torch or transformers, its hash does not change with use, and skops can store an estimator,
too.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Self

import torch

from .._encoding.text_encoder import TextEncoder
from .._model.checkpoint import config_from_json, load_tokenizer
from .._runtime.device import resolve_available, seeded
from .._training.inference_net import InferenceNet
from .versions import PICKLE_FORMAT, check_format, versions, warn_if_versions_differ


class PicklableMixin:
    """Pickling and copying for estimators that have a `net_` and compute on `device` in `precision`."""

    net_class: type[InferenceNet] = InferenceNet

    def __copy__(self) -> Self:
        """Return a shallow copy, which shares the net."""
        twin = type(self).__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __getstate__(self):
        state = super().__getstate__() | {"_stored": {"format": PICKLE_FORMAT, "versions": versions()}}
        # The class of a path depends on the system: a PosixPath cannot be created on Windows.
        state |= {name: PurePath(value) for name, value in state.items() if isinstance(value, Path)}
        if "net_" in state:
            settings = {name: value for name, value in vars(self._text_encoder).items() if name != "tokenizer"}
            state |= {
                "net_": self.net_.to_plain(),
                "tokenizer_": _files_of(self.tokenizer_),
                "_text_encoder": settings,
            }
        return state

    def __setstate__(self, state):
        state = {name: Path(value) if isinstance(value, PurePath) else value for name, value in state.items()}
        stored = state.pop("_stored", {})
        check_format(stored.get("format"), stored.get("versions"), "The pickle", PICKLE_FORMAT)
        warn_if_versions_differ(type(self).__name__, stored["versions"])
        if "net_" in state:
            with seeded(0, torch.device("cpu")):  # one thread at a time loads
                # The tokenizer first: parsing it needs much memory for a moment, which the weights should not add to.
                tokenizer = _tokenizer_of(state["tokenizer_"], config_from_json(state["net_"]["config"]))
                net = self.net_class.from_plain(state["net_"])
            text_encoder = TextEncoder(tokenizer, **state["_text_encoder"])
            state |= {"net_": net, "tokenizer_": tokenizer, "_text_encoder": text_encoder}
        super().__setstate__(state)
        if "net_" in state:
            self._move_to_available_device()

    def _move_to_available_device(self, precision=None):
        """Move the net to an available device; `precision=None` is that of the fit, resolved again if it was "auto"."""
        if precision is None:
            precision = "auto" if self.precision == "auto" else self.net_.precision
        device, precision = resolve_available(self.device, precision)
        if (device, precision) != (torch.device(self.net_.device), self.net_.precision):
            self.net_.move(device, precision, or_float32=self.precision == "auto")


def _files_of(tokenizer):
    """The content of a tokenizer's files, as a dict of bytes by file name."""
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}


def _tokenizer_of(files, config):
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / Path(name).name).write_bytes(content)
        return load_tokenizer(folder, config)
