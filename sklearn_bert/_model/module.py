"""The PyTorch module (encoder, pooling, dropout and head, which give logits) and the losses by problem type.

This file imports torch and transformers only. For a BERT config the module equals
``transformers.BertForSequenceClassification`` in logits, losses, outputs and state dict.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig
from transformers.modeling_outputs import SequenceClassifierOutput

from .dropout import head_dropout
from .pooled_encoder import PooledEncoder


def regression_loss(logits, labels, reduction="mean"):
    """Squared error of logits and labels, (B, n_outputs); a row's loss is the mean over its outputs."""
    if logits.shape[1] == 1:
        labels = labels.reshape(-1, 1)  # (B,) against (B, 1) would broadcast to (B, B)
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels have shape {tuple(labels.shape)}, logits {tuple(logits.shape)}. Pass one label per logit."
        )
    losses = F.mse_loss(logits, labels.to(logits.dtype), reduction="none").mean(dim=1)
    return losses.mean() if reduction == "mean" else losses


def single_label_loss(logits, labels, reduction="mean", label_smoothing=0.0):
    """Cross entropy of logits, (B, num_labels), and labels, (B,).

    Smoothed labels distribute `label_smoothing` of their probability evenly over all classes.
    """
    if not labels.is_floating_point():  # torch raises on fractional labels
        labels = labels.long()
    return F.cross_entropy(logits, labels.view(-1), reduction=reduction, label_smoothing=label_smoothing)


def multi_label_loss(logits, labels, reduction="mean", label_smoothing=0.0, pos_weight=None):
    """Binary cross entropy of logits and labels, (B, num_labels); a row's loss is the mean over its labels.

    Smoothed labels differ from 0 and 1 by `label_smoothing` / 2. `pos_weight`, (num_labels,), multiplies the
    loss of a label where it is 1.
    """
    labels = labels.to(logits.dtype)
    smoothed = labels * (1 - label_smoothing) + label_smoothing / 2
    losses = F.binary_cross_entropy_with_logits(logits, smoothed, reduction="none")
    if pos_weight is not None:
        losses = losses * torch.where(labels > 0.5, pos_weight.to(logits), 1.0)
    losses = losses.mean(dim=1)
    return losses.mean() if reduction == "mean" else losses


LOSSES = {
    "regression": regression_loss,
    "single_label_classification": single_label_loss,
    "multi_label_classification": multi_label_loss,
}


