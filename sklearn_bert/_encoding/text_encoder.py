"""How an estimator encodes texts: tokenizer, maximum length, and bi-encoder or cross-encoder for pairs.

`fit` decides it, and all predictions use the same.
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
    """Encodes texts as datasets of token ids.

    Attributes
    ----------
    tokenizer : transformers tokenizer
    max_length : int
        Maximum number of tokens of a row, or of a window, special tokens included.
    long_text : {"head_tail", "truncate", "window"}
        What happens to longer texts.
    stride : int or None
        Number of tokens that neighbouring windows share. None: a quarter of `max_length`.
    bi_encoder : bool
        Whether the texts of pairs are encoded separately.
    """

    tokenizer: object
    max_length: int
    long_text: str
    stride: int | None
    bi_encoder: bool

    def check(self, n_columns):
        """Raise an error for settings that contradict each other.

        Parameters
        ----------
        n_columns : int
            1 for single texts, 2 for pairs.

        Raises
        ------
        ValueError
            If windows are requested for pairs, if `stride` is as large as a window, or is given without windows.
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
                "long_text='window' is for single texts, but X holds sentence pairs. Pass "
                "long_text='head_tail' or 'truncate' for pairs."
            )
        capacity = self.max_length - self.tokenizer.num_special_tokens_to_add()
        if self._overlap >= capacity:
            raise ValueError(
                f"stride={self.stride} is too large: a window holds {capacity} tokens of text, and must share fewer "
                "with the next one. Lower stride, or raise max_length."
            )

    @property
    def _overlap(self):
        return self.max_length // 4 if self.stride is None else self.stride

    @property
    def _n_texts(self):
        """The number of consecutive rows of tokens that belong to one row of X."""
        return 2 if self.bi_encoder else 1

    def encode(self, columns, y=None, weight=None, origin=None):
        """Encode texts as an `EncodedDataset`.

        Parameters
        ----------
        columns : tuple of one or two lists of n str
        y : ndarray of shape (n,) or (n, num_labels), optional
            Encoded targets, for training.
        weight : ndarray of shape (n,), optional
            Weights of the rows, for training.
        origin : object, optional
            The signature of the tokenizer's files: then the tokens are cached for the other fits of this process. Must
            be None if the user has access to the tokenizer, and may have changed it.

        Returns
        -------
        dataset : EncodedDataset
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
        """The positions in their texts of the tokens that `encode` gives for the same columns, see `token_places`."""
        columns = self._as_encoded(columns)
        return token_places(self.tokenizer, columns, self.max_length, self.long_text, self._overlap)

    def _as_encoded(self, columns):
        """The columns; for a bi-encoder one column, in which the two texts of a pair follow each other."""
        return ([text for pair in zip(*columns, strict=True) for text in pair],) if self.bi_encoder else columns


def warn_if_truncated(report):
    """Warn the user if more than one row in a hundred was cut."""
    if report.n_truncated > _WARN_TRUNCATED * report.n_rows:
        warn_user(
            f"{report.n_truncated} of {report.n_rows} rows are longer than max_length={report.max_length} tokens and "
            f"were cut; the longest text has {report.longest}. Raise max_length if the model can take more (None is "
            "its own limit), or use all of single texts with long_text='window'. See truncation_ for the numbers.",
            about=("truncation", report.max_length),
        )
