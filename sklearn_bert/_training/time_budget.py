"""A budget of time: the training ends in time, and its schedule is laid out for the steps that fit in.

How many these are is measured anew after each step: a machine may be slower later, and lengths of texts differ.
"""

from time import monotonic

from skorch.callbacks import Callback

_FEWEST = 3  # steps to time before the schedule follows
_VALIDATION_SHARE = 0.5  # of a training row's time, before the first validation is measured; a forward pass is a third


class TimeBudget(Callback):
    """Sets ``net.n_steps_`` to what fits into the time, and ``net.time_is_up_`` when it is used up.

    One step is always made. After the last one, the epoch is judged as any other: time for it is kept in reserve.

    Parameters
    ----------
    seconds : float
        From the begin of the fit to its end. A training that is resumed has spent the time of its earlier epochs.
    started : float
        When the fit began, by the clock.
    clock : callable, default=time.monotonic
        Gives seconds.
    """

    def __init__(self, seconds, started, clock=monotonic):
        self.seconds, self.started, self.clock = seconds, started, clock

    def on_train_begin(self, net, **kwargs):
        """Nothing is measured yet."""
        self.deadline_ = None
        self.planned_ = net.n_steps_
        self.n_timed_ = 0
        self.total_ = self.longest_ = self.between_ = 0.0

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Set the deadline, or measure what was done between the steps of two epochs."""
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
        """Measure the step, and count how many more fit in; of several processes the first decides."""
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
        """The training has ended if the time is up, for the state file too."""
        net.stop_training_ |= net.time_is_up_

    def _time(self, seconds):
        """Count a step; the very first one is forgotten when there is another: it prepares kernels and memory."""
        self.n_timed_ += 1
        if self.n_timed_ == 2:
            self.total_ = self.longest_ = 0.0
        self.total_ += seconds
        self.longest_ = max(self.longest_, seconds)

    def _n_more(self, max_epochs, left):
        """Steps that fit into the seconds left, of average length; the last may be as long as the longest so far."""
        step = self.total_ / max(1, self.n_timed_ - 1)
        per_epoch = self.planned_ / max_epochs
        between = self.between_ or self.valid_share_ * per_epoch * step
        left -= between + self.longest_ - step
        return max(0, int(left / (step + between / per_epoch)))
