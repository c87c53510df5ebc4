"""The linear model that starts the head, by itself and in the estimators."""

import functools
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from transformers import AutoModel, AutoTokenizer

from sklearn_bert import BertClassifier, BertNet, BertRegressor
from sklearn_bert._data.sampling import merge_copies
from sklearn_bert._training.linear_probe import solve_head

SINGLE, MULTI, REGRESSION = "single_label_classification", "multi_label_classification", "regression"


def problem(kind, n=60, hidden=6, seed=0):
    """Features, encoded targets that a linear model finds, weights and the number of logits."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, hidden)) * rng.uniform(0.5, 2, hidden) + 3
    scores = (features - 3) @ rng.normal(size=(hidden, 3))
    y = {SINGLE: scores.argmax(axis=1), MULTI: (scores > 0).astype(float), REGRESSION: scores}[kind]
    return features.astype(np.float32), y, rng.integers(1, 4, n).astype(float), 3


def normalised(w):
    return w * len(w) / w.sum()


@pytest.mark.parametrize("kind", [SINGLE, MULTI, REGRESSION])
def test_the_head_fits_what_is_linear(kind):
    features, y, w, n_labels = problem(kind, n=600)
    weight, bias = solve_head(kind, features, y, normalised(w), n_labels)
    logits = features @ weight.T + bias
    assert (weight.shape, bias.shape) == ((3, 6), (3,))
    if kind == REGRESSION:
        assert np.corrcoef(logits.ravel(), y.ravel())[0, 1] > 0.95
    else:
        predicted = logits.argmax(axis=1) if kind == SINGLE else logits > 0
        assert (predicted == y).mean() > 0.9


@pytest.mark.parametrize("kind", [SINGLE, MULTI, REGRESSION])
def test_a_weight_of_k_counts_as_k_copies(kind):
    features, y, w, n_labels = problem(kind)
    weighted = solve_head(kind, features, y, normalised(w), n_labels)
    copies = np.repeat(np.arange(len(w)), w.astype(int))
    rows, merged = merge_copies(copies.tolist(), np.ones(len(copies)))
    copied = solve_head(kind, features[copies[rows]], y[copies[rows]], merged, n_labels)
    for one, other in zip(weighted, copied, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_two_classes_get_half_the_margin_each():
    features, y, w, _ = problem(SINGLE)
    weight, bias = solve_head(SINGLE, features, (y == 1).astype(int), normalised(w), 2)
    np.testing.assert_array_equal(weight[0], -weight[1])
    centre = np.average(features.astype(float), axis=0, weights=w)
    np.testing.assert_allclose(bias[0] + weight[0] @ centre, -(bias[1] + weight[1] @ centre))


def test_the_solution_is_folded_back_to_the_features_as_they_are():
    """The same model as scikit-learn's on centred and scaled features."""
    features, y, _, _ = problem(SINGLE)
    weight, bias = solve_head(SINGLE, features, y, np.ones(60), 3)
    centred = features.astype(float) - features.astype(float).mean(axis=0)
    scale = max(np.sqrt((centred**2).mean()), 0.3 * np.sqrt((features.astype(float) ** 2).mean()))
    X = centred / scale
    model = LogisticRegression(C=4 / X.shape[1], tol=1e-10, solver="newton-cholesky").fit(X, y)
    np.testing.assert_allclose(features @ weight.T + bias, model.decision_function(X), rtol=1e-5, atol=1e-5)


def test_regression_is_a_ridge():
    features, y, w, _ = problem(REGRESSION)
    weight, bias = solve_head(REGRESSION, features, y[:, :1], normalised(w), 1)
    centred = features.astype(float) - np.average(features.astype(float), axis=0, weights=w)
    scale = np.sqrt(np.average((centred**2).mean(axis=1), weights=w))
    scale = max(scale, 0.3 * np.sqrt(np.average((features.astype(float) ** 2).mean(axis=1), weights=w)))
    model = Ridge(alpha=4 * features.shape[1]).fit(centred / scale, y[:, 0], sample_weight=normalised(w))
    np.testing.assert_allclose((features @ weight.T + bias)[:, 0], model.predict(centred / scale), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_a_label_that_never_changes_gets_its_log_odds(constant):
    features, y, w, _ = problem(MULTI)
    y[:, 1] = constant
    weight, bias = solve_head(MULTI, features, y, normalised(w), 3)
    assert not weight[1].any()
    assert bias[1] == pytest.approx(np.log(60.5 / 0.5) * (1 if constant else -1))


@pytest.mark.parametrize("kind", [SINGLE, MULTI, REGRESSION])
@pytest.mark.parametrize("n", [2, 3])
def test_a_few_rows_are_enough(kind, n):
    features, y, _, n_labels = problem(kind)
    y = np.arange(n) % 2 if kind == SINGLE else y[:n]
    n_labels = 2 if kind == SINGLE else n_labels
    assert all(np.isfinite(part).all() for part in solve_head(kind, features[:n], y, np.ones(n), n_labels))


def test_features_that_do_not_differ_give_the_priors():
    weight, bias = solve_head(SINGLE, np.ones((8, 4), dtype=np.float32), np.array([0, 1, 1, 1] * 2), np.ones(8), 2)
    assert np.abs(weight).max() < 1e-6
    assert bias[1] - bias[0] == pytest.approx(np.log(3), rel=1e-3)


def test_features_that_hardly_differ_do_not_get_large_weights():
    features, y, w, n_labels = problem(REGRESSION)
    weight, _ = solve_head(REGRESSION, 100 + 1e-4 * features, y, w, n_labels)
    assert np.abs(weight).max() < 1


def test_a_hundred_classes_of_two_rows_each():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(100, 32))
    y = np.repeat(np.arange(100), 2)
    weight, bias = solve_head(
        SINGLE, (centres[y] + 0.1 * rng.normal(size=(200, 32))).astype(np.float32), y, np.ones(200), 100
    )
    assert ((centres @ weight.T + bias).argmax(axis=1) == np.arange(100)).mean() > 0.9


