"""The tasks that tests run in several processes at once, and the functions that start these processes."""

import atexit
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from hashlib import blake2b
from operator import itemgetter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
DETERMINISTIC = {
    "max_epochs": 2,
    "learning_rate": 1e-2,
    "batch_size": 13,  # 48 rows: a last batch of nine
    "random_state": 0,
    "device": "cpu",
    "precision": "float64",
    "dropout": 0.0,
    "attention_dropout": 0.0,
}


def start(n, *arguments, **options):
    """Start `n` processes that run this module with the arguments, in the environment that a launcher sets."""
    port = _free_port()
    shared = os.environ | {
        "PYTHONPATH": str(ROOT),
        "WORLD_SIZE": str(n),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-W", "error", "-m", "tests.distributed_worker", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    return [
        subprocess.Popen(command, env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, **pipes | options)
        for rank in range(n)
    ]


def finish(processes, timeout=600):
    """Wait until all processes have ended without an error; the pairs (stdout, stderr) of each."""
    try:
        printed = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, printed, strict=True):
        assert process.returncode == 0, errors
    return printed


def _free_port():
    """A free port below those that the system assigns, so that no other program gets it in the meantime."""
    while True:
        port = random.SystemRandom().randrange(15_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def example_rows():
    """48 texts of different lengths, and for each row a class, three labels, a number and a weight."""
    words = "good great fine nice lovely superb bad awful poor dull terrible broken".split()
    texts = [f"the {('movie', 'plot', 'soup')[i % 3]} was {'very ' * (i % 5)}{words[i % 12]}" for i in range(48)]
    good = np.arange(48) % 12 < 6
    labels = np.stack([good, np.arange(48) % 3 == 0, np.arange(48) % 5 > 2], axis=1).astype(int)
    numbers = good * 100.0 + np.arange(48) % 5
    return texts, np.where(good, "good", "bad"), labels, numbers, np.linspace(0.3, 2.0, 48)


def outcome(estimator, predicted):
    """What must be equal for any number of processes."""
    weights = np.concatenate([p.detach().numpy().ravel() for p in estimator.module_.parameters()])
    return {"predicted": predicted, "loss": estimator.loss_curve_, "weights": weights}


def classification(model, **changes):
    from sklearn_bert import BertClassifier

    texts, y, _, _, weights = example_rows()
    classifier = BertClassifier(model, **DETERMINISTIC | changes).fit(texts, y, sample_weight=weights)
    return outcome(classifier, classifier.predict_proba(texts))


def multi_label(model):
    from sklearn_bert import BertClassifier

    texts, _, labels, _, _ = example_rows()
    classifier = BertClassifier(model, **DETERMINISTIC).fit(texts, labels)
    return outcome(classifier, classifier.predict_proba(texts))


def weighted_regression(model, **changes):
    from sklearn_bert import BertRegressor

    texts, _, _, numbers, weights = example_rows()
    regressor = BertRegressor(model, **DETERMINISTIC | changes).fit(texts, numbers, sample_weight=weights)
    return outcome(regressor, regressor.predict(texts))


def pairs(model):
    from sklearn_bert import BertRegressor

    texts, _, _, numbers, _ = example_rows()
    both = list(zip(texts, texts[::-1], strict=True))
    regressor = BertRegressor(model, **DETERMINISTIC).fit(both, numbers)
    return outcome(regressor, regressor.predict(both))


def validation(model):
    """Held-out rows, weights of the best epoch, a frozen encoder and a head with hidden layers."""
    return classification(
        model, early_stopping=True, max_epochs=4, freeze="encoder", hidden_layer_sizes=(5,), n_iter_no_change=4
    )


def chunks(model):
    """`partial_fit` on chunks, the last with fewer rows than processes, and a prediction of one text."""
    from sklearn_bert import BertClassifier

    texts, y, _, _, _ = example_rows()
    classifier = BertClassifier(model, **DETERMINISTIC)
    for rows in (slice(0, 30), slice(30, 47), slice(47, 48)):
        classifier.partial_fit(texts[rows], y[rows], classes=["bad", "good"])
    return outcome(classifier, np.concatenate([classifier.predict_proba(texts[:1]), classifier.predict_proba(texts)]))


FLOAT64_CASES = {
    "classification": classification,
    "multi label": multi_label,
    "weighted regression": weighted_regression,
    "pairs": pairs,
    "windows": lambda model: classification(model, max_length=7, long_text="window", stride=2),
    "validation": validation,
    "chunks": chunks,
    "one row at a time": lambda model: classification(model, batch_size=1, weight_decay=0.1, average_weights=True),
    "random head and micro batches": lambda model: classification(model, head_init="random", micro_batch_size=2),
}
FLOAT32_CASES = {
    "classification": lambda model: classification(model, precision="float32"),
    "weighted regression": lambda model: weighted_regression(model, precision="float32"),
}


def run_cases(model, folder, rank):
    """Run every case and write its outcome to a file."""
    for kind, table in (("float64", FLOAT64_CASES), ("float32", FLOAT32_CASES)):
        for name, case in table.items():
            np.savez(Path(folder) / f"{kind} {name} {rank}.npz", **case(model))


def print_dropout_states(model, folder, rank):
    """Fit twice with one seed and once without; print checksums of the weights and of all random states."""
    import torch

    from sklearn_bert._training.training_net import BertNet

    states, train_step = [], BertNet.train_step

    def record_state(net, batch, **params):
        states.append(torch.get_rng_state().numpy().tobytes())
        return train_step(net, batch, **params)

    BertNet.train_step = record_state
    for seed in (0, 0, None):
        fitted = classification(model, dropout=0.2, attention_dropout=0.1, random_state=seed)
        print(blake2b(fitted["weights"].tobytes()).hexdigest(), blake2b(b"".join(states)).hexdigest())
        states.clear()


def print_errors_of_different_inputs(model, folder, rank):
    """Call fit and predict with different arguments in each process, and with scores of the training; print errors."""
    from skorch.callbacks import EpochScoring

    from sklearn_bert import BertClassifier

    texts, y, _, _, _ = example_rows()
    classifier = BertClassifier(model, **DETERMINISTIC)

    def attempt(function, *arguments):
        try:
            function(*arguments)
        except ValueError as error:
            print(error)

    attempt(classifier.fit, texts[rank::2], y[:24])
    attempt(BertClassifier(model, **DETERMINISTIC | {"batch_size": 13 + rank}).fit, texts, y)
    attempt(BertClassifier(model, **DETERMINISTIC, checkpoint_dir=Path(folder) / str(rank)).fit, texts, y)
    attempt(BertClassifier(model, **DETERMINISTIC, checkpoint_dir=Path(folder) / str(rank)).fit, texts, y)
    for on_train in (True, False):
        scoring = EpochScoring("accuracy", on_train=on_train, target_extractor=itemgetter("y"))
        settings = DETERMINISTIC | {"callbacks": [("mine", scoring)], "early_stopping": True}
        attempt(BertClassifier(model, **settings).fit, texts, y)
    classifier.fit(texts, y)
    attempt(classifier.predict, texts[rank::2])
    print(len(classifier.predict(texts)))


def fit_with_checkpoint(model, folder, rank):
    """Train for thirty epochs with a checkpoint folder; write the outcome to a file."""
    fitted = classification(model, max_epochs=30, checkpoint_dir=folder, learning_rate=1e-3)
    np.savez(Path(folder) / f"{rank}.npz", **fitted)


def fit_with_checkpoint_until_the_last_is_killed(model, folder, rank):
    """As `fit_with_checkpoint`, but the last process kills itself in its third epoch."""
    from sklearn_bert._training.training_net import BertNet

    train_step = BertNet.train_step

    def die_in_the_third_epoch(net, batch, **params):
        if len(net.history) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return train_step(net, batch, **params)

    if rank == int(os.environ["WORLD_SIZE"]) - 1:
        BertNet.train_step = die_in_the_third_epoch
    fit_with_checkpoint(model, folder, rank)


def print_what_a_callback_sees(model, folder, rank):
    """Fit with a callback that ends the training in the last process only, twice; print what it saw as JSON."""
    from skorch.callbacks import Callback

    class Observer(Callback):
        def on_train_begin(self, net, **kwargs):
            self.seen = []

        def on_grad_computed(self, net, named_parameters, **kwargs):
            self.seen.append(["gradients", sum(p.grad.sum().item() for _, p in named_parameters if p.grad is not None)])

        def on_batch_end(self, net, batch=None, training=False, loss=None, y_pred=None, **kwargs):
            n_predicted = None if y_pred is None else len(y_pred)
            self.seen.append(["training" if training else "validation", len(batch[1]["y"]), loss.item(), n_predicted])

        def on_epoch_end(self, net, **kwargs):
            self.seen.append(["epoch", net.history[-1, "valid_score"]])
            if len(net.history) == 2 and rank == int(os.environ["WORLD_SIZE"]) - 1:
                raise KeyboardInterrupt

    for _ in range(2):
        observer = Observer()
        settings = {"callbacks": [observer], "checkpoint_dir": folder, "early_stopping": True, "max_epochs": 4}
        fitted = classification(model, **settings)
        print(json.dumps([observer.seen, list(fitted["loss"])]))


def print_threads_at_exit(model, folder, rank):
    """Fit; print the names of the threads of torch after the fit and at the end of the program."""

    def names_of_threads():
        names = []
        for path in Path("/proc/self/task").glob("*/comm"):
            with suppress(OSError):  # it has just ended
                names.append(path.read_text().strip())
        return sorted(name for name in names if name.startswith(("gloo", "pt_")))

    def print_what_remains():
        end = time.monotonic() + 60
        while names_of_threads() and time.monotonic() < end:  # the system lists a thread a moment longer than it runs
            time.sleep(0.05)
        print(names_of_threads())

    atexit.register(print_what_remains)  # runs after the functions that the fit registers
    classification(model)
    print(names_of_threads())


def print_weights_within_a_budget(model, folder, rank):
    """Fit until the time is up, by another clock in each process; print the number of epochs and a checksum."""
    from tests.helpers import ticking_clock

    with ticking_clock(0.01 * (1 + rank)):
        fitted = classification(model, max_epochs=100_000, max_seconds=1)
    print(len(fitted["loss"]), blake2b(fitted["weights"].tobytes()).hexdigest())


def verbose_fit(model, folder, rank):
    """Fit with the most verbose output."""
    classification(model, verbose=2)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    task, *arguments = sys.argv[1:]
    globals()[task](*arguments, int(os.environ["RANK"]))
