"""A real browser shows texts unchanged and with enough contrast; plots draw one bar per word."""

import numpy as np
import pytest
from matplotlib import pyplot, rc_context

from sklearn_bert import BertClassifier, TokenAttribution, TokenAttributionDisplay
from tests.browser import evaluate
from tests.helpers import cases, exactly
from tests.inspection.languages import TEXTS

MARKUP = (
    "<script>document.body.textContent = 'gone'</script> <b>bold</b> &lt;i&gt; &amp; &#x41; \"quoted\" 'too' "
    "</p></div><!-- \n\ttwo  spaces $x$ and $y$ שלום 日本 🙂 " + "x" * 300
)


def attribution_of(*texts, values=None, **changes):
    """An attribution of the words between spaces, by default with values from -1 to 1."""
    places, words = [], []
    for k, text in enumerate(texts):
        end = 0
        for word in text.split():
            begin = text.index(word, end)
            end = begin + len(word)
            places.append((k, begin, end))
            words.append(word)
    values = np.linspace(-1, 1, len(words)) if values is None else np.array(values, dtype=float)
    fields = {
        "output_kind": "class",
        "target": "good",
        "score": 1.5,
        "baseline_score": 0.25,
        "convergence_delta": -2e-4,
        "probability": 0.412,
    }
    places = np.array(places, dtype=np.int64).reshape(-1, 3)
    return TokenAttribution(texts, words=tuple(words), places=places, attributions=values, **fields | changes)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


def test_display_accepts_one_attribution_or_a_list_and_raises_for_other_types():
    one = attribution_of("good film")
    assert TokenAttributionDisplay(one)._repr_html_() == TokenAttributionDisplay([one])._repr_html_()
    message = (
        "Expected attributions as explain returns them. Pass what explain gave, or use "
        "TokenAttributionDisplay.from_estimator(estimator, texts)."
    )
    for other in (["good film"], BertClassifier()):
        with pytest.raises(TypeError, match=exactly(message)):
            TokenAttributionDisplay(other)


# -- in a browser -------------------------------------------------------------------------------------

TEXTS_SHOWN = "return [...document.querySelectorAll('p[dir=auto]')].map(p => p.innerText)"
CONTRASTS = """
const numbers = color => color.match(/[\\d.]+/g).map(Number);
const over = (top, below, alpha) => below.map((b, i) => alpha * top[i] + (1 - alpha) * b);
const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = rgb => 0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2]);
const result = [];
for (const [page, ink] of [[[255, 255, 255], [0, 0, 0]], [[17, 17, 17], [212, 212, 212]]]) {
    document.body.style.background = `rgb(${page})`;
    document.body.style.color = `rgb(${ink})`;
    for (const word of document.querySelectorAll('span')) {
        const style = getComputedStyle(word);
        const [r, g, b, alpha = 1] = numbers(style.backgroundColor);
        const ground = over([r, g, b], page, alpha);
        const text = over(numbers(style.color).slice(0, 3), ground, Number(style.opacity));
        const [dark, light] = [luminance(text), luminance(ground)].sort((a, b) => a - b);
        result.push((light + 0.05) / (dark + 0.05));
    }
}
return result;
"""


@pytest.mark.parametrize("texts", [(MARKUP,), ("A plain one.", MARKUP), ("",)], ids=["text", "pair", "empty"])
def test_browser_shows_texts_unchanged(texts, tmp_path):
    display = TokenAttributionDisplay([attribution_of(*texts)])
    assert evaluate(display._repr_html_(), TEXTS_SHOWN, tmp_path) == list(texts)


def test_browser_shows_truncated_text_unchanged_and_marked(tmp_path):
    attribution = attribution_of("one two")
    cut = TokenAttribution(**vars(attribution) | {"texts": (f"one two {MARKUP}",)})
    assert evaluate(TokenAttributionDisplay([cut])._repr_html_(), TEXTS_SHOWN, tmp_path) == list(cut.texts)
    truncated = (
        "return [...document.querySelectorAll('span')].filter(s => s.title.startsWith('not')).map(s => s.textContent)"
    )
    assert evaluate(TokenAttributionDisplay([cut])._repr_html_(), truncated, tmp_path) == [f" {MARKUP}"]


