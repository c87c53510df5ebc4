"""Load the config, the tokenizer and the encoder from the folder of a checkpoint.

Each is loaded completely, or an error says what to do. Remote code is never run, and ``.bin`` weights are read by
torch's weights-only unpickler.
"""

import inspect
import json
from contextlib import suppress

import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoTokenizer

from .._runtime.user_warnings import warn_user
from .hub import SAVE_AGAIN, quiet, why
from .sentence_encoder import trained_pooling


def load_config(folder):
    """Load the config of the encoder in a folder, without the attention implementation that the file may name.

    Parameters
    ----------
    folder : Path
        As `resolve_checkpoint` returns it.

    Returns
    -------
    config : transformers.PreTrainedConfig

    Raises
    ------
    OSError
        If the config cannot be read.
    ValueError
        If transformers cannot build the config, or the checkpoint is not a bidirectional encoder.
    """
    try:
        with quiet():
            own = own_config(folder)
            config = AutoConfig.for_model(**own) if own else AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except OSError as error:
        raise OSError(f"The config.json of {str(folder)!r} cannot be read: {why(error)}. {SAVE_AGAIN}") from error
    except Exception as error:  # unknown architectures and invalid values raise many classes of errors
        release = f"transformers {transformers.__version__}"
        if _is_built_in(folder):
            raise ValueError(
                f"The config.json of {str(folder)!r} has a value that {release} refuses: {why(error)}. Correct this "
                "value in config.json."
            ) from error
        raise ValueError(
            f"The config.json of {str(folder)!r} describes no model that {release} can build without remote code, "
            f"which is never run: {why(error)}. Choose a checkpoint of a built-in encoder such as BERT."
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


def config_from_json(text):
    """The config that `to_json_string` wrote, without its attention implementation."""
    config = AutoConfig.for_model(**json.loads(text))
    config._attn_implementation = None
    return config


def count_positions(config):
    """The largest number of tokens that an encoder of this config can take; None if there is no limit."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None or config.model_type == "bert":
        return positions
    # RoBERTa and similar encoders number the tokens from the padding's index + 1; only their layers show it.
    with torch.device("meta"):
        layers = AutoModel.from_config(config).named_modules()
    indices = [getattr(layer, "padding_idx", None) for name, layer in layers if name.endswith("position_embeddings")]
    return positions - max((index + 1 for index in indices if index is not None), default=0)


def load_tokenizer(folder, config):
    """Load the tokenizer in a folder, and check that the encoder has an embedding for each of its token ids.

    Parameters
    ----------
    folder : str or path
    config : transformers.PreTrainedConfig
        The encoder's config.

    Returns
    -------
    tokenizer : transformers tokenizer

    Raises
    ------
    OSError
        If the tokenizer's files cannot be read.
    ValueError
        If it has token ids without an embedding in the encoder, or no padding token.
    """
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False)
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # the library tokenizers raises plain Exception on damaged files
            raise OSError(f"The tokenizer in {str(folder)!r} cannot be read: {why(error)}. {SAVE_AGAIN}") from error
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


def load_encoder(folder, config, dtype=torch.float32, *, random_pooler="ignore"):
    """Load the pretrained encoder in a folder; if the checkpoint has no pooler, its weights are random.

    Parameters
    ----------
    folder : Path
        As `resolve_checkpoint` returns it.
    config : transformers.PreTrainedConfig
    dtype : torch.dtype, default=torch.float32
        The dtype of the weights.
    random_pooler : {"ignore", "warn", "raise"}, default="ignore"
        What to do if the pooler has no trained weights.

    Returns
    -------
    encoder : transformers.PreTrainedModel

    Raises
    ------
    OSError
        If the weights cannot be read, or do not match the config.
    ValueError
        If the encoder takes no token ids or no attention mask, or has no trained pooler and `random_pooler` is "raise".
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
    except Exception as error:  # safetensors and torch raise many classes of errors on damaged files
        raise OSError(f"The weights in {str(folder)!r} cannot be read: {why(error)}. {SAVE_AGAIN}") from error
    # transformers gives random values to weights that the file does not have. Only a pooler may be random.
    misfits = [key for key in report["missing_keys"] if "pooler" not in key]
    misfits += [str(key[0] if isinstance(key, tuple) else key) for key in report["mismatched_keys"]]
    if misfits:
        raise OSError(
            f"The weights in {str(folder)!r} are not those that its config.json describes: absent or of another shape "
            f"are {', '.join(sorted(misfits)[:3])}{', ...' if len(misfits) > 3 else ''}. {SAVE_AGAIN}"
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
    lacks_pooler |= trained_pooling(folder) not in (None, "pooler")  # then only the encoder was trained
    if lacks_pooler and random_pooler == "warn":
        warn_user(
            f"{str(folder)!r} has no trained pooler, so training starts with a pooler of untrained weights. Pass "
            "pooling='mean', which needs none.",
            about=("pooler", str(folder)),
        )
    if lacks_pooler and random_pooler == "raise":
        raise ValueError(
            f"{str(folder)!r} has no trained pooler, so its vectors would depend on untrained weights. Pass "
            "pooling='mean' or 'cls'."
        )
    return encoder


def folder_signature(folder):
    """Names, inodes, sizes and times of the files: the result changes when a file is written or replaced."""
    stats = {path.name: path.stat() for path in sorted(folder.iterdir()) if path.exists()}  # links may have no target
    return [(name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in stats.items()]


def own_config(folder):
    """The encoder's config, a dict, if the folder holds a stored estimator that transformers cannot load; else None."""
    with suppress(ValueError, TypeError, KeyError):  # a damaged file raises when the config is loaded
        return _read_config(folder)["encoder_config"]


def _is_built_in(folder):
    """Whether the config names an architecture of transformers itself, so that only its values can be wrong."""
    with suppress(ValueError, TypeError, KeyError):
        config = own_config(folder) or _read_config(folder)
        return config["model_type"] in transformers.CONFIG_MAPPING
    return False


def _read_config(folder):
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))
