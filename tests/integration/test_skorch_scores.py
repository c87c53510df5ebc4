"""What skorch's callbacks compute and decide in a training: scores, early ends, pruned trials, interrupts."""

from operator import itemgetter

import numpy as np
import optuna
import pytest
import sklearn
import torch
from optuna_integration import SkorchPruningCallback
from sklearn.base import clone
from sklearn.metrics import f1_score, log_loss
from skorch.callbacks import BatchScoring, Callback, Checkpoint, EarlyStopping, EpochScoring, PassthroughScoring

from sklearn_bert import BertClassifier, BertRegressor
from tests.helpers import EXACT, exactly, weights_of

TARGETS = itemgetter("y")
VALIDATED = EXACT | {"early_stopping": True, "validation_fraction": 0.25, "n_iter_no_change": 99}
STILL = EXACT | {"learning_rate": 1e-12, "dropout": 0.0, "attention_dropout": 0.0}  # weights stay as they are


def scoring(metric, lower_is_better=False, **params):
    return EpochScoring(metric, lower_is_better=lower_is_better, target_extractor=TARGETS, **params)


# -- scores -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [{}, {"freeze": "encoder", "head_learning_rate": 0.3}, {"max_length": 7, "long_text": "window", "stride": 2}],
    ids=str,
)
def test_epoch_scoring_of_the_accuracy_is_the_validation_score(tiny_bert, reviews, settings):
    settings = VALIDATED | {"max_epochs": 8, "head_init": "random"} | settings
    classifier = BertClassifier(tiny_bert, callbacks=[scoring("accuracy")], **settings).fit(*reviews)
    assert classifier.net_.history[:, "accuracy"] == classifier.validation_scores_
    assert len(set(classifier.validation_scores_)) > 1


def test_epoch_scoring_of_r2_is_the_validation_score_whatever_the_scale(tiny_bert, reviews):
    y = [1000.0 * len(text) for text in reviews[0]]
    regressor = BertRegressor(tiny_bert, callbacks=[scoring("r2")], **VALIDATED).fit(reviews[0], y)
    np.testing.assert_allclose(regressor.net_.history[:, "r2"], regressor.validation_scores_, rtol=1e-9)


def test_epoch_scoring_of_several_labels_takes_each_labels_prediction(tiny_bert, reviews):
    texts, labels = reviews
    y = np.array([[label == "good", "very" in text] for text, label in zip(texts, labels, strict=True)], dtype=int)
    settings = EXACT | {"max_epochs": 1, "callbacks": [scoring("f1_macro")]}
    classifier = BertClassifier(tiny_bert, **settings).fit(texts[:32], y[:32], X_val=texts[32:], y_val=y[32:])
    expected = f1_score(y[32:], classifier.predict_proba(texts[32:]) > 0.5, average="macro")
    assert classifier.net_.history[:, "f1_macro"] == [expected]


takes_any_estimator = pytest.mark.skipif(
    sklearn.__version__.startswith("1.8."), reason="scorers of probabilities take classifiers only"
)


def mean_log_loss(net, X, y):
    return log_loss(y, net.predict_proba(X))


@pytest.mark.parametrize(
    ("metric", "lower_is_better", "sign"),
    [pytest.param("neg_log_loss", False, -1, marks=takes_any_estimator), (mean_log_loss, True, 1)],
    ids=["scorer", "function"],
)
def test_scores_of_probabilities_are_the_validation_loss(tiny_bert, reviews, metric, lower_is_better, sign):
    score = scoring(metric, lower_is_better=lower_is_better, name="score")
    classifier = BertClassifier(tiny_bert, callbacks=[score], **VALIDATED | {"max_epochs": 4}).fit(*reviews)
    scores = sign * np.array(classifier.net_.history[:, "score"])
    np.testing.assert_allclose(scores, classifier.validation_loss_curve_, rtol=1e-9)
    best = [loss == min(scores[: i + 1]) for i, loss in enumerate(scores)]
    assert classifier.net_.history[:, "score_best"] == best


def test_epoch_scoring_on_train_scores_the_batches_of_the_training(tiny_bert, reviews):
    settings = STILL | {"callbacks": [scoring("accuracy", on_train=True)], "head_init": "random"}
    classifier = BertClassifier(tiny_bert, **settings).fit(*reviews)
    assert 0 < classifier.score(*reviews) < 1
    assert classifier.net_.history[:, "accuracy"] == [classifier.score(*reviews)] * 2


