"""A training step on a device that is not there: torch follows shapes and devices without values, and refuses to mix.

Any build of torch can do that. Which kernels there are, and what depends on values, only a GPU shows.
"""

from contextlib import ExitStack, nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from sklearn_bert._encoding.batching import EncodedDataset, TokenBatch
from sklearn_bert._encoding.tokenization import tokenize
from sklearn_bert._model.checkpoint import load_config, load_tokenizer
from sklearn_bert._model.embedding_subset import train_used_embeddings
from sklearn_bert._model.module import BertModule
from sklearn_bert._training.callbacks import make_callbacks
from sklearn_bert._training.config import TrainingConfig
from sklearn_bert._training.training_net import BertNet
from tests.helpers import cases

CLASSES = ("single_label_classification", 3, np.arange(8) % 3, {"label_smoothing": 0.1})
LABELS = ("multi_label_classification", 2, np.eye(2)[np.arange(8) % 2], {"pos_weight": np.array([1.0, 2.0])})
NUMBERS = ("regression", 1, np.linspace(-1, 1, 8)[:, None], {})


@pytest.fixture
def make_step(tiny_bert, reviews):
    """Gives a net before its first step, eight rows and their targets; all but the weights are fake CPU tensors."""
    with ExitStack() as stack:

        def make(target, n_texts, precision="float32"):
            config = load_config(tiny_bert)
            config.problem_type, config.num_labels, y, loss_params = target
            training = TrainingConfig(seed=0, loss_params=loss_params)
            net = BertNet(
                config,
                training,
                pad_token_id=0,
                max_length=64,
                precision=precision,
                make_module=partial(BertModule.from_folder, tiny_bert),
                module__pooling="mean",
                module__bi_encoder=n_texts == 2,
                callbacks=make_callbacks(training),
                callbacks__print_log=None,
                callbacks__valid_loss=None,
                batch_size=8,
                device="cpu",
            ).initialize()
            net.turn_dropout_on()
            tokens = tokenize(load_tokenizer(tiny_bert, config), (reviews[0][: 8 * n_texts],), 64)
            stack.enter_context(train_used_embeddings(net.module_.bert, [0, *tokens.input_ids]))
            dataset = EncodedDataset(tokens, y, np.ones(8), n_texts)
            inputs, targets = next(iter(net.get_iterator(dataset, training=True)))
            fake = FakeTensorMode(allow_non_fake_inputs=True)
            net.criterion_.keywords.update(without_values(net.criterion_.keywords, fake))
            inputs = TokenBatch(without_values(inputs, fake), n_texts)
            return net, inputs, without_values(targets, fake), fake

        yield make


def without_values(values, fake):
    """A dict with fake tensors in the place of tensors."""
    return {name: fake.from_tensor(v) if isinstance(v, torch.Tensor) else v for name, v in values.items()}


def index(tensor, items):
    """As ``tensor[items]``."""
    rows = []  # for each dimension a tensor of positions, or None for all
    for item in items if isinstance(items, tuple) else [items]:
        if isinstance(item, int):
            tensor = tensor.select(len(rows), item)
            continue
        if item is None:
            tensor = tensor.unsqueeze(len(rows))
        elif isinstance(item, slice):
            tensor = torch.ops.aten.slice(tensor, len(rows), item.start, item.stop, item.step or 1)
        rows.append(item if isinstance(item, torch.Tensor) else None)
    return tensor if all(row is None for row in rows) else torch.ops.aten.index(tensor, rows)


class WithoutDriver(TorchFunctionMode):
    """A context in which two methods of tensors do not ask the driver for their device: operators replace them."""

    operators = {torch.Tensor.__getitem__: index, torch.Tensor.contiguous: torch.ops.aten.contiguous}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return self.operators.get(function, function)(*args, **kwargs or {})


@pytest.fixture
def cuda_looks_available(monkeypatch):
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)  # it looks for a driver
    monkeypatch.setattr(fake_tensor, "init_gpu_context", lambda *args: None, raising=False)  # so does torch 2.11 here
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *args, **kwargs: True)


@pytest.mark.usefixtures("cuda_looks_available")
@pytest.mark.parametrize("n_texts", **cases({"texts": 1, "pairs": 2}))
@pytest.mark.parametrize(
    ("precision", "target"),
    **cases({"float32": ("float32", LABELS), "bfloat16": ("bfloat16", CLASSES), "float16": ("float16", NUMBERS)}),
)
def test_forward_pass_and_loss_mix_no_devices_on_cuda(make_step, precision, target, n_texts):
    net, inputs, targets, fake = make_step(target, n_texts, precision)
    module, dtypes = net.module_, []
    weights = without_values({**dict(module.named_parameters()), **dict(module.named_buffers())}, fake)
    module.classifier.register_forward_hook(lambda *call: dtypes.append(call[-1].dtype))
    # Without gradients, which need a stream of the device. The weights stay beside the module: torch aborts where a
    # module's parameters are such tensors. The device has a number: only a driver knows the current one.
    with fake, WithoutDriver(), torch.no_grad():
        weights = {name: tensor.to("cuda:0") for name, tensor in weights.items()}
        net.module_ = lambda **arguments: torch.func.functional_call(module, weights, (), arguments)
        net.device = "cuda:0"
        logits = net.infer(inputs)
        loss = net.get_loss(logits, targets, X=inputs, training=True)
    assert dtypes == [getattr(torch, precision)]
    assert (str(logits.device), logits.dtype, logits.shape) == ("cuda:0", torch.float32, (8, net.config.num_labels))
    assert (str(loss.device), loss.dtype, loss.shape) == ("cuda:0", torch.float32, ())


def test_a_whole_step_mixes_no_devices(make_step):
    """On the device "meta", which has gradients but no autocast."""
    net, inputs, targets, fake = make_step(LABELS, 2)
    net.module_.to("meta")
    net.device, net.n_steps_, net._autocast = "meta", 3, nullcontext
    net._in_pieces = lambda compute, *batch, max_rows: [compute(*batch), compute(*batch)]  # it measures texts
    with fake:
        net.initialize_optimizer()
        net.notify("on_train_begin")
        step = net.train_step((inputs, targets))
    assert {tensor.device.type for tensor in step.values()} == {"meta"}
    assert {p.grad.device.type for _, p in net.get_all_learnable_params()} == {"meta"}
    assert len(net.optimizer_.state) == len(net.learnable_)
