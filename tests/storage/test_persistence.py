"""An estimator comes back from a pickle, a copy or a folder and predicts the same, to the bit."""

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sklearn_bert
from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._model import checkpoint
from sklearn_bert._runtime import device
from sklearn_bert._storage import persistence
from sklearn_bert._storage.folder import STATE
from sklearn_bert._storage.versions import FORMAT
from tests.helpers import cases, exactly
from tests.storage.test_folder import seal
from tests.storage.test_json_values import Colour

QUICK = {"max_epochs": 1, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}


def y_of_reviews(labels, texts):
    good = np.array([label == "good" for label in labels])
    loud = np.array(["!" in text for text in texts])
    return good, loud


def grades(kind, labels, texts):
    """y in every form."""
    good, loud = y_of_reviews(labels, texts)
    three = good * 1 + loud
    return {
        "str": np.array(["no", "maybe", "yes, größer"])[three],
        "object": np.array(["no", "maybe", "yes"], dtype=object)[three],
        "category": pd.Series(np.array(["no", "maybe", "yes"])[three], dtype="category"),
        "int": three - 1,
        "uint8": three.astype(np.uint8),
        "bool": good,
        "float": three.astype(float) * 5,
        "float32": three.astype(np.float32),
        "labels": np.column_stack([good, loud]).astype(int),
        "named labels": pd.DataFrame({"good": good, 3: loud}).astype(int),
        "number": 3e5 + 1e5 * three,
        "numbers": np.column_stack([3e5 + 1e5 * good, -0.001 * loud]),
    }[kind]


CLASSES = ("str", "object", "category", "int", "uint8", "bool", "float", "float32", "labels", "named labels")
FORMS = {
    **{kind: (BertClassifier, kind, {}, False) for kind in CLASSES},
    **{kind: (BertRegressor, kind, {}, False) for kind in ("number", "numbers")},
    "number, unscaled": (BertRegressor, "number", {"scale_target": False}, False),
    "pairs": (BertClassifier, "str", {}, True),
    "joint pairs": (BertRegressor, "number", {"pair_encoding": "cross_encoder"}, True),
    "hidden layers": (BertClassifier, "str", {"hidden_layer_sizes": [6, 5], "pooling": "cls"}, False),
    "pooler": (BertClassifier, "int", {"pooling": "pooler"}, False),
    "pooler, number": (BertRegressor, "numbers", {"pooling": "pooler"}, False),
    "cls": (BertClassifier, "str", {"pooling": "cls"}, False),
    "mean": (BertClassifier, "str", {"pooling": "mean"}, False),
    "float64": (BertRegressor, "number", {"precision": "float64", "pooling": "pooler"}, False),
    "settings": (
        BertClassifier,
        "int",
        {
            "class_weight": {-1: 1.0, 0: np.float64(2.0), 1: 3},
            "learning_rate": np.float32(1e-3),
            "device": torch.device("cpu"),
            "max_length": 20,
            "long_text": "truncate",
            "dropout": 0.3,
        },
        False,
    ),
}


def fitted(tiny_bert, reviews, form):
    """An estimator and its X."""
    estimator, kind, settings, pairs = form
    texts, labels = reviews
    X = list(zip(texts, texts[::-1], strict=True)) if pairs else texts
    return estimator(tiny_bert, **QUICK | settings).fit(X, grades(kind, labels, texts)), X


def assert_same(found, expected, X):
    assert type(found) is type(expected)
    assert found.get_params() == expected.get_params()
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(expected, method):
            first, second = getattr(found, method)(X), getattr(expected, method)(X)
            assert (first.dtype, first.shape) == (second.dtype, second.shape)
            np.testing.assert_array_equal(first, second)
    for name in ("classes_", "label_names_", "feature_names_in_"):
        assert hasattr(found, name) == hasattr(expected, name)
        if hasattr(expected, name):
            assert getattr(found, name).dtype == getattr(expected, name).dtype
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in ("problem_type_", "n_iter_", "loss_curve_", "truncation_"):
        assert getattr(found, name) == getattr(expected, name)


@pytest.fixture(scope="module")
def classifier(tiny_bert, reviews):
    torch.set_num_threads(1)
    return BertClassifier(tiny_bert, **QUICK).fit(*reviews)


