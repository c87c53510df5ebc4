"""Dropout drops as much, as independently and as neutrally as torch's; attention equals torch's."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklearn_bert import BertClassifier
from sklearn_bert._cpu import _REPLACED, QuickOnCpu, attention, dropout

PROBABILITIES = [0.01, 0.1, 0.5, 0.9]


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def queries(*shape, dtype=torch.float64):
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3)]


@pytest.mark.parametrize("p", PROBABILITIES)
def test_the_share_of_p_is_dropped_and_the_rest_scaled_up(p):
    n = 1_000_003
    dropped = dropout(torch.ones(n), p)
    assert (dropped == 0).double().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / n) ** 0.5 + 2**-16)
    torch.testing.assert_close(
        dropped[dropped != 0], torch.full_like(dropped[dropped != 0], 1 / (1 - p)), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 64])
def test_neighbours_are_dropped_independently(distance):
    dropped = dropout(torch.ones(1_000_000), 0.1) == 0
    both = (dropped[distance:] & dropped[:-distance]).double().mean().item()
    assert both == pytest.approx(0.01, abs=5 * (0.01 * 0.99 / 1e6) ** 0.5)


def test_calls_differ_and_a_seed_repeats_them():
    x = torch.ones(1000)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(dropout(x, 0.5), first)


def test_the_gradient_has_the_mask_of_the_output():
    x = torch.randn(1000, requires_grad=True)
    result = dropout(x, 0.3)
    result.sum().backward()
    torch.testing.assert_close(result, x.grad * x)
    assert {0.0} < set(x.grad.unique().tolist())


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.3, False)])
def test_nothing_is_dropped_without_need(p, training):
    x = torch.randn(100)
    assert torch.equal(dropout(x, p, training), x)


def test_all_is_dropped_at_one():
    assert not dropout(torch.ones(10), 1.0).any()


@pytest.mark.parametrize("shape", [(), (1,), (3,), (0, 4), (2, 3, 5)])
def test_any_shape_keeps_its_shape(shape):
    assert dropout(torch.ones(shape), 0.5).shape == shape


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_stays(dtype):
    assert dropout(torch.ones(8, dtype=dtype), 0.5).dtype == dtype
    assert attention(*queries(2, 2, 3, 4, dtype=dtype), dropout_p=0.5).dtype == dtype


def masks():
    attend = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    attend[1, :, :, 3:] = False
    return {"none": None, "bool": attend, "added": torch.zeros(2, 1, 5, 5).masked_fill(~attend, -1e30).double()}


@pytest.mark.parametrize("mask", ["none", "bool", "added"])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_attention_equals_torchs(mask, scale, monkeypatch):
    """A probability that is dropped next to never takes the way with dropout."""
    qkv = queries(2, 3, 5, 4)
    expected = F.scaled_dot_product_attention(*qkv, masks()[mask], scale=scale)
    expected_gradients = torch.autograd.grad(expected.square().sum(), qkv)
    result = attention(*qkv, masks()[mask], dropout_p=1e-9, scale=scale)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(torch.autograd.grad(result.square().sum(), qkv), expected_gradients)


def test_attention_in_bfloat16_is_as_exact_as_bfloat16():
    qkv = queries(2, 3, 5, 4, dtype=torch.bfloat16)
    expected = F.scaled_dot_product_attention(*(x.double() for x in qkv))
    torch.testing.assert_close(attention(*qkv).double(), expected, rtol=0.03, atol=0.03)


def test_a_row_that_may_attend_to_nothing_is_finite():
    attend = torch.zeros(1, 1, 3, 3, dtype=torch.bool)
    assert attention(*queries(1, 2, 3, 4), attend, dropout_p=0.1).isfinite().all()


def test_attention_weights_are_dropped_neutrally():
    """The mean over many masks is the attention without."""
    qkv = [x.detach().expand(20000, -1, -1, -1) for x in queries(1, 1, 4, 2)]
    mean = attention(*qkv, dropout_p=0.3).mean(dim=0)
    torch.testing.assert_close(mean, F.scaled_dot_product_attention(*qkv)[0], rtol=0.05, atol=0.02)


def test_attention_is_causal_when_asked():
    qkv = queries(1, 2, 4, 4)
    torch.testing.assert_close(attention(*qkv, is_causal=True), F.scaled_dot_product_attention(*qkv, is_causal=True))


def test_within_the_context_torchs_own_names_are_the_quick_ones():
    x, qkv = torch.ones(100), queries(1, 2, 3, 4)
    expected = dropout(x, 0.5), attention(*qkv, dropout_p=0.5)
    torch.manual_seed(0)
    queries(1, 2, 3, 4)  # the same numbers are drawn before
    with QuickOnCpu():
        assert torch.equal(nn.Dropout(0.5)(x), expected[0])
        assert torch.equal(F.scaled_dot_product_attention(*qkv, dropout_p=0.5), expected[1])
    torch.manual_seed(0)
    queries(1, 2, 3, 4)
    assert not torch.equal(nn.Dropout(0.5)(x), expected[0])


def test_training_steps_of_a_fit_are_quick_and_predictions_are_torchs_own(tiny_bert, reviews, monkeypatch):
    calls = []
    for name, function in [*_REPLACED.items()]:
        monkeypatch.setitem(_REPLACED, name, lambda *args, f=function, **kwargs: calls.append(f) or f(*args, **kwargs))
    classifier = BertClassifier(tiny_bert, head_init="random", max_epochs=1, device="cpu").fit(*reviews)
    assert set(calls) == {dropout, attention}
    calls.clear()
    classifier.predict(reviews[0])
    assert not calls
