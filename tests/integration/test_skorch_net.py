"""The net inside an estimator, and subclasses of it with another loss and another optimizer."""

import copy
import pickle
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EpochScoring
from skorch.exceptions import SkorchTrainingImpossibleError
from torch.nn import functional as F

from sklearn_bert import BertClassifier, BertModule, BertNet, BertRegressor, BertVectorizer
from sklearn_bert._model.checkpoint import load_config, load_tokenizer
from tests.helpers import EXACT, FAST, exactly, weights_of


def through_joblib(estimator, folder):
    joblib.dump(estimator, folder / "estimator.joblib")
    return joblib.load(folder / "estimator.joblib")


def through_a_folder(estimator, folder):
    estimator.save_pretrained(folder / "saved")
    return type(estimator).from_pretrained(folder / "saved")


COPIES = {
    "fit": lambda estimator, _: estimator,
    "pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator)),
    "joblib": through_joblib,
    "deepcopy": lambda estimator, _: copy.deepcopy(estimator),
    "from_pretrained": through_a_folder,
}
parametrize_copies = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


def pairs(texts):
    return list(zip(texts, texts[::-1], strict=True))


def two_labels(texts, labels):
    return np.array([[label == "good", "very" in text] for text, label in zip(texts, labels, strict=True)], dtype=int)


# -- the net of a fitted estimator --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pair_encoding": "bi_encoder"},
        {"pair_encoding": "cross_encoder"},
        {"max_length": 7, "long_text": "window", "stride": 2},
        {"freeze": "encoder"},
        {"precision": "float32"},
    ],
    ids=str,
)
def test_the_net_gives_probabilities_and_classes_in_the_order_of_the_texts(tiny_bert, reviews, settings):
    texts = pairs(reviews[0]) if "pair_encoding" in settings else reviews[0]
    classifier = BertClassifier(tiny_bert, **EXACT | settings).fit(texts, reviews[1])
    dataset = classifier.to_dataset(texts)
    assert list(dataset.lengths) != sorted(dataset.lengths, reverse=True)  # the order of the batches is another
    probabilities = classifier.net_.predict_proba(dataset)
    np.testing.assert_allclose(probabilities, classifier.predict_proba(texts), atol=1e-6)
    alone = [classifier.net_.predict_proba(classifier.to_dataset(texts[i : i + 1])) for i in range(len(texts))]
    np.testing.assert_allclose(probabilities, np.concatenate(alone), atol=1e-6)
    np.testing.assert_array_equal(classifier.classes_[classifier.net_.predict(dataset)], classifier.predict(texts))
    logits = classifier.net_.forward(dataset)
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], classifier.decision_function(texts), atol=1e-6)


def test_the_net_gives_probabilities_of_labels_and_a_decision_at_one_half_whatever_the_threshold(tiny_bert, reviews):
    y = two_labels(*reviews)
    classifier = BertClassifier(tiny_bert, threshold=0.9, **EXACT).fit(reviews[0], y)
    dataset, probabilities = classifier.to_dataset(reviews[0]), classifier.predict_proba(reviews[0])
    np.testing.assert_allclose(classifier.net_.predict_proba(dataset), probabilities, atol=1e-6)
    np.testing.assert_array_equal(classifier.net_.predict(dataset), probabilities > 0.5)


def test_the_net_of_a_regressor_gives_numbers_as_the_loss_sees_them(tiny_bert, reviews):
    y = np.array([[len(text), 1000 * text.count("very")] for text in reviews[0]])
    regressor = BertRegressor(tiny_bert, **EXACT).fit(reviews[0], y)
    dataset, scaled = regressor.to_dataset(reviews[0]), (regressor.predict(reviews[0]) - y.mean(axis=0)) / y.std(axis=0)
    for method in (regressor.net_.predict, regressor.net_.predict_proba, regressor.net_.forward):
        np.testing.assert_allclose(method(dataset), scaled, atol=1e-6)
    unscaled = BertRegressor(tiny_bert, scale_target=False, **EXACT).fit(reviews[0], y / 1000)
    dataset = unscaled.to_dataset(reviews[0])
    np.testing.assert_allclose(unscaled.net_.predict(dataset), unscaled.predict(reviews[0]), atol=1e-6)


