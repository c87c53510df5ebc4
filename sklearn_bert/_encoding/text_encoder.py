"""How one estimator reads texts: with which tokenizer, up to which length, and pairs jointly or one by one.

Decided in `fit`, and the same in every prediction.
"""

import sys
import warnings
from dataclasses import dataclass

import numpy as np

from .batching import EncodedDataset
from .tokenization import (
    TruncationReport,
    token_places,
    tokenize,
    tokenize_in_windows,
    truncation_report,
    windows_of,
)

_WARN_TRUNCATED = 0.01  # share of cut rows above which a fit warns


@dataclass(frozen=True)
class TextEncoder:
    """Texts to datasets.

    Attributes
    ----------
    tokenizer : transformers tokenizer
    max_length : int
        Most tokens of a row, or of a window, special tokens included.
    long_text : {"head_tail", "truncate", "window"}
        What becomes of longer texts.
    stride : int or None
        Tokens that neighbouring windows share. None: a quarter of `max_length`.
    bi_encoder : bool
        Whether the texts of pairs are read one by one.
    """

    tokenizer: object
    max_length: int
    long_text: str
    stride: int | None
    bi_encoder: bool

    def check(self, n_columns):
        """Refuse what does not go together.

        Raises
        ------
        ValueError
            If windows are asked for pairs of texts, or would never move on.
        """
        if self.long_text != "window":
            return
        if n_columns == 2:
            raise ValueError(
                "long_text='window' reads single texts in windows, but X holds sentence pairs. Pass "
                "long_text='head_tail' or 'truncate' for pairs."
            )
        room = self.max_length - self.tokenizer.num_special_tokens_to_add()
        if self._overlap >= room:
            raise ValueError(
                f"stride={self.stride} tokens shared by neighbouring windows leave no way forward: a window has room "
                f"for {room} tokens of text. Lower stride, or raise max_length."
            )

    @property
    def _overlap(self):
        return self.max_length // 4 if self.stride is None else self.stride

    def encode(self, columns, y=None, weight=None):
        """One or two lists of n str, and for training encoded targets and weights, to an `EncodedDataset`."""
        if self.long_text == "window":
            tokens, n_windows = tokenize_in_windows(self.tokenizer, columns[0], self.max_length, self._overlap)
            return EncodedDataset(tokens, y, weight, n_windows=n_windows)
        columns, n_texts = self._as_read(columns)
        tokens = tokenize(self.tokenizer, columns, self.max_length, self.long_text)
        return EncodedDataset(tokens, y, weight, n_texts)

    def report(self, columns, dataset):
        """What of the texts is not in the dataset that `read` made of them."""
        if self.long_text == "window":
            n_windows = dataset.n_windows
            candidates = [columns[0][i] for i in np.flatnonzero(n_windows == n_windows.max())]
            whole = tokenize(self.tokenizer, (candidates,), sys.maxsize, "head_tail")
            return TruncationReport(len(n_windows), 0, 0, int(whole.lengths.max()), self.max_length)
        columns, n_texts = self._as_read(columns)
        return truncation_report(self.tokenizer, columns, dataset.tokens, self.max_length, n_texts)

    def places(self, columns):
        """Where in their texts the tokens stand of each row that `read` makes: see `token_places`."""
        if self.long_text == "window":
            whole = token_places(self.tokenizer, columns, sys.maxsize, "head_tail")
            windows = windows_of(self.tokenizer, map(len, whole), self.max_length, self._overlap)
            return [places[window] for places, of_text in zip(whole, windows, strict=True) for window in of_text]
        return token_places(self.tokenizer, self._as_read(columns)[0], self.max_length, self.long_text)

    def _as_read(self, columns):
        """The texts of pairs that are read one by one as one column, all first ones, then all second ones."""
        return ((columns[0] + columns[1],), 2) if self.bi_encoder else (columns, 1)


def warn_if_truncated(report, stacklevel):
    """Warn whoever called `fit` if more than one row in a hundred was cut."""
    if report.n_truncated > _WARN_TRUNCATED * report.n_rows:
        warnings.warn(
            f"{report.n_truncated} of {report.n_rows} rows are longer than max_length={report.max_length} tokens and "
            f"were cut; the longest text has {report.longest}. Raise max_length if the model can take more (None is "
            "its own limit), or read all of single texts with long_text='window'. truncation_ has the figures.",
            UserWarning,
            stacklevel=stacklevel,
        )
