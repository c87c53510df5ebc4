"""Arrays that fits of one process share: bounded in bytes, the least recently used one goes first.

A search fits many models on the same texts, and each would compute the same features of the same encoder again.
"""

import os
import threading
from collections import OrderedDict

import numpy as np

LIMIT_VARIABLE = "SKLEARN_BERT_CACHE_BYTES"
_DEFAULT_LIMIT = 256 * 2**20


class ArrayCache:
    """Tuples of read-only arrays, or None, by key; all methods may be called by several threads."""

    def __init__(self):
        self._arrays = OrderedDict()
        self._lock = threading.Lock()

    def get_or_compute(self, key, compute):
        """The arrays of this key; where there are none, those that `compute` gives, which are kept."""
        arrays = self.get(key)
        return self.put(key, *compute()) if arrays is None else arrays

    def get(self, key):
        """The arrays of this key, None if there are none."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def put(self, key, *arrays):
        """Keep arrays, and as many earlier ones as the limit allows; those larger than the limit are not kept.

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
    """Forget the features, and what else fits in this process share.

    While an encoder is not trained, its features of a data set are computed once in a process: those on which
    ``head_init="linear_probe"`` is solved, those that ``freeze="encoder"`` trains on and predicts from, and the vectors
    of a `BertVectorizer`. So are the token ids of training texts, and the solution of the linear probe. They change no
    result. At most 256 MiB are kept; the environment variable ``SKLEARN_BERT_CACHE_BYTES`` sets another limit, 0 keeps
    none. Features of fewer than 32 rows are not kept.

    Examples
    --------
    >>> from sklearn_bert import clear_cache
    >>> clear_cache()
    """
    SHARED_ARRAYS.clear()


def cache_limit():
    """The most bytes to keep.

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
