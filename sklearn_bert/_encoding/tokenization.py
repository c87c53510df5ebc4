"""Texts become ragged token ids: truncated, not padded; and a report of what was cut.

A leaf: it is handed a tokenizer and lists of str, and gives arrays.
"""

import sys
from dataclasses import dataclass

import numpy as np

_CHUNK = 8192  # rows per tokenizer call: Python's lists of ints are large, the arrays made of them are not


@dataclass(frozen=True)
class Tokens:
    """Ragged token ids of n texts or pairs, stored end to end.

    Row i is ``input_ids[offsets[i]:offsets[i + 1]]``.

    Attributes
    ----------
    input_ids : ndarray of shape (n_tokens,), int32
    token_type_ids : ndarray of shape (n_tokens,), int8
        0 in the first text and 1 in the second text of a pair.
    offsets : ndarray of shape (n + 1,), int64
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    offsets: np.ndarray

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, i):
        """Ids and types of row i."""
        row = slice(self.offsets[i], self.offsets[i + 1])
        return self.input_ids[row], self.token_type_ids[row]

    @property
    def lengths(self):
        """Number of tokens of each row, special tokens included, shape (n,)."""
        return np.diff(self.offsets)

    def take(self, rows):
        """The tokens of these rows, in this order."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        # Position of each token taken: where its row begins, plus its place in the row.
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Tokens(self.input_ids[places], self.token_type_ids[places], offsets)


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
        Tokens in the longest row, or text read by itself, before truncation, special tokens included.
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


def tokenize(tokenizer, columns, max_length, long_text="truncate"):
    """Token ids of texts or pairs, cut to `max_length`.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    columns : tuple of one or two lists of n str
    max_length : int
        Most tokens of a row, special tokens included.
    long_text : {"truncate", "head_tail"}, default="truncate"
        Whether a longer text loses its end or its middle. Pairs always lose the end of the longer text.

    Returns
    -------
    tokens : Tokens
        A row has one token at least: of a text in which the tokenizer sees nothing, neither words nor
        special tokens, it is the padding token.
    """
    ids, types = [], []
    nothing = [tokenizer.pad_token_id]
    for start in range(0, len(columns[0]), _CHUNK):
        chunk = tuple(column[start : start + _CHUNK] for column in columns)
        encoded = _encode(tokenizer, chunk, max_length, long_text, return_token_type_ids=True)
        ids += [np.array(_without_middle(row, max_length) or nothing, dtype=np.int32) for row in encoded["input_ids"]]
        types += [np.array(_without_middle(row, max_length) or [0], dtype=np.int8) for row in encoded["token_type_ids"]]
    offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
    return Tokens(np.concatenate(ids), np.concatenate(types), offsets)


def tokenize_in_windows(tokenizer, texts, max_length, stride):
    """Token ids of texts, a longer one in several overlapping windows of `max_length`, each with its special tokens.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    texts : list of n str
    max_length : int
        Most tokens of a window, special tokens included.
    stride : int
        Tokens that neighbouring windows share; the last window reaches back as far as it can, and may share more.

    Returns
    -------
    tokens : Tokens
        The windows of each text one after the other.
    n_windows : ndarray of shape (n,), int64
    """
    whole = tokenize(tokenizer, (texts,), sys.maxsize, "head_tail")
    windows = windows_of(tokenizer, whole.lengths, max_length, stride)
    places = [start + window for start, of_text in zip(whole.offsets[:-1], windows, strict=True) for window in of_text]
    offsets = np.cumsum([0, *map(len, places)], dtype=np.int64)
    places = np.concatenate(places)
    n_windows = np.array([len(of_text) for of_text in windows])
    return Tokens(whole.input_ids[places], whole.token_type_ids[places], offsets), n_windows


