"""Datasets of rows, as token ids or as features, and their batches.

A batch of tokens is padded to its longest row. This file knows torch and arrays, no estimators.
"""

from itertools import chain
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from .._data.fingerprint import fingerprint


class RowDataset(Protocol):
    """What a net trains on and predicts: n rows, as token ids or as features.

    Attributes
    ----------
    targets : dict
        ``y`` and ``w`` of each row; empty for prediction.
    lengths : ndarray of shape (n,)
        The size that each row adds to a batch of similar rows.
    """

    targets: dict
    lengths: np.ndarray

    def __len__(self): ...

    def collate(self, rows, pad_token_id):
        """Combine rows of the dataset into a batch and a dict of target tensors."""

    def features_of(self, rows, encode):
        """Features of these rows, (len(rows), n_features); `encode` computes those of a dataset of tokens."""

    def average_windows(self, values):
        """Average the values of the rows, (n, k), over the windows of each text: (n_texts, k)."""

    def row_keys(self):
        """A hashable key for each row: equal for copies of a row, even with different weights."""

    def fingerprint(self):
        """A short str, equal for equal tokens."""


class TokenBatch(dict):
    """``input_ids``, ``attention_mask`` and ``token_type_ids`` of some rows, each of shape (B * n_texts, T), int64.

    The texts of a row follow each other.

    Parameters
    ----------
    tensors : dict of torch.Tensor
    n_texts : int
        Number of texts per row.
    """

    needs_encoder = True

    def __init__(self, tensors, n_texts):
        super().__init__(tensors)
        self.n_texts = n_texts

    @property
    def n_rows(self):
        """Number of rows, B."""
        return len(self["input_ids"]) // self.n_texts

    @property
    def row_size(self):
        """Tokens of a row, padding included."""
        return self.n_texts * self["input_ids"].shape[1]

    def costs(self):
        """Tokens of each row, without padding, (B,)."""
        return self["attention_mask"].reshape(self.n_rows, -1).sum(dim=1).numpy()

    def rows(self, start, stop):
        """The batch of rows `start` to `stop`, cut to its longest row."""
        texts = slice(start * self.n_texts, stop * self.n_texts)
        longest = int(self["attention_mask"][texts].sum(dim=1).max()) if start < stop else 0
        return TokenBatch({name: values[texts, :longest] for name, values in self.items()}, self.n_texts)

    def logits(self, module, device):
        """(B, num_labels) logits of a `BertModule` on the device."""
        return module(**_on(device, self), return_dict=False)[0]

    def features(self, module, device):
        """(B, H) features, or (B, 4 H) of a bi-encoder."""
        return module.features(**_on(device, self))


class FeatureBatch(dict):
    """``features`` of some rows, (B, n_features): what the head takes."""

    needs_encoder = False

    @property
    def n_rows(self):
        """Number of rows, B."""
        return len(self["features"])

    def costs(self):
        """Ones, (B,): all rows are equally expensive."""
        return np.ones(self.n_rows)

    def rows(self, start, stop):
        """The `FeatureBatch` of rows `start` to `stop`."""
        return FeatureBatch(features=self["features"][start:stop])

    def logits(self, module, device):
        """(B, num_labels) logits of a `BertModule` on the device."""
        return module.head(**_on(device, self))


def _on(device, batch):
    return {name: values.to(device) for name, values in batch.items()}


class EncodedDataset(Dataset):
    """Rows of token ids with, for training, encoded y and sample weights: a `RowDataset`.

    Parameters
    ----------
    tokens : Tokens
        n * n_texts rows of token ids.
    y : ndarray of shape (n,) or (n, num_labels), optional
        None for prediction. If rows are windows, one value per text.
    w : ndarray of shape (n,), optional
        Given together with `y`. The windows of a text share its weight.
    n_texts : int, default=1
        Number of texts per row: 2 for a bi-encoder, which takes pairs as consecutive rows of token ids.
    """

    def __init__(self, tokens, y=None, w=None, n_texts=1):
        self.tokens = tokens
        self.n_texts = n_texts
        if y is not None and tokens.n_windows is not None:
            w = np.repeat(w / tokens.n_windows, tokens.n_windows)
            y, w = np.repeat(y, tokens.n_windows, axis=0), w * (len(w) / w.sum())
        self.targets = {} if y is None else {"y": y, "w": w}

    def __len__(self):
        return len(self.tokens) // self.n_texts

    @property
    def n_windows(self):
        """Number of consecutive rows that are windows of each text, (n_texts,); None if texts are single rows."""
        return self.tokens.n_windows

    @property
    def lengths(self):
        """The number of tokens that each row adds to a batch of similar rows, (n,)."""
        return self.tokens.lengths.reshape(-1, self.n_texts).max(axis=1) * self.n_texts

    def take(self, rows):
        """The dataset of these rows, in this order and without targets; `rows` is an ndarray of int."""
        texts = rows[:, None] * self.n_texts + np.arange(self.n_texts)
        return EncodedDataset(self.tokens.take(texts.ravel()), n_texts=self.n_texts)

    def features_of(self, rows, encode):
        """Features of these rows: what `encode` returns for a dataset of them."""
        return encode(self.take(rows))

    def average_windows(self, values):
        """Average the values of the rows, (n, k), over the windows of each text: (n_texts, k)."""
        if self.n_windows is None:
            return values
        starts = np.cumsum(self.n_windows) - self.n_windows
        return np.add.reduceat(values, starts, axis=0) / self.n_windows[:, None].astype(values.dtype)

    def rows_of(self, i):
        """The rows that are windows of text `i`; one row if texts are not split into windows."""
        if self.n_windows is None:
            return range(i, i + 1)
        stop = int(self.n_windows[: i + 1].sum())
        return range(stop - int(self.n_windows[i]), stop)

    def fingerprint(self):
        """A short str, equal for equal tokens."""
        return fingerprint(self.tokens.offsets, self.tokens.input_ids)

    def row_keys(self):
        """A fingerprint of each row's tokens and y: equal for copies of a row, even with different weights."""
        rows = (self[i] for i in range(len(self)))
        return [fingerprint(targets["y"], *chain.from_iterable(texts)) for texts, targets in rows]

    def __getitem__(self, i):
        targets = {name: values[i] for name, values in self.targets.items()}
        return [self.tokens[i * self.n_texts + k] for k in range(self.n_texts)], targets

    @staticmethod
    def collate(rows, pad_token_id):
        """Combine a list of rows into a padded `TokenBatch` and a dict of targets, see `pad_collate`."""
        return pad_collate(rows, pad_token_id)