# -- round trips ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", **cases(FORMS))
def test_a_folder_gives_the_same_estimator_back(tiny_bert, reviews, form, tmp_path):
    estimator, X = fitted(tiny_bert, reviews, form)
    estimator.save_pretrained(tmp_path / "model")
    assert_same(type(estimator).from_pretrained(tmp_path / "model"), estimator, X)


@pytest.mark.parametrize("form", **cases(FORMS))
def test_a_pickle_and_a_copy_give_the_same_estimator_back(tiny_bert, reviews, form):
    estimator, X = fitted(tiny_bert, reviews, form)
    for again in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator), copy.copy(estimator)):
        assert_same(again, estimator, X)


@pytest.mark.parametrize("compress", [0, 3])
def test_joblib_gives_the_same_estimator_back(classifier, reviews, compress, tmp_path):
    joblib.dump(classifier, tmp_path / "estimator", compress=compress)
    assert_same(joblib.load(tmp_path / "estimator"), classifier, reviews[0])


def test_joblib_can_map_the_file_to_memory(classifier, reviews, tmp_path):
    joblib.dump(classifier, tmp_path / "estimator")
    assert_same(joblib.load(tmp_path / "estimator", mmap_mode="r"), classifier, reviews[0])


def test_a_pickle_computes_as_precisely_as_the_fit_and_a_copy_leaves_its_original_alone(tiny_bert, reviews):
    fitted = BertClassifier(tiny_bert, precision="float64", **QUICK).fit(*reviews)
    before = fitted.predict_proba(reviews[0])
    fitted.set_params(precision="float32")
    for again in (pickle.loads(pickle.dumps(fitted)), copy.copy(fitted), fitted):
        np.testing.assert_array_equal(again.predict_proba(reviews[0]), before)


def test_what_numpy_counts_can_be_saved(tiny_bert, reviews, tmp_path):
    changes = {"max_length": np.int64(9), "long_text": "window", "stride": np.int64(2), "dropout": np.float32(0.2)}
    fitted = BertClassifier(tiny_bert, **QUICK | changes).fit(*reviews)
    fitted.save_pretrained(tmp_path / "model")
    loaded = BertClassifier.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(reviews[0]), fitted.predict_proba(reviews[0]))


def test_a_precision_that_there_is_not_is_refused(classifier, tmp_path):
    classifier.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="The 'precision' parameter of BertClassifier must be"):
        BertClassifier.from_pretrained(tmp_path / "model", precision="fp16")


def test_what_is_loaded_in_inference_mode_can_be_trained_further(classifier, reviews, tmp_path):
    classifier.save_pretrained(tmp_path / "model")
    with torch.inference_mode():
        loaded = BertClassifier.from_pretrained(tmp_path / "model")
    assert not any(p.is_inference() for p in loaded.module_.parameters())


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_files_have_the_modes_that_the_umask_gives(tiny_bert, reviews, tmp_path):
    earlier = os.umask(0o027)
    try:
        (tmp_path / "usual").touch()
        fitted = BertClassifier(tiny_bert, checkpoint_dir=tmp_path / "state", **QUICK).fit(*reviews)
        fitted.save_pretrained(tmp_path / "model")
    finally:
        os.umask(earlier)
    written = [*(tmp_path / "state").iterdir(), *(tmp_path / "model").iterdir()]
    assert len(written) > 4
    assert {path.stat().st_mode for path in written} == {(tmp_path / "usual").stat().st_mode}


@pytest.mark.parametrize("protocol", [2, 5])
def test_every_protocol_of_pickle_will_do(classifier, reviews, protocol):
    assert_same(pickle.loads(pickle.dumps(classifier, protocol)), classifier, reviews[0])


def test_feature_names_survive(tiny_bert, reviews, tmp_path):
    X = pd.DataFrame({"review": reviews[0]})
    estimator = BertClassifier(tiny_bert, **QUICK).fit(X, reviews[1])
    estimator.save_pretrained(tmp_path / "model")
    for again in (BertClassifier.from_pretrained(tmp_path / "model"), pickle.loads(pickle.dumps(estimator))):
        assert_same(again, estimator, X)
        with pytest.raises(ValueError, match="The feature names should match"):
            again.predict(X.set_axis(["summary"], axis=1))


