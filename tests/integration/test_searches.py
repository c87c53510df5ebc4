"""Searches that end hopeless candidates early, with the tools that exist: all run with the estimators as they are."""

import numpy as np
import optuna
import pytest
from optuna_integration import OptunaSearchCV, SkorchPruningCallback
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - importing it enables HalvingGridSearchCV
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

from sklearn_bert import BertClassifier, BertRegressor
from tests.helpers import FAST, ticking_clock

GRID = {"learning_rate": [1e-7, 1e-6, 1e-3, 1e-2]}
GOOD = {1e-3, 1e-2}
STATES = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


@pytest.fixture
def classifier(tiny_bert):
    return BertClassifier(tiny_bert, **FAST | {"head_init": "random", "max_epochs": 6, "batch_size": 8})


@pytest.fixture
def study():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler, pruner = optuna.samplers.GridSampler(GRID, seed=0), optuna.pruners.MedianPruner(n_startup_trials=1)
    return optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)


@pytest.mark.parametrize(
    "resource",
    [
        {"resource": "max_epochs", "min_resources": 2, "max_resources": 6, "factor": 3},
        {"resource": "n_samples", "min_resources": "exhaust", "factor": 3},
    ],
    ids=lambda settings: settings["resource"],
)
def test_halving_of_epochs_or_rows_finds_a_rate_that_learns(classifier, reviews, resource):
    search = HalvingGridSearchCV(classifier, GRID, cv=2, random_state=0, **resource).fit(*reviews)
    results = search.cv_results_
    assert len(set(results["n_resources"])) > 1
    assert np.bincount(results["iter"])[-1] < len(GRID["learning_rate"])
    assert search.best_params_["learning_rate"] in GOOD
    if resource["resource"] == "max_epochs":
        assert search.best_estimator_.n_iter_ == 6


@pytest.mark.filterwarnings("ignore:.optuna.terminator. module:FutureWarning")  # the search itself imports it
def test_optuna_search_prunes_candidates_that_partial_fit_shows_to_be_worse(classifier, reviews, study):
    distributions = {name: optuna.distributions.CategoricalDistribution(values) for name, values in GRID.items()}
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        search = OptunaSearchCV(
            classifier, distributions, cv=2, enable_pruning=True, max_iter=4, n_trials=4, study=study, random_state=0
        )
    search.fit(*reviews)
    states = [trial.state.name for trial in study.trials]
    assert states.count("PRUNED") >= 1
    assert search.best_params_["learning_rate"] in GOOD
    assert search.best_estimator_.n_iter_ == 6  # the last fit is one of max_epochs


def test_pruning_on_one_split_ends_a_fit_before_its_last_epoch(classifier, reviews, study):
    texts, labels = reviews

    def objective(trial):
        params = {name: trial.suggest_categorical(name, values) for name, values in GRID.items()}
        candidate = clone(classifier).set_params(**params, callbacks=[SkorchPruningCallback(trial, "valid_score")])
        return max(candidate.fit(texts, labels, X_val=texts, y_val=labels).validation_scores_)

    study.optimize(objective)
    n_epochs = {state: {len(t.intermediate_values) for t in study.get_trials(states=[state])} for state in STATES}
    assert n_epochs[optuna.trial.TrialState.COMPLETE] == {6}
    assert max(n_epochs[optuna.trial.TrialState.PRUNED]) < 6
    assert study.best_params["learning_rate"] in GOOD


def test_a_budget_of_time_holds_for_each_fit_of_a_search(tiny_bert, reviews):
    texts, labels = reviews
    regressor = BertRegressor(tiny_bert, **FAST | {"max_epochs": 10_000, "max_seconds": 1.0})
    search = GridSearchCV(regressor, {"dropout": [0.0, 0.1]}, cv=2, scoring=lambda fitted, X, y: fitted.n_steps_)
    with ticking_clock(0.01) as shown:
        search.fit(texts, (np.array(labels) == "good") * 1.0)
    n_steps = [search.cv_results_[f"split{i}_test_score"][candidate] for i in range(2) for candidate in range(2)]
    assert 4.5 < shown[-1] <= 5.0  # of five fits
    assert all(70 < n <= 100 for n in [*n_steps, search.best_estimator_.n_steps_])
