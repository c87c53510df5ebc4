"""transformers opens stored estimators, and its own models are opened here."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from sklearn.base import clone

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._storage.folder import STATE
from tests.helpers import FAST, cases, exactly

FLOAT32 = {"device": "cpu", "precision": "float32"}
SHARED = FAST | FLOAT32 | {"pooling": "pooler", "pair_encoding": "cross_encoder"}


def open_in_transformers(folder, texts, **kwargs):
    """Logits and config of a folder opened by transformers."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, report = transformers.AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    with torch.inference_mode():
        encoded = tokenizer(*texts, padding=True, truncation=True, **kwargs, return_tensors="pt")
        return model.eval()(**encoded).logits.double().numpy(), model.config


@pytest.fixture(scope="module")
def targets(reviews):
    good = np.array([label == "good" for label in reviews[1]])
    loud = np.array(["!" in text for text in reviews[0]])
    return {
        "str": (BertClassifier, reviews[1]),
        "three ints": (BertClassifier, good * 10 + loud * 5),
        "bool": (BertClassifier, good),
        "labels": (BertClassifier, np.column_stack([good, loud]).astype(int)),
        "named labels": (BertClassifier, pd.DataFrame({"good": good, "loud": loud}).astype(int)),
        "number": (BertRegressor, 3e5 + 1e5 * good + 5e4 * loud),
        "numbers": (BertRegressor, np.column_stack([3e5 + 1e5 * good, -0.001 * loud])),
    }


NAMES = {
    "str": ["bad", "good"],
    "three ints": ["0", "5", "10", "15"],
    "bool": ["False", "True"],
    "labels": ["0", "1"],
    "named labels": ["good", "loud"],
    "number": ["LABEL_0"],
    "numbers": ["LABEL_0", "LABEL_1"],
}


@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
@pytest.mark.parametrize("kind", list(NAMES))
def test_transformers_opens_a_linear_head_on_the_pooler(tiny_bert, reviews, targets, kind, pairs, tmp_path):
    texts = reviews[0]
    estimator_class, y = targets[kind]
    X = list(zip(texts, texts[::-1], strict=True)) if pairs else texts
    estimator = estimator_class(tiny_bert, **SHARED).fit(X, y)
    estimator.save_pretrained(tmp_path / "model")
    logits, config = open_in_transformers(tmp_path / "model", (texts, texts[::-1]) if pairs else (texts,))
    assert config.problem_type == estimator.problem_type_
    assert [config.id2label[i] for i in range(config.num_labels)] == NAMES[kind]
    if estimator_class is BertRegressor:  # in the units of y
        scale = estimator.predict(X).reshape(len(X), -1).std(axis=0)
        np.testing.assert_allclose(logits / scale, estimator.predict(X).reshape(len(X), -1) / scale, rtol=1e-5)
    else:
        np.testing.assert_allclose(logits, estimator._logits(X), atol=1e-5)


@pytest.mark.parametrize("kind", ["str", "three ints", "named labels"])
def test_a_pipeline_of_transformers_returns_the_same_labels_and_scores(tiny_bert, reviews, targets, kind, tmp_path):
    estimator = BertClassifier(tiny_bert, **SHARED).fit(reviews[0], targets[kind][1])
    estimator.save_pretrained(tmp_path / "model")
    pipeline = transformers.pipeline("text-classification", model=str(tmp_path / "model"), device="cpu")
    scores = [{row["label"]: row["score"] for row in rows} for rows in pipeline(reviews[0], top_k=None)]
    scores = [[row[name] for name in NAMES[kind]] for row in scores]
    np.testing.assert_allclose(scores, estimator.predict_proba(reviews[0]), atol=1e-5)


def test_labels_with_the_same_text_are_numbered_in_transformers(tiny_bert, reviews, targets, tmp_path):
    y = targets["named labels"][1].set_axis([1, "1"], axis=1)
    estimator = BertClassifier(tiny_bert, **SHARED).fit(reviews[0], y)
    estimator.save_pretrained(tmp_path / "model")
    assert open_in_transformers(tmp_path / "model", (reviews[0],))[1].id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert list(BertClassifier.from_pretrained(tmp_path / "model").label_names_) == [1, "1"]


FORMS = {
    "mean": ({"pooling": "mean"}, False, "the pooling is 'mean', BERT's is 'pooler'"),
    "cls": ({"pooling": "cls"}, False, "the pooling is 'cls', BERT's is 'pooler'"),
    "mlp": ({"hidden_layer_sizes": (8,)}, False, "the head has hidden layers"),
    "bi_encoder": ({"pair_encoding": "bi_encoder"}, True, "the head compares two texts that are encoded separately"),
}


@pytest.mark.parametrize(("changes", "pairs", "reason"), **cases(FORMS))
def test_transformers_raises_an_error_with_the_reason_for_other_modules(
    tiny_bert, reviews, changes, pairs, reason, tmp_path
):
    texts, y = reviews
    X = list(zip(texts, texts, strict=True)) if pairs else texts
    estimator = BertClassifier(tiny_bert, **SHARED | changes).fit(X, y)
    estimator.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=re.escape(f"sklearn_bert ({reason}; open the folder with from_pretrained")):
        transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    loaded = BertClassifier.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(X), estimator.predict_proba(X))
    assert f"It does not open with transformers: {reason}." in (tmp_path / "model" / "README.md").read_text()


