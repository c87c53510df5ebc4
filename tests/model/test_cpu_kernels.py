"""Dropout drops as much, as independently and as neutrally as torch's; attention equals torch's."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklearn_bert import BertClassifier
from sklearn_bert._model.cpu_kernels import _CACHED, _REPLACED, FastCpuKernels, attention, dropout

PROBABILITIES = [0.01, 0.1, 0.5, 0.9]


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def queries(*shape, dtype=torch.float64):
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3)]


@pytest.mark.parametrize("p", [0.0, 0.1])
def test_under_autocast_queries_in_float32_are_cast_as_torch_does(p):
    q, k, v = queries(2, 3, 5, 8, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        expected = F.scaled_dot_product_attention(q, k, v.bfloat16())
        result = attention(q, k, v.bfloat16(), dropout_p=p)
    assert result.dtype == expected.dtype == torch.bfloat16
    result.float().sum().backward()  # outside of autocast, as in training
    assert all(x.grad is not None and torch.isfinite(x.grad).all() for x in (q, k, v))
    if not p:
        torch.testing.assert_close(result, expected, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("least", [-float("inf"), torch.finfo(torch.float32).min])
@pytest.mark.parametrize("length", [7, 32])
def test_a_query_that_is_masked_wholly_gives_finite_numbers(least, length):
    q, k, v = queries(1, 1, length, 4, dtype=torch.bfloat16)
    mask = torch.zeros(1, 1, length, length)
    mask[..., 0, :] = least
    result = attention(q, k, v, mask)
    result.float().sum().backward()
    assert all(torch.isfinite(x).all() for x in (result, q.grad, k.grad, v.grad))


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
@pytest.mark.parametrize("cached", [1, _CACHED], ids=["row by row", "at once"])
def test_attention_equals_torchs(mask, scale, cached, monkeypatch):
    """A probability that is dropped next to never takes the way with dropout."""
    monkeypatch.setattr("sklearn_bert._model.cpu_kernels._CACHED", cached)
    qkv = queries(2, 3, 5, 4)
    expected = F.scaled_dot_product_attention(*qkv, masks()[mask], scale=scale)
    expected_gradients = torch.autograd.grad(expected.square().sum(), qkv)
    result = attention(*qkv, masks()[mask], dropout_p=1e-9, scale=scale)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(torch.autograd.grad(result.square().sum(), qkv), expected_gradients)


@pytest.mark.parametrize("n_tokens", [1, 31, 32, 33])
def test_the_zeros_after_the_tokens_get_no_attention(n_tokens):
    qkv = queries(2, 3, n_tokens, 4)
    torch.testing.assert_close(attention(*qkv, dropout_p=1e-9), F.scaled_dot_product_attention(*qkv))


@pytest.mark.parametrize("shape", [(1, 1, 5), (5, 5), (1, 3, 5, 5)])
def test_a_mask_may_have_fewer_dimensions_and_be_shared_by_rows(shape):
    qkv, attend = queries(2, 3, 5, 4), torch.rand(shape) < 0.5
    attend[..., 0] = True
    torch.testing.assert_close(attention(*qkv, attend, dropout_p=1e-9), F.scaled_dot_product_attention(*qkv, attend))


@pytest.mark.parametrize("cached", [1, _CACHED], ids=["row by row", "at once"])
def test_the_gradients_are_those_of_the_weights_that_were_dropped(cached, monkeypatch):
    """Forward and backward draw the same masks: the derivative is that of the function of this seed."""
    monkeypatch.setattr("sklearn_bert._model.cpu_kernels._CACHED", cached)

    def seeded_attention(*qkv):
        torch.manual_seed(1)
        return attention(*qkv, masks()["bool"], dropout_p=0.4)

    assert torch.autograd.gradcheck(seeded_attention, queries(2, 3, 5, 4))


def test_a_mask_that_learns_is_left_to_torch():
    qkv, bias = queries(1, 2, 3, 4), torch.zeros(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    attention(*qkv, bias, dropout_p=0.1).sum().backward()
    assert bias.grad is not None


def test_without_dropout_the_callers_random_state_is_left_alone():
    qkv, before = queries(1, 2, 3, 4, dtype=torch.bfloat16), torch.get_rng_state()
    attention(*qkv)
    assert torch.equal(torch.get_rng_state(), before)


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
    with FastCpuKernels():
        assert torch.equal(nn.Dropout(0.5)(x), expected[0])
        assert torch.equal(F.scaled_dot_product_attention(*qkv, dropout_p=0.5), expected[1])
    torch.manual_seed(0)
    queries(1, 2, 3, 4)
    assert not torch.equal(nn.Dropout(0.5)(x), expected[0])


def test_training_and_prediction_of_an_estimator_are_quick(tiny_bert, reviews, monkeypatch):
    calls = []
    for name, function in [*_REPLACED.items()]:
        monkeypatch.setitem(_REPLACED, name, lambda *args, f=function, **kwargs: calls.append(f) or f(*args, **kwargs))
    classifier = BertClassifier(tiny_bert, head_init="random", max_epochs=1, device="cpu").fit(*reviews)
    assert set(calls) == {dropout, attention}
    calls.clear()
    classifier.predict(reviews[0])
    assert attention in calls
