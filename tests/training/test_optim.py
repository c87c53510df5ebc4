"""Which parameters decay, and the shape of the learning rate's schedule."""

import pickle
from functools import partial

import numpy as np
import pytest
from torch import nn

from sklearn_bert import BertModule
from sklearn_bert._training.optim import linear_warmup_decay, param_groups
from tests.conftest import make_config

STEPS = [1, 2, 3, 4, 5, 7, 10, 99, 1000]
all_schedules = pytest.mark.parametrize(
    ("n_steps", "warmup_fraction"),
    [(n, fraction) for n in STEPS for fraction in (0.0, 0.1, 0.5, 0.99, 1.0)],
)


@pytest.fixture
def module():
    return BertModule(make_config(50, num_labels=3), hidden_layer_sizes=(8,))


def names_of(module, parameters):
    names = {parameter: name for name, parameter in module.named_parameters()}
    return [names[parameter] for parameter in parameters]


def schedule(n_steps, warmup_fraction):
    return np.array([linear_warmup_decay(step, n_steps, warmup_fraction) for step in range(n_steps)])


def test_biases_and_layer_norms_do_not_decay_and_all_else_does(module):
    groups = param_groups(module, 1e-4, 1e-3, 0.05, {})
    assert {group["weight_decay"] for group in groups} == {0.05, 0.0}
    decaying, steady = (
        {"params": [p for group in groups if group["weight_decay"] == decay for p in group["params"]]}
        for decay in (0.05, 0.0)
    )
    norms = {f"{name}.weight" for name, layer in module.named_modules() if isinstance(layer, nn.LayerNorm)}
    expected = {name for name, _ in module.named_parameters() if name.endswith(".bias")} | norms
    assert set(names_of(module, steady["params"])) == expected
    assert set(names_of(module, decaying["params"])) == {name for name, _ in module.named_parameters()} - expected


def test_the_head_has_a_rate_of_its_own(module):
    groups = param_groups(module, 1e-4, 1e-3, 0.05, {})
    assert {group["lr"] for group in groups} == {1e-4, 1e-3}
    head = names_of(module, [p for group in groups if group["lr"] == 1e-3 for p in group["params"]])
    assert sorted(head) == ["classifier.bias", "classifier.weight", "hidden.0.bias", "hidden.0.weight"]


def test_every_trainable_parameter_is_in_one_group_once(module):
    names = names_of(module, [p for group in param_groups(module, 1e-4, 1e-3, 0.05, {}) for p in group["params"]])
    assert sorted(names) == sorted(name for name, _ in module.named_parameters())


def test_frozen_parameters_are_left_out(module):
    module.bert.embeddings.requires_grad_(False)
    names = names_of(module, [p for group in param_groups(module, 1e-4, 1e-3, 0.05, {}) for p in group["params"]])
    trainable = [name for name, _ in module.named_parameters() if not name.startswith("bert.embeddings.")]
    assert sorted(names) == sorted(trainable)


def test_a_factor_slows_the_parameters_it_is_given_for(module):
    low, high = module.bert.encoder.layer
    factors = {id(p): 0.25 for p in low.parameters()}
    groups = param_groups(module, 1e-4, 1e-3, 0.05, factors)
    rate_of = {p: group["lr"] for group in groups for p in group["params"]}
    assert {rate_of[p] for p in low.parameters()} == {0.25e-4}
    assert {rate_of[p] for p in high.parameters()} == {1e-4}
    assert {rate_of[p] for p in module.classifier.parameters()} == {1e-3}


@all_schedules
def test_factor_is_above_zero_and_at_most_one_at_every_step(n_steps, warmup_fraction):
    factors = schedule(n_steps, warmup_fraction)
    assert (factors > 0).all()
    assert (factors <= 1).all()


@all_schedules
def test_factor_rises_to_one_and_then_falls(n_steps, warmup_fraction):
    factors = schedule(n_steps, warmup_fraction)
    peak = factors.argmax()
    assert factors[peak] == 1
    assert (np.diff(factors[: peak + 1]) >= 0).all()
    assert (np.diff(factors[peak:]) <= 0).all()


@pytest.mark.parametrize("warmup_fraction", [0.0, 0.1, 0.5, 1.0])
def test_factor_reaches_one_where_the_warmup_ends(warmup_fraction):
    assert schedule(100, warmup_fraction).argmax() == max(0, 100 * warmup_fraction - 1)


def test_factor_is_linear_on_both_sides_of_the_warmup():
    factors = schedule(10, 0.4)
    np.testing.assert_allclose(factors, [1 / 4, 2 / 4, 3 / 4, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


@pytest.mark.parametrize("n_steps", STEPS)
def test_factor_is_zero_once_all_steps_are_done(n_steps):
    """LambdaLR asks for one step more than there are, and a resumed fit may ask for further ones."""
    assert [linear_warmup_decay(n_steps + more, n_steps, 0.1) for more in (0, 1, 50)] == [0, 0, 0]


def test_schedule_can_be_pickled():
    factor = partial(linear_warmup_decay, n_steps=10, warmup_fraction=0.3)
    copy = pickle.loads(pickle.dumps(factor))
    assert [copy(step) for step in range(10)] == [factor(step) for step in range(10)]