@pytest.mark.parametrize("language", ["marks", "english"])
def test_browser_shows_words_in_the_direction_of_the_text(language, tmp_path):
    display = TokenAttributionDisplay([attribution_of(TEXTS[language])])
    script = (
        "const text = document.querySelector('p[dir=auto]');"
        "const left = [...text.querySelectorAll('span')].map(word => word.getBoundingClientRect().left);"
        "return [getComputedStyle(text).direction, left, text.innerText]"
    )
    direction, left, shown = evaluate(display._repr_html_(), script, tmp_path)
    assert direction == ("rtl" if language == "marks" else "ltr")
    assert left == sorted(left, reverse=direction == "rtl")
    assert shown == TEXTS[language]


def test_browser_shows_target_names_unchanged(tmp_path):
    display = TokenAttributionDisplay([attribution_of("a text", target="<script>&amp;</script>")])
    script = "const p = document.querySelector('p'); return [p.textContent, p.title]"
    assert evaluate(display._repr_html_(), script, tmp_path) == [
        "<script>&amp;</script>, 41 %",
        "score 1.5 = 0.25 without words + 1.25, convergence delta -0.0002",
    ]


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.0, "0 %"),
        (1e-9, "< 1 %"),
        (0.006, "1 %"),
        (0.412, "41 %"),
        (0.994, "99 %"),
        (0.9999, "> 99 %"),
        (1.0, "100 %"),
    ],
)
def test_a_display_begins_with_the_probability_in_percent(probability, shown):
    display = TokenAttributionDisplay(attribution_of("a text", target="delivery", probability=probability)).plot()
    assert display.ax_.get_title() == f"delivery, {shown}"
    assert display.ax_.get_xlabel() == "what the word adds to the score\n1.5 = 0.25 without words + 1.25"


def test_a_display_of_an_output_begins_with_its_number():
    attribution = attribution_of("a text", output_kind="output", target=0, score=7.25, probability=None)
    assert TokenAttributionDisplay(attribution).plot().ax_.get_title() == "output 0, 7.25"


def test_html_in_texts_creates_no_element(tmp_path):
    display = TokenAttributionDisplay([attribution_of(MARKUP, target="<img src=x>")])
    script = "return [...new Set([...document.body.querySelectorAll('div *')].map(element => element.tagName))].sort()"
    assert evaluate(display._repr_html_(), script, tmp_path) == ["B", "P", "SPAN"]


def test_words_have_enough_contrast_on_light_and_dark_pages(tmp_path):
    """The Web Content Accessibility Guidelines require a contrast of 4.5 for text."""
    cut = attribution_of("one two three four", "five six")
    cut = TokenAttribution(**vars(cut) | {"texts": ("one two three four and what was cut", "five six")})
    contrasts = evaluate(TokenAttributionDisplay([cut])._repr_html_(), CONTRASTS, tmp_path)
    assert len(contrasts) == 2 * (6 + 1 + 3)  # words, the rest of a text, the legend
    assert min(contrasts) > 4.5


def test_long_words_do_not_widen_a_narrow_page(tmp_path):
    display = TokenAttributionDisplay([attribution_of(MARKUP)])
    script = "const d = document.querySelector('div'); return [d.scrollWidth, d.clientWidth]"
    scrolled, visible = evaluate(f'<div style="width: 300px">{display._repr_html_()}</div>', script, tmp_path)
    assert scrolled <= visible == 300


# -- shades of the words ------------------------------------------------------------------------------

SHADES = """
return [...document.querySelectorAll('p[dir=auto] span')].map(word => {
    const style = getComputedStyle(word);
    const [r, g, b, alpha = 1] = style.backgroundColor.match(/[\\d.]+/g).map(Number);
    return [word.textContent, b > r ? 'blue' : 'orange', alpha, style.borderBottomStyle, word.title];
});
"""


