"""The estimators inside the meta-estimators and search tools of scikit-learn, mostly on lists of str."""

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - importing it enables HalvingGridSearchCV
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_bert import BertClassifier, BertRegressor
from tests.helpers import probabilities_in_a_new_process

FAST = {"max_epochs": 14, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}


@pytest.fixture
def classifier(tiny_bert):
    return BertClassifier(tiny_bert, **FAST)


@pytest.fixture
def regressor(tiny_bert):
    return BertRegressor(tiny_bert, **FAST | {"max_epochs": 25})


@pytest.fixture(scope="session")
def ratings(reviews):
    return reviews[0], np.array([5.0 if label == "good" else 1.0 for label in reviews[1]])


def column(texts):
    """Texts as an object array of shape (n, 1), for meta-estimators that index X as a 2-D array."""
    return np.array(texts, dtype=object).reshape(-1, 1)


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_grid_search_finds_the_learning_rate_that_learns(classifier, reviews, n_jobs):
    search = GridSearchCV(classifier, {"learning_rate": [1e-6, 1e-2]}, cv=2, n_jobs=n_jobs).fit(*reviews)
    assert search.best_params_ == {"learning_rate": 1e-2}
    assert search.score(*reviews) > 0.9


@pytest.mark.slow
def test_grid_search_in_two_processes_equals_grid_search_in_one(classifier, reviews):
    grid = {"learning_rate": [1e-3, 1e-2]}
    scores = [
        GridSearchCV(classifier, grid, cv=2, n_jobs=n).fit(*reviews).cv_results_["mean_test_score"] for n in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)


@pytest.mark.slow
def test_randomized_search_finds_the_learning_rate_that_learns(classifier, reviews):
    rates = {"learning_rate": [1e-6, 1e-2]}
    search = RandomizedSearchCV(classifier, rates, n_iter=2, cv=2, random_state=0).fit(*reviews)
    assert search.best_params_ == {"learning_rate": 1e-2}


def test_halving_grid_search_finds_the_learning_rate_that_learns(classifier, reviews):
    search = HalvingGridSearchCV(
        classifier, {"learning_rate": [1e-6, 1e-2]}, cv=2, min_resources=24, random_state=0
    ).fit(*reviews)
    assert search.best_params_ == {"learning_rate": 1e-2}


@pytest.mark.slow
def test_cross_validation_functions_accept_texts(classifier, reviews):
    texts, y = reviews
    assert cross_val_score(classifier, texts, y, cv=3).mean() > 0.9
    assert cross_val_predict(classifier, texts, y, cv=3, method="predict_proba").shape == (48, 2)
    assert cross_validate(classifier, texts, y, cv=2, scoring="roc_auc")["test_score"].mean() > 0.9
    assert learning_curve(classifier, texts, y, cv=2, train_sizes=[0.5, 1.0], shuffle=True, random_state=0)[
        2
    ].shape == (
        2,
        2,
    )


def one_sided(labels):
    """Weights of 1 for "good" and 0 for "bad", but for one row of 1e-6."""
    weights = np.where(np.array(labels) == "good", 1.0, 0.0)
    weights[labels.index("bad")] = 1e-6
    return weights


def test_pipeline_sets_parameters_and_passes_sample_weight(classifier, reviews):
    pipeline = make_pipeline(FunctionTransformer(lambda texts: [text.upper() for text in texts]), classifier)
    pipeline.set_params(bertclassifier__max_epochs=9)
    pipeline.fit(*reviews, bertclassifier__sample_weight=one_sided(reviews[1]))
    assert pipeline[-1].n_iter_ == 9
    assert (pipeline.predict(reviews[0]) == "good").all()
    assert pipeline.fit(*reviews).score(*reviews) > 0.9


def test_column_transformer_selects_the_text_column(classifier, reviews):
    texts, y = reviews
    frame = pd.DataFrame({"price": np.arange(48), "review": texts})
    pick = make_column_transformer(("passthrough", ["review"]))
    assert make_pipeline(pick, classifier).fit(frame, y).score(frame, y) > 0.9


def test_stacking_combines_the_text_column_with_tfidf_and_numbers(classifier, reviews):
    texts, y = reviews
    frame = pd.DataFrame({"review": texts, "price": np.arange(48.0)})
    features = ColumnTransformer([("words", TfidfVectorizer(), "review"), ("price", "passthrough", ["price"])])
    text_only = make_pipeline(make_column_transformer(("passthrough", ["review"])), classifier)
    stack = StackingClassifier(
        [("bert", text_only), ("tfidf", make_pipeline(features, LogisticRegression(max_iter=1000)))], cv=2
    )
    assert stack.fit(frame, y).score(frame, y) > 0.9


