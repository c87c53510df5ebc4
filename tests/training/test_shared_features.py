"""Fits of one process share an encoder's features, and no result shows it."""

import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from tokenizers.pre_tokenizers import Split

from sklearn_bert import BertClassifier, BertModule, BertNet, BertVectorizer, clear_cache
from sklearn_bert._encoding import text_encoder
from sklearn_bert._encoding.tokenization import tokenize
from sklearn_bert._model.pooled_encoder import PooledEncoder
from sklearn_bert._runtime.array_cache import LIMIT_VARIABLE, SHARED_ARRAYS
from sklearn_bert._training import linear_probe
from sklearn_bert._training.linear_probe import solve_head
from tests.conftest import WORDS, save_checkpoint
from tests.helpers import FAST, weights_of

SETTINGS = {
    "all is trained": {},
    "head only": {"freeze": "encoder"},
    "head only, cls": {"freeze": "encoder", "pooling": "cls"},
    "hidden layer": {"freeze": "encoder", "hidden_layer_sizes": (4,)},
    "bfloat16": {"freeze": "encoder", "precision": "bfloat16", "pooling": "cls"},
    "windows": {"freeze": "encoder", "long_text": "window", "max_length": 6, "stride": 1},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.4},
    "random head": {"head_init": "random"},
}


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch):
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    clear_cache()
    yield
    clear_cache()


@pytest.fixture
def texts(reviews):
    """Enough rows to be shared."""
    X, y = reviews
    return [f"{text} {word}" for text in X for word in ("one", "two", "three", "four")], np.repeat(y, 4)


@pytest.fixture
def rows_read(monkeypatch):
    """How many rows the encoder was given, as a list to be cleared."""
    rows, encode = [], PooledEncoder._encode

    def note(module, **inputs):
        rows.append(len(inputs["input_ids"]))
        return encode(module, **inputs)

    monkeypatch.setattr(PooledEncoder, "_encode", note)
    return rows


def fitted(model, texts, **params):
    return BertClassifier(model, **FAST | {"precision": "float32"} | params).fit(*texts)


@pytest.mark.parametrize("params", SETTINGS.values(), ids=SETTINGS)
def test_results_are_equal_to_the_bit_with_a_cache_or_without(tiny_bert, texts, monkeypatch, params):
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    alone = fitted(tiny_bert, texts, **params)
    assert SHARED_ARRAYS.n_bytes == 0
    expected = alone.predict_proba(texts[0])
    monkeypatch.delenv(LIMIT_VARIABLE)
    for _ in range(2):  # what the first computes, the second finds
        classifier = fitted(tiny_bert, texts, **params)
        assert torch.equal(weights_of(classifier), weights_of(alone))
        for _ in range(2):
            np.testing.assert_array_equal(classifier.predict_proba(texts[0]), expected)
        assert classifier.loss_curve_ == alone.loss_curve_
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict_proba(texts[0]), expected)


def test_a_second_fit_of_a_frozen_encoder_reads_no_text(tiny_bert, texts, rows_read):
    fitted(tiny_bert, texts, freeze="encoder").predict(texts[0])
    assert sum(rows_read) == len(texts[0])
    rows_read.clear()
    for changes in ({"weight_decay": 0.1}, {"max_epochs": 5}, {"hidden_layer_sizes": (3,)}, {"random_state": 1}):
        fitted(tiny_bert, texts, freeze="encoder", **changes).predict(texts[0])
    assert rows_read == []


def test_a_grid_search_reads_each_training_and_test_set_once(tiny_bert, texts, rows_read, monkeypatch):
    classifier = BertClassifier(tiny_bert, freeze="encoder", **FAST)
    search = GridSearchCV(classifier, {"weight_decay": [0.0, 0.1, 0.2], "max_epochs": [1, 2]}, cv=3)
    search.fit(*texts)
    n = len(texts[0])
    assert sum(rows_read) == 3 * n + n
    scores = search.cv_results_["mean_test_score"]
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    np.testing.assert_array_equal(search.fit(*texts).cv_results_["mean_test_score"], scores)


