"""Torch functions that are slow on a CPU, done with others that are quick.

Dropout draws a number of its own for each element, one at a time. Attention with dropout leaves the fused kernel for
one that draws even more, and that kernel in bfloat16 is itself several times slower than the matrix products in it.
Here 64 random bits decide four elements, and attention is two products with a softmax and such a mask between them,
a few texts at a time: what passes between the products stays in the cache, and is computed again backwards rather
than kept. As many elements are dropped, as independently; the stream of random numbers is another.
A leaf: torch and numpy's bit generator only.
"""

import math

import numpy as np
import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_LEVELS = 2**15  # a probability is met to 1/32768
_INTEGER_OF_SIZE = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_VECTOR = 32  # elements; softmax computes those left over at the end of a row one by one
_CACHED = 2**19  # attention weights computed at a time: a megabyte in bfloat16, as the second level of a cache has


class FastCpuKernels(TorchFunctionMode):
    """A context in which dropout and attention of CPU tensors are quick.

    It stands in for functions of torch, for the calls of this thread: any encoder gains, as it is.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return _REPLACED.get(function, function)(*args, **kwargs or {})


def dropout(input, p=0.5, training=True, inplace=False):
    """As ``torch.nn.functional.dropout``."""
    if not training or not 0 < round(p * _LEVELS) < _LEVELS or inplace or input.device.type != "cpu":
        return F.dropout(input, p, training, inplace)
    return _Dropout.apply(input, p)


def attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """As ``torch.nn.functional.scaled_dot_product_attention``."""
    query, key, value = map(_as_autocast, (query, key, value))
    fused_is_quick = dropout_p == 0 and query.dtype not in (torch.bfloat16, torch.float16)
    mask_learns = attn_mask is not None and attn_mask.requires_grad
    unusual = is_causal or enable_gqa or mask_learns or query.ndim != 4
    if fused_is_quick or unusual or query.device.type != "cpu":
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return _Attention.apply(query, key, value, attn_mask, dropout_p, scale)


def _as_autocast(x):
    """In autocast's dtype, which it gives to torch's function but not to ours: rotary queries are in float32."""
    if x.device.type != "cpu" or x.dtype == torch.float64 or not torch.is_autocast_enabled("cpu"):
        return x
    return x.to(torch.get_autocast_dtype("cpu"))


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, p):
        masks = _DropoutMaskStream(p)
        ctx.kept, ctx.factor = masks.draw(input.shape), masks.factor
        return _keep(input, ctx.kept).mul_(ctx.factor)

    @staticmethod
    def backward(ctx, gradient):
        return _keep(gradient, ctx.kept).mul_(ctx.factor), None


class _Attention(torch.autograd.Function):
    """Of queries, keys and values (B, n_heads, T, d); a mask is one of torch's, broadcast to (B, n_heads, T, T)."""

    @staticmethod
    def forward(ctx, query, key, value, mask, p, scale):
        masks = _DropoutMaskStream(p)
        ctx.save_for_backward(query, key, value, mask)
        ctx.scale, ctx.masks = scale, masks
        B, n_heads, T, _ = query.shape
        # In memory the heads of a token stand side by side, as the next layer wants them.
        mixed = value.new_empty(B, T, n_heads, value.shape[-1]).transpose(1, 2)
        for rows in _row_chunks(query, key):
            weights = _attention_weights(query[rows] * scale, _padded(key[rows]), _part(mask, rows), key.shape[2])
            kept = _keep(weights, masks.draw(weights.shape))
            mixed[rows] = (kept @ _padded(value[rows])).mul_(masks.factor)
        return mixed

    @staticmethod
    def backward(ctx, gradient):
        query, key, value, mask = ctx.saved_tensors
        masks, n_keys = ctx.masks.again(), key.shape[2]
        gradients = [torch.empty_like(x) for x in (query, key, value)]
        for rows in _row_chunks(query, key):
            q, k, v = (query[rows] * ctx.scale).contiguous(), _padded(key[rows]), _padded(value[rows])
            g = (gradient[rows] * masks.factor).contiguous()
            weights = _attention_weights(q, k, _part(mask, rows), n_keys)
            kept = masks.draw(weights.shape)
            d_weights = _keep(g @ v.mT, kept)
            d_scores = torch.ops.aten._softmax_backward_data(d_weights, weights, -1, weights.dtype)
            parts = (d_scores @ k).mul_(ctx.scale), d_scores.mT @ q, _keep(weights, kept).mT @ g
            for whole, part in zip(gradients, parts, strict=True):
                whole[rows] = part[:, :, : whole.shape[2]]
        return *gradients, None, None, None


