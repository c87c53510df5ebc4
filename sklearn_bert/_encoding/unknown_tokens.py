"""How much of the texts the tokenizer does not know: a model for another language reads nothing in them."""

from dataclasses import dataclass

import numpy as np

from .._runtime.user_warnings import warn_user

_WARN_UNKNOWN = 0.01  # share of rows without a known token above which a fit warns


@dataclass(frozen=True)
class UnknownTokensReport:
    """Tokens of the rows of a fit for which the tokenizer has only its unknown token, ``[UNK]`` in a BERT.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    n_unknown_rows : int
        Number of rows that hold unknown tokens and no other, special tokens not counted.
    share : float
        Fraction of all tokens, special tokens not counted, that are unknown.
    """

    n_rows: int
    n_unknown_rows: int
    share: float


def unknown_tokens_report(tokens, tokenizer, n_texts=1):
    """The report on `tokens`; `n_texts` neighbours among them, or the windows of a text, are one row of it."""
    unknown = tokens.input_ids == (-1 if tokenizer.unk_token_id is None else tokenizer.unk_token_id)
    special = np.isin(tokens.input_ids, list(tokenizer.all_special_ids)) & ~unknown
    if tokens.n_windows is None:
        starts = np.arange(0, len(tokens), n_texts)
    else:
        starts = np.cumsum(tokens.n_windows) - tokens.n_windows
    counts = np.stack([unknown, ~special]).astype(np.int64)
    n_unknown, n_own = np.add.reduceat(counts, tokens.offsets[starts], axis=1)
    return UnknownTokensReport(
        n_rows=len(starts),
        n_unknown_rows=int(((n_unknown == n_own) & (n_own > 0)).sum()),
        share=float(n_unknown.sum() / max(1, n_own.sum())),
    )


def warn_if_unknown(report):
    """Warn the user if more than one row in a hundred holds nothing that the tokenizer knows."""
    if report.n_unknown_rows > _WARN_UNKNOWN * report.n_rows:
        warn_user(
            f"{report.n_unknown_rows} of {report.n_rows} rows hold nothing but tokens that the checkpoint's tokenizer "
            f"does not know, and are all alike to the model; of all tokens, {report.share:.0%} are unknown. Pass a "
            "model of the language of the texts, such as 'FacebookAI/xlm-roberta-base' for a hundred languages.",
            about="unknown tokens",
        )
