"""The part of the module below its head: encoder and pooling, which turn texts or pairs of texts into features.

This file imports torch and transformers only.
"""

from __future__ import annotations

import inspect
from copy import deepcopy
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from .checkpoint import folder_signature, load_encoder
from .cpu_kernels import use_cpu_attention
from .layer_inputs import layer_inputs, watch_last_layers

MEANS = ("mean", "mean_last_two", "mean_last_three")  # of one, two and three layers
POOLINGS = ("pooler", "cls", *MEANS)
_FLAGS = ("output_attentions", "output_hidden_states")  # transformers takes them as **kwargs


class PooledEncoder(nn.Module):
    """A transformers encoder with a pooling, which gives one vector for a text.

    Parameters
    ----------
    config : transformers.PreTrainedConfig
        The encoder's config. It is copied.
    encoder : torch.nn.Module, optional
        A pretrained encoder made from such a config. None: a new one with random weights. It is not copied.
        A pooler that `pooling` does not use is frozen, and on a CPU the attention of this package computes. Its last
        layers get hooks for "mean_last_two" and "mean_last_three".
    pooling : {"pooler", "cls", "mean", "mean_last_two", "mean_last_three"}, default="pooler"
        What represents the whole text: ``[CLS]`` through dense and tanh, as BERT does; the last
        hidden state at ``[CLS]``; the mean of the last hidden states over the tokens; or this mean of
        the hidden states of the last two or three layers.
    bi_encoder : bool, default=False
        Whether rows 2i and 2i + 1 of the inputs are the texts of pair i, encoded separately. The features are
        ``(u, v, |u - v|, u * v)`` of their pooled outputs u and v, each scaled to a root mean square of one, so
        that a linear head sees their cosine [1]_.

    Attributes
    ----------
    bert : torch.nn.Module
        The encoder.

    References
    ----------
    .. [1] N. Reimers, I. Gurevych, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
       EMNLP 2019.
    """

    bert: PreTrainedModel
    origin: list[Any] | None = None  # which files a new module's weights came from

    def __init__(
        self,
        config: PreTrainedConfig,
        *,
        encoder: nn.Module | None = None,
        pooling: Literal["pooler", "cls", "mean", "mean_last_two", "mean_last_three"] = "pooler",
        bi_encoder: bool = False,
    ):
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"Got pooling={pooling!r}, expected one of {POOLINGS}. Choose one of these.")
        self.config = deepcopy(config)
        self.bert = AutoModel.from_config(self.config) if encoder is None else encoder
        use_cpu_attention(self.bert, copy_config=encoder is not None)
        self.pooling = pooling
        self.bi_encoder = bi_encoder
        self.pooler = None
        if pooling == "pooler" and getattr(self.bert, "pooler", None) is None:
            self.pooler = self._new_linear(config.hidden_size, config.hidden_size)
        elif pooling != "pooler" and getattr(self.bert, "pooler", None) is not None:
            self.bert.pooler.requires_grad_(False)  # kept for the state dict, but out of the loss
        if self._n_layers_below:
            watch_last_layers(self.bert, self._n_layers_below)
        self._encoder_arguments = {*inspect.signature(self.bert.forward).parameters, *_FLAGS}
        if getattr(config, "type_vocab_size", 2) < 2:  # RoBERTa, whose tokenizer may number a pair's texts all the same
            self._encoder_arguments.discard("token_type_ids")

    @classmethod
    def from_folder(cls, folder: str | PathLike[str], config: PreTrainedConfig, **params: Any) -> Self:
        """Build the module with the pretrained encoder of a checkpoint's folder, in the config's dtype.

        Parameters
        ----------
        folder : str or path
            A folder with the weights.
        config : transformers.PreTrainedConfig
        **params : dict
            Further arguments of the constructor.

        Returns
        -------
        module : PooledEncoder

        Raises
        ------
        OSError
            If the weights cannot be read, or do not match the config.
        ValueError
            If the encoder takes no token ids or no attention mask.
        """
        random_pooler = "warn" if params.get("pooling", "pooler") == "pooler" else "ignore"
        folder = Path(folder)
        origin = folder_signature(folder)
        encoder = load_encoder(folder, config, config.dtype, random_pooler=random_pooler)
        module = cls(config, encoder=encoder, **params)
        module.origin = origin
        return module

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        """Return what `features` returns."""
        return self.features(input_ids, attention_mask, token_type_ids)

    def features(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the features that a head takes.

        Parameters
        ----------
        input_ids, attention_mask, token_type_ids : torch.Tensor of shape (B, T)
            As in transformers; the last two are optional.

        Returns
        -------
        features : torch.Tensor of shape (B, H), or (B / 2, 4 H) with a bi-encoder

        Raises
        ------
        ValueError
            If a bi-encoder gets an odd number of rows.
        """
        outputs = self._encode(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return self._pool(outputs, attention_mask)

    @property
    def _n_layers_below(self):
        """Number of layers below the last one whose outputs are pooled with its own."""
        return MEANS.index(self.pooling) if self.pooling in MEANS else 0

    def _encode(self, **arguments):
        """The encoder's outputs; arguments that are None, or that the encoder does not take, are left out."""
        known = {k: v for k, v in arguments.items() if v is not None and k in self._encoder_arguments}
        if not self._n_layers_below:
            return self.bert(**known, return_dict=True)
        with layer_inputs() as inputs:
            outputs = self.bert(**known, return_dict=True)
        outputs.last_hidden_state = self._mean_of_layers(outputs.last_hidden_state, inputs)
        return outputs

    def _mean_of_layers(self, last, inputs):
        """The mean of the last layer's outputs and the last layers' inputs, (B, T, H)."""
        n_below = self._n_layers_below
        below = inputs[-n_below:]
        shapes, expected = [tuple(states.shape) for states in below], [tuple(last.shape)] * n_below
        if shapes != expected:
            raise ValueError(
                f"The inputs of this {self.config.model_type!r} encoder's last layers have the shapes {shapes}, "
                f"expected {expected} for pooling={self.pooling!r}. Pass pooling='mean', or leave the layers in their "
                "places."
            )
        return (last + sum(below)) / (1 + n_below)

    def _pool(self, outputs, attention_mask):
        """The encoder's outputs to one vector per text, (B, H), or per pair, (B / 2, 4 H)."""
        pooled = self._pool_texts(outputs, attention_mask)
        if not self.bi_encoder:
            return pooled
        if len(pooled) % 2:
            raise ValueError(
                f"Got {len(pooled)} rows, expected pairs of rows. Pass two texts per pair, or bi_encoder=False."
            )
        pooled = pooled.to(torch.promote_types(pooled.dtype, torch.float32))  # float16 would lose digits in u - v
        u, v = F.rms_norm(pooled, pooled.shape[-1:]).unflatten(0, (-1, 2)).unbind(1)
        return torch.cat([u, v, (u - v).abs(), u * v], dim=1)

    def _pool_texts(self, outputs, attention_mask):
        states = outputs.last_hidden_state  # (B, T, H)
        if self.pooling in MEANS:
            dtype = torch.promote_types(states.dtype, torch.float32)  # float16 cannot hold long sums
            if attention_mask is None:
                return states.mean(dim=1, dtype=dtype)
            weights = attention_mask.to(states.dtype).unsqueeze(-1)  # (B, T, 1)
            return (states * weights).sum(dim=1, dtype=dtype) / weights.sum(dim=1, dtype=dtype).clamp(min=1)
        if self.pooling == "cls":
            return states[:, 0]
        return outputs.pooler_output if self.pooler is None else torch.tanh(self.pooler(states[:, 0]))

    def _new_linear(self, n_in, n_out):
        """A linear layer with BERT's initial weights."""
        layer = nn.Linear(n_in, n_out, dtype=self.bert.dtype)
        nn.init.normal_(layer.weight, std=getattr(self.config, "initializer_range", 0.02))
        nn.init.zeros_(layer.bias)
        return layer
