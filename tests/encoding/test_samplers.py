"""Samplers yield every row once, in batches of rows of similar length."""

import numpy as np
import pytest
import torch

from sklearn_bert._encoding.samplers import LengthGroupedSampler, TokenBudgetSampler


def random_lengths(n, seed=0):
    """Lengths distributed like those of real texts: many short ones, few long ones."""
    return np.random.default_rng(seed).lognormal(3.0, 0.8, n).astype(np.int64).clip(3, 300)


def grouped(lengths, batch_size, seed=0):
    return LengthGroupedSampler(lengths, batch_size, torch.Generator().manual_seed(seed))


def padding(batches, lengths):
    """Number of padding tokens if each batch is padded to its longest row."""
    return sum(len(batch) * lengths[batch].max() - lengths[batch].sum() for batch in batches)


# 777 rows in batches of 3 are more than the 50 batches that are sorted together.
sizes = pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 100, 777])
batch_sizes = pytest.mark.parametrize("batch_size", [1, 3, 8, 64, 1000])


@sizes
@batch_sizes
def test_length_grouped_sampler_yields_every_row_once_per_epoch(n, batch_size):
    sampler = grouped(random_lengths(n), batch_size)
    for _ in range(3):
        assert sorted(row for batch in sampler for row in batch) == list(range(n))


@sizes
@batch_sizes
def test_length_grouped_sampler_yields_full_batches_except_one(n, batch_size):
    sampler = grouped(random_lengths(n), batch_size)
    full, rest = divmod(n, batch_size)
    assert sorted(map(len, sampler)) == [rest] * (rest > 0) + [batch_size] * full
    assert len(sampler) == full + (rest > 0)


def test_length_grouped_sampler_yields_other_batches_in_each_epoch():
    sampler = grouped(random_lengths(100), 8)
    epochs = [list(sampler) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_length_grouped_sampler_regroups_rows_of_equal_length_in_each_epoch():
    """Not only the order of the batches changes, but also which rows share a batch."""
    sampler = grouped(np.full(100, 5), 8)
    assert {frozenset(batch) for batch in sampler}.isdisjoint({frozenset(batch) for batch in sampler})


def test_length_grouped_sampler_depends_on_the_generator_seed():
    lengths = random_lengths(100)
    epochs = [[list(sampler), list(sampler)] for sampler in (grouped(lengths, 8), grouped(lengths, 8))]
    assert epochs[0] == epochs[1]
    assert epochs[0][0] != list(grouped(lengths, 8, seed=1))


def test_length_grouped_sampler_does_not_change_the_global_random_state():
    before = torch.get_rng_state()
    list(grouped(random_lengths(100), 8))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("n", [500, 3000])
def test_length_grouped_sampler_pads_much_less_than_random_order(n):
    lengths = random_lengths(n)
    shuffled = np.random.default_rng(0).permutation(n)
    in_random_order = [shuffled[i : i + 16] for i in range(0, n, 16)]
    assert padding(grouped(lengths, 16), lengths) < 0.15 * padding(in_random_order, lengths)


def test_length_grouped_sampler_shuffles_batches_of_different_length():
    lengths = random_lengths(800)
    widths = [lengths[batch].max() for batch in grouped(lengths, 16)]
    assert abs(np.corrcoef(widths, np.arange(len(widths)))[0, 1]) < 0.5


@sizes
@pytest.mark.parametrize("max_tokens", [1, 50, 512, 100_000])
def test_token_budget_sampler_yields_every_row_once_in_order(n, max_tokens):
    sampler = TokenBudgetSampler(random_lengths(n), max_tokens)
    batches = list(sampler)
    assert len(sampler) == len(batches)
    rows = [row for batch in batches for row in batch]
    assert rows[:n] == sampler.order.tolist()
    assert sorted(sampler.order) == list(range(n))
    assert set(rows[n:]) <= {rows[n - 1]}  # copies of the last row fill up the last of many batches


def test_token_budget_sampler_sorts_rows_from_long_to_short():
    lengths = random_lengths(500)
    assert (np.diff(lengths[TokenBudgetSampler(lengths, 512).order]) <= 0).all()


def test_token_budget_sampler_keeps_the_order_of_rows_of_equal_length():
    assert TokenBudgetSampler(np.array([4, 7, 4, 7, 4]), 100).order.tolist() == [1, 3, 0, 2, 4]


@pytest.mark.parametrize("max_tokens", [1, 50, 512])
def test_token_budget_sampler_exceeds_the_budget_only_with_a_single_row(max_tokens):
    lengths = random_lengths(777)
    batches = list(TokenBudgetSampler(lengths, max_tokens))
    assert all(len(batch) == 1 or len(batch) * lengths[batch].max() <= max_tokens for batch in batches)


@pytest.mark.parametrize("max_tokens", [50, 512])
def test_token_budget_sampler_fills_batches_up_to_the_budget(max_tokens):
    lengths = random_lengths(777)
    batches = list(TokenBudgetSampler(lengths, max_tokens))
    assert all((len(batch) + 1) * lengths[batch].max() > max_tokens for batch in batches[:-1])


@pytest.mark.parametrize("n", [700, 711, 777])
def test_token_budget_sampler_with_many_batches_has_one_shape_per_width(n):
    lengths = random_lengths(n)
    shapes = {(lengths[batch].max(), len(batch)) for batch in TokenBudgetSampler(lengths, 512)}
    assert shapes == {(width, 512 // width) for width, _ in shapes}


def test_token_budget_sampler_with_few_batches_adds_no_copies():
    assert [len(batch) for batch in TokenBudgetSampler(np.full(310, 5), 50)] == [10] * 31
    assert [len(batch) for batch in TokenBudgetSampler(np.full(301, 5), 50)] == [10] * 30 + [1]


def test_token_budget_sampler_of_no_rows_is_empty():
    sampler = TokenBudgetSampler(np.array([], dtype=np.int64), 512)
    assert (len(sampler), list(sampler), len(sampler.order)) == (0, [], 0)


@pytest.mark.parametrize("max_tokens", [1, 20, 64, 10_000])
def test_batches_of_one_length_hold_rows_of_one_length(max_tokens):
    lengths = random_lengths(300)
    sampler = TokenBudgetSampler(lengths, max_tokens, one_length=True)
    batches = list(sampler)
    assert all(len(set(lengths[batch])) == 1 for batch in batches)
    assert all(len(batch) * lengths[batch[0]] <= max(max_tokens, lengths[batch[0]]) for batch in batches)
    assert sorted(sampler.order) == list(range(300)) == sorted({i for batch in batches for i in batch})
