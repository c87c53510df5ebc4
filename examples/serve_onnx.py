"""Serve a model of `export_onnx` with onnxruntime and tokenizers only: python serve_onnx.py FOLDER < texts.

Prints a line per text: its class, its labels, or its numbers. Models of sentence pairs need pairs, see `encode_batch`
of tokenizers.
"""

import json
import sys

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

session = InferenceSession(f"{sys.argv[1]}/model.onnx")
metadata = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
encoded = Tokenizer.from_file(f"{sys.argv[1]}/tokenizer.json").encode_batch(sys.stdin.read().splitlines())
rows = {
    "input_ids": [row.ids for row in encoded],
    "attention_mask": [row.attention_mask for row in encoded],
    "token_type_ids": [row.type_ids for row in encoded],
}
inputs = {given.name: np.array(rows[given.name], dtype=np.int64) for given in session.get_inputs()}
for logits in session.run(["logits"], inputs)[0]:
    if metadata["problem_type"] == "single_label_classification":
        print(metadata["labels"][logits.argmax()])
    elif metadata["problem_type"] == "multi_label_classification":
        print(*(label for label, logit in zip(metadata["labels"], logits, strict=True) if logit > 0))
    else:
        print(*logits)
