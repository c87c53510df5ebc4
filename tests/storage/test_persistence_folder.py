"""What a folder cannot hold, and folders that cannot be loaded."""

import copy
import json
import os
import re
import subprocess
import sys
import textwrap
import time
from contextlib import suppress

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._runtime.atomic_files import find_set_aside
from tests.helpers import cases, exactly
from tests.storage.helpers import ONE_EPOCH, assert_same, fitted_elsewhere
from tests.storage.test_folder import seal
from tests.storage.test_json_values import Colour


def test_saving_labels_that_json_cannot_hold_is_an_error(tiny_bert, reviews, tmp_path):
    y = np.array([Colour.RED if label == "good" else "blue" for label in reviews[1]], dtype=object)
    estimator = BertClassifier(tiny_bert, **ONE_EPOCH).fit(reviews[0], y)
    message = (
        "classes_ holds a value of type tests.storage.test_json_values.Colour: <Colour.RED: 'red'>, which JSON cannot "
        "hold. Expected str, int, bool or float. Convert the labels, for example with y.astype(str), and fit again; or "
        "store the estimator with joblib."
    )
    with pytest.raises(TypeError, match=exactly(message)):
        estimator.save_pretrained(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_saving_label_names_that_json_cannot_hold_is_an_error(tiny_bert, reviews, tmp_path):
    frame = pd.DataFrame(dict.fromkeys(pd.to_datetime(["2020-01-01", "2020-01-02"]), [0, 1] * 24))
    estimator = BertClassifier(tiny_bert, **ONE_EPOCH).fit(reviews[0], frame)
    cure = (
        r"Convert the names, for example with y\.rename\(columns=str\), and fit again; or store the estimator with "
        r"joblib\."
    )
    message = rf"^label_names_ holds a value of type pandas\..*Timestamp: .*, which JSON cannot hold\. .*{cure}$"
    with pytest.raises(TypeError, match=message):
        estimator.save_pretrained(tmp_path / "model")
    estimator.fit(reviews[0], frame.rename(columns=str)).save_pretrained(tmp_path / "model")


def test_saving_another_attribute_that_json_cannot_hold_is_an_error(classifier, tmp_path):
    estimator = copy.copy(classifier)
    estimator.colour_ = Colour.RED
    message = (
        "colour_ holds a value of type tests.storage.test_json_values.Colour: <Colour.RED: 'red'>, which JSON cannot "
        "hold. Expected str, int, bool or float. Store the estimator with joblib."
    )
    with pytest.raises(TypeError, match=exactly(message)):
        estimator.save_pretrained(tmp_path / "model")


def test_saving_a_parameter_that_json_cannot_hold_warns_and_leaves_it_out(classifier, reviews, tmp_path):
    estimator = fitted_elsewhere(classifier, random_state=np.random.RandomState(0))
    message = r"^The parameter 'random_state' is a value of type numpy\.random.*has its default after loading\. Set it"
    with pytest.warns(UserWarning, match=message) as caught:
        estimator.save_pretrained(tmp_path / "model")
    assert caught[0].filename == __file__
    loaded = BertClassifier.from_pretrained(tmp_path / "model")
    assert loaded.random_state is None
    np.testing.assert_array_equal(loaded.predict_proba(reviews[0]), classifier.predict_proba(reviews[0]))


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_saved_files_have_the_mode_of_new_files(tiny_bert, reviews, tmp_path):
    earlier = os.umask(0o027)
    try:
        (tmp_path / "usual").touch()
        fitted = BertClassifier(tiny_bert, checkpoint_dir=tmp_path / "state", **ONE_EPOCH).fit(*reviews)
        fitted.save_pretrained(tmp_path / "model")
    finally:
        os.umask(earlier)
    written = [*(tmp_path / "state").iterdir(), *(tmp_path / "model").iterdir()]
    assert len(written) > 4
    assert {path.stat().st_mode for path in written} == {(tmp_path / "usual").stat().st_mode}


def test_loading_a_folder_of_the_other_estimator_is_an_error_that_names_it(tiny_bert, reviews, classifier, tmp_path):
    regressor = BertRegressor(tiny_bert, **ONE_EPOCH).fit(reviews[0], np.arange(48))
    for estimator, other in ((regressor, BertClassifier), (classifier, BertRegressor)):
        folder, kind = tmp_path / other.__name__, type(estimator).__name__
        estimator.save_pretrained(folder)
        message = f"{str(folder)!r} holds a {kind}, not a {other.__name__}. Load it with {kind}.from_pretrained."
        with pytest.raises(ValueError, match=exactly(message)):
            other.from_pretrained(folder)


def test_loading_a_path_that_is_no_folder_is_an_error(tmp_path):
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
def test_loading_a_complete_folder_with_unexpected_content_is_an_error(classifier, tmp_path, change):
    classifier.save_pretrained(tmp_path / "model")
    seal(tmp_path / "model", change)
    message = f"{str(tmp_path / 'model')!r} is complete, but not what this version of the package expects: "
    with pytest.raises(ValueError, match=re.escape(message)):
        BertClassifier.from_pretrained(tmp_path / "model")


def test_loading_never_runs_code_beside_the_weights(classifier, reviews, tmp_path, capfd):
    """The folder has valid checksums and asks for code in every way that transformers knows."""
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
    with suppress(OSError, ValueError):  # an error is allowed too
        BertClassifier.from_pretrained(folder).predict(reviews[0])
    assert "executed" not in capfd.readouterr().out
    assert "evil" not in " ".join(sys.modules)


def test_a_process_killed_while_it_saves_leaves_a_complete_estimator(classifier, reviews, tmp_path):
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
    if set_aside := find_set_aside(folder):  # killed between the two renames: the cure that the error names
        set_aside.rename(folder)
    assert_same(BertClassifier.from_pretrained(folder), classifier, reviews[0])


def test_paths_may_begin_with_the_home_folder(classifier, reviews, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    classifier.save_pretrained("~/model")
    again = BertClassifier.from_pretrained("~/model")
    np.testing.assert_array_equal(again.predict_proba(reviews[0]), classifier.predict_proba(reviews[0]))
    clone(classifier).set_params(checkpoint_dir="~/states").fit(*reviews)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cwd", "model", "states"]
    assert list((tmp_path / "cwd").iterdir()) == []
