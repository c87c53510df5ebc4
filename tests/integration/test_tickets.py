"""The example data are what their README says."""

from pathlib import Path

import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

TAGS = ["refund_wanted", "angry", "repeat_contact", "deadline", "cancel_threat", "grateful"]


@pytest.fixture(scope="module")
def tickets():
    return pd.read_csv(Path(__file__).parents[2] / "examples" / "data" / "tickets.csv", keep_default_na=False)


def test_there_are_448_different_messages_of_five_teams(tickets):
    assert len(tickets) == tickets["message"].str.lower().nunique() == 448
    assert set(tickets["team"]) == {"billing", "delivery", "product", "account", "workshop"}
    assert tickets["team"].value_counts().between(88, 91).all()
    assert tickets["message"].str.split().str.len().between(6, 90).all()


def test_every_tag_is_common_enough_to_learn(tickets):
    assert list(tickets.columns) == ["message", "team", *TAGS, "urgency"]
    assert tickets[TAGS].isin([0, 1]).all(axis=None)
    assert tickets[TAGS].mean().between(0.12, 0.29).all()


def test_urgency_spreads_from_0_to_10(tickets):
    assert tickets["urgency"].between(0, 10).all()
    assert tickets["urgency"].std() > 2


def test_counting_words_does_not_solve_it(tickets):
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    accuracy = cross_val_score(model, tickets["message"], tickets["team"], cv=folds).mean()
    assert 0.70 < accuracy < 0.85
