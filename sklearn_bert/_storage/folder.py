"""The folder of a stored estimator: it is written as a whole, and loaded only if no byte has changed.

``sklearn_bert.json`` holds everything but the config, the weights and the tokenizer, and a checksum of
every other file and of itself. Checksums detect accidents, not attacks. A malicious folder cannot run code
because the files are JSON and safetensors, which hold values only.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import save_file

from .._runtime.atomic_files import atomic_folder, find_set_aside
from .versions import FORMAT, check_format, versions
from .weights_file import read_weights_file

STATE = "sklearn_bert.json"
CARD = "README.md"  # people edit it, so it has no checksum
_WEIGHTS = ("model.safetensors", "head.safetensors")
_CURE = "Copy the folder again from where it came, or save the estimator again with save_pretrained."


def write_folder(folder, *, config, arrays, head, tokenizer, state, card):
    """Write all parts; a stored estimator or an empty folder at `folder` is replaced as a whole.

    Parameters
    ----------
    folder : path
    config : dict
        The content of config.json.
    arrays : dict of ndarray
        The weights, by name.
    head : dict of ndarray
        The original values of weights that are changed in `arrays`; may be empty.
    tokenizer : transformers tokenizer
    state : dict
        Sections of JSON values, for ``sklearn_bert.json``.
    card : str
        The text of README.md.

    Raises
    ------
    OSError
        If `folder` holds other files, or cannot be written.
    """
    folder = Path(folder)
    _check_replaceable(folder)
    with atomic_folder(folder) as draft:
        (draft / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        for name, content in zip(_WEIGHTS, (arrays, head), strict=True):
            if content:
                save_file(content, draft / name, metadata={"format": "pt"})
        tokenizer.save_pretrained(draft)
        files = {path.name: _checksum(path) for path in sorted(draft.iterdir())}
        state = {"format": FORMAT, "versions": versions(), **state, "files": files}
        state["sha256"] = _own_checksum(state)
        (draft / STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        (draft / CARD).write_text(card, encoding="utf-8", errors="backslashreplace")  # a label may hold lone surrogates


def read_manifest(folder):
    """Check every file of a stored estimator and read the sections of ``sklearn_bert.json``.

    Parameters
    ----------
    folder : path or str
        A stored estimator, another checkpoint, or a model id.

    Returns
    -------
    state : dict or None
        None if the folder holds no stored estimator.

    Raises
    ------
    OSError
        If a file is missing, damaged, or a link to a path outside the folder; or if saving was interrupted between
        its two renames.
    ValueError
        If this version cannot read the format.
    """
    folder = Path(folder)
    if not (folder / STATE).is_symlink() and not (folder / STATE).exists():
        _refuse_if_set_aside(folder)
        return None
    state = _read_json(folder)
    check_format(state.get("format"), state.get("versions"), f"The folder {str(folder)!r}")
    if _own_checksum(state) != state.get("sha256"):
        raise _damaged(folder, STATE, "its content does not have the checksum written in it")
    if not isinstance(state.get("files"), dict):
        raise _damaged(folder, STATE, "it lists no files")
    for name, checksum in state["files"].items():
        if _read(folder, name, _checksum) != checksum:
            raise _damaged(folder, name, "its content does not have the checksum written in " + STATE)
    return state


def read_weights(folder, state):
    """Read the weights of a folder with the manifest `state`: a dict of torch.Tensor, with the original head."""
    written = (_read(Path(folder), name, read_weights_file) for name in _WEIGHTS if name in state["files"])
    return {name: weight for weights in written for name, weight in weights.items()}


def refuse_if_replaced(folder, state):
    """Check that no other process has replaced the folder since `state` was read: parts of two estimators would mix.

    Raises
    ------
    OSError
        If the manifest is another one now.
    """
    if _read_json(Path(folder)).get("sha256") != state["sha256"]:
        raise OSError(f"{str(folder)!r} was replaced while it was read. Load it again.")


def _check_replaceable(folder):
    """Raise an OSError if `folder` holds files that do not belong to a stored estimator, or cannot be renamed."""
    if not folder.exists():
        return
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    with suppress(OSError, KeyError, TypeError):  # the manifest is damaged: it is unknown which files belong to it
        found -= {STATE, CARD, *_read_json(folder)["files"]} if STATE in found else set()
    if found:
        raise OSError(
            f"{str(folder)!r} exists and holds files that are not of a stored estimator: {', '.join(sorted(found)[:3])}"
            f"{', ...' if len(found) > 3 else ''}. Expected a new or empty folder, or one that save_pretrained wrote. "
            "Choose another name."
        )
    here = Path.cwd()
    fixed = "a mount point" if os.path.ismount(os.path.realpath(folder)) else None
    if any(path.samefile(folder) for path in (here, *here.parents)):  # equal paths may differ in case
        fixed = "the working directory"
    if fixed:
        raise OSError(
            f"{str(folder)!r} is {fixed}, which cannot be replaced as a whole. Pass a folder inside it, such as "
            f"{str(folder / 'model')!r}."
        )


def _refuse_if_set_aside(folder):
    old = find_set_aside(folder)
    if old and (old / STATE).is_file():
        raise OSError(
            f"{str(folder)!r} is missing, but {str(old)!r} beside it holds a stored estimator: saving was interrupted "
            f"just before the new folder took its place. Rename it to {os.path.realpath(folder)!r}, or save the "
            "estimator again. "
            "If another process is saving there now, load it again."
        )


def _read_json(folder):
    text = _read(folder, STATE, Path.read_bytes)
    try:
        state = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, STATE, f"it is not JSON ({error})") from error
    if not isinstance(state, dict):
        raise _damaged(folder, STATE, "it holds no JSON object")
    return state


def _read(folder, name, function):
    """Call `function` with the path of a file of the folder, which may be removed at any moment."""
    path = _inside(folder, name)
    try:
        return function(path)
    except (OSError, SafetensorError) as error:
        raise OSError(f"The file {name!r} in {str(folder)!r} cannot be read ({error}). {_CURE}") from error


def _inside(folder, name):
    """The path of a file; raise an OSError if it is missing or not in the folder itself."""
    path = folder / name
    if Path(name).name != name or not path.resolve().is_relative_to(folder.resolve()):
        raise OSError(
            f"The file {name!r} of {str(folder)!r} lies outside of the folder, which is never read: {path.resolve()}. "
            "Expected all files in the folder itself. Copy it with its links followed (cp -rL)."
        )
    if not path.is_file():
        _refuse_if_set_aside(folder)
        raise OSError(f"The folder {str(folder)!r} lacks {name!r}, which {STATE} lists. {_CURE}")
    return path


def _damaged(folder, name, why):
    return OSError(f"The file {name!r} in {str(folder)!r} has changed since it was written: {why}. {_CURE}")


def _checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_checksum(state):
    rest = {key: value for key, value in state.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
