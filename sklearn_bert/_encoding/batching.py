"""Ragged encodings become padded batches: the dataset, the samplers that group rows by length, the collate.

A batch is as wide as its longest row, so rows of similar lengths belong together: in random order
padding would about double the work on short texts. A leaf: torch and arrays, no estimators.
"""

from itertools import chain, pairwise

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from .._data.fingerprint import fingerprint

_GROUP = 50  # batches that are sorted together: enough to pad little, few enough to mix well
_MANY = 32  # batches: of so many the last may cost as much as a whole one


class EncodedDataset(Dataset):
    """Rows of token ids with, for training, encoded y and sample weights.

    Parameters
    ----------
    tokens : Tokens
        n ragged rows.
    y : ndarray of shape (n,) or (n, num_labels), optional
        None for prediction.
    w : ndarray of shape (n,), optional
        Comes with `y`.
    n_texts : int, default=1
        Texts of a row that the encoder reads one by one: `tokens` holds the first text of every row,
        then the second of every row. A pair read as one text is one.
    n_windows : ndarray of shape (n_whole,), optional
        Consecutive rows that are windows of one text; `y` and `w` are then given per whole text, and its
        windows share its weight.
    """

    def __init__(self, tokens, y=None, w=None, n_texts=1, n_windows=None):
        self.tokens = tokens
        self.n_texts = n_texts
        self.n_windows = n_windows
        if y is not None and n_windows is not None:
            w = np.repeat(w / n_windows, n_windows)
            y, w = np.repeat(y, n_windows, axis=0), w * (len(w) / w.sum())
        self.targets = {} if y is None else {"y": y, "w": w}

    def __len__(self):
        return len(self.tokens) // self.n_texts

    @property
    def lengths(self):
        """Tokens that each row adds to a batch of rows like it, shape (n,)."""
        return self.tokens.lengths.reshape(self.n_texts, -1).max(axis=0) * self.n_texts

    def take(self, rows):
        """The dataset of these rows, in this order, without targets."""
        texts = [rows + k * len(self) for k in range(self.n_texts)]
        return EncodedDataset(self.tokens.take(np.concatenate(texts)), n_texts=self.n_texts)

    def average_windows(self, values):
        """Values of the rows, (n, k), to values of the whole texts: the means of their windows'."""
        if self.n_windows is None:
            return values
        starts = np.cumsum(self.n_windows) - self.n_windows
        return np.add.reduceat(values, starts, axis=0) / self.n_windows[:, None].astype(values.dtype)

    def rows_of(self, i):
        """The rows that are windows of whole text `i`: one, if texts are not read in windows."""
        if self.n_windows is None:
            return range(i, i + 1)
        stop = int(self.n_windows[: i + 1].sum())
        return range(stop - int(self.n_windows[i]), stop)

    def fingerprint(self):
        """A short text that tells datasets of other tokens apart."""
        return fingerprint(self.tokens.offsets, self.tokens.input_ids)

    def row_keys(self):
        """A digest of each row's tokens and y: equal for copies, whatever their weights."""
        rows = (self[i] for i in range(len(self)))
        return [fingerprint(targets["y"], *chain.from_iterable(texts)) for texts, targets in rows]

    def __getitem__(self, i):
        targets = {name: values[i] for name, values in self.targets.items()}
        return [self.tokens[i + k * len(self)] for k in range(self.n_texts)], targets

    @staticmethod
    def collate(rows, pad_token_id):
        """As `pad_collate`."""
        return pad_collate(rows, pad_token_id)


class FeatureDataset(Dataset):
    """Rows of an `EncodedDataset` as the features that a frozen encoder makes of them.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
    source : EncodedDataset
        The rows; theirs are the targets too.
    """

    def __init__(self, features, source):
        self.features = torch.from_numpy(features)
        self.targets = {name: torch.as_tensor(values) for name, values in source.targets.items()}
        self.row_keys, self.average_windows, self.fingerprint = (
            source.row_keys,
            source.average_windows,
            source.fingerprint,
        )

    def __len__(self):
        return len(self.features)

    @property
    def lengths(self):
        """Ones: all rows are as wide."""
        return np.ones(len(self), dtype=np.int64)

    def __getitems__(self, rows):
        """A whole batch at once, as a DataLoader asks for it."""
        return {"features": self.features[rows]}, {name: values[rows] for name, values in self.targets.items()}

    @staticmethod
    def collate(batch, pad_token_id):
        """The batch, as it is."""
        return batch