def test_scores_of_batches_are_averaged_over_their_rows(tiny_bert, reviews):
    batches = [
        BatchScoring("accuracy", name=name, lower_is_better=False, on_train=on_train, target_extractor=TARGETS)
        for name, on_train in (("valid_batches", False), ("train_batches", True))
    ]
    callbacks = [*batches, scoring("accuracy", name="train", on_train=True), PassthroughScoring("valid_loss")]
    classifier = BertClassifier(tiny_bert, callbacks=callbacks, **VALIDATED | {"batch_size": 7}).fit(*reviews)
    history = classifier.net_.history
    np.testing.assert_allclose(history[:, "valid_batches"], classifier.validation_scores_, rtol=1e-12)
    np.testing.assert_allclose(history[:, "train_batches"], history[:, "train"], rtol=1e-12)
    assert history[:, "valid_loss"] == classifier.validation_loss_curve_
    assert history[:, "valid_loss_best"] == [True, np.diff(classifier.validation_loss_curve_)[0] < 0]


class BatchSize(Callback):
    """Records the number of rows of each batch of the training."""

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        if training:
            net.history.record_batch("size", len(batch[1]["y"]))


def test_passthrough_scoring_averages_what_a_callback_recorded_per_batch(tiny_bert, reviews):
    callbacks = [BatchSize(), PassthroughScoring("size", on_train=True)]
    classifier = BertClassifier(tiny_bert, callbacks=callbacks, **EXACT | {"batch_size": 40}).fit(*reviews)
    np.testing.assert_allclose(classifier.net_.history[:, "size"], (40 * 40 + 8 * 8) / 48)


# -- an early end -------------------------------------------------------------------------------------------


class WorseAndWorse(Callback):
    """Records 1, 2, ... and keeps the head of each epoch; notes each end of an epoch and of the training."""

    def on_train_begin(self, net, **kwargs):
        self.heads_, self.ends_ = [], []

    def on_epoch_end(self, net, **kwargs):
        net.history.record("loss", len(net.history))
        self.heads_.append(net.module_.classifier.weight.detach().clone())
        self.ends_.append("epoch")

    def on_train_end(self, net, **kwargs):
        self.ends_.append("training")


def test_early_stopping_stops_after_its_patience_and_all_callbacks_are_still_called(tiny_bert, reviews):
    before, after = WorseAndWorse(), WorseAndWorse()
    callbacks = [("before", before), EarlyStopping("loss", patience=2), ("after", after)]
    classifier = BertClassifier(tiny_bert, callbacks=callbacks, **EXACT | {"max_epochs": 6}).fit(*reviews)
    assert classifier.n_iter_ == len(classifier.loss_curve_) == len(classifier.net_.history) == 3
    assert before.ends_ == after.ends_ == ["epoch"] * 3 + ["training"]


@pytest.mark.parametrize("load_best", [False, True])
def test_load_best_gives_the_weights_of_the_callbacks_own_best_epoch(tiny_bert, reviews, load_best):
    watch = WorseAndWorse()
    callbacks = [watch, EarlyStopping("loss", patience=2, load_best=load_best)]
    classifier = BertClassifier(tiny_bert, callbacks=callbacks, **EXACT | {"max_epochs": 6}).fit(*reviews)
    assert torch.equal(classifier.module_.classifier.weight, watch.heads_[0 if load_best else 2])


def test_a_training_that_a_callback_ended_is_not_resumed(tiny_bert, reviews, tmp_path):
    def make():
        callbacks = [WorseAndWorse(), EarlyStopping("loss", patience=1)]
        return BertClassifier(tiny_bert, callbacks=callbacks, checkpoint_dir=tmp_path, **EXACT | {"max_epochs": 5})

    first, again = make().fit(*reviews), make().fit(*reviews)
    assert first.n_iter_ == again.n_iter_ == 2
    assert torch.equal(weights_of(first), weights_of(again))
    assert again.net_.history[:, "loss"] == [1, 2]


class Decreasing(Callback):
    """Makes the validation losses of the epochs 5, 4, 3, 3, 3, ..."""

    def on_batch_end(self, net, training=False, **kwargs):
        if not training:
            net.history.record("valid_loss", max(3.0, 6.0 - len(net.history)))


def test_skorchs_callbacks_monitor_the_validation_loss_by_default(tiny_bert, reviews, tmp_path):
    callbacks = [Decreasing(), Checkpoint(dirname=str(tmp_path)), EarlyStopping(patience=2)]
    settings = VALIDATED | {"max_epochs": 9}
    history = BertClassifier(tiny_bert, callbacks=callbacks, **settings).fit(*reviews).net_.history
    assert history[:, "valid_loss"] == [5.0, 4.0, 3.0, 3.0, 3.0]
    assert history[:, "valid_loss_best"] == history[:, "event_cp"] == [True, True, True, False, False]


