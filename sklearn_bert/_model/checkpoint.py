"""A model id or a folder becomes a local folder, and the folder a config, a tokenizer and an encoder.

Only this module asks the hub. All files come from one local folder, which is checked for completeness first.
Loading therefore succeeds as a whole or raises an error that names what was requested, what is missing and
what to do. Remote code is never run, and ``.bin`` weights are read by torch's weights-only unpickler.
"""

import inspect
import json
import logging
import os
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.utils import HFValidationError
from huggingface_hub.utils.tqdm import progress_bar_states
from transformers import AutoConfig, AutoModel, AutoTokenizer

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
)
_DOWNLOADS = (
    ["*.json", "*.txt", "*.model", "*.codes", "*.safetensors"],
    ["pytorch_model.bin", "pytorch_model-*.bin"],  # only when the repository has no safetensors
)
_SUBFOLDERS = ["*/*"]
_NO_WEIGHTS = "model weights"
_OTHER_CHECKPOINT = "Check the connection, or choose another checkpoint or revision."
_SAVE_AGAIN = "Save the checkpoint again with model.save_pretrained(folder) and tokenizer.save_pretrained(folder)."


def resolve_checkpoint(model, revision=None):
    """Local folder of a checkpoint; a model id is downloaded unless the cache is complete.

    Parameters
    ----------
    model : str or path
        A folder, or a model id of the hub such as ``"google-bert/bert-base-uncased"``.
    revision : str or None
        Branch, tag or commit of a model id.

    Returns
    -------
    folder : Path
        A folder with config, weights and tokenizer.

    Raises
    ------
    OSError
        If the folder lacks a file, or files are missing in the cache and cannot be downloaded.
    """
    folder = Path(model)
    if os.path.isdir(model):
        _check_complete(folder, f"The folder {str(folder)!r}", _SAVE_AGAIN)
        return folder
    if isinstance(model, os.PathLike) or folder.is_absolute() or not model or model[0] in ".~":
        raise OSError(
            f"{str(model)!r} is not a folder. Expected a folder with a checkpoint's config, weights and "
            "tokenizer, or a model id of the hub. Check the path."
        )
    cached = _snapshot(model, revision, local_files_only=True)
    if cached is None or _missing_parts(cached):
        cached = _snapshot(model, revision, local_files_only=False)
    _check_complete(cached, f"The local copy of {model!r}{_at(revision)}", _OTHER_CHECKPOINT)
    return cached


def load_config(folder):
    """The config of the encoder in a folder that `resolve_checkpoint` returned; it names no attention.

    Raises
    ------
    OSError
        If the config cannot be read.
    ValueError
        If the checkpoint is not a bidirectional encoder.
    """
    try:
        with quiet():
            own = own_config(folder)
            config = AutoConfig.for_model(**own) if own else AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except OSError as error:
        raise OSError(f"The config.json of {str(folder)!r} cannot be read: {why(error)}. {_SAVE_AGAIN}") from error
    except Exception as error:  # unknown architectures and invalid values raise many kinds
        raise ValueError(
            f"The config.json of {str(folder)!r} is none that transformers {transformers.__version__} can build without"
            f" remote code, which is never run: {why(error)}. Choose a checkpoint of a built-in encoder such as "
            "BERT."
        ) from error
    # Encoders are the architectures with a masked language model; BERT has a causal one as well.
    has_masked_lm = type(config) in transformers.MODEL_FOR_MASKED_LM_MAPPING
    lacks_text = not hasattr(config, "vocab_size") or not hasattr(config, "hidden_size")
    if config.is_encoder_decoder or getattr(config, "is_decoder", False) or not has_masked_lm or lacks_text:
        raise ValueError(
            f"{str(folder)!r} holds a model of type {config.model_type!r} that is no bidirectional text encoder "
            "(an encoder-decoder or causal model, for example). Choose an encoder such as "
            "'google-bert/bert-base-uncased'."
        )
    config._attn_implementation = None  # the file may name one, which may be code on the hub
    return config


