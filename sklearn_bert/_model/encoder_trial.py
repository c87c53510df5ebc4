"""Test on short texts whether padding changes an encoder's features, and whether it can compute in low precision.

Attention can ignore padding; convolutions and hashes of neighbouring tokens cannot. Some encoders were written before
autocast existed. The trial does not look at names or code. It costs a few forward passes, so it is skipped for the
families that the tests of this package cover.
"""

import torch

from .pooled_encoder import PooledEncoder

# In these families padding changes nothing, and bfloat16 works; tests check both.
TRIED_FAMILIES = frozenset(
    "albert bert camembert deberta-v2 distilbert electra eurobert modernbert mpnet nomic_bert rembert roberta "
    "xlm-roberta".split()
)
_UNSTABLE_IN_BFLOAT16 = frozenset({"yoso"})  # it takes the arc cosine of a number that was rounded to more than 1
_SHORT, _LONG = 5, 17  # tokens; not multiples of a usual block size
_LEAK = 1e-5  # relative to the size of the features; a hundred times the rounding error of float32


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
        If the encoder cannot encode a short text, or gives different features each time.
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
            f"A {module.config.model_type!r} encoder gives different features each time it encodes a text. Expected "
            "equal ones; choose an encoder without random numbers in prediction, such as BERT."
        )
    return bool((alone - padded).abs().max() > tolerance)


@torch.no_grad()
def try_encoder(module: PooledEncoder, pad_token_id: int, width: int = _LONG) -> torch.Tensor:
    """Features (1, n_features) of a short text, padded to `width`; a bi-encoder gets it as both texts of a pair."""
    device = next(module.parameters()).device
    if module.config.model_type in _UNSTABLE_IN_BFLOAT16 and torch.is_autocast_enabled(device.type):
        raise RuntimeError("In this dtype the features of some texts are NaN.")
    ids = torch.arange(pad_token_id + 1, pad_token_id + 1 + width, device=device) % module.config.vocab_size
    mask = (torch.arange(width, device=device) < _SHORT).long()
    rows = [torch.where(mask == 1, ids, pad_token_id), mask, torch.zeros_like(ids)]
    return module.features(*(row.repeat(2 if module.bi_encoder else 1, 1) for row in rows))