def test_shades_follow_sign_and_size_of_the_attributions_within_a_row(tmp_path):
    display = TokenAttributionDisplay(
        [attribution_of("for against half", values=[2, -2, 1]), attribution_of("small", values=[0.001])]
    )
    words = {word: shade for word, *shade in evaluate(display._repr_html_(), SHADES, tmp_path)}
    assert words["for"] == ["blue", 0.5, "solid", "+2"]
    assert words["against"] == ["orange", 0.5, "dashed", "-2"]
    assert words["half"][:2] == ["blue", 0.25]
    assert words["small"][:2] == ["blue", 0.5]


def test_words_with_zero_attribution_are_not_shaded(tmp_path):
    display = TokenAttributionDisplay([attribution_of("one two", values=[0, 0])])
    assert [shade[2] for shade in evaluate(display._repr_html_(), SHADES, tmp_path)] == [0, 0]


# -- bars ---------------------------------------------------------------------------------------------


def labels_of(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_plot_draws_a_bar_per_word_in_order_from_the_top():
    display = TokenAttributionDisplay(
        [attribution_of("a b", values=[1, -2]), attribution_of("c a c", values=[3, 0, -1])]
    )
    assert display.plot(row=1) is display
    assert labels_of(display.ax_) == ["c", "a", "c"]
    assert [bar.get_width() for bar in display.ax_.patches] == [3, 0, -1]
    assert display.ax_.yaxis_inverted()
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_title() == "good, 41 %"


def test_plot_with_max_words_keeps_the_words_with_the_longest_bars():
    values = [0.1, -3, 0.2, 2, 0.3]
    display = TokenAttributionDisplay([attribution_of("a b c d e", values=values)]).plot(max_words=3)
    assert labels_of(display.ax_) == ["b", "d", "e"]


def test_plot_draws_into_the_given_axes():
    figure, ax = pyplot.subplots()
    display = TokenAttributionDisplay([attribution_of("a b")]).plot(ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert pyplot.get_fignums() == [figure.number]


@pytest.mark.parametrize("text", **cases({"dollars": "costs $x^2$ and $\\bad$ or $", "empty": ""}))
def test_plot_draws_any_text(text, tmp_path):
    display = TokenAttributionDisplay([attribution_of(text, target="$x$ $\\nosuch$")]).plot()
    display.figure_.savefig(tmp_path / "bars.png")
    assert labels_of(display.ax_) == text.split()


def test_plot_warns_once_about_characters_that_the_font_lacks(tmp_path):
    attribution = attribution_of("房间 很 干净 bad", target="差")
    message = (
        "matplotlib's font DejaVu Sans lacks 6 of the characters, such as '净', so each is shown as a box. Install a "
        "font that has them, and name it: matplotlib.rcParams['font.family'] = ['DejaVu Sans', 'Noto Sans CJK SC']."
    )
    with rc_context({"font.family": ["DejaVu Sans"]}):
        with pytest.warns(UserWarning, match=exactly(message)) as caught:
            display = TokenAttributionDisplay([attribution]).plot()
        assert [warning.filename for warning in caught] == [__file__]
        display.figure_.savefig(tmp_path / "bars.png")  # without a warning of matplotlib
    assert labels_of(display.ax_) == ["\N{WHITE SQUARE}" * 2, "\N{WHITE SQUARE}", "\N{WHITE SQUARE}" * 2, "bad"]


# -- from an estimator --------------------------------------------------------------------------------


def test_from_estimator_displays_the_attributions_of_explain(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, max_epochs=1, random_state=0, device="cpu").fit(*reviews)
    display = TokenAttributionDisplay.from_estimator(estimator, ["the movie", "was good"], "bad", n_steps=4)
    for shown, explained in zip(
        display.attributions, estimator.explain(["the movie", "was good"], "bad", n_steps=4), strict=True
    ):
        assert (shown.texts, shown.target) == (explained.texts, "bad")
        np.testing.assert_array_equal(shown.attributions, explained.attributions)
    assert pyplot.get_fignums() == []