def test_a_loaded_estimator_can_be_stored_fitted_and_cloned_like_any_other(classifier, reviews, tmp_path):
    classifier.save_pretrained(tmp_path / "first")
    loaded = BertClassifier.from_pretrained(tmp_path / "first")
    loaded.save_pretrained(tmp_path / "second")
    assert_same(BertClassifier.from_pretrained(tmp_path / "second"), classifier, reviews[0])
    assert_same(pickle.loads(pickle.dumps(loaded)), classifier, reviews[0])
    with pytest.raises(NotFittedError):
        clone(loaded).predict(reviews[0])
    assert_same(loaded.fit(*reviews), classifier, reviews[0])


def test_a_pipeline_is_pickled_with_its_estimator(classifier, reviews):
    pipeline = make_pipeline(FunctionTransformer(list), clone(classifier)).fit(*reviews)
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict_proba(reviews[0]), pipeline.predict_proba(reviews[0]))


def test_a_copy_is_independent_and_a_loaded_estimator_too(classifier, reviews, tmp_path):
    expected = classifier.predict_proba(reviews[0])
    classifier.save_pretrained(tmp_path / "model")
    for again in (copy.deepcopy(classifier), BertClassifier.from_pretrained(tmp_path / "model")):
        with torch.no_grad():
            again.module_.classifier.weight.zero_()
    np.testing.assert_array_equal(classifier.predict_proba(reviews[0]), expected)


def test_the_callers_random_state_is_untouched(classifier, tmp_path):
    state = torch.get_rng_state()
    classifier.save_pretrained(tmp_path / "model")
    BertClassifier.from_pretrained(tmp_path / "model")
    pickle.loads(pickle.dumps(classifier))
    assert torch.equal(torch.get_rng_state(), state)


def test_loading_takes_its_turn_with_fits(classifier, tmp_path, monkeypatch):
    """It changes settings that exist once per process."""
    classifier.save_pretrained(tmp_path / "model")
    free = []

    def load_config(folder):
        with ThreadPoolExecutor(1) as pool:
            free.append(pool.submit(device._RANDOM_STATE_LOCK.acquire, blocking=False).result())
        return checkpoint.load_config(folder)

    monkeypatch.setattr(persistence, "load_config", load_config)
    BertClassifier.from_pretrained(tmp_path / "model")
    assert free == [False]


def test_requests_of_metadata_survive_a_pickle_and_are_no_part_of_a_folder(classifier, reviews, tmp_path):
    with sklearn.config_context(enable_metadata_routing=True):
        asking = copy.copy(classifier).set_fit_request(sample_weight=True)
        asking.save_pretrained(tmp_path / "model")
        joblib.dump(asking, tmp_path / "estimator")
        found = [pickle.loads(pickle.dumps(asking)), copy.deepcopy(asking), joblib.load(tmp_path / "estimator")]
        loaded = BertClassifier.from_pretrained(tmp_path / "model")
        requests = [again.get_metadata_routing().fit.requests["sample_weight"] for again in [*found, loaded]]
    assert requests == [True, True, True, None]
    for again in [*found, loaded]:
        assert_same(again, classifier, reviews[0])


def test_callbacks_survive_a_pickle_and_are_no_part_of_a_folder(tiny_bert, reviews, tmp_path):
    monitor = ScoringMonitor(scoring="accuracy")
    estimator = BertClassifier(tiny_bert, **QUICK).set_callbacks(monitor).fit(*reviews)
    estimator.save_pretrained(tmp_path / "model")
    joblib.dump(estimator, tmp_path / "estimator")
    loaded = BertClassifier.from_pretrained(tmp_path / "model")
    assert not hasattr(loaded, "_skl_callbacks")
    assert_same(loaded, estimator, reviews[0])
    for again in (pickle.loads(pickle.dumps(estimator)), joblib.load(tmp_path / "estimator")):
        assert_same(again, estimator, reviews[0])
        assert_same(again.fit(*reviews), estimator, reviews[0])
        assert len(again._skl_callbacks[0].get_logs().data) > 0


def test_what_a_subclass_learns_is_stored_and_what_a_user_notes_is_not(classifier, tmp_path):
    estimator = copy.copy(classifier)
    estimator.vocabulary_size_, estimator.note = 7, object()
    estimator.save_pretrained(tmp_path / "model")
    loaded = BertClassifier.from_pretrained(tmp_path / "model")
    assert loaded.vocabulary_size_ == 7
    assert not hasattr(loaded, "note")


# In a process that has seen no data, and in which nothing may unpickle, run programs, or write.
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


