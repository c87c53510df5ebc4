"""Torch functions that are slow in training on a CPU, done with others that are quick.

Dropout draws a number of its own for each element, one at a time: a tenth of a training step on short texts.
Attention with dropout leaves the fused kernel for one that draws even more, half of a step on long texts; and
the fused kernel's backward pass in bfloat16 is several times slower than the matrix products in it. Here 64
random bits decide four elements, and attention is two products with a softmax and such a mask between them.
As many elements are dropped, as independently; the stream of random numbers is another. A leaf: torch only.
"""

import math

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_LEVELS = 2**16  # of a 16-bit number: a probability is met to 1/65536
_INTEGER_OF_SIZE = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class QuickOnCpu(TorchFunctionMode):
    """A context in which dropout and attention of CPU tensors are quick to train.

    It stands in for functions of torch, for the calls of this thread: any encoder gains, as it is.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return _REPLACED.get(function, function)(*args, **kwargs or {})


def dropout(input, p=0.5, training=True, inplace=False):
    """As ``torch.nn.functional.dropout``."""
    if not training or p in (0, 1) or inplace or input.device.type != "cpu":
        return F.dropout(input, p, training, inplace)
    return _Dropout.apply(input, p)


def attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """As ``torch.nn.functional.scaled_dot_product_attention``."""
    fused_is_quick = dropout_p == 0 and query.dtype not in (torch.bfloat16, torch.float16)
    if fused_is_quick or is_causal or enable_gqa or query.device.type != "cpu":
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = (query * scale) @ key.transpose(-2, -1)  # (B, heads, T, T)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)  # finite: a row may be masked wholly
    elif attn_mask is not None:
        scores = scores + attn_mask
    return dropout(scores.softmax(dim=-1), dropout_p) @ value


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, p):
        n_dropped = min(round(p * _LEVELS), _LEVELS - 1)
        kept = _random_bits(input.shape) >= n_dropped - _LEVELS // 2
        ctx.save_for_backward(kept)
        ctx.scale = _LEVELS / (_LEVELS - n_dropped)
        return _keep(input, kept).mul_(ctx.scale)

    @staticmethod
    def backward(ctx, gradient):
        (kept,) = ctx.saved_tensors
        return _keep(gradient, kept).mul_(ctx.scale), None


def _keep(x, kept):
    """x where `kept`, else 0: several times quicker on the bits than as a product with bools."""
    bits = _INTEGER_OF_SIZE[x.element_size()]
    all_ones = (-kept.view(torch.int8)).to(bits)  # -1 is all ones
    return (x.view(bits) & all_ones).view(x.dtype)


def _random_bits(shape):
    """Uniform 16-bit integers, four from each number that torch's generator gives."""
    n = math.prod(shape)
    draws = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(2**63), None)
    return draws.view(torch.int16)[:n].view(shape)


_REPLACED = {F.dropout: dropout, F.scaled_dot_product_attention: attention}
