"""A time budget: the training ends in time, and the schedule is planned for the number of steps that fit in.

This number is estimated again after each step: the machine may become slower, and the lengths of texts differ.
"""

from time import monotonic

from skorch.callbacks import Callback

_FEWEST = 3  # steps to measure before the schedule is adapted
_VALIDATION_SHARE = 0.5  # of the time of a training row, until it is measured; a forward pass alone is a third


class TimeBudget(Callback):
    """Sets ``net.n_steps_`` to the number of steps that fit in, and ``net.time_is_up_`` when the time is used up.

    At least one step is made. Time is reserved to validate the last epoch.

    Parameters
    ----------
    seconds : float
        Time from the start of the fit to its end. In a resumed training, the time of earlier epochs counts.
    started : float
        Time of the clock when the fit started.
    clock : callable, default=time.monotonic
        Returns seconds.
    """

    def __init__(self, seconds, started, clock=monotonic):
        self.seconds, self.started, self.clock = seconds, started, clock

    def on_train_begin(self, net, **kwargs):
        """Reset the measurements."""
        self.deadline_ = None
        self.planned_ = net.n_steps_
        self.n_timed_ = 0
        self.total_ = self.longest_ = self.between_ = 0.0

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Set the deadline; from the second epoch on, measure the time between the steps of two epochs."""
        now = self.clock()
        if self.deadline_ is None:
            self.deadline_ = self.started + self.seconds - sum(row["dur"] for row in net.history[:-1])
            self.done_ = sum(row["train_batch_count"] for row in net.history[:-1])
            n_train, n_valid = (0 if data is None else data.lengths.sum() for data in (dataset_train, dataset_valid))
            self.valid_share_ = _VALIDATION_SHARE * n_valid / n_train
        else:
            self.between_ = max(self.between_, now - self.mark_)
        self.mark_ = now

    def on_batch_end(self, net, training=False, **kwargs):
        """Measure the step, and estimate how many more fit in; with several processes, the first one decides."""
        if not training:
            return
        now = self.clock()
        self._time(now - self.mark_)
        self.mark_ = now
        self.done_ += 1
        n_more = net.group_.gather(self._n_more(net.max_epochs, self.deadline_ - now))[0]
        if self.n_timed_ >= _FEWEST or not n_more:
            net.n_steps_ = min(self.planned_, self.done_ + n_more)
        net.time_is_up_ = not n_more

    def on_epoch_end(self, net, **kwargs):
        """Stop the training if the time is up; the state file records it."""
        net.stop_training_ |= net.time_is_up_

    def _time(self, seconds):
        """Count a step. The first one, which prepares kernels and memory, counts only until the second."""
        self.n_timed_ += 1
        if self.n_timed_ == 2:
            self.total_ = self.longest_ = 0.0
        self.total_ += seconds
        self.longest_ = max(self.longest_, seconds)

    def _n_more(self, max_epochs, left):
        """Number of average steps that fit into the seconds left, if the last one is as long as the longest so far."""
        step = self.total_ / max(1, self.n_timed_ - 1)
        per_epoch = self.planned_ / max_epochs
        between = self.between_ or self.valid_share_ * per_epoch * step
        left -= between + self.longest_ - step
        return max(0, int(left / (step + between / per_epoch)))
