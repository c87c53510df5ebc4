"""Held-out rows as what an epoch is judged by."""

import numpy as np
import pytest
import torch
from sklearn.metrics import fbeta_score, get_scorer, make_scorer

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._data.rows import Rows
from sklearn_bert._data.targets import RegressionTarget, SingleLabelTarget
from sklearn_bert._encoding.text_encoder import TextEncoder
from sklearn_bert._training.validation import make_validation
from tests.conftest import WORDS, make_tokenizer
from tests.helpers import FAST, exactly


@pytest.fixture
def text_encoder():
    return TextEncoder(make_tokenizer(WORDS), 16, "head_tail", None, bi_encoder=False)


def test_validation_holds_encoded_targets_and_weights_and_no_targets_in_its_dataset(text_encoder):
    y, weights = np.array(["b", "a", "b"]), np.array([1.0, 2.0, 1.0])
    target = SingleLabelTarget(y, weights)
    validation = make_validation(Rows((["good", "bad", "the soup"],), y, weights, type(target)), target, text_encoder)
    assert len(validation.dataset) == 3
    assert validation.dataset.targets == {}
    assert validation.targets["y"].tolist() == [1, 0, 1]
    torch.testing.assert_close(validation.targets["w"], torch.tensor([0.75, 1.5, 0.75], dtype=torch.float64))


def test_validation_score_is_the_targets_with_the_weights_of_the_rows(text_encoder):
    y, weights = np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 2.0])
    target = RegressionTarget(y, weights)
    validation = make_validation(Rows((["good", "bad", "soup"],), y, weights, type(target)), target, text_encoder)
    logits = target.encode(np.array([1.0, 2.0, 3.0]))
    assert validation.score(logits) == pytest.approx(target.score(logits, y, weights))


def test_validation_on_one_row_raises(text_encoder):
    y = np.array([1.0])
    target = RegressionTarget(y, np.ones(1))
    message = "Validation needs at least two rows, but has 1. Pass more rows, or raise validation_fraction."
    with pytest.raises(ValueError, match=exactly(message)):
        make_validation(Rows((["good"],), y, np.ones(1), type(target)), target, text_encoder)


# -- scoring ----------------------------------------------------------------------------------------------


def of_tags(reviews):
    return np.array([[label == "good", "!" in text] for text, label in zip(*reviews, strict=True)], dtype=int)


def fit_with(estimator, reviews, y, scoring, **params):
    """A fit that is validated on rows of its own, and these rows."""
    held_out = reviews[0][::3], y[::3]
    settings = FAST | {"max_epochs": 4, "precision": "float64"} | params
    fitted = estimator.set_params(scoring=scoring, **settings)
    return fitted.fit(reviews[0], y, X_val=held_out[0], y_val=held_out[1]), held_out


@pytest.mark.parametrize("scoring", ["f1_macro", "roc_auc", "neg_log_loss", "balanced_accuracy", "matthews_corrcoef"])
def test_the_kept_epoch_has_the_best_score_of_the_users_metric(tiny_bert, reviews, scoring):
    y = np.array(reviews[1])
    fitted, held_out = fit_with(BertClassifier(tiny_bert), reviews, y, scoring)
    best = get_scorer(scoring)(fitted, *held_out)
    assert max(fitted.validation_scores_) == pytest.approx(best, rel=1e-9)
    assert fitted.validation_scores_[fitted.best_iter_ - 1] == max(fitted.validation_scores_)
    assert f"epoch {fitted.best_iter_} kept by {scoring}, " in fitted.summary_


@pytest.mark.parametrize("scoring", ["f1_micro", "average_precision"])
def test_scoring_of_several_labels_uses_their_thresholds(tiny_bert, reviews, scoring):
    fitted, held_out = fit_with(BertClassifier(tiny_bert, threshold=0.3), reviews, of_tags(reviews), scoring)
    assert max(fitted.validation_scores_) == pytest.approx(get_scorer(scoring)(fitted, *held_out), rel=1e-9)


@pytest.mark.parametrize("scoring", ["neg_mean_absolute_error", "r2"])
def test_scoring_of_numbers_is_in_their_units(tiny_bert, reviews, scoring):
    y = np.array([float(len(text)) for text in reviews[0]])
    fitted, held_out = fit_with(BertRegressor(tiny_bert), reviews, y, scoring)
    assert max(fitted.validation_scores_) == pytest.approx(get_scorer(scoring)(fitted, *held_out), rel=1e-6)


def test_scoring_by_the_loss_keeps_the_epoch_of_the_lowest_loss(tiny_bert, reviews):
    fitted, _ = fit_with(BertClassifier(tiny_bert), reviews, np.array(reviews[1]), "loss")
    assert fitted.validation_scores_ == [-loss for loss in fitted.validation_loss_curve_]
    assert fitted.best_iter_ == 1 + int(np.argmin(fitted.validation_loss_curve_))


def share_of_good(estimator, X, y):
    return float(np.mean(estimator.predict(X) == "good"))


@pytest.mark.parametrize(
    "scoring", [share_of_good, make_scorer(fbeta_score, beta=2, pos_label="good")], ids=["function", "scorer"]
)
def test_scoring_takes_callables_and_scorers(tiny_bert, reviews, tmp_path, scoring):
    y = np.array(reviews[1])
    fitted, held_out = fit_with(BertClassifier(tiny_bert), reviews, y, scoring, checkpoint_dir=tmp_path / "state")
    assert max(fitted.validation_scores_) == pytest.approx(scoring(fitted, *held_out))
    again, _ = fit_with(BertClassifier(tiny_bert), reviews, y, scoring, checkpoint_dir=tmp_path / "state")
    assert again.validation_scores_ == fitted.validation_scores_  # resumed: the state knows the metric by its name


def test_scoring_sees_sample_weights(tiny_bert, reviews):
    y, weights = np.array(reviews[1]), np.linspace(0.1, 2, 16)
    fitted = BertClassifier(tiny_bert, scoring="accuracy", **FAST | {"precision": "float64"})
    fitted.fit(*reviews, X_val=reviews[0][::3], y_val=y[::3], sample_weight_val=weights)
    expected = fitted.score(reviews[0][::3], y[::3], sample_weight=weights)
    assert max(fitted.validation_scores_) == pytest.approx(expected)


def test_a_score_that_is_no_number_is_an_error(tiny_bert, reviews):
    def no_number(estimator, X, y):
        return float("nan")

    message = (
        f"scoring={no_number!r} gave nan on the 16 validation rows, expected a number. Choose another metric, or more "
        "validation rows."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        fit_with(BertClassifier(tiny_bert), reviews, np.array(reviews[1]), no_number)


def test_an_unknown_metric_is_an_error_before_any_training(tiny_bert, reviews):
    with pytest.raises(ValueError, match=r"^The 'scoring' parameter of BertClassifier must be a str among .*'f2'"):
        BertClassifier(tiny_bert, scoring="f2", **FAST).fit(*reviews)
