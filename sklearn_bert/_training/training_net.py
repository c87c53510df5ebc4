"""The net that trains: skorch's loop with a weighted loss, a schedule, validation and the best epoch's weights.

skorch gives the training loop, its history and callbacks. Its defaults for data and optimizer are
not ours: no rows are split off, rows of similar lengths share a batch, the loss is weighted, the
step clips gradients and moves the learning rate, and a user's Ctrl-C stays an interrupt.
"""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from skorch.utils import to_device
from torch.optim.lr_scheduler import LambdaLR

from .._data.sampling import merge_copies, sample_rows
from .._data.targets import TARGETS
from .._encoding.batching import FeatureDataset, LengthGroupedSampler
from .._model.checkpoint import load_encoder
from .._model.cpu_kernels import FastCpuKernels
from .._model.embedding_subset import train_used_embeddings
from .._model.layers import frozen_parts, gradient_checkpointing, layerwise_lr_multipliers
from .._model.module import LOSSES
from .._runtime.device import seed_torch
from .._runtime.progress import training_bar
from .inference_net import InferenceNet
from .linear_probe import solve_head
from .optim import linear_warmup_decay, param_groups
from .validation import BestEpoch


class BertNet(InferenceNet):
    """A net that fine-tunes a pretrained encoder.

    Parameters
    ----------
    folder : Path
        The checkpoint's folder.
    config : transformers.PreTrainedConfig
        With `num_labels` and `problem_type` set.
    loss_params : dict
        Further arguments of the problem type's loss.
    pad_token_id, max_length, precision
        As `InferenceNet` has them.
    seed : int
        Of the order of the batches and the rows of the probe.
    new_module : callable or None
        Gives the module to train. None: the encoder of the checkpoint with a new head.
    head_init : {"linear_probe", "random"}
    freeze : {None, "embeddings", "encoder"} or int
    gradient_checkpointing : bool
    micro_batch_size : int or None
    head_learning_rate : float or None
        None: as the encoder's, `lr`.
    layer_decay, weight_decay, warmup_fraction, max_grad_norm : float
    n_iter_no_change : int or None
        Epochs without a better one after which to stop. None: never.
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
        loss_params=None,
        new_module=None,
        freeze=None,
        gradient_checkpointing=False,
        micro_batch_size=None,
        layer_decay=1.0,
        n_iter_no_change=None,
        **kwargs,
    ):
        super().__init__(
            config,
            pad_token_id=pad_token_id,
            max_length=max_length,
            precision=precision,
            new_module=new_module,
            **kwargs,
        )
        self.folder = folder
        self.loss_params = loss_params
        self.seed = seed
        self.head_init = head_init
        self.freeze = freeze
        self.gradient_checkpointing = gradient_checkpointing
        self.micro_batch_size = micro_batch_size
        self.head_learning_rate = head_learning_rate
        self.layer_decay = layer_decay
        self.weight_decay = weight_decay
        self.warmup_fraction = warmup_fraction
        self.max_grad_norm = max_grad_norm
        self.n_iter_no_change = n_iter_no_change

    # -- building ---------------------------------------------------------------------------------

    def initialize_module(self):
        """The module to train, with what is frozen of it."""
        super().initialize_module()
        self.frozen_ = frozen_parts(self.module_.bert, self.freeze)
        for part in self.frozen_:
            part.requires_grad_(False)
        return self

    def _build_module(self):
        encoder = load_encoder(self.folder, self.config, self.config.dtype)
        return self.module(self.config, encoder=encoder, **self.get_params_for("module"))

    def initialize_criterion(self):
        """The loss of each row, chosen once by the problem type."""
        arguments = {k: torch.as_tensor(v) if np.ndim(v) else v for k, v in (self.loss_params or {}).items()}
        self.criterion_ = partial(LOSSES[self.config.problem_type], reduction="none", **arguments)
        return self

    def initialize_optimizer(self):
        """AdamW without decay on biases and normalisation weights, with a gradient scaler for float16."""
        head_lr = self.lr if self.head_learning_rate is None else self.head_learning_rate
        factors = layerwise_lr_multipliers(self.module_.bert, self.layer_decay)
        groups = param_groups(self.module_, self.lr, head_lr, self.weight_decay, factors)
        self.optimizer_ = self.optimizer(groups, lr=self.lr, fused=self._device_type in ("cpu", "cuda"))
        self.scaler_ = torch.amp.GradScaler(enabled=self.precision == "float16")
        return self

    @property
    def trained(self):
        """The parameters that training moves, by their names."""
        return {name: p for name, p in self.module_.named_parameters() if p.requires_grad}

    # -- training ---------------------------------------------------------------------------------

    def get_iterator(self, dataset, training=False):
        """Batches of rows of similar lengths: in random order to train, longest first to predict."""
        if not training:
            return super().get_iterator(dataset)
        # An order of its own for each epoch, so that training can be taken up at any.
        generator = torch.Generator().manual_seed(self.seed + len(self.history))
        return self._loader(dataset, LengthGroupedSampler(dataset.lengths, self.batch_size, generator))

    def partial_fit(
        self, X, y=None, classes=None, *, validation=None, state_file=None, tasks=None, progress=0, **fit_params
    ):
        """Train until the last epoch, or until `validation` says that it is enough.

        Unlike skorch's, an interrupt is passed on: a half-trained net must not look trained.

        Parameters
        ----------
        X : EncodedDataset
        y, classes : ignored
        validation : Validation or None
        state_file : StateFile or None
            Where each epoch's state is kept, and an interrupted training taken up.
        tasks : EpochTasks or None
            Who is told of each epoch, and may ask to stop.
        progress : int, default=0
            Above 0 a bar is shown.
        """
        if not self.initialized_:
            self.initialize()
        used = np.unique(np.append(X.tokens.input_ids, self.pad_token_id))
        layers = (
            gradient_checkpointing(self.module_.bert, FastCpuKernels) if self.gradient_checkpointing else nullcontext()
        )
        with train_used_embeddings(self.module_.bert, used), layers, torch.enable_grad():
            self.initialize_optimizer()  # of the parameters that are trained now
            self.validation_ = validation
            self.best_ = BestEpoch(self.n_iter_no_change)
            if self._reads_once:
                X = self._encode_once(X)
                self.validation_ = validation and replace(validation, dataset=self._encode_once(validation.dataset))
            self.notify("on_train_begin", X=X, y=y)
            if state_file is not None:
                state_file.load_into(self)
            self.processes.check_same(lambda: {"the epoch in checkpoint_dir": len(self.history)})
            self.processes.broadcast_weights(self.module_)
            shown = self.processes.is_first and progress
            with training_bar(len(X), self.max_epochs, len(self.history), shown) as self.bar_:
                self._run_epochs(X, state_file, tasks)
            self.best_.restore(self.trained)
            self.processes.broadcast_weights(self.module_)
            self.notify("on_train_end", X=X, y=y)
        if not all(torch.isfinite(p.sum()) for p in self.module_.parameters()):
            raise self._divergence()
        return self

    def _run_epochs(self, X, state_file, tasks):
        is_enough = self.best_.is_enough(len(self.history))
        while len(self.history) < self.max_epochs and not is_enough:
            if tasks is not None:
                tasks.begin()
            self.fit_loop(X, epochs=1)
            if state_file is not None and self.processes.is_first:
                state_file.save(self)
            wanted = tasks is not None and tasks.end(self)
            # A callback may ask one process only to stop.
            is_enough = any(self.processes.gather(wanted or self.best_.is_enough(len(self.history))))

    @property
    def _reads_once(self):
        """Whether what the head is trained on never changes; a pooler that the encoder lacked is trained too."""
        return self.freeze == "encoder" and self.module_.pooler is None

    def _encode_once(self, dataset):
        return FeatureDataset(self.predict_features(dataset), dataset)

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start the head, and lay out the learning rate over all steps to come."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        if self.head_init == "linear_probe" and not self.module_.hidden and self.new_module is None:
            self._probe_head(X)
        n_steps = self.max_epochs * len(self.get_iterator(X, training=True))
        factor = partial(linear_warmup_decay, n_steps=n_steps, warmup_fraction=self.warmup_fraction)
        self.scheduler_ = LambdaLR(self.optimizer_, factor)

    def _probe_head(self, dataset):
        """Set the head to the linear model solved on the features of the untrained network."""
        y, w = (np.asarray(dataset.targets[name]) for name in ("y", "w"))
        rows, w = merge_copies(dataset.row_keys(), w)
        picked, w = sample_rows(TARGETS[self.config.problem_type].probe_strata(y[rows]), y[rows], w, self.seed)
        rows = rows[picked]
        if isinstance(dataset, FeatureDataset):
            features = dataset.features[rows].numpy()
        else:
            features = self.predict_features(dataset.take(rows))
        if not np.isfinite(features).all():
            raise ValueError(
                "The encoder's outputs are not finite before any training. Check the checkpoint's weights, or pass "
                "precision='float32'."
            )
        pos_weight = (self.loss_params or {}).get("pos_weight")
        weight, bias = solve_head(self.config.problem_type, features, y[rows], w, self.config.num_labels, pos_weight)
        with torch.no_grad():
            self.module_.classifier.weight.copy_(torch.from_numpy(weight))
            self.module_.classifier.bias.copy_(torch.from_numpy(bias))

    def on_epoch_begin(self, net, **kwargs):
        """Dropout is on, but in frozen parts."""
        super().on_epoch_begin(net, **kwargs)
        stream = self.processes.rank_seed(self.seed, len(self.history))
        if stream is not None:
            seed_torch(stream, torch.device(self.device))
        self._set_training(True)
        for part in self.frozen_:
            part.eval()

    def on_epoch_end(self, net, **kwargs):
        """Judge the epoch by the validation rows."""
        super().on_epoch_end(net, **kwargs)
        epoch = len(self.history)
        if self.validation_ is not None:
            logits = self.predict_logits(self.validation_.dataset)
            loss = float(self.get_loss(torch.as_tensor(logits, device=self.device), self.validation_.targets))
            score = self.validation_.score(logits)
            self.history.record("valid_loss", loss)
            self.history.record("valid_score", score)
            self.best_.update(epoch, score, loss, self.trained)

    def _divergence(self):
        step = len(self.history[-1]["batches"])
        return ValueError(
            f"The training diverged in epoch {len(self.history)}, step {step}: loss or weights are no longer finite, "
            f"with learning_rate={self.lr}, head_learning_rate={self.head_learning_rate} and precision="
            f"{self.precision!r}. Lower the learning rates, raise warmup_fraction, or lower max_grad_norm. If it "
            "diverges in the first step, look for very large numbers in y and very uneven weights."
        )

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Stop as soon as the loss is lost; skorch has read it by now, so a GPU need not wait again."""
        super().on_batch_end(net, batch=batch, training=training, **kwargs)
        self._show(loss=kwargs["loss"], n_rows=len(batch[1]["w"]))
        if not torch.isfinite(kwargs["loss"]):
            raise self._divergence()

    def _show(self, loss, n_rows):
        if not self.bar_.disable:
            score = {} if self.best_.latest is None else {"score": f"{self.best_.latest:.3f}"}
            self.bar_.set_postfix({"loss": f"{loss.item():.3f}"} | score, refresh=False)
            self.bar_.update(n_rows)

    def train_step(self, batch, **fit_params):
        """One update: forward, weighted loss, backward, clipped step, next learning rate."""
        inputs, targets = batch
        self.optimizer_.zero_grad(set_to_none=True)
        accumulate = partial(self._accumulate, n_rows=len(targets["w"]))
        share = self.processes.share(inputs, targets)
        loss = sum(self._in_pieces(accumulate, *share, max_rows=self.micro_batch_size))
        trained = [p for group in self.optimizer_.param_groups for p in group["params"]]
        loss = self.processes.sum_gradients(trained, loss)
        self.scaler_.unscale_(self.optimizer_)
        if self.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(trained, self.max_grad_norm)
        self.notify("on_grad_computed", named_parameters=self.module_.named_parameters(), batch=batch, training=True)
        scale = self.scaler_.get_scale()
        self.scaler_.step(self.optimizer_)
        self.scaler_.update()
        if self.scaler_.get_scale() >= scale:  # a smaller scale: float16 overflowed, no step was made
            self.scheduler_.step()
        return {"loss": loss, "y_pred": None}

    def _accumulate(self, inputs, targets, n_rows):
        """Add to the gradients what these rows of a batch of `n_rows` give; their part of the batch's loss."""
        logits = self.infer(inputs)
        loss = self.get_loss(logits, targets) * (len(targets["w"]) / n_rows)
        self.scaler_.scale(loss).backward()
        return loss.detach()

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        """mean(w * loss): the weights have a mean of one over the data set, not over the batch."""
        in_precision = {name: v.to(y_pred.dtype) if v.is_floating_point() else v for name, v in y_true.items()}
        targets = to_device(in_precision, self.device)
        return (targets["w"] * self.criterion_(y_pred, targets["y"])).mean()

    # -- after training -----------------------------------------------------------------------------

    def release_training_state(self):
        """Keep what prediction needs: the weights once, no gradients, no optimizer, no batch histories."""
        super().release_training_state()
        self.scheduler_ = self.scaler_ = self.criterion_ = None
        self.frozen_ = self.validation_ = self.best_ = self.bar_ = None
        return self
