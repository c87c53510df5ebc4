"""Put rows of similar lengths into a batch, so that there is little padding.

In random order, padding would about double the time for short texts.
"""

from itertools import pairwise

import numpy as np
import torch
from torch.utils.data import Sampler

_GROUP = 50  # batches that are sorted together: with more there is less padding, with fewer more randomness
_MANY = 32  # batches: with so many, filling up the last one costs little


class LengthGroupedSampler(Sampler):
    """Random batches of rows of similar lengths, for training.

    Each epoch draws a new permutation, sorts every stretch of 50 batches by length, cuts it into
    batches and shuffles these. Every row is in one batch per epoch.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
    batch_size : int
    generator : torch.Generator
        Source of the permutations.
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

    The longest come first, so that a lack of memory is noticed at once. A row longer than the budget
    gets a separate batch. The last of many batches is filled up with copies of its last row: on a CPU
    torch caches kernels of some megabytes for each shape, and texts that are predicted chunk by
    chunk would add a shape with each chunk.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
    max_tokens : int
        Maximum number of tokens of a batch, padding included.
    part : slice, default=slice(None)
        Which of the rows, sorted from the longest to the shortest, to use.
    one_length : bool, default=False
        Whether all rows of a batch have the same length, so that nothing is padded.

    Attributes
    ----------
    order : ndarray of shape (n_part,)
        The rows in the order in which the batches hold them.
    """

    def __init__(self, lengths, max_tokens, part=slice(None), one_length=False):
        self.order = np.argsort(-lengths, kind="stable")[part]
        falling = -lengths[self.order]
        self._bounds = [0]
        while self._bounds[-1] < len(self.order):
            start = self._bounds[-1]
            size = max(1, max_tokens // -falling[start])
            end = np.searchsorted(falling, falling[start], side="right") if one_length else len(self.order)
            self._bounds.append(min(start + size, int(end)))
        self._n_copies = size - (self._bounds[-1] - self._bounds[-2]) if len(self) >= _MANY else 0

    def __len__(self):
        return len(self._bounds) - 1

    def __iter__(self):
        for start, stop in pairwise(self._bounds):
            rows = self.order[start:stop].tolist()
            yield rows + rows[-1:] * (self._n_copies if stop == len(self.order) else 0)