class FeatureDataset(Dataset):
    """The features that a frozen encoder computes for the rows of an `EncodedDataset`: a `RowDataset`.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
    source : EncodedDataset
        The rows, with their targets.
    """

    def __init__(self, features, source):
        self.features = torch.from_numpy(features)
        self.targets = {name: torch.as_tensor(values) for name, values in source.targets.items()}
        self.row_keys, self.average_windows = source.row_keys, source.average_windows
        self.fingerprint = source.fingerprint

    def __len__(self):
        return len(self.features)

    @property
    def lengths(self):
        """Ones, (n,): all rows are equally wide."""
        return np.ones(len(self), dtype=np.int64)

    def features_of(self, rows, encode):
        """Features of these rows; they are already computed, so `encode` is not called."""
        return self.features[rows].numpy()

    def __getitems__(self, rows):
        """A whole batch at once: a DataLoader calls this method if there is one."""
        return FeatureBatch(features=self.features[rows]), {name: v[rows] for name, v in self.targets.items()}

    @staticmethod
    def collate(batch, pad_token_id):
        """Return the batch of `__getitems__`, which needs no padding."""
        return batch


class KnownFeatures(FeatureDataset):
    """Features for prediction, in the batches that the texts would have: other batches would change the last bits."""

    def __init__(self, features, source):
        super().__init__(features, source)
        self._lengths = source.lengths

    @property
    def lengths(self):
        """The number of tokens that each text adds to a batch, (n,)."""
        return self._lengths


def pad_collate(rows, pad_token_id):
    """Combine a list of dataset rows into a batch, padded to its longest row.

    Parameters
    ----------
    rows : list of rows of an `EncodedDataset`
    pad_token_id : int

    Returns
    -------
    inputs : TokenBatch
        ``attention_mask`` is 0 on padding.
    targets : dict of torch.Tensor
        ``y`` of shape (B,) or (B, num_labels) and ``w`` of shape (B,); empty for prediction.
    """
    texts, targets = zip(*rows, strict=True)
    ids, types = zip(*chain.from_iterable(texts), strict=True)
    lengths = np.array([len(row) for row in ids])
    filled = np.arange(lengths.max()) < lengths[:, None]  # (B * n_texts, T)
    tensors = {
        "input_ids": _pad(ids, filled, pad_token_id),
        "attention_mask": torch.from_numpy(filled.astype(np.int64)),
        "token_type_ids": _pad(types, filled, 0),
    }
    targets = {name: torch.as_tensor(np.stack([row[name] for row in targets])) for name in targets[0]}
    return TokenBatch(tensors, len(texts[0])), targets


def micro_batches(inputs, targets, max_tokens, max_rows=None):
    """Split a batch into pieces of at most `max_tokens` padded tokens, each with at least one row.

    Each piece is cut to its longest row.

    Parameters
    ----------
    inputs : TokenBatch or FeatureBatch
    targets : dict of torch.Tensor
    max_tokens : int or float
    max_rows : int, optional

    Yields
    ------
    inputs : TokenBatch or FeatureBatch
    targets : dict of torch.Tensor
    """
    n_rows = inputs.n_rows
    size = n_rows
    if inputs.needs_encoder:  # else a row is a handful of numbers
        size = int(min(max_tokens // max(1, inputs.row_size), max_rows or n_rows, n_rows))
    size = max(1, size)
    for start in range(0, n_rows, size):
        stop = min(start + size, n_rows)
        yield inputs.rows(start, stop), {name: values[start:stop] for name, values in targets.items()}


def _pad(rows, filled, value):
    padded = np.full(filled.shape, value, dtype=np.int64)
    padded[filled] = np.concatenate(rows)
    return torch.from_numpy(padded)
