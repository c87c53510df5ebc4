"""Validation during a fit: given or held-out rows, the best epoch, early stopping."""

import re

import numpy as np
import pytest
import torch

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._training.training_net import BertNet
from tests.helpers import EXACT, FAST, exactly, weights_of


def noisy(reviews):
    """The reviews with about a third of the labels wrong: memorising them does not help on other rows."""
    texts, y = reviews
    wrong = np.random.default_rng(0).random(len(y)) < 0.33
    return texts, np.where(wrong, np.where(np.array(y) == "good", "bad", "good"), y)


def test_fit_keeps_the_weights_of_the_best_epoch(tiny_bert, reviews):
    X_val, y_val = reviews[0][:20], reviews[1][:20]
    settings = EXACT | {"max_epochs": 8, "learning_rate": 1e-2, "random_state": 2}
    estimator = BertClassifier(tiny_bert, **settings).fit(*noisy(reviews), X_val=X_val, y_val=y_val)
    scores = estimator.validation_scores_
    assert len(scores) == len(estimator.validation_loss_curve_) == len(estimator.loss_curve_) == estimator.n_iter_ == 8
    assert scores[-1] < max(scores)
    assert scores[estimator.best_iter_ - 1] == max(scores) == estimator.score(X_val, y_val)


def test_early_stopping_ends_training_after_n_iter_no_change_epochs_without_a_better_score(tiny_bert, reviews):
    settings = FAST | {"max_epochs": 60, "learning_rate": 1e-30, "early_stopping": True}
    estimator = BertClassifier(tiny_bert, n_iter_no_change=3, **settings).fit(*reviews)
    assert estimator.n_iter_ == estimator.best_iter_ + 3 < 60


def test_fit_holds_out_rows_of_x_only_for_early_stopping_without_x_val(tiny_bert, reviews, monkeypatch):
    sizes, fit = [], BertNet.fit

    def spy(net, X, **params):
        validation = params["validation"]
        sizes.append((len(X), validation and len(validation.dataset)))
        return fit(net, X, **params)

    monkeypatch.setattr(BertNet, "fit", spy)
    val = {"X_val": reviews[0][:9], "y_val": reviews[1][:9]}
    BertClassifier(tiny_bert, **FAST).fit(*reviews)
    BertClassifier(tiny_bert, **FAST).fit(*reviews, **val)
    BertClassifier(tiny_bert, early_stopping=True, **FAST).fit(*reviews, **val)
    BertClassifier(tiny_bert, early_stopping=True, validation_fraction=0.25, **FAST).fit(*reviews)
    assert sizes == [(48, None), (48, 9), (48, 9), (36, 12)]


def test_validation_data_does_not_change_the_trained_weights(tiny_bert, reviews):
    """Also if validation texts have words that no training text has. With one epoch, the last epoch is the best."""
    plain = BertClassifier(tiny_bert, **FAST | {"max_epochs": 1}).fit(*reviews)
    validated = BertClassifier(tiny_bert, **FAST | {"max_epochs": 1})
    validated.fit(*reviews, X_val=["one two three zebra", "four five"], y_val=["good", "bad"])
    torch.testing.assert_close(weights_of(validated), weights_of(plain), rtol=0, atol=0)


def test_early_stopping_is_deterministic_for_one_random_state(tiny_bert, reviews):
    settings = FAST | {"early_stopping": True, "validation_fraction": 0.3}
    first, second = (BertClassifier(tiny_bert, **settings).fit(*reviews) for _ in range(2))
    assert first.validation_scores_ == second.validation_scores_
    assert first.validation_loss_curve_ == second.validation_loss_curve_


def test_sample_weight_val_applies_to_validation_score_and_loss(tiny_bert, reviews):
    val = {"X_val": reviews[0], "y_val": reviews[1]}
    halves = [np.arange(48) < 10, np.arange(48) >= 10]
    scores = []
    for half in halves:
        estimator = BertClassifier(tiny_bert, **FAST).fit(*reviews, **val, sample_weight_val=half.astype(float))
        X, y = (np.array(part)[half] for part in reviews)
        assert estimator.validation_scores_[estimator.best_iter_ - 1] == pytest.approx(estimator.score(X, y))
        scores.append(estimator.validation_loss_curve_)
    assert scores[0] != scores[1]


def test_validation_score_of_a_regressor_is_r_squared(tiny_bert, reviews):
    y = np.array([len(text) + 10.0 * (label == "good") for text, label in zip(*reviews, strict=True)])
    regressor = BertRegressor(tiny_bert, **EXACT).fit(reviews[0], y, X_val=reviews[0][:30], y_val=y[:30])
    assert max(regressor.validation_scores_) == pytest.approx(regressor.score(reviews[0][:30], y[:30]))


