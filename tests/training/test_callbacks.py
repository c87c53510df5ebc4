"""Each callback of a training does its one thing, in its place."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from skorch.history import History

from sklearn_bert._training.callbacks import BestEpoch, DivergenceGuard, best_epoch, make_callbacks
from sklearn_bert._training.config import TrainingConfig
from tests.helpers import exactly


class StubNet(SimpleNamespace):
    """What `BestEpoch` and `DivergenceGuard` ask of a net."""

    def __init__(self):
        module = torch.nn.Linear(1, 1)
        config = TrainingConfig(seed=0, learning_rate=0.5, head_learning_rate=0.25)
        super().__init__(history=History(), stop_training_=False, module_=module, training_config=config)
        self.precision = "float32"

    @property
    def trained(self):
        return dict(self.module_.named_parameters())


def run(scores_and_losses, patience=None):
    """The best epoch, the last epoch and the weight that comes back, which is the number of its epoch."""
    callback, net = BestEpoch(patience), StubNet()
    callback.on_train_begin(net)
    for epoch, (score, loss) in enumerate(scores_and_losses, start=1):
        net.module_.weight.data.fill_(epoch)
        net.history.new_epoch()
        net.history.record("valid_score", score)
        net.history.record("valid_loss", loss)
        callback.on_epoch_end(net)
        if net.stop_training_:
            break
    callback.on_train_end(net)
    return best_epoch(net.history), epoch, net.module_.weight.item()


def test_the_best_score_wins_and_of_equal_ones_the_lower_loss():
    assert run([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.7, 0.85), (0.6, 0.1)])[0] == 3


def test_the_best_epochs_weights_come_back():
    assert run([(0.5, 1), (0.9, 1), (0.1, 1)])[2] == 2


@pytest.mark.parametrize(("patience", "last"), [(1, 3), (2, 4), (None, 6)])
def test_patience_counts_epochs_since_the_best(patience, last):
    assert run([(0.5, 1), (0.9, 1), (0.1, 1), (0.1, 1), (0.1, 1), (0.1, 1)], patience)[1] == last


def test_without_validation_scores_no_epoch_is_the_best_and_training_does_not_stop():
    callback, net = BestEpoch(patience=1), StubNet()
    callback.on_train_begin(net)
    for _ in range(3):
        net.history.new_epoch()
        callback.on_epoch_end(net)
    assert best_epoch(net.history) == 0
    assert not net.stop_training_


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_or_a_weight_that_is_not_finite_is_an_error_that_names_the_step(value):
    net, guard = StubNet(), DivergenceGuard()
    net.history.new_epoch()
    for _ in range(2):
        net.history.new_batch()
        net.history.record_batch("train_loss", 1.0)
    message = (
        "The training diverged in epoch 1, step 2: loss or weights are no longer finite, with learning_rate=0.5, "
        "head_learning_rate=0.25 and precision='float32'. Lower the learning rates, raise warmup_fraction, or lower "
        "max_grad_norm. If it diverges in the first step, look for very large numbers in y and very uneven weights."
    )
    guard.on_batch_end(net, training=True, loss=torch.tensor(1.0))
    guard.on_batch_end(net, training=False, loss=torch.tensor(value))
    with pytest.raises(ValueError, match=exactly(message)):
        guard.on_batch_end(net, training=True, loss=torch.tensor(value))
    guard.on_train_end(net)
    net.module_.weight.data.fill_(value)
    with pytest.raises(ValueError, match=exactly(message)):
        guard.on_train_end(net)


def names(callbacks):
    return [item[0] if isinstance(item, tuple) else item for item in callbacks]


def test_the_users_callbacks_come_after_the_nets_own_and_the_state_file_is_last():
    mine, last = Callback(), Callback()
    config = TrainingConfig(seed=0, linear_probe=True)
    made = names(make_callbacks(config, progress=1, state_file=last, bridge=last, callbacks=[mine]))
    own = ["linear_probe", "schedule", "clipping", "divergence", "best_epoch", "bar"]
    assert made == [*own, mine, "sklearn_callbacks", "state_file"]


def test_what_is_not_asked_for_has_no_callback():
    config = TrainingConfig(seed=0, max_grad_norm=None)
    assert names(make_callbacks(config)) == ["schedule", "divergence", "best_epoch"]


def test_the_users_list_is_not_changed():
    mine = [Callback()]
    made = make_callbacks(TrainingConfig(seed=0), callbacks=mine)
    made.clear()
    assert len(mine) == 1
