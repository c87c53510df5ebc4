"""Fingerprints are equal for equal data only."""

import numpy as np

from sklearn_bert._data.fingerprint import fingerprint


def test_fingerprints_of_different_values_differ():
    values = [["ab", "c"], ["a", "bc"], ["abc"], np.arange(4), np.arange(4.0), np.arange(4).reshape(2, 2)]
    values += [np.int64(3), np.float64(3), np.int64(4), np.array([3])]
    assert len({fingerprint(value) for value in values}) == len(values)


def test_fingerprints_depend_on_where_each_array_ends():
    assert fingerprint(np.arange(2), np.arange(3)) != fingerprint(np.arange(3), np.arange(2))
    assert fingerprint(np.array([5]), np.array([1, 512])) != fingerprint(np.array([5, 256]), np.array([2]))


def test_fingerprints_do_not_depend_on_the_memory_layout():
    assert fingerprint(np.arange(4)[::2]) == fingerprint(np.array([0, 2]))
    assert fingerprint(np.asfortranarray(np.eye(3))) == fingerprint(np.eye(3))
