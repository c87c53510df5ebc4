"""Count the tokens that the tokenizer does not know: for texts in another language, these may be all tokens."""

from dataclasses import dataclass

import numpy as np

from .._runtime.user_warnings import warn_user

_WARN_UNKNOWN = 0.01  # share of rows without a known token above which a fit warns


@dataclass(frozen=True)
class UnknownTokensReport:
    """How many tokens of a fit the tokenizer replaced by its unknown token, ``[UNK]`` in BERT.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    n_unknown_rows : int
        Number of rows with unknown tokens only; special tokens do not count.
    share : float
        Fraction of unknown tokens among all tokens that are not special.
    """

    n_rows: int
    n_unknown_rows: int
    share: float


def unknown_tokens_report(tokens, tokenizer, n_texts=1):
    """The report on `tokens`; `n_texts` consecutive rows of tokens, or the windows of a text, count as one row."""
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
    """Warn the user if more than one row in a hundred consists of unknown tokens only."""
    if report.n_unknown_rows > _WARN_UNKNOWN * report.n_rows:
        warn_user(
            f"{report.n_unknown_rows} of {report.n_rows} rows contain only tokens that the checkpoint's tokenizer "
            f"does not know, so the model cannot distinguish them; of all tokens, {report.share:.0%} are unknown. Pass "
            "a model for the language of the texts, such as 'FacebookAI/xlm-roberta-base' for a hundred languages.",
            about="unknown tokens",
        )
