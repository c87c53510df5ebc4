"""The callbacks of a training and their order.

skorch's own callbacks are used where possible: `LRScheduler` for the schedule, `GradientNormClipping` for clipping.
To end the training after an epoch, a callback sets ``net.stop_training_``, or raises KeyboardInterrupt in
`on_epoch_end` as skorch's `EarlyStopping` does.
"""

from functools import partial

import torch
from skorch.callbacks import BatchScoring, Callback, EpochScoring, GradientNormClipping, LRScheduler
from torch.optim.lr_scheduler import LambdaLR

from .._runtime.progress import training_bar
from .contrastive import ContrastiveStart
from .linear_probe import LinearProbe
from .optim import WarmupDecayFactor
from .time_budget import TimeBudget
from .weight_average import WeightAverage


def make_callbacks(config, *, started=0.0, progress=0, state_file=None, bridge=None, callbacks=None):
    """The callbacks of a training, in their order: the net's own, then the user's, then those that come last.

    Parameters
    ----------
    config : TrainingConfig
    started : float, default=0.0
        Time of `time.monotonic` when the fit started.
    progress : int, default=0
        If above 0, a progress bar is shown.
    state_file : StateFile, optional
        Writes the state after each epoch. It is the last, so that it records the results of all other callbacks.
    bridge : SklearnCallbackBridge, optional
    callbacks : list of skorch callbacks or (name, callback) tuples, optional
        The user's callbacks.

    Returns
    -------
    callbacks : list of (name, callback) tuples and callbacks
    """
    own = {
        "contrastive_start": ContrastiveStart() if config.contrastive_steps else None,
        "linear_probe": LinearProbe() if config.linear_probe else None,
        "time_budget": None if config.max_seconds is None else TimeBudget(config.max_seconds, started),
        "weight_average": WeightAverage() if config.average_weights else None,
        "schedule": LinearWarmupDecay(config.warmup_fraction),
        "clipping": None if config.max_grad_norm is None else GradientNormClipping(config.max_grad_norm),
        "divergence": DivergenceGuard(),
        "best_epoch": BestEpoch(config.patience),
        "bar": TrainingBar() if progress else None,
    }
    last = {"sklearn_callbacks": bridge, "state_file": state_file}
    named = [[(name, callback) for name, callback in group.items() if callback is not None] for group in (own, last)]
    return [*named[0], *(callbacks or []), *named[1]]


def refuse_training_scores(callbacks, n_processes):
    """Raise a ValueError for a callback that scores training batches if there are several processes.

    Each process has the predictions of its share of a batch only.
    """
    for name, callback in callbacks if n_processes > 1 else ():
        if isinstance(callback, BatchScoring | EpochScoring) and callback.on_train and callback.use_caching:
            raise ValueError(
                f"Got the callback {name!r}, {type(callback).__name__} with on_train=True, in several processes. Each "
                "of them has predictions of its share of a training batch only, so on_train=False is expected. Score "
                "the validation rows with on_train=False, or train in one process."
            )


class LinearWarmupDecay(LRScheduler):
    """The learning rates of all steps: they rise in the warm-up, then fall towards 0.

    Parameters
    ----------
    warmup_fraction : float
        Share of the steps over which the learning rate rises.
    """

    def __init__(self, warmup_fraction):
        super().__init__(LambdaLR, step_every="batch")
        self.warmup_fraction = warmup_fraction

    @property
    def kwargs(self):
        """The arguments of the scheduler, which skorch reads here."""
        return {"lr_lambda": self.factor_}

    def on_train_begin(self, net, **kwargs):
        """Plan the schedule for all steps of the training."""
        self.factor_ = WarmupDecayFactor(net.n_steps_, self.warmup_fraction)
        super().on_train_begin(net, **kwargs)

    def on_batch_end(self, net, training=False, **kwargs):
        """Set the rates of the next step, unless this step was skipped because gradients overflowed in float16."""
        self.factor_.n_steps = net.n_steps_
        if not (training and net.step_skipped_):
            super().on_batch_end(net, training=training, **kwargs)


