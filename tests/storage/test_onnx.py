"""The exported model gives what the estimator gives, without torch."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_bert import BertClassifier, BertRegressor
from tests.helpers import cases, exactly

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

QUICK = {"max_epochs": 2, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}
EXACT = QUICK | {"precision": "float32"}
SERVE = Path(__file__).parents[2] / "examples" / "serve_onnx.py"


def served(folder, texts):
    """Logits under onnxruntime, of texts that `tokenizers` reads alone; pairs may be flattened to texts."""
    from tokenizers import Tokenizer

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    encoded = Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(texts)
    rows = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    rows = {name: np.array([getattr(row, key) for row in encoded], dtype=np.int64) for name, key in rows.items()}
    assert [given.shape[0] for given in session.get_inputs()] != [len(texts)] * 3
    return session.run(["logits"], {given.name: rows[given.name] for given in session.get_inputs()})[0]


@pytest.fixture(scope="module")
def two_hundred_texts():
    """Of lengths from one token of text to the tiny BERT's limit of 64, special tokens included."""
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
    """A classifier and its folder; exporting takes seconds."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("onnx")
    estimator = BertClassifier(tiny_bert, **EXACT | {"max_epochs": 8}).fit(*reviews)
    estimator.export_onnx(folder / "model.onnx")
    return estimator, folder


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "settings", "target"), **cases(FORMS))
def test_two_hundred_texts_of_all_lengths_agree(
    tiny_bert, reviews, two_hundred_texts, estimator, settings, target, tmp_path
):
    estimator = estimator(tiny_bert, **EXACT | settings).fit(reviews[0], target(np.array(reviews[1])))
    estimator.export_onnx(tmp_path / "model.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "tokenizer.json"]
    logits = served(tmp_path, two_hundred_texts)
    if isinstance(estimator, BertRegressor):
        np.testing.assert_allclose(logits[:, 0], estimator.predict(two_hundred_texts), atol=1e-4)
    else:
        np.testing.assert_allclose(logits, estimator._logits(two_hundred_texts), atol=1e-4)
    for n_rows in (1, 3):  # another batch, and another width
        np.testing.assert_allclose(served(tmp_path, two_hundred_texts[:n_rows]), logits[:n_rows], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("pair_encoding", ["cross_encoder", "bi_encoder"])
def test_pairs_agree(tiny_bert, reviews, pair_encoding, tmp_path):
    texts, y = reviews
    pairs = list(zip(texts, texts[::-1], strict=True))
    estimator = BertClassifier(tiny_bert, pair_encoding=pair_encoding, **EXACT).fit(pairs, y)
    estimator.export_onnx(tmp_path / "model.onnx")
    rows = pairs if pair_encoding == "cross_encoder" else [text for pair in pairs for text in pair]
    np.testing.assert_allclose(served(tmp_path, rows), estimator._logits(pairs), atol=1e-4)


@pytest.mark.slow
def test_a_real_model_agrees(minilm, reviews, two_hundred_texts, tmp_path):
    estimator = BertClassifier(minilm, max_epochs=1, random_state=0, device="cpu", precision="float32").fit(*reviews)
    estimator.export_onnx(tmp_path / "model.onnx")
    texts = [*two_hundred_texts[::10], "a long story " * 200]
    np.testing.assert_allclose(
        served(tmp_path, texts)[:-1], estimator._logits(texts)[:-1], atol=1e-4
    )  # of the last one the tokenizer keeps the beginning only
    assert len(served(tmp_path, texts)) == len(texts)


def test_a_text_gives_the_same_alone_and_in_company(exported, two_hundred_texts):
    estimator, folder = exported
    texts = two_hundred_texts[::20]
    alone = np.concatenate([served(folder, [text]) for text in texts])
    np.testing.assert_allclose(alone, served(folder, texts), atol=1e-5)
    np.testing.assert_allclose(alone, estimator._logits(texts), atol=1e-4)


def serve(folder, texts):
    """What the example prints, a line per text, in a process that has neither torch nor transformers."""
    program = (
        f"import runpy, sys; sys.argv = ['serve', {str(folder)!r}]; runpy.run_path({str(SERVE)!r});"
        "assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], input="\n".join(texts), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_the_example_serves_without_torch(exported, reviews):
    estimator, folder = exported
    assert serve(folder, reviews[0]) == list(estimator.predict(reviews[0]))


def test_the_example_serves_labels_and_numbers(tiny_bert, reviews, tmp_path):
    texts, numbers = reviews[0], np.arange(96.0).reshape(48, 2)
    labels = pd.DataFrame({"nice": [y == "good" for y in reviews[1]], "odd": np.arange(48) % 2 == 1}).astype(int)
    classifier = BertClassifier(tiny_bert, **EXACT).fit(texts, labels)
    classifier.export_onnx(tmp_path / "model.onnx")
    names = classifier.label_names_
    assert serve(tmp_path, texts) == [" ".join(names[row == 1]) for row in classifier.predict(texts)]
    regressor = BertRegressor(tiny_bert, **EXACT).fit(texts, numbers)
    regressor.export_onnx(tmp_path / "model.onnx")
    printed = [[float(value) for value in line.split()] for line in serve(tmp_path, texts)]
    np.testing.assert_allclose(printed, regressor.predict(texts), rtol=1e-4, atol=1e-4)


def test_the_file_names_its_labels(exported):
    metadata = onnxruntime.InferenceSession(exported[1] / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(metadata["labels"]) == ["bad", "good"]
    assert json.loads(metadata["problem_type"]) == "single_label_classification"


def test_exporting_is_silent_and_changes_nothing(tiny_bert, reviews, tmp_path, capfd):
    estimator = BertRegressor(tiny_bert, **QUICK).fit(reviews[0], np.arange(48))
    level = logging.getLogger("torch.onnx").level
    before, state = estimator.predict(reviews[0]), torch.get_rng_state()
    estimator.export_onnx(tmp_path / "model.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "tokenizer.json"]
    np.testing.assert_array_equal(estimator.predict(reviews[0]), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("torch.onnx").level == level


def test_a_path_that_cannot_be_written_is_an_error(tiny_bert, reviews, tmp_path):
    estimator = BertClassifier(tiny_bert, **QUICK).fit(*reviews)
    for path, cure in ((tmp_path, "add a file name"), (tmp_path / "absent" / "model.onnx", "make the folder first")):
        message = (
            f"{str(path)!r} is not the path of a file in a folder that exists. Expected one such as 'model.onnx'; "
        )
        with pytest.raises(OSError, match=exactly(f"{message}{cure}.")):
            estimator.export_onnx(path)


def test_a_tokenizer_in_python_is_an_error(tiny_bert, reviews, tmp_path, monkeypatch):
    estimator = BertClassifier(tiny_bert, **QUICK).fit(*reviews)
    monkeypatch.setattr(type(estimator.tokenizer_), "is_fast", False)
    message = (
        f"The tokenizer {type(estimator.tokenizer_).__name__} cannot stand beside the model: it is written in Python. "
        "Expected a fast tokenizer, one with a tokenizer.json. Choose a checkpoint that has one."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        estimator.export_onnx(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_error_says_what_to_install(tiny_bert, reviews, tmp_path, monkeypatch):
    estimator = BertClassifier(tiny_bert, **QUICK).fit(*reviews)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = (
        "export_onnx needs onnx and onnxscript, which cannot be imported. Install the extra: "
        "pip install 'sklearn-bert[onnx]'."
    )
    with pytest.raises(ImportError, match=exactly(message)):
        estimator.export_onnx(tmp_path / "model.onnx")
