"""A hub id or a folder becomes a local folder, and the folder a config, a tokenizer and an encoder.

The only room that loads files. Everything comes from one local folder that is known to be complete,
so that loading either works as a whole or ends in an error of three facts: what was asked, what is
missing, what to do. Remote code is never run, and ``.bin`` weights are read by torch's weights-only
unpickler.
"""

import logging
import os
import warnings
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.utils import (
    HFValidationError,
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from transformers import AutoConfig, AutoModel, AutoTokenizer

_SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
_BIN = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_DOWNLOADS = (
    ["*.json", "*.txt", "*.model", "*.safetensors"],
    ["pytorch_model*.bin"],  # only when the repository has no safetensors
)
_SUBFOLDERS = ["*/*"]
# Every encoder family has its own names for the same two probabilities.
_DROPOUT = ("hidden_dropout_prob", "dropout", "hidden_dropout", "classifier_dropout", "seq_classif_dropout")
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")


def resolve_checkpoint(model, revision=None):
    """Local folder of a checkpoint; a hub id is downloaded unless the cache holds all of it.

    Parameters
    ----------
    model : str or path
        A folder, or a hub id such as ``"google-bert/bert-base-uncased"``.
    revision : str or None
        Branch, tag or commit of a hub id.

    Returns
    -------
    folder : Path

    Raises
    ------
    OSError
        If the hub cannot give what is missing, or the folder lacks a file.
    """
    folder = Path(model)
    if folder.is_dir():
        _check_complete(folder, f"the folder {str(folder)!r}")
        return folder
    if isinstance(model, os.PathLike) or folder.is_absolute() or str(model).startswith((".", "~")):
        raise OSError(
            f"model={str(model)!r} is not a folder. Expected a folder with a checkpoint's config, weights and "
            "tokenizer, or a hub id. Check the path."
        )
    cached = _snapshot(model, revision, local_files_only=True)
    if cached is None or _missing_parts(cached):
        cached = _snapshot(model, revision, local_files_only=False)
    _check_complete(cached, f"the hub's {model!r}")
    return cached


def load_config(folder, *, dropout=None, attention_dropout=None):
    """The config of an encoder, its dropout probabilities replaced by those that are not None.

    Raises
    ------
    ValueError
        If the checkpoint is no bidirectional encoder.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"The config.json of {str(folder)!r} names no architecture that transformers {transformers.__version__} "
            "has built in, and remote code is never run. Choose a checkpoint of a built-in encoder such as BERT."
        ) from error
    # Encoders are the architectures with a masked language model form; BERT has a causal form as well.
    has_masked_form = type(config) in transformers.MODEL_FOR_MASKED_LM_MAPPING
    if config.is_encoder_decoder or getattr(config, "is_decoder", False) or not has_masked_form:
        raise ValueError(
            f"{str(folder)!r} holds a model of type {config.model_type!r}, an encoder-decoder or causal model. "
            "Expected a bidirectional encoder such as BERT. Choose an encoder checkpoint, for example "
            "'google-bert/bert-base-uncased'."
        )
    for names, probability in ((_DROPOUT, dropout), (_ATTENTION_DROPOUT, attention_dropout)):
        for name in names:
            if probability is not None and hasattr(config, name):
                setattr(config, name, probability)
    return config


def load_tokenizer(folder, config):
    """The tokenizer of a checkpoint, which must not know more tokens than the encoder.

    Raises
    ------
    OSError
        If the tokenizer's files cannot be read.
    ValueError
        If the tokenizer and the encoder do not belong together.
    """
    with _quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except Exception as error:  # tokenizers raises bare Exceptions on damaged files
            raise OSError(
                f"The tokenizer in {str(folder)!r} cannot be read: {error}. Expected the files that "
                "tokenizer.save_pretrained writes. Save or download the checkpoint again."
            ) from error
    if len(tokenizer) > config.vocab_size:
        raise ValueError(
            f"The tokenizer in {str(folder)!r} has {len(tokenizer)} tokens, the encoder only {config.vocab_size} "
            "embeddings. Use the tokenizer that the encoder was trained with."
        )
    if tokenizer.pad_token_id is None:
        raise ValueError(
            f"The tokenizer in {str(folder)!r} has no padding token. Set tokenizer.pad_token and save it again."
        )
    return tokenizer


def load_encoder(folder, config, dtype=torch.float32):
    """The pretrained encoder, in `dtype`; parts the checkpoint lacks (a pooler) start at random.

    Raises
    ------
    OSError
        If the weights cannot be read.
    """
    with _quiet():
        try:
            return AutoModel.from_pretrained(
                folder, config=config, dtype=dtype, weights_only=True, trust_remote_code=False
            )
        except Exception as error:  # safetensors and torch raise many kinds on damaged files
            raise OSError(
                f"The weights in {str(folder)!r} cannot be read: {error}. Expected model.safetensors, or "
                "pytorch_model.bin with tensors only, that fit config.json. Save or download the checkpoint again."
            ) from error


def _snapshot(model, revision, *, local_files_only):
    """Folder of the hub's files, or None if only the cache was asked and has nothing."""
    try:
        with _quiet():
            for patterns in _DOWNLOADS:
                folder = Path(
                    snapshot_download(
                        model,
                        revision=revision,
                        local_files_only=local_files_only,
                        allow_patterns=patterns,
                        ignore_patterns=_SUBFOLDERS,
                    )
                )
                if "model weights" not in _missing_parts(folder):
                    break
            return folder
    except HFValidationError as error:
        raise OSError(
            f"model={model!r} is neither a folder nor a valid hub id. Expected a folder with a checkpoint, or an id of "
            "the form 'name' or 'organisation/name'. Check the spelling."
        ) from error
    except Exception as error:  # offline, not found, gated, disk full: the hub's client has many kinds
        if local_files_only:
            return None
        at = f" at revision {revision!r}" if revision else ""
        raise OSError(
            f"model={model!r}{at} is neither a folder nor in the local cache, and the hub did not give it "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}). Check the "
            "spelling and the connection, log in with 'hf auth login' if it is private, or pass the folder of a "
            "downloaded checkpoint."
        ) from error


def _check_complete(folder, name):
    missing = _missing_parts(folder)
    if missing:
        raise OSError(
            f"{name[0].upper()}{name[1:]} lacks {' and '.join(missing)}. Expected config.json, model.safetensors (or "
            "pytorch_model.bin) and the tokenizer's files. Save both parts there: model.save_pretrained(folder) and "
            "tokenizer.save_pretrained(folder)."
        )


def _missing_parts(folder):
    parts = {"config.json": ("config.json",), "model weights": _SAFETENSORS + _BIN, "a tokenizer": _TOKENIZER}
    return [part for part, names in parts.items() if not any((folder / name).is_file() for name in names)]


@contextmanager
def _quiet():
    """No progress bars, load reports or retry notes while loading; the caller's settings come back.

    These settings exist once per process: callers hold the lock under which one thread at a time
    loads and trains.
    """
    hf, hub_logger = transformers.utils.logging, logging.getLogger("huggingface_hub")
    level, hub_level = hf.get_verbosity(), hub_logger.level
    bars, hub_bars = hf.is_progress_bar_enabled(), not are_progress_bars_disabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the hub's client warns when an environment variable decides
        hf.set_verbosity_error()
        hub_logger.setLevel(logging.ERROR)
        hf.disable_progress_bar()
        try:
            yield
        finally:
            hf.set_verbosity(level)
            hub_logger.setLevel(hub_level)
            if bars:
                hf.enable_progress_bar()
            (enable_progress_bars if hub_bars else disable_progress_bars)()
