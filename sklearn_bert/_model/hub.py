"""Find the local folder of a checkpoint, by its path or its model id. Only this module contacts the hub.

All files come from one local folder, which is checked for completeness first. So loading succeeds as a whole, or an
error names what was requested, what is missing and what to do.
"""

import json
import logging
import os
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import transformers
from huggingface_hub import model_info, snapshot_download
from huggingface_hub.utils import HFValidationError, filter_repo_objects
from huggingface_hub.utils.tqdm import progress_bar_states

from .._runtime.progress import write_line

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
_SUBFOLDERS = ["*/*/*", "[!1]*/*", "1[!_]*/*"]  # all but 1_Pooling, which declares the pooling of a sentence encoder
_SECONDS_TO_ANSWER = 10  # without it, the hub's client would wait forever
_NO_CONNECTION = ("ConnectError", "ConnectTimeout", "ReadTimeout", "OfflineModeIsEnabled", "LocalEntryNotFoundError")
_NO_WEIGHTS = "model weights"
_OTHER_CHECKPOINT = "Check the connection, or choose another checkpoint or revision."
SAVE_AGAIN = "Save the checkpoint again with model.save_pretrained(folder) and tokenizer.save_pretrained(folder)."


def resolve_checkpoint(model, revision=None, verbose=0):
    """Return the local folder of a checkpoint; a model id is downloaded if the cache is not complete.

    Parameters
    ----------
    model : str or path
        A folder, or a model id of the hub such as ``"google-bert/bert-base-uncased"``.
    revision : str or None
        Branch, tag or commit of a model id.
    verbose : int, default=0
        If above 0, the size and the progress of a download are shown.

    Returns
    -------
    folder : Path
        A folder with config, weights and tokenizer.

    Raises
    ------
    OSError
        If a file is missing in the folder, or is missing in the cache and cannot be downloaded.
    """
    folder = Path(model).expanduser()
    if os.path.isdir(os.path.expanduser(model)):  # Path("") would be the working directory
        _check_complete(folder, f"The folder {str(folder)!r}", SAVE_AGAIN)
        return folder
    if isinstance(model, os.PathLike) or folder.is_absolute() or not model or model[0] in ".~":
        raise OSError(
            f"{str(model)!r} is not a folder. Expected a folder with a checkpoint's config, weights and "
            "tokenizer, or a model id of the hub. Check the path."
        )
    cached = _snapshot(model, revision, local_files_only=True)
    if cached is None or _missing_parts(cached):
        cached = _snapshot(model, revision, local_files_only=False, verbose=verbose)
    _check_complete(cached, f"The local copy of {model!r}{_at(revision)}", _OTHER_CHECKPOINT)
    return cached


def _snapshot(model, revision, *, local_files_only, verbose=0):
    """Folder with the files of a model id; None if they may not be downloaded and none is in the cache."""
    try:
        with quiet(bars=verbose > 0):
            if not local_files_only:
                _ask(model, revision, verbose)
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
    except HFValidationError:
        raise OSError(
            f"model={model!r} is neither a folder nor a valid model id. Expected a folder with a checkpoint, or an id "
            "of the form 'name' or 'organisation/name'. Check the spelling."
        ) from None
    except Exception as error:  # offline, not found, gated, disk full: the hub's client raises many classes
        if local_files_only:
            # The cache may lack files that are not needed here.
            return Path(error.snapshot_path) if hasattr(error, "snapshot_path") else None
        raise OSError(
            f"model={model!r}{_at(revision)} is neither a folder nor complete in the local cache, and cannot be "
            f"downloaded: {_reason(error)}. Check spelling, connection and free space, log in with 'hf auth login' if "
            "it is private, or pass the folder of a downloaded checkpoint."
        ) from None  # the client's own traceback has hundreds of lines


def _ask(model, revision, verbose):
    """Ask the hub for the list of files, with a timeout; if verbose, print the size of those that are needed."""
    files = model_info(model, revision=revision, timeout=_SECONDS_TO_ANSWER, files_metadata=True).siblings or []
    if verbose > 0:
        wanted = {"ignore_patterns": _SUBFOLDERS, "key": lambda file: file.rfilename}
        n_bytes = 0
        for patterns in _DOWNLOADS:
            chosen = list(filter_repo_objects(files, allow_patterns=patterns, **wanted))
            n_bytes += sum(file.size or 0 for file in chosen)
            if any(file.rfilename.endswith(".safetensors") for file in chosen):
                break
        write_line(f"{model}: {n_bytes / 1e6:.0f} MB to download, less what the cache already has")


def _reason(error):
    """Why the download failed; the hub's client wraps connection errors in other errors."""
    chain = [error]
    while chain[-1].__cause__ or chain[-1].__context__:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    if any(isinstance(e, (ConnectionError, TimeoutError)) or type(e).__name__ in _NO_CONNECTION for e in chain):
        return f"no connection to the hub ({why(error)})"
    return why(error)


def _at(revision):
    return f" at revision {revision!r}" if revision else ""


def _check_complete(folder, name, cure):
    missing = _missing_parts(folder)
    if missing and (folder / "adapter_config.json").is_file():
        raise OSError(
            f"{name} holds an adapter of PEFT, not a whole checkpoint: it lacks {' and '.join(missing)}. Merge it into "
            "its model first, with model.merge_and_unload().save_pretrained(folder) and "
            "tokenizer.save_pretrained(folder)."
        )
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
        return sorted(set(map(str, json.loads((folder / weights).read_text(encoding="utf-8"))["weight_map"].values())))
    return []


def why(error):
    """The class of an error and its first informative line, without the last full stop.

    A line that ends with a colon announces the reason, so the next line is added.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and "Client Error" not in line and "Server Error" not in line]
    first = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])
    return f"{type(error).__name__}, {first.split('. ')[0].rstrip('.') or 'no reason given'}"


@contextmanager
def quiet(bars=False):
    """A context without load reports, retry messages and, unless `bars` is true, progress bars.

    These settings belong to the process, so only one thread at a time may load: callers hold a lock.
    """
    hf = transformers.utils.logging
    loggers = [logging.getLogger("transformers"), logging.getLogger("huggingface_hub")]
    levels = [logger.level for logger in loggers]
    before, hub_bars = hf.is_progress_bar_enabled(), dict(progress_bar_states)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the hub's client warns about environment variables
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        if not bars:
            hf.disable_progress_bar()
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            if before:
                hf.enable_progress_bar()
            progress_bar_states.clear()
            progress_bar_states.update(hub_bars)
