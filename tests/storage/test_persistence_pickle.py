"""A pickle or a copy of an estimator predicts the same to the bit, and holds the weights once."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sklearn_bert
from sklearn_bert import BertClassifier
from sklearn_bert._storage.versions import FORMAT
from tests.helpers import cases, exactly
from tests.storage.helpers import FORMS, assert_same, fit_form


@pytest.mark.parametrize("form", **cases(FORMS))
def test_a_pickle_and_a_copy_give_the_same_estimator(tiny_bert, reviews, form):
    estimator, X = fit_form(tiny_bert, reviews, form)
    for again in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator), copy.copy(estimator)):
        assert_same(again, estimator, X)


@pytest.mark.parametrize("compress", [0, 3])
def test_joblib_gives_the_same_estimator(classifier, reviews, compress, tmp_path):
    joblib.dump(classifier, tmp_path / "estimator", compress=compress)
    assert_same(joblib.load(tmp_path / "estimator"), classifier, reviews[0])


def test_joblib_can_memory_map_the_file(classifier, reviews, tmp_path):
    joblib.dump(classifier, tmp_path / "estimator")
    assert_same(joblib.load(tmp_path / "estimator", mmap_mode="r"), classifier, reviews[0])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickle_gives_the_same_estimator(classifier, reviews, protocol):
    assert_same(pickle.loads(pickle.dumps(classifier, protocol)), classifier, reviews[0])


def test_a_pipeline_can_be_pickled(classifier, reviews):
    pipeline = make_pipeline(FunctionTransformer(list), clone(classifier)).fit(*reviews)
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict_proba(reviews[0]), pipeline.predict_proba(reviews[0]))


def test_a_pickle_holds_the_weights_once_and_no_training_state(minilm, reviews):
    estimator = BertClassifier(minilm, max_epochs=1, random_state=0, device="cpu").fit(reviews[0][:8], reviews[1][:8])
    n_bytes = sum(4 * p.numel() for p in estimator.module_.parameters())
    again = pickle.loads(pickle.dumps(estimator))
    assert len(pickle.dumps(estimator)) <= 1.02 * n_bytes
    assert len(pickle.dumps(again)) <= 1.02 * n_bytes
    assert all(p.grad is None for p in again.module_.parameters())
    assert not hasattr(again.net_, "optimizer_")
    assert not hasattr(again.net_, "scheduler_")
    assert [row["batches"] for row in again.net_.history] == [[]] * again.n_iter_
    assert again.net_.history[:, "train_loss"] == again.loss_curve_
    assert not again.module_.training


def test_a_pickle_holds_no_tensors_and_no_training_loop(classifier):
    data = pickle.dumps(classifier)
    assert not [name for name in (b"torch.nn", b"torch._utils", b"torch.storage", b"skorch.history") if name in data]


def test_a_pickle_holds_no_gradients(classifier, reviews):
    estimator = copy.deepcopy(classifier)
    inputs = estimator.tokenizer_(reviews[0], padding=True, return_tensors="pt")
    before = len(pickle.dumps(estimator))
    estimator.module_(**inputs).logits.sum().backward()
    assert len(pickle.dumps(estimator)) == before


@pytest.mark.parametrize("number", [FORMAT + 1, None])
def test_a_pickle_of_another_format_is_an_error_with_the_cure(classifier, number, monkeypatch):
    stored = classifier.__getstate__()
    stored["_stored"] = {} if number is None else {"format": number, "versions": {"sklearn_bert": "9.9"}}
    monkeypatch.setattr(BertClassifier, "__getstate__", lambda self: stored)
    data = pickle.dumps(classifier)
    message = (
        f"The pickle has format {number} (written by sklearn_bert {'9.9' if number else 'unknown'}), this is "
        f"sklearn_bert {sklearn_bert.__version__}, which reads format {FORMAT}. Load it with the version that wrote "
        "it, or fit again."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        pickle.loads(data)


def test_an_unfitted_estimator_can_be_pickled_and_not_saved(tiny_bert, tmp_path):
    estimator = BertClassifier(tiny_bert, max_epochs=7)
    assert pickle.loads(pickle.dumps(estimator)).get_params() == estimator.get_params()
    with pytest.raises(NotFittedError):
        estimator.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()
