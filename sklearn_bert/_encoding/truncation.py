"""Which tokens of a text are kept if it is longer than the limit: arithmetic on numbers of tokens."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TruncationReport:
    """How much of the rows of a fit was cut to keep `max_length` tokens.

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
    """The limit in tokens: the requested one, or the model's own.

    Parameters
    ----------
    max_length : int or None
        The requested limit. None: the model's own.
    tokenizer : transformers tokenizer
    n_positions : int or None
        The limit of the encoder. None: only the tokenizer's limit counts.
    n_columns : int
        Number of texts in a row.

    Returns
    -------
    max_length : int

    Raises
    ------
    ValueError
        If the requested limit is larger than the model's, or leaves no token for text.
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
            f"max_length={max_length} leaves no token for text beside {n_special} special tokens. "
            f"Expected at least {n_special + n_columns}; raise max_length."
        )
    return max_length


def kept_parts(lengths, max_length, n_special, long_text="truncate", stride=0):
    """Which tokens of a text or a pair are kept, in one row or several.

    Parameters
    ----------
    lengths : tuple of one or two int
        Tokens of the text, or of both texts of a pair, without special tokens.
    max_length : int
        Maximum number of tokens of a row, special tokens included.
    n_special : list of int
        Special tokens before the text, after it, and after the second text of a pair.
    long_text : {"truncate", "head_tail", "window"}, default="truncate"
        Whether a longer text loses its end or its middle, or becomes several rows. "head_tail" keeps a quarter of
        `max_length` tokens from the beginning and the rest from the end, special tokens included.
    stride : int, default=0
        Number of tokens that neighbouring windows share. The last window has full length, so it may share more.

    Returns
    -------
    rows : list of list of lists of slice
        For each row and each text, the slices of the text's tokens that are kept.
    """
    capacity = max_length - sum(n_special)
    if len(lengths) == 2:
        return [[[slice(n)] for n in _longest_first(*lengths, capacity)]]
    n_excess = lengths[0] - capacity
    if n_excess <= 0 or long_text == "truncate":
        return [[[slice(capacity)]]]
    if long_text == "window":
        return [[[slice(i, i + capacity)]] for i in [*range(0, n_excess, capacity - stride), n_excess]]
    n_first = min(max(0, -(-max_length // 4) - n_special[0]), capacity)
    return [[[slice(n_first), slice(n_first + n_excess, None)]]]


def _longest_first(first, second, capacity):
    """How many tokens of each text are kept if the longer text is cut first, as in Hugging Face's fast tokenizers."""
    if first + second <= capacity:
        return first, second
    shorter = min(first, second)
    longer = shorter if shorter > capacity else max(shorter, capacity - shorter)
    if shorter + longer > capacity:
        shorter, longer = capacity // 2, capacity - capacity // 2
    return (longer, shorter) if first > second else (shorter, longer)