def test_a_resumed_training_knows_the_best_epochs_before_it(tiny_bert, reviews, tmp_path):
    settings = VALIDATED | {"max_epochs": 5, "checkpoint_dir": tmp_path}
    with pytest.raises(RuntimeError, match="crash"):
        BertClassifier(tiny_bert, callbacks=[Decreasing(), Crash(in_epoch=4)], **settings).fit(*reviews)
    resumed = BertClassifier(tiny_bert, callbacks=[Decreasing(), Crash()], **settings).fit(*reviews)
    assert resumed.net_.history[:, "valid_loss_best"] == [True, True, True, False, False]


def test_checkpoints_of_skorch_are_written_for_the_best_epochs(tiny_bert, reviews, tmp_path):
    callbacks = [Checkpoint(monitor="valid_score_best", dirname=str(tmp_path))]
    classifier = BertClassifier(tiny_bert, callbacks=callbacks, **VALIDATED).fit(*reviews)
    assert {"params.pt", "history.json"} <= {path.name for path in tmp_path.iterdir()}
    assert classifier.net_.history[:, "event_cp"] == classifier.net_.history[:, "valid_score_best"]


class Crash(Callback):
    """Fails at the beginning of an epoch."""

    def __init__(self, in_epoch=None):
        self.in_epoch = in_epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.in_epoch:
            raise RuntimeError("crash")


class Raise(Callback):
    """Raises an error at the first event of a name."""

    def __init__(self, error, event):
        self.error = error
        self.event = event

    def on_epoch_end(self, net, **kwargs):
        self._raise("epoch_end")

    def on_batch_end(self, net, **kwargs):
        self._raise("batch_end")

    def on_train_end(self, net, **kwargs):
        self._raise("train_end")

    def _raise(self, event):
        if event == self.event:
            raise self.error


@pytest.mark.parametrize("event", ["batch_end", "train_end"])
def test_a_keyboard_interrupt_elsewhere_is_an_interrupt_and_leaves_the_estimator_as_it_was(tiny_bert, reviews, event):
    classifier = BertClassifier(tiny_bert, callbacks=[Raise(KeyboardInterrupt(), event)], **EXACT)
    before = vars(classifier).copy()
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(*reviews)
    assert vars(classifier) == before


def test_a_pruned_trial_passes_and_leaves_the_estimator_as_it_was(tiny_bert, reviews):
    error = optuna.TrialPruned("Trial was pruned at epoch 0.")
    classifier = BertClassifier(tiny_bert, callbacks=[Raise(error, "epoch_end")], **EXACT)
    before = vars(classifier).copy()
    with pytest.raises(optuna.TrialPruned, match=exactly("Trial was pruned at epoch 0.")):
        classifier.fit(*reviews)
    assert vars(classifier) == before
    classifier.set_params(callbacks=None).fit(*reviews)
    weights = weights_of(classifier)
    with pytest.raises(optuna.TrialPruned):
        classifier.set_params(callbacks=[Raise(error, "epoch_end")]).fit(*reviews)
    assert torch.equal(weights_of(classifier), weights)


def test_optuna_prunes_by_the_validation_loss(tiny_bert, reviews):
    """The second trial learns nothing, so it is pruned after its first epoch."""
    fits = []

    def objective(trial):
        learning_rate = trial.suggest_float("learning_rate", 1e-9, 1e-2)
        settings = VALIDATED | {"max_epochs": 3, "head_init": "random", "learning_rate": learning_rate}
        fits.append(BertClassifier(tiny_bert, callbacks=[SkorchPruningCallback(trial, "valid_loss")], **settings))
        return fits[-1].fit(*reviews).validation_loss_curve_[-1]

    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=0)
    study = optuna.create_study(direction="minimize", pruner=pruner)
    for learning_rate in (1e-2, 1e-9):
        study.enqueue_trial({"learning_rate": learning_rate})
    study.optimize(objective, n_trials=2)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    assert list(study.trials[0].intermediate_values.values()) == fits[0].validation_loss_curve_
    assert len(study.trials[1].intermediate_values) == 1
    assert [hasattr(fit, "net_") for fit in fits] == [True, False]
    with pytest.raises(TypeError, match="_trial"):  # so the page makes the estimator in the objective
        clone(fits[0])