# -- in the estimators ----------------------------------------------------------------------------------

STILL = {"max_epochs": 1, "learning_rate": 1e-12, "random_state": 0, "device": "cpu", "precision": "float64"}


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean"])
def test_before_training_the_estimator_is_the_linear_model(minilm, reviews, pooling):
    texts, labels = reviews
    y = np.array([5.0 if label == "good" else 1.0 for label in labels])
    regressor = BertRegressor(minilm, head_init="linear_probe", pooling=pooling, **STILL).fit(texts, y)
    encoded = regressor.tokenizer_(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        features = regressor.module_.features(**encoded).numpy()
    rows, w = merge_copies(texts, np.ones(48))
    lengths = np.linalg.norm(features[rows], axis=1, keepdims=True)
    of_one_length = features[rows] / lengths * lengths.mean()
    weight, bias = solve_head(REGRESSION, of_one_length, (y[rows, None] - 3) / 2, w, 1)
    np.testing.assert_allclose(regressor.predict(texts), 3 + 2 * (features @ weight.T + bias)[:, 0], rtol=1e-6)


def test_short_texts_with_long_features_weigh_no_more_than_others(minilm, reviews, monkeypatch):
    """A text's features times ten, as if it were a much shorter one: the head is the same but for their mean length."""
    texts, y = reviews[0][:12], reviews[1][:12]
    predict = BertNet.predict_features

    def stretched(net, dataset, *args):
        features = predict(net, dataset, *args)
        return features * np.linspace(1, 10, len(features), dtype=features.dtype)[:, None]

    weights = []
    for features in (predict, stretched):
        monkeypatch.setattr(BertNet, "predict_features", features)
        classifier = BertClassifier(minilm, contrastive_steps=0, **STILL).fit(texts, y)
        weights.append(classifier.module_.classifier.weight.detach().numpy().ravel())
    assert np.corrcoef(*weights)[0, 1] == pytest.approx(1, abs=1e-6)


def test_the_probe_already_separates_what_random_weights_do_not(minilm, reviews):
    probe, random = (
        BertClassifier(minilm, head_init=start, **STILL).fit(*reviews) for start in ("linear_probe", "random")
    )
    assert probe.score(*reviews) > 0.9
    assert probe.loss_curve_[0] < 0.8 * random.loss_curve_[0]


def test_hidden_layers_start_at_random_either_way(tiny_bert, reviews):
    settings = {"max_epochs": 1, "random_state": 0, "device": "cpu", "pooling": "mean", "hidden_layer_sizes": (4,)}
    probe, random = (
        BertClassifier(tiny_bert, head_init=start, **settings).fit(*reviews).predict_proba(reviews[0])
        for start in ("linear_probe", "random")
    )
    np.testing.assert_array_equal(probe, random)


def test_the_same_seed_gives_the_same_weights(tiny_bert, reviews):
    settings = {"max_epochs": 2, "random_state": 0, "device": "cpu", "head_init": "linear_probe"}
    first, second = (BertClassifier(tiny_bert, **settings).fit(*reviews).module_.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_encoder_whose_outputs_are_not_finite_is_an_error(tiny_bert, reviews, tmp_path):
    model = AutoModel.from_pretrained(tiny_bert)
    with torch.no_grad():
        model.embeddings.LayerNorm.bias[0] = torch.nan
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path)
    sentence = (
        "The encoder's outputs are not finite before any training. Check the checkpoint's weights, or pass "
        "precision='float32'."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        BertClassifier(tmp_path, device="cpu").fit(*reviews)


@pytest.mark.parametrize("kind", [SINGLE, MULTI, REGRESSION])
def test_a_tool_that_wraps_every_fit_sees_no_linear_model(kind, monkeypatch):
    features, y, w, n_labels = problem(kind)
    expected = solve_head(kind, features, y, w, n_labels)
    for estimator in (LogisticRegression, Ridge):
        fit = estimator.fit

        @functools.wraps(fit)
        def recorded(*args, **kwargs):
            raise AssertionError("a run was recorded")

        monkeypatch.setattr(estimator, "fit", recorded)
    for found, known in zip(solve_head(kind, features, y, w, n_labels), expected, strict=True):
        np.testing.assert_allclose(found, known, rtol=0, atol=1e-6)


AUTOLOG = """
import logging, sys, warnings
warnings.simplefilter("ignore")
import mlflow
from sklearn_bert import BertClassifier
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[2]}/runs.db")
mlflow.sklearn.autolog()
BertClassifier(sys.argv[1], max_epochs=1, device="cpu").fit(["good", "bad"] * 4, [0, 1] * 4)
print("runs:", len(mlflow.search_runs()))
"""


@pytest.mark.slow
def test_mlflows_autolog_records_no_linear_model(tiny_bert, tmp_path):
    pytest.importorskip("mlflow")
    command = [sys.executable, "-c", AUTOLOG, tiny_bert, str(tmp_path)]
    output = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert output.splitlines()[-1] == "runs: 0"