@parametrize_copies
def test_the_net_is_of_one_class_and_predicts_the_same_whatever_it_went_through(tiny_bert, reviews, copied, tmp_path):
    classifier = BertClassifier(tiny_bert, **EXACT).fit(*reviews)
    twin = copied(classifier, tmp_path)
    assert type(twin.net_) is BertNet
    expected = classifier.net_.predict_proba(classifier.to_dataset(reviews[0]))
    np.testing.assert_array_equal(twin.net_.predict_proba(twin.to_dataset(reviews[0])), expected)


def test_clone_refuses_the_net_and_takes_what_the_error_names(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, **EXACT).fit(*reviews)
    message = (
        "Got a BertNet to clone, expected an estimator: only an estimator can be cloned and fitted again. Clone the "
        "estimator that has this net, or copy the net and its weights with copy.deepcopy."
    )
    with pytest.raises(TypeError, match=exactly(message)):
        clone(classifier.net_)
    assert torch.equal(weights_of(clone(classifier).fit(*reviews)), weights_of(classifier))
    dataset = classifier.to_dataset(reviews[0])
    twin = copy.deepcopy(classifier.net_)
    np.testing.assert_array_equal(twin.predict_proba(dataset), classifier.net_.predict_proba(dataset))


@parametrize_copies
def test_the_history_has_a_row_per_epoch_and_is_empty_after_a_folder(tiny_bert, reviews, copied, tmp_path):
    classifier = BertClassifier(tiny_bert, early_stopping=True, validation_fraction=0.25, **FAST).fit(*reviews)
    history = copied(classifier, tmp_path).net_.history
    if copied is through_a_folder:
        assert history == []
        return
    assert history[:, "epoch"] == [1, 2]
    assert history[:, "batches"] == [[], []]
    assert history[:, "train_loss"] == classifier.loss_curve_
    assert history[:, "valid_score"] == classifier.validation_scores_
    assert history[:, "valid_loss"] == classifier.validation_loss_curve_


def test_after_partial_fit_the_history_is_of_the_last_call(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, **FAST).fit(*reviews).partial_fit(*reviews)
    assert classifier.net_.history[:, "train_loss"] == classifier.loss_curve_[2:]


@parametrize_copies
def test_the_net_of_a_fitted_estimator_refuses_to_train_and_to_be_built_anew(tiny_bert, reviews, copied, tmp_path):
    classifier = copied(BertClassifier(tiny_bert, **FAST).fit(*reviews), tmp_path)
    net, dataset, weights = classifier.net_, classifier.to_dataset(reviews[0]), weights_of(classifier)
    message = (
        "The net of a fitted estimator only predicts. To train it further, call the estimator's partial_fit, or its "
        "fit with warm_start=True."
    )
    calls = [
        partial(net.fit, dataset),
        partial(net.partial_fit, dataset),
        net.initialize,
        partial(net.set_params, module__dropout=0.5),
    ]
    for call in calls:
        with pytest.raises(SkorchTrainingImpossibleError, match=exactly(message)):
            call()
    assert torch.equal(weights_of(classifier), weights)


def test_the_vectorizers_net_refuses_to_be_built_anew(tiny_bert, reviews):
    vectorizer = BertVectorizer(tiny_bert, device="cpu").fit(reviews[0])
    before = vectorizer.transform(reviews[0])
    with pytest.raises(SkorchTrainingImpossibleError):
        vectorizer.net_.initialize()
    np.testing.assert_array_equal(vectorizer.transform(reviews[0]), before)