def test_a_stored_folder_is_a_checkpoint_for_another_fit(tiny_bert, reviews, tmp_path):
    """Whether transformers can open it or not, another fit starts at its weights, not at new ones."""
    still = FAST | {"learning_rate": 1e-12, "precision": "float32"}
    for pooling in ("mean", "pooler"):
        estimator = BertClassifier(tiny_bert, **FAST | {"pooling": pooling}).fit(*reviews)
        estimator.save_pretrained(tmp_path / pooling)
        further = BertRegressor(tmp_path / pooling, pooling=pooling, **still).fit(reviews[0], np.arange(48))
        word = "bert.embeddings.word_embeddings.weight"
        found, expected = (e.module_.state_dict()[word] for e in (further, estimator))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


# -- models of transformers -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def transformers_model(tiny_bert, tmp_path_factory):
    """Makes folders as transformers writes them."""

    def make(**config):
        folder = tmp_path_factory.mktemp("transformers_model")
        with torch.random.fork_rng():
            torch.manual_seed(1)
            model = transformers.BertForSequenceClassification.from_pretrained(tiny_bert, **config)
            torch.nn.init.normal_(model.classifier.weight)
        model.save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
        return folder

    return make


def test_a_classifier_of_transformers_predicts_its_labels(transformers_model, reviews):
    names = ["neutral", "good", "awful"]  # not sorted: classes_ are
    folder = transformers_model(id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})
    classifier = BertClassifier.from_pretrained(folder, **FLOAT32)
    logits, _ = open_in_transformers(folder, (reviews[0],))
    assert list(classifier.classes_) == sorted(names)
    np.testing.assert_array_equal(classifier.predict(reviews[0]), np.array(names)[logits.argmax(axis=1)])
    np.testing.assert_allclose(classifier._logits(reviews[0]), logits[:, np.argsort(names)], atol=1e-5)
    np.testing.assert_allclose(classifier.predict_proba(reviews[0]).sum(axis=1), 1)


def test_many_unnamed_classes_keep_their_logits(transformers_model, reviews):
    """Sorted as text, LABEL_10 comes before LABEL_2."""
    folder = transformers_model(num_labels=12)
    classifier = BertClassifier.from_pretrained(folder, **FLOAT32)
    logits, _ = open_in_transformers(folder, (reviews[0],))
    assert list(classifier.predict(reviews[0])) == [f"LABEL_{i}" for i in logits.argmax(axis=1)]


def test_a_multi_label_classifier_of_transformers_predicts_its_labels(transformers_model, reviews):
    folder = transformers_model(
        id2label={0: "z", 1: "a"}, label2id={"z": 0, "a": 1}, problem_type="multi_label_classification"
    )
    classifier = BertClassifier.from_pretrained(folder, **FLOAT32)
    logits, _ = open_in_transformers(folder, (reviews[0],))
    assert list(classifier.label_names_) == ["z", "a"]
    np.testing.assert_array_equal(classifier.predict(reviews[0]), logits > 0)


@pytest.mark.parametrize("config", [{"num_labels": 1}, {"num_labels": 3, "problem_type": "regression"}], ids=str)
def test_a_regressor_of_transformers_predicts_its_numbers(transformers_model, reviews, config):
    folder = transformers_model(**config)
    values = BertRegressor.from_pretrained(folder, **FLOAT32).predict(reviews[0])
    logits, _ = open_in_transformers(folder, (reviews[0],))
    assert values.shape == ((48,) if config["num_labels"] == 1 else (48, 3))
    np.testing.assert_allclose(values.reshape(48, -1), logits, atol=1e-5)


def test_a_classifier_of_transformers_takes_pairs_of_texts(transformers_model, reviews):
    folder, texts = transformers_model(num_labels=2), reviews[0]
    logits, _ = open_in_transformers(folder, (texts, texts[::-1]), return_token_type_ids=True)
    found = BertClassifier.from_pretrained(folder, **FLOAT32).decision_function(
        list(zip(texts, texts[::-1], strict=True))
    )
    np.testing.assert_allclose(found, logits[:, 1] - logits[:, 0], atol=1e-5)


def test_long_texts_are_truncated_as_in_transformers(transformers_model):
    folder, texts = transformers_model(num_labels=2), ["good " * 100 + "bad", "good"]
    logits, _ = open_in_transformers(folder, (texts,))
    np.testing.assert_allclose(BertClassifier.from_pretrained(folder, **FLOAT32)._logits(texts), logits, atol=1e-5)


