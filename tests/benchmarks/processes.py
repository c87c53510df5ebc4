"""What several processes gain over one process with as many threads, for a fit of short and of long texts.

    python -m tests.benchmarks.processes [--data CSV --text-column message --label-column team] [--rows 448]
        [--join 1 12] [--max-length 128] [--processes 2] [--runs 3] [--out processes.json]

Each process of ``torchrun`` has one thread. The fit is the one of ``speed.py fit``, after a short one as a warm-up, in
a process that has started already: loading and tokenizing count, the start of the process does not. With ``--join 12``
a text is twelve of the file's texts, one after the other. One process and several run in turn; figures are medians over
the runs.

A second fit measures what the gradients' message takes of it: before each message the processes wait for each other,
so "waiting" is the unequal work of a step, and "message" is the message alone, put together and sent.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from tests.benchmarks import competitors

WARM_UP_ROWS = 64
MARK = "figures: "


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    competitors.add_arguments(parser, 448)
    parser.add_argument("--join", type=int, nargs="+", default=[1, 12], help="texts of the file in a text")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("processes.json"))
    parser.add_argument("--measure", action="store_true", help="in the processes that are measured")
    args = parser.parse_args()
    if args.measure:
        measure(args)
        return
    sizes = [(join, n) for join in args.join for n in (1, args.processes)]
    figures = {size: [] for size in sizes}
    for run in range(args.runs):
        for size in sizes:
            figures[size].append(figures_of(*size, args.processes))
            print(
                f"run {run + 1} of {args.runs}: --join {size[0]}, {size[1]} processes: {figures[size][-1]}", flush=True
            )
    settings = {name: value for name, value in vars(args).items() if name != "out"}
    results = {f"join {join}, {n} processes": found for (join, n), found in figures.items()}
    args.out.write_text(json.dumps(settings | {"cores": os.cpu_count(), "figures": results}, indent=1, default=str))
    print("\n".join(table(args, figures)))


def table(args, figures):
    """A row for each length of the texts: seconds of one process and of several, their ratio, and the shares."""
    n = args.processes
    cells = []
    for join in args.join:
        one, several = (
            {name: np.median([run[name] for run in figures[join, size]]) for name in figures[join, size][0]}
            for size in (1, n)
        )
        shares = [f"{100 * several[name] / several['measured']:.1f} %" for name in ("message", "waiting")]
        speedup = f"{one['seconds'] / several['seconds']:.2f}"
        cells.append([f"{one['tokens']:.0f}", f"{one['seconds']:.2f}", f"{several['seconds']:.2f}", speedup, *shares])
    heads = ["tokens", f"one process, {n} threads, s", f"{n} processes, s", "ratio", "message", "waiting"]
    return competitors.table(heads, cells)


def figures_of(join, n_processes, n_threads):
    """The figures that new processes print; one process has all the threads."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(n_processes)]
    command = [sys.executable, *(launcher if n_processes > 1 else []), "-m", "tests.benchmarks.processes"]
    arguments = [*sys.argv[1:], "--measure", "--join", str(join)]
    threads = str(n_threads if n_processes == 1 else 1)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run([*command, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith(MARK)).removeprefix(MARK))


# -- in the processes ---------------------------------------------------------------------------------------


def measure(args):
    """Print, in the first process only, the seconds of a fit, and of another one with its messages measured."""
    from sklearn_bert._encoding.tokenization import tokenize
    from sklearn_bert._runtime.distributed import DistributedContext
    from tests.benchmarks.speed import seconds_of

    competitors.silence()
    rows = load(args)
    model = competitors.fit_ours(rows.head(WARM_UP_ROWS))
    seconds = seconds_of(competitors.fit_ours, rows)
    spent = {"message": 0.0, "waiting": 0.0}
    with mock.patch.object(DistributedContext, "sum_gradients", measured(DistributedContext.sum_gradients, spent)):
        whole = seconds_of(competitors.fit_ours, rows)
    lengths = tokenize(model.tokenizer_, (rows.texts,), rows.max_length).lengths
    if os.environ.get("RANK", "0") == "0":
        figures = {"tokens": float(lengths.mean()), "seconds": seconds, "measured": whole} | spent
        print(MARK + json.dumps(figures), flush=True)


def load(args):
    """The rows, each text joined to the ones behind it."""
    rows, (join,) = competitors.load(args), args.join
    return replace(rows, texts=[" ".join((rows.texts * 2)[i : i + join]) for i in range(len(rows.texts))])


def measured(sum_gradients, spent):
    """`DistributedContext.sum_gradients`, with its seconds added to those spent."""
    import torch.distributed as dist

    from tests.benchmarks.speed import synchronize

    def timed(self, parameters, loss):
        start = now()
        if self.size > 1:
            dist.barrier()
        ready = now()
        result = sum_gradients(self, parameters, loss)
        spent["waiting"] += ready - start
        spent["message"] += now() - ready
        return result

    def now():
        synchronize()
        return time.perf_counter()

    return timed


if __name__ == "__main__":
    main()
