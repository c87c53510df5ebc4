"""Several processes on this machine train what one trains; one that dies ends the others."""

import multiprocessing
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from sklearn_bert._runtime.distributed import DistributedContext, _rows_of, get_process_group
from tests.distributed_worker import EXACT, ROOT, ROUNDED, SAME, classification, finish, start
from tests.helpers import cases, exactly

LAUNCHED = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture
def launched(monkeypatch):
    """The environment of a process that a launcher started."""
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)


# -- whose rows are whose ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("n_rows", [1, 2, 13, 64])
def test_every_row_of_a_batch_is_one_processs_and_tokens_are_balanced(n_rows, size):
    lengths = np.sort(np.random.default_rng(n_rows).integers(3, 60, n_rows))[::-1]
    shares = [range(n_rows)[_rows_of(rank, size, lengths)] for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(n_rows))
    tokens = [lengths[list(share)].sum() for share in shares]
    assert max(abs(tokens - lengths.sum() / size)) <= lengths.max()


def test_the_two_texts_of_a_pair_stay_together():
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 1, 1], [1, 0, 0], [1, 0, 0]])
    inputs, targets = {"input_ids": torch.arange(18).reshape(6, 3), "attention_mask": mask}, {"w": torch.ones(3)}
    for rank, rows in ((0, slice(0, 2)), (1, slice(2, 6))):
        share = DistributedContext(rank, 2).share(inputs, targets)
        assert torch.equal(share[0]["input_ids"], inputs["input_ids"][rows])
        assert len(share[1]["w"]) * 2 == len(share[0]["input_ids"])


@pytest.mark.parametrize("size", [2, 3])
def test_in_prediction_the_processes_take_turns(size):
    order = np.arange(10)
    assert sorted(np.concatenate([order[DistributedContext(rank, size).rank_slice] for rank in range(size)])) == list(
        order
    )


def test_each_process_draws_its_own_numbers_in_each_epoch():
    seeds = [DistributedContext(rank, 3).rank_seed(7, epoch) for rank in range(3) for epoch in range(4)]
    assert len(set(seeds)) == 12
    assert seeds == [DistributedContext(rank, 3).rank_seed(7, epoch) for rank in range(3) for epoch in range(4)]


# -- a process by itself -------------------------------------------------------------------------------


def test_a_process_by_itself_sends_and_changes_nothing():
    alone = get_process_group("cpu")
    assert (alone.rank, alone.size, alone.is_first) == (0, 1, True)
    inputs, targets, loss, values = {}, {}, object(), object()
    assert alone.share(inputs, targets) == (inputs, targets)
    assert alone.sum_gradients(iter(()), loss) is loss
    assert alone.gather(values) == [values]
    assert alone.gather_rows(values, None, None) is values
    assert alone.rank_seed(0, 1) is None
    alone.check_same(None)
    alone.broadcast_weights(None)


def test_a_launched_process_needs_accelerate(launched, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    message = (
        "A run of several processes needs accelerate, which cannot be imported (import of accelerate halted; None in "
        "sys.modules). Install it with pip install 'sklearn-bert[distributed]'."
    )
    with pytest.raises(ImportError, match=exactly(message)):
        get_process_group("cpu")


def test_the_workers_of_a_launched_process_compute_by_themselves(launched, monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    assert get_process_group("cpu").size == 1


def test_accelerate_set_up_for_one_process_is_no_run_of_two(launched, monkeypatch):
    monkeypatch.setattr("accelerate.PartialState", lambda cpu: None)
    message = (
        "This is one of 2 processes, but Accelerate was set up for one by itself. Create its PartialState or "
        "Accelerator with cpu=True, or leave that to fit."
    )
    with pytest.raises(RuntimeError, match=exactly(message)):
        get_process_group("cpu")


# -- several processes ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[2, 3])
def results(request, tiny_bert, tmp_path_factory):
    """What came out of each case in each of so many processes."""
    folder = tmp_path_factory.mktemp("results")
    finish(start(request.param, "same", tiny_bert, folder))
    return lambda name: [dict(np.load(folder / f"{name} {rank}.npz")) for rank in range(request.param)]


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME)
def test_several_processes_train_and_predict_what_one_does(name, results, tiny_bert):
    alone = SAME[name](tiny_bert)
    for together in results(f"float64 {name}"):
        for what, expected in alone.items():
            np.testing.assert_allclose(together[what], expected, rtol=1e-9, atol=1e-9, err_msg=what)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROUNDED)