def test_fit_without_validation_removes_the_validation_attributes_of_an_earlier_fit(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, **FAST | {"early_stopping": True}).fit(*reviews)
    estimator.set_params(early_stopping=False).fit(*reviews)
    assert not {"validation_scores_", "validation_loss_curve_", "best_iter_"} & vars(estimator).keys()


# -- errors -----------------------------------------------------------------------------------------------


def test_fit_raises_when_only_part_of_the_validation_data_is_given(tiny_bert, reviews):
    message = (
        r"^Got only some of X_val, y_val and sample_weight_val\. Pass X_val and y_val together, or none of them\.$"
    )
    for part in ({"X_val": reviews[0]}, {"y_val": reviews[1]}, {"sample_weight_val": np.ones(48)}):
        with pytest.raises(ValueError, match=message):
            BertClassifier(tiny_bert, **FAST).fit(*reviews, **part)


def test_fit_raises_for_one_validation_row(tiny_bert, reviews):
    message = "X_val and y_val have 1 row of positive weight, expected at least two. Pass more rows to validate on."
    with pytest.raises(ValueError, match=exactly(message)):
        BertClassifier(tiny_bert, **FAST).fit(*reviews, X_val=reviews[0][:1], y_val=reviews[1][:1])
    message = "Validation needs at least two rows, but has 1. Pass more rows, or raise validation_fraction."
    estimator = BertClassifier(tiny_bert, early_stopping=True, **FAST)
    with pytest.raises(ValueError, match=exactly(message)):
        estimator.fit(reviews[0][:12], reviews[1][:12])
    estimator.set_params(validation_fraction=0.5).fit(reviews[0][:12], reviews[1][:12])


def test_fit_raises_if_no_validation_fraction_holds_out_two_rows_and_each_remedy_helps(tiny_bert):
    texts, y = ["good", "bad", "fine", "poor"], ["a", "b", "c", "d"]
    message = (
        "early_stopping=True needs two rows to validate on, but only 0 of 4 can be held out: a row "
        "of each class or label stays in training. Pass more rows of each class, pass X_val and y_val, or set "
        "early_stopping=False."
    )
    estimator = BertClassifier(tiny_bert, early_stopping=True, validation_fraction=0.5, **FAST)
    with pytest.raises(ValueError, match=exactly(message)):
        estimator.fit(texts, y)
    with pytest.raises(ValueError, match=r"only 1 of 3 can be held out"):
        BertRegressor(tiny_bert, early_stopping=True, **FAST).fit(texts[:3], [1.0, 2.0, 3.0])
    estimator.fit(texts * 2, y * 2)
    estimator.fit(texts, y, X_val=texts, y_val=y)
    estimator.set_params(early_stopping=False).fit(texts, y)


def test_fit_raises_for_validation_labels_that_training_lacks(tiny_bert, reviews):
    message = (
        "y_val holds labels that are not among the classes: ['fair']. Expected some of ['bad', 'good'], as in y. Drop "
        "these rows, or pass X and y that have them too."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        BertClassifier(tiny_bert, **FAST).fit(*reviews, X_val=reviews[0][:2], y_val=["good", "fair"])


def test_fit_raises_for_validation_targets_of_another_number_of_columns(tiny_bert, reviews):
    message = "y_val has {} columns, expected {} as in y. Pass the same columns."
    y, labels = np.arange(48.0), np.column_stack([np.arange(48) % 2, np.arange(48) % 3 == 0])
    X_val = reviews[0][:4]
    with pytest.raises(ValueError, match=exactly(message.format(2, 1))):
        BertRegressor(tiny_bert, **FAST).fit(reviews[0], y, X_val=X_val, y_val=labels[:4])
    with pytest.raises(ValueError, match=exactly(message.format(3, 2))):
        BertClassifier(tiny_bert, **FAST).fit(reviews[0], labels, X_val=X_val, y_val=np.eye(4, 3))


def test_errors_in_validation_data_name_the_validation_arguments(tiny_bert, reviews):
    message = (
        "In X_val, y_val or sample_weight_val: Found input variables with inconsistent numbers of samples: [2, 1]. "
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        BertClassifier(tiny_bert, **FAST).fit(*reviews, X_val=reviews[0][:2], y_val=["good"])
    message = (
        "y_val is of problem type 'multi_label_classification', y of 'single_label_classification'. Pass targets of "
        "the same kind."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        BertClassifier(tiny_bert, **FAST).fit(*reviews, X_val=reviews[0][:2], y_val=np.eye(2, dtype=int))
