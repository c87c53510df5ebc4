"""The exported model predicts what the estimator predicts, without torch."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.torch_version import TorchVersion

from sklearn_bert import BertClassifier, BertRegressor
from tests.helpers import FAST, cases, exactly

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.skipif(torch.__version__ < (2, 8), reason="torch cannot export the models")

FLOAT32 = FAST | {"precision": "float32"}
SERVE = Path(__file__).parents[2] / "examples" / "serve_onnx.py"


def served_logits(folder, texts):
    """Logits of onnxruntime for texts that `tokenizers` encodes; pairs may be flattened to texts."""
    from tokenizers import Tokenizer

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    encoded = Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(texts)
    rows = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    rows = {name: np.array([getattr(row, key) for row in encoded], dtype=np.int64) for name, key in rows.items()}
    assert [given.shape[0] for given in session.get_inputs()] != [len(texts)] * 3
    return session.run(["logits"], {given.name: rows[given.name] for given in session.get_inputs()})[0]


@pytest.fixture(scope="module")
def two_hundred_texts():
    """Texts of one word up to the tiny BERT's limit of 64 tokens, special tokens included."""
    rng = np.random.default_rng(0)
    words = "the movie plot soup was very good bad awful nice !".split()
    return [" ".join(rng.choice(words, 1 + i * 61 // 199)) for i in range(200)]


def both(y):
    return np.column_stack([y == "good", y == "bad"]).astype(int)


FORMS = {
    "classes": (BertClassifier, {}, lambda y: y),
    "cls, hidden layers, labels": (BertClassifier, {"pooling": "cls", "hidden_layer_sizes": (5,)}, both),
    "pooler, number": (BertRegressor, {"pooling": "pooler"}, lambda y: 3 + 2.0 * (y == "good")),
}


@pytest.fixture(scope="module")
def exported(tiny_bert, reviews, tmp_path_factory):
    """A classifier and the folder of its exported file; module-scoped because exporting takes seconds."""
    folder = tmp_path_factory.mktemp("onnx")
    estimator = BertClassifier(tiny_bert, **FLOAT32 | {"max_epochs": 8}).fit(*reviews)
    estimator.export_onnx(folder / "model.onnx")
    return estimator, folder


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "settings", "target"), **cases(FORMS))
def test_the_exported_model_agrees_on_texts_of_all_lengths(
    tiny_bert, reviews, two_hundred_texts, estimator, settings, target, tmp_path
):
    estimator = estimator(tiny_bert, **FLOAT32 | settings).fit(reviews[0], target(np.array(reviews[1])))
    estimator.export_onnx(tmp_path / "model.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "tokenizer.json"]
    logits = served_logits(tmp_path, two_hundred_texts)
    if isinstance(estimator, BertRegressor):
        np.testing.assert_allclose(logits[:, 0], estimator.predict(two_hundred_texts), atol=1e-4)
    else:
        np.testing.assert_allclose(logits, estimator._logits(two_hundred_texts), atol=1e-4)
    for n_rows in (1, 3):  # of another batch size and length
        np.testing.assert_allclose(served_logits(tmp_path, two_hundred_texts[:n_rows]), logits[:n_rows], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("pair_encoding", ["cross_encoder", "bi_encoder"])
def test_the_exported_model_agrees_on_pairs(tiny_bert, reviews, pair_encoding, tmp_path):
    texts, y = reviews
    pairs = list(zip(texts, texts[::-1], strict=True))
    estimator = BertClassifier(tiny_bert, pair_encoding=pair_encoding, **FLOAT32).fit(pairs, y)
    estimator.export_onnx(tmp_path / "model.onnx")
    rows = pairs if pair_encoding == "cross_encoder" else [text for pair in pairs for text in pair]
    np.testing.assert_allclose(served_logits(tmp_path, rows), estimator._logits(pairs), atol=1e-4)


@pytest.mark.slow
def test_an_exported_pretrained_model_agrees(minilm, reviews, two_hundred_texts, tmp_path):
    estimator = BertClassifier(minilm, max_epochs=1, random_state=0, device="cpu", precision="float32").fit(*reviews)
    estimator.export_onnx(tmp_path / "model.onnx")
    texts = [*two_hundred_texts[::10], "a long story " * 200]
    logits = served_logits(tmp_path, texts)
    assert len(logits) == len(texts)
    # Of the last text the exported tokenizer keeps the beginning only.
    np.testing.assert_allclose(logits[:-1], estimator._logits(texts)[:-1], atol=1e-4)


def test_the_exported_model_gives_the_same_logits_whatever_the_batch(exported, two_hundred_texts):
    estimator, folder = exported
    texts = two_hundred_texts[::20]
    alone = np.concatenate([served_logits(folder, [text]) for text in texts])
    np.testing.assert_allclose(alone, served_logits(folder, texts), atol=1e-5)
    np.testing.assert_allclose(alone, estimator._logits(texts), atol=1e-4)


def lines_of_the_example(folder, texts):
    """What the example prints, one line for each text, in a process without torch and transformers."""
    program = (
        f"import runpy, sys; sys.argv = ['serve', {str(folder)!r}]; runpy.run_path({str(SERVE)!r});"
        "assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], input="\n".join(texts), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_the_example_predicts_without_torch(exported, reviews):
    estimator, folder = exported
    assert lines_of_the_example(folder, reviews[0]) == list(estimator.predict(reviews[0]))


def test_the_example_predicts_several_labels_and_numbers(tiny_bert, reviews, tmp_path):
    texts, numbers = reviews[0], np.arange(96.0).reshape(48, 2)
    labels = pd.DataFrame({"nice": [y == "good" for y in reviews[1]], "odd": np.arange(48) % 2 == 1}).astype(int)
    classifier = BertClassifier(tiny_bert, **FLOAT32).fit(texts, labels)
    classifier.export_onnx(tmp_path / "model.onnx")
    names = classifier.label_names_
    assert lines_of_the_example(tmp_path, texts) == [" ".join(names[row == 1]) for row in classifier.predict(texts)]
    regressor = BertRegressor(tiny_bert, **FLOAT32).fit(texts, numbers)
    regressor.export_onnx(tmp_path / "model.onnx")
    printed = [[float(value) for value in line.split()] for line in lines_of_the_example(tmp_path, texts)]
    np.testing.assert_allclose(printed, regressor.predict(texts), rtol=1e-4, atol=1e-4)


def test_the_exported_file_holds_labels_and_problem_type(exported):
    metadata = onnxruntime.InferenceSession(exported[1] / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(metadata["labels"]) == ["bad", "good"]
    assert json.loads(metadata["problem_type"]) == "single_label_classification"


def test_export_onnx_prints_nothing_and_changes_no_state(tiny_bert, reviews, tmp_path, capfd):
    estimator = BertRegressor(tiny_bert, **FAST).fit(reviews[0], np.arange(48))
    level = logging.getLogger("torch.onnx").level
    before, state = estimator.predict(reviews[0]), torch.get_rng_state()
    estimator.export_onnx(tmp_path / "model.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "tokenizer.json"]
    np.testing.assert_array_equal(estimator.predict(reviews[0]), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("torch.onnx").level == level


def test_export_onnx_to_a_path_that_is_no_file_is_an_error_with_the_cure(tiny_bert, reviews, tmp_path):
    estimator = BertClassifier(tiny_bert, **FAST).fit(*reviews)
    for path, cure in ((tmp_path, "add a file name"), (tmp_path / "absent" / "model.onnx", "make the folder first")):
        message = (
            f"{str(path)!r} is not the path of a file in a folder that exists. Expected one such as 'model.onnx'; "
        )
        with pytest.raises(OSError, match=exactly(f"{message}{cure}.")):
            estimator.export_onnx(path)


def test_export_onnx_of_a_slow_tokenizer_is_an_error(tiny_bert, reviews, tmp_path, monkeypatch):
    estimator = BertClassifier(tiny_bert, **FAST).fit(*reviews)
    monkeypatch.setattr(type(estimator.tokenizer_), "is_fast", False)
    message = (
        f"The tokenizer {type(estimator.tokenizer_).__name__} cannot be written to a tokenizer.json. "
        "Expected a fast tokenizer, one with a tokenizer.json. Choose a checkpoint that has one."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        estimator.export_onnx(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_export_onnx_without_the_extra_is_an_error_that_names_what_to_install(
    tiny_bert, reviews, tmp_path, monkeypatch
):
    estimator = BertClassifier(tiny_bert, **FAST).fit(*reviews)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = (
        "export_onnx needs onnx and onnxscript, which cannot be imported. Install the extra: "
        "pip install 'sklearn-bert[onnx]'."
    )
    with pytest.raises(ImportError, match=exactly(message)):
        estimator.export_onnx(tmp_path / "model.onnx")


def test_export_onnx_with_a_torch_that_cannot_export_is_an_error_that_names_what_to_install(
    tiny_bert, reviews, tmp_path, monkeypatch
):
    estimator = BertClassifier(tiny_bert, **FAST).fit(*reviews)
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.7.1+cu126"))
    message = (
        "export_onnx needs torch 2.8 or later, got 2.7.1+cu126, whose exporter cannot export a model for texts of "
        "any length. Install a later one: pip install 'torch>=2.8'."
    )
    with pytest.raises(ImportError, match=exactly(message)):
        estimator.export_onnx(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
