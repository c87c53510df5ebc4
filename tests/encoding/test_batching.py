"""Batches hold every row once, group rows of similar length, and are padded to their longest row."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sklearn_bert._encoding.batching import (
    EncodedDataset,
    LengthGroupedSampler,
    TokenBudgetSampler,
    micro_batches,
    pad_collate,
)
from sklearn_bert._encoding.tokenization import Tokens

PAD = 9


def random_lengths(n, seed=0):
    """Lengths distributed like those of real texts: many short ones, few long ones."""
    return np.random.default_rng(seed).lognormal(3.0, 0.8, n).astype(np.int64).clip(3, 300)


def grouped(lengths, batch_size, seed=0):
    return LengthGroupedSampler(lengths, batch_size, torch.Generator().manual_seed(seed))


def make_dataset(*rows, **targets):
    """A dataset of (input_ids, token_type_ids) rows."""
    ids, types = zip(*rows, strict=True)
    offsets = np.cumsum([0, *map(len, ids)])
    tokens = Tokens(np.concatenate(ids).astype(np.int32), np.concatenate(types).astype(np.int8), offsets)
    return EncodedDataset(tokens, **targets)


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


def test_pad_collate_pads_to_the_longest_row_of_the_batch():
    dataset = make_dataset(([2, 5, 3], [0, 0, 1]), ([2, 6, 7, 8, 3], [0, 0, 0, 1, 1]), ([2] * 8, [0] * 8))
    inputs, _ = pad_collate([dataset[0], dataset[1]], PAD)
    assert {name: tensor.tolist() for name, tensor in inputs.items()} == {
        "input_ids": [[2, 5, 3, PAD, PAD], [2, 6, 7, 8, 3]],
        "attention_mask": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]],
        "token_type_ids": [[0, 0, 1, 0, 0], [0, 0, 0, 1, 1]],
    }
    assert {tensor.dtype for tensor in inputs.values()} == {torch.int64}


def test_pad_collate_of_one_row_adds_no_padding():
    inputs, _ = pad_collate([make_dataset(([2, 5, 3], [0, 0, 1]))[0]], PAD)
    assert {name: tensor.tolist() for name, tensor in inputs.items()} == {
        "input_ids": [[2, 5, 3]],
        "attention_mask": [[1, 1, 1]],
        "token_type_ids": [[0, 0, 1]],
    }


@pytest.mark.parametrize(
    "y",
    [np.array([1, 0, 2]), np.array([0.5, -1.0, 2.0]), np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])],
    ids=["classes", "numbers", "table"],
)
def test_pad_collate_stacks_targets_in_row_order(y):
    w = np.array([1.0, 2.0, 0.5])
    dataset = make_dataset(*[([2, 3], [0, 0])] * 3, y=y, w=w)
    _, targets = pad_collate([dataset[2], dataset[0]], PAD)
    torch.testing.assert_close(targets, {"y": torch.tensor(y[[2, 0]]), "w": torch.tensor(w[[2, 0]])})


def test_pad_collate_without_y_returns_no_targets():
    dataset = make_dataset(([2, 3], [0, 0]), ([2, 3], [0, 0]))
    assert pad_collate([dataset[0], dataset[1]], PAD)[1] == {}


def test_data_loader_returns_every_row_unchanged():
    lengths = random_lengths(60)
    rows = [(np.arange(n) + 10, np.arange(n) % 2) for n in lengths]
    dataset = make_dataset(*rows, y=np.arange(60), w=np.ones(60))
    loader = DataLoader(dataset, batch_sampler=grouped(lengths, 8), collate_fn=partial(pad_collate, pad_token_id=PAD))
    seen = 0
    for inputs, targets in loader:
        for b, i in enumerate(targets["y"].tolist()):
            kept = inputs["attention_mask"][b].bool()
            assert inputs["input_ids"][b][kept].tolist() == rows[i][0].tolist()
            assert inputs["token_type_ids"][b][kept].tolist() == rows[i][1].tolist()
            assert (inputs["input_ids"][b][~kept] == PAD).all()
            seen += 1
    assert seen == len(dataset) == 60


# -- pairs of a bi_encoder ----------------------------------------------------------------------------------


@pytest.fixture
def pairs():
    """Three pairs: (2 3, 4), (5, 6 7 8), (1, 1)."""
    texts = [[2, 3], [5], [1], [4], [6, 7, 8], [1]]
    return make_dataset(*[(ids, [0] * len(ids)) for ids in texts], y=np.arange(3), w=np.ones(3), n_texts=2)


def test_length_of_a_pair_is_twice_its_longer_text(pairs):
    assert len(pairs) == 3
    assert pairs.lengths.tolist() == [4, 6, 2]


def test_pad_collate_puts_the_texts_of_a_pair_in_neighbouring_rows(pairs):
    inputs, targets = pad_collate([pairs[1], pairs[0]], PAD)
    assert inputs["input_ids"].tolist() == [[5, PAD, PAD], [6, 7, 8], [2, 3, PAD], [4, PAD, PAD]]
    assert inputs["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0], [1, 0, 0]]
    assert targets["y"].tolist() == [1, 0]


def test_take_keeps_both_texts_of_a_pair(pairs):
    taken = pairs.take(np.array([2, 1]))
    assert len(taken) == 2
    assert [ids.tolist() for i in range(2) for ids, _ in taken[i][0]] == [[1], [1], [5], [6, 7, 8]]


def test_row_keys_are_equal_for_rows_of_the_same_texts_and_y():
    rows = [([2, 3], [0, 0]), ([2, 3], [0, 0]), ([2, 3], [0, 1]), ([2, 3], [0, 0]), ([2], [0])]
    keys = make_dataset(*rows, y=np.array([1, 1, 1, 0, 1]), w=np.arange(5)).row_keys()
    assert [keys.index(key) for key in keys] == [0, 0, 2, 3, 4]


@pytest.mark.parametrize(
    "texts",
    [
        [[2, 3], [2], [4], [3, 4]],  # the pairs (2 3, 4) and (2, 3 4)
        [[5], [5, 256], [1, 512], [2]],  # (5, 1 512) and (5 256, 2): their bytes are equal once joined
    ],
)
def test_row_keys_depend_on_which_text_of_a_pair_holds_a_token(texts):
    dataset = make_dataset(*[(ids, [0] * len(ids)) for ids in texts], y=np.zeros(2), w=np.ones(2), n_texts=2)
    assert len(set(dataset.row_keys())) == 2


# -- micro batches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_tokens", [1, 30, 100, 10**6])
@pytest.mark.parametrize("n_texts", [1, 2])
def test_micro_batches_hold_the_rows_in_order_without_extra_padding(max_tokens, n_texts):
    lengths = random_lengths(12 * n_texts)
    dataset = make_dataset(
        *[(np.arange(n) + 10, np.arange(n) % 2) for n in lengths], y=np.arange(12), w=np.ones(12), n_texts=n_texts
    )
    inputs, targets = pad_collate([dataset[i] for i in range(12)], PAD)
    pieces = list(micro_batches(inputs, targets, max_tokens, n_texts))
    assert torch.cat([piece["y"] for _, piece in pieces]).tolist() == list(range(12))
    for piece, of_piece in pieces:
        n_rows, width = piece["attention_mask"].shape
        assert n_rows == n_texts * len(of_piece["y"])
        assert n_rows * width <= max_tokens or len(of_piece["y"]) == 1
        assert piece["attention_mask"].sum(dim=1).max() == width
    tokens = [piece["input_ids"][piece["attention_mask"].bool()] for piece, _ in pieces]
    assert torch.equal(torch.cat(tokens), inputs["input_ids"][inputs["attention_mask"].bool()])
