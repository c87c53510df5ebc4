"""Stratified sampling of rows: for validation, and for the linear probe."""

import numpy as np
import pytest

from sklearn_bert._data.sampling import MAX_PROBE_ROWS, merge_copies, sample_rows
from sklearn_bert._data.targets import TARGETS

SINGLE, MULTI, REGRESSION = TARGETS
NUMBERS = REGRESSION


# -- validation rows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.3, 0.5])
def test_validation_rows_hold_the_fraction_of_each_class(fraction):
    y = np.repeat(["a", "b", "c"], [100, 40, 20])
    held_out = TARGETS[SINGLE].choose_validation_rows(y, fraction, seed=0)
    assert held_out.sum() == round(fraction * len(y))
    for label, size in (("a", 100), ("b", 40), ("c", 20)):
        assert abs(held_out[y == label].sum() - fraction * size) <= 1


def test_validation_rows_hold_the_fraction_of_each_combination_of_labels():
    combinations = np.array([[0, 0], [0, 1], [1, 1]])
    y = np.repeat(combinations, [60, 30, 20], axis=0)
    held_out = TARGETS[MULTI].choose_validation_rows(y, 0.2, seed=0)
    for combination, size in zip(combinations, (60, 30, 20), strict=True):
        assert abs(held_out[(y == combination).all(axis=1)].sum() - 0.2 * size) <= 1


def test_validation_rows_of_many_labels_represent_all_rows():
    """Most combinations of labels occur once, in rows with more labels than others have."""
    rng = np.random.default_rng(0)
    y = (rng.random((2000, 20)) < np.geomspace(0.005, 0.4, 20)).astype(int)
    for seed in range(5):
        held_out = TARGETS[MULTI].choose_validation_rows(y, 0.1, seed)
        assert held_out.sum() == 200
        assert y[held_out].sum(axis=1).mean() == pytest.approx(y.sum(axis=1).mean(), rel=0.1)
        rare = y.sum(axis=0) < 100
        assert rare.sum() >= 5
        np.testing.assert_allclose(y[held_out][:, rare].sum(axis=0), 0.1 * y[:, rare].sum(axis=0), atol=4)


def test_validation_rows_hold_the_fraction_if_all_combinations_differ():
    y = np.arange(64)[:, None] >> np.arange(6) & 1
    assert TARGETS[MULTI].choose_validation_rows(y, 0.5, seed=0).sum() == 32


def test_training_rows_keep_every_label():
    """Labels of one, two or three rows, most of which have a combination of labels that no other row has."""
    rng = np.random.default_rng(0)
    y = np.zeros((60, 40), dtype=int)
    for label in range(40):
        y[rng.choice(60, 1 + label % 3, replace=False), label] = 1
    for seed in range(50):
        held_out = TARGETS[MULTI].choose_validation_rows(y, 0.5, seed)
        assert (y[~held_out].sum(axis=0) > 0).all()
        assert held_out.sum() >= 5


def test_label_without_rows_does_not_change_the_validation_rows():
    y = np.arange(64)[:, None] >> np.arange(6) & 1
    extended = np.column_stack([y, np.zeros(64, dtype=int)])
    expected, found = (TARGETS[MULTI].choose_validation_rows(rows, 0.5, seed=0) for rows in (y, extended))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("n", [4, 6, 10, 15, 19])
def test_validation_rows_hold_the_fraction_of_few_numbers(n):
    for seed in range(20):
        assert TARGETS[NUMBERS].choose_validation_rows(np.arange(float(n)), 0.5, seed).sum() == n // 2


@pytest.mark.parametrize("shape", [(200,), (200, 2)])
def test_validation_rows_represent_all_quantiles_of_numbers(shape):
    y = np.random.default_rng(0).lognormal(size=shape)
    held_out = TARGETS[NUMBERS].choose_validation_rows(y, 0.2, seed=0)
    assert held_out.sum() == 40
    size = y.reshape(200, -1).mean(axis=1)
    for low, high in ((0, 0.1), (0.45, 0.55), (0.9, 1.0)):
        part = (size >= np.quantile(size, low)) & (size <= np.quantile(size, high))
        assert 2 <= held_out[part].sum() <= 6


def test_training_rows_keep_every_class():
    y = np.array(["only"] + ["twice"] * 2 + ["often"] * 20, dtype=object)
    for seed in range(50):
        held_out = TARGETS[SINGLE].choose_validation_rows(y, 0.5, seed)
        assert set(y[~held_out]) == set(y)


