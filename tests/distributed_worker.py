"""What the tests of several processes do in each of them, and how they are started on this machine."""

import atexit
import os
import random
import socket
import subprocess
import sys
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
EXACT = {
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
    """`n` processes that run this module with the arguments, set up as a launcher would."""
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


def finish(processes, timeout=240):
    """What each of them printed, once all have ended well."""
    try:
        printed = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, printed, strict=True):
        assert process.returncode == 0, errors
    return printed


def _free_port():
    """One below those that the system hands out by itself, so that nobody gets it before the processes do."""
    while True:
        port = random.SystemRandom().randrange(15_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def reviews():
    """Texts of different lengths, their classes, labels and numbers, and weights of the rows."""
    words = "good great fine nice lovely superb bad awful poor dull terrible broken".split()
    texts = [f"the {('movie', 'plot', 'soup')[i % 3]} was {'very ' * (i % 5)}{words[i % 12]}" for i in range(48)]
    good = np.arange(48) % 12 < 6
    labels = np.stack([good, np.arange(48) % 3 == 0, np.arange(48) % 5 > 2], axis=1).astype(int)
    numbers = good * 100.0 + np.arange(48) % 5
    return texts, np.where(good, "good", "bad"), labels, numbers, np.linspace(0.3, 2.0, 48)


def outcome(estimator, predicted):
    """What should be the same in any number of processes."""
    weights = np.concatenate([p.detach().numpy().ravel() for p in estimator.module_.parameters()])
    return {"predicted": predicted, "loss": estimator.loss_curve_, "weights": weights}


def classification(model, **changes):
    from sklearn_bert import BertClassifier

    texts, y, _, _, weights = reviews()
    classifier = BertClassifier(model, **EXACT | changes).fit(texts, y, sample_weight=weights)
    return outcome(classifier, classifier.predict_proba(texts))


def multi_label(model):
    from sklearn_bert import BertClassifier

    texts, _, labels, _, _ = reviews()
    classifier = BertClassifier(model, **EXACT).fit(texts, labels)
    return outcome(classifier, classifier.predict_proba(texts))


def weighted_regression(model, **changes):
    from sklearn_bert import BertRegressor

    texts, _, _, numbers, weights = reviews()
    regressor = BertRegressor(model, **EXACT | changes).fit(texts, numbers, sample_weight=weights)
    return outcome(regressor, regressor.predict(texts))


def pairs(model):
    from sklearn_bert import BertRegressor

    texts, _, _, numbers, _ = reviews()
    both = list(zip(texts, texts[::-1], strict=True))
    regressor = BertRegressor(model, **EXACT).fit(both, numbers)
    return outcome(regressor, regressor.predict(both))


def validation(model):
    """A held-out part, the best epoch's weights, a frozen encoder that reads once, and a head with hidden layers."""
    return classification(
        model, early_stopping=True, max_epochs=4, freeze="encoder", hidden_layer_sizes=(5,), n_iter_no_change=4
    )


def stream(model):
    """Chunks, of which the last has fewer rows than there are processes, and a prediction of one text."""
    from sklearn_bert import BertClassifier

    texts, y, _, _, _ = reviews()
    classifier = BertClassifier(model, **EXACT)
    for rows in (slice(0, 30), slice(30, 47), slice(47, 48)):
        classifier.partial_fit(texts[rows], y[rows], classes=["bad", "good"])
    return outcome(classifier, np.concatenate([classifier.predict_proba(texts[:1]), classifier.predict_proba(texts)]))


SAME = {
    "classification": classification,
    "multi label": multi_label,
    "weighted regression": weighted_regression,
    "pairs": pairs,
    "windows": lambda model: classification(model, max_length=7, long_text="window", stride=2),
    "validation": validation,
    "stream": stream,
    "one row at a time": lambda model: classification(model, batch_size=1, weight_decay=0.1),
    "a new head and pieces": lambda model: classification(model, head_init="random", micro_batch_size=2),
}
ROUNDED = {
    "classification": lambda model: classification(model, precision="float32"),
    "weighted regression": lambda model: weighted_regression(model, precision="float32"),
}


def same(model, folder, rank):
    """Every case, and what came out of it, in files."""
    for kind, table in (("float64", SAME), ("float32", ROUNDED)):
        for name, case in table.items():
            np.savez(Path(folder) / f"{kind} {name} {rank}.npz", **case(model))


def dropout(model, folder, rank):
    """Two fits of the same seed, and one without a seed; the numbers that each process draws for itself."""
    import torch

    from sklearn_bert._training.training_net import BertNet

    drawn, step = [], BertNet.train_step

    def noting(net, batch, **params):
        drawn.append(torch.get_rng_state().numpy().tobytes())
        return step(net, batch, **params)

    BertNet.train_step = noting
    for seed in (0, 0, None):
        fitted = classification(model, dropout=0.2, attention_dropout=0.1, random_state=seed)
        print(blake2b(fitted["weights"].tobytes()).hexdigest(), blake2b(b"".join(drawn)).hexdigest())
        drawn.clear()


def disagreement(model, folder, rank):
    """Processes that are given different things; each says what it was told."""
    from sklearn_bert import BertClassifier

    texts, y, _, _, _ = reviews()
    classifier = BertClassifier(model, **EXACT)

    def attempt(function, *arguments):
        try:
            function(*arguments)
        except ValueError as error:
            print(error)

    attempt(classifier.fit, texts[rank::2], y[:24])
    attempt(BertClassifier(model, **EXACT | {"batch_size": 13 + rank}).fit, texts, y)
    attempt(BertClassifier(model, **EXACT, checkpoint_dir=Path(folder) / str(rank)).fit, texts, y)
    attempt(BertClassifier(model, **EXACT, checkpoint_dir=Path(folder) / str(rank)).fit, texts, y)
    classifier.fit(texts, y)
    attempt(classifier.predict, texts[rank::2])
    print(len(classifier.predict(texts)))


def interrupted(model, folder, rank):
    """A training of thirty epochs with a checkpoint; the result in files."""
    fitted = classification(model, max_epochs=30, checkpoint_dir=folder, learning_rate=1e-3)
    np.savez(Path(folder) / f"{rank}.npz", **fitted)


def ended(model, folder, rank):
    """A fit; the names of torch's threads after it, and at the end of the program."""

    def print_threads():
        names = sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
        print([name for name in names if name.startswith(("gloo", "pt_"))])

    atexit.register(print_threads)  # runs after what the fit registers
    classification(model)
    print_threads()


def shown(model, folder, rank):
    """A fit that shows all that it can."""
    classification(model, verbose=2)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    task, *arguments = sys.argv[1:]
    globals()[task](*arguments, int(os.environ["RANK"]))
