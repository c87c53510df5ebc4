"""A file is the old one or the new one, whatever happens while it is written."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from sklearn_bert._atomic import whole_file


def test_what_was_written_stands_at_the_path_and_nothing_else_in_the_folder(tmp_path):
    path = tmp_path / "state"
    with whole_file(path) as draft:
        draft.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_has_the_rights_that_a_new_file_has(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    with whole_file(tmp_path / "state"):
        pass
    assert (tmp_path / "state").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path, error):
    path = tmp_path / "state"
    path.write_text("old")

    def write_half():
        with whole_file(path) as draft:
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
        from sklearn_bert._atomic import whole_file
        for i in itertools.count():
            with whole_file(sys.argv[1]) as draft:
                draft.write_text(str(i % 10) * 100_000)
            print(flush=True)
    """)
    for wait in (0.0, 0.003, 0.011, 0.03):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()  # it is at work
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        text = path.read_text()
        assert len(text) == 100_000
        assert len(set(text)) == 1
