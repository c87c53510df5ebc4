"""Hostile inputs: a prediction of the promised kind or an error in a sentence, and never anything else.

Warnings are errors here, so a warning of a dependency fails the test. One fit serves many predictions; the numbers
of generated inputs are those of `docs/reliability.md`.
"""

import copy
import json
import shutil
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning

from sklearn_bert import BertClassifier, BertRegressor, BertVectorizer
from tests.helpers import exactly

QUICK = {"max_epochs": 1, "random_state": 0, "device": "cpu", "precision": "float32", "batch_size": 8}
TOLERANCE = {"float32": 1e-5, "float64": 1e-9}
SHARED = {  # the same inputs in every run, and no time limit on a busy machine
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate, Phase.shrink],
}


@pytest.fixture(scope="module", params=["head_tail", "truncate", "window"])
def long_text(request):
    return request.param


@pytest.fixture(scope="module", params=["float32", "float64"])
def fitted(request, tiny_bert, reviews):
    """A classifier of three classes in each precision."""
    torch.set_num_threads(1)
    y = np.arange(len(reviews[0])) % 3
    return BertClassifier(tiny_bert, **QUICK | {"precision": request.param}).fit(reviews[0], y)


@pytest.fixture(scope="module")
def by_reading(tiny_bert, reviews, long_text):
    torch.set_num_threads(1)
    return BertClassifier(tiny_bert, long_text=long_text, **QUICK).fit(*reviews)


@pytest.fixture(scope="module")
def of_pairs(tiny_bert, reviews):
    """Classifiers of pairs, one for each way to read them."""
    torch.set_num_threads(1)
    pairs = list(zip(reviews[0], reviews[0][::-1], strict=True))
    return [
        BertClassifier(tiny_bert, pair_encoding=encoding, **QUICK).fit(pairs, reviews[1])
        for encoding in ("bi_encoder", "cross_encoder")
    ]


# -- texts ------------------------------------------------------------------------------------------------

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
    """Texts of one script, or of several in a row."""
    of_one = st.one_of(*(st.lists(letters, max_size=max_size).map("".join) for letters in ALPHABETS.values()))
    return st.one_of(of_one, st.tuples(of_one, of_one, of_one).map("".join))


def assert_probabilities(probabilities, shape):
    assert type(probabilities) is np.ndarray
    assert (probabilities.shape, probabilities.dtype) == (shape, np.float64)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-12)


@given(data=st.data())
@settings(max_examples=300, **SHARED)
def test_any_text_has_probabilities(by_reading, data):
    X = data.draw(st.lists(texts(), min_size=1, max_size=6))
    before = list(X)
    probabilities = by_reading.predict_proba(X)
    assert_probabilities(probabilities, (len(X), 2))
    assert by_reading.predict(X).tolist() == by_reading.classes_[probabilities.argmax(axis=1)].tolist()
    assert before == X


@given(data=st.data())
@settings(max_examples=120, **SHARED)
def test_any_pair_has_probabilities_that_do_not_depend_on_company(of_pairs, data):
    pairs = data.draw(st.lists(st.tuples(texts(20), texts(20)), min_size=1, max_size=5))
    for classifier in of_pairs:
        together = classifier.predict_proba(pairs)
        assert_probabilities(together, (len(pairs), 2))
        np.testing.assert_allclose(classifier.predict_proba(pairs[::-1])[::-1], together, rtol=0, atol=1e-5)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=180, **SHARED)
def test_order_batches_padding_copies_and_containers_change_no_prediction(fitted, data):
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
    if container is not np.array or not any(text.endswith("\0") for text in X):  # numpy's str end before their NULs
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
def test_extreme_texts_have_probabilities(by_reading, name):
    X = EXTREME[name]
    probabilities = by_reading.predict_proba(X)
    assert_probabilities(probabilities, (len(X), 2))
    if len(set(X)) == 1:
        assert np.ptp(probabilities, axis=0).max() <= 1e-5


@given(data=st.data())
@settings(max_examples=60, **SHARED)
def test_a_lone_surrogate_is_named_by_its_row(fitted, data):
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


NO_TEXTS = st.one_of(
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
    st.lists(st.lists(texts(3), max_size=2), min_size=1, max_size=3),
    st.lists(st.tuples(texts(3), texts(3), texts(3)), min_size=1, max_size=3),
    st.sampled_from([np.zeros(3), np.zeros((2, 2)), np.zeros((1, 1, 1), dtype=str), np.array("a"), torch.zeros(2)]),
    st.sampled_from([sparse.eye_array(3), pd.DataFrame(), pd.DataFrame({"a": [1.5]}), pd.Series([None, "a"])]),
    st.sampled_from([np.ma.array(["a", "b"], mask=[0, 1]), range(2), (x for x in "ab"), bytearray(b"ab")]),
)


@given(X=NO_TEXTS)
@settings(max_examples=200, **SHARED)
def test_what_is_no_collection_of_texts_is_refused_in_a_sentence(fitted, X):
    with pytest.raises(ValueError, match=r"(?s)^(X |Input X |Found array with 0 sample).*\.$"):
        fitted.predict(X)


