"""Arrays that the fits of one process share. Their total size is limited; the least recently used are removed first.

A search fits many models on the same texts, and each would compute the same features of the same encoder again.
"""

import os
import threading
from collections import OrderedDict

import numpy as np

LIMIT_VARIABLE = "SKLEARN_BERT_CACHE_BYTES"
_DEFAULT_LIMIT = 256 * 2**20


class ArrayCache:
    """A cache of tuples of read-only arrays (or None) by key; several threads may call its methods."""

    def __init__(self):
        self._arrays = OrderedDict()
        self._lock = threading.Lock()

    def get_or_compute(self, key, compute):
        """Return the arrays of this key; if there are none, store and return those that `compute()` returns."""
        arrays = self.get(key)
        return self.put(key, *compute()) if arrays is None else arrays

    def get(self, key):
        """Return the arrays of this key, or None if there are none."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def put(self, key, *arrays):
        """Store arrays, and remove the least recently used ones until the limit is kept.

        Arrays larger than the limit are not stored.

        Returns
        -------
        arrays : tuple of ndarray or None
            The same values, read-only.
        """
        arrays = tuple(array if array is None else np.ascontiguousarray(array) for array in arrays)
        for array in filter(_is_array, arrays):
            array.flags.writeable = False
        with self._lock:
            self._arrays[key] = arrays
            self._arrays.move_to_end(key)
            while self._n_bytes() > cache_limit():
                self._arrays.popitem(last=False)
        return arrays

    def clear(self):
        """Remove all arrays."""
        with self._lock:
            self._arrays.clear()

    @property
    def n_bytes(self):
        """Total size of the arrays in bytes."""
        with self._lock:
            return self._n_bytes()

    def _n_bytes(self):
        return sum(array.nbytes for arrays in self._arrays.values() for array in filter(_is_array, arrays))


def _is_array(value):
    return value is not None


SHARED_ARRAYS = ArrayCache()

if hasattr(os, "register_at_fork"):  # a lock held during a fork would stay locked in the child
    os.register_at_fork(after_in_child=lambda: setattr(SHARED_ARRAYS, "_lock", threading.Lock()))


def clear_cache() -> None:
    """Remove the cached features, token ids and linear probes that the fits of this process share.

    As long as an encoder is not trained, its features of a data set are computed once per process: those on which
    ``head_init="linear_probe"`` is solved, those that ``freeze="encoder"`` trains on and predicts from, and the vectors
    of a `BertVectorizer`. The token ids of training texts and the solution of the linear probe are cached, too. The
    cache does not change any result. It holds at most 256 MiB; the environment variable ``SKLEARN_BERT_CACHE_BYTES``
    sets another limit, and 0 turns it off. Features of fewer than 32 rows are not cached.

    Examples
    --------
    >>> from sklearn_bert import clear_cache
    >>> clear_cache()
    """
    SHARED_ARRAYS.clear()


def cache_limit():
    """The limit of the cache in bytes.

    Raises
    ------
    ValueError
        If the environment variable is not a number of bytes.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    if text and not text.isdecimal():
        raise ValueError(
            f"The environment variable {LIMIT_VARIABLE} is {text!r}, expected a number of bytes such as 268435456. Set "
            "it to one, to 0 for no cache, or remove it."
        )
    return int(text) if text else _DEFAULT_LIMIT
