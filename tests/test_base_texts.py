"""Texts as inputs of the estimators: containers, pairs, and texts longer than the limit of the model."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from sklearn_bert import BertClassifier
from tests.helpers import EXACT, FAST

# -- containers -------------------------------------------------------------------------------------------


def test_predict_proba_is_identical_for_all_containers_of_the_same_texts(fitted_classifier, reviews):
    texts, _ = reviews
    expected = fitted_classifier.predict_proba(texts)
    forms = [
        tuple(texts),
        np.array(texts),
        np.array(texts, dtype=object),
        np.array(texts, dtype=object).reshape(-1, 1),
        pd.Series(texts),
        pd.Series(texts, dtype="category"),
        pd.Series(texts, dtype="string[pyarrow]", index=range(len(texts), 0, -1)),
        pd.DataFrame({"review": texts}),
        pl.Series(texts),
        pl.DataFrame({"review": texts}),
    ]
    for form in forms:
        np.testing.assert_array_equal(fitted_classifier.predict_proba(form), expected)


def test_predict_proba_is_identical_for_all_containers_of_the_same_pairs(tiny_bert, reviews):
    texts, y = reviews
    pairs = list(zip(texts, reversed(texts), strict=True))
    estimator = BertClassifier(tiny_bert, **EXACT).fit(pairs, y)
    expected = estimator.predict_proba(pairs)
    frame = pd.DataFrame(pairs, columns=["one", "two"])
    for form in (frame, frame.to_numpy(), pl.from_pandas(frame), tuple(pairs)):
        np.testing.assert_array_equal(estimator.predict_proba(form), expected)
    assert np.abs(estimator.predict_proba([(b, a) for a, b in pairs]) - expected).max() > 1e-6


def test_predict_proba_accepts_empty_and_blank_texts(fitted_classifier):
    assert fitted_classifier.predict_proba(["", " "]).shape == (2, 2)


# -- pairs ------------------------------------------------------------------------------------------------


def test_cross_encoder_passes_a_pair_to_the_encoder_as_two_segments(tiny_bert, reviews):
    texts, y = reviews
    pairs = list(zip(texts, texts, strict=True))
    estimator = BertClassifier(tiny_bert, pair_encoding="cross_encoder", **EXACT).fit(pairs, y)
    encoded = estimator.tokenizer_(*pairs[0], return_token_type_ids=True, return_tensors="pt")
    with torch.inference_mode():
        logits = estimator.module_(**encoded).logits
    np.testing.assert_allclose(estimator.decision_function(pairs[:1]), logits[:, 1] - logits[:, 0], rtol=1e-9)


def test_bi_encoder_passes_both_vectors_distance_and_product_to_the_head(tiny_bert, reviews):
    """Each text is encoded separately; the head gets both vectors, their distance and their product."""
    texts, y = reviews
    pairs = list(zip(texts, texts[::-1], strict=True))
    estimator = BertClassifier(tiny_bert, pair_encoding="bi_encoder", pooling="mean", **EXACT).fit(pairs, y)
    vectors = []
    with torch.inference_mode():
        for text in pairs[0]:
            encoded = estimator.tokenizer_(text, return_tensors="pt")
            mean = estimator.module_.bert(**encoded).last_hidden_state[0].mean(dim=0)
            vectors.append(mean / mean.square().mean().sqrt())
        u, v = vectors
        logits = estimator.module_.classifier(torch.cat([u, v, (u - v).abs(), u * v]))
    np.testing.assert_allclose(estimator.decision_function(pairs[:1]), [logits[1] - logits[0]], rtol=1e-6)


def test_bi_encoder_applies_max_length_to_each_text_of_a_pair(tiny_bert, reviews):
    """A pair counts as truncated if one of its texts is."""
    long, short = "the movie was good " * 8, "very good"
    pairs = [(long, short), (short, long), (long, long), (short, short)] * 3
    with pytest.warns(UserWarning, match="9 of 12 rows are longer than max_length=20 tokens"):
        estimator = BertClassifier(tiny_bert, max_length=20, max_epochs=1, device="cpu").fit(pairs, [0, 1] * 6)
    report = estimator.truncation_
    assert (report.n_rows, report.n_truncated, report.longest) == (12, 9, 34)
    assert report.n_tokens_cut == 12 * (34 - 20)


def test_bi_encoder_needs_max_length_for_one_token_per_text(tiny_bert, reviews):
    pairs = list(zip(reviews[0], reviews[0], strict=True))
    with pytest.warns(UserWarning, match="were cut"):
        BertClassifier(tiny_bert, max_length=3, **FAST).fit(pairs, reviews[1])


# -- long texts -------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.* rows are longer than max_length")
@pytest.mark.parametrize(("long_text", "sees_the_end"), [("head_tail", True), ("truncate", False)])
def test_predictions_depend_on_the_end_of_a_long_text_with_head_tail_only(tiny_bert, long_text, sees_the_end):
    same, n = "the movie the plot the acting the soup the room ", 8
    texts = [same + end for end in ["great", "awful"] * n]
    estimator = BertClassifier(tiny_bert, max_length=8, long_text=long_text, **FAST).fit(texts, ["good", "bad"] * n)
    estimator.set_params(long_text="truncate")  # predict uses the value of the fit
    first, second = estimator.predict_proba(texts[:2])
    assert (np.abs(first - second).max() > 1e-3) == sees_the_end


def test_fit_and_partial_fit_warn_once_about_truncation_and_store_a_report(tiny_bert):
    texts, y = ["good " * 20, "bad", "very bad", "good"], ["good", "bad", "bad", "good"]
    message = (
        "1 of 4 rows are longer than max_length=6 tokens and were cut; the longest text has 22. Raise max_length if "
        "the model can take more (None is its own limit), or use all of single texts with long_text='window'. "
        "See truncation_ for the numbers."
    )
    for method in ("fit", "partial_fit"):
        with pytest.warns(UserWarning, match=re.escape(message)) as caught:
            report = getattr(BertClassifier(tiny_bert, max_length=6, **FAST), method)(texts, y).truncation_
        assert len(caught) == 1
        assert caught[0].filename == __file__
    assert (report.n_rows, report.n_truncated, report.n_tokens_cut, report.longest) == (4, 1, 16, 22)


def test_long_text_is_cut_at_the_limit_of_the_model_by_default(fitted_classifier):
    assert fitted_classifier.truncation_.max_length == 64
    np.testing.assert_array_equal(
        fitted_classifier.predict_proba(["good " * 1000]), fitted_classifier.predict_proba(["good " * 62])
    )
