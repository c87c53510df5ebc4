"""Nothing let in: what is loaded is numbers and text, and nothing is written but where the user said.

That damaged and hostile folders are refused one by one is shown in `test_checkpoint.py`, `test_folder.py` and
`test_persistence.py`; here the source is walked, and hostile files are planted from end to end.
"""

import ast
import hashlib
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import sklearn_bert
from sklearn_bert import BertClassifier, BertRegressor, BertVectorizer

PACKAGE = Path(sklearn_bert.__file__).parent
TREES = {
    str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
CALLS = [(name, node) for name, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.Call)]
QUICK = {"max_epochs": 1, "random_state": 0, "device": "cpu", "precision": "float32"}
TEXTS, Y = ["the movie was good", "bad", "good", "very bad"] * 2, [1, 0] * 4


# -- the source -------------------------------------------------------------------------------------------


def called(node):
    """What is called, as it is written, such as "os.replace"."""
    return ast.unparse(node.func)


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", TREES)
def test_no_room_imports_what_unpickles_runs_programs_or_opens_connections(room):
    forbidden = set(
        "pickle cPickle dill cloudpickle joblib marshal shelve subprocess runpy code codeop multiprocessing socket "
        "http urllib requests ftplib zipfile tarfile".split()
    )
    if room == "_runtime/distributed.py":  # asks whether this process is a worker of another
        forbidden.remove("multiprocessing")
    assert not {name for name in imports(TREES[room]) if name.partition(".")[0] in forbidden}


def test_nothing_is_executed_or_unpickled():
    forbidden = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.jit.load", "np.load"}
    assert not [(room, called(node)) for room, node in CALLS if called(node) in forbidden]
    loads = [node for _, node in CALLS if called(node) in ("torch.load", "load")]
    assert all({"weights_only": True}.items() <= constants(node).items() for node in loads)
    assert not [room for room, node in CALLS if constants(node).get("allow_pickle")]


def constants(node):
    return {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}


def test_transformers_loads_weights_only_and_no_remote_code():
    """Classes named Auto... might load code; a model might unpickle; a tokenizer or a class of ours does neither."""
    found = {}
    for _, node in CALLS:
        owner, _, name = called(node).rpartition(".")
        if name == "from_pretrained":
            found[owner] = constants(node)
            assert "Auto" not in owner or found[owner]["trust_remote_code"] is False
            assert owner in ("AutoConfig", "AutoTokenizer") or found[owner]["weights_only"] is True
    assert set(found) == {
        "AutoConfig",
        "AutoTokenizer",
        "AutoModel",
        "transformers.BertForSequenceClassification",
    }


def test_names_of_modules_that_are_imported_on_use_are_written_in_the_source():
    dynamic = [(room, node) for room, node in CALLS if called(node) in ("import_module", "importlib.import_module")]
    assert [room for room, _ in dynamic] == ["_runtime/optional_dependencies.py"]
    asked = [node.args[0] for _, node in CALLS if called(node) == "import_extra"]
    assert asked
    assert all(isinstance(name, ast.Constant) for name in asked)


def test_only_the_rooms_of_files_write_and_always_through_whole_files():
    writing = {"write_text", "write_bytes", "mkdir", "touch", "unlink", "rmtree", "save_file", "rename", "rmdir"}
    rooms = {
        room
        for room, node in CALLS
        if called(node).rpartition(".")[2] in writing
        or called(node) in ("os.replace", "os.remove", "shutil.move", "shutil.copy", "shutil.copytree")
        or (called(node) == "open" and {"w", "a", "x", "+"} & set(str(getattr(node.args[1], "value", "w"))))
    }
    assert rooms == {"_runtime/atomic_files.py", "_storage/folder.py", "_training/checkpointing.py"}
    for room in ("_storage/folder.py", "_training/checkpointing.py", "_storage/onnx.py"):
        assert {"atomic_file", "atomic_folder"} & {called(node) for name, node in CALLS if name == room}


# -- the offline checkpoint -------------------------------------------------------------------------------


