"""What Windows and macOS do differently, simulated: docs/test_runs.md lists what is simulated and what is not."""

import ast
import errno
import io
import ntpath
import os
import pickle
import pickletools
import re
import runpy
import sys
import threading
from pathlib import Path, PosixPath, PureWindowsPath

import pytest
import torch.distributed as dist
from skorch.callbacks import Callback

from sklearn_bert import BertClassifier
from sklearn_bert._runtime import array_cache, atomic_files, device, distributed
from sklearn_bert._runtime.atomic_files import atomic_file, atomic_folder
from sklearn_bert._storage import folder as stored_folder
from sklearn_bert._storage import model_card
from tests.helpers import FAST, exactly

SOURCES = sorted(Path(device.__file__).parent.parent.rglob("*.py"))


# -- files ------------------------------------------------------------------------------------------------


class StopIn(Callback):
    """Ends a training with an error in an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise RuntimeError("stopped")


@pytest.fixture
def locks_of_windows(monkeypatch):
    """Renaming is refused while this process has the file, or a file of the folder, open or mapped into memory."""
    if sys.platform != "linux":
        pytest.skip("reads /proc")

    def is_in_use(path):
        opened = [os.path.realpath(handle) for handle in Path("/proc/self/fd").iterdir()]
        mapped = [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
        return any(Path(name).is_relative_to(os.path.realpath(path)) for name in opened + mapped)

    def refusing(rename):
        def rename_if_unused(source, target):
            if is_in_use(source) or is_in_use(target):
                raise PermissionError(errno.EACCES, "The process cannot access the file", str(target))
            rename(source, target)

        return rename_if_unused

    monkeypatch.setattr(os, "replace", refusing(os.replace))
    monkeypatch.setattr(os, "rename", refusing(os.rename))
    monkeypatch.setattr(atomic_files, "_IS_WINDOWS", True)


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_a_file_that_a_program_has_open_is_not_replaced_on_windows_and_the_error_says_so(
    tmp_path, locks_of_windows, atomic
):
    path = tmp_path / "state"
    used = path if atomic is atomic_file else path / "weights"
    used.parent.mkdir(exist_ok=True)
    used.write_text("old")
    message = (
        f"[Errno 13] {str(path)!r} cannot be written (Permission denied); what was there before is unchanged. Free "
        "some disk space, check the permissions of the folder or close the programs that use it, and try again, or "
        "choose another path"
    )
    with used.open(encoding="utf-8"), pytest.raises(PermissionError, match=exactly(message)), atomic(path):
        pass
    assert used.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic(path):  # the cure
        pass


def test_with_the_locks_of_windows_a_training_is_resumed_and_an_estimator_stored_again(
    tiny_bert, reviews, tmp_path, locks_of_windows
):
    settings = FAST | {"early_stopping": True, "checkpoint_dir": tmp_path / "state"}
    with pytest.raises(RuntimeError, match="stopped"):
        BertClassifier(tiny_bert, callbacks=[StopIn(2)], **settings).fit(*reviews)
    resumed = BertClassifier(tiny_bert, callbacks=[StopIn(None)], **settings).fit(*reviews).set_params(callbacks=None)
    assert resumed.n_iter_ == 2
    for _ in range(2):
        resumed.save_pretrained(tmp_path / "model")
        resumed = BertClassifier.from_pretrained(tmp_path / "model")


def test_on_windows_folders_are_not_synced_and_files_are(tmp_path, monkeypatch):
    synced, sync = [], atomic_files._sync

    def sync_files_only(path):
        if Path(path).is_dir():
            raise PermissionError("Windows does not open folders")
        synced.append(path.name)
        sync(path)

    monkeypatch.setattr(atomic_files, "_sync", sync_files_only)
    monkeypatch.setattr(atomic_files, "_IS_WINDOWS", True)
    with atomic_folder(tmp_path / "model") as draft:
        (draft / "inside").mkdir()
        (draft / "inside" / "weights").touch()
    with atomic_file(tmp_path / "state"):
        pass
    assert synced == ["weights", synced[-1]]


@pytest.mark.parametrize(
    ("windows", "number", "kind"),
    [(112, errno.ENOSPC, OSError), (5, errno.EACCES, PermissionError), (3, errno.ENOENT, FileNotFoundError)],
    ids=["disk full", "access denied", "no such path"],
)
def test_error_numbers_of_windows_get_the_words_of_python(tmp_path, monkeypatch, windows, number, kind):
    monkeypatch.setattr(atomic_files, "_IS_WINDOWS", True)
    with (
        pytest.raises(kind, match=re.escape(f"cannot be written ({os.strerror(number)})")),
        atomic_file(tmp_path / "a"),
    ):
        raise RuntimeError(f"Error while serializing: I/O error: in the language of the system (os error {windows})")


def test_the_working_directory_is_known_in_another_spelling(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    (tmp_path / "WORK").symlink_to("work")  # one folder of two names, as where case does not count
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(os.path, "realpath", str)
    message = (
        f"{str(tmp_path / 'WORK')!r} is the working directory, which cannot be replaced as a whole. Pass a folder "
        f"inside it, such as {str(tmp_path / 'WORK' / 'model')!r}."
    )
    with pytest.raises(OSError, match=exactly(message)):
        stored_folder._check_replaceable(tmp_path / "WORK")


@pytest.mark.parametrize("name", [r"..\secret", r"C:\secret", "C:secret", r"\secret", r"\\host\share\secret", "a/b"])
def test_a_listed_file_outside_of_the_folder_is_refused_in_the_spelling_of_windows(tmp_path, monkeypatch, name):
    class OnWindows(PosixPath):
        name = property(lambda self: PureWindowsPath(str(self)).name)

    monkeypatch.setattr(stored_folder, "Path", OnWindows)
    with pytest.raises(OSError, match="lies outside of the folder, which is never read"):
        stored_folder._inside(tmp_path, name)


def test_the_card_hides_the_folders_of_a_path_of_windows(monkeypatch):
    monkeypatch.setattr(model_card.os, "path", ntpath)
    assert model_card._without_folders(r"C:\Users\me\models\bert") == "bert"
    assert model_card._without_folders("google-bert/bert-base-uncased") == "google-bert/bert-base-uncased"


def test_a_pickle_holds_no_path_of_one_system_and_gives_the_path_back(tiny_bert, reviews):
    estimator = BertClassifier(Path(tiny_bert), checkpoint_dir=Path("states"), device="cpu")
    stored = pickle.dumps(estimator)
    names = [value for _, value, _ in pickletools.genops(stored) if isinstance(value, str)]
    assert not {"PosixPath", "WindowsPath"} & {name for value in names for name in value.split()}
    loaded = pickle.loads(stored)
    assert loaded.model == Path(tiny_bert)
    assert isinstance(loaded.checkpoint_dir, Path)
    of_windows = estimator.__getstate__() | {"checkpoint_dir": PureWindowsPath(r"C:\states")}
    estimator.__setstate__(of_windows)
    assert isinstance(estimator.checkpoint_dir, Path)


def _opens_text_without_encoding(node):
    name = getattr(node.func, "attr", getattr(node.func, "id", None))
    modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
    is_text = name in ("read_text", "write_text") or (name == "open" and "rb" not in modes and "wb" not in modes)
    is_system_call = ast.unparse(node.func) in ("os.open", "safe_open")
    return is_text and not is_system_call and "encoding" not in {keyword.arg for keyword in node.keywords}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_text_files_have_one_encoding_on_all_systems(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    assert [ast.unparse(node) for node in calls if _opens_text_without_encoding(node)] == []


# -- processes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [device, array_cache], ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_modules_with_locks_are_imported_where_there_is_no_fork(monkeypatch, module):
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    monkeypatch.delattr(os, "fork", raising=False)
    again = runpy.run_path(module.__file__, run_name=module.__name__)
    assert any(isinstance(value, type(threading.RLock())) or hasattr(value, "_lock") for value in again.values())


def test_a_torch_without_process_groups_trains_in_one_process(monkeypatch):
    monkeypatch.setattr(dist, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "torch.distributed.nn.functional", None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    alone = runpy.run_path(distributed.__file__, run_name=distributed.__name__)
    assert alone["get_process_group"]("cpu").size == 1


# -- the console ------------------------------------------------------------------------------------------


def test_what_a_fit_prints_can_be_printed_in_ascii(tiny_bert, reviews, monkeypatch):
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding="ascii") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    BertClassifier(tiny_bert, verbose=2, early_stopping=True, **FAST).fit(*reviews).predict(reviews[0])
    for stream in streams.values():
        stream.flush()
    assert b"single_label_classification" in streams["stdout"].buffer.getvalue()