def count_positions(config):
    """Largest number of tokens for which an encoder of this config has positions; None if there is no limit."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None or config.model_type == "bert":
        return positions
    # RoBERTa and similar encoders number the tokens from the padding's index + 1; only their layers show it.
    with torch.device("meta"):
        layers = AutoModel.from_config(config).named_modules()
    indices = [getattr(layer, "padding_idx", None) for name, layer in layers if name.endswith("position_embeddings")]
    return positions - max((index + 1 for index in indices if index is not None), default=0)


def load_tokenizer(folder, config):
    """The tokenizer in a folder, whose token ids must be in the vocabulary of the encoder's config.

    Raises
    ------
    OSError
        If the tokenizer's files cannot be read.
    ValueError
        If it has token ids that the encoder lacks, or no padding token.
    """
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False)
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # tokenizers raises bare Exceptions on damaged files
            raise OSError(f"The tokenizer in {str(folder)!r} cannot be read: {why(error)}. {_SAVE_AGAIN}") from error
    tokenizer.chat_template = None  # an encoder needs none, and several would be saved as more files
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= config.vocab_size:
        raise ValueError(
            f"The tokenizer in {str(folder)!r} gives token ids up to {largest}, the encoder has only "
            f"{config.vocab_size} embeddings. Use the tokenizer that the encoder was trained with."
        )
    if tokenizer.pad_token_id is None:
        raise ValueError(
            f"The tokenizer in {str(folder)!r} has no padding token. Set tokenizer.pad_token and save it again."
        )
    return tokenizer


def load_encoder(folder, config, dtype=torch.float32, *, needs_pooler=False):
    """The pretrained encoder in a folder; a pooler that the checkpoint lacks starts with random weights.

    Parameters
    ----------
    folder : Path
        As `resolve_checkpoint` returns it.
    config : transformers.PreTrainedConfig
    dtype : torch.dtype, default=torch.float32
        Of the weights.
    needs_pooler : bool, default=False
        Whether a pooler without trained weights is an error.

    Returns
    -------
    encoder : transformers.PreTrainedModel

    Raises
    ------
    OSError
        If the weights cannot be read, or do not match the config.
    ValueError
        If the encoder takes no token ids or no attention mask, or lacks a trained pooler that it needs.
    """
    try:
        with quiet():
            encoder, report = AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                weights_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # safetensors and torch raise many kinds on damaged files
        raise OSError(f"The weights in {str(folder)!r} cannot be read: {why(error)}. {_SAVE_AGAIN}") from error
    # transformers gives random values to what the file lacks. Only a pooler may start so.
    misfits = [key for key in report["missing_keys"] if "pooler" not in key]
    misfits += [str(key[0] if isinstance(key, tuple) else key) for key in report["mismatched_keys"]]
    if misfits:
        raise OSError(
            f"The weights in {str(folder)!r} are not those that its config.json describes: absent or of another shape "
            f"are {', '.join(sorted(misfits)[:3])}{', ...' if len(misfits) > 3 else ''}. {_SAVE_AGAIN}"
        )
    parameters = inspect.signature(encoder.forward).parameters
    if "input_ids" not in parameters:
        raise ValueError(f"A {config.model_type!r} encoder takes no token ids. Choose a text encoder, such as BERT.")
    if "attention_mask" not in parameters:
        raise ValueError(
            f"A {config.model_type!r} encoder takes no attention mask, so padding would change its predictions. "
            "Choose an encoder with attention, such as BERT."
        )
    lacks_pooler = getattr(encoder, "pooler", None) is None or any("pooler" in key for key in report["missing_keys"])
    if needs_pooler and lacks_pooler:
        raise ValueError(
            f"{str(folder)!r} holds no trained pooler, so its vectors would be of random weights. Pass pooling='mean' "
            "or 'cls'."
        )
    return encoder


def own_config(folder):
    """The encoder's config, a dict, in the folder of a stored estimator that transformers cannot load, else None."""
    with suppress(ValueError, TypeError, KeyError):  # a damaged file raises when the config is loaded
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))["encoder_config"]


def _snapshot(model, revision, *, local_files_only):
    """Folder with the files of a model id; None if only the cache may be used and it has none of them."""
    try:
        with quiet():
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
                if not any(part == _NO_WEIGHTS or part.endswith(".bin") for part in _missing_parts(folder)):
                    break
            return folder
    except HFValidationError as error:
        raise OSError(
            f"model={model!r} is neither a folder nor a valid model id. Expected a folder with a checkpoint, or an id "
            "of the form 'name' or 'organisation/name'. Check the spelling."
        ) from error
    except Exception as error:  # offline, not found, gated, disk full: the hub's client has many kinds
        if local_files_only:
            # The cache may lack files that are not needed here.
            return Path(error.snapshot_path) if hasattr(error, "snapshot_path") else None
        raise OSError(
            f"model={model!r}{_at(revision)} is neither a folder nor complete in the local cache, and the hub did not "
            f"give it: {why(error)}. Check spelling, connection and free space, log in with 'hf auth login' if it "
            "is private, or pass the folder of a downloaded checkpoint."
        ) from error


def _at(revision):
    return f" at revision {revision!r}" if revision else ""


def why(error):
    """The type of an error and its first informative line, without the last full stop."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and "Client Error" not in line and "Server Error" not in line]
    return f"{type(error).__name__}, {lines[0].split('. ')[0].rstrip('.') if lines else 'no reason given'}"


def _check_complete(folder, name, cure):
    missing = _missing_parts(folder)
    if missing:
        raise OSError(
            f"{name} lacks {' and '.join(missing)}. Expected config.json, model.safetensors (or pytorch_model.bin) and "
            f"the tokenizer's files. {cure}"
        )


def _missing_parts(folder):
    parts = {"config.json": ("config.json",), _NO_WEIGHTS: _WEIGHTS, "a tokenizer": _TOKENIZER}
    missing = [part for part, names in parts.items() if not any((folder / name).is_file() for name in names)]
    return missing + [name for name in _shards(folder) if Path(name).name != name or not (folder / name).is_file()]


def _shards(folder):
    """Names of the shards of the weights, from their index; empty if the weights are one file."""
    weights = next((name for name in _WEIGHTS if (folder / name).is_file()), "")
    if not weights.endswith(".index.json"):
        return []
    with suppress(ValueError, TypeError, KeyError, AttributeError):  # loading the weights will raise
        return sorted(set(map(str, json.loads((folder / weights).read_text())["weight_map"].values())))
    return []


@contextmanager
def quiet():
    """A context without progress bars, load reports and retry messages; afterwards the settings are as before.

    There is one set of these settings per process, so only one thread at a time may load. Callers hold a lock.
    """
    hf = transformers.utils.logging
    loggers = [logging.getLogger("transformers"), logging.getLogger("huggingface_hub")]
    levels = [logger.level for logger in loggers]
    bars, hub_bars = hf.is_progress_bar_enabled(), dict(progress_bar_states)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the hub's client warns about environment variables
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        hf.disable_progress_bar()
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            if bars:
                hf.enable_progress_bar()
            progress_bar_states.clear()
            progress_bar_states.update(hub_bars)