def _row_chunks(query, key):
    """Slices of the rows, so that the attention weights of each fit in the cache."""
    B, n_heads, T, _ = query.shape
    n = max(1, _CACHED // (n_heads * max(T, _VECTOR) * max(key.shape[2], _VECTOR)))
    return [slice(start, start + n) for start in range(0, B, n)]


def _part(mask, rows):
    """The mask of these rows; one for all rows has a single one, or fewer dimensions."""
    return mask if mask is None or mask.ndim < 4 or len(mask) == 1 else mask[rows]


def _padded(x):
    """Zeros after the tokens, up to a multiple of the vectors in which softmax computes; contiguous."""
    return F.pad(x, (0, 0, 0, -x.shape[2] % _VECTOR)).contiguous()


def _attention_weights(query, key, mask, n_keys):
    """Softmax of the products of queries and padded keys, where the mask lets them: (B, n_heads, T, padded T)."""
    scores = query.contiguous() @ key.mT
    if mask is None and n_keys == scores.shape[-1]:
        return scores.softmax(dim=-1)
    bias = scores.new_zeros(scores.shape[-1] if mask is None else (*mask.shape[:-1], scores.shape[-1]))
    if mask is not None and mask.dtype == torch.bool:
        # The least number, not minus infinity: a row may be masked wholly.
        bias[..., :n_keys].masked_fill_(~mask, torch.finfo(bias.dtype).min)
    elif mask is not None:
        bias[..., :n_keys] = mask.clamp(min=torch.finfo(bias.dtype).min)
    bias[..., n_keys:] = torch.finfo(bias.dtype).min
    return scores.add_(bias).softmax(dim=-1)


class _DropoutMaskStream:
    """A stream of masks that drop a share of about p, and can be drawn again."""

    def __init__(self, p, seed=None):
        self.p, self.n_dropped = p, min(round(p * _LEVELS), _LEVELS - 1)
        self.factor = _LEVELS / (_LEVELS - self.n_dropped)
        if seed is None:  # from torch's generator, which a fit seeds and which prediction leaves alone
            seed = int(torch.randint(2**62, ())) if self.n_dropped else 0
        self.seed, self._bits = seed, np.random.SFC64(seed)

    def again(self):
        """The same stream from its beginning."""
        return _DropoutMaskStream(self.p, self.seed)

    def draw(self, shape):
        """int16 of this shape: -1, so all bits set, where an element is kept, else 0; None if none is dropped."""
        if not self.n_dropped:
            return None
        n = math.prod(shape)
        draws = torch.from_numpy(self._bits.random_raw(-(-n // 4)).view(np.int16))[:n].view(shape)
        # Numbers from -2**14 to 2**14 - 1; below 0 are those kept once the least of them is taken off.
        # Arithmetic, since comparing is several times slower.
        return draws.bitwise_right_shift_(1).neg_().add_(self.n_dropped - _LEVELS // 2 - 1).bitwise_right_shift_(15)


def _keep(x, kept):
    """x where `kept`, else 0: several times quicker on the bits than as a product with bools."""
    if kept is None:
        return x
    bits = _INTEGER_OF_SIZE[x.element_size()]
    return (x.view(bits) & kept.to(bits)).view(x.dtype)


_REPLACED = {F.dropout: dropout, F.scaled_dot_product_attention: attention}
