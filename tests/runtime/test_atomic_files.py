"""A file or folder is the old one or the new one, complete, whatever happens while it is written."""

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
from sklearn_bert._runtime.atomic_files import atomic_file, atomic_folder, find_set_aside

# The programs below import the module without the package, which takes seconds.
MODULE_ALONE = os.environ | {"PYTHONPATH": str(Path(atomic_files.__file__).parent)}


def test_atomic_file_puts_the_content_at_the_path_and_leaves_no_draft(tmp_path):
    path = tmp_path / "state"
    with atomic_file(path) as draft:
        draft.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_file_gives_the_file_the_mode_of_a_new_file(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    with atomic_file(tmp_path / "state"):
        pass
    assert (tmp_path / "state").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_error_in_atomic_file_leaves_the_old_file_and_no_draft(tmp_path, error):
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
def test_a_process_killed_in_atomic_file_leaves_a_complete_file(tmp_path):
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
        process.stdout.readline()  # it is writing
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        text = path.read_text()
        assert len(text) == 100_000
        assert len(set(text)) == 1


# -- folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exists", [False, True])
def test_atomic_folder_replaces_the_old_folder_as_a_whole(tmp_path, exists):
    path = tmp_path / "state"
    if exists:
        path.mkdir()
        (path / "old").touch()
    with atomic_folder(path) as draft:
        (draft / "new").write_text("new")
        assert path.exists() == exists
    assert [inner.name for inner in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("change", ["removed", "created"])
def test_atomic_folder_replaces_what_is_at_the_path_at_the_end(tmp_path, change):
    path = tmp_path / "state"
    if change == "removed":
        path.mkdir()
    with atomic_folder(path) as draft:
        (draft / "new").touch()
        path.rmdir() if change == "removed" else path.mkdir()
        (path / "other").touch() if change == "created" else None
    assert [inner.name for inner in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_error_in_atomic_folder_leaves_the_old_folder_and_no_draft(tmp_path, error):
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


@pytest.mark.parametrize("error", [OSError("no more"), KeyboardInterrupt("no more")], ids=["error", "interrupt"])
@pytest.mark.parametrize("failing", [1, 2])
def test_when_a_rename_fails_the_old_folder_is_at_the_path(tmp_path, monkeypatch, failing, error):
    path, rename, calls = tmp_path / "state", os.rename, []
    path.mkdir()
    (path / "old").touch()

    def fail_once(source, target):
        calls.append(source)
        if len(calls) == failing:
            raise error
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_once)
    with pytest.raises(type(error), match="no more"), atomic_folder(path):
        pass
    assert [inner.name for inner in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_folder_is_removed_only_when_the_new_name_is_on_the_disk(tmp_path, monkeypatch):
    path = tmp_path / "state"
    path.mkdir()
    (path / "old").touch()

    def fail(folder):
        raise OSError("not synced")

    monkeypatch.setattr(atomic_files, "sync_folder", fail)
    with pytest.raises(OSError, match="not synced"), atomic_folder(path) as draft:
        (draft / "new").touch()
    assert sorted(inner.name for inner in tmp_path.rglob("[!.]*") if inner.is_file()) == ["new", "old"]


def test_atomic_folder_keeps_the_mode_of_the_old_folder_and_gives_a_new_one_the_usual_mode(tmp_path):
    private, plain = tmp_path / "private", tmp_path / "plain"
    private.mkdir(mode=0o700)
    plain.mkdir()
    for path, mode in ((private, 0o700), (tmp_path / "new", plain.stat().st_mode & 0o777)):
        with atomic_folder(path):
            pass
        assert path.stat().st_mode & 0o777 == mode


def test_atomic_folder_replaces_the_target_of_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    with atomic_folder(link) as draft:
        (draft / "new").touch()
    assert link.is_symlink()
    assert [inner.name for inner in (tmp_path / "real").iterdir()] == ["new"]


# -- crashes ----------------------------------------------------------------------------------------------

FILES = [f"{i}" for i in range(5)]


def content(folder):
    """The text that is in all files of a complete folder; "incomplete" if it is none."""
    texts = {inner.read_text() for inner in folder.iterdir()}
    is_complete = sorted(inner.name for inner in folder.iterdir()) == FILES and len(texts) == 1
    return texts.pop() if is_complete else "incomplete"


# While a folder is replaced, stops before a line of `atomic_files` or `shutil`: one forked process for each line.
STOP_BEFORE_EACH_LINE = textwrap.dedent("""
    import itertools, os, pathlib, shutil, signal, sys
    import atomic_files

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    def interrupt():
        raise KeyboardInterrupt

    def write(folder, text):
        for i in range(5):
            (folder / f"{i}").write_text(text)

    def replace(path, line, stop):
        lines = itertools.count()
        def trace(frame, event, _):
            if frame.f_code.co_filename not in (atomic_files.__file__, shutil.__file__):
                return None
            if event == "line" and next(lines) == line:
                stop()
            return trace
        sys.settrace(trace)
        with atomic_files.atomic_folder(path) as draft:
            write(draft, "new")
        sys.settrace(None)

    tmp_path, stop = pathlib.Path(sys.argv[1]), {"kill": kill, "interrupt": interrupt}[sys.argv[2]]
    for line in itertools.count():
        path = tmp_path / f"{line:05}" / "state"
        path.mkdir(parents=True)
        write(path, "old")
        child = os.fork()
        if not child:
            try:
                replace(path, line, stop)
            except KeyboardInterrupt:
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            break
""")


def stop_before_each_line(tmp_path, how):
    """The folders in which "state" was being replaced when the process was stopped, in the order of the lines."""
    subprocess.run([sys.executable, "-c", STOP_BEFORE_EACH_LINE, str(tmp_path), how], check=True, env=MODULE_ALONE)
    *stopped, finished = sorted(tmp_path.iterdir())
    assert len(stopped) > 100
    assert [inner.name for inner in finished.iterdir()] == ["state"]
    return stopped


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL and fork")
def test_a_process_killed_before_any_line_leaves_a_complete_folder_at_the_path_or_set_aside(tmp_path):
    states = []
    for folder in stop_before_each_line(tmp_path, "kill"):
        if (folder / "state").exists():
            states.append(content(folder / "state"))
            assert find_set_aside(folder / "state") is None
        else:
            states.append("beside")
            assert content(find_set_aside(folder / "state")) == "old"
            assert sorted(content(inner) for inner in folder.iterdir()) == ["new", "old"]
        assert all(content(inner) == "old" for inner in folder.glob(".*.old"))
    assert list(dict.fromkeys(states)) == ["old", "beside", "new"]
    assert states == sorted(states, key=["old", "beside", "new"].index)


@pytest.mark.skipif(os.name != "posix", reason="needs fork")
def test_an_interrupt_before_any_line_leaves_the_old_or_the_new_folder_at_the_path(tmp_path):
    folders = stop_before_each_line(tmp_path, "interrupt")
    assert {content(folder / "state") for folder in folders} == {"old", "new"}


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_process_killed_in_atomic_folder_leaves_a_complete_folder(tmp_path):
    path = tmp_path / "state"
    path.mkdir()
    for name in FILES:
        (path / name).write_text("0" * 1000)
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
        process.stdout.readline()  # it is writing
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        text = content(find_set_aside(path) or path)
        assert len(text) == 1000
        assert len(set(text)) == 1


# -- what a crash between the two renames leaves ----------------------------------------------------------


def set_aside(path, name, time):
    """A folder beside `path` of this name and time of change."""
    folder = path.with_name(name)
    folder.mkdir()
    os.utime(folder, (time, time))
    return folder


@pytest.mark.parametrize("name", ["state", "state.v2", "st[a]te*", "große Modelle"])
def test_find_set_aside_gives_the_newest_old_folder_of_this_name(tmp_path, name):
    path = tmp_path / name
    assert find_set_aside(path) is None
    set_aside(path, f".{name}.0123abcd.draft", 9)
    set_aside(path, f".{name}.v2.0123abcd.old", 9)  # of another folder
    set_aside(path, f".{name}.backup.old", 9)  # not by this package
    assert find_set_aside(path) is None
    set_aside(path, f".{name}.ffff0000.old", 1)
    newest = set_aside(path, f".{name}.0123abcd.old", 2)
    assert find_set_aside(path) == newest
    path.mkdir()
    assert find_set_aside(path) is None


def test_find_set_aside_looks_beside_the_target_of_a_link(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "inside" / "state")
    old = set_aside(tmp_path / "inside" / "state", ".state.0123abcd.old", 1)
    assert find_set_aside(tmp_path / "link") == old


@pytest.mark.parametrize("path", ["absent/state", "organisation/model", "model", "\0", "x" * 1000, ""])
def test_find_set_aside_of_a_path_that_cannot_be_is_none(path):
    assert find_set_aside(path) is None


# -- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
        (PermissionError(errno.EACCES, "Permission denied"), PermissionError),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), OSError),
        (RuntimeError('IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })'), OSError),
    ],
    ids=["full", "forbidden", "full, from Rust", "full, from safetensors before 0.7"],
)
def test_an_error_of_the_system_names_the_path_and_what_to_do(tmp_path, atomic, error, kind):
    path = tmp_path / "state"
    number = getattr(error, "errno", None) or errno.ENOSPC
    message = (
        f"[Errno {number}] {str(path)!r} cannot be written ({os.strerror(number)}); what was there before is "
        "unchanged. Free some disk space, check the permissions of the folder or close the programs that use it, and "
        "try again, or choose another path"
    )
    with pytest.raises(kind, match=f"^{re.escape(message)}$"), atomic(path):
        raise error
    assert list(tmp_path.iterdir()) == []


A_FILE_IN_THE_PATH = "A part of this path is a file where a folder is expected: choose another path"
NO_SUCH_FOLDER = "Create the parent folder first, or choose another path"


@pytest.mark.parametrize(
    ("atomic", "path", "number", "cure"),
    [
        (atomic_file, "file/state", errno.ENOTDIR, A_FILE_IN_THE_PATH),
        (atomic_folder, "file/state", errno.EEXIST, A_FILE_IN_THE_PATH),
        (atomic_file, "absent/state", errno.ENOENT, NO_SUCH_FOLDER),
    ],
)
def test_an_error_about_the_folders_of_a_path_says_what_to_do(tmp_path, atomic, path, number, cure):
    (tmp_path / "file").touch()
    message = (
        f"[Errno {number}] {str(tmp_path / path)!r} cannot be written ({os.strerror(number)}); what was there before "
        f"is unchanged. {cure}"
    )
    with pytest.raises(OSError, match=f"^{re.escape(message)}$"), atomic(tmp_path / path) as draft:
        draft.touch()


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_other_errors_are_raised_unchanged(tmp_path, atomic):
    with pytest.raises(OSError, match=r"^a sentence of its own$"), atomic(tmp_path / "state"):
        raise OSError("a sentence of its own")
