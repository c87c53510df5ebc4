"""A file or folder is the old one or the new one, whatever happens while it is written."""

import errno
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from sklearn_bert._runtime import atomic_files
from sklearn_bert._runtime.atomic_files import atomic_file, atomic_folder

# The module without the package round it, which takes seconds to import.
MODULE_ALONE = os.environ | {"PYTHONPATH": str(Path(atomic_files.__file__).parent)}


def test_what_was_written_stands_at_the_path_and_nothing_else_in_the_folder(tmp_path):
    path = tmp_path / "state"
    with atomic_file(path) as draft:
        draft.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_has_the_rights_that_a_new_file_has(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    with atomic_file(tmp_path / "state"):
        pass
    assert (tmp_path / "state").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path, error):
    path = tmp_path / "state"
    path.write_text("old")

    def write_half():
        with atomic_file(path) as draft:
            draft.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_process_killed_at_any_moment_leaves_a_whole_file(tmp_path):
    path = tmp_path / "state"
    path.write_text("0" * 100_000)
    program = textwrap.dedent("""
        import itertools, sys
        from atomic_files import atomic_file
        for i in itertools.count():
            with atomic_file(sys.argv[1]) as draft:
                draft.write_text(str(i % 10) * 100_000)
            print(flush=True)
    """)
    for wait in (0.0, 0.003, 0.011, 0.03):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, env=MODULE_ALONE)
        process.stdout.readline()  # it is at work
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        text = path.read_text()
        assert len(text) == 100_000
        assert len(set(text)) == 1


# -- folders ----------------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["exchange", "two-renamings"])
def way(request, monkeypatch):
    """With the system's exchange of two folders, and without."""
    if not request.param:
        monkeypatch.setattr(atomic_files, "_exchange", lambda first, second: False)


def write_numbers(folder, number, n_files=5):
    for i in range(n_files):
        (folder / f"{i}").write_text(str(number) * 1000)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_takes_the_place_of_the_old_one_as_a_whole(tmp_path, exists):
    path = tmp_path / "state"
    if exists:
        path.mkdir()
        (path / "old").touch()
    with atomic_folder(path) as draft:
        (draft / "new").write_text("new")
        assert path.exists() == exists
    assert [inner.name for inner in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_failure_leaves_the_old_folder_and_no_draft(tmp_path, error):
    path = tmp_path / "state"
    path.mkdir()
    (path / "old").touch()

    def write_half():
        with atomic_folder(path) as draft:
            (draft / "new").touch()
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert [inner.name for inner in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_renaming_that_fails_brings_the_old_folder_back(tmp_path, monkeypatch):
    path, rename = tmp_path / "state", os.rename
    path.mkdir()
    (path / "old").touch()

    def fail_once(source, target):
        if str(source).endswith(".draft"):
            raise OSError("no more")
        rename(source, target)

    monkeypatch.setattr(atomic_files, "_exchange", lambda first, second: False)
    monkeypatch.setattr(os, "rename", fail_once)
    with pytest.raises(OSError, match="no more"), atomic_folder(path):
        pass
    assert [inner.name for inner in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_folder_stays_private_and_a_new_one_is_like_any_other(tmp_path):
    private, plain = tmp_path / "private", tmp_path / "plain"
    private.mkdir(mode=0o700)
    plain.mkdir()
    for path, mode in ((private, 0o700), (tmp_path / "new", plain.stat().st_mode & 0o777)):
        with atomic_folder(path):
            pass
        assert path.stat().st_mode & 0o777 == mode


def test_through_a_link_the_folder_behind_it_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    with atomic_folder(link) as draft:
        (draft / "new").touch()
    assert link.is_symlink()
    assert [inner.name for inner in (tmp_path / "real").iterdir()] == ["new"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs the exchange of two folders in one step")
def test_no_renaming_leaves_the_place_empty(tmp_path, monkeypatch):
    path = tmp_path / "state"
    path.mkdir()
    monkeypatch.setattr(os, "rename", lambda *args: 1 / 0)
    with atomic_folder(path) as draft:
        (draft / "new").touch()
    assert [inner.name for inner in path.iterdir()] == ["new"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs the exchange of two folders in one step")
def test_a_process_killed_at_any_moment_leaves_a_whole_folder(tmp_path):
    path = tmp_path / "state"
    path.mkdir()
    write_numbers(path, 0)
    program = textwrap.dedent("""
        import itertools, sys
        from atomic_files import atomic_folder
        for number in itertools.count():
            with atomic_folder(sys.argv[1]) as draft:
                for i in range(5):
                    (draft / f"{i}").write_text(str(number % 10) * 1000)
            print(flush=True)
    """)
    for wait in (0.0, 0.002, 0.005, 0.011, 0.03):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, env=MODULE_ALONE)
        process.stdout.readline()  # it is at work
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        texts = [inner.read_text() for inner in path.iterdir()]
        assert len(texts) == 5
        assert len(set(texts)) == 1
        assert len(texts[0]) == 1000


# -- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [atomic_file, atomic_folder])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
        (PermissionError(errno.EACCES, "Permission denied"), PermissionError),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), OSError),
    ],
    ids=["full", "forbidden", "full, from Rust"],
)
def test_a_refusal_of_the_system_names_path_and_cure(tmp_path, whole, error, kind):
    path = tmp_path / "state"
    number = getattr(error, "errno", None) or errno.ENOSPC
    message = (
        f"[Errno {number}] {str(path)!r} cannot be written ({os.strerror(number)}); what stood there before still "
        "does. Free some space or see to the rights of the folder and try again, or choose another place"
    )
    with pytest.raises(kind, match=f"^{re.escape(message)}$"), whole(path):
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("whole", [atomic_file, atomic_folder])
def test_other_errors_are_passed_on(tmp_path, whole):
    with pytest.raises(OSError, match=r"^a sentence of its own$"), whole(tmp_path / "state"):
        raise OSError("a sentence of its own")
