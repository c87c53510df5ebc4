"""skorch callbacks of an estimator: when they are called, what they see, and what of them is copied or stored."""

import copy
import pickle
import re
import warnings
from operator import itemgetter
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, EpochScoring, LRScheduler
from torch.optim.lr_scheduler import LambdaLR

from sklearn_bert import BertClassifier
from tests.helpers import EXACT, FAST, exactly, weights_of

PAGE = Path(__file__).parents[2] / "docs" / "skorch.md"
VALIDATED = EXACT | {"early_stopping": True, "validation_fraction": 0.25, "n_iter_no_change": 99}
STEP = ["on_batch_begin", "on_grad_computed", "on_batch_end"]
EVENTS = ["on_train_begin", "on_epoch_begin", *STEP, "on_epoch_end", "on_train_end"]


class Recorder(Callback):
    """Notes the events that it is called for."""

    def initialize(self):
        self.events_ = []
        return self


def note(event):
    def method(self, net, **kwargs):
        self.events_.append(event)

    return method


for name in EVENTS:
    setattr(Recorder, name, note(name))


class Observer(Callback):
    """Notes what the estimator's own callbacks have done before it is called."""

    def on_train_begin(self, net, **kwargs):
        self.names_ = [name for name, _ in net.callbacks_]
        self.head_, self.norms_, self.rates_ = net.module_.classifier.weight.detach().clone(), [], []

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.norms_.append(torch.cat([p.grad.flatten() for _, p in named_parameters if p.grad is not None]).norm())

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.rates_.append(net.optimizer_.param_groups[0]["lr"])

    def on_epoch_end(self, net, **kwargs):
        self.row_ = {name: value for name, value in net.history[-1].items() if name != "batches"}


def test_callbacks_are_called_in_fit_in_partial_fit_and_in_a_resumed_fit(tiny_bert, reviews):
    recorder = Recorder()
    classifier = BertClassifier(tiny_bert, callbacks=[recorder], **FAST)
    epoch = ["on_epoch_begin", *STEP * 6, "on_epoch_end"]  # 48 texts in batches of 8
    classifier.fit(*reviews)
    assert recorder.events_ == ["on_train_begin", *epoch * 2, "on_train_end"]
    classifier.partial_fit(*reviews)
    assert recorder.events_ == ["on_train_begin", *epoch, "on_train_end"]
    classifier.set_params(warm_start=True, max_epochs=3).fit(*reviews)
    assert recorder.events_ == ["on_train_begin", *epoch * 3, "on_train_end"]


def test_the_validation_rows_are_one_more_batch_of_an_epoch(tiny_bert, reviews):
    recorder = Recorder()
    BertClassifier(tiny_bert, callbacks=[recorder], **FAST | {"max_epochs": 1}).fit(
        reviews[0][:40], reviews[1][:40], X_val=reviews[0][40:], y_val=reviews[1][40:]
    )
    epoch = ["on_epoch_begin", *STEP * 5, "on_batch_begin", "on_batch_end", "on_epoch_end"]
    assert recorder.events_ == ["on_train_begin", *epoch, "on_train_end"]


def test_the_order_of_all_callbacks_is_that_of_the_page(sklearn_callback, tiny_bert, reviews, tmp_path, capsys):
    observer = Observer()
    classifier = BertClassifier(tiny_bert, callbacks=[("yours", observer)], checkpoint_dir=tmp_path, **VALIDATED)
    classifier.set_params(verbose=2, max_seconds=600, contrastive_steps=1, average_weights=True)
    classifier.set_callbacks(sklearn_callback.ProgressBar()).fit(*reviews)
    capsys.readouterr()
    table = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), flags=re.MULTILINE)
    assert observer.names_ == table


def test_callbacks_see_the_linear_probes_head_clipped_gradients_the_next_rates_and_the_best_epoch(tiny_bert, reviews):
    observer = Observer()
    settings = VALIDATED | {"max_epochs": 1, "max_grad_norm": 1e-3, "warmup_fraction": 1.0, "batch_size": 12}
    classifier = BertClassifier(tiny_bert, callbacks=[observer], **settings).fit(*reviews)
    random_head = BertClassifier(tiny_bert, callbacks=[other := Observer()], head_init="random", **settings)
    random_head.fit(*reviews)
    assert (observer.head_ != other.head_).any()
    assert max(observer.norms_) <= 1e-3 * (1 + 1e-6)
    np.testing.assert_allclose(observer.rates_[:2], [1e-2 * 2 / 3, 1e-2])  # of steps 2 and 3, after 1 and 2
    assert observer.row_["valid_score_best"] is True
    assert observer.row_["valid_score"] == classifier.validation_scores_[0]


