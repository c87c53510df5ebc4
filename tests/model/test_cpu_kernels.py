"""Dropout drops the same share as torch's, as independently; attention and its gradients equal torch's."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklearn_bert._model.cpu_kernels import _CACHED, FastCpuKernels, attention, dropout
from tests.helpers import cases

PROBABILITIES = [0.01, 0.1, 0.5, 0.9]
SMALLEST = {"minus infinity": -float("inf"), "the smallest number": torch.finfo(torch.float32).min}
chunk_sizes = pytest.mark.parametrize("cached", [1, _CACHED], ids=["row by row", "at once"])


@pytest.fixture(autouse=True)
def seed_zero():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def queries(*shape, dtype=torch.float64):
    """Queries, keys and values of one shape."""
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3)]


def masks():
    attend = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    attend[1, :, :, 3:] = False
    return {"none": None, "bool": attend, "added": torch.zeros(2, 1, 5, 5).masked_fill(~attend, -1e30).double()}


# -- dropout --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", PROBABILITIES)
def test_dropout_drops_the_share_p_and_scales_the_rest_up(p):
    n = 1_000_003
    dropped = dropout(torch.ones(n), p)
    assert (dropped == 0).double().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / n) ** 0.5 + 2**-16)
    torch.testing.assert_close(
        dropped[dropped != 0], torch.full_like(dropped[dropped != 0], 1 / (1 - p)), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 64])
def test_dropout_drops_neighbours_independently(distance):
    dropped = dropout(torch.ones(1_000_000), 0.1) == 0
    both = (dropped[distance:] & dropped[:-distance]).double().mean().item()
    assert both == pytest.approx(0.01, abs=5 * (0.01 * 0.99 / 1e6) ** 0.5)


def test_dropout_differs_between_calls_and_repeats_with_the_same_seed():
    x = torch.ones(1000)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(dropout(x, 0.5), first)


@pytest.mark.parametrize(
    "function", [dropout, lambda x: attention(x, x, x, dropout_p=0.5)], ids=["dropout", "attention"]
)
def test_a_second_derivative_raises(function):
    """Instead of a result without the terms that come from dropout and attention."""
    x = torch.randn(1, 1, 3, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(function(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="trying to differentiate twice"):
        gradient.sum().backward()


def test_the_gradient_of_dropout_has_the_mask_of_its_output():
    x = torch.randn(1000, requires_grad=True)
    result = dropout(x, 0.3)
    result.sum().backward()
    torch.testing.assert_close(result, x.grad * x)
    assert {0.0} < set(x.grad.unique().tolist())


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.3, False)])
def test_dropout_changes_nothing_in_evaluation_mode_or_with_probability_zero(p, training):
    x = torch.randn(100)
    assert torch.equal(dropout(x, p, training), x)


def test_dropout_with_probability_one_drops_everything():
    assert not dropout(torch.ones(10), 1.0).any()


@pytest.mark.parametrize("shape", [(), (1,), (3,), (0, 4), (2, 3, 5)])
def test_dropout_keeps_the_shape(shape):
    assert dropout(torch.ones(shape), 0.5).shape == shape


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_dropout_and_attention_keep_the_dtype(dtype):
    assert dropout(torch.ones(8, dtype=dtype), 0.5).dtype == dtype
    assert attention(*queries(2, 2, 3, 4, dtype=dtype), dropout_p=0.5).dtype == dtype


def test_the_context_replaces_torchs_dropout_and_ends():
    x = torch.ones(100)
    expected = dropout(x, 0.5)
    torch.manual_seed(0)
    with FastCpuKernels():
        assert torch.equal(nn.Dropout(0.5)(x), expected)
    torch.manual_seed(0)
    assert not torch.equal(nn.Dropout(0.5)(x), expected)


def test_the_context_does_nothing_in_inference_mode():
    x = torch.ones(100)
    expected = F.dropout(x, 0.5)
    torch.manual_seed(0)
    with torch.inference_mode(), FastCpuKernels():
        assert torch.equal(nn.Dropout(0.5)(x), expected)


# -- attention ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", ["none", "bool", "added"])
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("p", [0.0, 1e-9])
@chunk_sizes
def test_attention_and_its_gradients_equal_torchs(mask, scale, p, cached, monkeypatch):
    monkeypatch.setattr("sklearn_bert._model.cpu_kernels._CACHED", cached)
    qkv = queries(2, 3, 5, 4)
    expected = F.scaled_dot_product_attention(*qkv, masks()[mask], scale=scale)
    expected_gradients = torch.autograd.grad(expected.square().sum(), qkv)
    result = attention(*qkv, masks()[mask], dropout_p=p, scale=scale)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(torch.autograd.grad(result.square().sum(), qkv), expected_gradients)


@pytest.mark.parametrize("n_tokens", [1, 31, 32, 33])
def test_attention_ignores_the_zeros_that_fill_up_a_vector(n_tokens):
    qkv = queries(2, 3, n_tokens, 4)
    torch.testing.assert_close(attention(*qkv), F.scaled_dot_product_attention(*qkv))


@pytest.mark.parametrize("shape", [(1, 1, 5), (5, 5), (1, 3, 5, 5)])
def test_attention_broadcasts_a_mask_of_fewer_dimensions_or_one_row(shape):
    qkv, attend = queries(2, 3, 5, 4), torch.rand(shape) < 0.5
    attend[..., 0] = True
    torch.testing.assert_close(attention(*qkv, attend), F.scaled_dot_product_attention(*qkv, attend))


@chunk_sizes
def test_the_gradients_of_attention_have_the_dropout_mask_of_its_output(cached, monkeypatch):
    """Forward and backward pass draw the same masks, so numerical and analytical derivatives agree."""
    monkeypatch.setattr("sklearn_bert._model.cpu_kernels._CACHED", cached)

    def seeded_attention(*qkv):
        torch.manual_seed(1)
        return attention(*qkv, masks()["bool"], dropout_p=0.4)

    assert torch.autograd.gradcheck(seeded_attention, queries(2, 3, 5, 4))


def test_attention_with_dropout_is_on_average_attention_without():
    qkv = [x.detach().expand(20000, -1, -1, -1) for x in queries(1, 1, 4, 2)]
    mean = attention(*qkv, dropout_p=0.3).mean(dim=0)
    torch.testing.assert_close(mean, F.scaled_dot_product_attention(*qkv)[0], rtol=0.05, atol=0.02)


@pytest.mark.parametrize("smallest", **cases(SMALLEST))
@pytest.mark.parametrize("length", [7, 32])
def test_attention_is_finite_where_an_added_mask_masks_all_keys_of_a_query(smallest, length):
    q, k, v = queries(1, 1, length, 4, dtype=torch.bfloat16)
    mask = torch.zeros(1, 1, length, length)
    mask[..., 0, :] = smallest
    result = attention(q, k, v, mask)
    result.float().sum().backward()
    assert all(torch.isfinite(x).all() for x in (result, q.grad, k.grad, v.grad))


def test_attention_is_finite_where_a_bool_mask_masks_all_keys():
    attend = torch.zeros(1, 1, 3, 3, dtype=torch.bool)
    assert attention(*queries(1, 2, 3, 4), attend, dropout_p=0.1).isfinite().all()


def test_attention_in_bfloat16_is_as_exact_as_bfloat16():
    qkv = queries(2, 3, 5, 4, dtype=torch.bfloat16)
    expected = F.scaled_dot_product_attention(*(x.double() for x in qkv))
    torch.testing.assert_close(attention(*qkv).double(), expected, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("p", [0.0, 0.1])
def test_attention_under_autocast_casts_float32_queries_as_torch_does(p):
    q, k, v = queries(2, 3, 5, 8, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        expected = F.scaled_dot_product_attention(q, k, v.bfloat16())
        result = attention(q, k, v.bfloat16(), dropout_p=p)
    assert result.dtype == expected.dtype == torch.bfloat16
    result.float().sum().backward()  # outside of autocast, as in training
    assert all(x.grad is not None and torch.isfinite(x.grad).all() for x in (q, k, v))
    if not p:
        torch.testing.assert_close(result, expected, rtol=2e-2, atol=2e-2)


def test_attention_without_dropout_leaves_the_random_state_alone():
    qkv, before = queries(1, 2, 3, 4, dtype=torch.bfloat16), torch.get_rng_state()
    attention(*qkv)
    assert torch.equal(torch.get_rng_state(), before)
