from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import softmax
from skorch.callbacks import Callback

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._encoding.batching import EncodedDataset
from sklearn_bert._encoding.tokenization import tokenize
from sklearn_bert._model.checkpoint import load_config, load_tokenizer
from sklearn_bert._model.dropout import set_dropout
from sklearn_bert._model.module import BertModule
from sklearn_bert._training.callbacks import make_callbacks
from sklearn_bert._training.config import TrainingConfig
from sklearn_bert._training.training_net import BertNet
from tests.helpers import exactly

CONFIG = TrainingConfig(seed=0, learning_rate=1e-3, weight_decay=0.0, warmup_fraction=0.0, max_grad_norm=None)
PARAMS = {
    "max_length": 64,
    "precision": "float64",
    "batch_size": 48,
    "device": "cpu",
    "verbose": 0,
    "callbacks__print_log": None,
    "callbacks__valid_loss": None,
}


@pytest.fixture
def dataset(tiny_bert, reviews):
    config = load_config(tiny_bert)
    tokens = tokenize(load_tokenizer(tiny_bert, config), (reviews[0],), 64)
    y = np.array([label == "good" for label in reviews[1]], dtype=np.int64)
    return EncodedDataset(tokens, y, np.linspace(0.5, 1.5, len(y)))


@pytest.fixture
def make_net(tiny_bert):
    def make(problem_type="single_label_classification", num_labels=2, **changes):
        config = load_config(tiny_bert)
        set_dropout(config, dropout=0.0, attention_dropout=0.0)
        config.num_labels, config.problem_type = num_labels, problem_type
        training = {name: changes.pop(name) for name in [*changes] if name in vars(CONFIG)}
        training = replace(CONFIG, **training)
        params = PARAMS | {"callbacks": make_callbacks(training)} | changes
        torch.manual_seed(0)
        make_module = partial(BertModule.from_folder, tiny_bert)
        return BertNet(config, training, pad_token_id=0, make_module=make_module, **params).initialize()

    return make


def one_batch(net, dataset):
    return next(iter(net.get_iterator(dataset, training=True)))


def test_the_loss_is_the_weighted_mean_over_the_batch(make_net, dataset):
    net = make_net()
    inputs, targets = one_batch(net, dataset)
    logits = net.infer(inputs)
    rows = torch.nn.functional.cross_entropy(logits, targets["y"], reduction="none")
    assert net.get_loss(logits, targets).item() == pytest.approx((targets["w"] * rows).mean().item(), rel=1e-12)


def test_every_row_is_trained_on(make_net, dataset):
    net = make_net(batch_size=7)
    assert sum(len(targets["w"]) for _, targets in net.get_iterator(dataset, training=True)) == len(dataset)
    net.fit(dataset)
    assert net.history[0, "train_batch_count"] == 7
    assert sum(net.history[0, "batches", :, "train_batch_size"]) == len(dataset)


def test_gradients_are_clipped_before_the_step(make_net, dataset):
    norms = {}
    for limit in (None, 1e-3):
        net = make_net(max_grad_norm=limit)
        net.n_steps_ = 3
        net.notify("on_train_begin", X=dataset)
        net.train_step(one_batch(net, dataset))
        norms[limit] = torch.cat([p.grad.flatten() for p in net.module_.parameters() if p.grad is not None]).norm()
    assert norms[None] > 1e-2
    assert norms[1e-3] == pytest.approx(1e-3, rel=1e-3)


def test_the_learning_rate_warms_up_and_decays_over_all_epochs(make_net, dataset):
    net = make_net(batch_size=12, max_epochs=5, warmup_fraction=0.5)
    rates = []
    net.on_grad_computed = lambda *_, **__: rates.append(net.optimizer_.param_groups[0]["lr"])
    net.fit(dataset)
    assert len(rates) == 20
    assert np.argmax(rates) == 9
    assert max(rates) == pytest.approx(1e-3)
    assert np.all(np.diff(rates[:10]) > 0)
    assert np.all(np.diff(rates[10:]) < 0)


