"""Warnings point at the user's line; about one thing a search warns once in a process."""

import warnings

import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_bert import BertClassifier
from sklearn_bert._runtime import user_warnings
from sklearn_bert._runtime.user_warnings import warn_user
from tests.helpers import FAST

CUT = "rows are longer than max_length"


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch):
    monkeypatch.setattr(user_warnings, "_given", set())


def warnings_of(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [(str(warning.message), warning.filename) for warning in caught]


def long_texts(model):
    classifier = BertClassifier(model, max_length=6, **FAST | {"max_epochs": 1})
    return classifier, ["good " * 20, "bad " * 20] * 6, ["good", "bad"] * 6


def test_a_warning_points_at_the_line_of_the_user(tiny_bert):
    classifier, X, y = long_texts(tiny_bert)
    calls = {
        "fit": lambda: classifier.fit(X, y),
        "partial_fit": lambda: classifier.partial_fit(X, y),
        "in a pipeline": lambda: make_pipeline(classifier).fit(X, y),
        "in a search": lambda: GridSearchCV(classifier, {}, cv=2).fit(X, y),
    }
    for name, call in calls.items():
        [(message, filename)] = warnings_of(call)
        assert CUT in message, name
        assert filename == __file__, name


@pytest.mark.parametrize(
    "repeat",
    [
        lambda clf, X, y: GridSearchCV(clf, {"batch_size": [4, 8]}, cv=3).fit(X, y),
        lambda clf, X, y: cross_val_score(clf, X, y, cv=3),
        lambda clf, X, y: BaggingClassifier(clf, n_estimators=3).fit([[text] for text in X], y),
    ],
    ids=["GridSearchCV", "cross_val_score", "BaggingClassifier"],
)
def test_fits_that_repeat_warn_once_for_each_max_length(tiny_bert, repeat):
    classifier, X, y = long_texts(tiny_bert)
    assert len(warnings_of(lambda: repeat(classifier, X, y))) == 1
    assert len(warnings_of(lambda: repeat(classifier, X, y))) == 0
    assert len(warnings_of(lambda: repeat(classifier.set_params(max_length=7), X, y))) == 1


def test_each_fit_of_the_user_warns(tiny_bert):
    classifier, X, y = long_texts(tiny_bert)
    cross_val_score(classifier.set_params(max_length=None), X, y, cv=2)
    for _ in range(2):
        assert len(warnings_of(lambda: classifier.set_params(max_length=6).fit(X, y))) == 1


def test_what_is_about_nothing_is_said_each_time():
    class Warns(DummyClassifier):
        def fit(self, X, y):
            warn_user("a sentence")
            return super().fit(X, y)

    assert len(warnings_of(lambda: cross_val_score(Warns(), [[0]] * 8, [0, 1] * 4, cv=4))) == 4
