"""Generated and extreme texts: `predict_proba` returns probabilities, or an error states in a sentence what is wrong.

Warnings are errors here, so a warning of a dependency fails the test. One fit serves many predictions; the numbers
of generated inputs are those of `docs/reliability.md`.
"""

import json
import shutil

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sklearn_bert import BertClassifier, BertVectorizer
from tests.helpers import exactly
from tests.integration.generated import REPRODUCIBLE, SETTINGS, assert_probabilities

TOLERANCE = {"float32": 1e-5, "float64": 1e-9}


@pytest.fixture(scope="module", params=["head_tail", "truncate", "window"])
def long_text(request):
    return request.param


@pytest.fixture(scope="module", params=["float32", "float64"])
def fitted(request, tiny_bert, reviews):
    """A classifier of three classes, in each precision."""
    y = np.arange(len(reviews[0])) % 3
    return BertClassifier(tiny_bert, **SETTINGS | {"precision": request.param}).fit(reviews[0], y)


@pytest.fixture(scope="module")
def classifier(tiny_bert, reviews, long_text):
    """A classifier of two classes, for each value of long_text."""
    return BertClassifier(tiny_bert, long_text=long_text, **SETTINGS).fit(*reviews)


@pytest.fixture(scope="module")
def pair_classifiers(tiny_bert, reviews):
    """Two classifiers of pairs, one for each pair_encoding."""
    pairs = list(zip(reviews[0], reviews[0][::-1], strict=True))
    return [
        BertClassifier(tiny_bert, pair_encoding=encoding, **SETTINGS).fit(pairs, reviews[1])
        for encoding in ("bi_encoder", "cross_encoder")
    ]


# -- generated texts --------------------------------------------------------------------------------------


ALPHABETS = {
    "any character": st.characters(exclude_categories=["Cs"]),
    "Latin, Greek, Cyrillic, Han, Devanagari, Thai": st.sampled_from("abzéßøλΩжЯ漢字語हिन्दीกขค한글"),
    "emoji": st.sampled_from(["😀", "👨\u200d👩\u200d👧", "🏳\ufe0f\u200d🌈", "🇩🇪", "👍🏿"]),
    "right to left": st.sampled_from("שלוםمرحبا\u200f\u202e\u2067\u061c 12"),
    "combining marks": st.sampled_from("eao\u0301\u0308\u0323\u20dd\u0489\u036f"),
    "control and zero width": st.sampled_from("\0\1\t\n\r\x0b\x1b\x7f\x85\u200b\u200c\u200d\u2060\ufeff\u00ad\ufffd a"),
    "noncharacters and private": st.sampled_from("\ufffe\uffff\U0001fffe\ue000\U0010ffff a"),
    "names of special tokens": st.sampled_from(["[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]", "##a", " "]),
    "words": st.sampled_from(["the ", "movie ", "good ", "a", "b", "?", "!", " "]),
}


def texts(max_size=40):
    """Texts of one alphabet, or of three in a row."""
    of_one_alphabet = st.one_of(*(st.lists(letters, max_size=max_size).map("".join) for letters in ALPHABETS.values()))
    return st.one_of(of_one_alphabet, st.tuples(*[of_one_alphabet] * 3).map("".join))


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=300, **REPRODUCIBLE)
def test_predict_proba_gives_probabilities_for_any_text(classifier, data):
    X = data.draw(st.lists(texts(), min_size=1, max_size=6))
    before = list(X)
    probabilities = classifier.predict_proba(X)
    assert_probabilities(probabilities, (len(X), 2))
    assert classifier.predict(X).tolist() == classifier.classes_[probabilities.argmax(axis=1)].tolist()
    assert before == X


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=120, **REPRODUCIBLE)
def test_predict_proba_of_any_pair_does_not_depend_on_other_rows(pair_classifiers, data):
    pairs = data.draw(st.lists(st.tuples(texts(20), texts(20)), min_size=1, max_size=5))
    for classifier in pair_classifiers:
        together = classifier.predict_proba(pairs)
        assert_probabilities(together, (len(pairs), 2))
        np.testing.assert_allclose(classifier.predict_proba(pairs[::-1])[::-1], together, rtol=0, atol=1e-5)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=180, **REPRODUCIBLE)
def test_predict_proba_does_not_depend_on_order_batch_padding_copies_or_container(fitted, data):
    X = data.draw(st.lists(texts(), min_size=2, max_size=6))
    order = data.draw(st.permutations(range(len(X))))
    container = data.draw(st.sampled_from([tuple, np.array, object_array, pd.Series, pl.Series, frame, matrix]))
    together = fitted.predict_proba(X)
    assert_probabilities(together, (len(X), 3))

    def same(found, rows=slice(None)):
        np.testing.assert_allclose(found, together[rows], rtol=0, atol=TOLERANCE[fitted.precision])

    same(fitted.predict_proba([X[i] for i in order]), list(order))
    same(np.concatenate([fitted.predict_proba([text]) for text in X]))  # batches of one row, without padding
    same(fitted.predict_proba([*X, "the movie was " * 30])[:-1])  # padding to the limit
    same(fitted.predict_proba(X * 3), np.tile(np.arange(len(X)), 3))
    if container is not np.array or not any(text.endswith("\0") for text in X):  # numpy drops NULs at the end of a str
        same(fitted.predict_proba(container(X)))


def object_array(X):
    return np.array(X, dtype=object)


def frame(X):
    return pd.DataFrame({"text": X}, dtype=object)


def matrix(X):
    return np.array(X, dtype=object).reshape(-1, 1)


