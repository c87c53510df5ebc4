"""What both estimators share: the scikit-learn contract, predictions, copies. Other test_base modules test the fit."""

import os
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_bert import BertClassifier, BertRegressor
from tests.helpers import FAST, probabilities_in_a_new_process


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
def test_constructor_stores_each_parameter_as_given_and_clone_copies_all(estimator, tiny_bert):
    sizes = [3, 4]
    original = estimator(tiny_bert, hidden_layer_sizes=sizes, learning_rate=3e-5, device=torch.device("cpu"))
    assert original.hidden_layer_sizes is sizes
    assert clone(original).get_params() == original.get_params()


def test_predict_before_fit_raises_not_fitted_error(tiny_bert):
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(BertClassifier(tiny_bert), method)(["text"])


def test_fit_raises_when_x_and_y_differ_in_length(tiny_bert):
    message = "inconsistent numbers of samples: [3, 2]. Pass one value, or one row of values, of y per row of X."
    with pytest.raises(ValueError, match=re.escape(message)):
        BertClassifier(tiny_bert).fit(["a", "b", "c"], [0, 1])


def test_fit_sets_feature_names_for_a_dataframe_and_removes_them_for_a_list(tiny_bert, reviews):
    texts, y = reviews
    estimator = BertClassifier(tiny_bert, **FAST).fit(pd.DataFrame({"review": texts}), y)
    assert (estimator.n_features_in_, list(estimator.feature_names_in_)) == (1, ["review"])
    estimator.fit(texts, y)
    assert not hasattr(estimator, "n_features_in_")
    assert not hasattr(estimator, "feature_names_in_")


def test_predict_raises_for_another_column_name_than_in_fit(tiny_bert, reviews):
    texts, y = reviews
    estimator = BertClassifier(tiny_bert, **FAST).fit(pd.DataFrame({"review": texts}), y)
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        estimator.predict(pd.DataFrame({"summary": texts}))


def test_predict_raises_for_another_number_of_text_columns_than_in_fit(fitted_classifier):
    message = "X has 2 text column(s), but BertClassifier was fitted with 1. Pass the same columns as in fit."
    with pytest.raises(ValueError, match=re.escape(message)):
        fitted_classifier.predict([("one", "two")])


def test_fit_passes_revision_to_the_hub(monkeypatch, reviews):
    asked = []

    def ask(model, *, revision, **kwargs):
        asked.append((model, revision))
        raise OSError("no hub here")

    for function in ("snapshot_download", "model_info"):
        monkeypatch.setattr(f"sklearn_bert._model.hub.{function}", ask)
    with pytest.raises(OSError, match="no hub here"):
        BertClassifier("org/name", revision="v1", device="cpu").fit(*reviews)
    assert set(asked) == {("org/name", "v1")}


# -- a prediction of a row does not depend on the other rows ---------------------------------------------


def test_predict_proba_does_not_depend_on_row_order_batch_or_padding(fitted_classifier, reviews):
    texts = reviews[0] + ["it", "the soup and the service was very very very very good ! ! !"]
    together = fitted_classifier.predict_proba(texts)
    alone = np.concatenate([fitted_classifier.predict_proba([text]) for text in texts])
    shuffled = np.random.default_rng(0).permutation(len(texts))
    np.testing.assert_allclose(alone, together, atol=1e-9)
    np.testing.assert_allclose(
        fitted_classifier.predict_proba([texts[i] for i in shuffled]), together[shuffled], atol=1e-9
    )


def test_predict_proba_is_the_same_in_one_batch_and_in_many(fitted_classifier, reviews):
    one = fitted_classifier.predict_proba(reviews[0])
    several = clone(fitted_classifier).set_params(batch_size=1, max_length=64)
    several.__dict__.update({k: v for k, v in vars(fitted_classifier).items() if k.endswith("_") or k.startswith("_")})
    several.net_ = pickle.loads(pickle.dumps(fitted_classifier.net_)).set_params(batch_size=1)
    np.testing.assert_allclose(several.predict_proba(reviews[0]), one, atol=1e-9)


def test_predict_proba_in_eight_threads_equals_predict_proba_in_one(fitted_classifier, reviews):
    expected = fitted_classifier.predict_proba(reviews[0])
    with ThreadPoolExecutor(8) as pool:
        for probabilities in pool.map(fitted_classifier.predict_proba, [reviews[0]] * 16):
            np.testing.assert_array_equal(probabilities, expected)


# -- output, files and copies ----------------------------------------------------------------------------


def test_fit_and_predict_print_nothing_and_write_no_file(minilm, reviews, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    estimator = BertClassifier(minilm, max_epochs=1, random_state=0, device="cpu").fit(reviews[0][:8], reviews[1][:8])
    estimator.predict(reviews[0])
    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path) == []


def test_fitted_estimator_holds_the_weights_once_and_no_training_state(minilm, reviews):
    estimator = BertClassifier(minilm, max_epochs=1, random_state=0, device="cpu").fit(reviews[0][:8], reviews[1][:8])
    n_bytes = sum(4 * p.numel() for p in estimator.module_.parameters())
    assert len(pickle.dumps(estimator)) <= 1.02 * n_bytes
    assert all(p.grad is None for p in estimator.module_.parameters())
    assert estimator.net_.optimizer_ is None


@pytest.mark.slow
def test_unpickled_estimator_gives_equal_probabilities_in_a_new_process(fitted_classifier, reviews, tmp_path):
    probabilities = probabilities_in_a_new_process(fitted_classifier, reviews[0], tmp_path)
    np.testing.assert_array_equal(probabilities, fitted_classifier.predict_proba(reviews[0]))


def test_deepcopy_is_independent_of_the_original(fitted_classifier, reviews):
    copied = deepcopy(fitted_classifier)
    with torch.no_grad():
        copied.module_.classifier.weight.zero_()
    assert fitted_classifier.module_.classifier.weight.abs().sum() > 0
