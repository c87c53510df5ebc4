"""Export a fitted module to an ONNX file, with the tokenizer beside it, to predict without torch.

The packages that write ONNX are optional dependencies, so they are imported where they are used.
"""

import importlib.util
import json
import logging
import warnings
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn

from .._encoding.tokenization import check_fast
from .._runtime.atomic_files import atomic_file
from .onnx_file import save_program

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_NEEDED = ("onnx", "onnxscript")


def write_onnx(path, module, head, tokenizer, max_length, metadata):
    """Write the model to `path` and ``tokenizer.json`` into the same folder.

    Parameters
    ----------
    path : path
        The path of the file; its folder must exist.
    module : BertModule
    head : dict of ndarray
        Weights of the last layer, used instead of the module's.
    tokenizer : transformers tokenizer
    max_length : int
        Number of tokens to which the written tokenizer truncates.
    metadata : dict
        JSON values, stored in the file by name.

    Raises
    ------
    ImportError
        If the extra is not installed, or torch is older than 2.8.
    OSError
        If the folder does not exist, or a file cannot be written.
    ValueError
        If the tokenizer is not one of the `tokenizers` package.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"export_onnx needs {' and '.join(missing)}, which cannot be imported. "
            "Install the extra: pip install 'sklearn-bert[onnx]'."
        )
    if torch.__version__ < (2, 8):
        raise ImportError(
            f"export_onnx needs torch 2.8 or later, got {torch.__version__}, whose exporter cannot export a model "
            "for texts of any length. Install a later one: pip install 'torch>=2.8'."
        )
    check_fast(tokenizer, "cannot be written to a tokenizer.json")
    path = Path(path)
    if not path.parent.is_dir() or path.is_dir():
        raise OSError(
            f"{str(path)!r} is not the path of a file in a folder that exists. Expected one such as 'model.onnx'; "
            f"{'add a file name' if path.is_dir() else 'make the folder first'}."
        )
    with _silence():
        program = _export(_float32_twin(module, head))
    program.model.metadata_props.update({name: json.dumps(value) for name, value in metadata.items()})
    standalone = _self_contained(tokenizer, max_length)
    with atomic_file(path) as draft:
        save_program(program, draft)
    with atomic_file(path.parent / "tokenizer.json") as draft:
        standalone.save(str(draft))


def _float32_twin(module, head):
    """The module on the CPU, in float32 and evaluation mode, with another head; such weights are not copied."""
    shared = {id(p): nn.Parameter(p.detach().to("cpu", torch.float32), p.requires_grad) for p in module.parameters()}
    twin = deepcopy(module, shared).to("cpu", torch.float32).eval()
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in head.items()}, strict=False, assign=True)
    return twin


class _Logits(nn.Module):
    """A module with tensors as inputs and one tensor as output: the logits."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.module(input_ids, attention_mask, token_type_ids, return_dict=False)[0]


def _export(module):
    """The ONNX program, with dynamic batch size and length; for a bi-encoder, a batch has two rows for each pair."""
    n_texts = 2 if module.bi_encoder else 1
    # Three separate tensors: the exporter would merge inputs that are the same tensor.
    examples = tuple(torch.ones(2 * n_texts, 7, dtype=torch.int64) for _ in _INPUTS)
    axes = {0: n_texts * torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    return torch.onnx.export(
        _Logits(module),
        examples,
        input_names=list(_INPUTS),
        output_names=["logits"],
        dynamic_shapes=[axes] * len(_INPUTS),
        dynamo=True,
        verbose=False,
    )


def _self_contained(tokenizer, max_length):
    """A tokenizer of the `tokenizers` package whose settings for truncation and padding are stored in its file."""
    standalone = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    standalone.enable_truncation(max_length)
    standalone.enable_padding(pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token)
    return standalone


@contextmanager
def _silence():
    """Suppress the exporter's messages on unused operators and names of axes."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