EXTREME = {
    "a word of 1 MB": ["a" * 2**20],
    "1 MB of words": ["the movie was good " * (2**20 // 19)],
    "1 MB of one emoji": ["👨\u200d👩\u200d👧" * (2**20 // 18)],
    "1 MB of marks on one letter": ["e" + "\u0301" * 2**19],
    "1 MB of spaces": [" " * 2**20],
    "1 MB of NULs": ["\0" * 2**20],
    "1 MB of line ends": ["\r\n" * 2**19],
    "1 MB without a space": ["漢" * (2**20 // 3)],
    "10,000 empty texts": [""] * 10_000,
    "one empty text": [""],
    "control characters only": ["\0\1\2", "\x1b", "\u200b\u200d", "\ufeff"],
    "long beside empty": ["", "a" * 2**17, "", "good " * 2**15],
}


@pytest.mark.parametrize("name", EXTREME)
def test_predict_proba_gives_probabilities_for_extreme_texts(classifier, name):
    X = EXTREME[name]
    probabilities = classifier.predict_proba(X)
    assert_probabilities(probabilities, (len(X), 2))
    if len(set(X)) == 1:
        assert np.ptp(probabilities, axis=0).max() <= 1e-5


# -- invalid texts ----------------------------------------------------------------------------------------


@given(data=st.data())
@settings(max_examples=60, **REPRODUCIBLE)
def test_predict_raises_for_a_lone_surrogate_and_names_its_row(fitted, data):
    X = data.draw(st.lists(texts(10), min_size=1, max_size=4))
    row = data.draw(st.integers(0, len(X) - 1))
    place = data.draw(st.integers(0, len(X[row])))
    X[row] = X[row][:place] + data.draw(st.characters(categories=["Cs"])) + X[row][place:]
    message = (
        f"X holds a lone surrogate, which cannot be encoded as UTF-8, at row {row}. Expected valid Unicode. "
        "Read the source with its right encoding, or clean with text.encode('utf-8', 'replace').decode()."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        fitted.predict(X)


NOT_TEXTS = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.binary(max_size=3),
    st.just([]),
    st.just(pd.NA),
    st.just(str),
    st.just(len),
    st.dictionaries(texts(3), texts(3), max_size=2),
    st.sets(texts(3), max_size=2),
    texts(3),
    st.lists(st.one_of(st.none(), st.integers(), st.floats(), st.binary(max_size=2)), min_size=1, max_size=3),
    # [[text], [text]] is a column of texts
    st.lists(st.lists(texts(3), max_size=2), min_size=1, max_size=3).filter(lambda X: {len(row) for row in X} != {1}),
    st.lists(st.tuples(texts(3), texts(3), texts(3)), min_size=1, max_size=3),
    st.sampled_from([np.zeros(3), np.zeros((2, 2)), np.zeros((1, 1, 1), dtype=str), np.array("a"), torch.zeros(2)]),
    st.sampled_from([sparse.eye_array(3), pd.DataFrame(), pd.DataFrame({"a": [1.5]}), pd.Series([None, "a"])]),
    st.sampled_from([np.ma.array(["a", "b"], mask=[0, 1]), range(2), (x for x in "ab"), bytearray(b"ab")]),
)


@given(X=NOT_TEXTS)
@settings(max_examples=200, **REPRODUCIBLE)
def test_predict_raises_a_whole_sentence_for_anything_but_texts(fitted, X):
    with pytest.raises(ValueError, match=r"(?s)^(X |Input X |Found array with 0 sample).*\.$"):
        fitted.predict(X)


def test_predict_raises_for_a_class(fitted):
    with pytest.raises(ValueError, match=r"^X is of type type, not a sequence of texts"):
        fitted.predict(list)


# -- a tokenizer without special tokens: an empty text has no token ---------------------------------------


@pytest.fixture(scope="module")
def bare_bert(tiny_bert, tmp_path_factory):
    """Folder of the tiny BERT with a tokenizer that adds no special tokens."""
    folder = tmp_path_factory.mktemp("tokenizer") / "bert"
    shutil.copytree(tiny_bert, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | {"post_processor": None}))
    return str(folder)


@pytest.mark.parametrize("pooling", ["mean", "pooler", "cls"])
def test_text_without_tokens_is_encoded_as_padding(bare_bert, reviews, long_text, pooling):
    settings = SETTINGS | {"pooling": pooling, "long_text": long_text, "precision": "float64"}
    classifier = BertClassifier(bare_bert, **settings).fit(["", *reviews[0][1:]], reviews[1])
    alone = np.concatenate([classifier.predict_proba([text]) for text in ("", "\0", "[PAD]")])
    np.testing.assert_allclose(alone, alone[[0, 0, 0]], rtol=0, atol=1e-9)
    together = classifier.predict_proba(["", "the movie was good", "\0", "a" * 200])
    np.testing.assert_allclose(together[[0, 2]], alone[:2], rtol=0, atol=1e-9)


def test_fit_and_predict_accept_texts_without_tokens_only(bare_bert):
    classifier = BertClassifier(bare_bert, **SETTINGS).fit([""] * 6, [0, 1] * 3)
    assert_probabilities(classifier.predict_proba([""]), (1, 2))
    pairs = BertClassifier(bare_bert, **SETTINGS).fit([("", ""), ("a", ""), ("", "b")] * 2, [0, 1] * 3)
    assert_probabilities(pairs.predict_proba([("", "")]), (1, 2))
    assert np.isfinite(BertVectorizer(bare_bert, device="cpu").fit_transform(["", ""])).all()


def test_explain_a_text_without_tokens_gives_no_words(bare_bert, reviews):
    pytest.importorskip("captum")
    empty, other = BertClassifier(bare_bert, **SETTINGS).fit(*reviews).explain(["", "good"])
    assert empty.words == ()
    assert other.words == ("good",)
