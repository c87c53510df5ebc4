"""The PyTorch module: encoder, pooling, dropout and head give logits; the losses by problem type.

Torch and transformers only. For a BERT config the module equals
``transformers.BertForSequenceClassification`` in logits, losses, outputs and state dict.
"""

import inspect
from contextlib import contextmanager
from copy import deepcopy
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel
from transformers.modeling_outputs import SequenceClassifierOutput

from .dropout import head_dropout


def regression_loss(logits, labels, reduction="mean"):
    """Squared error; a row's loss is the mean over its outputs."""
    if logits.shape[1] == 1:
        labels = labels.reshape(-1, 1)  # (B,) against (B, 1) would broadcast to (B, B)
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels have shape {tuple(labels.shape)}, logits {tuple(logits.shape)}. Pass one label per logit."
        )
    losses = F.mse_loss(logits, labels.to(logits.dtype), reduction="none").mean(dim=1)
    return losses.mean() if reduction == "mean" else losses


def single_label_loss(logits, labels, reduction="mean", label_smoothing=0.0):
    """Cross entropy; smoothed labels keep `label_smoothing` of their probability for all classes alike."""
    if not labels.is_floating_point():  # fractional labels are for torch to refuse
        labels = labels.long()
    return F.cross_entropy(logits, labels.view(-1), reduction=reduction, label_smoothing=label_smoothing)


