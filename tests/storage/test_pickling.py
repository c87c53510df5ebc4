"""A pickle or a copy of an estimator predicts the same to the bit, and holds the weights once."""

import copy
import pickle

import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sklearn_bert
from sklearn_bert import BertClassifier, BertVectorizer
from sklearn_bert._storage.versions import PICKLE_FORMAT, versions
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


@pytest.mark.parametrize("number", [PICKLE_FORMAT + 1, None])
def test_a_pickle_of_another_format_is_an_error_with_the_cure(classifier, number, monkeypatch):
    stored = classifier.__getstate__()
    stored["_stored"] = {} if number is None else {"format": number, "versions": {"sklearn_bert": "9.9"}}
    monkeypatch.setattr(BertClassifier, "__getstate__", lambda self: stored)
    data = pickle.dumps(classifier)
    message = (
        f"The pickle has format {number} (written by sklearn_bert {'9.9' if number else 'unknown'}), this is "
        f"sklearn_bert {sklearn_bert.__version__}, which reads format {PICKLE_FORMAT}. Load it with the version that "
        "wrote it, or fit again."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        pickle.loads(data)


def test_an_unfitted_estimator_can_be_pickled_and_not_saved(tiny_bert, tmp_path):
    estimator = BertClassifier(tiny_bert, max_epochs=7)
    assert pickle.loads(pickle.dumps(estimator)).get_params() == estimator.get_params()
    with pytest.raises(NotFittedError):
        estimator.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


# -- plain state ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", **cases(FORMS))
def test_the_hash_of_an_estimator_does_not_change_with_use_or_storing(tiny_bert, reviews, form):
    estimator, X = fit_form(tiny_bert, reviews, form)
    before = joblib.hash(estimator)
    again = pickle.loads(pickle.dumps(estimator))
    for twin in (estimator, again, copy.copy(estimator), copy.deepcopy(estimator)):
        twin.predict(X[:3])
        assert joblib.hash(twin) == before


def test_the_hash_of_a_vectorizer_does_not_change_with_use_or_storing(tiny_bert, reviews):
    vectorizer = BertVectorizer(tiny_bert, device="cpu").fit(reviews[0])
    before = joblib.hash(vectorizer)
    vectors = vectorizer.transform(reviews[0])
    again = pickle.loads(pickle.dumps(vectorizer))
    np.testing.assert_array_equal(again.transform(reviews[0]), vectors)
    assert joblib.hash(vectorizer) == joblib.hash(again) == before


def test_a_shallow_copy_has_the_same_net_and_a_deep_one_its_own(classifier):
    assert copy.copy(classifier).net_ is classifier.net_
    assert copy.deepcopy(classifier).net_ is not classifier.net_


@pytest.mark.parametrize("form", **cases(FORMS))
def test_skops_stores_an_estimator_and_needs_to_trust_this_package_only(tiny_bert, reviews, form):
    estimator, X = fit_form(tiny_bert, reviews, form)
    data = skops.io.dumps(estimator)
    types = skops.io.get_untrusted_types(data=data)
    of_the_user = {"torch.device"} if isinstance(estimator.device, torch.device) else set()
    assert {name.split(".")[0] for name in set(types) - of_the_user} == {"sklearn_bert"}
    assert_same(skops.io.loads(data, trusted=types), estimator, X)


def test_skops_stores_a_vectorizer_and_a_pipeline(tiny_bert, reviews):
    pipeline = make_pipeline(BertVectorizer(tiny_bert, device="cpu"), LogisticRegression()).fit(*reviews)
    data = skops.io.dumps(pipeline)
    types = skops.io.get_untrusted_types(data=data)
    assert types == ["sklearn_bert._vectorizer.BertVectorizer"]
    again = skops.io.loads(data, trusted=types)
    np.testing.assert_array_equal(again.predict_proba(reviews[0]), pipeline.predict_proba(reviews[0]))


# -- what cannot be stored --------------------------------------------------------------------------------


def wrap(module):
    module.bert.encoder.layer[0] = torch.nn.Sequential(module.bert.encoder.layer[0])


def widen(module):
    module.classifier = torch.nn.Linear(16, 7)


def drop(module):
    module.bert.pooler = None


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (wrap, "bert.encoder.layer.0.0.attention.output.LayerNorm.bias"),
        (widen, "classifier.bias"),
        (drop, "bert.pooler.dense.bias"),
    ],
)
def test_a_changed_module_is_refused_before_it_is_stored_or_trained(classifier, reviews, tmp_path, change, name):
    estimator = copy.deepcopy(classifier)
    change(estimator.module_)
    stores = {
        "pickle": lambda: pickle.dumps(estimator),
        "folder": lambda: estimator.save_pretrained(tmp_path / "model"),
        "copy": lambda: copy.deepcopy(estimator),
        "partial_fit": lambda: estimator.partial_fit(*reviews),
        "warm_start": lambda: estimator.set_params(warm_start=True).fit(*reviews),
    }
    for store in stores.values():
        with pytest.raises(
            ValueError, match=r"^The module is not the one that was fitted: \d+ weights are absent"
        ) as raised:
            store()
        assert name in str(raised.value)
        assert str(raised.value).endswith("of a PEFT adapter set module_.bert to what its merge_and_unload() returns.")
    assert not (tmp_path / "model").exists()


def test_a_module_with_other_values_is_stored(classifier, reviews):
    estimator = copy.deepcopy(classifier)
    estimator.module_.bert = copy.deepcopy(estimator.module_.bert)  # as merge_and_unload() gives it
    with torch.no_grad():
        estimator.module_.bert.encoder.layer[0].output.dense.weight.mul_(2)
    assert_same(pickle.loads(pickle.dumps(estimator)), estimator, reviews[0])


# -- versions ---------------------------------------------------------------------------------------------


def with_versions(estimator, **changes):
    state = estimator.__getstate__()
    made_by = state["_stored"]["versions"]
    state["_stored"] = {
        "format": PICKLE_FORMAT,
        "versions": made_by | {k.replace("_", "-"): v for k, v in changes.items()},
    }
    return state


def test_a_pickle_of_much_older_libraries_warns_as_scikit_learn_does(classifier, reviews):
    again = BertClassifier()
    here = versions()
    message = (
        f"This BertClassifier was pickled with torch 1.13.1 (here {here['torch']}), transformers 4.57.0 (here "
        f"{here['transformers']}). Its predictions may differ, or it may break. Fit it again here, or store estimators "
        "with save_pretrained, which is safe between versions."
    )
    with pytest.warns(InconsistentVersionWarning, match=exactly(message)):
        again.__setstate__(with_versions(classifier, torch="1.13.1", transformers="4.57.0"))
    assert_same(again, classifier, reviews[0])


def test_a_patch_release_of_a_library_does_not_warn(classifier):
    patched = ".".join([*versions()["scikit-learn"].split(".")[:2], "99"])
    BertClassifier().__setstate__(with_versions(classifier, scikit_learn=patched))