class BestEpoch(Callback):
    """Restores the weights of the best epoch: the one with the highest validation score.

    Among equal scores, the lowest loss decides. Without validation scores it does nothing. In the history,
    ``valid_score_best`` is True for each epoch that was the best so far, and ``valid_loss_best`` for each with the
    lowest validation loss so far, which skorch's callbacks monitor by default. skorch's own record of it would start
    again in a resumed training.

    Parameters
    ----------
    patience : int or None
        Number of epochs without improvement after which to stop. None: never stop.

    Attributes
    ----------
    weights : dict of torch.Tensor
        The best epoch's trained weights, on the CPU.
    """

    def __init__(self, patience=None):
        self.patience = patience

    def on_train_begin(self, net, **kwargs):
        """Drop the weights of an earlier training."""
        self.weights = {}

    def on_epoch_end(self, net, **kwargs):
        """Keep the weights if the epoch is the best so far; stop after `patience` epochs without improvement."""
        now = net.history[-1]
        if "valid_score" not in now:
            return
        earlier = net.history[:-1]
        net.history.record("valid_score_best", all(_rank(now) > _rank(row) for row in earlier))
        net.history.record("valid_loss_best", all(now["valid_loss"] < row["valid_loss"] for row in earlier))
        if now["valid_score_best"]:
            self.weights = {name: p.detach().to("cpu", copy=True) for name, p in net.trained.items()}
        if self.patience is not None and len(net.history) - best_epoch(net.history) >= self.patience:
            net.stop_training_ = True

    def on_train_end(self, net, **kwargs):
        """Copy the best epoch's weights into the net."""
        trained = net.trained
        with torch.no_grad():
            for name, value in self.weights.items():
                trained[name].copy_(value)
        self.weights = {}


def best_epoch(history):
    """The number of the best epoch of a history, from 1; 0 if there are no validation scores."""
    return max((i for i, row in enumerate(history, start=1) if row.get("valid_score_best")), default=0)


def _rank(row):
    return row["valid_score"], -row["valid_loss"]


class DivergenceGuard(Callback):
    """Raises a ValueError as soon as the loss is not finite, or if a weight is not finite after the training."""

    def on_batch_end(self, net, training=False, loss=None, **kwargs):
        """Check the loss; skorch has already copied it from the GPU, so this does not wait."""
        if training and not torch.isfinite(loss):
            raise self._divergence(net)

    def on_train_end(self, net, **kwargs):
        """Check the weights."""
        if not all(torch.isfinite(p.sum()) for p in net.module_.parameters()):
            raise self._divergence(net)

    def _divergence(self, net):
        config = net.training_config
        step = sum("train_loss" in batch for batch in net.history[-1]["batches"])
        return ValueError(
            f"The training diverged in epoch {len(net.history)}, step {step}: loss or weights are no longer finite, "
            f"with learning_rate={config.learning_rate}, head_learning_rate={config.head_learning_rate} and precision="
            f"{net.precision!r}. Lower the learning rates, raise warmup_fraction, or lower max_grad_norm. If it "
            "diverges in the first step, look for very large numbers in y and very uneven weights."
        )


class TrainingBar(Callback):
    """A bar over the texts of all epochs, with the loss and the latest validation score."""

    def on_train_begin(self, net, X=None, **kwargs):
        """Open no bar yet: a state file may still change the number of epochs that are done."""
        self.bar_ = None

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        """Open the bar; the net closes it, whatever ends the training."""
        if self.bar_ is None and net.group_.is_first:
            n_rows = len(dataset_train)
            self.bar_ = net.exit_stack_.enter_context(training_bar(n_rows, net.max_epochs, len(net.history) - 1))

    def on_batch_end(self, net, batch=None, training=False, loss=None, **kwargs):
        """Count the rows of a training step."""
        if training and self.bar_ is not None:
            score = net.history[-2:][0].get("valid_score")  # of the previous epoch; in the first one there is none
            shown = {"loss": f"{loss.item():.3f}"} | ({} if score is None else {"score": f"{score:.3f}"})
            self.bar_.set_postfix(shown, refresh=False)
            self.bar_.update(len(batch[1]["w"]))


class SklearnCallbackBridge(Callback):
    """Calls scikit-learn's callbacks on the estimator for each epoch, which is a task for them.

    Parameters
    ----------
    estimator : BaseBertEstimator
    context : sklearn.callback.CallbackContext
        The context of the whole fit.
    data : dict
        ``X``, ``y`` and ``metadata`` as the user gave them.
    fitted_attributes : callable
        Takes the net, returns the attributes that the estimator needs to predict between epochs.
    """

    def __init__(self, estimator, context, data, fitted_attributes):
        self.estimator, self.context, self.data = estimator, context, data
        self.fitted_attributes = fitted_attributes

    def on_epoch_begin(self, net, **kwargs):
        """Start the epoch's task in scikit-learn's callbacks."""
        self.task_ = self.context.subcontext(task_name="epoch")
        self.task_.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def on_epoch_end(self, net, **kwargs):
        """End the epoch's task; a callback may stop the training."""
        wants_stop = self.task_.call_on_fit_task_end(
            estimator=self.estimator,
            **self.data,
            reconstruction_attributes=partial(self.fitted_attributes, net),
        )
        net.stop_training_ |= bool(wants_stop)
