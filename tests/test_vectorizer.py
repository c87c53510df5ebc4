"""`BertVectorizer`: vectors equal those of transformers, and the vectorizer works inside scikit-learn's tools."""

import inspect
import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import Normalizer
from sklearn.utils.estimator_checks import check_estimator
from transformers import AutoModel, AutoTokenizer

from sklearn_bert import BertClassifier, BertVectorizer
from tests.helpers import FAST, exactly
from tests.numeric_text import NumericVectorizer

EXACT = {"device": "cpu", "precision": "float64"}


@pytest.mark.slow
def test_check_estimator_passes_for_the_vectorizer(numeric_bert, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # one check is skipped without it
    results = check_estimator(NumericVectorizer(numeric_bert, **EXACT), on_fail=None, on_skip=None)
    not_passed = {r["check_name"]: (r["status"], r["exception"]) for r in results if r["status"] != "passed"}
    assert not not_passed
    assert len(results) > 40


def reference(folder, text, pooling):
    """The pooled output of the text, computed by transformers."""
    model = AutoModel.from_pretrained(folder, dtype=torch.float64)
    with torch.inference_mode():
        output = model(**AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt"), output_hidden_states=True)
    lowest, below, states = (layer[0] for layer in output.hidden_states[-3:])
    pooled = {"mean": states.mean(dim=0), "cls": states[0], "pooler": output.pooler_output[0]}
    pooled |= {"mean_last_two": (states + below).mean(dim=0) / 2}
    pooled |= {"mean_last_three": (states + below + lowest).mean(dim=0) / 3}
    return pooled[pooling].numpy()


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler", "mean_last_two", "mean_last_three"])
def test_transform_equals_the_pooled_output_of_transformers(tiny_bert, reviews, pooling):
    vectors = BertVectorizer(tiny_bert, pooling=pooling, **EXACT).fit_transform(reviews[0])
    for i in (0, 5, 17):
        np.testing.assert_allclose(vectors[i], reference(tiny_bert, reviews[0][i], pooling), atol=1e-9)


def test_transform_does_not_depend_on_row_order_or_other_rows(tiny_bert, reviews):
    vectorizer = BertVectorizer(tiny_bert, batch_size=3, **EXACT).fit(reviews[0])
    together = vectorizer.transform(reviews[0])
    np.testing.assert_allclose(vectorizer.transform(reviews[0][::-1]), together[::-1], atol=1e-9)
    np.testing.assert_allclose(vectorizer.transform(reviews[0][7:8]), together[7:8], atol=1e-9)


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16"])
def test_transform_returns_float32(tiny_bert, reviews, precision):
    vectors = BertVectorizer(tiny_bert, device="cpu", precision=precision).fit_transform(reviews[0])
    assert (vectors.dtype, vectors.shape) == (np.float32, (48, 16))
    assert BertVectorizer().__sklearn_tags__().transformer_tags.preserves_dtype == []  # float32 for any dtype of X


def test_set_output_returns_frames_with_feature_names(tiny_bert, reviews):
    texts = pd.Series(reviews[0], index=range(100, 148))
    vectorizer = BertVectorizer(tiny_bert, **EXACT).set_output(transform="pandas")
    frame = vectorizer.fit_transform(texts)
    assert list(frame.columns) == list(vectorizer.get_feature_names_out()) == [f"bertvectorizer{i}" for i in range(16)]
    assert list(frame.index) == list(texts.index)
    polars = BertVectorizer(tiny_bert, **EXACT).set_output(transform="polars").fit_transform(reviews[0])
    np.testing.assert_array_equal(polars.to_numpy(), frame.to_numpy())


def test_pipeline_with_memory_reuses_the_vectors(tiny_bert, reviews, tmp_path, monkeypatch):
    pipeline = make_pipeline(BertVectorizer(tiny_bert, **EXACT), LogisticRegression(C=100), memory=str(tmp_path))
    search = GridSearchCV(pipeline, {"logisticregression__C": [1e-4, 100]}, cv=2).fit(*reviews)
    assert search.best_params_ == {"logisticregression__C": 100}
    assert search.score(*reviews) > 0.9
    pipeline.fit(*reviews)
    monkeypatch.setattr(BertVectorizer, "_load", lambda *args: 1 / 0)
    np.testing.assert_array_equal(clone(pipeline).fit(*reviews).predict(reviews[0]), pipeline.predict(reviews[0]))


def test_feature_union_and_cross_validation_accept_the_vectorizer(tiny_bert, reviews):
    poolings = (make_pipeline(BertVectorizer(tiny_bert, pooling=p, **EXACT), Normalizer()) for p in ("mean", "cls"))
    scores = cross_val_score(make_pipeline(make_union(*poolings), LogisticRegression(C=100)), *reviews, cv=2)
    assert scores.mean() > 0.7  # the weights of the encoder are random


# -- a fitted estimator's encoder ---------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "pooler"])
def test_vectors_of_a_fitted_estimator_are_the_inputs_of_its_head(tiny_bert, reviews, pooling):
    classifier = BertClassifier(tiny_bert, pooling=pooling, **FAST | EXACT).fit(*reviews)
    vectors = BertVectorizer(classifier, **EXACT).fit_transform(reviews[0])
    head = classifier.module_.classifier
    logits = vectors @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(logits, classifier._logits(reviews[0]), atol=1e-9)


def test_estimator_of_pairs_gives_vectors_of_single_texts(tiny_bert, reviews):
    pairs = list(zip(reviews[0], reviews[0][::-1], strict=True))
    classifier = BertClassifier(tiny_bert, **FAST).fit(pairs, reviews[1])
    assert classifier.module_.bi_encoder
    assert BertVectorizer(classifier, device="cpu").fit_transform(reviews[0]).shape == (48, 16)


def test_vectors_do_not_change_with_the_weights_of_the_estimator(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, **FAST).fit(*reviews)
    vectorizer = BertVectorizer(classifier, **EXACT).fit(reviews[0])
    before = vectorizer.transform(reviews[0])
    with torch.no_grad():
        classifier.module_.bert.embeddings.word_embeddings.weight.zero_()
    np.testing.assert_array_equal(vectorizer.transform(reviews[0]), before)


def test_vectorizer_does_not_change_the_truncation_of_the_estimators_tokenizer(tiny_bert, reviews, monkeypatch):
    """Truncation is a state of the tokenizer, which another thread could change between setting and tokenizing."""
    settings = FAST | EXACT | {"long_text": "truncate"}
    classifier = BertClassifier(tiny_bert, max_length=32, **settings).fit(*reviews)
    vectorizer = BertVectorizer(classifier, max_length=4, long_text="truncate", **EXACT).fit(reviews[0])
    assert vectorizer.tokenizer_ is not classifier.tokenizer_
    scores, vectors = classifier.decision_function(reviews[0]), vectorizer.transform(reviews[0])
    found, tokenizer_class = [], type(classifier.tokenizer_)
    set_truncation = tokenizer_class.set_truncation_and_padding

    def set_and_transform(tokenizer, *args, **kwargs):
        set_truncation(tokenizer, *args, **kwargs)
        if not found:
            found.append(None)  # only once
            found[0] = vectorizer.transform(reviews[0])

    monkeypatch.setattr(tokenizer_class, "set_truncation_and_padding", set_and_transform)
    np.testing.assert_array_equal(classifier.decision_function(reviews[0]), scores)
    np.testing.assert_array_equal(found[0], vectors)


def test_frozen_estimator_and_saved_folder_give_the_same_vectors(tiny_bert, reviews, tmp_path):
    classifier = BertClassifier(tiny_bert, **FAST).fit(*reviews)
    classifier.save_pretrained(tmp_path / "model")
    expected = BertVectorizer(classifier, **EXACT).fit_transform(reviews[0])
    frozen = clone(BertVectorizer(FrozenEstimator(classifier), **EXACT))
    for vectorizer in (frozen, BertVectorizer(tmp_path / "model", **EXACT)):
        np.testing.assert_allclose(vectorizer.fit_transform(reviews[0]), expected, atol=1e-9)


def test_fit_raises_for_an_estimator_that_clone_left_unfitted(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, **FAST)
    message = (
        f"model={classifier!r} is not fitted. Expected a fitted BertClassifier or BertRegressor, or the name of a "
        "checkpoint. Fit it first; if it was, it has been cloned since: pass sklearn.frozen.FrozenEstimator(model), or "
        "the folder of its save_pretrained."
    )
    with pytest.raises(NotFittedError, match=exactly(message)):
        clone(BertVectorizer(classifier.fit(*reviews))).fit(reviews[0])


def test_fit_raises_for_a_pooler_that_was_not_trained_with_the_encoder(tiny_bert, reviews, tmp_path):
    classifier = BertClassifier(tiny_bert, pooling="mean", **FAST).fit(*reviews)
    message = (
        "pooling='pooler' needs a trained pooler, and the estimator was fitted with pooling='mean'. Pass "
        "pooling='auto', 'mean' or 'cls'."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        BertVectorizer(classifier, pooling="pooler").fit(reviews[0])
    classifier.save_pretrained(tmp_path / "stored")
    with pytest.raises(ValueError, match="has no trained pooler, so its vectors would depend on untrained weights"):
        BertVectorizer(tmp_path / "stored", pooling="pooler").fit(reviews[0])
    with pytest.warns(UserWarning, match="has no trained pooler, so training starts with a pooler of"):
        BertClassifier(tmp_path / "stored", pooling="pooler", **FAST).fit(*reviews)


# -- storing and bad input ----------------------------------------------------------------------------------


def test_unpickled_vectorizer_gives_the_same_vectors_and_pickle_holds_the_weights_once(minilm, reviews):
    vectorizer = BertVectorizer(minilm, device="cpu").fit(reviews[0])
    data = pickle.dumps(vectorizer)
    loaded = pickle.loads(data)
    np.testing.assert_array_equal(loaded.transform(reviews[0]), vectorizer.transform(reviews[0]))
    assert len(data) <= 1.02 * 4 * sum(p.numel() for p in vectorizer.net_.module_.parameters())


@pytest.mark.parametrize("value", [3, None, ["a"]])
def test_fit_raises_for_a_model_of_another_type(reviews, value):
    with pytest.raises(ValueError, match="The 'model' parameter of BertVectorizer must be an instance of 'str'"):
        BertVectorizer(value).fit(reviews[0])


def test_fit_raises_for_pairs(tiny_bert):
    message = (
        "X has 2 text columns, but BertVectorizer encodes one text per row. Pass one column, or join the vectors of "
        "both with a ColumnTransformer."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        BertVectorizer(tiny_bert).fit([("a", "b")])


def test_transform_raises_before_fit_and_for_another_column_name(tiny_bert, reviews):
    with pytest.raises(NotFittedError):
        BertVectorizer(tiny_bert).transform(reviews[0])
    vectorizer = BertVectorizer(tiny_bert, **EXACT).fit(pd.DataFrame({"review": reviews[0]}))
    assert list(vectorizer.feature_names_in_) == ["review"]
    with pytest.raises(ValueError, match="The feature names should match"):
        vectorizer.transform(pd.DataFrame({"summary": reviews[0]}))


@pytest.mark.parametrize("X", [pd.DataFrame({"summary": ["a"]}), ["a"]], ids=["a frame", "a list"])
def test_failed_fit_leaves_the_vectorizer_unchanged(tiny_bert, reviews, X):
    frame = pd.DataFrame({"review": reviews[0]})
    vectorizer = BertVectorizer(tiny_bert, **EXACT).fit(frame)
    vectors = vectorizer.transform(frame)
    before = dict(vars(vectorizer.set_params(max_length=1000)))
    with pytest.raises(ValueError, match="max_length=1000 is more than the model's 64 positions"):
        vectorizer.fit(X)
    assert vars(vectorizer) == before
    np.testing.assert_array_equal(vectorizer.transform(frame), vectors)


def test_parameters_are_documented_in_the_constructors_order():
    documented = re.findall(r"^    (\w+) : ", BertVectorizer.__doc__.split("Attributes\n")[0], flags=re.MULTILINE)
    assert documented == list(inspect.signature(BertVectorizer).parameters)


@pytest.mark.parametrize(
    ("X", "prefix"),
    [
        (["good", "bad"], "bertvectorizer"),
        (np.array(["good", "bad"]), "bertvectorizer"),
        (pd.Series(["good", "bad"]), "bertvectorizer"),
        (pd.Series(["good", "bad"], name="message"), "message_"),
        (pd.DataFrame({"message": ["good", "bad"]}), "message_"),
        (pl.Series("message", ["good", "bad"]), "message_"),
        (pl.DataFrame({"message": ["good", "bad"]}), "message_"),
    ],
    ids=["list", "array", "Series", "named Series", "DataFrame", "polars Series", "polars DataFrame"],
)
def test_names_of_features_carry_the_name_of_the_column(tiny_bert, X, prefix):
    vectorizer = BertVectorizer(tiny_bert, device="cpu").fit(X)
    names = [f"{prefix}{i}" for i in range(16)]
    assert list(vectorizer.get_feature_names_out()) == names
    assert list(pickle.loads(pickle.dumps(vectorizer)).get_feature_names_out()) == names


def test_vectors_of_two_columns_have_names_of_their_own(tiny_bert):
    tables = pd.DataFrame({"title": ["good", "bad"], "body": ["fine", "poor"], "price": [1, 2]})
    vectors = [(name, BertVectorizer(tiny_bert, device="cpu"), [name]) for name in ("title", "body")]
    joined = ColumnTransformer(vectors, remainder="passthrough", verbose_feature_names_out=False)
    names = list(joined.set_output(transform="pandas").fit_transform(tables).columns)
    assert names == [*(f"title_{i}" for i in range(16)), *(f"body_{i}" for i in range(16)), "price"]


def test_skrub_applies_the_vectorizer_to_each_column_of_texts(tiny_bert):
    skrub = pytest.importorskip("skrub")
    table = pd.DataFrame({"title": ["good", "bad"] * 8, "body": ["fine", "poor"] * 8, "price": range(16)})
    vectorizer = BertVectorizer(tiny_bert, device="cpu")
    found = skrub.ApplyToCols(vectorizer, cols=["title", "body"]).fit_transform(table)
    assert list(found.columns) == [*(f"title_{i}" for i in range(16)), *(f"body_{i}" for i in range(16)), "price"]
    np.testing.assert_array_equal(found.iloc[:, :16], vectorizer.fit_transform(table["title"]))
