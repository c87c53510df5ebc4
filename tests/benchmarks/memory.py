"""The memory of fits and predictions, each measured in a process of its own: ``speed.py memory`` (Linux only).

A process's peak (``ru_maxrss``) covers all that it ever held, imports and loading included, and begins with
the peak of the process that started it: therefore the one that starts the others must not import torch.
"""

import itertools
import json
import subprocess
import sys
from functools import partial
from unittest import mock

import numpy as np

from tests.benchmarks import competitors
from tests.benchmarks.resident import MIB, resident, resident_after_collection

SIDES = ["ours", "trainer", "trainer, best"]
N_FITS, FIRST_FIT = 20, 3  # growth counts from the third fit: the first ones fill caches


def run(args):
    """Peaks of each side's fit and predict, and the resident memory after fits in a row; lines of the tables."""
    figures = {(side, work): [] for side, work in itertools.product(args.sides, ["fit", "predict"])}
    for i in range(args.runs):
        for (side, work), found in figures.items():
            found.append(_in_process(args, work, side))
            print(f"run {i + 1} of {args.runs}: {side}, {work}: {found[-1]} MiB", flush=True)
    resident = _in_process(args, "fits", "ours")["resident"]
    growth = 100 * (resident[-1] / resident[FIRST_FIT - 1] - 1)
    print(f"after each of {N_FITS} fits: {resident} MiB", flush=True)
    results = {"mib": {f"{side}: {work}": found for (side, work), found in figures.items()}}
    results |= {"resident_mib": resident, "growth_percent": growth}
    return results, [*_peak_table(figures, args.sides[0]), "", *_growth_table(resident, growth)]


def _in_process(args, work, side):
    command = [sys.executable, "-m", "tests.benchmarks.speed", "_memory", work, side]
    for name in ("data", "text_column", "label_column", "rows", "max_length"):
        command += ["--" + name.replace("_", "-"), str(getattr(args, name))]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _peak_table(figures, first):
    """A row per work and side: the medians, and the peak as a multiple of the first side's."""
    names = list(next(iter(figures.values()))[0])
    middle = {key: {name: np.median([run[name] for run in found]) for name in names} for key, found in figures.items()}
    cells = []
    for (side, work), found in sorted(middle.items(), key=lambda item: item[0][1]):
        ratio = found["peak"] / middle[first, work]["peak"]
        cells.append([work, side, *(f"{value:.0f}" for value in found.values()), f"{ratio:.2f}"])
    return competitors.table(["work", "side", *(f"{name}, MiB" for name in names), f'peak / "{first}"'], cells)


def _growth_table(resident, growth):
    """The resident memory after single fits, its growth, and its range from fit `FIRST_FIT` on."""
    fits = [1, FIRST_FIT, N_FITS]
    cells = [f"{resident[i - 1]:.0f}" for i in fits]
    counted = resident[FIRST_FIT - 1 :]
    heads = [*(f"MiB after fit {i}" for i in fits), "growth", "least", "most"]
    return competitors.table(heads, [[*cells, f"{growth:+.1f} %", f"{min(counted):.0f}", f"{max(counted):.0f}"]])


# -- in the processes ---------------------------------------------------------------------------------------


def add_arguments(parser):
    """What to measure, then which rows to read."""
    parser.add_argument("work", choices=["fit", "predict", "fits"])
    parser.add_argument("side", choices=SIDES)
    competitors.add_arguments(parser, None)


def measure(args):
    """Print the figures of one process as JSON."""
    competitors.silence()
    competitors.device()  # torch is loaded before the start: transformers alone waits until it is needed
    rows = competitors.load(args)
    if args.work == "fits":
        print(json.dumps({"resident": [_resident_after_fit(args.side, rows) for _ in range(N_FITS)]}))
        return
    work = partial(competitors.FITS[args.side], rows)
    if args.work == "predict":
        predictor = _predictor_ours if args.side == "ours" else competitors.PREDICTORS[args.side]
        work = partial(predictor(rows), rows.texts)
    start = round(resident())
    work()
    print(json.dumps({"start": start, "peak": _peak()} | _gpu_peak()))


def _predictor_ours(rows):
    """This project's prediction function, of a fit without steps: their gradients would set the peak."""
    import torch

    from sklearn_bert._training.training_net import BertNet

    nothing = {"loss": torch.zeros(()), "y_pred": None}
    with mock.patch.object(BertNet, "train_step", return_value=nothing):
        return competitors.predictor_ours(rows)


def _resident_after_fit(side, rows):
    competitors.FITS[side](rows)
    return round(resident_after_collection())


def _peak():
    """Most MiB that this process ever held."""
    import resource  # Unix only, and this module is imported everywhere

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _gpu_peak():
    """Most MiB that torch ever held on the GPU, if there is one."""
    import torch

    return {"GPU peak": round(torch.cuda.max_memory_allocated() / MIB)} if torch.cuda.is_available() else {}
