"""An interrupted training resumes to the weights of an uninterrupted one, never from the state of another."""

import json
import os
import random
import signal
import time

import numpy as np
import pytest
import torch
from safetensors.torch import safe_open, save_file
from skorch.callbacks import Callback

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._training.training_net import BertNet
from tests.helpers import exactly

SETTINGS = {
    "max_epochs": 4,
    "learning_rate": 1e-2,
    "batch_size": 16,
    "random_state": 0,
    "device": "cpu",
    "early_stopping": True,
    "n_iter_no_change": 9,
}


def weights_of(estimator):
    return torch.cat([p.detach().flatten() for p in estimator.module_.parameters()])


@pytest.fixture(scope="module")
def undisturbed(tiny_bert, reviews):
    return BertClassifier(tiny_bert, **SETTINGS).fit(*reviews)


@pytest.fixture
def interrupted(tiny_bert, reviews, monkeypatch, tmp_path):
    """Folder of a training that ended in its third epoch."""

    def interrupt(**changes):
        steps, train_step = [], BertNet.train_step

        def failing(net, batch, **params):
            steps.append(len(net.history))
            if steps[-1] == 3 and steps.count(3) == 2:
                raise KeyboardInterrupt
            return train_step(net, batch, **params)

        classifier = BertClassifier(tiny_bert, checkpoint_dir=tmp_path, **SETTINGS | changes)
        with monkeypatch.context() as patch:
            patch.setattr(BertNet, "train_step", failing)
            with pytest.raises(KeyboardInterrupt):
                classifier.fit(*reviews)
        return tmp_path

    return interrupt


def test_the_state_is_one_file_of_numbers(interrupted):
    (path,) = interrupted().iterdir()
    with safe_open(path, framework="pt") as file:
        assert len(json.loads(file.metadata()["numbers"])["history"]) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"precision": "bfloat16"},
        {"freeze": "encoder"},
        {"hidden_layer_sizes": (4,)},
        {"average_weights": True, "max_epochs": 3},  # the last step of the second epoch is in the mean
    ],
)
def test_going_on_ends_with_the_weights_of_an_undisturbed_fit(tiny_bert, reviews, interrupted, monkeypatch, changes):
    expected = BertClassifier(tiny_bert, **SETTINGS | changes).fit(*reviews)
    folder, epochs, train_step = interrupted(**changes), set(), BertNet.train_step

    def spy(net, batch, **params):
        epochs.add(len(net.history))
        return train_step(net, batch, **params)

    monkeypatch.setattr(BertNet, "train_step", spy)
    fitted = BertClassifier(tiny_bert, checkpoint_dir=folder, **SETTINGS | changes).fit(*reviews)
    assert epochs == set(range(3, fitted.n_iter_ + 1))
    assert torch.equal(weights_of(fitted), weights_of(expected))
    assert fitted.loss_curve_ == expected.loss_curve_
    assert fitted.validation_scores_ == expected.validation_scores_
    assert fitted.best_iter_ == expected.best_iter_


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_mean_of_weights_goes_on_on_the_gpu(tiny_bert, reviews, interrupted):
    changes = {"average_weights": True, "device": "cuda", "max_epochs": 3}
    expected = BertClassifier(tiny_bert, **SETTINGS | changes).fit(*reviews)
    fitted = BertClassifier(tiny_bert, checkpoint_dir=interrupted(**changes), **SETTINGS | changes).fit(*reviews)
    torch.testing.assert_close(weights_of(fitted), weights_of(expected), rtol=1e-2, atol=1e-3)  # sums in another order


def test_a_training_that_has_ended_is_not_repeated(tiny_bert, reviews, undisturbed, tmp_path, monkeypatch):
    BertClassifier(tiny_bert, checkpoint_dir=tmp_path, **SETTINGS).fit(*reviews)
    monkeypatch.setattr(BertNet, "train_step", None)
    fitted = BertClassifier(tiny_bert, checkpoint_dir=tmp_path, **SETTINGS).fit(*reviews)
    assert torch.equal(weights_of(fitted), weights_of(undisturbed))


class StopAfterTwo:
    """A callback of scikit-learn's that ends the training after two epochs."""

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        return context.task_name == "epoch" and context.task_id == 1


@pytest.mark.usefixtures("sklearn_callback")
def test_a_training_that_scikit_learns_callback_ended_is_not_resumed(tiny_bert, reviews, tmp_path, monkeypatch):
    classifier = BertClassifier(tiny_bert, checkpoint_dir=tmp_path, **SETTINGS).set_callbacks(StopAfterTwo())
    weights = weights_of(classifier.fit(*reviews))
    monkeypatch.setattr(BertNet, "train_step", None)
    fitted = BertClassifier(tiny_bert, checkpoint_dir=tmp_path, **SETTINGS).fit(*reviews)
    assert len(fitted.loss_curve_) == 2
    assert torch.equal(weights_of(fitted), weights)


def test_without_a_seed_the_training_goes_on_with_the_one_it_was_begun_with(
    tiny_bert, reviews, interrupted, monkeypatch
):
    folder = interrupted(random_state=None)
    first = BertClassifier(tiny_bert, checkpoint_dir=folder, **SETTINGS | {"random_state": None}).fit(*reviews)
    monkeypatch.setattr(BertNet, "train_step", None)
    second = BertClassifier(tiny_bert, checkpoint_dir=folder, **SETTINGS | {"random_state": None}).fit(*reviews)
    assert torch.equal(weights_of(first), weights_of(second))


def other_training(path, differences):
    return exactly(
        f"{str(path / 'training_state.safetensors')!r} is the state of another training. These differ: {differences}. "
        "Fit with the same data and parameters to resume, delete it to start anew, or pass another checkpoint_dir."
    )


