"""Batches hold every row once, group rows of similar length, and are padded to their longest row."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sklearn_bert._encoding.batching import (
    EncodedDataset,
    FeatureBatch,
    FeatureDataset,
    micro_batches,
    pad_collate,
)
from sklearn_bert._encoding.samplers import LengthGroupedSampler
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
    texts = [[2, 3], [4], [5], [6, 7, 8], [1], [1]]
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
        [[2, 3], [4], [2], [3, 4]],  # the pairs (2 3, 4) and (2, 3 4)
        [[5], [1, 512], [5, 256], [2]],  # (5, 1 512) and (5 256, 2): their bytes are equal once joined
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
    pieces = list(micro_batches(inputs, targets, max_tokens))
    assert torch.cat([piece["y"] for _, piece in pieces]).tolist() == list(range(12))
    for piece, of_piece in pieces:
        n_rows, width = piece["attention_mask"].shape
        assert n_rows == n_texts * len(of_piece["y"])
        assert n_rows * width <= max_tokens or len(of_piece["y"]) == 1
        assert piece["attention_mask"].sum(dim=1).max() == width
    tokens = [piece["input_ids"][piece["attention_mask"].bool()] for piece, _ in pieces]
    assert torch.equal(torch.cat(tokens), inputs["input_ids"][inputs["attention_mask"].bool()])


# -- batches of features ------------------------------------------------------------------------------------


def test_feature_dataset_returns_rows_in_the_given_order():
    source = make_dataset(*[([i], [0]) for i in range(5)], y=np.arange(5), w=np.ones(5))
    dataset = FeatureDataset(np.arange(10.0).reshape(5, 2), source)
    inputs, targets = dataset.collate(dataset.__getitems__([3, 0]), PAD)
    assert inputs["features"].tolist() == [[6, 7], [0, 1]]
    assert targets["y"].tolist() == [3, 0]
    assert dataset.lengths.tolist() == [1] * 5
    assert dataset.row_keys() == source.row_keys()
    assert dataset.fingerprint() == source.fingerprint()


def test_features_of_rows_are_computed_for_tokens_and_looked_up_for_features():
    source = make_dataset(*[([i, 7], [0, 0]) for i in range(5)], y=np.arange(5), w=np.ones(5))
    rows = np.array([4, 1])

    def encode(dataset):
        return np.array([[dataset[i][0][0][0][0]] for i in range(len(dataset))], dtype=float)

    computed = source.features_of(rows, encode)
    looked_up = FeatureDataset(encode(source), source).features_of(rows, None)
    np.testing.assert_array_equal(computed, [[4], [1]])
    np.testing.assert_array_equal(looked_up, computed)


def test_micro_batches_keep_a_batch_of_features_whole():
    inputs, targets = FeatureBatch(features=torch.ones(6, 3)), {"y": torch.arange(6)}
    assert [piece.n_rows for piece, _ in micro_batches(inputs, targets, max_tokens=1, max_rows=2)] == [6]


@pytest.mark.parametrize("start", [0, 2])
def test_token_batch_rows_are_no_wider_than_their_longest_row(start):
    dataset = make_dataset(([1, 2, 3], [0] * 3), ([1], [0]), ([1, 2], [0] * 2), ([4], [0]))
    batch, _ = pad_collate([dataset[i] for i in range(4)], PAD)
    part = batch.rows(start, start + 2)
    assert part.n_rows == 2
    assert part["input_ids"].shape == (2, 3 - start // 2)
    assert part.costs().tolist() == batch.costs()[start : start + 2].tolist()


def test_micro_batches_of_no_rows_are_empty():
    dataset = make_dataset(([1, 2, 3], [0] * 3))
    batch, _ = pad_collate([dataset[0]], PAD)
    assert list(micro_batches(batch.rows(0, 0), {}, 100)) == []
