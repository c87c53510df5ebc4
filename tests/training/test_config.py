"""The plan of a training does not change while it is followed."""

from dataclasses import FrozenInstanceError

import pytest

from sklearn_bert._training.config import TrainingConfig


def test_a_plan_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        TrainingConfig(seed=0).max_epochs = 3


def test_two_plans_do_not_share_the_parameters_of_their_loss():
    assert TrainingConfig(seed=0).loss_params is not TrainingConfig(seed=0).loss_params
