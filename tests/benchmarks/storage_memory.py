"""The peak memory of storing a fitted estimator and of loading it, as multiples of its weights (Linux only).

Usage::

    python -m tests.benchmarks.storage_memory --model FOLDER

Each step runs in a process of its own, which has imported the libraries before. Counted is what the process holds at
most during the step above what it held before. A step that also makes a tokenizer is listed with that one's memory,
which is counted separately: of 250,000 pieces it takes more than half of the weights of a small encoder.
"""

import argparse
import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import joblib

from tests.benchmarks.competitors import table
from tests.benchmarks.resident import MIB, peak_above_start, resident_after_collection

LOADS = {  # each from a file or folder of its name
    "from_pretrained": lambda path: _classifier().from_pretrained(path),
    "from_pretrained, of transformers": lambda path: _classifier().from_pretrained(path),
    "pickle.load, protocol 4": lambda path: _unpickle(path),
    "pickle.load, protocol 5": lambda path: _unpickle(path),
    "joblib.load": joblib.load,
}
STORES = {
    "save_pretrained": lambda fitted, path: fitted.save_pretrained(path),
    "pickle.dump, protocol 4": lambda fitted, path: _pickle(fitted, path, 4),
    "pickle.dump, protocol 5": lambda fitted, path: _pickle(fitted, path, 5),
    "joblib.dump": joblib.dump,
    "copy.deepcopy": lambda fitted, path: copy.deepcopy(fitted),
    "export_onnx": lambda fitted, path: fitted.export_onnx(path),
}
WITH_TOKENIZER = {*LOADS, "copy.deepcopy", "export_onnx"}


def _classifier():
    from sklearn_bert import BertClassifier

    return BertClassifier


def _pickle(fitted, path, protocol):
    with open(path, "wb") as file:
        pickle.dump(fitted, file, protocol)


def _unpickle(path):
    with open(path, "rb") as file:
        return pickle.load(file)


def prepare(model, folder):
    """Fit a classifier and store it in each form; the fitted one and the MiB of its weights."""
    import transformers

    settings = {"pooling": "pooler", "pair_encoding": "cross_encoder", "head_init": "random", "precision": "float32"}
    fitted = _classifier()(str(model), **settings, max_epochs=1, max_length=16, device="cpu", random_state=0)
    fitted.fit(["It broke.", "Works well."] * 4, ["bad", "good"] * 4)
    fitted.save_pretrained(folder / "from_pretrained")
    as_transformers = folder / "from_pretrained, of transformers"
    for loader in (transformers.AutoModelForSequenceClassification, transformers.AutoTokenizer):
        loader.from_pretrained(folder / "from_pretrained").save_pretrained(as_transformers)
    for protocol in (4, 5):
        _pickle(fitted, folder / f"pickle.load, protocol {protocol}", protocol)
    joblib.dump(fitted, folder / "joblib.load")
    return fitted, sum(p.nbytes for p in fitted.module_.parameters()) / MIB


def measure(step, folder):
    """Peak MiB of a step above what the process held before, or what it holds of a tokenizer; nothing stays on disk."""
    import transformers

    classifier = _classifier()
    transformers.BertForSequenceClassification(
        transformers.BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    )
    if step == "tokenizer":
        before = resident_after_collection()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "from_pretrained")
        return (resident_after_collection() - before) * bool(tokenizer)
    if step in LOADS:
        return peak_above_start(lambda: LOADS[step](folder / step))[1]
    if step == "export_onnx":
        import onnxscript  # noqa: F401 - the libraries are no part of the export's memory
    fitted = classifier.from_pretrained(folder / "from_pretrained")
    with TemporaryDirectory() as place:
        return peak_above_start(lambda: STORES[step](fitted, Path(place) / "stored"))[1]


def main():
    """Print a table with a row per step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint's folder")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step is not None:
        figure = prepare(args.model, args.folder)[1] if args.step == "prepare" else measure(args.step, args.folder)
        print(json.dumps(figure))
        return
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.storage_memory", "--model", args.model]
        command += ["--folder", folder, "--step"]

        def figure(step):
            out = subprocess.run([*command, step], check=True, stdout=subprocess.PIPE, text=True).stdout
            return float(out.splitlines()[-1])

        weights, tokenizer = figure("prepare"), figure("tokenizer")
        rows = []
        for step in (*LOADS, *STORES):
            peak, beside = figure(step), tokenizer if step in WITH_TOKENIZER else 0
            rows.append([f"`{step}`", f"{peak:.0f}", f"{beside:.0f}", f"{(peak - beside) / weights:.2f}"])
            print(*rows[-1], flush=True)
    print(f"weights: {weights:.0f} MiB")
    print("\n".join(table(["step", "peak, MiB", "of it the tokenizer, MiB", "rest / weights"], rows)))


if __name__ == "__main__":
    main()