@pytest.mark.filterwarnings("ignore:.* rows are longer than max_length")
def test_the_candidates_of_a_search_tokenize_each_training_set_once(tiny_bert, texts, monkeypatch):
    calls = []
    monkeypatch.setattr(text_encoder, "tokenize", lambda *args: calls.append(len(args[1][0])) or tokenize(*args))
    GridSearchCV(BertClassifier(tiny_bert, **FAST), {"weight_decay": [0.0, 0.1]}, cv=3, refit=False).fit(*texts)
    n = len(texts[0])
    assert sorted(calls) == sorted(3 * [2 * n // 3] + 6 * [n // 3])  # predictions do: a user may change tokenizer_
    calls.clear()
    for changes in ({"max_length": 5}, {"long_text": "window", "max_length": 6}, {"long_text": "truncate"}):
        fitted(tiny_bert, texts, **changes)
    fitted(tiny_bert, ([f"{text}." for text in texts[0]], texts[1]))
    fitted(tiny_bert, (texts[0][::-1], texts[1]))
    assert calls == [n] * 5


def test_a_tokenizer_that_the_user_changes_is_used_as_it_is(tiny_bert, texts):
    classifier = fitted(tiny_bert, texts)
    expected = classifier.predict_proba(texts[0])
    classifier.tokenizer_.backend_tokenizer.pre_tokenizer = Split(" bad", "isolated")
    assert abs(classifier.predict_proba(texts[0]) - expected).max() > 1e-3


def test_the_candidates_of_a_search_solve_the_linear_probe_once_for_each_fold(tiny_bert, texts, monkeypatch):
    solved = []
    monkeypatch.setattr(linear_probe, "solve_head", lambda *args: solved.append(args) or solve_head(*args))
    grid = {"weight_decay": [0.0, 0.1], "learning_rate": [1e-4, 1e-3]}
    GridSearchCV(BertClassifier(tiny_bert, **FAST), grid, cv=3).fit(*texts)
    assert len(solved) == 3 + 1
    for changes in ({"class_weight": {"bad": 3.0, "good": 1.0}}, {"pooling": "cls"}):
        fitted(tiny_bert, texts, **changes)
    assert len(solved) == 3 + 1 + 2
    flipped = ["bad" if label == "good" else "good" for label in texts[1]]
    fitted(tiny_bert, (texts[0], flipped))
    assert len(solved) == 3 + 1 + 3


def test_vectors_of_equal_texts_are_computed_once_and_belong_to_the_caller(tiny_bert, texts, rows_read):
    vectors = BertVectorizer(tiny_bert, device="cpu").fit_transform(texts[0])
    vectors[:] = 0
    again = BertVectorizer(tiny_bert, device="cpu").fit_transform(texts[0])
    assert again.any()
    assert sum(rows_read) == len(texts[0])


@pytest.mark.parametrize(
    "changes",
    [{"pooling": "cls"}, {"precision": "bfloat16"}, {"max_length": 4}, {"long_text": "truncate", "max_length": 4}],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:.* rows are longer than max_length")
def test_other_features_are_not_mistaken_for_these(tiny_bert, texts, monkeypatch, changes):
    fitted(tiny_bert, texts, freeze="encoder").predict(texts[0])
    shared = fitted(tiny_bert, texts, freeze="encoder", **changes).predict_proba(texts[0])
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    np.testing.assert_array_equal(fitted(tiny_bert, texts, freeze="encoder", **changes).predict_proba(texts[0]), shared)


def test_another_checkpoint_in_the_same_folder_is_another_encoder(tmp_path, texts):
    vectors = []
    for initializer_range in (0.1, 0.2):
        folder = save_checkpoint(tmp_path, WORDS, initializer_range=initializer_range)
        vectors.append(BertVectorizer(folder, device="cpu").fit_transform(texts[0]))
    assert abs(vectors[0] - vectors[1]).max() > 0.01


def test_a_weight_that_the_user_changes_ends_the_sharing(tiny_bert, texts):
    classifier = fitted(tiny_bert, texts, freeze="encoder")
    before = classifier.predict_proba(texts[0])
    with torch.no_grad():
        classifier.module_.bert.embeddings.word_embeddings.weight.mul_(3)
    assert abs(classifier.predict_proba(texts[0]) - before).max() > 1e-3


def test_what_is_trained_is_not_shared(tiny_bert, texts, rows_read):
    classifier = fitted(tiny_bert, texts)
    kept = SHARED_ARRAYS.n_bytes
    rows_read.clear()
    for _ in range(2):
        classifier.predict(texts[0])
    assert sum(rows_read) == 2 * len(texts[0])
    assert SHARED_ARRAYS.n_bytes == kept


def test_few_rows_and_unpickled_estimators_are_not_shared(tiny_bert, texts):
    classifier = fitted(tiny_bert, texts, freeze="encoder")
    kept = SHARED_ARRAYS.n_bytes
    classifier.predict(texts[0][:31])
    pickle.loads(pickle.dumps(classifier)).predict(texts[0][:40])
    assert SHARED_ARRAYS.n_bytes == kept


def test_the_cache_keeps_no_net_alive(tiny_bert, texts):
    gc.collect()
    gc.disable()
    try:
        classifier = fitted(tiny_bert, texts, freeze="encoder")
        module = weakref.ref(classifier.module_)
        assert isinstance(module(), BertModule)
        state = classifier.net_.shared_features_
        del classifier
        assert state.versions
    finally:
        gc.enable()
    gc.collect()
    assert module() is None


def test_fits_in_threads_share_features(tiny_bert, texts):
    expected = fitted(tiny_bert, texts, freeze="encoder").predict_proba(texts[0])
    clear_cache()
    with ThreadPoolExecutor(3) as pool:
        fits = list(pool.map(lambda _: fitted(tiny_bert, texts, freeze="encoder").predict_proba(texts[0]), range(6)))
    for probabilities in fits:
        np.testing.assert_array_equal(probabilities, expected)


def test_the_limit_holds_during_a_search(tiny_bert, texts, monkeypatch):
    limit = 3 * len(texts[0]) * 16 * 4
    monkeypatch.setenv(LIMIT_VARIABLE, str(limit))
    sizes, put = [], SHARED_ARRAYS.put

    def note(*args):
        result = put(*args)
        sizes.append(SHARED_ARRAYS.n_bytes)
        return result

    monkeypatch.setattr(SHARED_ARRAYS, "put", note)
    GridSearchCV(BertClassifier(tiny_bert, freeze="encoder", **FAST), {"weight_decay": [0.0, 0.1]}, cv=4).fit(*texts)
    assert 0 < max(sizes) <= limit


@pytest.mark.parametrize("change", ["in place", "below autograd", "replaced"])
def test_a_net_that_changes_the_weights_that_it_reads_has_features_of_its_own(tiny_bert, texts, change):
    class OtherNet(BertNet):
        def initialize_module(self):
            super().initialize_module()
            layer = self.module_.bert.encoder.layer[0].output.dense
            if change == "replaced":
                layer.weight = torch.nn.Parameter(layer.weight.detach() * 3)
            else:
                (layer.weight.data if change == "below autograd" else layer.weight.detach()).mul_(3)
            return self

    class OtherClassifier(BertClassifier):
        net_class = OtherNet

    plain = fitted(tiny_bert, texts, freeze="encoder").predict_proba(texts[0])
    settings = FAST | {"precision": "float32", "freeze": "encoder"}
    assert abs(OtherClassifier(tiny_bert, **settings).fit(*texts).predict_proba(texts[0]) - plain).max() > 1e-3