class LengthGroupedSampler(Sampler):
    """Random batches of rows of similar lengths, for training.

    Each epoch draws a new permutation, sorts every stretch of 50 batches by length, cuts it into
    batches and shuffles these. Every row comes once an epoch.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
    batch_size : int
    generator : torch.Generator
        Source of the permutations; its state moves on from epoch to epoch.
    """

    def __init__(self, lengths, batch_size, generator):
        self.lengths, self.batch_size, self.generator = lengths, batch_size, generator

    def __len__(self):
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self):
        order = torch.randperm(len(self.lengths), generator=self.generator).numpy()
        stretch = self.batch_size * _GROUP
        batches = []
        for start in range(0, len(order), stretch):
            group = order[start : start + stretch]
            group = group[np.argsort(-self.lengths[group], kind="stable")]
            batches += [group[i : i + self.batch_size] for i in range(0, len(group), self.batch_size)]
        for i in torch.randperm(len(batches), generator=self.generator).tolist():
            yield batches[i].tolist()


class TokenBudgetSampler(Sampler):
    """Batches from the longest rows to the shortest, each of at most `max_tokens` padded tokens, for prediction.

    The longest come first, so that a lack of memory shows at once. A row longer than the budget
    gets a batch of its own. The last of many batches is filled up with copies of its last row: on a CPU
    torch keeps kernels for each shape that it meets, some megabytes, and texts that are predicted chunk by
    chunk would add a shape with each chunk.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
    max_tokens : int
        Most tokens of a batch, padding included.
    part : slice, default=slice(None)
        Which of the rows, from the longest to the shortest, are to come.

    Attributes
    ----------
    order : ndarray of shape (n_part,)
        The rows in the order in which the batches hold them.
    """

    def __init__(self, lengths, max_tokens, part=slice(None)):
        self.order = np.argsort(-lengths, kind="stable")[part]
        self._bounds = [0]
        while self._bounds[-1] < len(self.order):
            size = max(1, max_tokens // lengths[self.order[self._bounds[-1]]])
            self._bounds.append(min(self._bounds[-1] + size, len(self.order)))
        self._n_copies = size - (self._bounds[-1] - self._bounds[-2]) if len(self) >= _MANY else 0

    def __len__(self):
        return len(self._bounds) - 1

    def __iter__(self):
        for start, stop in pairwise(self._bounds):
            rows = self.order[start:stop].tolist()
            yield rows + rows[-1:] * (self._n_copies if stop == len(self.order) else 0)


def pad_collate(rows, pad_token_id):
    """A list of dataset rows to a batch as wide as its longest row.

    Returns
    -------
    inputs : dict of torch.Tensor of shape (B * n_texts, T), int64
        ``input_ids``, ``attention_mask`` (0 on padding) and ``token_type_ids``; the texts of a row
        follow one another.
    targets : dict of torch.Tensor
        ``y`` of shape (B,) or (B, num_labels) and ``w`` of shape (B,); empty for prediction.
    """
    texts, targets = zip(*rows, strict=True)
    ids, types = zip(*chain.from_iterable(texts), strict=True)
    lengths = np.array([len(row) for row in ids])
    filled = np.arange(lengths.max()) < lengths[:, None]  # (B * n_texts, T)
    inputs = {
        "input_ids": _pad(ids, filled, pad_token_id),
        "attention_mask": torch.from_numpy(filled.astype(np.int64)),
        "token_type_ids": _pad(types, filled, 0),
    }
    return inputs, {name: torch.as_tensor(np.stack([row[name] for row in targets])) for name in targets[0]}


def micro_batches(inputs, targets, max_tokens, n_texts=1, max_rows=None):
    """A batch in pieces of at most `max_tokens` padded tokens, one row at least, each as wide as its longest row.

    Parameters
    ----------
    inputs, targets : dict of torch.Tensor
        As `pad_collate` gives them.
    max_tokens : int or float
    n_texts : int, default=1
        Texts of a row.
    max_rows : int, optional

    Yields
    ------
    inputs, targets : dict of torch.Tensor
    """
    n_rows, width = len(inputs["input_ids"]) // n_texts, inputs["input_ids"].shape[1]
    size = int(max(1, min(max_tokens // (n_texts * width), max_rows or n_rows, n_rows)))
    for start in range(0, n_rows, size):
        texts = slice(start * n_texts, (start + size) * n_texts)
        longest = int(inputs["attention_mask"][texts].sum(dim=1).max())
        yield (
            {name: values[texts, :longest] for name, values in inputs.items()},
            {name: values[start : start + size] for name, values in targets.items()},
        )


def _pad(rows, filled, value):
    padded = np.full(filled.shape, value, dtype=np.int64)
    padded[filled] = np.concatenate(rows)
    return torch.from_numpy(padded)
