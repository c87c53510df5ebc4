"""Training with the part of the embedding table that the texts use.

A vocabulary has tens of thousands of tokens (several languages: hundreds of thousands), some thousand texts use a
tenth of them, and yet every step would fill, clip and apply a gradient as large as the whole table: a fifth of a
training step on short texts, and most of the optimizer's memory. The other tokens' gradients are zero, so leaving
them out changes no update but the weight decay: what no text holds keeps its pretrained vector. A leaf: torch only.
"""

from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F


class UsedEmbedding(nn.Module):
    """The rows of an embedding table for some of the tokens, looked up by the tokens' own ids.

    Parameters
    ----------
    whole : torch.nn.Embedding
    used : torch.Tensor of shape (n_used,), int64
        Distinct token ids; no other may be looked up.
    """

    def __init__(self, whole, used):
        super().__init__()
        self.weight = nn.Parameter(whole.weight.detach()[used])
        places = torch.full((len(whole.weight),), len(used), device=used.device)  # out of range: an error, not a mix-up
        places[used] = torch.arange(len(used), device=used.device)
        self.register_buffer("places", places, persistent=False)
        self.table = (whole, used)  # in a tuple: none of this module's parameters
        self.padding_idx = None if whole.padding_idx is None else int(places[whole.padding_idx])

    def forward(self, input_ids):
        return F.embedding(self.places[input_ids], self.weight, self.padding_idx)

    def whole(self):
        """The whole table, with the rows as they are now."""
        whole, used = self.table
        with torch.no_grad():
            whole.weight[used] = self.weight
        return whole


@contextmanager
def train_used_embeddings(encoder, token_ids):
    """Within the context the encoder holds the embeddings of these tokens only; after it all, as they are then.

    An encoder whose embeddings are not a plain table of their own, or are not trained, is left as it is.

    Parameters
    ----------
    encoder : transformers.PreTrainedModel
    token_ids : array of int
        Every token that will be looked up.
    """
    whole = encoder.get_input_embeddings()
    if type(whole) is not nn.Embedding or not whole.weight.requires_grad or whole.max_norm is not None:
        yield
        return
    padding = [] if whole.padding_idx is None else [whole.padding_idx]
    used = torch.unique(torch.as_tensor([*token_ids, *padding])).to(whole.weight.device)
    part = UsedEmbedding(whole, used)
    encoder.set_input_embeddings(part)
    try:
        yield
    finally:
        encoder.set_input_embeddings(part.whole())


@contextmanager
def full_embeddings(encoder):
    """Within the context, inside that of `train_used_embeddings`, any token can be looked up: for validation."""
    part = encoder.get_input_embeddings()
    if not isinstance(part, UsedEmbedding):
        yield
        return
    encoder.set_input_embeddings(part.whole())
    try:
        yield
    finally:
        encoder.set_input_embeddings(part)
