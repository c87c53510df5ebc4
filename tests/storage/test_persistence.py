"""An estimator that is saved to a folder and loaded again is the same, and predicts the same to the bit."""

import copy
import json
import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_bert import BertClassifier
from sklearn_bert._model import checkpoint
from sklearn_bert._runtime import device
from sklearn_bert._storage import persistence
from sklearn_bert._storage.folder import STATE
from tests.helpers import cases
from tests.storage.helpers import FORMS, ONE_EPOCH, assert_same, fit_form


@pytest.mark.parametrize("form", **cases(FORMS))
def test_from_pretrained_gives_the_saved_estimator(tiny_bert, reviews, form, tmp_path):
    estimator, X = fit_form(tiny_bert, reviews, form)
    estimator.save_pretrained(tmp_path / "model")
    assert_same(type(estimator).from_pretrained(tmp_path / "model"), estimator, X)


def test_feature_names_are_stored(tiny_bert, reviews, tmp_path):
    X = pd.DataFrame({"review": reviews[0]})
    estimator = BertClassifier(tiny_bert, **ONE_EPOCH).fit(X, reviews[1])
    estimator.save_pretrained(tmp_path / "model")
    for again in (BertClassifier.from_pretrained(tmp_path / "model"), pickle.loads(pickle.dumps(estimator))):
        assert_same(again, estimator, X)
        with pytest.raises(ValueError, match="The feature names should match"):
            again.predict(X.set_axis(["summary"], axis=1))


def test_a_loaded_estimator_can_be_saved_pickled_cloned_and_fitted(classifier, reviews, tmp_path):
    classifier.save_pretrained(tmp_path / "first")
    loaded = BertClassifier.from_pretrained(tmp_path / "first")
    loaded.save_pretrained(tmp_path / "second")
    assert_same(BertClassifier.from_pretrained(tmp_path / "second"), classifier, reviews[0])
    assert_same(pickle.loads(pickle.dumps(loaded)), classifier, reviews[0])
    with pytest.raises(NotFittedError):
        clone(loaded).predict(reviews[0])
    assert_same(loaded.fit(*reviews), classifier, reviews[0])


def test_a_copy_and_a_loaded_estimator_share_no_weights_with_the_original(classifier, reviews, tmp_path):
    expected = classifier.predict_proba(reviews[0])
    classifier.save_pretrained(tmp_path / "model")
    for again in (copy.deepcopy(classifier), BertClassifier.from_pretrained(tmp_path / "model")):
        with torch.no_grad():
            again.module_.classifier.weight.zero_()
    np.testing.assert_array_equal(classifier.predict_proba(reviews[0]), expected)


def test_parameters_that_are_numpy_scalars_can_be_saved(tiny_bert, reviews, tmp_path):
    changes = {"max_length": np.int64(9), "long_text": "window", "stride": np.int64(2), "dropout": np.float32(0.2)}
    fitted = BertClassifier(tiny_bert, **ONE_EPOCH | changes).fit(*reviews)
    fitted.save_pretrained(tmp_path / "model")
    loaded = BertClassifier.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(reviews[0]), fitted.predict_proba(reviews[0]))


def test_fitted_attributes_of_a_subclass_are_stored_and_other_attributes_are_not(classifier, tmp_path):
    estimator = copy.copy(classifier)
    estimator.vocabulary_size_, estimator.note = 7, object()
    estimator.save_pretrained(tmp_path / "model")
    loaded = BertClassifier.from_pretrained(tmp_path / "model")
    assert loaded.vocabulary_size_ == 7
    assert not hasattr(loaded, "note")


def test_a_subclass_loads_a_folder_of_its_base_class_and_the_other_way_round(classifier, reviews, tmp_path):
    class Subclass(BertClassifier):
        pass

    classifier.save_pretrained(tmp_path / "base")
    loaded = Subclass.from_pretrained(tmp_path / "base")
    assert type(loaded) is Subclass
    loaded.save_pretrained(tmp_path / "subclass")
    assert_same(BertClassifier.from_pretrained(tmp_path / "subclass"), classifier, reviews[0])


def test_metadata_requests_are_in_a_pickle_and_not_in_a_folder(classifier, reviews, tmp_path):
    with sklearn.config_context(enable_metadata_routing=True):
        requesting = copy.copy(classifier).set_fit_request(sample_weight=True)
        requesting.save_pretrained(tmp_path / "model")
        joblib.dump(requesting, tmp_path / "estimator")
        found = [pickle.loads(pickle.dumps(requesting)), copy.deepcopy(requesting), joblib.load(tmp_path / "estimator")]
        loaded = BertClassifier.from_pretrained(tmp_path / "model")
        requests = [again.get_metadata_routing().fit.requests["sample_weight"] for again in [*found, loaded]]
    assert requests == [True, True, True, None]
    for again in [*found, loaded]:
        assert_same(again, classifier, reviews[0])


