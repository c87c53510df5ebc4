"""Several real processes on this machine train and predict as one process does; one that dies ends the others."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from sklearn_bert import BertClassifier
from tests.distributed_worker import (
    DETERMINISTIC,
    FLOAT32_CASES,
    FLOAT64_CASES,
    ROOT,
    classification,
    example_rows,
    finish,
    start,
)
from tests.helpers import cases

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[2, 3])
def results(request, tiny_bert, tmp_path_factory):
    """A function from the name of a case to its outcome in each process."""
    folder = tmp_path_factory.mktemp("results")
    finish(start(request.param, "run_cases", tiny_bert, folder))
    return lambda name: [dict(np.load(folder / f"{name} {rank}.npz")) for rank in range(request.param)]


@pytest.mark.parametrize("name", FLOAT64_CASES)
def test_several_processes_train_and_predict_as_one_process_does(name, results, tiny_bert):
    expected = FLOAT64_CASES[name](tiny_bert)
    for found in results(f"float64 {name}"):
        for what, value in expected.items():
            np.testing.assert_allclose(found[what], value, rtol=1e-9, atol=1e-9, err_msg=what)


@pytest.mark.parametrize("name", FLOAT32_CASES)
def test_several_processes_in_float32_differ_from_one_by_rounding_only(name, results, tiny_bert):
    expected = FLOAT32_CASES[name](tiny_bert)
    for found in results(f"float32 {name}"):
        for what in ("predicted", "loss"):
            np.testing.assert_allclose(found[what], expected[what], rtol=1e-4, atol=1e-4, err_msg=what)


@pytest.mark.parametrize(
    "name", [f"float64 {name}" for name in FLOAT64_CASES] + [f"float32 {name}" for name in FLOAT32_CASES]
)
def test_all_processes_end_with_bitwise_equal_results(name, results):
    first, *others = results(name)
    for other in others:
        for what, expected in first.items():
            assert np.array_equal(other[what], expected), what


def test_dropout_differs_between_processes_and_the_weights_are_equal(tiny_bert, tmp_path):
    (first, _), (second, _) = finish(start(2, "print_dropout_states", tiny_bert, tmp_path))
    first, second = ([line.split() for line in printed.splitlines()] for printed in (first, second))
    assert [weights for weights, _ in first] == [weights for weights, _ in second]
    assert first[0] == first[1] != first[2]
    assert not {states for _, states in first} & {states for _, states in second}


def test_processes_with_a_budget_of_time_make_the_same_steps_at_the_same_rates(tiny_bert, tmp_path):
    (first, _), (second, _) = finish(start(2, "print_weights_within_a_budget", tiny_bert, tmp_path))
    assert first == second
    assert 20 <= int(first.split()[0]) <= 25  # of four steps each, by the clock of the first process


def test_processes_with_different_data_or_parameters_or_scores_of_training_batches_raise(tiny_bert, tmp_path):
    message = (
        "The processes of this run do not fit the same data and parameters. These differ: {}. Pass the same in every "
        "process: each selects its share of the rows itself."
    )
    expected = [
        message.format("X"),
        message.format("batch_size"),
        message.format("the epoch in checkpoint_dir"),
        "Got the callback 'mine', EpochScoring with on_train=True, in several processes. Each of them has predictions "
        "of its share of a training batch only, so on_train=False is expected. Score the validation rows with "
        "on_train=False, or train in one process.",
        "The processes of this run predict different texts. Pass the same texts in every process: each computes its "
        "share of them, and all get every row.",
        "48",
    ]
    for printed, _ in finish(start(2, "print_errors_of_different_inputs", tiny_bert, tmp_path)):
        assert printed.splitlines() == expected


def test_killed_process_ends_the_other_and_the_fit_resumes_in_any_number_of_processes(tiny_bert, tmp_path):
    expected = classification(tiny_bert, max_epochs=30, learning_rate=1e-3)
    folder = tmp_path / "killed"
    folder.mkdir()
    survivor, victim = start(2, "fit_with_checkpoint_until_the_last_is_killed", tiny_bert, folder)
    try:
        errors = survivor.communicate(timeout=600)[1]  # the default timeout of a message is half an hour
    finally:
        survivor.kill()
        victim.kill()
        victim.communicate()
    assert (survivor.returncode, victim.returncode) == (1, -signal.SIGKILL), errors
    assert re.search(
        r"^(\[rank0\]: )?RuntimeError: Another process of this run no longer answers \(.+\)\. Look at its last "
        r"output, then start all of them again; with checkpoint_dir a fit resumes after its last complete epoch\.$",
        errors,
        re.MULTILINE,
    )
    for n in (1, 2, 3):
        copied = shutil.copytree(folder, tmp_path / str(n))
        finish(start(n, "fit_with_checkpoint", tiny_bert, copied))
        for rank in range(n):
            for what, values in np.load(copied / f"{rank}.npz").items():
                np.testing.assert_allclose(values, expected[what], rtol=1e-9, atol=1e-9)
        assert len(list(copied.glob("*.safetensors"))) == 1


def test_callbacks_are_called_in_each_process_with_the_whole_batch_and_one_of_them_ends_all(tiny_bert, tmp_path):
    """What they see is what they see in a single process, but for the predictions of training batches."""
    runs = {}
    for n in (1, 2):
        folder = tmp_path / str(n)
        folder.mkdir()
        printed = [out for out, _ in finish(start(n, "print_what_a_callback_sees", tiny_bert, folder))]
        assert len(set(printed)) == 1
        runs[n] = [json.loads(line) for line in printed[0].splitlines()]
    (alone, losses), resumed_alone = runs[1]
    (seen, losses_of_two), resumed = runs[2]
    assert resumed_alone == [[], losses]  # the file knows that the training has ended
    assert resumed == [[], losses_of_two]
    assert len(losses) == len(losses_of_two) == 2
    assert [row[0] for row in seen] == [row[0] for row in alone]
    for row, expected in zip(seen, alone, strict=True):
        assert row[3:] == ([None] if row[0] == "training" else expected[3:])
        np.testing.assert_allclose(row[1:3], expected[1:3], rtol=1e-9, atol=1e-9)


def test_no_thread_of_torch_remains_at_the_end_of_the_program(tiny_bert, tmp_path):
    """Such a thread would abort the program in some runs, after all its work is done."""
    for rank, (printed, _) in enumerate(finish(start(2, "print_threads_at_exit", tiny_bert, tmp_path))):
        during, after = printed.splitlines()
        assert ("pt_gloo_runloop" in during, "pt_tcpstore_uv" in during) == (True, rank == 0)
        assert after == "[]"


def test_only_the_first_process_prints_progress(tiny_bert, tmp_path):
    (printed, bar), other = finish(start(2, "verbose_fit", tiny_bert, tmp_path))
    assert "epoch" in printed
    assert "single_label_classification (2 classes), on cpu in float64, 2 epochs" in printed
    assert "48/96" in bar or "96/96" in bar
    assert other == ("", "")


SCRIPT = """
import os, sys
from sklearn_bert import BertClassifier
from tests.distributed_worker import DETERMINISTIC, example_rows

texts, y, *_ = example_rows()
classifier = BertClassifier(sys.argv[1], **DETERMINISTIC).fit(texts, y)
sys.stdout.write(f"{classifier.loss_curve_[-1]:.9f}\\n")
if os.environ.get("RANK", "0") == "0":
    classifier.save_pretrained(sys.argv[2])
"""


LAUNCHERS = {
    "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"],
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
}


@pytest.mark.parametrize("launcher", **cases(LAUNCHERS))
def test_script_runs_under_a_launcher_and_saves_in_one_process(launcher, tiny_bert, tmp_path, monkeypatch):
    texts, y, *_ = example_rows()
    expected = BertClassifier(tiny_bert, **DETERMINISTIC).fit(texts, y)
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", *launcher, str(script), tiny_bert, str(tmp_path / "model")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    assert printed.splitlines() == [f"{expected.loss_curve_[-1]:.9f}"] * 2
    saved = BertClassifier.from_pretrained(tmp_path / "model")
    np.testing.assert_allclose(saved.predict_proba(texts), expected.predict_proba(texts), atol=1e-9)
