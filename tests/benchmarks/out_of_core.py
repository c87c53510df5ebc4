"""Texts of a parquet file that need not fit into memory: python -m tests.benchmarks.out_of_core write|predict|fit ...

``write FILE --rows N`` makes short texts; ``predict MODEL FILE OUT`` reads, predicts and writes them chunk by chunk,
and prints the memory of the process; ``fit MODEL FILE`` trains on the chunks with `partial_fit`.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sklearn_bert import BertClassifier
from tests.benchmarks.resident import resident

_SUBJECTS = "the film|this plot|her acting|the service|a room with a view|the soup of the day".split("|")
_VERDICTS = "good|great|superb|really lovely|bad|awful|very poor|dull and far too long".split("|")


def chunks(path, columns, size):
    """The file's rows in order, `size` at a time, as DataFrames."""
    for batch in pq.ParquetFile(path).iter_batches(size, columns=columns):
        yield batch.to_pandas()


def write(path, n_rows, size=50_000):
    """Short texts, their class, and the number of their row."""
    draw = np.random.default_rng(0)
    schema = pa.schema({"row": pa.int64(), "text": pa.string(), "good": pa.bool_()})
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n_rows, size):
            rows = np.arange(start, min(start + size, n_rows))
            subjects, verdicts = draw.integers(len(_SUBJECTS), size=len(rows)), draw.integers(8, size=len(rows))
            texts = [
                f"{_SUBJECTS[s]} was {_VERDICTS[v]}, {row}" for row, s, v in zip(rows, subjects, verdicts, strict=True)
            ]
            writer.write_table(pa.table({"row": rows, "text": texts, "good": verdicts < 4}, schema))


def predict(model, path, out, size, seconds=np.inf):
    """Predict chunk by chunk into another file, in the order of the rows, for at most so many seconds."""
    classifier = BertClassifier.from_pretrained(model)
    start, done, writer = time.perf_counter(), 0, None
    for chunk in chunks(path, ["row", "text"], size):
        probabilities = classifier.predict_proba(chunk["text"])
        chunk["prediction"] = classifier.classes_[probabilities.argmax(axis=1)]
        chunk["probability"] = probabilities.max(axis=1)
        table = pa.Table.from_pandas(chunk.drop(columns="text"), preserve_index=False)
        writer = writer or pq.ParquetWriter(out, table.schema)
        writer.write_table(table)
        done += len(chunk)
        elapsed = time.perf_counter() - start
        print(f"{done} texts, {elapsed:.0f} s, {resident():.0f} MiB", flush=True)
        if elapsed > seconds:
            break
    writer.close()


def fit(model, path, out, size):
    """Train on the chunks one after the other."""
    classifier = BertClassifier(model, random_state=0)
    for chunk in chunks(path, ["text", "good"], size):
        classifier.partial_fit(chunk["text"], chunk["good"], classes=[False, True])
    classifier.save_pretrained(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=["write", "predict", "fit"])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--chunk", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=np.inf)
    given = parser.parse_args()
    if given.task == "write":
        write(*given.paths, given.rows)
    elif given.task == "predict":
        predict(*given.paths, given.chunk, given.seconds)
    else:
        fit(*given.paths, given.chunk)
