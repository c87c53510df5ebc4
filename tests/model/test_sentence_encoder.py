"""A folder that declares itself a sentence encoder is used as it declares, and says what is not available."""

import json

import numpy as np
import pytest
from sklearn.preprocessing import Normalizer

from sklearn_bert import BertClassifier, BertVectorizer
from sklearn_bert._model.hub import resolve_checkpoint
from sklearn_bert._model.pooled_encoder import POOLINGS
from sklearn_bert._model.sentence_encoder import declared_pooling, trained_pooling
from tests.helpers import FAST, exactly

TYPES = "sentence_transformers.models."


def declare(folder, pooling, others=("Normalize",)):
    """Write the files of sentence-transformers: `pooling` is the config of the pooling."""
    names = ["Transformer", "Pooling", *others]
    paths = [f"{i}_{name}" if i else "" for i, name in enumerate(names)]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": TYPES + name}
        for i, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def modes(**chosen):
    """The config of a pooling in the older words."""
    names = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    values = {f"pooling_mode_{name}": chosen.get(name, False) for name in names}
    return {"word_embedding_dimension": 16, "include_prompt": True} | values


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (modes(cls_token=True), "cls"),
        (modes(mean_tokens=True), "mean"),
        ({"embedding_dimension": 16, "pooling_mode": "cls", "include_prompt": True}, "cls"),
        ({"embedding_dimension": 16, "pooling_mode": "mean"}, "mean"),
        ({"embedding_dimension": 16, "pooling_mode": ["cls"]}, "cls"),
    ],
    ids=["cls", "mean", "cls in new words", "mean in new words", "a list"],
)
def test_auto_pooling_is_what_the_folder_declares(folder, reviews, config, expected):
    declare(folder, config)
    assert declared_pooling(folder) == expected
    of_texts = {"cls": "cls", "mean": "mean_last_two"}[expected]
    for changes in ({}, {"head_init": "random"}, {"freeze": "encoder"}):
        assert BertClassifier(folder, **FAST | changes | {"max_epochs": 1}).fit(*reviews).module_.pooling == of_texts
    vectors = BertVectorizer(folder, device="cpu").fit_transform(reviews[0])
    chosen = BertVectorizer(folder, pooling=expected, device="cpu").fit_transform(reviews[0])
    np.testing.assert_array_equal(vectors, chosen)
    assert BertClassifier(folder, pooling="pooler", **FAST).fit(*reviews).module_.pooling == "pooler"


def test_a_resumed_training_keeps_its_pooling(folder, reviews):
    classifier = BertClassifier(declare(folder, modes(cls_token=True)), warm_start=True, **FAST).fit(*reviews)
    assert classifier.fit(*reviews).partial_fit(*reviews).module_.pooling == "cls"


@pytest.mark.parametrize(
    ("config", "others", "unknown", "expected"),
    [
        (modes(max_tokens=True), (), "max_tokens", None),
        (modes(lasttoken=True), (), "lasttoken", None),
        ({"pooling_mode": "weightedmean"}, (), "weightedmean", None),
        (modes(mean_tokens=True), ("Dense", "Normalize"), "Dense", "mean"),
        (modes(cls_token=True, mean_tokens=True), (), "two poolings", None),
        ({"pooling_mode": ["cls", "mean"]}, (), "two poolings", None),
        ({"pooling_mode": ["max", "mean"]}, (), "max", "mean"),
    ],
    ids=str,
)
def test_what_is_not_available_is_named(folder, reviews, config, others, unknown, expected):
    declare(folder, config, others)
    message = (
        f"{str(folder)!r} is declared as a sentence encoder with {unknown}, which is not available here: features and "
        "vectors are not those of sentence-transformers. Pass pooling='mean' or 'cls' to choose one of these."
    )
    with pytest.warns(UserWarning, match=exactly(message)):
        vectorizer = BertVectorizer(folder, device="cpu").fit(reviews[0])
    assert vectorizer.net_.module_.pooling == (expected or "mean")
    BertVectorizer(folder, pooling="mean", device="cpu").fit(reviews[0])  # the cure


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}",
        "[]",
        "[1]",
        '[{"path": ""}]',
        '[{"type": "a.Transformer", "path": ""}]',
        '[{"type": "a.Pooling", "path": 1}]',
    ],
)
def test_files_that_declare_nothing_are_no_reason_to_fail(folder, text):
    (folder / "modules.json").write_text(text)
    assert declared_pooling(folder) is None
    declare(folder, modes(cls_token=True))
    (folder / "1_Pooling" / "config.json").write_text(text)
    assert declared_pooling(folder) is None


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_folder_of_a_stored_estimator_declares_its_pooling(folder, reviews, tmp_path, pooling):
    classifier = BertClassifier(folder, pooling=pooling, **FAST | {"max_epochs": 1}).fit(*reviews)
    stored = tmp_path / "stored"
    classifier.save_pretrained(stored)
    vectors = BertVectorizer(str(stored), device="cpu").fit_transform(reviews[0])
    np.testing.assert_array_equal(vectors, BertVectorizer(classifier, device="cpu").fit_transform(reviews[0]))
    assert BertClassifier(str(stored), **FAST).fit(*reviews).module_.pooling == pooling
    (stored / "sklearn_bert.json").write_text('{"net": []}')
    assert trained_pooling(stored) is None


