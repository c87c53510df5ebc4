"""Files and folders that are whole or not there: written beside their place, synced to the disk, renamed into it.

A leaf: it knows paths only.
"""

import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def explain_os_errors(path):
    """What the system refuses while `path` is written, as an OSError that names the cure.

    Libraries written in Rust report such refusals by exceptions of their own, with the number in the text.

    Parameters
    ----------
    path : path

    Raises
    ------
    OSError
        Of the subclass that belongs to the system's number.
    """
    try:
        yield
    except Exception as error:
        found = re.search(r"\(os error (\d+)\)", str(error))
        number = int(found[1]) if found else getattr(error, "errno", None)
        if number is None:
            raise
        raise OSError(
            number,
            f"{str(path)!r} cannot be written ({os.strerror(number)}); what stood there before still does. Free some "
            "space or see to the rights of the folder and try again, or choose another place",
        ) from error


@contextmanager
def atomic_file(path):
    """A path to write to; after the context what was written stands at `path`, in one step.

    If the context fails, or the machine does, `path` is what it was.

    Parameters
    ----------
    path : path

    Yields
    ------
    draft : Path
        An empty file in the same folder.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
    with explain_os_errors(path):
        draft.touch(exist_ok=False)
        mode = draft.stat().st_mode
        try:
            yield draft
            draft.chmod(mode)  # as the umask has it: safetensors keeps its files to the user
            _sync(draft)
            os.replace(draft, path)
            sync_folder(path.parent)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


@contextmanager
def atomic_folder(path):
    """A folder to write to; after the context it stands at `path`, in the place of a folder that was there.

    If the context fails, or the machine does, `path` is what it was. On Linux the old and the new
    folder change places in one step. Where the system or the disk cannot do so, there is a moment
    between two renamings: a crash just then leaves the old folder whole beside `path`, as
    ``.NAME.XXXXXXXX.old``.

    Parameters
    ----------
    path : path
        Parents that are not there are made.

    Yields
    ------
    draft : Path
        An empty folder beside it.
    """
    path = Path(os.path.realpath(path))  # a link stays, what it points to is replaced
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
                if inner.is_file() or os.name == "posix":
                    _sync(inner)
            _put_in_place(draft, path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)  # by now the old folder, if there was one and all went well


def _apply_umask(folder):
    """Give the files the mode that the umask gives to a new one: safetensors keeps its own to the user."""
    new = folder / f"{secrets.token_hex(4)}.new"
    new.touch()
    mode = new.stat().st_mode
    new.unlink()
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def _put_in_place(draft, path):
    """Rename `draft` to `path`; a folder there changes places with it, or is gone afterwards."""
    if not path.exists():
        os.rename(draft, path)
    elif not _exchange(draft, path):
        old = draft.with_suffix(".old")
        os.rename(path, old)
        try:
            os.rename(draft, path)
        except BaseException:
            os.rename(old, path)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _exchange(first, second):
    """Let two paths change places in one step; False if system or disk cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if rename(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(second))


def sync_folder(folder):
    """Wait until the names in `folder` are on the disk; a system that cannot sync folders (Windows) does it itself."""
    if os.name == "posix":
        _sync(folder)


def _sync(path):
    handle = os.open(path, os.O_RDONLY if Path(path).is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
