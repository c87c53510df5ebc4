"""Dropout and attention that are faster on a CPU than torch's own.

torch's dropout draws one random number per element. torch's attention with dropout leaves its fused kernel for a
slower one that draws in the same way, and in bfloat16 the fused kernel is itself several times slower than the matrix
products in it. Here 64 random bits decide four elements. Attention is two matrix products with a softmax and a dropout
mask between them, for a few texts at a time: the intermediate results fit in the cache, and the backward pass computes
them again instead of keeping them. The share of dropped elements and their independence are those of torch; the
random numbers differ.

Attention is registered with transformers as `CPU_ATTENTION`, and encoders of `BertModule` use it. Dropout replaces
torch's within the context `FastCpuKernels`. On other devices, when a graph is traced or exported, in transforms of
``torch.func`` and with ``SKLEARN_BERT_CPU_KERNELS=0`` in the environment, torch's own functions run. The variable is
read at each call. The kernels have first derivatives only.
This file imports torch, transformers and the bit generator of numpy.
"""

import math
import os
from copy import deepcopy

import numpy as np
import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from transformers import AttentionInterface, AttentionMaskInterface

CPU_ATTENTION = "sklearn_bert_cpu"
_LEVELS = 2**15  # a probability is rounded to a multiple of 1/32768
_INTEGER_OF_SIZE = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_VECTOR = 32  # elements; softmax computes the rest of a row element by element
_FEW = 2**16  # attention weights; with fewer, the overhead of our kernel exceeds what it saves
_CACHED = 2**19  # attention weights computed at a time: a megabyte in bfloat16, the size of a second-level cache


class FastCpuKernels(TorchFunctionMode):
    """A context in which dropout of CPU tensors is fast, for the calls of this thread.

    In inference mode it does nothing: a prediction has no dropout, and in such a context each call of a torch function
    takes some microseconds longer.
    """

    def __enter__(self):
        self.is_active = not torch.is_inference_mode_enabled()
        return super().__enter__() if self.is_active else self

    def __exit__(self, *error):
        if self.is_active:
            super().__exit__(*error)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return (dropout if function is F.dropout else function)(*args, **kwargs or {})


def dropout(input, p=0.5, training=True, inplace=False):
    """As ``torch.nn.functional.dropout``: a tensor of any shape to one of the same shape and dtype."""
    if not training or not 0 < round(p * _LEVELS) < _LEVELS or inplace or not _use_own_kernels(input):
        return F.dropout(input, p, training, inplace)
    return _Dropout.apply(input, p)


def use_cpu_attention(encoder, *, copy_config):
    """Switch an encoder with "sdpa" attention to `CPU_ATTENTION`; other encoders stay as they are.

    Parameters
    ----------
    encoder : transformers.PreTrainedModel
        It is changed.
    copy_config : bool
        Whether the encoder gets a copy of its config, because the caller may use the original.
    """
    if encoder.config._attn_implementation != "sdpa" or not encoder._can_set_attn_implementation():
        return
    if copy_config:
        shared, own = encoder.config, deepcopy(encoder.config)
        for module in encoder.modules():
            if getattr(module, "config", None) is shared:
                module.config = own
    encoder.set_attn_implementation(CPU_ATTENTION)


def attention_forward(module, query, key, value, attention_mask, dropout=0.0, scaling=None, is_causal=None, **kwargs):
    """Like transformers' ``sdpa_attention_forward``, which is called if `attention` cannot be used or is slower.

    Parameters
    ----------
    module : torch.nn.Module
        The attention layer; its attributes `is_causal` and `num_key_value_groups` are used.
    query, key, value : torch.Tensor of shape (B, n_heads, T, d)
        Keys and values may have fewer heads, each for a group of the queries' heads.
    attention_mask : torch.Tensor or None
        See `attention`.
    dropout : float, default=0.0
        Share of the attention weights that is dropped.
    scaling, is_causal, **kwargs
        See transformers.

    Returns
    -------
    mixed : torch.Tensor of shape (B, T, n_heads, d)
    weights : None
    """
    n_groups = getattr(module, "num_key_value_groups", 1)
    if attention_mask is None:
        causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
        is_plain = not causal and n_groups == 1
    else:
        is_plain = not attention_mask.requires_grad  # `attention` gives a mask no gradient
    is_plain = is_plain and all(kwargs.get(name) is None for name in ("position_bias", "cache", "softcap"))
    # Tracing is checked first: the sizes of a graph may be symbolic, and a comparison would make them constants.
    if not is_plain or not _use_own_kernels(query) or (dropout == 0 and _fused_is_fast(query, key)):
        sdpa = AttentionInterface()["sdpa"]
        return sdpa(module, query, key, value, attention_mask, dropout, scaling, is_causal, **kwargs)
    if n_groups > 1:
        key, value = (x[:, :, None].expand(-1, -1, n_groups, -1, -1).flatten(1, 2) for x in (key, value))
    return attention(query, key, value, attention_mask, dropout, scaling).transpose(1, 2), None