def test_in_float32_they_differ_by_rounding(name, results, tiny_bert):
    alone = ROUNDED[name](tiny_bert)
    for together in results(f"float32 {name}"):
        for what in ("predicted", "loss"):
            np.testing.assert_allclose(together[what], alone[what], rtol=1e-4, atol=1e-4, err_msg=what)


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"float64 {name}" for name in SAME] + [f"float32 {name}" for name in ROUNDED])
def test_all_processes_end_with_the_same_bits(name, results):
    first, *others = results(name)
    for other in others:
        for what, expected in first.items():
            assert np.array_equal(other[what], expected), what


@pytest.mark.slow
def test_dropout_is_each_processs_own_and_the_weights_are_one(tiny_bert, tmp_path):
    (first, _), (second, _) = finish(start(2, "dropout", tiny_bert, tmp_path))
    first, second = ([line.split() for line in printed.splitlines()] for printed in (first, second))
    assert [weights for weights, _ in first] == [weights for weights, _ in second]
    assert first[0] == first[1] != first[2]
    assert not {drawn for _, drawn in first} & {drawn for _, drawn in second}


@pytest.mark.slow
def test_processes_that_are_given_different_things_say_so(tiny_bert, tmp_path):
    message = (
        "The processes of this run do not fit the same. Different are: {}. Pass the same data and parameters in every "
        "process: each takes its share of the rows by itself."
    )
    expected = [
        message.format("X"),
        message.format("batch_size"),
        message.format("the epoch in checkpoint_dir"),
        "The processes of this run predict different texts. Pass the same texts in every process: each computes its "
        "share of them, and all get every row.",
        "48",
    ]
    for printed, _ in finish(start(2, "disagreement", tiny_bert, tmp_path)):
        assert printed.splitlines() == expected


@pytest.mark.slow
def test_a_killed_process_ends_the_other_and_the_fit_goes_on_in_any_number(tiny_bert, tmp_path):
    expected = classification(tiny_bert, max_epochs=30, learning_rate=1e-3)
    folder = tmp_path / "killed"
    folder.mkdir()
    survivor, victim = start(2, "interrupted", tiny_bert, folder)
    try:
        while not (folder / "training_state.safetensors").exists():
            assert survivor.poll() is None, survivor.communicate()
            time.sleep(0.05)
        victim.kill()
        killed = time.monotonic()
        errors = survivor.communicate(timeout=120)[1]
        assert time.monotonic() - killed < 60  # by default a message may take half an hour
    finally:
        survivor.kill()
        victim.communicate()
    assert survivor.returncode == 1
    assert re.search(
        r"^(\[rank0\]: )?RuntimeError: Another process of this run does not answer any more \(.+\)\. Look at what it "
        r"printed last, then start all of them again; with checkpoint_dir a fit goes on after its last whole epoch\.$",
        errors,
        re.MULTILINE,
    )
    for n in (1, 2, 3):
        again = shutil.copytree(folder, tmp_path / str(n))
        finish(start(n, "interrupted", tiny_bert, again))
        for rank in range(n):
            for what, values in np.load(again / f"{rank}.npz").items():
                np.testing.assert_allclose(values, expected[what], rtol=1e-9, atol=1e-9)
        assert len(list(again.glob("*.safetensors"))) == 1


@pytest.mark.slow
def test_no_thread_of_torch_runs_into_the_end_of_the_program(tiny_bert, tmp_path):
    """One that did would abort the program now and then, after all its work."""
    for rank, (printed, _) in enumerate(finish(start(2, "ended", tiny_bert, tmp_path))):
        during, after = printed.splitlines()
        assert ("pt_gloo_runloop" in during, "pt_tcpstore_uv" in during) == (True, rank == 0)
        assert after == "[]"


@pytest.mark.slow
def test_one_process_shows_the_fit(tiny_bert, tmp_path):
    (printed, bar), other = finish(start(2, "shown", tiny_bert, tmp_path))
    assert "epoch" in printed
    assert "single_label_classification (2 classes), on cpu in float64, 2 epochs" in printed
    assert "48/96" in bar or "96/96" in bar
    assert other == ("", "")


SCRIPT = """
import sys
from sklearn_bert import BertClassifier
from tests.distributed_worker import EXACT, reviews

texts, y, *_ = reviews()
classifier = BertClassifier(sys.argv[1], **EXACT).fit(texts, y)
sys.stdout.write(f"{classifier.loss_curve_[-1]:.9f}\\n")
"""
LAUNCHERS = {
    "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"],
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", **cases(LAUNCHERS))
def test_a_script_as_it_is_runs_under_a_launcher(launcher, tiny_bert, tmp_path, monkeypatch):
    from sklearn_bert import BertClassifier
    from tests.distributed_worker import reviews

    texts, y, *_ = reviews()
    alone = BertClassifier(tiny_bert, **EXACT).fit(texts, y)
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", *launcher, str(script), tiny_bert]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout
    assert printed.splitlines() == [f"{alone.loss_curve_[-1]:.9f}"] * 2
