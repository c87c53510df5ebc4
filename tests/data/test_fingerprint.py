"""Digests are equal for equal data, and for nothing else."""

import numpy as np

from sklearn_bert._data.fingerprint import fingerprint


def test_digests_tell_texts_arrays_and_numbers_apart():
    values = [["ab", "c"], ["a", "bc"], ["abc"], np.arange(4), np.arange(4.0), np.arange(4).reshape(2, 2)]
    values += [np.int64(3), np.float64(3), np.int64(4), np.array([3])]
    assert len({fingerprint(value) for value in values}) == len(values)


def test_digests_tell_apart_where_one_array_ends():
    assert fingerprint(np.arange(2), np.arange(3)) != fingerprint(np.arange(3), np.arange(2))
    assert fingerprint(np.array([5]), np.array([1, 512])) != fingerprint(np.array([5, 256]), np.array([2]))


def test_digests_are_of_the_values_however_they_lie_in_memory():
    assert fingerprint(np.arange(4)[::2]) == fingerprint(np.array([0, 2]))
    assert fingerprint(np.asfortranarray(np.eye(3))) == fingerprint(np.eye(3))