class BertModule(PooledEncoder):
    """A sequence classifier over a transformers encoder.

    Parameters
    ----------
    config : transformers.PreTrainedConfig
        The encoder's config; its `num_labels` and `problem_type` describe the head. It is copied.
    encoder : torch.nn.Module, optional
        A pretrained encoder made from such a config. None: a new one with random weights. It is not copied.
        A pooler that `pooling` does not use is frozen, and on a CPU the attention of this package computes. Its last
        layers get hooks for "mean_last_two" and "mean_last_three".
    pooling : {"pooler", "cls", "mean", "mean_last_two", "mean_last_three"}, default="pooler"
        What represents the whole text: ``[CLS]`` through dense and tanh, as BERT does; the last
        hidden state at ``[CLS]``; the mean of the last hidden states over the tokens; or this mean of
        the hidden states of the last two or three layers.
    bi_encoder : bool, default=False
        Whether rows 2i and 2i + 1 of the inputs are the texts of pair i, encoded separately. The head
        takes ``(u, v, |u - v|, u * v)`` of their pooled outputs u and v, each scaled to a root mean
        square of one, so that it sees their cosine [1]_.
    hidden_layer_sizes : sequence of int, default=()
        Widths of GELU layers between the pooled output and the last linear layer.
    dropout : float, optional
        Dropout probability before each layer of the head. None: the config's `classifier_dropout`,
        or its `hidden_dropout_prob` if that is None.

    Attributes
    ----------
    bert : torch.nn.Module
        The encoder.
    classifier : torch.nn.Linear
        The last layer.

    References
    ----------
    .. [1] N. Reimers, I. Gurevych, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
       EMNLP 2019.
    """

    classifier: nn.Linear

    def __init__(
        self,
        config: PreTrainedConfig,
        *,
        encoder: nn.Module | None = None,
        pooling: Literal["pooler", "cls", "mean", "mean_last_two", "mean_last_three"] = "pooler",
        bi_encoder: bool = False,
        hidden_layer_sizes: Sequence[int] = (),
        dropout: float | None = None,
    ):
        super().__init__(config, encoder=encoder, pooling=pooling, bi_encoder=bi_encoder)
        sizes = [config.hidden_size * (4 if bi_encoder else 1), *hidden_layer_sizes]
        self.hidden = nn.ModuleList(self._new_linear(*pair) for pair in pairwise(sizes))
        self.dropout = nn.Dropout(head_dropout(config) if dropout is None else dropout)
        self.classifier = self._new_linear(sizes[-1], config.num_labels)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        head_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> SequenceClassifierOutput | tuple[torch.Tensor, ...]:
        """Logits and, with labels, the loss.

        Parameters
        ----------
        input_ids : torch.Tensor of shape (B, T), optional
            Token ids. Either these or `inputs_embeds`.
        attention_mask : torch.Tensor of shape (B, T), optional
            0 on padding, which is ignored; 1 elsewhere.
        token_type_ids : torch.Tensor of shape (B, T), optional
            0 in the first text, 1 in the second one of a pair.
        position_ids : torch.Tensor of shape (B, T), optional
        head_mask : torch.Tensor of shape (n_layers, n_heads), optional
            Factor of each attention head's contribution: 1 keeps it, 0 removes it.
        inputs_embeds : torch.Tensor of shape (B, T, hidden_size), optional
            Word embeddings instead of `input_ids`.
        labels : torch.Tensor of shape (B,) or (B, num_labels), optional
            With `bi_encoder` one per pair, so of half as many rows.
        output_attentions, output_hidden_states, return_dict : bool, optional
            None: the config's. Attentions need transformers' eager implementation, which is slower.

        Returns
        -------
        output : SequenceClassifierOutput, or tuple if `return_dict` is False
            ``(loss, logits, hidden_states, attentions)``, the tuple without the absent parts.

        Raises
        ------
        ValueError
            If both or neither of `input_ids` and `inputs_embeds` are given, `head_mask` or regression
            labels have another shape, rows of a `bi_encoder` module do not pair up, or the config's
            problem type is unknown.

        Notes
        -----
        An argument that the encoder does not have (DistilBERT: `token_type_ids`) is left out.
        `head_mask` and `output_attentions` change the module during a call: neither works with gradient
        checkpointing, or with other calls at the same time.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError(
                f"Got {'neither' if input_ids is None else 'both'} of input_ids and inputs_embeds. "
                "Expected exactly one: pass token ids, or embeddings in their place."
            )
        with self._masked_heads(head_mask), self._eager_attention(output_attentions):
            outputs = self._encode(
                input_ids=input_ids,
                attention_mask=attention_mask,
                token_type_ids=token_type_ids,
                position_ids=position_ids,
                inputs_embeds=inputs_embeds,
                output_attentions=output_attentions,
                output_hidden_states=output_hidden_states,
            )
        logits = self.head(self._pool(outputs, attention_mask))  # (B, num_labels)
        output = SequenceClassifierOutput(
            loss=None if labels is None else LOSSES[self._problem_type(labels)](logits, labels),
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
        as_dict = self.config.return_dict if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()

    def rebuilt(self, config: PreTrainedConfig, **params: Any) -> BertModule:
        """Build a module with these weights and the dropout and dtype of another config; nothing is frozen.

        Parameters
        ----------
        config : transformers.PreTrainedConfig
        **params : dict
            Further arguments of the constructor.

        Returns
        -------
        module : BertModule

        Raises
        ------
        RuntimeError
            If the weights do not fit the new module.
        """
        twin = BertModule(config, **params)
        twin.load_state_dict(self.state_dict())
        return twin

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the logits from features.

        Parameters
        ----------
        features : torch.Tensor of shape (B, H) or (B, 4 H)
            What `features` returns.

        Returns
        -------
        logits : torch.Tensor of shape (B, num_labels)
        """
        for layer in self.hidden:
            features = F.gelu(layer(self.dropout(features)))
        return self.classifier(self.dropout(features))

    def _problem_type(self, labels):
        """The config's problem type, or the one that num_labels and the labels' dtype imply; sets nothing."""
        if self.config.problem_type is not None:
            if self.config.problem_type not in LOSSES:
                raise ValueError(
                    f"config.problem_type is {self.config.problem_type!r}, expected None or one of {tuple(LOSSES)}. "
                    "Set one of these."
                )
            return self.config.problem_type
        if self.config.num_labels == 1:
            return "regression"
        integer = labels.dtype in (torch.long, torch.int)
        return "single_label_classification" if integer else "multi_label_classification"

    @contextmanager
    def _masked_heads(self, head_mask):
        """A context that scales the output of each attention head; transformers 5 has no argument for it."""
        if head_mask is None:
            yield
            return
        config = self.config
        expected = (config.num_hidden_layers, config.num_attention_heads)
        if tuple(head_mask.shape) != expected:
            raise ValueError(
                f"head_mask has shape {tuple(head_mask.shape)}, expected (n_layers, n_heads) = {expected}. "
                "Pass one factor per layer and head, or None."
            )
        if config.model_type != "bert":
            raise ValueError(
                f"head_mask needs a BERT encoder, got one of type {config.model_type!r}. Pass head_mask=None."
            )

        def scale(factors):
            def hook(_, args):
                context = args[0]  # (B, T, H), one head after the other
                heads = context.unflatten(-1, (len(factors), -1)) * factors.to(context).unsqueeze(-1)
                return (heads.flatten(-2), *args[1:])

            return hook

        layers = self.bert.encoder.layer
        handles = [
            layer.attention.output.register_forward_pre_hook(scale(factors))
            for layer, factors in zip(layers, head_mask, strict=True)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def _eager_attention(self, output_attentions):
        """A context with eager attention if attention weights are requested: no other implementation returns them."""
        wanted = self.bert.config.output_attentions if output_attentions is None else output_attentions
        before = self.bert.config._attn_implementation
        if not wanted or before == "eager":
            yield
            return
        self.bert.set_attn_implementation("eager")
        try:
            yield
        finally:
            self.bert.set_attn_implementation(before)
