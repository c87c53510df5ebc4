"""Texts become ragged token ids: tokenized once and uncut, then cut by arithmetic on their lengths, not padded."""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from .truncation import TruncationReport, span_pairs, span_texts, span_windows

_CHUNK = 8192  # texts per call of the tokenizer: Python's lists of ints are large, the arrays made of them are not
_NO_PLACE = (-1, -1, -1, -1)


@dataclass(frozen=True)
class Tokens:
    """Ragged token ids of n rows, stored end to end. A row is a text, a pair of texts, or a window of a text.

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
        places, offsets = _places(self.offsets[rows], self.lengths[rows])
        return Tokens(self.input_ids[places], self.token_type_ids[places], offsets)


@dataclass(frozen=True)
class _Layout:
    """How rows are put together from tokens stored end to end: those of each column, special tokens, padding.

    Attributes
    ----------
    starts, sizes : ndarray of shape (n, n_spans)
        Where the spans of each row begin in the tokens, and how long they are.
    uncut_lengths, n_windows
        As `Tokens` has them.
    special : _SpecialTokens
    """

    starts: np.ndarray
    sizes: np.ndarray
    uncut_lengths: np.ndarray
    n_windows: np.ndarray | None
    special: "_SpecialTokens"

    @property
    def places(self):
        """The place of each row's tokens, (n_tokens,), and where the rows begin among these, (n + 1,)."""
        places, _ = _places(self.starts.ravel(), self.sizes.ravel())
        return places, np.concatenate([[0], np.cumsum(self.sizes.sum(axis=1))])


@dataclass(frozen=True)
class _SpecialTokens:
    """What a tokenizer puts before, between and after the texts of a row.

    Attributes
    ----------
    ids, types : tuple of two or three lists of int
        Before the first text, after it, and after the second text of a pair.
    text_types : list of one or two int
        The token type of the texts' own tokens.
    """

    ids: tuple
    types: tuple
    text_types: list

    @classmethod
    def of(cls, tokenizer, n_columns):
        """Found by trying: around a text of which the tokenizer sees something."""

        def bare_ids_of(text):
            return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

        text = "a" if bare_ids_of("a") else next(filter(bare_ids_of, tokenizer.get_vocab()), "a")
        encoded, bare = tokenizer(*[text] * n_columns, return_token_type_ids=True, verbose=False), bare_ids_of(text)
        ids, types, parts, text_types, done = encoded["input_ids"], encoded["token_type_ids"], [], [], 0
        for _ in range(n_columns):
            start = next(i for i in range(done, len(ids) + 1) if ids[i : i + len(bare)] == bare)
            parts.append(slice(done, start))
            text_types += types[start : start + 1] or [0]
            done = start + len(bare)
        parts.append(slice(done, None))
        return cls(tuple(ids[part] for part in parts), tuple(types[part] for part in parts), text_types)

    @property
    def sizes(self):
        """Number of tokens before, between and after."""
        return np.array([len(ids) for ids in self.ids])


def tokenize(tokenizer, columns, max_length, long_text="truncate", stride=0):
    """Token ids of texts or pairs, cut to `max_length`.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    columns : tuple of one or two lists of n str
    max_length : int
        Most tokens of a row, special tokens included.
    long_text : {"truncate", "head_tail", "window"}, default="truncate"
        Whether a longer text loses its end or its middle, or becomes several overlapping rows, each with special
        tokens. Of pairs the longer text loses its end.
    stride : int, default=0
        Tokens that neighbouring windows share.

    Returns
    -------
    tokens : Tokens
        A row has one token at least: where the tokenizer finds none, neither words nor special tokens, it is the
        padding token.
    """
    bodies, lengths = zip(*(_tokenize_uncut(tokenizer, column) for column in columns), strict=True)
    layout = _lay_out(tokenizer, lengths, max_length, long_text, stride)
    special = layout.special
    ids = [*bodies, *special.ids, [tokenizer.pad_token_id]]
    types = [*([t] * len(body) for t, body in zip(special.text_types, bodies, strict=True)), *special.types, [0]]
    places, offsets = layout.places
    return Tokens(
        np.concatenate([np.asarray(part, dtype=np.int32) for part in ids])[places],
        np.concatenate([np.asarray(part, dtype=np.int8) for part in types])[places],
        offsets,
        layout.uncut_lengths,
        layout.n_windows,
    )


