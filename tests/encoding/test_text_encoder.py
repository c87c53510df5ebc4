"""`TextEncoder`: windows of long texts, their labels and weights, and the mean of their logits."""

import numpy as np
import pytest

from sklearn_bert import BertClassifier
from sklearn_bert._encoding.text_encoder import TextEncoder
from tests.conftest import WORDS, make_tokenizer
from tests.helpers import exactly

FAST = {"max_epochs": 1, "learning_rate": 1e-2, "batch_size": 16, "random_state": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(WORDS)


def windows(tokenizer, text, max_length, stride):
    text_encoder = TextEncoder(tokenizer, max_length, "window", stride, bi_encoder=False)
    dataset = text_encoder.encode(([text],))
    return [tokenizer.convert_ids_to_tokens(dataset.tokens[i][0]) for i in range(len(dataset))]


def test_windows_overlap_by_stride_and_the_last_window_is_full(tokenizer):
    one, two, three, four = windows(tokenizer, "one two three four five good great fine nice", 6, 2)
    assert one == ["[CLS]", "one", "two", "three", "four", "[SEP]"]
    assert two == ["[CLS]", "three", "four", "five", "good", "[SEP]"]
    assert three == ["[CLS]", "five", "good", "great", "fine", "[SEP]"]
    assert four == ["[CLS]", "good", "great", "fine", "nice", "[SEP]"]


@pytest.mark.parametrize("n_words", [0, 1, 4, 5, 6, 7, 23])
@pytest.mark.parametrize("stride", [0, 1, 3])
def test_windows_hold_every_token_in_order(tokenizer, n_words, stride):
    words = [WORDS[i % 20] for i in range(n_words)]
    parts = [window[1:-1] for window in windows(tokenizer, " ".join(words), 6, stride)]
    assert all(len(part) == 4 for part in parts) or len(parts) == 1
    rebuilt = []
    for part in parts:
        overlap = max(k for k in range(len(part) + 1) if rebuilt[len(rebuilt) - k :] == part[:k])
        assert overlap >= min(stride, len(rebuilt))
        rebuilt += part[overlap:]
    assert "".join(rebuilt) == "".join(words)


def test_windows_of_a_text_have_its_label_and_share_its_weight(tokenizer):
    text_encoder = TextEncoder(tokenizer, 6, "window", 0, bi_encoder=False)
    texts = ["one", "one two three four five good great fine nice"]
    dataset = text_encoder.encode((texts,), np.array([0, 1]), np.array([0.5, 1.5]))
    assert dataset.n_windows.tolist() == [1, 3]
    assert dataset.targets["y"].tolist() == [0, 1, 1, 1]
    weights = dataset.targets["w"]
    assert weights.mean() == pytest.approx(1)
    assert weights[1:].sum() / weights[0] == pytest.approx(3)
    assert len(set(weights[1:])) == 1


def test_report_of_windows_counts_no_truncation_and_the_longest_text(tokenizer):
    text_encoder = TextEncoder(tokenizer, 6, "window", None, bi_encoder=False)
    columns = (["one", "one two three four five good great fine nice"],)
    report = text_encoder.report(text_encoder.encode(columns))
    assert (report.n_rows, report.n_truncated, report.n_tokens_cut, report.longest) == (2, 0, 0, 11)


def test_fit_raises_for_pairs_with_long_text_window(tiny_bert, reviews):
    pairs = list(zip(reviews[0], reviews[0], strict=True))
    message = (
        "long_text='window' is for single texts, but X holds sentence pairs. Pass long_text='head_tail' or "
        "'truncate' for pairs."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        BertClassifier(tiny_bert, long_text="window", **FAST).fit(pairs, reviews[1])


@pytest.mark.parametrize("long_text", ["head_tail", "truncate"])
def test_fit_raises_for_a_stride_without_windows(tiny_bert, reviews, long_text):
    message = (
        f"stride=3 is the overlap of windows, but long_text='{long_text}' makes none. Pass long_text='window', or "
        "stride=None."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        BertClassifier(tiny_bert, long_text=long_text, stride=3, **FAST).fit(*reviews)


def test_fit_raises_for_a_stride_as_long_as_a_window(tiny_bert, reviews):
    message = (
        "stride=6 is too large: a window holds 6 tokens of text, and must share fewer with the next one. "
        "Lower stride, or raise max_length."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        BertClassifier(tiny_bert, long_text="window", max_length=8, stride=6, **FAST).fit(*reviews)


def test_decision_function_of_a_long_text_is_the_mean_over_its_windows(tiny_bert, reviews):
    settings = FAST | {"precision": "float64", "max_length": 6}
    classifier = BertClassifier(tiny_bert, long_text="window", stride=0, **settings).fit(*reviews)
    first, second = "the movie was good", "the plot was very"
    whole, *parts = classifier.decision_function([f"{first} {second}", first, second])
    assert whole == pytest.approx(np.mean(parts), abs=1e-12)


def test_windows_learn_from_the_middle_of_a_text_and_truncation_does_not(tiny_bert):
    """The decisive word is in the middle of a text, in neither its first nor its last tokens."""
    filler = "the a is was it " * 3
    texts = [f"{filler}{word} {filler}" for word in ("good", "bad") * 24]
    y = ["good", "bad"] * 24
    settings = {"max_length": 16, "max_epochs": 15, "learning_rate": 1e-2, "batch_size": 16, "random_state": 0}
    scores = {}
    for long_text in ("window", "truncate"):
        classifier = BertClassifier(tiny_bert, long_text=long_text, device="cpu", **settings)
        if long_text == "truncate":
            with pytest.warns(UserWarning, match="were cut"):
                classifier.fit(texts, y)
        else:
            classifier.fit(texts, y)
        scores[long_text] = classifier.score(texts, y)
    assert scores["window"] > 0.95
    assert scores["truncate"] == 0.5