def test_a_fresh_process_reads_folders_and_nothing_runs_on_loading(tiny_bert, reviews, tmp_path):
    estimators = [fitted(tiny_bert, reviews, FORMS[name])[0] for name in ("str", "hidden layers", "pooler, number")]
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


# -- what a pickle holds ----------------------------------------------------------------------------------


def test_a_pickle_holds_the_weights_once_and_no_traces_of_training(minilm, reviews):
    estimator = BertClassifier(minilm, max_epochs=1, random_state=0, device="cpu").fit(reviews[0][:8], reviews[1][:8])
    n_bytes = sum(4 * p.numel() for p in estimator.module_.parameters())
    again = pickle.loads(pickle.dumps(estimator))
    assert len(pickle.dumps(estimator)) <= 1.02 * n_bytes
    assert len(pickle.dumps(again)) <= 1.02 * n_bytes
    assert all(p.grad is None for p in again.module_.parameters())
    assert not hasattr(again.net_, "optimizer_")
    assert not hasattr(again.net_, "scheduler_")
    assert list(again.net_.history) == []
    assert not again.module_.training


def test_a_pickle_holds_no_tensors_of_any_device_and_no_training_loop(classifier):
    data = pickle.dumps(classifier)
    assert not [name for name in (b"torch.nn", b"torch._utils", b"torch.storage", b"skorch.history") if name in data]


def test_gradients_that_a_user_made_are_not_stored(classifier, reviews):
    estimator = copy.deepcopy(classifier)
    inputs = estimator.tokenizer_(reviews[0], padding=True, return_tensors="pt")
    before = len(pickle.dumps(estimator))
    estimator.module_(**inputs).logits.sum().backward()
    assert len(pickle.dumps(estimator)) == before


@pytest.mark.parametrize("number", [FORMAT + 1, None])
def test_a_pickle_of_another_format_is_an_error(classifier, number, monkeypatch):
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


def test_an_estimator_that_is_not_fitted_can_be_pickled_but_not_saved(tiny_bert, tmp_path):
    estimator = BertClassifier(tiny_bert, max_epochs=7)
    assert pickle.loads(pickle.dumps(estimator)).get_params() == estimator.get_params()
    with pytest.raises(NotFittedError):
        estimator.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


# -- devices ----------------------------------------------------------------------------------------------


def elsewhere(estimator, **settings):
    """The estimator as one that was fitted on another machine."""
    there = copy.copy(estimator).set_params(**settings)
    there.net_ = copy.copy(there.net_)
    there.net_.precision = settings.get("precision", there.net_.precision)
    return there


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without a GPU")
@pytest.mark.parametrize(
    ("settings", "device", "precision"),
    [({"device": "cuda"}, "cpu", "auto"), ({"device": "cuda", "precision": "float16"}, "cpu", "auto")],
    ids=str,
)
def test_what_this_machine_lacks_is_warned_about_and_the_cpu_predicts(
    classifier, reviews, tmp_path, settings, device, precision
):
    estimator = elsewhere(classifier, **settings)
    asked = f"device={settings['device']!r} and precision={settings.get('precision', 'auto')!r}"
    message = f"Fitted with {asked}, which cannot be had here; predicting with device='cpu' and precision='auto'."
    estimator.save_pretrained(tmp_path / "model")
    data = pickle.dumps(estimator)
    with pytest.warns(UserWarning, match=re.escape(message)) as caught:
        from_pickle = pickle.loads(data)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=re.escape(message)):
        from_folder = BertClassifier.from_pretrained(tmp_path / "model")
    for again in (from_pickle, from_folder):
        np.testing.assert_array_equal(again.predict_proba(reviews[0]), classifier.predict_proba(reviews[0]))
        assert again.device == settings["device"]


