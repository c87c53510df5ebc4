"""Rows set apart stand for all rows, and the best epoch is the best one."""

import numpy as np
import pytest
import torch

from sklearn_bert._validation import BestEpoch, holdout_rows

SINGLE, MULTI, NUMBERS = "single_label_classification", "multi_label_classification", "regression"


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.3, 0.5])
def test_each_class_gives_its_share(fraction):
    y = np.repeat(["a", "b", "c"], [100, 40, 20])
    apart = holdout_rows(SINGLE, y, fraction, seed=0)
    assert apart.sum() == round(fraction * len(y))
    for label, size in (("a", 100), ("b", 40), ("c", 20)):
        assert abs(apart[y == label].sum() - fraction * size) <= 1


def test_each_pattern_of_labels_gives_its_share():
    patterns = np.array([[0, 0], [0, 1], [1, 1]])
    y = np.repeat(patterns, [60, 30, 20], axis=0)
    apart = holdout_rows(MULTI, y, 0.2, seed=0)
    for pattern, size in zip(patterns, (60, 30, 20), strict=True):
        assert abs(apart[(y == pattern).all(axis=1)].sum() - 0.2 * size) <= 1


def test_of_many_labels_all_kinds_of_rows_are_set_apart():
    """Most patterns occur once, and rows with such a pattern have more labels than others."""
    rng = np.random.default_rng(0)
    y = (rng.random((2000, 20)) < np.geomspace(0.005, 0.4, 20)).astype(int)
    for seed in range(5):
        apart = holdout_rows(MULTI, y, 0.1, seed)
        assert apart.sum() == 200
        assert y[apart].sum(axis=1).mean() == pytest.approx(y.sum(axis=1).mean(), rel=0.1)
        rare = y.sum(axis=0) < 100
        assert rare.sum() >= 5
        np.testing.assert_allclose(y[apart][:, rare].sum(axis=0), 0.1 * y[:, rare].sum(axis=0), atol=4)


def test_patterns_that_all_differ_give_their_share_too():
    y = np.arange(64)[:, None] >> np.arange(6) & 1
    assert holdout_rows(MULTI, y, 0.5, seed=0).sum() == 32


def test_no_label_loses_all_its_rows():
    """Labels of one, two or three rows among rows with patterns of their own."""
    rng = np.random.default_rng(0)
    y = np.zeros((60, 40), dtype=int)
    for label in range(40):
        y[rng.choice(60, 1 + label % 3, replace=False), label] = 1
    for seed in range(50):
        apart = holdout_rows(MULTI, y, 0.5, seed)
        assert (y[~apart].sum(axis=0) > 0).all()
        assert apart.sum() >= 5


def test_a_label_that_no_row_has_changes_nothing():
    y = np.arange(64)[:, None] >> np.arange(6) & 1
    with_none = np.column_stack([y, np.zeros(64, dtype=int)])
    np.testing.assert_array_equal(holdout_rows(MULTI, with_none, 0.5, seed=0), holdout_rows(MULTI, y, 0.5, seed=0))


@pytest.mark.parametrize("n", [4, 6, 10, 15, 19])
def test_of_few_numbers_the_fraction_is_set_apart_as_well(n):
    for seed in range(20):
        assert holdout_rows(NUMBERS, np.arange(float(n)), 0.5, seed).sum() == n // 2


@pytest.mark.parametrize("shape", [(200,), (200, 2)])
def test_numbers_of_all_sizes_are_set_apart(shape):
    y = np.random.default_rng(0).lognormal(size=shape)
    apart = holdout_rows(NUMBERS, y, 0.2, seed=0)
    assert apart.sum() == 40
    size = y.reshape(200, -1).mean(axis=1)
    for low, high in ((0, 0.1), (0.45, 0.55), (0.9, 1.0)):
        part = (size >= np.quantile(size, low)) & (size <= np.quantile(size, high))
        assert 2 <= apart[part].sum() <= 6


def test_no_class_loses_all_its_rows():
    y = np.array(["only"] + ["twice"] * 2 + ["often"] * 20, dtype=object)
    for seed in range(50):
        apart = holdout_rows(SINGLE, y, 0.5, seed)
        assert set(y[~apart]) == set(y)


def test_the_seed_decides():
    y = np.arange(300) % 3
    masks = [holdout_rows(SINGLE, y, 0.1, seed) for seed in (0, 0, 1)]
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows_leave_some_to_train_on(n):
    apart = holdout_rows(NUMBERS, np.arange(float(n)), 0.5, seed=0)
    assert apart.sum() <= n // 2


def run(scores_and_losses, patience=None):
    best, p = BestEpoch(patience), {"w": torch.zeros(1)}
    for epoch, (score, loss) in enumerate(scores_and_losses, start=1):
        p["w"].fill_(epoch)
        best.update(epoch, score, loss, p)
        if best.is_enough(epoch):
            break
    best.restore(p)
    return best.epoch, epoch, p["w"].item()


def test_the_best_score_wins_and_of_equal_ones_the_lower_loss():
    assert run([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.7, 0.85), (0.6, 0.1)])[0] == 3


def test_the_best_epochs_weights_come_back():
    assert run([(0.5, 1), (0.9, 1), (0.1, 1)])[2] == 2


@pytest.mark.parametrize(("patience", "last"), [(1, 3), (2, 4), (None, 6)])
def test_patience_counts_epochs_since_the_best(patience, last):
    assert run([(0.5, 1), (0.9, 1), (0.1, 1), (0.1, 1), (0.1, 1), (0.1, 1)], patience)[1] == last
