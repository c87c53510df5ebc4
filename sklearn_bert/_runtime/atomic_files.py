"""Files and folders that are complete or absent: written beside their path, synced to the disk, then renamed to it.

It imports nothing of the package and handles paths only.
"""

import errno
import glob
import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

_IS_WINDOWS = os.name == "nt"
_USUAL_CURE = (
    "Free some disk space, check the permissions of the folder or close the programs that use it, and try again, or "
    "choose another path"
)
_PART_IS_A_FILE = "A part of this path is a file where a folder is expected: choose another path"
_CURES = {
    errno.EEXIST: _PART_IS_A_FILE,
    errno.ENOTDIR: _PART_IS_A_FILE,
    errno.ENOENT: "Create the parent folder first, or choose another path",
}
_ERRNO_OF_WINDOWS = {  # error numbers of Windows that libraries written in Rust report
    3: errno.ENOENT,
    5: errno.EACCES,
    19: errno.EROFS,
    32: errno.EACCES,  # another program has the file open
    33: errno.EACCES,
    39: errno.ENOSPC,
    112: errno.ENOSPC,
    183: errno.EEXIST,
    267: errno.ENOTDIR,
}


@contextmanager
def explain_os_errors(path):
    """Turn an error of the operating system, raised while `path` is written, into an OSError that says what to do.

    Libraries written in Rust raise exceptions of other classes, with the error number in the text.

    Parameters
    ----------
    path : path

    Raises
    ------
    OSError
        In place of the system's error; of the subclass that belongs to its number.
    """
    try:
        yield
    except Exception as error:
        found = re.search(r"\b(?:os error|Os { code:) (\d+)", str(error))
        number = int(found[1]) if found else getattr(error, "errno", None)
        if found and _IS_WINDOWS:
            number = _ERRNO_OF_WINDOWS.get(number, number)
        if number is None:
            raise
        raise OSError(
            number,
            f"{str(path)!r} cannot be written ({os.strerror(number)}); what was there before is unchanged. "
            f"{_CURES.get(number, _USUAL_CURE)}",
        ) from error


@contextmanager
def atomic_file(path):
    """Replace the file `path` in one step: the context writes to a draft, which is then renamed to `path`.

    After an error in the context, or a crash, `path` is unchanged.

    Parameters
    ----------
    path : path

    Yields
    ------
    draft : Path
        An empty file in the same folder.

    Raises
    ------
    OSError
        If the file cannot be written, see `explain_os_errors`.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
    with explain_os_errors(path):
        draft.touch(exist_ok=False)
        mode = draft.stat().st_mode
        try:
            yield draft
            draft.chmod(mode)  # safetensors makes its files readable by the user only
            _sync(draft)
            os.replace(draft, path)
            sync_folder(path.parent)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


@contextmanager
def atomic_folder(path):
    """Replace the folder `path` as a whole: the context writes to a draft, which is then renamed to `path`.

    Python has no call that replaces a folder with content in one step. So the old folder is first renamed to
    ``.NAME.XXXXXXXX.old``, then the draft to `path`, and the old folder is removed last. An error before the
    second rename leaves `path` unchanged. A crash leaves

    - before the first rename: the old folder at `path`, and the draft beside it, ``.NAME.XXXXXXXX.draft``;
    - between the two: nothing at `path`, and both folders beside it, complete; `find_set_aside` gives the old one;
    - after the second: the new folder at `path`, and the old one, or what is left of it, beside it.

    Parameters
    ----------
    path : path
        Missing parents are created.

    Yields
    ------
    draft : Path
        An empty folder beside it.

    Raises
    ------
    OSError
        If the folder cannot be written, see `explain_os_errors`.
    """
    path = Path(os.path.realpath(path))  # a link stays, its target is replaced
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        try:
            if path.is_dir():
                shutil.copymode(path, draft)  # a private folder stays private
            yield draft
            _apply_umask(draft)
            for inner in (*draft.rglob("*"), draft):
                if inner.is_file() or not _IS_WINDOWS:
                    _sync(inner)
            _replace_folder(draft, path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)  # after success this is the old folder


def find_set_aside(path):
    """The complete folder that a crash of `atomic_folder` between its two renames left beside `path`.

    Parameters
    ----------
    path : path

    Returns
    -------
    folder : Path or None
        The newest ``.NAME.XXXXXXXX.old``; None if there is none, or if something is at `path`.
    """
    with suppress(OSError, ValueError):  # not a valid path; or another process is saving at this moment
        path = Path(os.path.realpath(path))
        if not path.exists():
            found = path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.old")
            return max(found, key=os.path.getmtime, default=None)
    return None


def _apply_umask(folder):
    """Give the files the mode of a new file: safetensors makes its own readable by the user only."""
    new = folder / f"{secrets.token_hex(4)}.new"
    new.touch()
    mode = new.stat().st_mode
    new.unlink()
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def _replace_folder(draft, path):
    """Rename `draft` to `path`; the folder that was there gets the draft's name."""
    old = draft.with_suffix(".old")
    try:  # an interrupt may come after any line
        with suppress(FileNotFoundError):
            os.rename(path, old)
        os.rename(draft, path)
    except BaseException:
        if draft.exists() and old.exists():
            os.rename(old, path)
        raise
    sync_folder(path.parent)  # the new name is on the disk before the old folder is removed
    with suppress(OSError):
        os.rename(old, draft)  # so that a folder named .old is always complete


def sync_folder(folder):
    """Wait until the names in `folder` are on the disk; Windows has no call for it."""
    if not _IS_WINDOWS:
        _sync(folder)


def _sync(path):
    handle = os.open(path, os.O_RDONLY if Path(path).is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
