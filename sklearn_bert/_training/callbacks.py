"""What happens around the steps of a training, one skorch callback for each idea, and their order.

skorch's own callbacks do what they can: the schedule is its `LRScheduler`, clipping its `GradientNormClipping`.
A callback that wants the training to end after an epoch sets ``net.stop_training_``, or raises KeyboardInterrupt in
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


def make_callbacks(config, *, started=0.0, progress=0, state_file=None, bridge=None, callbacks=None):
    """The callbacks of a training, in their order: the net's own, then the user's, then those that come last.

    Parameters
    ----------
    config : TrainingConfig
    started : float, default=0.0
        When the fit began, by `time.monotonic`.
    progress : int, default=0
        Above 0 a bar is shown.
    state_file : StateFile, optional
        Keeps the state after each epoch; the last, so that it has what other callbacks record, and their stop.
    bridge : SklearnCallbackBridge, optional
    callbacks : list of skorch callbacks or (name, callback) tuples, optional
        The user's.

    Returns
    -------
    callbacks : list of (name, callback) tuples and callbacks
    """
    own = {
        "contrastive_start": ContrastiveStart() if config.contrastive_steps else None,
        "linear_probe": LinearProbe() if config.linear_probe else None,
        "time_budget": None if config.max_seconds is None else TimeBudget(config.max_seconds, started),
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
    """An error for a callback that scores training batches: of several processes none has their predictions."""
    for name, callback in callbacks if n_processes > 1 else ():
        if isinstance(callback, BatchScoring | EpochScoring) and callback.on_train and callback.use_caching:
            raise ValueError(
                f"Got the callback {name!r}, {type(callback).__name__} with on_train=True, in several processes. Each "
                "of them has predictions of its share of a training batch only, so on_train=False is expected. Score "
                "the validation rows with on_train=False, or train in one process."
            )


class LinearWarmupDecay(LRScheduler):
    """The learning rates of all steps: up over the warm-up, then down towards 0.

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
        """Arguments of the scheduler, as skorch asks for them."""
        return {"lr_lambda": self.factor_}

    def on_train_begin(self, net, **kwargs):
        """Lay out the schedule over all steps to come."""
        self.factor_ = WarmupDecayFactor(net.n_steps_, self.warmup_fraction)
        super().on_train_begin(net, **kwargs)

    def on_batch_end(self, net, training=False, **kwargs):
        """Move on to the next step's rates, unless no step was made because gradients overflowed in float16."""
        self.factor_.n_steps = net.n_steps_
        if not (training and net.step_skipped_):
            super().on_batch_end(net, training=training, **kwargs)


class BestEpoch(Callback):
    """The best epoch's weights, which the net ends with: the highest validation score, of equal ones the lowest loss.

    Without validation scores it does nothing. In the history, ``valid_score_best`` is True for each epoch that was
    the best so far, and ``valid_loss_best`` for each with the lowest validation loss so far, which skorch's callbacks
    monitor by default. skorch's own record of it would begin anew in a resumed training.

    Parameters
    ----------
    patience : int or None
        Epochs without a better one after which to stop. None: never.

    Attributes
    ----------
    weights : dict of torch.Tensor
        The best epoch's trained weights, on the CPU.
    """

    def __init__(self, patience=None):
        self.patience = patience

    def on_train_begin(self, net, **kwargs):
        """Forget an earlier training."""
        self.weights = {}

    def on_epoch_end(self, net, **kwargs):
        """Keep the weights of an epoch that is the best so far; stop if the best is too long ago."""
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
        """Give the net the best epoch's weights."""
        trained = net.trained
        with torch.no_grad():
            for name, value in self.weights.items():
                trained[name].copy_(value)
        self.weights = {}


def best_epoch(history):
    """The best epoch of a history, from 1; 0 if none was judged."""
    return max((i for i, row in enumerate(history, start=1) if row.get("valid_score_best")), default=0)


def _rank(row):
    return row["valid_score"], -row["valid_loss"]


class DivergenceGuard(Callback):
    """Raises an error as soon as the loss is not finite, or if a weight is not at the end of the training."""

    def on_batch_end(self, net, training=False, loss=None, **kwargs):
        """Check the loss; skorch has read it already, so a GPU need not wait again."""
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
        """No bar yet: a state file may still take the net to a later epoch."""
        self.bar_ = None

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        """Open the bar; the net closes it, whatever ends the training."""
        if self.bar_ is None and net.group_.is_first:
            n_rows = len(dataset_train)
            self.bar_ = net.exit_stack_.enter_context(training_bar(n_rows, net.max_epochs, len(net.history) - 1))

    def on_batch_end(self, net, batch=None, training=False, loss=None, **kwargs):
        """Count the rows of a training step."""
        if training and self.bar_ is not None:
            score = net.history[-2:][0].get("valid_score")  # of the epoch before; in the first there is none
            shown = {"loss": f"{loss.item():.3f}"} | ({} if score is None else {"score": f"{score:.3f}"})
            self.bar_.set_postfix(shown, refresh=False)
            self.bar_.update(len(batch[1]["w"]))


class SklearnCallbackBridge(Callback):
    """scikit-learn's callbacks on an estimator are called for each epoch of its fit, as for a task.

    Parameters
    ----------
    estimator : BaseBertEstimator
    context : sklearn.callback.CallbackContext
        Of the whole fit.
    data : dict
        ``X``, ``y`` and ``metadata`` as the user gave them.
    fitted_attributes : callable
        Given the net, the attributes that an estimator needs to predict between epochs.
    """

    def __init__(self, estimator, context, data, fitted_attributes):
        self.estimator, self.context, self.data = estimator, context, data
        self.fitted_attributes = fitted_attributes

    def on_epoch_begin(self, net, **kwargs):
        """Start the epoch's task in scikit-learn's callbacks."""
        self.task_ = self.context.subcontext(task_name="epoch")
        self.task_.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def on_epoch_end(self, net, **kwargs):
        """The task has ended; a callback may ask to stop."""
        wants_stop = self.task_.call_on_fit_task_end(
            estimator=self.estimator,
            **self.data,
            reconstruction_attributes=partial(self.fitted_attributes, net),
        )
        net.stop_training_ |= bool(wants_stop)