def test_a_classifier_of_transformers_can_be_fitted_cloned_and_stored(transformers_model, reviews, tmp_path):
    folder = transformers_model(num_labels=2)
    classifier = BertClassifier.from_pretrained(folder, **FLOAT32)
    classifier.save_pretrained(tmp_path / "model")
    again = BertClassifier.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(reviews[0]), classifier.predict_proba(reviews[0]))
    classifier.set_params(**FAST | {"max_epochs": 10})
    assert clone(classifier).fit(*reviews).score(*reviews) > 0.9
    assert list(classifier.fit(*reviews).classes_) == ["bad", "good"]


def test_a_stored_estimator_without_its_manifest_is_an_error_with_the_cure(tiny_bert, reviews, tmp_path):
    BertClassifier(tiny_bert, **FAST).fit(*reviews).save_pretrained(tmp_path / "stored")  # mean pooling
    (tmp_path / "stored" / "sklearn_bert.json").unlink()
    message = (
        f"{str(tmp_path / 'stored')!r} holds an estimator of this package without its 'sklearn_bert.json'. Copy the "
        "whole folder again, or save the estimator again."
    )
    with pytest.raises(OSError, match=exactly(message)):
        BertClassifier.from_pretrained(tmp_path / "stored")


def test_weights_of_older_checkpoints_are_loaded_without_unpickling_objects(transformers_model, reviews):
    folder = transformers_model(num_labels=2)
    expected = BertClassifier.from_pretrained(folder, **FLOAT32).predict_proba(reviews[0])
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    np.testing.assert_array_equal(BertClassifier.from_pretrained(folder, **FLOAT32).predict_proba(reviews[0]), expected)


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_a_pickle_among_the_weights_is_an_error_and_is_not_run(transformers_model, capfd):
    folder = transformers_model(num_labels=2)
    (folder / "model.safetensors").unlink()
    torch.save({"classifier.weight": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(OSError, match=r"^The weights in .* cannot be read: "):
        BertClassifier.from_pretrained(folder, **FLOAT32)
    assert "executed" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("loader", "config", "expected"),
    [
        (BertRegressor, {"num_labels": 2}, "single_label_classification"),
        (BertClassifier, {"num_labels": 1}, "regression"),
    ],
)
def test_a_model_for_the_other_estimator_is_an_error_that_names_it(transformers_model, loader, config, expected):
    folder = transformers_model(**config)
    other = BertClassifier if loader is BertRegressor else BertRegressor
    message = (
        f"{str(folder)!r} holds a model of problem type {expected!r}, which is not for {loader.__name__}. "
        f"Load it with {other.__name__}.from_pretrained."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        loader.from_pretrained(folder)


def test_another_architecture_is_an_error_with_the_cure(tiny_bert):
    message = (
        f"{tiny_bert!r} holds ['BertModel'] of type 'bert'. Expected a folder that save_pretrained wrote, or one with "
        "a BertForSequenceClassification. For another encoder, pass the folder as model= and fit."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        BertClassifier.from_pretrained(tiny_bert)


def test_classes_of_the_same_name_are_an_error(transformers_model):
    folder = transformers_model(id2label={0: "a", 1: "a"}, label2id={"a": 0})
    with pytest.raises(ValueError, match=r"gives several classes the same name: \['a', 'a'\]\. Expected a name of its"):
        BertClassifier.from_pretrained(folder, **FLOAT32)


def test_missing_weights_are_an_error(transformers_model):
    from safetensors.torch import load_file, save_file

    folder = transformers_model(num_labels=2)
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(OSError, match=r"lack classifier\.bias\. Expected those of a fine-tuned Bert"):
        BertClassifier.from_pretrained(folder, **FLOAT32)


def test_a_stored_estimator_without_its_manifest_opens_as_a_model_of_transformers(tiny_bert, reviews, tmp_path):
    classifier = BertClassifier(tiny_bert, **SHARED).fit(*reviews)
    classifier.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / STATE).unlink()
    found = BertClassifier.from_pretrained(tmp_path / "model").predict(reviews[0])
    np.testing.assert_array_equal(found, classifier.predict(reviews[0]))


@pytest.mark.parametrize("id2label", [{1: "a", 2: "b"}, {0: "a", 1: None}, {0: "a", 5: "b"}, {0: "a", 1: 0.5}], ids=str)
@pytest.mark.parametrize("problem_type", [None, "single_label_classification", "multi_label_classification"])
def test_odd_names_of_labels_are_an_error_that_shows_them(transformers_model, id2label, problem_type):
    folder = transformers_model(num_labels=2)
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": id2label, "label2id": {}, "problem_type": problem_type}
    (folder / "config.json").write_text(json.dumps(config))
    ours = (
        f"The config.json of {str(folder)!r} has the id2label {id2label}. Expected a name for each of 0 to 1. Name "
        "them so there."
    )
    # Some releases of transformers refuse such names before this package sees them.
    theirs = f"The config.json of {str(folder)!r} has a value that transformers {transformers.__version__} refuses: "
    field = r"\w+, Validation error for field 'id2label': .+\. Correct this value in config\.json\.$"
    with pytest.raises(ValueError, match=f"{exactly(ours)}|^{re.escape(theirs)}{field}"):
        BertClassifier.from_pretrained(folder)
