"""The skorch net: all knowledge of skorch is here.

skorch gives the training loop, its history and callbacks. Its defaults for data and optimizer are
not ours: no rows are split off, rows of similar lengths share a batch, the loss is weighted, the
step clips gradients and moves the learning rate, and a user's Ctrl-C stays an interrupt.
"""

import inspect
from functools import partial

import numpy as np
import skorch
import torch
from skorch.utils import to_device
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from ._batching import LengthGroupedSampler, TokenBudgetSampler, micro_batches, pad_collate
from ._checkpoint import load_encoder
from ._cpu import QuickOnCpu
from ._device import seeded
from ._module import LOSSES, BertModule
from ._optim import linear_warmup_decay, param_groups
from ._probe import merge_copies, sample_rows, solve_head
from ._vocabulary import only_used_tokens

_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_CACHED_TOKENS = 2048  # computed at a time on a CPU: with more, what one layer hands to the next leaves the cache

_SKORCHS_OWN = ("lr", "max_epochs", "batch_size", "verbose")  # parameters of skorch's that the estimators set


class BertNet(skorch.NeuralNet):
    """A `BertModule` with weighted losses, length-grouped batches, autocast and a schedule.

    Parameters
    ----------
    folder : Path
        The checkpoint's folder.
    config : transformers.PreTrainedConfig
        With `num_labels` and `problem_type` set.
    pad_token_id : int
    max_length : int
        Most tokens in a row; with `batch_size` it bounds the tokens of a batch in prediction.
    precision : {"float32", "bfloat16", "float16", "float64"}
    seed : int
        Of the order of the batches and the rows of the probe.
    head_init : {"probe", "random"}
    head_learning_rate : float or None
        None: as the encoder's, `lr`.
    weight_decay, warmup_fraction, max_grad_norm : float
    **kwargs : dict
        skorch's own parameters; ``module__`` ones reach `BertModule`.
    """

    def __init__(
        self,
        folder,
        config,
        *,
        pad_token_id,
        max_length,
        precision,
        seed,
        head_init,
        head_learning_rate,
        weight_decay,
        warmup_fraction,
        max_grad_norm,
        **kwargs,
    ):
        super().__init__(BertModule, criterion=None, optimizer=torch.optim.AdamW, train_split=None, **kwargs)
        self.folder = folder
        self.config = config
        self.pad_token_id = pad_token_id
        self.max_length = max_length
        self.precision = precision
        self.seed = seed
        self.head_init = head_init
        self.head_learning_rate = head_learning_rate
        self.weight_decay = weight_decay
        self.warmup_fraction = warmup_fraction
        self.max_grad_norm = max_grad_norm

    # -- building ---------------------------------------------------------------------------------

    def initialize_module(self):
        """The pretrained encoder with a new head; without a folder the encoder is new as well."""
        dtype = torch.float64 if self.precision == "float64" else torch.float32
        self.config.dtype = dtype  # which a new encoder asks
        encoder = None if self.folder is None else load_encoder(self.folder, self.config, dtype)
        self.module_ = self.module(self.config, encoder=encoder, **self.get_params_for("module"))
        return self

    def initialize_criterion(self):
        """The loss of each row, chosen once by the problem type."""
        self.criterion_ = partial(LOSSES[self.config.problem_type], reduction="none")
        return self

    def initialize_optimizer(self):
        """AdamW without decay on biases and normalisation weights, with a gradient scaler for float16."""
        head_lr = self.lr if self.head_learning_rate is None else self.head_learning_rate
        groups = param_groups(self.module_, self.lr, head_lr, self.weight_decay)
        fused = torch.device(self.device).type in ("cpu", "cuda")
        self.optimizer_ = self.optimizer(groups, lr=self.lr, fused=fused)
        self.scaler_ = torch.amp.GradScaler(enabled=self.precision == "float16")
        return self

    # -- training ---------------------------------------------------------------------------------

    def get_iterator(self, dataset, training=False):
        """Batches of rows of similar lengths: in random order to train, longest first to predict."""
        lengths = dataset.lengths
        if training:
            sampler = LengthGroupedSampler(lengths, self.batch_size, torch.Generator().manual_seed(self.seed))
        else:
            max_tokens = self.batch_size * self.max_length
            if self._on_cpu:
                max_tokens = min(max_tokens, _CACHED_TOKENS)
            sampler = TokenBudgetSampler(lengths, max_tokens)
        # A generator of its own: the loader would draw a seed from the caller's random state.
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=partial(pad_collate, pad_token_id=self.pad_token_id),
            generator=torch.Generator(),
        )

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start the head, and lay out the learning rate over all steps to come."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        if self.head_init == "probe" and not self.module_.hidden:
            self._probe_head(X)
        n_steps = self.max_epochs * len(self.get_iterator(X, training=True))
        factor = partial(linear_warmup_decay, n_steps=n_steps, warmup_fraction=self.warmup_fraction)
        self.scheduler_ = LambdaLR(self.optimizer_, factor)

    def _probe_head(self, dataset):
        """Set the head to the linear model solved on the features of the untrained network."""
        y, w = dataset.targets["y"], dataset.targets["w"]
        rows, w = merge_copies(dataset.row_keys(), w)
        picked, w = sample_rows(self.config.problem_type, y[rows], w, self.seed)
        rows = rows[picked]
        features = self.predict_features(dataset.take(rows))
        if not np.isfinite(features).all():
            raise ValueError(
                "The encoder's outputs are not finite before any training. Check the checkpoint's weights, or pass "
                "precision='float32'."
            )
        weight, bias = solve_head(self.config.problem_type, features, y[rows], w, self.config.num_labels)
        with torch.no_grad():
            self.module_.classifier.weight.copy_(torch.from_numpy(weight))
            self.module_.classifier.bias.copy_(torch.from_numpy(bias))

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """As skorch's, but an interrupt is passed on: a half-trained net must not look trained."""
        if not self.initialized_:
            self.initialize()
        used = np.unique(np.append(X.tokens.input_ids, self.pad_token_id))
        with only_used_tokens(self.module_.bert, used), torch.enable_grad():
            self.initialize_optimizer()  # of the parameters that are trained now
            self.notify("on_train_begin", X=X, y=y)
            self.fit_loop(X, y, **fit_params)
            self.notify("on_train_end", X=X, y=y)
        if not all(torch.isfinite(p.sum()) for p in self.module_.parameters()):
            raise self._divergence()
        return self

    def _divergence(self):
        return ValueError(
            f"The training diverged in epoch {len(self.history)}: loss or weights are no longer finite, with "
            f"learning_rate={self.lr}, head_learning_rate={self.head_learning_rate} and precision={self.precision!r}. "
            "Lower the learning rates, raise warmup_fraction, or lower max_grad_norm."
        )

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Stop as soon as the loss is lost; skorch has read it by now, so a GPU need not wait again."""
        super().on_batch_end(net, batch=batch, training=training, **kwargs)
        if not torch.isfinite(kwargs["loss"]):
            raise self._divergence()

    def train_step(self, batch, **fit_params):
        """One update: forward, weighted loss, backward, clipped step, next learning rate."""
        _, targets = batch
        self._set_training(True)
        self.optimizer_.zero_grad(set_to_none=True)
        loss = sum(self._accumulate(*piece, len(targets["w"])) for piece in self._micro_batches(*batch))
        self.scaler_.unscale_(self.optimizer_)
        if self.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.module_.parameters(), self.max_grad_norm)
        self.notify("on_grad_computed", named_parameters=self.module_.named_parameters(), batch=batch, training=True)
        scale = self.scaler_.get_scale()
        self.scaler_.step(self.optimizer_)
        self.scaler_.update()
        if self.scaler_.get_scale() >= scale:  # a smaller scale: float16 overflowed, no step was made
            self.scheduler_.step()
        return {"loss": loss, "y_pred": None}

    def _micro_batches(self, inputs, targets):
        """The pieces of a batch that are computed one after the other: on a CPU such as its cache holds, else one."""
        return micro_batches(inputs, targets, _CACHED_TOKENS) if self._on_cpu else [(inputs, targets)]

    @property
    def _on_cpu(self):
        return torch.device(self.device).type == "cpu"

    def _accumulate(self, inputs, targets, n_rows):
        """Add to the gradients what these rows of a batch of `n_rows` give; their part of the batch's loss."""
        with QuickOnCpu():
            logits = self.infer(inputs)
        loss = self.get_loss(logits, targets) * (len(targets["w"]) / n_rows)
        self.scaler_.scale(loss).backward()
        return loss.detach()

    def infer(self, x, **fit_params):
        """A batch of inputs to (B, num_labels) logits, in float32 or better."""
        return self._compute(lambda **inputs: self.module_(**inputs, return_dict=False)[0], x)

    def _compute(self, function, inputs):
        """A function of the module, on the device and in the precision asked for; the result in float32 or better."""
        with self._autocast():
            result = function(**to_device(inputs, self.device))
        return result.to(torch.promote_types(result.dtype, torch.float32))

    def _autocast(self):
        dtype = _AUTOCAST.get(self.precision)
        return torch.autocast(torch.device(self.device).type, dtype=dtype, enabled=dtype is not None)

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        """mean(w * loss): the weights have a mean of one over the data set, not over the batch."""
        targets = to_device(y_true, self.device)
        return (targets["w"].to(y_pred.dtype) * self.criterion_(y_pred, targets["y"])).mean()

    # -- after training -----------------------------------------------------------------------------

    def strip(self):
        """Keep what prediction needs: the weights once, no gradients, no optimizer, no batch histories."""
        self.trim_for_prediction()
        self.module_.zero_grad(set_to_none=True)
        self.scheduler_ = self.scaler_ = self.criterion_ = None
        return self

    def stored_params(self):
        """The constructor's parameters, without what only training needs or is made by the constructor itself."""
        own = [name for name in inspect.signature(type(self)).parameters if name not in ("folder", "config", "kwargs")]
        names = [*own, *_SKORCHS_OWN, *(name for name in vars(self) if name.startswith("module__"))]
        return {name: getattr(self, name) for name in names}

    def arrays(self):
        """The weights by name, as NumPy arrays."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.module_.state_dict().items()}

    @classmethod
    def from_arrays(cls, arrays, config, params):
        """A net on the CPU, ready to predict, from what `arrays` and `stored_params` give."""
        with seeded(0, torch.device("cpu")):  # the caller's random state stays: all is overwritten
            net = cls(None, config, **{"callbacks__valid_loss": None} | params, device="cpu").initialize()
        # torch warns about an array that it may not write to, a memory map for example
        writeable = {name: array if array.flags.writeable else array.copy() for name, array in arrays.items()}
        net.module_.load_state_dict({name: torch.from_numpy(array) for name, array in writeable.items()})
        return net.strip()

    def __reduce__(self):
        """Stored are the weights, once, and what builds a net round them: no optimizer, no history, no device."""
        if not self.initialized_:
            return super().__reduce__()
        return self.from_arrays, (self.arrays(), self.config, self.stored_params())

    def move(self, device, precision):
        """Compute there, and so precisely, from now on."""
        self.module_.to(device)
        self.device, self.precision = device, precision

    def predict_logits(self, dataset):
        """Logits of every row, in the dataset's order, (n, num_labels) float32 or float64."""
        return self._predict(dataset, self.infer)

    def predict_features(self, dataset):
        """What the head takes, of every row, in the dataset's order, (n, H), or (n, 4 H) of pairs read apart."""
        return self._predict(dataset, partial(self._compute, self.module_.features))

    def _predict(self, dataset, compute):
        """`compute` of batches of inputs, in eval mode and without gradients, in the dataset's order."""
        iterator = self.get_iterator(dataset, training=False)
        self._set_training(False)
        results = None
        # One autocast round all batches: it casts the weights once.
        with torch.inference_mode(), self._autocast(), QuickOnCpu():
            for rows, (inputs, _) in zip(iterator.batch_sampler, iterator, strict=True):
                batch = compute(inputs).cpu().numpy()  # (B, ...)
                if results is None:
                    results = np.empty((len(dataset), batch.shape[1]), dtype=batch.dtype)
                results[rows] = batch
        return results
