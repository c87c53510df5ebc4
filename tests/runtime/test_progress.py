"""Progress bars and printed lines of a fit, and scikit-learn's callbacks."""

import io
import re
import sys

import nbclient
import nbformat
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_bert import BertClassifier
from sklearn_bert._runtime import progress

FAST = {"max_epochs": 3, "learning_rate": 1e-2, "batch_size": 16, "random_state": 0, "device": "cpu"}


class Recorder:
    """A callback that records its calls, and may stop the training after an epoch or fail in a task."""

    def __init__(self, stop_after=None, fail_in=None):
        self.events, self.stop_after, self.fail_in = [], stop_after, fail_in

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name, context.task_id))
        if self.fail_in == context.task_name:
            raise KeyboardInterrupt

    def on_fit_task_end(self, estimator, context):
        self.events.append(("end", context.task_name, context.task_id))
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after


NOTEBOOK = """
import sys
sys.modules["ipywidgets"] = None  # as where it is not installed
from sklearn_bert import BertClassifier
clf = BertClassifier({!r}, max_epochs=2, verbose=2, device="cpu").fit(["good", "bad"] * 4, [0, 1] * 4)
"""


@pytest.mark.slow
def test_a_notebook_keeps_a_bar_as_ordinary_output_and_shows_no_warning(tiny_bert):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK.format(tiny_bert))])
    nbclient.NotebookClient(notebook, timeout=600, startup_timeout=600).execute()
    outputs = notebook.cells[0].outputs
    assert {output["name"] for output in outputs} == {"stdout"}  # stderr would have the colour of an error
    shown = "".join(output["text"] for output in outputs)
    assert "fit: 100%" in shown
    assert "IProgress" not in shown
    assert "Warning" not in shown


# -- bars ----------------------------------------------------------------------------------------------


def test_bars_are_ordinary_output_in_a_notebook_only(monkeypatch, capsys):
    with progress.training_bar(8, 1, 0):
        pass
    assert "fit:" in capsys.readouterr().err
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()  # as that of a notebook
    monkeypatch.setattr(sys, "stdout", stream)
    with progress.training_bar(8, 1, 0):
        pass
    assert "fit:" in stream.getvalue()
    assert capsys.readouterr().err == ""


def test_verbose_one_shows_one_bar_over_all_epochs_and_a_summary_within_80_columns(tiny_bert, reviews, capsys):
    estimator = BertClassifier(tiny_bert, verbose=1, early_stopping=True, **FAST).fit(*reviews)
    out, err = capsys.readouterr()
    assert " ".join(out.split()) == estimator.summary_
    assert [len(line) > 80 for line in out.splitlines()] == [False, False]
    last = err.split("\r")[-1].strip()
    assert re.fullmatch(r"fit: 100%\|█+\| 129/129 \[.* texts/s, loss=\d\.\d+, score=\d\.\d+\]", last)


def test_verbose_two_prints_a_row_per_epoch(tiny_bert, reviews, capsys):
    BertClassifier(tiny_bert, verbose=2, **FAST).fit(*reviews)
    out, err = capsys.readouterr()
    assert re.findall(r"^ +([123]) .*\d\.\d+", out, flags=re.MULTILINE) == ["1", "2", "3"]
    assert "fit: 100%" in err


def test_predict_shows_a_bar_only_if_it_takes_long(tiny_bert, reviews, capsys, monkeypatch):
    estimator = BertClassifier(tiny_bert, **FAST).fit(*reviews)
    monkeypatch.setattr(progress, "_PATIENCE", 600)
    estimator.set_params(verbose=1).predict(reviews[0])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "_PATIENCE", 0)
    monkeypatch.setattr(progress, "_INTERVAL", 0)
    estimator.predict(reviews[0])
    assert re.search(r"predict: +\d+%\|.*\d+/48 \[.* texts/s", capsys.readouterr().err)


def test_summary_has_problem_type_device_precision_epochs_and_truncation(tiny_bert, reviews):
    texts, y = reviews
    single = BertClassifier(tiny_bert, precision="float32", **FAST).fit(texts, y)
    rows = "3 epochs in batches of 16, 0 of 48 rows cut"
    assert single.summary_ == f"single_label_classification (2 classes), on cpu in float32, {rows}"
    labels = np.column_stack([np.arange(48) % 2, np.arange(48) % 3 == 0]).astype(int)
    with pytest.warns(UserWarning, match="were cut"):
        several = BertClassifier(
            tiny_bert, precision="float32", early_stopping=True, max_length=4, **FAST | {"max_epochs": 1}
        ).fit(texts, labels)
    assert re.fullmatch(
        r"multi_label_classification \(2 labels\), on cpu in float32, 1 epoch in batches of 16, epoch 1 kept, "
        r"\d+ of 43 rows cut",
        several.summary_,
    )


# -- scikit-learn's callbacks --------------------------------------------------------------------------


@pytest.mark.usefixtures("sklearn_callback")
def test_callbacks_are_called_for_the_fit_and_for_each_epoch(tiny_bert, reviews):
    recorder = Recorder()
    BertClassifier(tiny_bert, **FAST).set_callbacks(recorder).fit(*reviews)
    epochs = [(kind, "epoch", i) for i in range(3) for kind in ("begin", "end")]
    assert recorder.events == ["setup", ("begin", "fit", 0), *epochs, ("end", "fit", 0), "teardown"]


@pytest.mark.usefixtures("sklearn_callback")
def test_a_callback_can_stop_training(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, **FAST).set_callbacks(Recorder(stop_after=2)).fit(*reviews)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 2
    assert len(estimator.predict(reviews[0])) == 48


@pytest.mark.usefixtures("sklearn_callback")
def test_callbacks_are_torn_down_after_a_failed_fit(tiny_bert, reviews):
    recorder = Recorder(fail_in="epoch")
    estimator = BertClassifier(tiny_bert, **FAST).set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(*reviews)
    assert recorder.events[-1] == "teardown"
    assert not hasattr(estimator, "net_")
    assert clone(estimator).fit  # the estimator can still be cloned


def test_scoring_monitor_records_the_score_of_each_epoch(sklearn_callback, tiny_bert, reviews):
    monitor = sklearn_callback.ScoringMonitor(scoring="accuracy")
    estimator = BertClassifier(tiny_bert, **FAST).set_callbacks(monitor).fit(*reviews)
    scores = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(scores) == 3
    assert scores[-1] == estimator.score(*reviews)
    plain = BertClassifier(tiny_bert, **FAST).fit(*reviews)
    np.testing.assert_array_equal(estimator.predict_proba(reviews[0]), plain.predict_proba(reviews[0]))


def test_nested_progress_bars_include_the_epochs(sklearn_callback, tiny_bert, reviews, capsys):
    classifier = BertClassifier(tiny_bert, **FAST)
    bar = sklearn_callback.ProgressBar(max_propagation_depth=None)
    search = GridSearchCV(classifier, {"dropout": [0.0, 0.1]}, cv=2).set_callbacks(bar).fit(*reviews)
    assert capsys.readouterr().out.count("BertClassifier") == 5
    make_pipeline(clone(classifier)).set_callbacks(sklearn_callback.ProgressBar()).fit(*reviews)
    assert "BertClassifier" in capsys.readouterr().out
    assert not hasattr(search.best_estimator_, "_parent_callback_ctx")
    classifier.set_callbacks(sklearn_callback.ProgressBar()).fit(*reviews)
    assert "BertClassifier" in capsys.readouterr().out