def attention(query, key, value, mask=None, dropout_p=0.0, scale=None):
    """Attention in both directions, as ``torch.nn.functional.scaled_dot_product_attention``.

    Parameters
    ----------
    query, key, value : torch.Tensor of shape (B, n_heads, T, d)
    mask : torch.Tensor or None
        True where a query attends to a key; or numbers that are added to the scores. It is broadcast to
        (B, n_heads, T, T).
    dropout_p : float, default=0.0
        Share of the attention weights that is dropped.
    scale : float or None
        Factor of the scores. None: 1 / sqrt(d).

    Returns
    -------
    mixed : torch.Tensor of shape (B, n_heads, T, d)
        Its transpose, (B, T, n_heads, d), is contiguous.
    """
    query, key, value = (x.to(_autocast_dtype(x)) for x in (query, key, value))
    return _Attention.apply(query, key, value, mask, dropout_p, query.shape[-1] ** -0.5 if scale is None else scale)


AttentionInterface.register(CPU_ATTENTION, attention_forward)
AttentionMaskInterface.register(CPU_ATTENTION, AttentionMaskInterface()["sdpa"])


def _fused_is_fast(query, key):
    """Whether torch's attention without dropout is faster: in float32, and for few texts, where overhead dominates."""
    if _autocast_dtype(query) not in (torch.bfloat16, torch.float16):
        return True
    return not query.requires_grad and query.shape[:-1].numel() * key.shape[2] < _FEW


def _use_own_kernels(x):
    """Whether to use the kernels of this file for this tensor; graphs and ``torch.func`` need torch's own."""
    if x.device.type != "cpu" or os.environ.get("SKLEARN_BERT_CPU_KERNELS") == "0":
        return False
    is_traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return not is_traced and not torch._C._are_functorch_transforms_active()


def _autocast_dtype(x):
    """The dtype that autocast would choose: it casts for torch's attention only, and rotary queries are float32."""
    if x.device.type != "cpu" or x.dtype == torch.float64 or not torch.is_autocast_enabled("cpu"):
        return x.dtype
    return torch.get_autocast_dtype("cpu")


class _Dropout(torch.autograd.Function):
    """Dropout of a tensor of any shape with probability p."""

    @staticmethod
    def forward(ctx, input, p):
        masks = _DropoutMaskStream(p)
        ctx.mask, ctx.factor = masks.draw(input.shape), masks.factor
        return _apply_mask(input, ctx.mask).mul_(ctx.factor)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return _apply_mask(gradient, ctx.mask).mul_(ctx.factor), None


class _Attention(torch.autograd.Function):
    """Attention of queries, keys and values (B, n_heads, T, d), with mask, dropout p and scale as in `attention`."""

    @staticmethod
    def forward(ctx, query, key, value, mask, p, scale):
        masks = _DropoutMaskStream(p)
        ctx.save_for_backward(query, key, value, mask)
        ctx.scale, ctx.masks = scale, masks
        B, n_heads, T, _ = query.shape
        # In memory, the heads of a token are adjacent: the next layer needs this order.
        mixed = value.new_empty(B, T, n_heads, value.shape[-1]).transpose(1, 2)
        for rows in _row_chunks(query, key):
            weights = _attention_weights(query[rows] * scale, _pad(key[rows]), _mask_of(mask, rows), key.shape[2])
            kept = _apply_mask(weights, masks.draw(weights.shape))
            mixed[rows] = (kept @ _pad(value[rows])).mul_(masks.factor)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        query, key, value, mask = ctx.saved_tensors
        masks, n_keys = ctx.masks.replay(), key.shape[2]
        gradients = [torch.empty_like(x) for x in (query, key, value)]
        for rows in _row_chunks(query, key):
            q, k, v = (query[rows] * ctx.scale).contiguous(), _pad(key[rows]), _pad(value[rows])
            g = (gradient[rows] * masks.factor).contiguous()
            weights = _attention_weights(q, k, _mask_of(mask, rows), n_keys)
            dropout_mask = masks.draw(weights.shape)
            d_weights = _apply_mask(g @ v.mT, dropout_mask)
            d_scores = torch.ops.aten._softmax_backward_data(d_weights, weights, -1, weights.dtype)
            parts = (d_scores @ k).mul_(ctx.scale), d_scores.mT @ q, _apply_mask(weights, dropout_mask).mT @ g
            for whole, part in zip(gradients, parts, strict=True):
                whole[rows] = part[:, :, : whole.shape[2]]
        return *gradients, None, None, None


