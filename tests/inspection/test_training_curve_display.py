"""`TrainingCurveDisplay` draws losses, scores and learning rates, with and without validation."""

import numpy as np
import pytest
from matplotlib import pyplot
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sklearn_bert import BertClassifier, TrainingCurveDisplay
from tests.helpers import exactly

VALIDATION = {
    "validation_loss_curve_": [0.7, 0.4, 0.5, 0.6],
    "validation_scores_": [0.5, 0.9, 0.85, 0.8],
    "best_iter_": 2,
}


@pytest.fixture
def fitted(tiny_bert, reviews):
    estimator = BertClassifier(
        tiny_bert, max_epochs=4, learning_rate=1e-2, warmup_fraction=0.25, random_state=0, device="cpu"
    )
    return estimator.fit(*reviews)


@pytest.fixture
def validated(fitted):
    vars(fitted).update(VALIDATION)
    return fitted


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


def labels_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_from_estimator_without_validation_draws_only_the_training_loss(fitted):
    display = TrainingCurveDisplay.from_estimator(fitted)
    [line] = display.lines_
    assert line.get_xdata().tolist() == [1, 2, 3, 4]
    assert list(line.get_ydata()) == fitted.loss_curve_
    assert labels_of(display.ax_) == ["training loss"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("epoch", "loss")
    assert display.score_ax_ is None
    assert display.figure_ is display.ax_.figure


def test_from_estimator_treats_none_as_no_validation(fitted):
    vars(fitted).update(dict.fromkeys(VALIDATION))
    assert len(TrainingCurveDisplay.from_estimator(fitted).lines_) == 1


def test_from_estimator_with_validation_draws_losses_scores_and_the_kept_epoch(validated):
    display = TrainingCurveDisplay.from_estimator(validated)
    loss, validation_loss, score, kept = display.lines_
    assert list(loss.get_ydata()) == validated.loss_curve_
    assert list(validation_loss.get_ydata()) == VALIDATION["validation_loss_curve_"]
    assert list(score.get_ydata()) == VALIDATION["validation_scores_"]
    assert set(kept.get_xdata()) == {2}
    assert loss.axes is validation_loss.axes is display.ax_
    assert score.axes is display.score_ax_
    assert display.score_ax_.get_ylabel() == "score"
    assert labels_of(display.ax_) == ["training loss", "validation loss", "validation score", "kept epoch, 2"]


def test_learning_rates_after_early_stopping_cover_the_epochs_run(validated):
    """Two of four epochs: the rate rises during the first, and falls by a third during the second."""
    validated.loss_curve_ = validated.loss_curve_[:2]
    display = TrainingCurveDisplay.from_estimator(validated, learning_rate=True)
    rates = np.array(display.learning_rates)
    assert rates.max() == rates[99] == pytest.approx(1e-2)
    assert (np.diff(rates[:99]) > 0).all()
    assert (np.diff(rates[100:]) < 0).all()
    assert rates[-1] == pytest.approx(1e-2 * 2 / 3, rel=0.01)
    assert labels_of(display.ax_)[-1] == "learning rate, up to 0.01"
    [shade] = display.ax_.collections
    assert shade.get_datalim(display.ax_.transData).intervalx == pytest.approx([0, 2])


def test_learning_rate_does_not_change_the_axis_of_the_losses(fitted):
    plain, shaded = (TrainingCurveDisplay.from_estimator(fitted, learning_rate=flag) for flag in (False, True))
    assert shaded.ax_.get_ylim() == plain.ax_.get_ylim()


def test_plot_has_whole_epoch_ticks_and_shows_a_single_epoch(fitted, tmp_path):
    display = TrainingCurveDisplay([0.5], validation_scores=[0.7]).plot()
    display.figure_.savefig(tmp_path / "curve.png")
    assert all(tick == round(tick) for tick in display.ax_.get_xticks())
    assert all(line.get_marker() == "o" for line in display.lines_)


def test_from_estimator_draws_into_the_given_axes(validated):
    figure, (_, ax) = pyplot.subplots(2)
    display = TrainingCurveDisplay.from_estimator(validated, ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert pyplot.get_fignums() == [figure.number]


def test_from_estimator_before_fit_raises_not_fitted_error(tiny_bert):
    with pytest.raises(NotFittedError):
        TrainingCurveDisplay.from_estimator(BertClassifier(tiny_bert))


def test_from_estimator_raises_for_a_meta_estimator_and_names_the_estimator_inside(fitted):
    message = (
        "Got a Pipeline, which has no loss_curve_. Expected a fitted BertClassifier or BertRegressor. "
        "Pass the estimator inside, such as pipeline[-1] or search.best_estimator_."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        TrainingCurveDisplay.from_estimator(make_pipeline(fitted))


def test_learning_rate_raises_after_several_calls_of_partial_fit(tiny_bert, reviews):
    streamed = BertClassifier(tiny_bert, max_epochs=1, random_state=0, device="cpu").partial_fit(*reviews)
    streamed.partial_fit(*reviews)
    message = (
        "learning_rate=True needs the rates of one fit, but 2 epochs were run and max_epochs is 1: partial_fit has a "
        "schedule for each call. Pass learning_rate=False."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        TrainingCurveDisplay.from_estimator(streamed, learning_rate=True)
