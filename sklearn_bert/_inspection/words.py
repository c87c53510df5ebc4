"""Group the tokens of a text into the words that a reader sees, for any tokenizer.

Words are those of Unicode's rules for text segmentation (Unicode Standard Annex 29): letters that belong together,
each ideograph and each punctuation mark separately. A token that spans several words cannot be split, so they become
one word. Characters without a token, because the text was cut, are in no word. A letter with its marks, or an emoji
of several code points, stays whole: it is in the word of the token that begins it.
"""

import unicodedata

import numpy as np
import regex

_BOUNDARY = regex.compile(r"\b", regex.WORD | regex.V1)
# What a reader sees as one character; the rules for words split some of these, as in Thai and Khmer.
_CLUSTER = regex.compile(r"\X")


def sum_over_words(text, spans, values):
    """Sum the values of the tokens of each word.

    Parameters
    ----------
    text : str
    spans : ndarray of shape (n_tokens, 2)
        The characters where each token begins and ends, in any order; overlapping windows repeat tokens.
    values : ndarray of shape (n_tokens,)

    Returns
    -------
    spans : ndarray of shape (n_words, 2), int64
        The characters where each word begins and ends, in the order of the text.
    values : ndarray of shape (n_words,), float64
    """
    clusters = [match.start() for match in _CLUSTER.finditer(text)] + [len(text)]
    boundaries = sorted({match.start() for match in _BOUNDARY.finditer(text)}.intersection(clusters))
    order = np.lexsort((spans[:, 1], spans[:, 0]))
    words, pending = [], 0.0
    for i in order:
        begin, end = _without_spaces(text, *spans[i].tolist())
        if begin == end:  # a token of spaces belongs to the next word
            pending += values[i]
            continue
        end = _with_marks(text, clusters[np.searchsorted(clusters, end)])
        if words and _continues(text, words[-1], begin, boundaries):
            words[-1][1] = max(words[-1][1], end)
            words[-1][2] += values[i] + pending
        else:
            words.append([begin, end, values[i] + pending])
        pending = 0.0
    if pending and words:
        words[-1][2] += pending
    elif len(order) and not words:  # nothing but spaces
        words.append([*spans[order[0]], pending])
    return np.array([word[:2] for word in words], dtype=np.int64).reshape(-1, 2), np.array([word[2] for word in words])


def _continues(text, word, begin, boundaries):
    """Whether a token that begins here continues the word: no boundary and no skipped character between them."""
    # An invisible word, such as a byte order mark, is joined to what follows.
    invisible = all(unicodedata.category(c) in ("Cf", "Cc") for c in text[word[0] : word[1]])
    if begin < word[1] or (invisible and begin == word[1]):
        return True
    same = np.searchsorted(boundaries, begin, side="right") == np.searchsorted(boundaries, word[1] - 1, side="right")
    return bool(same) and all(_is_part_of_a_character(c) for c in text[word[1] : begin])


def _without_spaces(text, begin, end):
    """The span of a token without white space at its borders, which some tokenizers keep with a word."""
    inner = text[begin:end].strip()
    begin += text[begin:end].find(inner)
    return begin, begin + len(inner)


def _with_marks(text, end):
    """The end, moved behind the marks that follow: a tokenizer may drop the accent of a letter that it keeps."""
    while end < len(text) and _is_part_of_a_character(text[end]):
        end += 1
    return end


def _is_part_of_a_character(c):
    """Whether a code point is an accent or another mark, or invisible."""
    return unicodedata.category(c) in ("Mn", "Mc", "Me", "Cf", "Cc") and not c.isspace()
