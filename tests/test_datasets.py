"""The example data have the properties that `tickets.md` beside them states."""

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_bert import BertClassifier
from sklearn_bert.datasets import load_tickets

TAGS = ["refund_wanted", "angry", "repeat_contact", "deadline", "cancel_threat", "grateful"]


@pytest.fixture(scope="module")
def tickets():
    return load_tickets()


def test_tickets_hold_448_different_messages_of_five_teams(tickets):
    assert len(tickets) == tickets["message"].str.lower().nunique() == 448
    assert set(tickets["team"]) == {"billing", "delivery", "product", "account", "workshop"}
    assert tickets["team"].value_counts().between(88, 91).all()
    assert tickets["message"].str.split().str.len().between(6, 90).all()


def test_every_tag_is_on_12_to_29_percent_of_the_tickets(tickets):
    assert list(tickets.columns) == ["message", "team", *TAGS, "urgency"]
    assert tickets[TAGS].isin([0, 1]).all(axis=None)
    assert tickets[TAGS].mean().between(0.12, 0.29).all()


def test_urgency_is_between_0_and_10_and_varies(tickets):
    assert tickets["urgency"].between(0, 10).all()
    assert tickets["urgency"].std() > 2


def test_tfidf_baseline_has_moderate_accuracy(tickets):
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    accuracy = cross_val_score(model, tickets["message"], tickets["team"], cv=folds).mean()
    assert 0.70 < accuracy < 0.85


@pytest.mark.slow
@pytest.mark.parametrize("params", [{}, {"head_init": "random"}, {"hidden_layer_sizes": (128,)}], ids=str)
def test_a_head_on_a_frozen_encoder_learns_with_no_other_parameter_set(minilm, tickets, params):
    """With the rate of an encoder a random head stays at chance, which is 0.2."""
    train, test = train_test_split(tickets, train_size=200, stratify=tickets["team"], random_state=0)
    classifier = BertClassifier(minilm, freeze="encoder", random_state=0, device="cpu", **params)
    classifier.fit(train["message"], train["team"])
    assert classifier.score(test["message"], test["team"]) > 0.70
