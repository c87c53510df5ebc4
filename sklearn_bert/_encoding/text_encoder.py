"""How one estimator encodes texts: with which tokenizer, up to which length, pairs by a bi-encoder or a cross-encoder.

Decided in `fit`, and the same in every prediction.
"""

from dataclasses import dataclass

from .._data.fingerprint import fingerprint
from .._runtime.array_cache import SHARED_ARRAYS
from .._runtime.user_warnings import warn_user
from .batching import EncodedDataset
from .tokenization import Tokens, token_places, tokenize, truncation_report
from .unknown_tokens import unknown_tokens_report

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
        Whether the texts of pairs are encoded separately.
    """

    tokenizer: object
    max_length: int
    long_text: str
    stride: int | None
    bi_encoder: bool

    def check(self, n_columns):
        """Refuse combinations that cannot work.

        Raises
        ------
        ValueError
            If windows are asked for pairs of texts, or would never move on, or share tokens but are not asked for.
        """
        if self.long_text != "window":
            if self.stride is not None:
                raise ValueError(
                    f"stride={self.stride} is the overlap of windows, but long_text={self.long_text!r} makes none. "
                    "Pass long_text='window', or stride=None."
                )
            return
        if n_columns == 2:
            raise ValueError(
                "long_text='window' reads single texts in windows, but X holds sentence pairs. Pass "
                "long_text='head_tail' or 'truncate' for pairs."
            )
        capacity = self.max_length - self.tokenizer.num_special_tokens_to_add()
        if self._overlap >= capacity:
            raise ValueError(
                f"stride={self.stride} tokens shared by neighbouring windows leave no way forward: a window holds "
                f"{capacity} tokens of text. Lower stride, or raise max_length."
            )

    @property
    def _overlap(self):
        return self.max_length // 4 if self.stride is None else self.stride

    @property
    def _n_texts(self):
        """Neighbouring rows of tokens that are one row of X."""
        return 2 if self.bi_encoder else 1

    def encode(self, columns, y=None, weight=None, origin=None):
        """One or two lists of n str, and for training encoded targets and weights, to an `EncodedDataset`.

        With the signature of the files that hold the tokenizer as `origin`, tokens are shared in the process. It must
        be None once a user has the tokenizer, and may have changed it.
        """
        settings = self._as_encoded(columns), self.max_length, self.long_text, self._overlap
        tokens = tokenize(self.tokenizer, *settings) if origin is None else self._shared_tokens(origin, *settings)
        return EncodedDataset(tokens, y, weight, self._n_texts)

    def _shared_tokens(self, origin, columns, *settings):
        def compute():
            return vars(tokenize(self.tokenizer, columns, *settings)).values()

        key = ("tokens", fingerprint([str((origin, settings, len(columns)))], *columns))
        return Tokens(*SHARED_ARRAYS.get_or_compute(key, compute))

    def report(self, dataset):
        """The `TruncationReport` of a dataset that `encode` made."""
        return truncation_report(dataset.tokens, self.max_length, self._n_texts)

    def unknown_tokens(self, dataset):
        """The `UnknownTokensReport` of a dataset that `encode` made."""
        return unknown_tokens_report(dataset.tokens, self.tokenizer, self._n_texts)

    def places(self, columns):
        """Where in their texts the tokens stand of each row of tokens that `encode` makes: see `token_places`."""
        columns = self._as_encoded(columns)
        return token_places(self.tokenizer, columns, self.max_length, self.long_text, self._overlap)

    def _as_encoded(self, columns):
        """For a bi-encoder the texts of each pair as neighbours in one column."""
        return ([text for pair in zip(*columns, strict=True) for text in pair],) if self.bi_encoder else columns


def warn_if_truncated(report):
    """Warn whoever called `fit` if more than one row in a hundred was cut."""
    if report.n_truncated > _WARN_TRUNCATED * report.n_rows:
        warn_user(
            f"{report.n_truncated} of {report.n_rows} rows are longer than max_length={report.max_length} tokens and "
            f"were cut; the longest text has {report.longest}. Raise max_length if the model can take more (None is "
            "its own limit), or read all of single texts with long_text='window'. truncation_ has the figures.",
            about=("truncation", report.max_length),
        )
