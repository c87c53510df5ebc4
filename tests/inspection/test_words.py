"""Words are what a reader calls words, whatever the tokenizer, and hold no character that was not read."""

import unicodedata
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from sklearn_bert._inspection.words import sum_over_words
from tests.helpers import cases
from tests.inspection.languages import CHINESE, TEXTS, WORDS
from tests.integration.generated import REPRODUCIBLE
from tests.model.tokenizers_of_families import ROBERTA_TOKENS, bytes_tokenizer, pieces_tokenizer


def characters_tokenizer():
    """A Unigram tokenizer of single characters with SentencePiece's sign for a space."""
    pieces = [(c, -5.0) for c in sorted({*"".join(TEXTS.values()), "▁"})]
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), *pieces], 0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def single_bytes_tokenizer():
    """Byte-level BPE without a merge: each byte is a token, and many tokens share one character."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=256, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([], trainer)
    return tokenizer


def wordpiece_tokenizer():
    """Single letters with ##, after BERT's normalizer, which drops accents."""
    letters = sorted(set(unicodedata.normalize("NFD", "".join(TEXTS.values()).lower())))
    pieces = ["[UNK]", *letters, *(f"##{c}" for c in letters)]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


@cache
def trained_tokenizer(kind):
    """A tokenizer whose pieces of several letters were learned from the texts."""
    texts = list(TEXTS.values()) * 3
    if kind == "Unigram":
        return pieces_tokenizer(texts, ROBERTA_TOKENS)
    if kind == "byte-level BPE":
        return bytes_tokenizer(texts, ROBERTA_TOKENS, size=400)
    tokenizer = wordpiece_tokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


TOKENIZERS = {
    "SentencePiece": characters_tokenizer(),
    "byte-level BPE": single_bytes_tokenizer(),
    "WordPiece": wordpiece_tokenizer(),
}


def words_of(text, spans, values=None):
    spans = np.array(spans, dtype=np.int64).reshape(-1, 2)
    found, sums = sum_over_words(text, spans, np.ones(len(spans)) if values is None else np.array(values))
    return [text[begin:end] for begin, end in found], sums


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_words_are_the_same_with_every_tokenizer(tokenizer, language):
    text = TEXTS[language]
    words, sums = words_of(text, tokenizer.encode(text).offsets)
    assert words == WORDS[language]
    assert sums.sum() == len(tokenizer.encode(text).offsets)


@pytest.mark.parametrize("kind", ["WordPiece", "Unigram", "byte-level BPE"])
@pytest.mark.parametrize("language", TEXTS)
def test_words_of_trained_tokenizers_cover_the_text_and_split_no_character(kind, language):
    text = TEXTS[language]
    words, _ = words_of(text, trained_tokenizer(kind).encode(text, add_special_tokens=False).offsets)
    characters = regex.findall(r"\X", "".join(text.split()))
    assert [character for word in words for character in regex.findall(r"\X", word)] == characters


@pytest.mark.parametrize("language", ["japanese", "thai", "khmer"])
@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_a_script_without_spaces_has_several_words(tokenizer, language):
    text = TEXTS[language]
    words, _ = words_of(text, tokenizer.encode(text).offsets)
    assert len(words) > 4
    assert "".join(words) == text


@pytest.mark.parametrize(
    ("text", "spans", "words"),
    **cases(
        {
            "a token over two ideographs": (CHINESE, [(0, 2), (2, 3), (3, 5)], ["房间", "很", "干净"]),
            "a token over a word and its full stop": ("bad. ok", [(0, 4), (4, 7)], ["bad.", "ok"]),
            "a space before a word": ("so bad", [(0, 2), (2, 6)], ["so", "bad"]),
            "a space by itself": ("so bad", [(0, 2), (2, 3), (3, 6)], ["so", "bad"]),
            "a cut middle": ("unbelievable", [(0, 2), (9, 12)], ["un", "ble"]),
            "a cut middle of ideographs": (CHINESE, [(0, 1), (12, 13)], ["房", "。"]),
            "a cut end": ("https://example.com/page", [(0, 5), (5, 8), (8, 12)], ["https", "://", "exam"]),
            "a dropped accent": ("e\u0301te\u0301", [(0, 1), (2, 3), (3, 4)], ["e\u0301te\u0301"]),
            "an invisible hyphen": ("go\u00adod", [(0, 2), (3, 5)], ["go\u00adod"]),
            "a byte order mark": ("\ufeffgood", [(0, 1), (1, 5)], ["\ufeffgood"]),
            "a joiner without a letter": ("so \u200dbad", [(0, 2), (3, 4), (4, 7)], ["so", "\u200dbad"]),
            "a vowel after its letter": ("น้ำ", [(0, 1), (2, 3)], ["น้ำ"]),
            "a skin that was dropped": ("👍🏽!", [(0, 1), (2, 3)], ["👍🏽", "!"]),
            "half of a family": ("👨‍👩‍👧 ok", [(0, 1), (5, 8)], ["👨‍👩‍👧", "ok"]),
            "windows that overlap": ("so bad", [(0, 2), (3, 6), (3, 6)], ["so", "bad"]),
            "nothing but spaces": ("  ", [(0, 1), (1, 2)], [" "]),
            "no token": ("", [], []),
        }
    ),
)
def test_words_hold_what_was_read(text, spans, words):
    found, sums = words_of(text, spans)
    assert found == words
    assert sums.sum() == len(spans)


@given(data=st.data())
@settings(max_examples=200, **REPRODUCIBLE)
def test_any_tokens_make_words_in_order_with_the_sum_of_their_values(data):
    text = data.draw(st.text("ab .房間\u0301\u200dก'1\n", max_size=20))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
    pairs = [pair for pair in pairwise(cuts) if data.draw(st.booleans())]
    values = [data.draw(st.integers(-5, 5)) for _ in pairs]
    spans, sums = sum_over_words(text, np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array(values, dtype=float))
    assert sums.sum() == sum(values)
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert (spans[1:, 0] >= spans[:-1, 1]).all()
    read = {i for begin, end in pairs for i in range(begin, end)}
    shown = {i for begin, end in spans for i in range(begin, end)}
    assert {i for i in read if not text[i].isspace()} <= shown
    assert not [i for i in shown - read if text[i] not in "\u0301\u200d"]
