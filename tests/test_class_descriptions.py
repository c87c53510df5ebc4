"""`class_descriptions` of the classifier."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sklearn_bert import BertClassifier
from sklearn_bert.datasets import load_tickets

SETTINGS = {"max_epochs": 1, "max_length": 16, "random_state": 0, "device": "cpu", "precision": "float32"}
WORDS = {"bad": "terrible film", "good": "lovely film"}


def proba(classifier, texts):
    return classifier.predict_proba(texts)


def test_a_description_is_trained_on_as_a_row_of_weight_four(tiny_bert, reviews):
    texts, y = reviews[0][:12], reviews[1][:12]
    described = BertClassifier(tiny_bert, class_descriptions=WORDS, **SETTINGS).fit(texts, y)
    more = [*texts, *WORDS.values()], [*y, *WORDS], [1.0] * 12 + [4.0] * 2
    by_hand = BertClassifier(tiny_bert, **SETTINGS).fit(*more)
    np.testing.assert_array_equal(proba(described, reviews[0]), proba(by_hand, reviews[0]))
    without = BertClassifier(tiny_bert, **SETTINGS).fit(texts, y)
    assert not np.array_equal(proba(described, reviews[0]), proba(without, reviews[0]))


def test_labels_are_described_by_the_names_of_their_columns_or_by_position(tiny_bert, reviews):
    y = pd.DataFrame({"film": [1, 0, 1, 0] * 4, "long": [0, 0, 1, 1] * 4})
    fits = [
        BertClassifier(tiny_bert, class_descriptions=words, **SETTINGS).fit(reviews[0][:16], y)
        for words in ({"long": "a long text"}, {1: "a long text"}, None)
    ]
    by_name, by_position, without = (proba(fitted, reviews[0]) for fitted in fits)
    np.testing.assert_array_equal(by_name, by_position)
    assert not np.array_equal(by_name, without)


def test_a_class_without_rows_is_learned_from_its_description_with_a_warning(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, class_descriptions=WORDS | {"other": "nothing of this"}, **SETTINGS)
    message = (
        "class_descriptions names ['other'], and no row of y has such a label: it is learned from its description "
        "alone. If that is not what you want, correct the name."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        classifier.fit(reviews[0][:12], reviews[1][:12])
    assert classifier.classes_.tolist() == ["bad", "good", "other"]
    assert classifier.predict_proba(["a film"]).shape == (1, 3)


def test_rows_of_one_class_suffice_where_another_is_described(tiny_bert):
    classifier = BertClassifier(tiny_bert, class_descriptions=WORDS, **SETTINGS)
    with pytest.warns(UserWarning, match=r"^class_descriptions names \['good'\]"):
        classifier.fit(["terrible film", "a bad film"], ["bad", "bad"])
    assert classifier.classes_.tolist() == ["bad", "good"]


def test_partial_fit_takes_descriptions_once_and_of_its_classes_only(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, class_descriptions=WORDS, **SETTINGS)
    message = "class_descriptions names ['bad'], which are not in classes. Pass in classes all that will ever occur."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        classifier.partial_fit(["a good film"], ["good"], classes=["good", "fair"])
    classifier.partial_fit(["a good film"], ["good"], classes=["bad", "good"])
    assert classifier.truncation_.n_rows == 3
    classifier.partial_fit(["a bad film", "a good film"], ["bad", "good"])
    assert classifier.truncation_.n_rows == 2


def test_descriptions_are_not_held_out(tiny_bert, reviews):
    settings = SETTINGS | {"early_stopping": True, "validation_fraction": 0.5, "max_epochs": 2}
    described = BertClassifier(tiny_bert, class_descriptions=WORDS, **settings).fit(*reviews)
    without = BertClassifier(tiny_bert, **settings).fit(*reviews)
    assert described.truncation_.n_rows == without.truncation_.n_rows + 2


def test_they_are_cloned_stored_and_loaded(tiny_bert, reviews, tmp_path):
    classifier = BertClassifier(tiny_bert, class_descriptions=WORDS, **SETTINGS)
    assert clone(classifier).class_descriptions == WORDS
    classifier.fit(reviews[0][:12], reviews[1][:12]).save_pretrained(tmp_path / "model")
    loaded = BertClassifier.from_pretrained(tmp_path / "model")
    assert loaded.class_descriptions == WORDS
    np.testing.assert_array_equal(proba(loaded, reviews[0]), proba(classifier, reviews[0]))


@pytest.mark.slow
def test_with_two_rows_per_class_descriptions_make_a_real_encoder_better(minilm):
    tickets = load_tickets().sample(frac=1, random_state=0)
    train = tickets.groupby("team").head(2)
    new = tickets.drop(train.index).head(100)
    words = {
        "account": "I cannot log in to my account.",
        "billing": "A question about an invoice, a payment or a refund.",
        "delivery": "My parcel has not arrived.",
        "product": "A question about a product, its size or its parts.",
        "workshop": "My bike needs a repair or a service.",
    }
    scores = [
        BertClassifier(minilm, class_descriptions=words, contrastive_steps=0, max_length=64, random_state=0)
        .fit(train["message"], train["team"])
        .score(new["message"], new["team"])
        for words in (words, None)
    ]
    assert scores[0] > scores[1] + 0.05