def test_a_schedule_of_the_users_sets_the_rates_last(tiny_bert, reviews):
    observer = Observer()
    mine = LRScheduler(LambdaLR, lr_lambda=lambda step: 1 / (1 + step), step_every="batch")
    BertClassifier(tiny_bert, callbacks=[mine, observer], **FAST | {"max_epochs": 1}).fit(*reviews)
    np.testing.assert_allclose(observer.rates_, [1e-2 / (1 + step) for step in range(1, 7)])


class PredictEverywhere(Callback):
    """Predicts after each batch and each epoch, which turns dropout off."""

    def on_train_begin(self, net, X=None, **kwargs):
        self.data_, self.modes_ = X, []

    def on_grad_computed(self, net, **kwargs):
        self.modes_.append(all(module.training for module in net.module_.modules()))

    def on_batch_end(self, net, **kwargs):
        net.predict_proba(self.data_)

    def on_epoch_end(self, net, **kwargs):
        net.predict(self.data_)


@pytest.mark.parametrize("freeze", [None, "encoder"])
def test_callbacks_that_predict_change_no_weight(tiny_bert, reviews, freeze):
    settings = VALIDATED | {"dropout": 0.2, "attention_dropout": 0.2, "freeze": freeze}
    plain = BertClassifier(tiny_bert, **settings).fit(*reviews)
    scoring = EpochScoring("accuracy", lower_is_better=False, target_extractor=itemgetter("y"))
    watched = BertClassifier(tiny_bert, callbacks=[PredictEverywhere(), scoring], **settings).fit(*reviews)
    assert torch.equal(weights_of(plain), weights_of(watched))
    if freeze is None:
        assert all(watched.callbacks[0].modes_)


# -- copies and files ---------------------------------------------------------------------------------------


def scored():
    return [
        ("macro", EpochScoring("f1_macro", lower_is_better=False, name="macro_f1", target_extractor=itemgetter("y"))),
        Recorder(),
    ]


def test_clone_copies_callbacks_and_fit_uses_them_as_they_are(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, callbacks=scored(), **VALIDATED)
    twin = clone(classifier)
    assert twin.callbacks[0][1] is not classifier.callbacks[0][1]
    params, others = twin.callbacks[0][1].get_params(), classifier.callbacks[0][1].get_params()
    assert params.pop("target_extractor") is not others.pop("target_extractor")
    assert params == others
    recorder = twin.callbacks[1]
    twin.fit(*reviews)
    assert twin.callbacks[1] is recorder
    assert recorder.events_
    assert not hasattr(classifier.callbacks[1], "events_")
    assert "macro_f1" in twin.net_.history[-1]


def through_joblib(estimator, folder):
    joblib.dump(estimator, folder / "estimator.joblib")
    return joblib.load(folder / "estimator.joblib")


COPIES = {
    "pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator)),
    "joblib": through_joblib,
    "deepcopy": lambda estimator, _: copy.deepcopy(estimator),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copies_keep_callbacks_that_can_be_used_again(tiny_bert, reviews, copied, tmp_path):
    classifier = BertClassifier(tiny_bert, callbacks=scored(), **VALIDATED)
    unfitted = copied(classifier, tmp_path)
    fitted = copied(classifier.fit(*reviews), tmp_path)
    assert [name for name, _ in fitted.callbacks[:1]] == ["macro"]
    assert torch.equal(weights_of(unfitted.fit(*reviews)), weights_of(classifier))
    assert unfitted.net_.history[:, "macro_f1"] == classifier.net_.history[:, "macro_f1"]
    assert torch.equal(weights_of(fitted.fit(*reviews)), weights_of(classifier))


def test_a_search_with_callbacks_finds_the_same_in_one_process_and_in_two(tiny_bert, reviews):
    results = []
    for n_jobs in (1, 2):
        classifier = BertClassifier(tiny_bert, callbacks=scored(), **VALIDATED)
        search = GridSearchCV(classifier, {"learning_rate": [1e-4, 1e-2]}, cv=2, n_jobs=n_jobs).fit(*reviews)
        assert len(search.best_estimator_.net_.history[:, "macro_f1"]) == 2
        assert not hasattr(classifier.callbacks[1], "events_")  # the candidates' are copies
        results.append((search.cv_results_["mean_test_score"], search.predict_proba(reviews[0])))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-9)


