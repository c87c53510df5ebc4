"""Training only the embeddings of the tokens that the texts contain.

A vocabulary has tens of thousands of tokens, of several languages hundreds of thousands, and a few thousand texts
contain a tenth of them. Without this module, each step would fill, clip and apply a gradient of the size of the whole
table: a fifth of the time of a step on short texts, and most of the optimizer's memory. The gradients of the other
tokens are zero, so without them every update stays the same except for the weight decay: the embeddings of tokens
that no text contains keep their pretrained values. This file imports torch only.
"""

from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F


class UsedEmbedding(nn.Module):
    """The rows of an embedding table for some of the tokens, looked up by the original token ids.

    Parameters
    ----------
    full : torch.nn.Embedding
        The table of all tokens.
    used : torch.Tensor of shape (n_used,), int64
        Distinct token ids; looking up any other one raises an error.
    """

    def __init__(self, full, used):
        super().__init__()
        self.weight = nn.Parameter(full.weight.detach()[used])
        rows = torch.full((len(full.weight),), len(used), device=used.device)  # out of range: lookup raises
        rows[used] = torch.arange(len(used), device=used.device)
        self.register_buffer("rows", rows, persistent=False)
        self.table = (full, used)  # in a tuple, so that the full table is not a submodule
        self.padding_idx = None if full.padding_idx is None else int(rows[full.padding_idx])

    def forward(self, input_ids):
        """Embeddings of token ids: (B, T) to (B, T, hidden_size)."""
        return F.embedding(self.rows[input_ids], self.weight, self.padding_idx)

    def write_back(self):
        """Write the current rows into the full table, and return it."""
        full, used = self.table
        with torch.no_grad():
            full.weight[used] = self.weight
        return full


@contextmanager
def train_used_embeddings(encoder, token_ids, token_type_ids=()):
    """A context in which the encoder has the embeddings of these tokens only; at its end they are written back.

    The encoder is not changed if its embeddings are frozen or are not a plain `torch.nn.Embedding`.

    Parameters
    ----------
    encoder : transformers.PreTrainedModel
    token_ids : array of int
        All tokens that will be looked up.
    token_type_ids : array of int, optional
        All token types: an encoder without a table for them, such as XLM, looks them up among the tokens.
    """
    full = encoder.get_input_embeddings()
    if type(full) is not nn.Embedding or not full.weight.requires_grad or full.max_norm is not None:
        yield
        return
    padding = [] if full.padding_idx is None else [full.padding_idx]
    has_types = any("token_type" in name for name, _ in encoder.named_parameters())
    used = torch.unique(torch.as_tensor([*token_ids, *padding, *([] if has_types else token_type_ids)]))
    used = used.to(full.weight.device)
    subset = UsedEmbedding(full, used)
    encoder.set_input_embeddings(subset)
    try:
        yield
    finally:
        encoder.set_input_embeddings(subset.write_back())


@contextmanager
def full_embeddings(encoder):
    """A context, inside that of `train_used_embeddings`, in which any token can be looked up: for validation."""
    subset = encoder.get_input_embeddings()
    if not isinstance(subset, UsedEmbedding):
        yield
        return
    encoder.set_input_embeddings(subset.write_back())
    try:
        yield
    finally:
        encoder.set_input_embeddings(subset)
