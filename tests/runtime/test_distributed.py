"""`DistributedContext`: the share of each process, and the process group with and without a launcher.

Trainings in several real processes are tested in `tests/integration/test_distributed_training.py`.
"""

import multiprocessing
import sys

import numpy as np
import pytest
import torch

from sklearn_bert._encoding.batching import TokenBatch
from sklearn_bert._runtime.distributed import DistributedContext, _rows_of, get_process_group
from tests.helpers import exactly

LAUNCHED = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture
def launched(monkeypatch):
    """Set the environment of a process that a launcher started."""
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)


# -- shares of the rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("n_rows", [1, 2, 13, 64])
def test_rows_of_a_batch_are_divided_among_the_processes_with_balanced_tokens(n_rows, size):
    lengths = np.sort(np.random.default_rng(n_rows).integers(3, 60, n_rows))[::-1]
    shares = [range(n_rows)[_rows_of(rank, size, lengths)] for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(n_rows))
    tokens = [lengths[list(share)].sum() for share in shares]
    assert max(abs(tokens - lengths.sum() / size)) <= lengths.max()


def test_share_keeps_the_two_texts_of_a_pair_in_one_process():
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 1, 1], [1, 0, 0], [1, 0, 0]])
    inputs = TokenBatch({"input_ids": torch.arange(18).reshape(6, 3), "attention_mask": mask}, n_texts=2)
    targets = {"w": torch.ones(3)}
    for rank, rows in ((0, slice(0, 2)), (1, slice(2, 6))):
        share = DistributedContext(rank, 2).share(inputs, targets)
        assert torch.equal(share[0]["input_ids"], inputs["input_ids"][rows])
        assert len(share[1]["w"]) * 2 == len(share[0]["input_ids"])


@pytest.mark.parametrize("size", [2, 3])
def test_rank_slices_divide_the_batches_of_a_prediction(size):
    order = np.arange(10)
    assert sorted(np.concatenate([order[DistributedContext(rank, size).rank_slice] for rank in range(size)])) == list(
        order
    )


def test_rank_seed_differs_for_every_process_and_epoch():
    seeds = [DistributedContext(rank, 3).rank_seed(7, epoch) for rank in range(3) for epoch in range(4)]
    assert len(set(seeds)) == 12
    assert seeds == [DistributedContext(rank, 3).rank_seed(7, epoch) for rank in range(3) for epoch in range(4)]


# -- a single process -------------------------------------------------------------------------------------


def test_single_process_context_sends_and_changes_nothing():
    single = get_process_group("cpu")
    assert (single.rank, single.size, single.is_first) == (0, 1, True)
    inputs, targets, loss, values = {}, {}, object(), object()
    assert single.share(inputs, targets) == (inputs, targets)
    assert single.sum_gradients(iter(()), loss) is loss
    assert single.gather(values) == [values]
    assert single.gather_rows(values, None, None) is values
    assert single.rank_seed(0, 1) is None
    single.check_same(None)
    single.broadcast_weights(None)


def test_get_process_group_raises_under_a_launcher_without_accelerate(launched, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    message = (
        "A run of several processes needs accelerate, which cannot be imported (import of accelerate halted; None in "
        "sys.modules). Install it with pip install 'sklearn-bert[distributed]'."
    )
    with pytest.raises(ImportError, match=exactly(message)):
        get_process_group("cpu")


def test_get_process_group_in_a_child_of_a_launched_process_has_size_one(launched, monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    assert get_process_group("cpu").size == 1


def test_get_process_group_raises_if_accelerate_was_set_up_for_one_process(launched, monkeypatch):
    monkeypatch.setattr("accelerate.PartialState", lambda cpu: None)
    message = (
        "This is one of 2 processes, but Accelerate was set up for a single process. Create its PartialState or "
        "Accelerator with cpu=True, or let fit create it."
    )
    with pytest.raises(RuntimeError, match=exactly(message)):
        get_process_group("cpu")
