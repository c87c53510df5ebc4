"""Files that are whole or not there: written beside their place, synced to the disk, then renamed into it.

A leaf: it knows paths only.
"""

import os
import secrets
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path):
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
    draft.touch(exist_ok=False)
    try:
        yield draft
        _sync(draft)
        os.replace(draft, path)
        sync_folder(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


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
