"""The attributes that a fit sets: as declared, as documented, and nothing left of an earlier fit."""

import re
from types import SimpleNamespace

import pytest

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._fitted import FittedAttributes, learned_attributes

DECLARED = set(FittedAttributes.__annotations__)
OF_VALIDATION = {"validation_scores_", "validation_loss_curve_", "best_iter_"}


@pytest.fixture
def classifier(tiny_bert):
    return BertClassifier(tiny_bert, max_epochs=2, random_state=0)


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
def test_the_declared_attributes_are_documented(estimator):
    documented = set(re.findall(r"^    (\w+_) : ", estimator.__doc__, flags=re.MULTILINE))
    assert documented >= DECLARED | {"module_", "summary_"}


def test_a_fit_with_validation_sets_the_declared_attributes(classifier, reviews):
    texts, labels = reviews
    classifier.fit(texts, labels, X_val=texts[:4], y_val=labels[:4])
    assert vars(classifier).keys() >= DECLARED
    assert classifier.module_ is classifier.net_.module_
    fitted = f"2 epochs in batches of {classifier.net_.batch_size}, epoch {classifier.best_iter_} kept"
    assert f"{fitted}, 0 of {len(texts)} rows cut" in classifier.summary_


def test_a_fit_without_validation_leaves_no_scores_of_an_earlier_one(classifier, reviews):
    texts, labels = reviews
    classifier.fit(texts, labels, X_val=texts[:4], y_val=labels[:4]).fit(texts, labels)
    assert vars(classifier).keys() & DECLARED == DECLARED - OF_VALIDATION
    assert "kept" not in classifier.summary_


def test_learned_attributes_come_from_the_history():
    history = [{"train_loss": 2}, {"train_loss": 1}]
    config = SimpleNamespace(average_weights=True)
    net = SimpleNamespace(history=history, lr=0.5, training_config=config)
    target = SimpleNamespace(problem_type="regression")
    reports = {"truncation_": "report", "unknown_tokens_": "other report"}
    learned = learned_attributes(net, target, SimpleNamespace(tokenizer="tokenizer"), **reports)
    assert learned["loss_curve_"] == [2.0, 1.0]
    assert (learned["n_iter_"], learned["learning_rate_"], learned["truncation_"]) == (2, 0.5, "report")
    assert learned["average_weights_"] is True
    assert not learned.keys() & OF_VALIDATION