def test_validation_rows_depend_on_the_seed():
    y = np.arange(300) % 3
    masks = [TARGETS[SINGLE].choose_validation_rows(y, 0.1, seed) for seed in (0, 0, 1)]
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_training_rows_remain_if_there_are_few_rows(n):
    held_out = TARGETS[NUMBERS].choose_validation_rows(np.arange(float(n)), 0.5, seed=0)
    assert held_out.sum() <= n // 2


# -- copies --------------------------------------------------------------------------------------------


def test_merge_copies_sums_the_weights_of_equal_rows():
    rows, weight = merge_copies(["b", "a", "b", "c", "a", "b"], np.array([1.0, 1, 2, 1, 3, 1]))
    np.testing.assert_array_equal(rows, [0, 1, 3])
    np.testing.assert_array_equal(weight, [4, 4, 1])


# -- a sample of many rows ------------------------------------------------------------------------------


def targets_and_weights(kind, n):
    """Random encoded targets of three classes, labels or outputs, and weights of the rows."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(n, 3))
    y = {SINGLE: scores.argmax(axis=1), MULTI: (scores > 0).astype(float), REGRESSION: scores}[kind]
    return y, rng.integers(1, 4, n).astype(float)


def shares(labels, weight):
    return np.bincount(labels, weight) / weight.sum()


@pytest.mark.parametrize("kind", [SINGLE, MULTI, REGRESSION])
def test_sample_rows_returns_about_the_maximum_and_is_repeatable(kind):
    y, w = targets_and_weights(kind, n=20000)
    rows, weight = sample_rows(TARGETS[kind].probe_strata(y), y, w, seed=0)
    assert len(np.unique(rows)) == len(rows) == len(weight)
    assert 0.9 * MAX_PROBE_ROWS < len(rows) <= MAX_PROBE_ROWS + 10
    for one, other in zip((rows, weight), sample_rows(TARGETS[kind].probe_strata(y), y, w, seed=0), strict=True):
        np.testing.assert_array_equal(one, other)
    if kind != REGRESSION:  # numbers without ties have only one order
        assert not np.array_equal(rows, sample_rows(TARGETS[kind].probe_strata(y), y, w, seed=1)[0])


def test_sample_rows_keeps_the_distribution_of_numbers():
    y = np.random.default_rng(0).normal(size=(9000, 1))
    rows, _ = sample_rows(TARGETS[REGRESSION].probe_strata(y), y, np.ones(9000), seed=0)
    quantiles = np.linspace(0.01, 0.99, 21)
    np.testing.assert_allclose(np.quantile(y[rows], quantiles), np.quantile(y, quantiles), atol=0.05)


@pytest.mark.parametrize("frequencies", [[0.7, 0.25, 0.05], [0.999, 0.0005, 0.0005], np.full(500, 1 / 500)])
def test_sample_rows_keeps_every_class_and_its_share_of_weight(frequencies):
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(len(frequencies)), rng.choice(len(frequencies), 20000, p=frequencies)])
    w = rng.uniform(0.5, 2, len(y))
    rows, weight = sample_rows(TARGETS[SINGLE].probe_strata(y), y, w, seed=0)
    np.testing.assert_allclose(shares(y[rows], weight), shares(y, w), rtol=1e-9)


def test_sample_rows_keeps_rare_labels_and_their_share_of_weight():
    rng = np.random.default_rng(0)
    y = (rng.random((40000, 6)) < [0.3, 0.2, 0.1, 0.05, 0.0005, 0]).astype(float)
    rows, weight = sample_rows(TARGETS[MULTI].probe_strata(y), y, np.ones(40000), seed=0)
    assert y[rows, 4].sum() >= 5
    np.testing.assert_allclose(weight @ y[rows] / weight.sum(), y.mean(axis=0), rtol=0.1)


def test_sample_rows_keeps_heavy_rows_and_their_share_of_weight():
    """Five rows hold half of the weight: the sample has all five, with half of its weight."""
    y, w = np.random.default_rng(0).normal(size=(20000, 1)), np.ones(20000)
    w[:5] = 4000
    rows, weight = sample_rows(TARGETS[REGRESSION].probe_strata(y), y, w, seed=0)
    assert set(range(5)) <= set(rows)
    assert weight[rows < 5].sum() / weight.sum() == pytest.approx(0.5, rel=0.01)


def test_sample_rows_returns_all_rows_below_the_maximum():
    w = np.linspace(1, 2, 50)
    rows, weight = sample_rows(TARGETS[REGRESSION].probe_strata(np.zeros(50)), np.zeros(50), w, seed=0)
    np.testing.assert_array_equal(rows, np.arange(50))
    np.testing.assert_array_equal(weight, w)
