"""A training with a budget of time ends in time, and its learning rate has decayed by then."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from skorch.callbacks import Callback

from sklearn_bert import BertClassifier, BertRegressor, TrainingCurveDisplay
from sklearn_bert._runtime.distributed import DistributedContext
from sklearn_bert._training.optim import linear_warmup_decay
from sklearn_bert._training.time_budget import TimeBudget
from sklearn_bert._training.training_net import BertNet
from tests.helpers import FAST, exactly, ticking_clock

ENDLESS = FAST | {"max_epochs": 100_000, "batch_size": 8}


class Machine:
    """A net whose steps and validations take the seconds that a test wants, by a clock of its own."""

    def __init__(self, step, validation=0.0, n_epochs=10, per_epoch=20, n_valid=0, loading=0.0):
        self.step, self.validation, self.now = step, validation, 0.0
        self.n_epochs, self.per_epoch, self.n_valid, self.loading = n_epochs, per_epoch, n_valid, loading

    def clock(self):
        return self.now

    def train(self, seconds, history=()):
        """Factors of the learning rate of all steps, and the second in which the last epoch was judged."""
        budget = TimeBudget(seconds, started=0.0, clock=self.clock)
        net = SimpleNamespace(
            history=list(history),
            max_epochs=self.n_epochs,
            n_steps_=self.n_epochs * self.per_epoch,
            time_is_up_=False,
            stop_training_=False,
            group_=DistributedContext(),
        )
        data = {"dataset_train": dataset(100), "dataset_valid": dataset(self.n_valid) if self.n_valid else None}
        factors, self.now = [], self.loading
        budget.on_train_begin(net)
        while len(net.history) < self.n_epochs and not net.stop_training_:
            net.history.append({"dur": 0.0, "train_batch_count": 0})
            begin = self.now
            budget.on_epoch_begin(net, **data)
            for _ in range(self.per_epoch):
                if net.time_is_up_:
                    break
                factors.append(linear_warmup_decay(len(factors), net.n_steps_, 0.1))
                self.now += self.step(len(factors)) if callable(self.step) else self.step
                net.history[-1]["train_batch_count"] += 1
                budget.on_batch_end(net, training=True)
            self.now += self.validation
            net.history[-1]["dur"] = self.now - begin
            budget.on_epoch_end(net)
        return np.array(factors), self.now, net


def dataset(n_tokens):
    return SimpleNamespace(lengths=np.full(n_tokens, 1))


@pytest.mark.parametrize("seconds", [5.0, 30.0, 61.5, 150.0])
@pytest.mark.parametrize("validation", [0.0, 3.0])
def test_as_many_steps_are_made_as_fit_in_and_the_learning_rate_decays_to_its_end(seconds, validation):
    machine = Machine(1.0, validation, n_valid=50 if validation else 0)
    factors, end, _ = machine.train(seconds)
    assert seconds - 1 - validation <= end <= seconds
    assert factors[-1] <= 1.5 / (0.9 * len(factors)) + 1e-9
    assert max(factors[:3]) <= 1
    assert (np.diff(factors[max(4, len(factors) // 2) :]) <= 1e-9).all()


def test_a_budget_that_is_large_enough_changes_nothing():
    factors, end, net = Machine(1.0).train(1000.0)
    np.testing.assert_array_equal(factors, [linear_warmup_decay(i, 200, 0.1) for i in range(200)])
    assert (end, net.stop_training_) == (200.0, False)


def test_loading_counts():
    assert Machine(1.0, loading=20.0).train(50.0)[1] == 50.0


@pytest.mark.parametrize("seed", range(5))
def test_steps_of_uneven_length_and_a_slow_first_one(seed):
    noise = np.random.default_rng(seed).lognormal(sigma=0.5, size=1000)
    factors, end, _ = Machine(lambda i: 5.0 if i == 1 else noise[i]).train(60.0)
    assert end <= 60.0
    assert end > 50.0
    assert factors[-1] < 0.15


def test_a_machine_that_becomes_slower_ends_in_time():
    factors, end, _ = Machine(lambda i: 1.0 if i < 20 else 3.0).train(60.0)
    assert 54.0 < end <= 60.0
    assert factors[-1] < 0.15


def test_one_step_is_always_made():
    factors, _, net = Machine(10.0).train(1.0)
    assert len(factors) == 1
    assert net.stop_training_


def test_a_resumed_training_has_spent_the_time_of_its_earlier_epochs():
    earlier = [{"dur": 20.0, "train_batch_count": 20}] * 2
    factors, end, _ = Machine(1.0).train(70.0, history=earlier)
    assert end == 30.0
    assert len(factors) == 30


@pytest.mark.parametrize("changes", [{}, {"freeze": "encoder"}, {"early_stopping": True, "n_iter_no_change": 10**6}])
def test_a_fit_ends_in_time_in_the_middle_of_a_schedule(tiny_bert, reviews, changes):
    class Rates(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    rates = []
    classifier = BertClassifier(tiny_bert, max_seconds=1.5, callbacks=[Rates()], **ENDLESS | changes)
    with ticking_clock(0.01) as shown:
        classifier.fit(*reviews)
    assert 1.45 < shown[-1] <= 1.5
    assert 1 < classifier.n_iter_ == len(classifier.loss_curve_) < 100_000
    assert rates[-1] < 0.2 * max(rates)
    assert (
        f", {classifier.n_iter_} epochs in batches of 8 ({classifier.n_steps_} steps in max_seconds=1.5)"
        in classifier.summary_
    )
    assert changes == {"freeze": "encoder"} or classifier.score(*reviews) > 0.9


def test_a_fit_ends_by_the_clock_of_the_machine_too(tiny_bert, reviews):
    assert TimeBudget(0.5, started=0.0).clock is time.monotonic
    assert BertClassifier(tiny_bert, max_seconds=0.5, **ENDLESS).fit(*reviews).n_iter_ < 100_000


def test_less_than_an_epoch_is_an_epoch_that_is_judged(tiny_bert, reviews):
    texts, labels = reviews[0] * 40, np.tile(reviews[1], 40)
    regressor, y = BertRegressor(tiny_bert, max_seconds=0.3, **ENDLESS), (labels == "good") * 1.0
    with ticking_clock(0.01):
        regressor.fit(texts, y, X_val=reviews[0], y_val=y[: len(reviews[0])])
    assert regressor.n_iter_ == len(regressor.validation_scores_) == regressor.best_iter_ == 1
    assert 0 < regressor.n_steps_ < len(texts) // 8


def test_all_steps_are_counted(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, **FAST | {"max_epochs": 3, "batch_size": 20}).fit(*reviews)
    assert classifier.n_steps_ == 3 * -(-len(reviews[0]) // 20)
    classifier.partial_fit(*reviews)
    assert classifier.n_steps_ == 4 * -(-len(reviews[0]) // 20)


def test_a_training_whose_time_was_up_is_complete(tiny_bert, reviews, tmp_path, monkeypatch):
    settings = ENDLESS | {"max_seconds": 1.0, "checkpoint_dir": tmp_path}
    with ticking_clock(0.01):
        first = BertClassifier(tiny_bert, **settings).fit(*reviews)
    monkeypatch.setattr(BertNet, "train_step", None)  # there is time for more steps now
    again = BertClassifier(tiny_bert, **settings).fit(*reviews)
    assert again.n_steps_ == first.n_steps_
    assert again.loss_curve_ == first.loss_curve_
    np.testing.assert_array_equal(again.predict_proba(reviews[0]), first.predict_proba(reviews[0]))


def test_the_curve_cannot_show_rates_that_followed_a_clock(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, max_seconds=60, **FAST | {"max_epochs": 1}).fit(*reviews)
    message = (
        "learning_rate=True needs rates that parameters tell, but with max_seconds=60 they followed the clock. Pass "
        "learning_rate=False."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        TrainingCurveDisplay.from_estimator(classifier, learning_rate=True)
    TrainingCurveDisplay.from_estimator(classifier)