# -- subclasses ---------------------------------------------------------------------------------------------


def focal_loss(logits, y, gamma):
    losses = F.cross_entropy(logits, y, reduction="none")
    return (1 - torch.exp(-losses)) ** gamma * losses


class FocalNet(BertNet):
    """The example of the page."""

    gamma = 2.0

    def initialize_criterion(self):
        self.criterion_ = partial(focal_loss, gamma=self.gamma)
        return self

    def make_optimizer(self, groups):
        return torch.optim.NAdam(groups, decoupled_weight_decay=True)


class CrossEntropyNet(FocalNet):
    """Focal loss with gamma=0, and the optimizer of `BertNet`."""

    gamma = 0.0
    make_optimizer = BertNet.make_optimizer


class MomentumNet(BertNet):
    """Stochastic gradient descent."""

    def make_optimizer(self, groups):
        return torch.optim.SGD(groups, momentum=0.9)


class DoubledNet(BertNet):
    """Twice the loss, in training and in validation."""

    def get_loss(self, y_pred, y_true, X=None, training=False):
        return 2 * super().get_loss(y_pred, y_true, X=X, training=training)


class FocalClassifier(BertClassifier):
    """A classifier with the net of the page."""

    net_class = FocalNet


class CrossEntropyClassifier(BertClassifier):
    """A classifier with focal loss, gamma=0."""

    net_class = CrossEntropyNet


class MomentumClassifier(BertClassifier):
    """A classifier with another optimizer."""

    net_class = MomentumNet


class DoubledClassifier(BertClassifier):
    """A classifier with another `get_loss`."""

    net_class = DoubledNet


class Optimizer(Callback):
    """Keeps the optimizer, and crashes at the beginning of an epoch."""

    def __init__(self, crash_in=None):
        self.crash_in = crash_in

    def on_epoch_begin(self, net, **kwargs):
        self.optimizer_ = net.optimizer_
        if len(net.history) == self.crash_in:
            raise RuntimeError("crash")


def test_focal_loss_with_gamma_zero_gives_the_weights_of_cross_entropy(tiny_bert, reviews):
    plain = BertClassifier(tiny_bert, **EXACT).fit(*reviews)
    same = CrossEntropyClassifier(tiny_bert, **EXACT).fit(*reviews)
    other = FocalClassifier(tiny_bert, **EXACT).fit(*reviews)
    torch.testing.assert_close(weights_of(same), weights_of(plain), rtol=0, atol=1e-12)
    assert (weights_of(other) - weights_of(plain)).abs().max() > 1e-3


def test_the_loss_of_a_subclass_is_that_of_training_and_of_validation(tiny_bert, reviews):
    settings = EXACT | {"learning_rate": 1e-12, "dropout": 0.0, "attention_dropout": 0.0, "head_init": "random"}
    texts, labels = reviews
    weights = np.linspace(0.5, 1.5, len(texts))
    data = {"sample_weight": weights, "X_val": texts, "y_val": labels, "sample_weight_val": weights}
    for cls in (FocalClassifier, DoubledClassifier):
        classifier = cls(tiny_bert, **settings).fit(texts, labels, **data)
        p = classifier.predict_proba(texts)[np.arange(48), np.searchsorted(classifier.classes_, labels)]
        rows = -np.log(p) * ((1 - p) ** 2 if cls is FocalClassifier else 2)
        expected = [np.average(rows, weights=weights)] * 2
        np.testing.assert_allclose(classifier.loss_curve_, expected, rtol=1e-7)
        np.testing.assert_allclose(classifier.validation_loss_curve_, expected, rtol=1e-7)