def test_the_offline_checkpoint_is_the_one_that_all_figures_are_of(minilm):
    with open(Path(minilm) / "model.safetensors", "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


# -- hostile files ----------------------------------------------------------------------------------------


class Intruder:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def folder(tiny_bert, tmp_path):
    """A checkpoint's folder to plant something in; beside it nothing may appear."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "inside" / "bert"))


def everything(path):
    return {str(found.relative_to(path)): found.stat().st_mtime_ns for found in path.rglob("*")}


def as_torch_file(folder, mark):
    torch.save({"pooler.dense.bias": Intruder(mark)}, folder / "pytorch_model.bin")


def as_old_torch_file(folder, mark):
    torch.save({"a": Intruder(mark)}, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def as_plain_pickle(folder, mark):
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Intruder(mark)))


def as_pickle_named_safetensors(folder, mark):
    (folder / "model.safetensors").write_bytes(pickle.dumps(Intruder(mark)))


def as_zip_with_paths(folder, mark):
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as file:
        for name in (f"../../{mark.name}", str(mark), "archive/data.pkl"):
            file.writestr(name, pickle.dumps(Intruder(mark)))


def as_shards_outside(folder, mark):
    """Good weights, but in a place that the folder's owner has no business to name."""
    outside = folder.parent.parent / "outside.safetensors"
    shutil.copy(folder.parent.parent / "weights", outside)
    index = {"metadata": {}, "weight_map": dict.fromkeys(load_file(outside), f"../../{outside.name}")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def as_shards_without_names(folder, mark):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": 3, "b": None}}))


@pytest.mark.parametrize(
    "plant",
    [
        as_torch_file,
        as_old_torch_file,
        as_plain_pickle,
        as_pickle_named_safetensors,
        as_zip_with_paths,
        as_shards_outside,
        as_shards_without_names,
    ],
)
@pytest.mark.parametrize(
    "load",
    [
        lambda folder: BertClassifier(folder, device="cpu").fit(TEXTS, Y),
        lambda folder: BertRegressor(folder, device="cpu").fit(TEXTS, Y),
        lambda folder: BertVectorizer(folder, device="cpu").fit(TEXTS),
        BertClassifier.from_pretrained,
    ],
    ids=["classifier", "regressor", "vectorizer", "from_pretrained"],
)
def test_hostile_weights_are_an_error_and_leave_no_trace(folder, tmp_path, plant, load):
    (folder / "model.safetensors").rename(tmp_path / "weights")
    plant(folder, tmp_path / "mark")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertForSequenceClassification"]}))
    before = everything(tmp_path)
    with pytest.raises(OSError, match=r"^The (weights in|folder) '.*(model|tokenizer)\.save_pretrained\(folder\)\.$"):
        load(str(folder))
    assert everything(tmp_path) == before


def test_templates_named_like_paths_are_not_written(folder, tmp_path):
    """A tokenizer may bring chat templates, each of which transformers saves in a file of its name."""
    names = ["default", "../../../mark", str(tmp_path / "mark"), "tool_use"]
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": name, "template": "written"} for name in names]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    classifier = BertClassifier(str(folder), **QUICK).fit(TEXTS, Y)
    before = everything(tmp_path)
    classifier.save_pretrained(tmp_path / "saved")
    new = set(everything(tmp_path)) - set(before)
    assert all(path == "saved" or path.startswith("saved" + os.sep) for path in new)
    again = BertClassifier.from_pretrained(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict_proba(TEXTS), classifier.predict_proba(TEXTS))


def test_a_link_in_the_place_of_a_folder_to_write_or_of_a_draft_leads_nowhere_else(tiny_bert, tmp_path):
    """What a link points to is replaced as a whole; files that others link into the folder are not written through."""
    classifier = BertClassifier(tiny_bert, **QUICK).fit(TEXTS, Y)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    saved = tmp_path / "saved"
    classifier.save_pretrained(saved)
    (saved / "config.json").unlink()
    (saved / "config.json").symlink_to(precious)
    with pytest.raises(OSError, match="lies outside of the folder, which is never read"):
        BertClassifier.from_pretrained(saved)
    classifier.save_pretrained(saved)
    assert precious.read_text() == "mine"
    assert BertClassifier.from_pretrained(saved).predict(TEXTS).tolist() == classifier.predict(TEXTS).tolist()


def test_labels_of_any_kind_are_stored_and_come_back(tiny_bert, tmp_path):
    """Markup, line ends and even half a character in a label are data, on the card for people too."""
    labels = ["<script>alert(1)</script>", "---\nlicense: x", "`|`", "\ud800", "", "x" * 10_000]
    y = [*labels, *labels]
    classifier = BertClassifier(tiny_bert, **QUICK).fit(["good", "bad"] * 6, y)
    classifier.save_pretrained(tmp_path / "saved")
    assert BertClassifier.from_pretrained(tmp_path / "saved").classes_.tolist() == sorted(labels)
    card = (tmp_path / "saved" / "README.md").read_text(encoding="utf-8")
    assert card.count("\n---\n") == 1


def test_parameters_are_escaped_in_notebooks():
    page = BertClassifier("<script>alert(1)</script>", revision="<img src=x onerror=alert(1)>")._repr_html_()
    assert "alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "<img" not in page