def token_places(tokenizer, columns, max_length, long_text="truncate", stride=0):
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
    rows, lengths = [], []
    for k, column in enumerate(columns):
        encoded = tokenizer(column, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        for i, spans in enumerate(encoded["offset_mapping"]):
            rows += [(k, word, *span) for word, span in zip(encoded.word_ids(i), spans, strict=True)]
        lengths.append(np.array([len(spans) for spans in encoded["offset_mapping"]]))
    layout = _lay_out(tokenizer, lengths, max_length, long_text, stride)
    rows += [_NO_PLACE] * (layout.special.sizes.sum() + 1)
    places, offsets = layout.places
    return np.split(np.array(rows, dtype=np.int64)[places], offsets[1:-1])


def check_fast(tokenizer, cannot):
    """Refuse a tokenizer that is written in Python, where it cannot do what is asked for."""
    if not tokenizer.is_fast:
        raise ValueError(
            f"The tokenizer {type(tokenizer).__name__} {cannot}. Expected a fast tokenizer, one with a tokenizer.json. "
            "Choose a checkpoint that has one."
        )


def truncation_report(tokens, max_length, n_texts=1):
    """How much of the texts `tokens` lacks; `n_texts` neighbours among them are one row of the report."""
    uncut = tokens.uncut_lengths
    if tokens.n_windows is None:
        n_cut = (uncut - tokens.lengths).clip(min=0).reshape(-1, n_texts)  # a row of padding has more than it had
    else:
        n_cut = np.zeros((len(uncut), 1), dtype=np.int64)
    return TruncationReport(
        n_rows=len(n_cut),
        n_truncated=int((n_cut > 0).any(axis=1).sum()),
        n_tokens_cut=int(n_cut.sum()),
        longest=int(max(uncut.max(), 1)),
        max_length=max_length,
    )


def _tokenize_uncut(tokenizer, texts):
    """Ids of all tokens of the texts end to end, int32, and the number of each text's, without special tokens."""
    ids, lengths = [], []
    settings = {"add_special_tokens": False, "return_attention_mask": False, "return_token_type_ids": False}
    for start in range(0, len(texts), _CHUNK):
        rows = tokenizer(texts[start : start + _CHUNK], **settings, verbose=False)["input_ids"]
        lengths += map(len, rows)
        ids.append(np.fromiter(chain.from_iterable(rows), dtype=np.int32))
    return np.concatenate(ids), np.array(lengths)


def _lay_out(tokenizer, lengths, max_length, long_text, stride):
    """The layout of rows of texts or pairs with so many tokens, `lengths` being one or two arrays of shape (n,)."""
    special = _SpecialTokens.of(tokenizer, len(lengths))
    max_length = min(max_length, np.iinfo(np.int64).max // 4)  # a tokenizer without a limit has 10**30
    texts, n_windows = _text_spans(lengths, special.sizes, max_length, long_text, stride)
    n_rows, n_tokens = len(texts[0][0]), sum(of_column.sum() for of_column in lengths)
    special_starts = n_tokens + np.cumsum([0, *special.sizes])  # the last is the padding token's

    def same_in_each_row(k):
        return np.full((n_rows, 1), special_starts[k]), np.full((n_rows, 1), special.sizes[k])

    spans = [same_in_each_row(0)]
    for k, of_text in enumerate(texts):
        spans += [of_text, same_in_each_row(k + 1)]
    starts, sizes = (np.hstack(parts) for parts in zip(*spans, strict=True))
    is_empty = sizes.sum(axis=1, keepdims=True) == 0
    starts, sizes = np.hstack([starts, np.full((n_rows, 1), special_starts[-1])]), np.hstack([sizes, is_empty])
    return _Layout(starts, sizes, sum(lengths) + special.sizes.sum(), n_windows, special)


def _text_spans(lengths, n_special, max_length, long_text, stride):
    """Of each column of texts the kept spans, (n_rows, n_spans) starts and sizes; and the windows of each text."""
    begins = np.cumsum(np.concatenate([[0], *lengths]))[:-1]  # where each text begins among all tokens
    begins = np.split(begins, len(lengths))
    if len(lengths) == 2:
        kept = span_pairs(*lengths, max_length, n_special.sum())
        return [(begin[:, None], size[:, None]) for begin, size in zip(begins, kept.T, strict=True)], None
    if long_text == "window":
        starts, sizes, n_windows = span_windows(lengths[0], max_length, n_special.sum(), stride)
        return [((np.repeat(begins[0], n_windows) + starts)[:, None], sizes[:, None])], n_windows
    starts, sizes = span_texts(lengths[0], max_length, *n_special, keep_end=long_text == "head_tail")
    return [(begins[0][:, None] + starts, sizes)], None


def _places(starts, sizes):
    """Places of spans that begin at `starts`, (n_places,), and where each span begins among these, (n_spans + 1,)."""
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes), offsets
