"""Serve what `export_onnx` wrote, with onnxruntime and tokenizers alone: python serve_onnx.py FOLDER < texts.

A line per text: its class, its labels, or its numbers. Models of sentence pairs need pairs, see the tokenizers'
`encode_batch`.
"""

import json
import sys

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

session = InferenceSession(f"{sys.argv[1]}/model.onnx")
told = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
encoded = Tokenizer.from_file(f"{sys.argv[1]}/tokenizer.json").encode_batch(sys.stdin.read().splitlines())
rows = {
    "input_ids": [row.ids for row in encoded],
    "attention_mask": [row.attention_mask for row in encoded],
    "token_type_ids": [row.type_ids for row in encoded],
}
inputs = {given.name: np.array(rows[given.name], dtype=np.int64) for given in session.get_inputs()}
for logits in session.run(["logits"], inputs)[0]:
    if told["problem_type"] == "single_label_classification":
        print(told["labels"][logits.argmax()])
    elif told["problem_type"] == "multi_label_classification":
        print(*(label for label, logit in zip(told["labels"], logits, strict=True) if logit > 0))
    else:
        print(*logits)