def windows_of(tokenizer, lengths, max_length, stride):
    """For texts of so many tokens, the places in the text of each window's tokens: lists of lists of ndarray."""
    n_head, n_tail = _special_ends(tokenizer)
    size = max_length - n_head - n_tail
    windows = []
    for length in lengths:
        head, body, tail = np.split(np.arange(length), [n_head, length - n_tail])
        last = max(0, len(body) - size)
        starts = [*range(0, last, size - stride), last]
        windows.append([np.concatenate([head, body[i : i + size], tail]) for i in starts])
    return windows


def _special_ends(tokenizer):
    """How many special tokens stand before and after a text."""

    def bare_ids_of(text):
        return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    text = "a" if bare_ids_of("a") else next(filter(bare_ids_of, tokenizer.get_vocab()), "a")
    ids, bare = tokenizer(text, verbose=False)["input_ids"], bare_ids_of(text)
    n_head = next(i for i in range(len(ids) + 1) if ids[i : i + len(bare)] == bare)
    return n_head, len(ids) - n_head - len(bare)


def check_fast(tokenizer, cannot):
    """Refuse a tokenizer that is written in Python, where it cannot do what is asked for."""
    if not tokenizer.is_fast:
        raise ValueError(
            f"The tokenizer {type(tokenizer).__name__} {cannot}. Expected a fast tokenizer, one with a tokenizer.json. "
            "Choose a checkpoint that has one."
        )


def token_places(tokenizer, columns, max_length, long_text):
    """Where in their texts the tokens stand that `tokenize` gives for the same arguments.

    Returns
    -------
    places : list of n ndarrays of shape (n_tokens, 4), int64
        Of each token its text (0, or 1 in the second text of a pair), its word in that text, and the
        characters of that text where it begins and ends. Special tokens have no place: -1 throughout.

    Raises
    ------
    ValueError
        If the tokenizer does not keep track of places.
    """
    check_fast(tokenizer, "cannot tell which characters a token stands for")
    encoded = _encode(tokenizer, columns, max_length, long_text, return_offsets_mapping=True)
    places = []
    for i, spans in enumerate(encoded["offset_mapping"]):
        tokens = zip(encoded.sequence_ids(i), encoded.word_ids(i), spans, strict=True)
        row = [(-1,) * 4 if text is None else (text, word, *span) for text, word, span in tokens] or [(-1,) * 4]
        places.append(np.array(_without_middle(row, max_length), dtype=np.int64))
    return places


def _encode(tokenizer, columns, max_length, long_text, **returned):
    """The tokenizer's own encoding, whole where a text is to lose its middle."""
    truncate = long_text == "truncate" or len(columns) == 2
    return tokenizer(
        *columns,
        truncation=truncate,
        max_length=max_length if truncate else None,
        return_attention_mask=False,
        verbose=False,
        **returned,
    )


def _without_middle(row, max_length):
    """A quarter of `max_length` tokens from the beginning, the rest from the end, special tokens included."""
    n_cut = len(row) - max_length
    if n_cut <= 0:
        return row
    n_head = -(-max_length // 4)
    return row[:n_head] + row[n_head + n_cut :]


def truncation_report(tokenizer, columns, tokens, max_length, n_texts=1):
    """How much of the texts `tokens` lacks; only those that fill the limit are read again.

    With `n_texts` of 2 a row of the report is two rows of `tokens`: the first texts come first.
    """
    full = np.flatnonzero(tokens.lengths == max_length)
    lengths = tokens.lengths.copy()
    if len(full):
        candidates = ([column[i] for i in full] for column in columns)
        whole = tokenizer(*candidates, truncation=False, return_attention_mask=False, verbose=False)
        lengths[full] = np.maximum(lengths[full], [len(row) for row in whole["input_ids"]])
    return TruncationReport(
        n_rows=len(tokens) // n_texts,
        n_truncated=int((lengths > max_length).reshape(n_texts, -1).any(axis=0).sum()),
        n_tokens_cut=int((lengths - tokens.lengths).sum()),
        longest=int(lengths.max()),
        max_length=max_length,
    )
