"""A fit that fails, for any reason, leaves the estimator unchanged."""

import os
import signal
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._training.training_net import BertNet
from tests.helpers import FAST, exactly, weights_of


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError])
def test_failed_fit_keeps_all_attributes_of_the_earlier_fit(tiny_bert, reviews, monkeypatch, failure):
    texts, y = reviews
    estimator = BertClassifier(tiny_bert, **FAST).fit(pd.DataFrame({"review": texts}), y)
    before, probabilities = dict(vars(estimator)), estimator.predict_proba(pd.DataFrame({"review": texts}))

    def fail(*args, **kwargs):
        raise failure

    monkeypatch.setattr(BertNet, "train_step", fail)
    with pytest.raises(failure):
        estimator.fit(texts, [1, 2] * 24)
    assert vars(estimator) == before
    np.testing.assert_array_equal(estimator.predict_proba(pd.DataFrame({"review": texts})), probabilities)


def test_failed_first_fit_leaves_the_estimator_unfitted(tiny_bert, reviews, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(BertNet, "train_step", fail)
    estimator = BertClassifier(tiny_bert, **FAST)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(*reviews)
    with pytest.raises(NotFittedError):
        estimator.predict(reviews[0])


def test_failed_warm_start_keeps_the_weights_of_the_earlier_fit(tiny_bert, reviews, monkeypatch):
    estimator = BertClassifier(tiny_bert, warm_start=True, **FAST).fit(*reviews)
    before, train_step, steps = weights_of(estimator).clone(), BertNet.train_step, []

    def fail_later(net, batch, **params):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return train_step(net, batch, **params)

    monkeypatch.setattr(BertNet, "train_step", fail_later)
    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(precision="float64", dropout=0.5).fit(*reviews)
    assert torch.equal(weights_of(estimator), before)
    assert (estimator.module_.config.dtype, estimator.module_.config.hidden_dropout_prob) == (torch.float32, 0.1)


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
def test_fit_raises_when_training_diverges_and_leaves_the_estimator_unfitted(estimator, tiny_bert, reviews):
    y = reviews[1] if estimator is BertClassifier else [float(label == "good") for label in reviews[1]]
    diverging = estimator(tiny_bert, **FAST | {"learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"The training diverged in epoch 1, step \d: .* Lower the learning rates"):
        diverging.fit(reviews[0], y)
    assert not hasattr(diverging, "net_")
    assert not hasattr(diverging, "module_")


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_divergence_error_names_epoch_step_learning_rate_and_remedies(tiny_bert, reviews, monkeypatch, estimator, loss):
    get_loss, n_calls = BertNet.get_loss, []

    def lose(net, *args, **params):
        n_calls.append(1)  # three batches an epoch: the second of the second epoch is the fifth
        return get_loss(net, *args, **params) * (loss if len(n_calls) == 5 else 1)

    monkeypatch.setattr(BertNet, "get_loss", lose)
    y = (np.array(reviews[1]) == "good") * 1
    diverging = estimator(tiny_bert, **FAST | {"max_epochs": 3, "batch_size": 16, "precision": "float32"})
    message = (
        "The training diverged in epoch 2, step 2: loss or weights are no longer finite, with learning_rate=0.01, "
        "head_learning_rate=0.01 and precision='float32'. Lower the learning rates, raise warmup_fraction, or lower "
        "max_grad_norm. If it diverges in the first step, look for very large numbers in y and very uneven weights."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        diverging.fit(reviews[0], y)
    assert vars(diverging).keys() == diverging.get_params().keys()


def test_interrupt_ends_a_grid_search(tiny_bert, reviews, monkeypatch):
    fits, fit = [], BertNet.fit

    def interrupted(net, *args, **params):
        fits.append(1)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return fit(net, *args, **params)

    monkeypatch.setattr(BertNet, "fit", interrupted)
    search = GridSearchCV(BertClassifier(tiny_bert, **FAST), {"max_epochs": [1, 2]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(*reviews)
    assert len(fits) == 2
    assert not hasattr(search, "best_estimator_")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_ctrl_c_leaves_the_estimator_unfitted_or_as_before_the_fit(tiny_bert, reviews, request):
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores SIGINT
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, previous))
    estimator = BertClassifier(tiny_bert, **FAST | {"max_epochs": 100_000})
    for fitted in (False, True):
        if fitted:
            estimator.set_params(max_epochs=1).fit(*reviews)
            before = weights_of(estimator).clone()
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            estimator.set_params(max_epochs=100_000).fit(*reviews)
        timer.join()
        assert hasattr(estimator, "net_") == fitted
    assert torch.equal(weights_of(estimator), before)