def _row_chunks(query, key):
    """Slices of the rows, so that the attention weights of each slice fit in the cache."""
    B, n_heads, T, _ = query.shape
    n = max(1, _CACHED // (n_heads * max(T, _VECTOR) * max(key.shape[2], _VECTOR)))
    return [slice(start, start + n) for start in range(0, B, n)]


def _mask_of(mask, rows):
    """The mask of a slice of the rows; a mask that all rows share has one row, or fewer dimensions."""
    return mask if mask is None or mask.ndim < 4 or len(mask) == 1 else mask[rows]


def _pad(x):
    """(B, n_heads, T, d) to (B, n_heads, padded T, d), contiguous: zeros up to a multiple of `_VECTOR` tokens."""
    return F.pad(x, (0, 0, 0, -x.shape[2] % _VECTOR)).contiguous()


def _attention_weights(query, key, mask, n_keys):
    """Softmax of the products of queries and padded keys, (B, n_heads, T, padded T); masked keys have weight 0."""
    scores = query.contiguous() @ key.mT
    if mask is None and n_keys == scores.shape[-1]:
        return scores.softmax(dim=-1)
    bias = scores.new_zeros(scores.shape[-1] if mask is None else (*mask.shape[:-1], scores.shape[-1]))
    if mask is not None and mask.dtype == torch.bool:
        # The smallest number instead of minus infinity: a query may have all its keys masked.
        bias[..., :n_keys].masked_fill_(~mask, torch.finfo(bias.dtype).min)
    elif mask is not None:
        bias[..., :n_keys] = mask.clamp(min=torch.finfo(bias.dtype).min)
    bias[..., n_keys:] = torch.finfo(bias.dtype).min
    return scores.add_(bias).softmax(dim=-1)


class _DropoutMaskStream:
    """A stream of masks that drop a share of about p, and can be replayed.

    Parameters
    ----------
    p : float
        At least 0, less than 1.
    seed : int or None
        None: drawn from torch's generator, which a fit seeds; without dropout nothing is drawn.
    """

    def __init__(self, p, seed=None):
        self.p, self.n_dropped = p, min(round(p * _LEVELS), _LEVELS - 1)
        self.factor = _LEVELS / (_LEVELS - self.n_dropped)
        if seed is None:
            seed = int(torch.randint(2**62, ())) if self.n_dropped else 0
        self.seed, self._bits = seed, np.random.SFC64(seed) if self.n_dropped else None

    def replay(self):
        """The same stream from its beginning."""
        return _DropoutMaskStream(self.p, self.seed)

    def draw(self, shape):
        """A mask, int16 of this shape: -1 (all bits set) where an element is kept, else 0; None if none is dropped."""
        if not self.n_dropped:
            return None
        n = math.prod(shape)
        draws = torch.from_numpy(self._bits.random_raw(-(-n // 4)).view(np.int16))[:n].view(shape)
        # The shift gives numbers r from -2**14 to 2**14 - 1. Kept are those with n_dropped - 2**14 - 1 - r below 0,
        # whose sign bit the last shift spreads over all bits. Arithmetic, since comparing is several times slower.
        return draws.bitwise_right_shift_(1).neg_().add_(self.n_dropped - _LEVELS // 2 - 1).bitwise_right_shift_(15)


def _apply_mask(x, mask):
    """x where a mask of `_DropoutMaskStream` keeps it, else 0; several times faster than a product with bools."""
    if mask is None:
        return x
    bits = _INTEGER_OF_SIZE[x.element_size()]
    return (x.view(bits) & mask.to(bits)).view(x.dtype)