def test_the_parameters_move_as_plain_adamw_moves_them(make_net, dataset):
    """One full batch without clipping and warm-up, beside an update written out by hand.

    Tokens that no text holds keep their vectors: AdamW would let them decay.
    """
    net, twin = make_net(weight_decay=0.1), make_net()
    net.partial_fit(dataset)
    decays = [p for p in twin.module_.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in twin.module_.parameters() if p.requires_grad and p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decays, "weight_decay": 0.1}, {"params": others, "weight_decay": 0}], 1e-3
    )
    inputs, targets = one_batch(twin, dataset)
    twin.module_.train()
    losses = torch.nn.functional.cross_entropy(twin.module_(**inputs).logits, targets["y"], reduction="none")
    (targets["w"] * losses).mean().backward()
    optimizer.step()
    unused = np.setdiff1d(np.arange(net.config.vocab_size), dataset.tokens.input_ids)
    assert len(unused)
    with torch.no_grad():
        twin.module_.bert.embeddings.word_embeddings.weight[unused] /= 1 - 1e-3 * 0.1
    for moved, expected in zip(net.module_.parameters(), twin.module_.parameters(), strict=True):
        torch.testing.assert_close(moved, expected, rtol=1e-9, atol=1e-12)


def test_a_batch_in_pieces_gives_the_gradients_and_the_loss_of_the_whole(make_net, dataset, monkeypatch):
    steps = []
    for max_tokens in (10**6, 40, 1):
        monkeypatch.setattr("sklearn_bert._training.computing._CACHED_TOKENS", max_tokens)
        net = make_net()
        net.n_steps_ = 3
        net.notify("on_train_begin", X=dataset)
        loss = net.train_step(one_batch(net, dataset))["loss"]
        steps.append((loss, [p.grad for p in net.module_.parameters() if p.grad is not None]))
    for loss, gradients in steps[1:]:
        torch.testing.assert_close(loss, steps[0][0], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(gradients, steps[0][1], rtol=1e-9, atol=1e-12)


def test_dropout_is_on_in_training_and_off_in_prediction(make_net, dataset):
    net, modes = make_net(), []
    net.module_.eval()
    net.on_grad_computed = lambda *_, **__: modes.append(all(m.training for m in net.module_.modules()))
    net.partial_fit(dataset)
    assert modes == [True]
    net.predict_logits(dataset)
    assert not any(m.training for m in net.module_.modules())


class OverflowingScaler:
    """Does what a float16 gradient scaler does when the first step overflows, and notes the order of calls."""

    def __init__(self):
        self.calls, self.factor = [], 8.0

    def scale(self, loss):
        return loss * self.factor

    def unscale_(self, optimizer):
        self.calls.append("unscale")
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad.div_(self.factor)

    def step(self, optimizer):
        self.calls.append("step")

    def update(self):
        self.factor /= 2

    def get_scale(self):
        return self.factor


def step(net, dataset):
    """One step of a training, with what callbacks do after it."""
    net.notify("on_epoch_begin", dataset_train=dataset, dataset_valid=None)
    net.run_single_epoch([one_batch(net, dataset)], training=True, prefix="train", step_fn=net.train_step)


def test_gradients_are_unscaled_before_clipping_and_a_skipped_step_keeps_the_learning_rate(make_net, dataset):
    net, plain = make_net(warmup_fraction=0.5, max_epochs=8), make_net(warmup_fraction=0.5, max_epochs=8)
    for each in (net, plain):
        each.n_steps_ = 3
        each.notify("on_train_begin", X=dataset)
    net.scaler_ = OverflowingScaler()
    rates = [dict(each.callbacks_)["schedule"].lr_scheduler_.get_last_lr for each in (net, plain)]
    before = rates[0]()
    for each in (net, plain):
        step(each, dataset)
    assert net.scaler_.calls == ["unscale", "step"]
    assert rates[0]() == before
    assert rates[1]()[0] > before[0]
    for scaled, expected in zip(net.module_.parameters(), plain.module_.parameters(), strict=True):
        if expected.grad is not None:
            torch.testing.assert_close(scaled.grad, expected.grad, rtol=1e-9, atol=1e-12)


def test_an_interrupt_is_passed_on(make_net, dataset):
    net = make_net()

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    net.on_grad_computed = interrupt
    with pytest.raises(KeyboardInterrupt):
        net.fit(dataset)


def test_logits_come_in_the_order_of_the_rows(make_net, dataset):
    net = make_net(batch_size=1).release_training_state()
    alone = np.concatenate([net.predict_logits(EncodedDataset(row(dataset.tokens, i))) for i in range(len(dataset))])
    np.testing.assert_allclose(net.predict_logits(dataset), alone, atol=1e-12)


def row(tokens, i):
    ids = slice(tokens.offsets[i], tokens.offsets[i + 1])
    length = np.array([0, ids.stop - ids.start])
    return type(tokens)(tokens.input_ids[ids], tokens.token_type_ids[ids], length)


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_logits_and_losses_are_in_float32_or_better(make_net, dataset, precision):
    net = make_net(precision=precision)
    inputs, targets = one_batch(net, dataset)
    logits = net.infer(inputs)
    assert logits.dtype == net.get_loss(logits, targets).dtype == torch.float32
    assert {p.dtype for p in net.module_.parameters()} == {torch.float32}


def test_bfloat16_predicts_what_float32_predicts(minilm, reviews):
    texts, labels = reviews
    settings = {"max_epochs": 1, "random_state": 0, "device": "cpu", "precision": "bfloat16"}
    estimator = BertClassifier(minilm, **settings).fit(texts, labels)
    half = estimator.predict_proba(texts)
    estimator.net_.precision = "float32"
    assert 0 < np.abs(estimator.predict_proba(texts) - half).max() < 5e-3


def test_release_training_state_drops_what_only_training_needs_and_keeps_the_history(make_net, dataset):
    net = make_net(max_epochs=2).fit(dataset)
    losses = net.history[:, "train_loss"]
    net.release_training_state()
    assert [net.optimizer_, net.scaler_, net.criterion_, net.training_config] == [None] * 4
    assert net.callbacks_ == []
    assert all(p.grad is None for p in net.module_.parameters())
    assert net.history[:, "train_loss"] == losses
    assert [row["batches"] for row in net.history] == [[], []]


# -- as a skorch user calls it ------------------------------------------------------------------------------


def test_forward_predict_proba_and_predict_are_in_the_order_of_the_rows(make_net, dataset):
    net = make_net(batch_size=1, num_labels=3).release_training_state()
    one_by_one = [EncodedDataset(row(dataset.tokens, i)) for i in range(len(dataset))]
    logits = np.concatenate([net.predict_logits(each) for each in one_by_one])
    np.testing.assert_allclose(net.forward(dataset).numpy(), logits, atol=1e-12)
    np.testing.assert_allclose(net.predict_proba(dataset), softmax(logits, axis=1), atol=1e-12)
    np.testing.assert_array_equal(net.predict(dataset), logits.argmax(axis=1))


def test_predict_of_labels_is_zero_or_one_and_of_numbers_the_logits(make_net, dataset):
    labels = make_net("multi_label_classification", num_labels=3)
    probabilities = labels.predict_proba(dataset)
    np.testing.assert_array_equal(labels.predict(dataset), probabilities > 0.5)
    assert 0 < probabilities.min() < probabilities.max() < 1
    numbers = make_net("regression", num_labels=1)
    np.testing.assert_array_equal(numbers.predict(dataset), numbers.forward(dataset).numpy())
    np.testing.assert_array_equal(numbers.predict_proba(dataset), numbers.predict(dataset))


@pytest.mark.parametrize("method", ["forward", "predict_proba", "predict"])
def test_a_net_that_is_given_texts_names_to_dataset(make_net, method):
    message = (
        "The net got a list, expected a dataset of token ids. Pass estimator.to_dataset(texts), or call the "
        "estimator's own predict methods with the texts."
    )
    with pytest.raises(TypeError, match=exactly(message)):
        getattr(make_net(), method)(["good"])


def test_forward_in_training_mode_raises(make_net, dataset):
    message = "Got training=True. This net predicts in evaluation mode only: pass training=False."
    with pytest.raises(ValueError, match=exactly(message)):
        make_net().forward(dataset, training=True)


class StopAfter(Callback):
    """Stops as skorch's EarlyStopping does."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


def test_a_callback_that_raises_keyboard_interrupt_at_the_end_of_an_epoch_stops_the_training(make_net, dataset):
    net = make_net(max_epochs=5, callbacks=[*make_callbacks(CONFIG), StopAfter()])
    net.fit(dataset)
    assert len(net.history) == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_training_on_a_gpu_learns_and_predicts_as_the_cpu_does(tiny_bert, reviews, precision):
    settings = {"max_epochs": 10, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0}
    estimator = BertClassifier(tiny_bert, device="cuda", precision=precision, **settings).fit(*reviews)
    assert estimator.score(*reviews) > 0.95
    on_gpu = estimator.predict_proba(reviews[0])
    estimator.net_.set_params(device="cpu", precision="float32")
    estimator.module_.cpu()
    np.testing.assert_allclose(on_gpu, estimator.predict_proba(reviews[0]), atol=2e-2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_memory_after_each_of_ten_fits_is_that_of_one_model(tiny_bert, reviews):
    y = [float(label == "good") for label in reviews[1]]
    allocated = []
    for _ in range(10):
        estimator = BertRegressor(tiny_bert, max_epochs=1, random_state=0, device="cuda").fit(reviews[0], y)
        allocated.append(torch.cuda.memory_allocated())
        del estimator
    assert len(set(allocated[1:])) == 1