def test_save_pretrained_leaves_callbacks_out_and_warns_once(tiny_bert, reviews, tmp_path):
    classifier = BertClassifier(tiny_bert, callbacks=scored(), **VALIDATED).fit(*reviews)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        classifier.save_pretrained(tmp_path / "folder")
    assert [w.category for w in caught] == [UserWarning]
    assert re.sub(" at 0x[0-9a-f]+", "", str(caught[0].message)) == (
        "The parameter 'callbacks' is a value of type skorch.callbacks.scoring.EpochScoring: "
        "<skorch.callbacks.scoring.EpochScoring object>, which JSON cannot hold. It is left out, and has its default "
        "after loading. Set it again with set_params."
    )
    loaded = BertClassifier.from_pretrained(tmp_path / "folder")
    assert loaded.callbacks is None
    assert (loaded.predict_proba(reviews[0]) == classifier.predict_proba(reviews[0])).all()
    BertClassifier(tiny_bert, **FAST).fit(*reviews).save_pretrained(tmp_path / "without")  # no warning


class RecordsAnything(Callback):
    """Puts into the history what can be stored, and what cannot."""

    def on_epoch_end(self, net, **kwargs):
        tensor = torch.ones(2, requires_grad=True)
        values = {"number": np.float32(0.5), "text": "a", "array": np.eye(2), "per_class": {"good": [0.5, None]}}
        others = {"function": lambda: 0, "tensor": tensor, "net": net, "nested": [tensor], "objects": np.array([net])}
        for name, value in (values | others).items():
            net.history.record(name, value)


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_of_the_history_copies_keep_numbers_text_and_arrays(tiny_bert, reviews, copied, tmp_path):
    classifier = BertClassifier(tiny_bert, callbacks=[RecordsAnything()], **FAST).fit(*reviews)
    before, after = classifier.net_.history[-1], copied(classifier, tmp_path).net_.history[-1]
    assert {"function", "tensor", "net", "nested", "objects"} == before.keys() - after.keys()
    np.testing.assert_array_equal(after["array"], np.eye(2))
    assert (after["number"], after["text"], after["per_class"]) == (0.5, "a", {"good": [0.5, None]})
    assert after["train_loss"] == before["train_loss"]


def test_whatever_the_history_holds_a_training_can_be_resumed(tiny_bert, reviews, tmp_path):
    settings = FAST | {"checkpoint_dir": tmp_path}
    BertClassifier(tiny_bert, callbacks=[RecordsAnything()], **settings).fit(*reviews)
    again = BertClassifier(tiny_bert, callbacks=[RecordsAnything()], **settings).fit(*reviews)
    assert len(again.loss_curve_) == 2
    assert again.net_.history[-1, "text"] == "a"


# -- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "got"), [(["x"], "'x'"), (("x", Recorder()), "'x'"), ([("x", 3)], "('x', 3)"), ([None], "None")]
)
def test_something_else_among_callbacks_is_an_error(tiny_bert, reviews, value, got):
    message = (
        f"Got {got} among callbacks, expected skorch callbacks or (name, callback) tuples. Pass objects such as "
        "skorch.callbacks.EpochScoring('accuracy')."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        BertClassifier(tiny_bert, callbacks=value, **FAST).fit(*reviews)


@pytest.mark.parametrize("name", ["schedule", "train_loss"])
def test_a_name_that_is_taken_is_an_error_and_leaves_the_estimator_unfitted(tiny_bert, reviews, name):
    classifier = BertClassifier(tiny_bert, callbacks=[(name, Recorder())], **FAST)
    message = f"Found duplicate user-set callback name '{name}'. Use unique names to correct this."
    with pytest.raises(ValueError, match=exactly(message)):
        classifier.fit(*reviews)
    assert not hasattr(classifier, "net_")