def test_a_class_is_no_collection_though_it_has_a_length(fitted):
    with pytest.raises(ValueError, match=r"^X is of type type, not a sequence of texts"):
        fitted.predict(list)


# -- a tokenizer without special tokens: an empty text has no token at all --------------------------------


@pytest.fixture(scope="module")
def bare(tiny_bert, tmp_path_factory):
    """Folder of the tiny BERT with a tokenizer that adds no special tokens."""
    folder = tmp_path_factory.mktemp("bare") / "bert"
    shutil.copytree(tiny_bert, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | {"post_processor": None}))
    return str(folder)


@pytest.mark.parametrize("pooling", ["mean", "pooler", "cls"])
def test_a_text_without_any_token_is_read_as_padding(bare, reviews, long_text, pooling):
    settings = QUICK | {"pooling": pooling, "long_text": long_text, "precision": "float64"}
    classifier = BertClassifier(bare, **settings).fit(["", *reviews[0][1:]], reviews[1])
    alone = np.concatenate([classifier.predict_proba([text]) for text in ("", "\0", "[PAD]")])
    np.testing.assert_allclose(alone, alone[[0, 0, 0]], rtol=0, atol=1e-9)
    together = classifier.predict_proba(["", "the movie was good", "\0", "a" * 200])
    np.testing.assert_allclose(together[[0, 2]], alone[:2], rtol=0, atol=1e-9)


def test_all_texts_may_be_without_tokens(bare):
    classifier = BertClassifier(bare, **QUICK).fit([""] * 6, [0, 1] * 3)
    assert_probabilities(classifier.predict_proba([""]), (1, 2))
    pairs = BertClassifier(bare, **QUICK).fit([("", ""), ("a", ""), ("", "b")] * 2, [0, 1] * 3)
    assert_probabilities(pairs.predict_proba([("", "")]), (1, 2))
    assert np.isfinite(BertVectorizer(bare, device="cpu").fit_transform(["", ""])).all()


def test_reasons_of_a_text_without_tokens_are_none(bare, reviews):
    pytest.importorskip("captum")
    empty, other = BertClassifier(bare, **QUICK).fit(*reviews).explain(["", "good"])
    assert empty.words == ()
    assert other.words == ("good",)


# -- targets ----------------------------------------------------------------------------------------------

N_ROWS = st.integers(6, 12)
LABELS = {
    "int": st.integers(-3, 3),
    "wide int": st.sampled_from([-(2**63), -1, 0, 2**53 + 1, 2**63 - 1]),
    "bool": st.booleans(),
    "str": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3),
    "whole float": st.integers(-3, 3).map(float),
}
CONTAINERS_1D = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "Series": pd.Series,
    "polars": pl.Series,
    "category": lambda y: pd.Series(y, dtype="category"),
}
CONTAINERS_2D = {
    "lists": lambda y: [list(row) for row in y],
    "array": np.array,
    "float array": lambda y: np.array(y, dtype=float),
    "DataFrame": lambda y: pd.DataFrame(y, columns=[f"c{j}" for j in range(len(y[0]))]),
    "polars": lambda y: pl.DataFrame(np.array(y), schema=[f"c{j}" for j in range(len(y[0]))]),
    "sparse": lambda y: sparse.csr_array(np.array(y)),
}
FINITE = st.one_of(
    st.floats(-1e300, 1e300), st.floats(-10, 10), st.sampled_from([0.0, -0.0, 5e-324, 1e-300, 1e300, 2.0**53])
)


def rows_of(n, data):
    words = "the movie was good bad very !".split()
    return [" ".join(data.draw(st.lists(st.sampled_from(words), max_size=5))) for _ in range(n)]


def fit_or_refuse(estimator, X, y, sample_weight=None):
    """The fitted estimator; or None, if y is refused in a sentence and nothing is left of the attempt."""
    before, refusal = copy.deepcopy((X, y)), None
    try:
        estimator.fit(X, y, sample_weight)
    except ValueError as error:
        refusal = str(error)
    assert before[0] == X
    assert_same_values(y, before[1])
    assert refusal is None or refusal.endswith(".")
    assert hasattr(estimator, "net_") == (refusal is None)
    return None if refusal else estimator


def assert_same_values(found, expected):
    if sparse.issparse(found):
        found, expected = found.toarray(), expected.toarray()
    assert list(map(repr, np.asarray(found).flat)) == list(map(repr, np.asarray(expected).flat))


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=160, **SHARED)
def test_one_label_per_text_gives_classes_or_a_refusal(tiny_bert, data):
    n = data.draw(N_ROWS)
    kind = data.draw(st.sampled_from(sorted(LABELS)))
    values = data.draw(st.lists(LABELS[kind], min_size=n, max_size=n))
    container = data.draw(st.sampled_from(sorted(CONTAINERS_1D)))
    y = CONTAINERS_1D[container](values)
    classifier = fit_or_refuse(BertClassifier(tiny_bert, **QUICK), rows_of(n, data), y)
    assert (classifier is None) == (len(set(values)) < 2)
    if classifier is not None:
        X = ["never seen", "", *rows_of(2, data)]
        assert classifier.classes_.tolist() == sorted(set(values))
        assert_probabilities(classifier.predict_proba(X), (4, len(classifier.classes_)))
        assert set(classifier.predict(X).tolist()) <= set(values)
        assert classifier.predict(X).dtype == classifier.classes_.dtype
        n_scores = () if len(classifier.classes_) == 2 else (len(classifier.classes_),)
        assert classifier.decision_function(X).shape == (4, *n_scores)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=100, **SHARED)
