"""The fitted weights are the mean of the last ones, as validation sees them; the steps do not change by it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._training.weight_average import WeightAverage
from tests.training.test_checkpointing import weights_of

SETTINGS = {"max_epochs": 3, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}


class KeepWeights(Callback):
    """Keeps the weights and the rate of every step, and the weights at the end of every epoch."""

    def on_train_begin(self, net, **kwargs):
        self.rates, self.steps, self.epochs = [], [], []

    def on_batch_begin(self, net, training=False, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[0]["lr"])

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.steps.append(self.now(net))

    def on_epoch_end(self, net, **kwargs):
        self.epochs.append(self.now(net))

    def now(self, net):
        return torch.cat([p.detach().flatten() for p in net.trained.values()])


def fit(model, reviews, **changes):
    keep = KeepWeights()
    return keep, BertClassifier(model, callbacks=[keep], **SETTINGS | changes).fit(*reviews)


def test_the_training_ends_with_the_mean_of_the_steps_of_a_low_rate(tiny_bert, reviews):
    keep, _ = fit(tiny_bert, reviews, average_weights=True, warmup_fraction=0.2)
    low = [rate <= max(keep.rates) / 2 for rate in keep.rates]
    assert low == [True, *[False] * 10, *[True] * 7]  # the first step is low in the warm-up
    torch.testing.assert_close(keep.epochs[-1].double(), torch.stack(keep.steps[11:]).double().mean(0))
    assert not torch.allclose(keep.epochs[-1], keep.steps[-1])


def test_the_steps_are_those_of_a_training_without_the_mean(tiny_bert, reviews):
    (averaged, _), (plain, _) = (fit(tiny_bert, reviews, average_weights=value) for value in (True, False))
    assert torch.equal(torch.stack(averaged.steps), torch.stack(plain.steps))
    assert torch.equal(averaged.epochs[0], plain.epochs[0])  # its rates are high
    assert torch.equal(plain.epochs[-1], plain.steps[-1])


@pytest.mark.parametrize("changes", [{}, {"freeze": "encoder"}, {"freeze": 1, "layer_decay": 0.5}], ids=str)
def test_validation_scores_the_mean_which_the_best_epoch_keeps(tiny_bert, reviews, changes):
    texts, labels = reviews
    y = np.array([float(label == "good") for label in labels]) + np.linspace(0, 1, len(labels))
    regressor = BertRegressor(tiny_bert, average_weights=True, **SETTINGS | {"precision": "float64"} | changes)
    regressor.fit(texts, y, X_val=texts[:20], y_val=y[:20])
    best = regressor.validation_scores_[regressor.best_iter_ - 1]
    assert best == pytest.approx(regressor.score(texts[:20], y[:20]), abs=1e-9)
    assert len(set(regressor.validation_scores_)) == 3


def test_a_rate_that_never_falls_leaves_the_last_weights(tiny_bert, reviews):
    keep, _ = fit(tiny_bert, reviews, average_weights=True, warmup_fraction=1.0)
    assert torch.equal(keep.epochs[-1], keep.steps[-1])


def test_every_call_of_partial_fit_ends_with_a_mean_of_its_own_steps(tiny_bert, reviews):
    texts, labels = reviews
    keep = KeepWeights()
    classifier = BertClassifier(tiny_bert, callbacks=[keep], average_weights=True, **SETTINGS)
    for rows in (slice(0, 24), slice(24, 48)):
        classifier.partial_fit(texts[rows], labels[rows], classes=["bad", "good"])
        assert len(keep.steps) == 3
        torch.testing.assert_close(keep.epochs[-1].double(), torch.stack(keep.steps[2:]).double().mean(0))


def test_a_stopped_training_ends_with_the_mean_so_far(tiny_bert, reviews):
    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.stop_training_ = len(net.history) == 2

    keep = KeepWeights()
    settings = SETTINGS | {"max_epochs": 3, "warmup_fraction": 0.0}
    classifier = BertClassifier(tiny_bert, callbacks=[keep, Stop()], average_weights=True, **settings).fit(*reviews)
    assert classifier.n_iter_ == 2
    low = [w for w, rate in zip(keep.steps, keep.rates, strict=True) if rate <= max(keep.rates) / 2]
    assert 0 < len(low) < 6
    torch.testing.assert_close(keep.epochs[-1].double(), torch.stack(low).double().mean(0))


def test_a_step_that_overflowed_is_left_out_of_the_mean():
    p = torch.nn.Parameter(torch.tensor([1.0]))
    groups = [{"params": [p], "lr": 0.1, "initial_lr": 1.0}]
    net = SimpleNamespace(
        step_skipped_=False,
        optimizer_=SimpleNamespace(param_groups=groups),
        get_all_learnable_params=lambda: [("p", p)],
    )
    average = WeightAverage()
    average.on_train_begin(net)
    for value, skipped in ((1.0, False), (4.0, True), (3.0, False)):
        average.on_batch_begin(net, training=True)
        p.data.fill_(value)
        net.step_skipped_ = skipped
        average.on_batch_end(net, training=True)
    average.on_epoch_end(net)
    assert p.item() == 2.0


@pytest.mark.parametrize(("given", "averaged"), [(True, True), (False, False), ("auto", False)])
def test_the_summary_tells_whether_weights_are_averaged(tiny_bert, reviews, given, averaged):
    _, classifier = fit(tiny_bert, reviews, average_weights=given, max_epochs=1)
    assert classifier.average_weights_ is averaged
    assert (" of 8, weights averaged, 0 of 48" in classifier.summary_) is averaged


def test_a_mean_is_stored_and_loaded_to_the_bit(tiny_bert, reviews, tmp_path):
    classifier = BertClassifier(tiny_bert, average_weights=True, **SETTINGS).fit(*reviews)
    classifier.save_pretrained(tmp_path)
    loaded = BertClassifier.from_pretrained(tmp_path)
    assert torch.equal(weights_of(loaded), weights_of(classifier))
    assert loaded.summary_ == classifier.summary_
