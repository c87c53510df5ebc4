"""Resident memory over many small fits and predictions in one process (Linux only).

    python -m tests.benchmarks.soak --fits 200 --predictions 2000

The first 20 fits fill caches, and the others repeat them, so the growth counts from the twentieth: what still grows
then is lost. With ``--distinct 200`` no fit is like another, and the growth is that of torch's cache of kernels too,
which holds one for each shape of a batch, a thousand at most. Read after a collection and with free memory given back
to the system, so that it is what the process holds, not what its allocator keeps for later.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from sklearn_bert import BertClassifier, BertRegressor
from tests.benchmarks.resident import resident_after_collection
from tests.conftest import WORDS, save_checkpoint

FIRST = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--predictions", type=int, default=2000)
    parser.add_argument("--distinct", type=int, default=FIRST, help="fits that differ in data and seed")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        resident = list(soak(save_checkpoint(Path(folder) / "bert", WORDS), args.fits, args.predictions, args.distinct))
    growth = 100 * (resident[-1] / resident[FIRST - 1] - 1)
    print(f"resident after {FIRST} fits: {resident[FIRST - 1]:.1f} MiB, after all: {resident[-1]:.1f} MiB")
    print(f"growth: {growth:.2f} %")


def growth_of(output):
    """Percent, from what the command printed."""
    return float(re.search(r"growth: (\S+) %", output)[1])


def soak(model, n_fits, n_predictions, n_distinct):
    """Fit and predict in all modes by turns; MiB after each fit and its share of the predictions."""
    words = np.array([word for word in WORDS if not word.startswith("##")])
    for i in (i % n_distinct for i in range(n_fits)):
        random = np.random.default_rng(i)
        texts = [" ".join(random.choice(words, random.integers(0, 80))) for _ in range(24)]
        estimator, y = (
            (BertClassifier, random.permutation(np.arange(24) % 3)),
            (BertClassifier, random.integers(0, 2, (24, 3))),
            (BertRegressor, random.normal(size=24)),
            (BertRegressor, random.normal(size=(24, 2))),
        )[i % 4]
        fitted = estimator(model, max_epochs=2, long_text="window", random_state=i, device="cpu").fit(texts, y)
        for j in range(n_predictions // n_fits):
            fitted.predict(texts[j % 24 :])
        del fitted
        yield resident_after_collection()


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("The resident memory is read from /proc, which only Linux has.")
    main()