def test_several_labels_per_text_give_a_matrix(tiny_bert, data):
    n, n_labels = data.draw(N_ROWS), data.draw(st.integers(2, 4))
    columns = [data.draw(st.one_of(*(st.just([k] * n) for k in (0, 1)), labels(n))) for _ in range(n_labels)]
    y = CONTAINERS_2D[data.draw(st.sampled_from(sorted(CONTAINERS_2D)))](np.array(columns).T.tolist())
    classifier = fit_or_refuse(BertClassifier(tiny_bert, **QUICK), rows_of(n, data), y)
    probabilities, predicted = classifier.predict_proba(["unseen", ""]), classifier.predict(["unseen", ""])
    assert (probabilities.shape, probabilities.dtype) == ((2, n_labels), np.float64)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert (predicted.shape, predicted.dtype) == ((2, n_labels), np.int64)
    assert set(predicted.flat) <= {0, 1}


def labels(n):
    return st.lists(st.integers(0, 1), min_size=n, max_size=n)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=160, **SHARED)
def test_numbers_give_finite_numbers_of_the_same_shape(tiny_bert, data):
    n, n_outputs = data.draw(N_ROWS), data.draw(st.integers(1, 3))
    columns = []
    for _ in range(n_outputs):
        constant = st.just(data.draw(FINITE)).map(lambda value: [value] * n)
        columns.append(data.draw(st.one_of(constant, st.lists(FINITE, min_size=n, max_size=n))))
    flat = n_outputs == 1
    container = CONTAINERS_1D[data.draw(st.sampled_from(["list", "tuple", "array", "Series", "polars"]))]
    table = data.draw(st.sampled_from(["lists", "array", "DataFrame", "polars"]))
    y = container(columns[0]) if flat else CONTAINERS_2D[table](np.array(columns).T.tolist())
    regressor = fit_or_refuse(BertRegressor(tiny_bert, **QUICK), rows_of(n, data), y)
    predicted = regressor.predict(["unseen", ""])
    assert (predicted.shape, predicted.dtype) == ((2,) if flat else (2, n_outputs), np.float64)
    assert np.isfinite(predicted).all()


@given(data=st.data())
@settings(max_examples=120, **SHARED)
def test_what_is_no_target_is_refused_and_weights_of_any_size_are_not(tiny_bert, data):
    n = 6
    weight = st.sampled_from([0.0, 5e-324, 1e-300, 1.0, 3, 1e300, 1e308, np.inf, np.nan, -1.0])
    value = st.sampled_from([0, 1, 2.5, np.inf, np.nan, None, "a", b"a", (1,), {1}, 10**400, 1j, pd.NaT, [0, 1]])
    y = data.draw(st.lists(value, min_size=n, max_size=n))
    weights = data.draw(st.lists(weight, min_size=n, max_size=n))
    X = ["the movie was good", "bad", "", "very very bad", "!", "good"]
    for estimator, usual in ((BertClassifier, [0, 1] * 3), (BertRegressor, [1.5, 2, 0, 0, 1, 9])):
        assert_refused(estimator(tiny_bert, **QUICK), X, y, unless={0, 1, 2.5})
        fitted = fit_or_refuse(estimator(tiny_bert, **QUICK), X, usual, weights)
        if fitted is not None:
            assert np.isfinite(fitted.predict(X)).all()
        else:
            assert not all(1.0 <= w <= 3 for w in weights)


def assert_refused(estimator, X, y, unless):
    fitted = fit_or_refuse(estimator, X, np.fromiter(y, dtype=object, count=len(y)))
    if fitted is not None:
        assert all(type(value) in (int, float) for value in y)
        assert set(y) <= unless


def test_a_column_of_labels_is_ravelled_with_the_one_warning_that_is_promised(tiny_bert, reviews):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        BertClassifier(tiny_bert, **QUICK).fit(reviews[0], np.array(reviews[1])[:, None])
    assert [warning.category for warning in caught] == [DataConversionWarning]


@given(order=st.permutations(range(12)))
@settings(max_examples=40, **SHARED)
def test_the_order_of_rows_does_not_change_what_is_learned_in_one_batch(tiny_bert, reviews, order):
    strict = {"precision": "float64", "dropout": 0.0, "attention_dropout": 0.0, "batch_size": 12}
    X, y = reviews[0][:12], np.array([0, 1, 2] * 3 + [0, 0, 3])
    classifier = BertClassifier(tiny_bert, **QUICK | strict)
    expected = clone(classifier).fit(X, y).predict_proba(X)
    found = clone(classifier).fit([X[i] for i in order], y[list(order)]).predict_proba(X)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
