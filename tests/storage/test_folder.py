"""A folder is written as a whole, and every kind of damage gives a clear error."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import torch

from sklearn_bert import BertClassifier
from sklearn_bert._storage.folder import STATE, read_manifest, read_weights, refuse_if_replaced, write_folder
from sklearn_bert._storage.versions import FORMAT
from tests.conftest import WORDS, make_tokenizer
from tests.helpers import exactly

PARTS = 50


@pytest.fixture(scope="module")
def parts():
    return {
        "config": {"model_type": "bert"},
        "arrays": {"a": np.arange(3.0), "b": np.ones((2, 2), dtype=np.float32)},
        "head": {},
        "tokenizer": make_tokenizer(WORDS),
        "state": {"estimator": "BertClassifier", "numbers": [1, 2.5]},
        "card": "# A card\n",
    }


@pytest.fixture(scope="module")
def stored(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "model"
    write_folder(folder, **parts)
    return folder


@pytest.fixture
def folder(stored, tmp_path):
    """A copy, for a test to damage."""
    return shutil.copytree(stored, tmp_path / "model")


FILES = (STATE, "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def test_read_manifest_and_read_weights_return_what_write_folder_got(stored, parts):
    state = read_manifest(stored)
    assert (state["estimator"], state["numbers"]) == ("BertClassifier", [1, 2.5])
    weights = read_weights(stored, state)
    assert {name: weight.dtype for name, weight in weights.items()} == {"a": torch.float64, "b": torch.float32}
    np.testing.assert_array_equal(weights["a"], parts["arrays"]["a"])
    assert sorted(path.name for path in stored.iterdir()) == sorted((*FILES, "README.md"))


def test_write_folder_refuses_the_working_directory(parts, tmp_path, monkeypatch):
    here = tmp_path / "here" / "inner"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    message = (
        "'.' is the working directory, which cannot be replaced as a whole. Pass a folder inside it, such as 'model'."
    )
    with pytest.raises(OSError, match=exactly(message)):
        write_folder(".", **parts)
    assert here.samefile(os.getcwd())
    assert list(here.iterdir()) == []


def test_write_folder_refuses_a_mount_point(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    message = (
        f"{str(tmp_path)!r} is a mount point, which cannot be replaced as a whole. Pass a folder inside it, such as "
        f"{str(tmp_path / 'model')!r}."
    )
    with pytest.raises(OSError, match=exactly(message)):
        write_folder(tmp_path, **parts)


def test_read_weights_prefers_the_original_head(parts, tmp_path):
    head = {"a": np.arange(3.0) / 3}
    write_folder(tmp_path / "model", **parts | {"head": head})
    state = read_manifest(tmp_path / "model")
    np.testing.assert_array_equal(read_weights(tmp_path / "model", state)["a"], head["a"])


def test_read_manifest_accepts_an_edited_card(folder):
    (folder / "README.md").write_text("my own words")
    assert read_manifest(folder)["estimator"] == "BertClassifier"


def test_read_manifest_of_another_folder_or_a_missing_one_is_none(tmp_path):
    assert read_manifest(tmp_path) is None
    assert read_manifest(tmp_path / "absent") is None


# -- damage -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_an_error_that_names_it(folder, name):
    content = (folder / name).read_bytes()
    for i in range(PARTS):
        (folder / name).write_bytes(content[: len(content) * i // PARTS])
        with pytest.raises(
            OSError, match=re.escape(f"The file {name!r} in {str(folder)!r} has changed since it was written: ")
        ):
            read_manifest(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_an_error(folder, name):
    content = bytearray((folder / name).read_bytes())
    n_header = 8 + int.from_bytes(content[:8], "little") if name.endswith(".safetensors") else len(content)
    for i in range(PARTS):
        place = n_header * i // PARTS
        content[place] ^= 1 << (i % 8)
        (folder / name).write_bytes(content)
        with pytest.raises((OSError, ValueError), match=r"has changed since it was written|which reads format"):
            read_manifest(folder)
        content[place] ^= 1 << (i % 8)


def test_the_error_for_a_damaged_file_names_the_cure(folder):
    (folder / "config.json").write_text("{}")
    message = (
        f"The file 'config.json' in {str(folder)!r} has changed since it was written: its content does not have the "
        f"checksum written in {STATE}. Copy the folder again from where it came, or save the estimator again with "
        "save_pretrained."
    )
    with pytest.raises(OSError, match=exactly(message)):
        read_manifest(folder)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_is_an_error(folder, name):
    (folder / name).unlink()
    message = (
        f"The folder {str(folder)!r} lacks {name!r}, which {STATE} lists. Copy the folder again from where it came, or "
        "save the estimator again with save_pretrained."
    )
    with pytest.raises(OSError, match=exactly(message)):
        read_manifest(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_out_of_the_folder_is_an_error(folder, name, dangling):
    outside = folder.parent / f"outside-{name}"
    shutil.move(folder / name, outside)
    (folder / name).symlink_to(outside)
    if dangling:
        outside.unlink()
    message = (
        f"The file {name!r} of {str(folder)!r} lies outside of the folder, which is never read: {outside}. Expected "
        "all files in the folder itself. Copy it with its links followed (cp -rL)."
    )
    with pytest.raises(OSError, match=exactly(message)):
        read_manifest(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/b"])
def test_a_file_name_that_leads_out_of_the_folder_is_an_error(folder, name):
    (folder.parent / "secret").touch()
    seal(folder, lambda state: state["files"].update({name: "0"}))
    with pytest.raises(OSError, match=re.escape(f"The file {name!r} of {str(folder)!r} lies outside of the folder")):
        read_manifest(folder)


@pytest.mark.parametrize("number", [FORMAT + 1, None, "1", [1]])
def test_an_unknown_format_is_an_error(folder, number):
    seal(folder, lambda state: state.update(format=number))
    with pytest.raises(ValueError, match=re.escape(f"The folder {str(folder)!r} has format {number!r} (written by")):
        read_manifest(folder)


@pytest.mark.parametrize(
    "text", ["[]", "3", "[" * 100_000, '{"format": 1}', '{"format": 1, "sha256": 3}', "\0", "\xff"]
)
def test_a_manifest_without_the_expected_json_is_an_error(folder, text):
    (folder / STATE).write_bytes(text.encode("latin-1"))
    message = f"The file {STATE!r} in {str(folder)!r} has changed since it was written: "
    with pytest.raises(OSError, match=re.escape(message)):
        read_manifest(folder)


def seal(folder, change):
    """Change the manifest and give it valid checksums again, as an attacker can."""
    from sklearn_bert._storage.folder import _checksum, _own_checksum

    state = json.loads((folder / STATE).read_text())
    state["files"] = {path.name: _checksum(path) for path in folder.iterdir() if path.name in state["files"]}
    change(state)
    state["sha256"] = _own_checksum(state)
    (folder / STATE).write_text(json.dumps(state))


# -- a save that was interrupted between its two renames ---------------------------------------------------


def set_aside(folder):
    """Rename a folder as a crash between the two renames leaves it."""
    return folder.rename(folder.with_name(f".{folder.name}.0123abcd.old"))


def set_aside_error(folder, old):
    return exactly(
        f"{str(folder)!r} is missing, but {str(old)!r} beside it holds a stored estimator: saving was interrupted just "
        f"before the new folder took its place. Rename it to {str(folder)!r}, or save the estimator again. If another "
        "process is saving there now, load it again."
    )


def test_a_folder_that_an_interrupted_save_set_aside_is_named_with_the_cure(folder):
    expected = read_manifest(folder)
    old = set_aside(folder)
    for load in (read_manifest, BertClassifier.from_pretrained):
        with pytest.raises(OSError, match=set_aside_error(folder, old)):
            load(folder)
    old.rename(folder)  # the cure
    assert read_manifest(folder) == expected


def test_a_folder_set_aside_is_named_through_a_relative_path_and_a_link(folder, monkeypatch):
    (folder.parent / "link").symlink_to(folder)
    old = set_aside(folder)
    monkeypatch.chdir(folder.parent)
    for name in ("model", "link"):
        with pytest.raises(OSError, match=rf"^'{name}' is missing, but {old_and_new(old, folder)}"):
            read_manifest(name)


def old_and_new(old, folder):
    return rf"{re.escape(repr(str(old)))} beside it holds .* Rename it to {re.escape(repr(str(folder)))}, or save"


def test_a_folder_that_is_set_aside_while_it_is_read_is_named(folder):
    state = read_manifest(folder)
    old = set_aside(folder)
    with pytest.raises(OSError, match=set_aside_error(folder, old)):
        refuse_if_replaced(folder, state)


def test_after_an_interrupted_save_the_estimator_can_be_saved_again(folder, parts):
    set_aside(folder)
    write_folder(folder, **parts | {"state": {"numbers": [3]}})
    assert read_manifest(folder)["numbers"] == [3]


def test_a_folder_set_aside_that_holds_no_estimator_is_not_named(folder):
    (set_aside(folder) / STATE).unlink()
    assert read_manifest(folder) is None


# -- writing ----------------------------------------------------------------------------------------------


def test_write_folder_replaces_a_stored_estimator_as_a_whole(folder, parts):
    (folder / "README.md").write_text("my own words")
    write_folder(folder, **parts | {"head": {"a": np.zeros(3)}})
    assert (folder / "head.safetensors").exists()
    write_folder(folder, **parts)
    assert sorted(path.name for path in folder.iterdir()) == sorted((*FILES, "README.md"))
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_write_folder_accepts_an_empty_folder_and_missing_parents(parts, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "a" / "b" / "model"):
        write_folder(folder, **parts)
        assert read_manifest(folder) is not None


@pytest.mark.parametrize("damaged", [False, True])
def test_write_folder_refuses_a_folder_with_other_files(folder, parts, damaged):
    (folder / "thesis.txt").write_text("years of work")
    if damaged:
        (folder / STATE).write_text("{")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OSError, match=re.escape(f"{str(folder)!r} exists and holds files that are not of a stored")):
        write_folder(folder, **parts)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_write_folder_refuses_the_path_of_a_file(parts, tmp_path):
    (tmp_path / "file").write_text("years of work")
    message = (
        f"{str(tmp_path / 'file')!r} exists and holds files that are not of a stored estimator: file. Expected a new "
        "or empty folder, or one that save_pretrained wrote. Choose another name."
    )
    with pytest.raises(OSError, match=exactly(message)):
        write_folder(tmp_path / "file", **parts)


def test_an_error_while_writing_leaves_the_old_folder(folder, parts, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(type(parts["tokenizer"]), "save_pretrained", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_folder(folder, **parts | {"card": "new"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert os.listdir(folder.parent) == ["model"]


def test_from_pretrained_checks_the_files(folder):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(OSError, match=r"The file 'tokenizer\.json' in .* has changed since it was written"):
        BertClassifier.from_pretrained(folder)