@pytest.mark.parametrize(
    ("changes", "differences"),
    [
        ({"learning_rate": 2e-2}, "learning_rate (0.01 there, 0.02 here)"),
        ({"precision": "float64"}, "precision ({precision} there, float64 here)"),
        ({"batch_size": 8, "max_epochs": 5}, "batch_size (16 there, 8 here), max_epochs (4 there, 5 here)"),
    ],
)
def test_other_parameters_are_an_error_that_names_them(
    tiny_bert, reviews, interrupted, undisturbed, changes, differences
):
    folder = interrupted()
    message = other_training(folder, differences.format(precision=undisturbed.net_.precision))
    with pytest.raises(ValueError, match=message):
        BertClassifier(tiny_bert, checkpoint_dir=folder, **SETTINGS | changes).fit(*reviews)


class Watcher(Callback):
    """Does nothing."""


class Other(Callback):
    """Does nothing either."""


def test_callbacks_are_known_by_their_classes_however_they_are_passed(tiny_bert, reviews, tmp_path):
    classifier = BertClassifier(tiny_bert, checkpoint_dir=tmp_path, **SETTINGS | {"max_epochs": 1})
    for callbacks in ([Watcher()], [("mine", Watcher())], [Watcher], [("mine", Watcher)]):
        classifier.set_params(callbacks=callbacks).fit(*reviews)
    for callbacks in ([Other()], [("mine", Other)]):
        with pytest.raises(ValueError, match=other_training(tmp_path, "callbacks (Watcher there, Other here)")):
            classifier.set_params(callbacks=callbacks).fit(*reviews)


def test_other_data_are_an_error_that_names_them(tiny_bert, reviews, interrupted):
    folder, (texts, y) = interrupted(), reviews
    classifier = BertClassifier(tiny_bert, checkpoint_dir=folder, **SETTINGS)
    for changed, differences in (
        (([*texts[:-1], "soup"], y), "X"),
        ((texts[::-1], y[::-1]), "X, y"),
        ((texts, y, np.linspace(1, 2, len(y))), "sample_weight"),
    ):
        with pytest.raises(ValueError, match=other_training(folder, differences)):
            classifier.fit(*changed)
    with pytest.raises(ValueError, match=other_training(folder, "validation")):
        classifier.fit(texts, y, X_val=texts[:9], y_val=y[:9])


def test_another_seed_is_another_training(tiny_bert, reviews, interrupted):
    with pytest.raises(ValueError, match=r"These differ: random_state \(\d+ there, \d+ here\)\."):
        BertClassifier(tiny_bert, checkpoint_dir=interrupted(), **SETTINGS | {"random_state": 1}).fit(*reviews)


@pytest.mark.parametrize("damage", ["torn", "empty", "foreign", "of another kind"])
def test_a_damaged_or_foreign_file_is_named(tiny_bert, reviews, interrupted, damage):
    folder = interrupted()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    if damage == "of another kind":
        save_file({"weight": torch.zeros(3)}, path)
    else:
        path.write_bytes({"torn": whole[: len(whole) // 2], "empty": b"", "foreign": b"PK\x03\x04 something"}[damage])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="is not a training state that this version can read") as raised:
        BertClassifier(tiny_bert, checkpoint_dir=folder, **SETTINGS).fit(*reviews)
    assert str(path) in str(raised.value)
    assert "Delete it to start anew, or pass another checkpoint_dir." in str(raised.value)
    assert path.read_bytes() == before


def test_drafts_of_a_killed_process_are_removed(tiny_bert, reviews, tmp_path):
    (tmp_path / ".training_state.safetensors.12ab34cd.draft").write_bytes(b"half")
    BertClassifier(tiny_bert, checkpoint_dir=tmp_path, **SETTINGS | {"max_epochs": 1}).fit(*reviews)
    assert [path.name for path in tmp_path.iterdir()] == ["training_state.safetensors"]


def test_the_folder_is_made(tiny_bert, reviews, tmp_path):
    folder = tmp_path / "runs" / "first"
    BertRegressor(tiny_bert, checkpoint_dir=folder, **SETTINGS | {"max_epochs": 1}).fit(reviews[0], np.arange(48.0))
    assert (folder / "training_state.safetensors").is_file()


def test_going_on_from_weights_and_from_a_folder_exclude_each_other(tiny_bert, reviews, tmp_path):
    classifier = BertClassifier(tiny_bert, warm_start=True, checkpoint_dir=tmp_path, **SETTINGS | {"max_epochs": 1})
    classifier.fit(*reviews)
    message = (
        "warm_start=True resumes from the fitted weights, checkpoint_dir from those in the folder. "
        "Pass only one of them."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        classifier.fit(*reviews)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_twenty_kills_lose_nothing_but_the_epoch_they_fall_into(tiny_bert, reviews, tmp_path):
    settings = SETTINGS | {"max_epochs": 30, "n_iter_no_change": 30}
    expected = BertClassifier(tiny_bert, **settings).fit(*reviews)
    path, done, chance = tmp_path / "training_state.safetensors", [], random.Random(0)
    for _ in range(20):
        child = os.fork()
        if child == 0:
            BertClassifier(tiny_bert, checkpoint_dir=tmp_path, **settings).fit(*reviews)
            os._exit(0)
        time.sleep(chance.uniform(0.05, 0.6))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if path.exists():
            with safe_open(path, framework="pt") as file:
                done.append(len(json.loads(file.metadata()["numbers"])["history"]))
    assert done == sorted(done)
    fitted = BertClassifier(tiny_bert, checkpoint_dir=tmp_path, **settings).fit(*reviews)
    assert torch.equal(weights_of(fitted), weights_of(expected))
    assert fitted.loss_curve_ == expected.loss_curve_
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