@pytest.mark.usefixtures("no_network")
def test_a_download_brings_the_declaration(hub):
    declare(hub.repository, modes(cls_token=True))
    assert declared_pooling(resolve_checkpoint("org/name")) == "cls"


def test_a_prompt_is_put_before_each_text(tiny_bert, reviews):
    texts = reviews[0]
    prompted = BertVectorizer(tiny_bert, prompt="very ", device="cpu").fit(texts)
    plain = BertVectorizer(tiny_bert, device="cpu").fit(texts)
    np.testing.assert_array_equal(prompted.transform(texts), plain.transform([f"very {text}" for text in texts]))
    assert abs(prompted.transform(texts) - plain.transform(texts)).max() > 1e-3


def declare_prompts(folder, default=None, **prompts):
    """Write the prompts of sentence-transformers, and the name of the one that is used if none is given."""
    config = {"prompts": prompts, "default_prompt_name": default}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("pooling", [modes(cls_token=True), modes(mean_tokens=True)], ids=["cls", "mean"])
@pytest.mark.parametrize("normalised", [False, True])
def test_vectors_are_those_of_sentence_transformers(folder, reviews, pooling, normalised):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    declare(folder, pooling, ("Normalize",) if normalised else ())
    reference = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    texts = [*reviews[0], "", "good " * 30, "Ünknown wörds 好 👍"]
    for prompt in (None, "very good "):
        vectorizer = BertVectorizer(folder, prompt=prompt, device="cpu", precision="float32")
        vectors = vectorizer.fit_transform(texts)
        expected = reference.encode(texts, prompt=prompt, normalize_embeddings=False)
        found = Normalizer().transform(vectors) if normalised else vectors
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        assert abs(vectors).max() > 1


def test_vectors_of_a_folder_with_a_default_prompt_are_those_of_sentence_transformers(folder, reviews):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    declare_prompts(declare(folder, modes(mean_tokens=True), ()), "query", query="very ", document="")
    reference = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    for prompt in (None, "", "good "):
        vectorizer = BertVectorizer(folder, prompt=prompt, device="cpu", precision="float32").fit(reviews[0])
        assert vectorizer.prompt_ == ("very " if prompt is None else prompt)
        expected = reference.encode(reviews[0], prompt=prompt, normalize_embeddings=False)
        np.testing.assert_allclose(vectorizer.transform(reviews[0]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"prompts": ["a"]}',
        '{"prompts": {"a": 1}, "default_prompt_name": "a"}',
        '{"prompts": {}, "default_prompt_name": []}',
    ],
)
def test_without_a_default_prompt_nothing_is_put_before_the_texts(folder, reviews, text):
    (folder / "config_sentence_transformers.json").write_text(text)
    assert BertVectorizer(folder, device="cpu").fit(reviews[0]).prompt_ == ""
    declare_prompts(folder, query="very ")
    assert BertVectorizer(folder, device="cpu").fit(reviews[0]).prompt_ == ""


def test_a_pooling_without_the_prompt_is_named_if_there_is_one(folder, reviews):
    declare(folder, modes(mean_tokens=True) | {"include_prompt": False})
    assert BertVectorizer(folder, device="cpu").fit(reviews[0]).prompt_ == ""
    with pytest.warns(UserWarning, match="with a pooling without the prompt's tokens, which is not available here"):
        BertVectorizer(folder, prompt="very ", device="cpu").fit(reviews[0])
    BertVectorizer(folder, prompt="very ", pooling="mean", device="cpu").fit(reviews[0])  # the cure