def test_callbacks_are_in_a_pickle_and_not_in_a_folder(sklearn_callback, tiny_bert, reviews, tmp_path):
    monitor = sklearn_callback.ScoringMonitor(scoring="accuracy")
    estimator = BertClassifier(tiny_bert, **ONE_EPOCH).set_callbacks(monitor).fit(*reviews)
    estimator.save_pretrained(tmp_path / "model")
    joblib.dump(estimator, tmp_path / "estimator")
    loaded = BertClassifier.from_pretrained(tmp_path / "model")
    assert not hasattr(loaded, "_skl_callbacks")
    assert_same(loaded, estimator, reviews[0])
    for again in (pickle.loads(pickle.dumps(estimator)), joblib.load(tmp_path / "estimator")):
        assert_same(again, estimator, reviews[0])
        assert_same(again.fit(*reviews), estimator, reviews[0])
        assert len(again._skl_callbacks[0].get_logs().data) > 0


def test_saving_and_loading_keep_the_random_state_of_the_caller(classifier, tmp_path):
    state = torch.get_rng_state()
    classifier.save_pretrained(tmp_path / "model")
    BertClassifier.from_pretrained(tmp_path / "model")
    pickle.loads(pickle.dumps(classifier))
    assert torch.equal(torch.get_rng_state(), state)


def test_loading_waits_for_fits_in_other_threads(classifier, tmp_path, monkeypatch):
    """Loading changes settings that exist once per process."""
    classifier.save_pretrained(tmp_path / "model")
    free = []

    def load_config(folder):
        with ThreadPoolExecutor(1) as pool:
            free.append(pool.submit(device._RANDOM_STATE_LOCK.acquire, blocking=False).result())
        return checkpoint.load_config(folder)

    monkeypatch.setattr(persistence, "load_config", load_config)
    BertClassifier.from_pretrained(tmp_path / "model")
    assert free == [False]


def test_an_estimator_loaded_in_inference_mode_can_be_trained(classifier, reviews, tmp_path):
    classifier.save_pretrained(tmp_path / "model")
    with torch.inference_mode():
        loaded = BertClassifier.from_pretrained(tmp_path / "model")
    assert not any(p.is_inference() for p in loaded.module_.parameters())


# An audit hook notes what unpickles, runs programs, opens connections or writes while estimators are loaded.
LOAD_ONLY = textwrap.dedent("""
    import json, sys, numpy, torch, sklearn_bert
    torch.set_num_threads(1)
    forbidden = []
    names = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")
    folders, texts = json.load(open(sys.argv[1]))
    watching = True
    def hook(event, args):
        writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
        if watching and (event in names or writes):
            forbidden.append((event, str(args)))
    sys.addaudithook(hook)
    loaded = [getattr(sklearn_bert, name).from_pretrained(folder) for name, folder in folders]
    watching = False
    assert not forbidden, forbidden
    numpy.savez(sys.argv[2], *[e.predict(texts) for e in loaded])
""")


def test_loading_in_a_new_process_runs_no_code_and_writes_nothing(tiny_bert, reviews, tmp_path):
    estimators = [fit_form(tiny_bert, reviews, FORMS[name])[0] for name in ("str", "hidden layers", "pooler, number")]
    folders = []
    for i, estimator in enumerate(estimators):
        estimator.save_pretrained(tmp_path / str(i))
        folders.append((type(estimator).__name__, str(tmp_path / str(i))))
    (tmp_path / "task.json").write_text(json.dumps((folders, reviews[0])))
    command = [sys.executable, "-W", "error", "-c", LOAD_ONLY, tmp_path / "task.json", tmp_path / "found.npz"]
    subprocess.run(command, check=True)
    with np.load(tmp_path / "found.npz") as found:
        for array, estimator in zip(found.values(), estimators, strict=True):
            np.testing.assert_array_equal(array, estimator.predict(reviews[0]))


def test_the_card_states_what_is_known_of_the_fit(classifier, tmp_path):
    classifier.save_pretrained(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    for fact in (
        "`bad`, `good`",
        "**Training rows**: 48",
        "`max_epochs=1`",
        f"torch {version('torch')}",  # torch.__version__ may add the build, such as +cu130
        "training loss",
    ):
        assert fact in card
    assert str(os.path.dirname(classifier.model)) not in card  # a path of this machine
    assert json.loads((tmp_path / "model" / STATE).read_text())["versions"]["sklearn_bert"] in card