def multi_label_loss(logits, labels, reduction="mean", label_smoothing=0.0, pos_weight=None):
    """Binary cross entropy from logits; a row's loss is the mean over its labels.

    Smoothed labels are `label_smoothing` / 2 away from 0 and 1. `pos_weight`, (num_labels,), multiplies the
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
POOLINGS = ("pooler", "cls", "mean")
_FLAGS = ("output_attentions", "output_hidden_states")  # transformers takes them as **kwargs


class BertModule(nn.Module):
    """A sequence classifier over a transformers encoder.

    Parameters
    ----------
    config : transformers.PreTrainedConfig
        The encoder's config; its `num_labels` and `problem_type` describe the head. It is copied.
    encoder : torch.nn.Module, optional
        A pretrained encoder made from such a config. None: a new one with random weights. It is used
        as it is, not copied; a pooler that `pooling` leaves aside is frozen.
    pooling : {"pooler", "cls", "mean"}, default="pooler"
        What stands for the whole text: ``[CLS]`` through dense and tanh, as BERT does; the last
        hidden state at ``[CLS]``; or the mean of the last hidden states over the tokens.
    bi_encoder : bool, default=False
        Whether rows 2i and 2i + 1 of the inputs are the texts of pair i, encoded one by one. The head
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

    def __init__(
        self, config, *, encoder=None, pooling="pooler", bi_encoder=False, hidden_layer_sizes=(), dropout=None
    ):
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"Got pooling={pooling!r}, expected one of {POOLINGS}. Choose one of these.")
        self.config = deepcopy(config)
        self.bert = AutoModel.from_config(self.config) if encoder is None else encoder
        self.pooling = pooling
        self.bi_encoder = bi_encoder
        self.pooler = None
        if pooling == "pooler" and getattr(self.bert, "pooler", None) is None:
            self.pooler = self._new_linear(config.hidden_size, config.hidden_size)
        elif pooling != "pooler" and getattr(self.bert, "pooler", None) is not None:
            self.bert.pooler.requires_grad_(False)  # kept for the state dict, but out of the loss
        sizes = [config.hidden_size * (4 if bi_encoder else 1), *hidden_layer_sizes]
        self.hidden = nn.ModuleList(self._new_linear(*pair) for pair in pairwise(sizes))
        self.dropout = nn.Dropout(head_dropout(config) if dropout is None else dropout)
        self.classifier = self._new_linear(sizes[-1], config.num_labels)
        self._encoder_arguments = {*inspect.signature(self.bert.forward).parameters, *_FLAGS}
        if getattr(config, "type_vocab_size", 2) < 2:  # RoBERTa, whose tokenizer may number a pair's texts all the same
            self._encoder_arguments.discard("token_type_ids")

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        head_mask=None,
        inputs_embeds=None,
        labels=None,
        output_attentions=None,
        output_hidden_states=None,
        return_dict=None,
    ):
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
            None: the config's. Attentions take transformers' eager implementation, which is slower.

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
        `head_mask` and `output_attentions` change the module for the time of a call: neither goes
        with gradient checkpointing or with other calls at the same time.
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

    def rebuilt(self, config, dropout=None):
        """A module of the same parts and weights, with the dropout and dtype of another config; nothing is frozen."""
        sizes = [layer.out_features for layer in self.hidden]
        parts = {"pooling": self.pooling, "bi_encoder": self.bi_encoder, "hidden_layer_sizes": sizes}
        twin = BertModule(config, **parts, dropout=dropout)
        twin.load_state_dict(self.state_dict())
        return twin

    def head(self, features):
        """What `features` gives to logits, (B, num_labels)."""
        for layer in self.hidden:
            features = F.gelu(layer(self.dropout(features)))
        return self.classifier(self.dropout(features))

    def features(self, input_ids, attention_mask=None, token_type_ids=None):
        """What the head takes: (B, H), or (B / 2, 4 H) of pairs."""
        outputs = self._encode(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return self._pool(outputs, attention_mask)

    def _encode(self, **arguments):
        """The encoder's outputs; arguments that are None or that it does not have are left out."""
        known = {k: v for k, v in arguments.items() if v is not None and k in self._encoder_arguments}
        return self.bert(**known, return_dict=True)

    def _pool(self, outputs, attention_mask):
        """The encoder's outputs to one vector per text, (B, H), or per pair, (B / 2, 4 H)."""
        pooled = self._pool_texts(outputs, attention_mask)
        if not self.bi_encoder:
            return pooled
        if len(pooled) % 2:
            raise ValueError(
                f"Got {len(pooled)} rows, expected pairs of rows. Pass two texts per pair, or bi_encoder=False."
            )
        pooled = pooled.to(torch.promote_types(pooled.dtype, torch.float32))  # u - v would cancel in less
        u, v = F.rms_norm(pooled, pooled.shape[-1:]).unflatten(0, (-1, 2)).unbind(1)
        return torch.cat([u, v, (u - v).abs(), u * v], dim=1)

    def _pool_texts(self, outputs, attention_mask):
        states = outputs.last_hidden_state  # (B, T, H)
        if self.pooling == "mean":
            dtype = torch.promote_types(states.dtype, torch.float32)  # float16 cannot hold long sums
            if attention_mask is None:
                return states.mean(dim=1, dtype=dtype)
            weights = attention_mask.to(states.dtype).unsqueeze(-1)  # (B, T, 1)
            return (states * weights).sum(dim=1, dtype=dtype) / weights.sum(dim=1, dtype=dtype).clamp(min=1)
        if self.pooling == "cls":
            return states[:, 0]
        return outputs.pooler_output if self.pooler is None else torch.tanh(self.pooler(states[:, 0]))

    def _problem_type(self, labels):
        """The config's or, without touching the config, what number and dtype of the labels imply."""
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
        """Scale each head's part of what the attention layers mix; transformers 5 has no such argument."""
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
                context = args[0]  # (B, T, H), the heads side by side
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
        """Attention weights exist in the eager implementation only: switch to it for one call."""
        wanted = self.bert.config.output_attentions if output_attentions is None else output_attentions
        usual = self.bert.config._attn_implementation
        if not wanted or usual == "eager":
            yield
            return
        self.bert.set_attn_implementation("eager")
        try:
            yield
        finally:
            self.bert.set_attn_implementation(usual)

    def _new_linear(self, n_in, n_out):
        """A linear layer with BERT's initial weights."""
        layer = nn.Linear(n_in, n_out, dtype=self.bert.dtype)
        nn.init.normal_(layer.weight, std=getattr(self.config, "initializer_range", 0.02))
        nn.init.zeros_(layer.bias)
        return layer