def test_stacking_classifier_combines_bert_and_tfidf(classifier, reviews):
    tfidf = make_pipeline(TfidfVectorizer(), LogisticRegression())
    assert StackingClassifier([("bert", classifier), ("tfidf", tfidf)], cv=2).fit(*reviews).score(*reviews) > 0.9


def test_stacking_regressor_learns_with_bert(regressor, ratings):
    assert StackingRegressor([("bert", regressor)], cv=2).fit(*ratings).score(*ratings) > 0.9


@pytest.mark.parametrize("voting", ["hard", "soft"])
def test_voting_classifier_combines_bert_and_tfidf(classifier, reviews, voting):
    tfidf = make_pipeline(TfidfVectorizer(), LogisticRegression())
    vote = VotingClassifier([("bert", classifier), ("tfidf", tfidf)], voting=voting).fit(*reviews)
    assert vote.score(*reviews) > 0.9


@pytest.mark.parametrize("method", ["sigmoid", "temperature"])
def test_calibrated_classifier_learns_and_its_probabilities_sum_to_one(classifier, reviews, method):
    classifier.set_params(max_epochs=15)
    calibrated = CalibratedClassifierCV(classifier, method=method, cv=2).fit(*reviews)
    np.testing.assert_allclose(calibrated.predict_proba(reviews[0]).sum(axis=1), 1)
    assert calibrated.score(*reviews) > 0.9


@pytest.mark.slow
def test_one_vs_rest_classifier_learns(classifier, reviews):
    y = [f"{label}{'!' if '!' in text else ''}" for text, label in zip(*reviews, strict=True)]
    assert OneVsRestClassifier(classifier.set_params(max_epochs=20)).fit(reviews[0], y).score(reviews[0], y) > 0.9


@pytest.mark.slow
def test_threshold_classifiers_of_scikit_learn_accept_the_classifier(classifier, reviews):
    texts, y = reviews[0], np.array([label == "good" for label in reviews[1]])
    assert TunedThresholdClassifierCV(classifier, cv=2, scoring="f1").fit(texts, y).score(texts, y) > 0.9
    fixed = FixedThresholdClassifier(classifier, threshold=1.0, response_method="predict_proba").fit(texts, y)
    assert not fixed.predict(texts).any()


@pytest.mark.slow
def test_multi_output_meta_estimators_predict_two_columns(classifier, regressor, reviews, ratings):
    texts, y = reviews[0], np.column_stack([reviews[1], ["!" in text for text in reviews[0]]])
    assert MultiOutputClassifier(classifier).fit(texts, y).predict(texts).shape == (48, 2)
    assert MultiOutputRegressor(regressor).fit(texts, np.column_stack([ratings[1]] * 2)).predict(texts).shape == (48, 2)


def test_transformed_target_regressor_learns(regressor, ratings):
    model = TransformedTargetRegressor(regressor, func=np.log, inverse_func=np.exp).fit(*ratings)
    assert model.score(*ratings) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("make_column", [column, lambda texts: pd.DataFrame({"text": texts})], ids=["array", "frame"])
def test_bagging_and_boosting_accept_one_text_column(classifier, reviews, make_column):
    X, y = make_column(reviews[0]), reviews[1]
    classifier.set_params(max_epochs=20)
    assert BaggingClassifier(classifier, n_estimators=2, random_state=0).fit(X, y).score(X, y) > 0.9
    assert AdaBoostClassifier(classifier, n_estimators=2, random_state=0).fit(X, y).score(X, y) > 0.9


def test_metadata_routing_passes_sample_weight_through_a_search(classifier, reviews):
    with sklearn.config_context(enable_metadata_routing=True):
        routed = classifier.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        folds = [(np.arange(48), np.arange(48))]
        search = GridSearchCV(routed, {"max_epochs": [1, 2]}, cv=folds)
        search.fit(*reviews, sample_weight=one_sided(reviews[1]))
    assert (search.predict(reviews[0]) == "good").all()


def test_transform_output_pandas_does_not_change_predict(classifier, reviews):
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(classifier.fit(*reviews).predict(reviews[0]), np.ndarray)


@pytest.mark.slow
def test_search_pickled_into_a_new_process_gives_equal_probabilities_for_2000_rows(classifier, reviews, tmp_path):
    """Search with two processes, pickle the search, predict in a new process."""
    rng = np.random.default_rng(0)
    picked = rng.integers(0, 48, 2000)
    texts = [f"{reviews[0][i]} {'very ' * rng.integers(0, 9)}" for i in picked]
    y = [reviews[1][i] for i in picked]
    search = GridSearchCV(classifier.set_params(max_epochs=1), {"learning_rate": [1e-3, 1e-2]}, cv=2, n_jobs=2)
    search.fit(texts, y)
    probabilities = probabilities_in_a_new_process(search, texts, tmp_path)
    assert torch.get_num_threads() == 1
    np.testing.assert_array_equal(probabilities, search.predict_proba(texts))
    assert search.score(texts, y) > 0.95
