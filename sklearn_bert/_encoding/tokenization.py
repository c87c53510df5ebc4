"""Convert texts to ragged token ids: whole texts are tokenized, then cut to the limit; nothing is padded."""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from .truncation import TruncationReport, kept_parts

_CHUNK = 8192  # texts per call of the tokenizer: its lists of int need much more memory than arrays
_NO_PLACE = (-1, -1, -1)


@dataclass(frozen=True)
class Tokens:
    """Ragged token ids of n rows in one array. A row is a text, a pair of texts, or a window of a text.

    Row i is ``input_ids[offsets[i]:offsets[i + 1]]``.

    Attributes
    ----------
    input_ids : ndarray of shape (n_tokens,), int32
    token_type_ids : ndarray of shape (n_tokens,), int8
        0 in the first text and 1 in the second text of a pair.
    offsets : ndarray of shape (n + 1,), int64
    uncut_lengths : ndarray of shape (n_texts,), int64, or None
        Tokens of each text or pair before truncation, special tokens included.
    n_windows : ndarray of shape (n_texts,), int64, or None
        Consecutive rows that are windows of one text. None: each text or pair is one row.
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    offsets: np.ndarray
    uncut_lengths: np.ndarray | None = None
    n_windows: np.ndarray | None = None

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
        # The position of each token: the start of its row plus the position in the row.
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Tokens(self.input_ids[places], self.token_type_ids[places], offsets)


def tokenize(tokenizer, columns, max_length, long_text="truncate", stride=0):
    """Token ids of texts or pairs, cut to `max_length`.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    columns : tuple of one or two lists of n str
    max_length : int
        Maximum number of tokens of a row, special tokens included.
    long_text : {"truncate", "head_tail", "window"}, default="truncate"
        Whether a longer text loses its end or its middle, or becomes several overlapping rows, each with special
        tokens. Of a pair, the longer text loses its end.
    stride : int, default=0
        Number of tokens that neighbouring windows share.

    Returns
    -------
    tokens : Tokens
        A row has at least one token: the padding token, if the tokenizer gives no token at all.
    """
    special, special_types, text_types = _special_tokens(tokenizer, len(columns))
    settings = {"add_special_tokens": False, "return_attention_mask": False, "return_token_type_ids": False}
    ids, types, uncut_lengths, n_windows = [], [], [], []
    for start in range(0, len(columns[0]), _CHUNK):
        chunks = (column[start : start + _CHUNK] for column in columns)
        for bodies in zip(*(tokenizer(chunk, **settings, verbose=False)["input_ids"] for chunk in chunks), strict=True):
            rows = _kept(bodies, special, max_length, long_text, stride)
            body_types = [[t] * len(body) for t, body in zip(text_types, bodies, strict=True)]
            ids += [np.array(_join(special, bodies, row) or [tokenizer.pad_token_id], dtype=np.int32) for row in rows]
            types += [np.array(_join(special_types, body_types, row) or [0], dtype=np.int8) for row in rows]
            uncut_lengths.append(sum(map(len, [*special, *bodies])))
            n_windows.append(len(rows))
    return Tokens(
        np.concatenate(ids),
        np.concatenate(types),
        np.cumsum([0, *map(len, ids)], dtype=np.int64),
        np.array(uncut_lengths),
        np.array(n_windows) if long_text == "window" else None,
    )


def token_places(tokenizer, columns, max_length, long_text="truncate", stride=0):
    """The positions in their texts of the tokens that `tokenize` gives for the same arguments.

    Returns
    -------
    places : list of n ndarrays of shape (n_tokens, 3), int64
        For each token: its text (0, or 1 in the second text of a pair), and the characters of this text where
        it begins and ends. For special tokens all three are -1.

    Raises
    ------
    ValueError
        If the tokenizer is not a fast one: only these report positions.
    """
    check_fast(tokenizer, "cannot tell which characters a token stands for")
    special = [[_NO_PLACE] * len(ids) for ids in _special_tokens(tokenizer, len(columns))[0]]
    texts = []
    for k, column in enumerate(columns):
        encoded = tokenizer(column, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        texts.append([[(k, *span) for span in spans] for spans in encoded["offset_mapping"]])
    places = []
    for bodies in zip(*texts, strict=True):
        rows = _kept(bodies, special, max_length, long_text, stride)
        places += [np.array(_join(special, bodies, row) or [_NO_PLACE], dtype=np.int64) for row in rows]
    return places


def check_fast(tokenizer, cannot):
    """Raise a ValueError if the tokenizer is written in Python; `cannot` says what it cannot do."""
    if not tokenizer.is_fast:
        raise ValueError(
            f"The tokenizer {type(tokenizer).__name__} {cannot}. Expected a fast tokenizer, one with a tokenizer.json. "
            "Choose a checkpoint that has one."
        )


def truncation_report(tokens, max_length, n_texts=1):
    """The report on what was cut from `tokens`; `n_texts` consecutive rows of tokens count as one row."""
    uncut = tokens.uncut_lengths
    if tokens.n_windows is None:
        n_cut = (uncut - tokens.lengths).clip(min=0).reshape(-1, n_texts)  # an empty row got a padding token
    else:
        n_cut = np.zeros((len(uncut), 1), dtype=np.int64)
    return TruncationReport(
        n_rows=len(n_cut),
        n_truncated=int((n_cut > 0).any(axis=1).sum()),
        n_tokens_cut=int(n_cut.sum()),
        longest=int(max(uncut.max(), 1)),
        max_length=max_length,
    )


def _special_tokens(tokenizer, n_columns):
    """The special tokens that the tokenizer puts before, between and after texts, found with a short text.

    Returns
    -------
    ids, types : tuple of two or three lists of int
        Of the special tokens before the first text, after it, and after the second text of a pair.
    text_types : list of one or two int
        The token type of the texts' own tokens.
    """

    def bare_ids_of(text):
        return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    text, bare = "a", bare_ids_of("a")
    if not bare:
        text = next(filter(bare_ids_of, tokenizer.get_vocab()), "a")
        bare = bare_ids_of(text)
    encoded = tokenizer(*[text] * n_columns, return_token_type_ids=True, verbose=False)
    ids, types = encoded["input_ids"], encoded["token_type_ids"]
    parts, text_types, done = [], [], 0
    for _ in range(n_columns):
        start = next(i for i in range(done, len(ids) + 1) if ids[i : i + len(bare)] == bare)
        parts.append(slice(done, start))
        text_types += types[start : start + 1] or [0]
        done = start + len(bare)
    parts.append(slice(done, None))
    return tuple(ids[part] for part in parts), tuple(types[part] for part in parts), text_types


def _kept(bodies, special, max_length, long_text, stride):
    return kept_parts(tuple(map(len, bodies)), max_length, list(map(len, special)), long_text, stride)


def _join(special, bodies, kept):
    """Join a row: special tokens, the kept parts of a text, special tokens, and the same for a second text."""
    row = [*special[0]]
    for body, parts, after in zip(bodies, kept, special[1:], strict=True):
        row += [*chain.from_iterable(body[part] for part in parts), *after]
    return row
