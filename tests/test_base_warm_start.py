"""Training that continues from a fitted estimator: `warm_start` and `partial_fit`."""

import pickle

import numpy as np
import pytest
import torch

from sklearn_bert import BertClassifier
from tests.helpers import FAST, exactly, weights_of


def test_warm_start_continues_from_the_fitted_weights(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, warm_start=True, **FAST | {"max_epochs": 6}).fit(*reviews)
    before, low = weights_of(estimator), estimator.loss_curve_[-1]
    estimator.set_params(learning_rate=1e-30, max_epochs=1).fit(*reviews)
    torch.testing.assert_close(weights_of(estimator), before, rtol=1e-5, atol=1e-9)
    assert estimator.loss_curve_[0] < 1.5 * low
    assert estimator.n_iter_ == 1
    cold = BertClassifier(tiny_bert, **FAST | {"max_epochs": 1, "learning_rate": 1e-30}).fit(*reviews)
    assert not torch.allclose(weights_of(cold), before, atol=1e-3)


@pytest.mark.parametrize("freeze", ["encoder", 1])
def test_warm_start_without_freeze_trains_the_layers_that_were_frozen(tiny_bert, reviews, freeze):
    estimator = BertClassifier(tiny_bert, warm_start=True, freeze=freeze, **FAST).fit(*reviews)
    stored = pickle.loads(pickle.dumps(estimator))
    before = [p.clone() for p in estimator.module_.bert.encoder.parameters()]
    for other in (estimator, stored):
        other.set_params(freeze=None).fit(*reviews)
    assert not any(map(torch.equal, estimator.module_.bert.encoder.parameters(), before))
    assert torch.equal(weights_of(estimator), weights_of(stored))


def test_partial_fit_uses_the_current_parameters(tiny_bert, reviews):
    texts, labels = reviews[0], np.array([[word == "good", i % 2] for i, word in enumerate(reviews[1])], dtype=int)
    estimator = BertClassifier(tiny_bert, warm_start=True, threshold=0.2, **FAST).fit(texts, labels)
    changed = {"dropout": 0.7, "attention_dropout": 0.6, "class_weight": {0: 3.0}, "label_smoothing": 0.25}
    estimator.set_params(threshold=1.0, precision="float64", **changed).partial_fit(texts, labels)
    assert not estimator.predict(texts).any()
    assert estimator._target.loss_params["label_smoothing"] == 0.25
    assert estimator._target.loss_params["pos_weight"].tolist() == [3, 1]
    probabilities = {part.p for part in estimator.module_.modules() if isinstance(part, torch.nn.Dropout)}
    assert probabilities == {0.7, 0.6}
    assert {p.dtype for p in estimator.module_.parameters()} == {torch.float64}


def test_warm_start_raises_for_another_structure_or_new_labels(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, warm_start=True, **FAST).fit(*reviews)
    with pytest.raises(
        ValueError, match=r"The fitted module has \{'pooling': 'mean_last_two', .* the parameters ask for \{'pool"
    ):
        estimator.set_params(pooling="cls").fit(*reviews)
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(0,\)"):
        BertClassifier(tiny_bert, hidden_layer_sizes=(0,), **FAST).partial_fit(*reviews)
    message = (
        "y holds labels that are not among the classes: ['new']. Expected some of ['bad', 'good'], as in the earlier "
        "fit. Drop these rows, or fit anew with warm_start=False."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        estimator.set_params(pooling="mean").fit(reviews[0], ["new", "good"] * 24)
    with pytest.raises(ValueError, match=r"X has 2 text column\(s\), but BertClassifier was fitted with 1\."):
        estimator.fit(list(zip(reviews[0], reviews[0], strict=True)), reviews[1])


@pytest.mark.usefixtures("sklearn_callback")
def test_partial_fit_calls_the_callbacks_of_scikit_learn_as_a_fit_of_one_epoch(tiny_bert, reviews):
    recorder = Recorder()
    estimator = BertClassifier(tiny_bert, **FAST | {"max_epochs": 1}).set_callbacks(recorder)
    estimator.fit(*reviews)
    of_fit, recorder.calls = recorder.calls, []
    for _ in range(2):
        estimator.partial_fit(*reviews)
        assert recorder.calls == of_fit
        recorder.calls = []
    assert of_fit == ["setup", "begin fit", "begin epoch", "end epoch", "end fit", "teardown"]
    with pytest.raises(ValueError, match="not among the classes"):
        estimator.partial_fit(reviews[0], ["new", "good"] * 24)
    assert recorder.calls == ["setup", "begin fit", "teardown"]


class Recorder:
    """A callback of scikit-learn that records its calls, and predicts with what a task has learned."""

    def __init__(self):
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        assert len(fitted_estimator.predict(X)) == len(X)
        self.calls.append(f"end {context.task_name}")
