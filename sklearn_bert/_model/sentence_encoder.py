"""Read the pooling and the prompt that a checkpoint's folder declares for sentence-transformers or this package."""

import json
from contextlib import suppress
from pathlib import Path

from .._runtime.user_warnings import warn_user

_POOLINGS = {"cls": "cls", "cls_token": "cls", "mean": "mean", "mean_tokens": "mean"}  # old and new names
_READ_HERE = {"Transformer", "Pooling", "Normalize"}  # vectors are not normalised; that is documented


def trained_pooling(folder):
    """The pooling that a stored estimator was trained with; None if the folder holds none."""
    net = (_read(folder / "sklearn_bert.json", dict) or {}).get("net")
    return net.get("module__pooling") if isinstance(net, dict) else None


def declared_pooling(folder, prompt=""):
    """The pooling that a sentence encoder's folder declares; a warning if it declares more than is available here.

    Parameters
    ----------
    folder : Path
        As `resolve_checkpoint` returns it.
    prompt : str, default=""
        The text that is put before each text.

    Returns
    -------
    pooling : {"cls", "mean"} or None
        None if the folder declares none, or one that is not available.
    """
    modules = [module for module in _read(folder / "modules.json", list) or () if isinstance(module, dict)]
    kinds = {str(module.get("type")).rpartition(".")[2]: module for module in modules}
    if "Pooling" not in kinds:
        return None
    config = _read(folder / str(kinds["Pooling"].get("path", "")) / "config.json", dict) or {}
    modes = {key.removeprefix("pooling_mode_") for key, value in config.items() if value is True} - {"include_prompt"}
    named = config.get("pooling_mode") or []
    modes |= set(map(str, named if isinstance(named, list) else [named]))
    unknown = sorted(modes - _POOLINGS.keys()) + sorted(kinds.keys() - _READ_HERE)
    if prompt and config.get("include_prompt") is False:
        unknown.append("a pooling without the prompt's tokens")
    found = {_POOLINGS[mode] for mode in modes & _POOLINGS.keys()}
    if unknown or len(found) > 1:
        warn_user(
            f"{str(folder)!r} is declared as a sentence encoder with {', '.join(unknown) or 'two poolings'}, which is "
            "not available here: features and vectors are not those of sentence-transformers. Pass pooling='mean' or "
            "'cls' to choose one of these.",
            about=("pooling", str(folder)),
        )
    return found.pop() if len(found) == 1 else None


def declared_prompt(folder):
    """The folder's default prompt, a str, which sentence-transformers puts before each text; "" if there is none."""
    config = _read(folder / "config_sentence_transformers.json", dict) or {}
    prompts = config.get("prompts")
    prompt = prompts.get(str(config.get("default_prompt_name"))) if isinstance(prompts, dict) else None
    return prompt if isinstance(prompt, str) else ""


def _read(path: Path, kind):
    """The JSON value of a file, if it has this type, else None: a damaged file of another tool must not raise."""
    with suppress(OSError, ValueError):
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, kind) else None
    return None