def test_device_and_precision_can_be_chosen_on_loading(classifier, reviews, tmp_path):
    classifier.save_pretrained(tmp_path / "model")
    loaded = BertClassifier.from_pretrained(tmp_path / "model", device=torch.device("cpu"), precision="float32")
    assert (loaded.device, loaded.precision) == (torch.device("cpu"), "float32")
    assert loaded.net_.precision == "float32"
    np.testing.assert_allclose(loaded.predict_proba(reviews[0]), classifier.predict_proba(reviews[0]), atol=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_fitted_on_a_gpu_it_predicts_on_a_machine_without_one_and_the_other_way(tiny_bert, reviews, tmp_path):
    there = BertClassifier(tiny_bert, **QUICK | {"device": "auto", "precision": "float32"}).fit(*reviews)
    assert next(pickle.loads(pickle.dumps(there)).module_.parameters()).device.type == "cuda"
    np.testing.assert_array_equal(copy.deepcopy(there).predict_proba(reviews[0]), there.predict_proba(reviews[0]))
    joblib.dump((there, reviews[0]), tmp_path / "there")
    here = textwrap.dedent("""
        import sys, joblib, numpy, torch
        assert not torch.cuda.is_available()
        estimator, texts = joblib.load(sys.argv[1])
        numpy.save(sys.argv[2], estimator.predict_proba(texts))
        joblib.dump(estimator, sys.argv[3])
    """)
    paths = [str(tmp_path / name) for name in ("there", "found.npy", "here")]
    subprocess.run([sys.executable, "-c", here, *paths], check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    np.testing.assert_allclose(np.load(paths[1]), there.predict_proba(reviews[0]), atol=1e-4)
    back = joblib.load(paths[2])
    assert next(back.module_.parameters()).device.type == "cuda"
    np.testing.assert_array_equal(back.predict_proba(reviews[0]), there.predict_proba(reviews[0]))


# -- what a folder cannot hold, and bad folders -----------------------------------------------------------


def test_labels_that_json_cannot_hold_are_an_error(tiny_bert, reviews, tmp_path):
    y = np.array([Colour.RED if label == "good" else "blue" for label in reviews[1]], dtype=object)
    estimator = BertClassifier(tiny_bert, **QUICK).fit(reviews[0], y)
    message = (
        "classes_ holds a value of type tests.storage.test_json_values.Colour: <Colour.RED: 'red'>, which JSON cannot "
        "hold. "
        "Expected str, int, bool or float. Convert the labels, for example with y.astype(str), and fit again; or store "
        "the estimator with joblib."
    )
    with pytest.raises(TypeError, match=exactly(message)):
        estimator.save_pretrained(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_names_of_labels_that_json_cannot_hold_are_an_error(tiny_bert, reviews, tmp_path):
    frame = pd.DataFrame(dict.fromkeys(pd.to_datetime(["2020-01-01", "2020-01-02"]), [0, 1] * 24))
    estimator = BertClassifier(tiny_bert, **QUICK).fit(reviews[0], frame)
    cure = (
        r"Convert the names, for example with y\.rename\(columns=str\), and fit again; or store the estimator with "
        r"joblib\."
    )
    message = rf"^label_names_ holds a value of type pandas\..*Timestamp: .*, which JSON cannot hold\. .*{cure}$"
    with pytest.raises(TypeError, match=message):
        estimator.save_pretrained(tmp_path / "model")
    estimator.fit(reviews[0], frame.rename(columns=str)).save_pretrained(tmp_path / "model")


def test_what_else_json_cannot_hold_has_nothing_to_do_with_labels(classifier, tmp_path):
    estimator = copy.copy(classifier)
    estimator.colour_ = Colour.RED
    message = (
        "colour_ holds a value of type tests.storage.test_json_values.Colour: <Colour.RED: 'red'>, which JSON cannot "
        "hold. "
        "Expected str, int, bool or float. Store the estimator with joblib."
    )
    with pytest.raises(TypeError, match=exactly(message)):
        estimator.save_pretrained(tmp_path / "model")


def test_a_parameter_that_json_cannot_hold_is_left_out_with_a_warning(classifier, reviews, tmp_path):
    estimator = elsewhere(classifier, random_state=np.random.RandomState(0))
    message = r"^The parameter 'random_state' is a value of type numpy\.random.*has its default after loading\. Set it"
    with pytest.warns(UserWarning, match=message) as caught:
        estimator.save_pretrained(tmp_path / "model")
    assert caught[0].filename == __file__
    loaded = BertClassifier.from_pretrained(tmp_path / "model")
    assert loaded.random_state is None
    np.testing.assert_array_equal(loaded.predict_proba(reviews[0]), classifier.predict_proba(reviews[0]))


def test_the_other_estimators_folder_is_an_error(tiny_bert, reviews, classifier, tmp_path):
    regressor = BertRegressor(tiny_bert, **QUICK).fit(reviews[0], np.arange(48))
    for estimator, other in ((regressor, BertClassifier), (classifier, BertRegressor)):
        folder, kind = tmp_path / other.__name__, type(estimator).__name__
        estimator.save_pretrained(folder)
        message = f"{str(folder)!r} holds a {kind}, not a {other.__name__}. Load it with {kind}.from_pretrained."
        with pytest.raises(ValueError, match=exactly(message)):
            other.from_pretrained(folder)


def test_a_subclass_reads_what_its_base_wrote_and_the_other_way(classifier, reviews, tmp_path):
    class Mine(BertClassifier):
        pass

    classifier.save_pretrained(tmp_path / "base")
    mine = Mine.from_pretrained(tmp_path / "base")
    assert type(mine) is Mine
    mine.save_pretrained(tmp_path / "mine")
    assert_same(BertClassifier.from_pretrained(tmp_path / "mine"), classifier, reviews[0])


def test_a_path_that_is_no_folder_is_an_error(tmp_path):
    with pytest.raises(OSError, match=r"absent' is not a folder\. Expected a folder with a checkpoint's config"):
        BertClassifier.from_pretrained(tmp_path / "absent")


@pytest.mark.parametrize(
    "change",
    **cases(
        {
            "unknown parameter": lambda state: state["parameters"].update(n_estimators=3),
            "no target": lambda state: state["attributes"].pop("_target"),
            "another class": lambda state: state["attributes"]["_target"].update(object=["Popen", {}]),
            "fewer classes": lambda state: state["attributes"]["_target"]["object"][1].update(num_labels=3),
            "no attributes": lambda state: state.pop("attributes"),
            "a net of other layers": lambda state: state["net"].update(module__hidden_layer_sizes=[3]),
            "nonsense": lambda state: state.update(net=3, parameters=[]),
        }
    ),
)
def test_a_state_that_is_whole_but_not_what_is_expected_is_an_error(classifier, tmp_path, change):
    classifier.save_pretrained(tmp_path / "model")
    seal(tmp_path / "model", change)
    message = f"{str(tmp_path / 'model')!r} is whole, but not what this version of the package expects: "
    with pytest.raises(ValueError, match=re.escape(message)):
        BertClassifier.from_pretrained(tmp_path / "model")


def test_code_beside_the_weights_is_never_run(classifier, reviews, tmp_path, capfd):
    """A folder by somebody who knows all its digests, and who asks for code in every way that transformers has."""
    folder = tmp_path / "model"
    classifier.save_pretrained(folder)
    (folder / "evil.py").write_text("print('executed')\nclass Evil: pass\nclass EvilTokenizer: pass\n")
    config = json.loads((folder / "config.json").read_text())
    hooks = {name: "evil.Evil" for name in ("AutoConfig", "AutoModel", "AutoModelForSequenceClassification")}
    config["encoder_config"] |= {"auto_map": hooks, "attn_implementation": "evil/kernel", "_attn_implementation": "e/k"}
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": hooks}))
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer |= {"auto_map": {"AutoTokenizer": ["evil.EvilTokenizer", "evil.EvilTokenizer"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    seal(folder, lambda state: None)
    with suppress(OSError, ValueError):  # an error is as good
        BertClassifier.from_pretrained(folder).predict(reviews[0])
    assert "executed" not in capfd.readouterr().out
    assert "evil" not in " ".join(sys.modules)


@pytest.mark.skipif(sys.platform != "linux", reason="needs the exchange of two folders in one step")
def test_a_process_killed_while_it_saves_leaves_the_old_estimator_or_the_new(classifier, reviews, tmp_path):
    joblib.dump(classifier, tmp_path / "estimator")
    folder = tmp_path / "model"
    classifier.save_pretrained(folder)
    program = textwrap.dedent("""
        import sys, joblib
        estimator = joblib.load(sys.argv[1])
        while True:
            print(flush=True)
            estimator.save_pretrained(sys.argv[2])
    """)
    command = [sys.executable, "-c", program, str(tmp_path / "estimator"), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    process.stdout.readline()
    time.sleep(0.03)
    process.kill()
    process.communicate()
    assert_same(BertClassifier.from_pretrained(folder), classifier, reviews[0])


def test_the_card_tells_what_is_known(classifier, tmp_path):
    classifier.save_pretrained(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    for fact in (
        "`bad`, `good`",
        "**Training rows**: 48",
        "`max_epochs=1`",
        f"torch {torch.__version__}",
        "training loss",
    ):
        assert fact in card
    assert str(os.path.dirname(classifier.model)) not in card  # the machine's own path
    assert json.loads((tmp_path / "model" / STATE).read_text())["versions"]["sklearn_bert"] in card
