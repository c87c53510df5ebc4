"""Which tokens of a text stay when it is longer than the limit: arithmetic on numbers of tokens.

NumPy only. A row of tokens is made of spans: special tokens, parts of texts, special tokens. `span_texts`,
`span_pairs` and `span_windows` give for each row where its spans begin and how long they are.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TruncationReport:
    """What truncation to `max_length` tokens took from the rows of a fit.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    n_truncated : int
        Number of rows that were longer than `max_length`.
    n_tokens_cut : int
        Number of tokens that were cut off, over all rows.
    longest : int
        Tokens in the longest row before truncation, special tokens included; of pairs that are encoded by a
        bi-encoder, in the longest text.
    max_length : int
        The limit, in tokens.
    """

    n_rows: int
    n_truncated: int
    n_tokens_cut: int
    longest: int
    max_length: int


def resolve_max_length(max_length, tokenizer, n_positions, n_columns):
    """The limit in tokens: the one asked for, or the model's own (None: only the tokenizer's).

    Raises
    ------
    ValueError
        If the limit is more than the model's, or leaves no room for a token of text.
    """
    own = min(tokenizer.model_max_length, n_positions or tokenizer.model_max_length)
    if max_length is None:
        return own
    if max_length > own:
        raise ValueError(
            f"max_length={max_length} is more than the model's {own} positions. Expected at most {own}. "
            "Lower max_length, or pass None for the model's own limit."
        )
    n_special = tokenizer.num_special_tokens_to_add(pair=n_columns == 2)
    if max_length < n_special + n_columns:
        raise ValueError(
            f"max_length={max_length} leaves no room for text beside {n_special} special tokens. "
            f"Expected at least {n_special + n_columns}; raise max_length."
        )
    return max_length


def span_texts(lengths, max_length, n_before, n_after, *, keep_end):
    """Spans of single texts; a longer one loses its end, or its middle if `keep_end`.

    With `keep_end` a row keeps a quarter of `max_length` tokens from its beginning and the rest from its end,
    special tokens included.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
        Tokens of each text, without special tokens.
    max_length : int
    n_before, n_after : int
        Special tokens before and after a text.
    keep_end : bool

    Returns
    -------
    starts, sizes : ndarray of shape (n, 2)
        Where in its text each of the two kept parts begins, and its number of tokens.
    """
    room = max_length - n_before - n_after
    n_first = min(max(0, -(-max_length // 4) - n_before), room) if keep_end else room
    first = np.where(lengths > room, n_first, lengths)
    last = np.minimum(lengths, room) - first
    return np.stack([np.zeros_like(lengths), lengths - last], axis=1), np.stack([first, last], axis=1)


def span_pairs(first, second, max_length, n_special):
    """Spans of pairs in one row; the longer text loses its end first, then both alike.

    The rule is "longest_first" of Hugging Face's fast tokenizers.

    Parameters
    ----------
    first, second : ndarray of shape (n,)
        Tokens of the texts, without special tokens.
    max_length, n_special : int

    Returns
    -------
    sizes : ndarray of shape (n, 2)
        How many tokens of each text are kept.
    """
    room = max_length - n_special
    lengths = np.stack([first, second], axis=1)
    shorter, longer = lengths.min(axis=1), lengths.max(axis=1)
    longer = np.where(shorter > room, shorter, np.maximum(shorter, room - shorter))
    both = shorter + longer > room
    shorter, longer = np.where(both, room // 2, shorter), np.where(both, room - room // 2, longer)
    swapped = (first > second)[:, None]
    kept = np.where(swapped, np.stack([longer, shorter], axis=1), np.stack([shorter, longer], axis=1))
    return np.where((first + second > room)[:, None], kept, lengths)


def span_windows(lengths, max_length, n_special, stride):
    """Spans of texts in overlapping windows; the last window of a text reaches back as far as it can.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
        Tokens of each text, without special tokens.
    max_length, n_special : int
    stride : int
        Tokens that neighbouring windows share; the last one may share more.

    Returns
    -------
    starts, sizes : ndarray of shape (n_all_windows,)
        Where in its text each window begins, and its number of tokens without special tokens.
    n_windows : ndarray of shape (n,)
        Number of windows of each text.
    """
    room = max_length - n_special
    last = np.maximum(0, lengths - room)
    n_windows = -(-last // (room - stride)) + 1
    number = np.arange(n_windows.sum()) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    starts = np.minimum(number * (room - stride), np.repeat(last, n_windows))
    return starts, np.repeat(np.minimum(lengths, room), n_windows), n_windows