def test_the_optimizer_of_a_subclass_has_the_rates_and_decays_of_the_parameters(tiny_bert, reviews):
    note = Optimizer()
    settings = EXACT | {"weight_decay": 0.2, "head_learning_rate": 5e-2, "warmup_fraction": 0.0, "callbacks": [note]}
    FocalClassifier(tiny_bert, **settings).fit(*reviews)
    assert type(note.optimizer_) is torch.optim.NAdam
    groups = {(group["initial_lr"], group["weight_decay"]) for group in note.optimizer_.param_groups}
    assert groups == {(rate, decay) for rate in (1e-2, 5e-2) for decay in (0.0, 0.2)}


@parametrize_copies
def test_a_subclass_of_the_net_is_still_there_whatever_the_estimator_went_through(tiny_bert, reviews, copied, tmp_path):
    classifier = FocalClassifier(tiny_bert, **EXACT).fit(*reviews)
    twin = copied(classifier, tmp_path)
    assert type(twin) is FocalClassifier
    assert type(twin.net_) is FocalNet
    np.testing.assert_array_equal(twin.predict_proba(reviews[0]), classifier.predict_proba(reviews[0]))
    note = Optimizer()
    twin.set_params(callbacks=[note]).partial_fit(*reviews)
    assert type(note.optimizer_) is torch.optim.NAdam


def test_clone_and_a_search_in_two_processes_keep_the_subclass(tiny_bert, reviews):
    classifier = clone(FocalClassifier(tiny_bert, **EXACT))
    scores = []
    for n_jobs in (1, 2):
        search = GridSearchCV(classifier, {"learning_rate": [1e-4, 1e-2]}, cv=2, n_jobs=n_jobs, scoring="neg_log_loss")
        scores.append(search.fit(*reviews).cv_results_["mean_test_score"])
        assert type(search.best_estimator_.net_) is FocalNet
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-9)
    plain = GridSearchCV(BertClassifier(tiny_bert, **EXACT), {"learning_rate": [1e-4, 1e-2]}, cv=2)
    plain.set_params(scoring="neg_log_loss").fit(*reviews)
    assert np.abs(plain.cv_results_["mean_test_score"] - scores[0]).min() > 1e-6


@pytest.mark.parametrize("cls", [FocalClassifier, MomentumClassifier])
def test_a_training_with_another_optimizer_is_resumed_to_the_same_weights(tiny_bert, reviews, cls, tmp_path):
    settings = FAST | {"max_epochs": 3, "precision": "float32"}
    undisturbed = cls(tiny_bert, callbacks=[Optimizer()], **settings).fit(*reviews)
    with pytest.raises(RuntimeError, match=exactly("crash")):
        cls(tiny_bert, callbacks=[Optimizer(crash_in=2)], checkpoint_dir=tmp_path, **settings).fit(*reviews)
    resumed = cls(tiny_bert, callbacks=[Optimizer()], checkpoint_dir=tmp_path, **settings).fit(*reviews)
    assert torch.equal(weights_of(resumed), weights_of(undisturbed))


# -- the module in a net of the user's ----------------------------------------------------------------------


class LogitsModule(BertModule):
    """A module that returns logits only."""

    def forward(self, **inputs):
        return super().forward(**inputs).logits


def test_the_module_trains_in_a_plain_skorch_net(tiny_bert, reviews):
    texts, labels = reviews
    config = load_config(tiny_bert)
    config.num_labels = 2
    tokenizer = load_tokenizer(tiny_bert, config)
    X = dict(tokenizer(texts, padding=True, return_tensors="np"))
    y = np.array([label == "good" for label in labels], dtype=np.int64)
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        LogitsModule,
        module__config=config,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=1e-2,
        max_epochs=15,
        batch_size=8,
        train_split=None,
        verbose=0,
        callbacks=[EpochScoring("accuracy", lower_is_better=False, on_train=True)],
    ).fit(X, y)
    assert net.score(X, y) > 0.9
    probabilities = net.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    alone = dict(tokenizer(texts[:1], return_tensors="np"))
    np.testing.assert_allclose(net.predict_proba(alone), probabilities[:1], atol=1e-5)
