"""The mean of the last weights, in place of the weights after the very last step (P. Izmailov et al., UAI 2018).

Here the learning rate falls all the way, so the mean is that of the steps of a low rate, not of a constant one.
"""

from skorch.callbacks import Callback
from torch.optim.swa_utils import get_swa_multi_avg_fn

_LOW_RATE = 0.5  # of the highest one; with the linear schedule about the second half of the steps


class WeightAverage(Callback):
    """Ends the training with the mean of the weights since the learning rate has fallen to half its peak.

    Between epochs the net holds this mean: validation, other callbacks and the state file see the weights with which
    the training would end. In an epoch it holds the weights of the last step, from which the training continues.

    Attributes
    ----------
    others : dict of torch.Tensor
        What the net does not hold now, by name: in an epoch the mean, between epochs the weights of the last step.
        Empty until the rate is low.
    n_averaged : int
        Number of steps in the mean.
    """

    def on_train_begin(self, net, **kwargs):
        """Start anew; a state file may restore the mean of an interrupted training afterwards."""
        self._reset()
        self.holds_mean_ = True

    def on_batch_begin(self, net, training=False, **kwargs):
        """Before a training step, return to the weights of the last one; before validation, take the mean."""
        self._hold(net, mean=not training)

    def on_batch_end(self, net, training=False, **kwargs):
        """Add the weights of a step of a low rate to the mean, before the schedule sets the rate of the next one."""
        if not training or net.step_skipped_:
            return
        if any(group["lr"] > _LOW_RATE * group["initial_lr"] for group in net.optimizer_.param_groups):
            self._reset()  # in the warm-up the rate was low, too
            return
        weights = _weights(net)
        if not self.n_averaged:
            self.others = {name: w.clone() for name, w in weights.items()}
        else:
            update = get_swa_multi_avg_fn()
            update(list(self.others.values()), [weights[name] for name in self.others], self.n_averaged)
        self.n_averaged += 1

    def on_epoch_end(self, net, **kwargs):
        """Take the mean, for the callbacks that follow, and for good if this epoch is the last."""
        self._hold(net, mean=True)

    def on_train_end(self, net, **kwargs):
        """Release the weights of the last step."""
        self._reset()

    def _reset(self):
        self.others, self.n_averaged = {}, 0

    def _hold(self, net, mean):
        if mean == self.holds_mean_:
            return
        self.holds_mean_ = mean
        weights = _weights(net)
        for name, other in self.others.items():
            p = weights[name]
            held = p.clone()
            p.copy_(other)
            other.copy_(held)


def _weights(net):
    return {name: p.detach() for name, p in net.get_all_learnable_params()}
