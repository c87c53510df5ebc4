"""Integrated gradients of a score on the embeddings of one row, computed by Captum.

The baseline is the same text without its words: each token that is not special is replaced by padding. If the score
jumps near the embedding of padding, as it does if a vector of zeros is normalised, the mask token is used. Captum
integrates the gradient of the score along the straight line from the baseline to the text. The attributions of
all words sum to the difference of the two scores. They are computed in the precision of the weights (float32 or
float64), without autocast.
"""

import torch
from torch import nn

from .._runtime.optional_dependencies import import_extra

_TOKENS_AT_A_TIME = 4096  # padded tokens in one forward and backward pass: memory must not grow with n_steps


class _Scorer(nn.Module):
    """Computes the explained scores (B,), without their offset, from token ids (B, n_texts, T)."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        # Captum adds hooks to a layer. This wrapper is not part of `module`, so predictions in other threads
        # do not run them.
        self.embeddings = nn.Sequential(module.bert.get_input_embeddings())

    def forward(self, input_ids, *others):
        return self.score({"inputs_embeds": self.embeddings(input_ids)}, *others)

    def score(self, inputs, attention_mask, token_type_ids, weights):
        inputs |= {"attention_mask": attention_mask, "token_type_ids": token_type_ids}
        logits = self.module(**{name: x.flatten(0, 1) for name, x in inputs.items()}, return_dict=False)[0]
        return (logits * weights).sum(dim=1)


def integrated_gradients(module, tokenizer, n_steps):
    """Build the function that explains one row.

    Parameters
    ----------
    module : BertModule
        It is set to evaluation mode.
    tokenizer : transformers tokenizer
    n_steps : int
        Number of steps of the integration.

    Returns
    -------
    integrate : callable
        ``integrate(inputs, is_word, weights)`` takes the tensors of one row from `pad_collate`, a
        mask of the words' tokens (n_texts, T) and the weights of the score (num_labels,). It returns the
        attributions of the tokens, (n_texts, T) float64, and a list of the score and the baseline score.
        It raises a ValueError if the encoder cannot be explained.

    Raises
    ------
    ImportError
        If Captum is not installed.
    """
    captum_attr = import_extra("captum.attr", "explain", "explain")
    module.eval()
    scorer = _Scorer(module)
    method = captum_attr.LayerIntegratedGradients(scorer, scorer.embeddings)
    device, dtype = module.classifier.weight.device, module.classifier.weight.dtype

    def integrate(inputs, is_word, weights):
        # (1, n_texts, T): for Captum a pair is one row, for a bi-encoder as for a cross-encoder.
        ids, mask, types = (
            inputs[name].unsqueeze(0).to(device) for name in ("input_ids", "attention_mask", "token_type_ids")
        )
        is_word = torch.from_numpy(is_word).to(device)
        baseline = torch.where(is_word, tokenizer.pad_token_id, ids)
        fixed = mask, types, torch.as_tensor(weights, dtype=dtype, device=device).unsqueeze(0)
        score, baseline_score = _checked_score(scorer, ids, fixed), _score(scorer, baseline, fixed)
        if tokenizer.mask_token_id is not None and _jumps(scorer, baseline, ids, fixed, baseline_score, score):
            baseline = torch.where(is_word, tokenizer.mask_token_id, ids)
            baseline_score = _score(scorer, baseline, fixed)
        with torch.inference_mode(False):  # Captum turns gradients on, but does not leave inference mode
            by_dimension = method.attribute(
                ids,
                baseline,
                additional_forward_args=fixed,
                n_steps=n_steps,
                internal_batch_size=max(1, _TOKENS_AT_A_TIME // ids.numel()),
            )  # (1, n_texts, T, H)
        return by_dimension[0].cpu().sum(dim=-1, dtype=torch.float64).numpy(), [score, baseline_score]

    return integrate


@torch.no_grad()
def _score(scorer, ids, fixed):
    return scorer(ids, *fixed).item()


@torch.no_grad()
def _checked_score(scorer, ids, fixed):
    """The score; a ValueError if the encoder computes another score from embeddings than from token ids."""
    expected = scorer.score({"input_ids": ids}, *fixed).item()
    try:
        found = scorer(ids, *fixed).item()
    except Exception as error:  # an encoder's code may raise any exception
        reason = f"{type(error).__name__}, {str(error).splitlines()[0] if str(error) else 'no reason given'}"
    else:
        if abs(found - expected) <= 1e-3 * max(1, abs(expected)):
            return found
        reason = f"the score is {found:.3g} instead of {expected:.3g}"
    raise ValueError(
        f"A {scorer.module.config.model_type!r} encoder cannot be explained: it does not compute from embeddings what "
        f"it computes from token ids ({reason}). Choose another encoder, such as BERT."
    )


@torch.no_grad()
def _jumps(scorer, baseline, ids, fixed, first, last):
    """Whether the score changes much in the first tiny part of the line from the baseline to the text.

    `first` and `last` are the scores of the baseline and of the text.
    """
    start, end = scorer.embeddings(baseline), scorer.embeddings(ids)
    near = scorer.score({"inputs_embeds": start + 1e-4 * (end - start)}, *fixed).item()
    return abs(near - first) > 0.1 * abs(last - first) + 1e-4
