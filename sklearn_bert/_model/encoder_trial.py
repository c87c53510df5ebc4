"""What padding and a lower precision do in an encoder, found out by trying it on two short texts.

Attention can ignore padding, convolutions and hashes of neighbouring tokens cannot, and some encoders were written
before autocast. The trial looks at neither names nor code. It takes two forward passes, so the families that tests
try are left out.
"""

import torch

from .pooled_encoder import PooledEncoder

# In each of these padding changes nothing, and bfloat16 computes: tests check it.
TRIED_FAMILIES = frozenset(
    "albert bert camembert deberta-v2 distilbert electra eurobert modernbert mpnet nomic_bert rembert roberta "
    "xlm-roberta".split()
)
_UNSTABLE_IN_BFLOAT16 = frozenset({"yoso"})  # the arc cosine of a cosine that was rounded to more than 1
_SHORT, _LONG = 5, 17  # tokens; no multiple of a usual size of blocks
_LEAK = 1e-5  # of the size of the features; a hundred times float32's rounding


def padding_leaks(module: PooledEncoder, pad_token_id: int) -> bool:
    """Whether the features of a text change with the padding behind it.

    Parameters
    ----------
    module : PooledEncoder
        In the precision of its weights, on any device.
    pad_token_id : int

    Returns
    -------
    leaks : bool

    Raises
    ------
    ValueError
        If the encoder cannot encode a short text, or gives other features each time.
    """
    module.eval()
    try:
        alone, again, padded = (try_encoder(module, pad_token_id, n) for n in (_SHORT, _SHORT, _LONG))
    except Exception as error:  # an encoder of images or tables may raise any exception
        raise ValueError(
            f"A {module.config.model_type!r} encoder cannot encode a text of {_SHORT} tokens ({type(error).__name__}, "
            f"{str(error).splitlines()[0] if str(error) else 'no reason given'}). Choose an encoder of plain texts, "
            "such as BERT."
        ) from error
    tolerance = _LEAK * alone.square().mean().sqrt()
    if (alone - again).abs().max() > tolerance:
        raise ValueError(
            f"A {module.config.model_type!r} encoder gives other features each time it encodes a text. Expected equal "
            "ones; choose an encoder without random numbers in prediction, such as BERT."
        )
    return bool((alone - padded).abs().max() > tolerance)


@torch.no_grad()
def try_encoder(module: PooledEncoder, pad_token_id: int, width: int = _LONG) -> torch.Tensor:
    """Features of a short text in a batch of this width, of a bi-encoder of the short text twice, (1, n_features)."""
    device = next(module.parameters()).device
    if module.config.model_type in _UNSTABLE_IN_BFLOAT16 and torch.is_autocast_enabled(device.type):
        raise RuntimeError("In this dtype some texts have features that are no numbers.")
    ids = torch.arange(pad_token_id + 1, pad_token_id + 1 + width, device=device) % module.config.vocab_size
    mask = (torch.arange(width, device=device) < _SHORT).long()
    rows = [torch.where(mask == 1, ids, pad_token_id), mask, torch.zeros_like(ids)]
    return module.features(*(row.repeat(2 if module.bi_encoder else 1, 1) for row in rows))
