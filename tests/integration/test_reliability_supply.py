"""Loading reads numbers and text only and executes nothing; files are written only where the user asks for it.

Here the source code is checked, and malicious files are tested end to end. Single cases of damaged and malicious
folders are in `tests/model/` and `tests/storage/`.
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
SETTINGS = {"max_epochs": 1, "random_state": 0, "device": "cpu", "precision": "float32"}
TEXTS, Y = ["the movie was good", "bad", "good", "very bad"] * 2, [1, 0] * 4


# -- the source -------------------------------------------------------------------------------------------


def called(node):
    """The called function as written in the source, such as "os.replace"."""
    return ast.unparse(node.func)


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", TREES)
def test_modules_import_nothing_that_unpickles_runs_programs_or_opens_connections(module):
    forbidden = set(
        "pickle cPickle dill cloudpickle joblib marshal shelve subprocess runpy code codeop multiprocessing socket "
        "http urllib requests ftplib zipfile tarfile".split()
    )
    if module == "_runtime/distributed.py":  # checks whether this process is the child of another
        forbidden.remove("multiprocessing")
    assert not {name for name in imports(TREES[module]) if name.partition(".")[0] in forbidden}


def test_source_calls_nothing_that_executes_or_unpickles():
    forbidden = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.jit.load", "np.load"}
    assert not [(module, called(node)) for module, node in CALLS if called(node) in forbidden]
    loads = [node for _, node in CALLS if called(node) in ("torch.load", "load")]
    assert all({"weights_only": True}.items() <= constants(node).items() for node in loads)
    assert not [module for module, node in CALLS if constants(node).get("allow_pickle")]


def constants(node):
    return {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}


def test_from_pretrained_calls_load_weights_only_and_no_remote_code():
    """Classes named Auto... could load remote code, models could unpickle; tokenizers and our classes do neither."""
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


def test_dynamic_imports_have_literal_module_names():
    dynamic = [(module, node) for module, node in CALLS if called(node) in ("import_module", "importlib.import_module")]
    assert [module for module, _ in dynamic] == ["_runtime/optional_dependencies.py"]
    names = [node.args[0] for _, node in CALLS if called(node) == "import_extra"]
    assert names
    assert all(isinstance(name, ast.Constant) for name in names)


def test_few_modules_write_files_and_write_atomically_or_to_a_temporary_folder():
    writing = {"write_text", "write_bytes", "mkdir", "touch", "unlink", "rmtree", "save_file", "rename", "rmdir"}
    modules = {
        module
        for module, node in CALLS
        if called(node).rpartition(".")[2] in writing
        or called(node) in ("os.replace", "os.remove", "shutil.move", "shutil.copy", "shutil.copytree")
        or (called(node) == "open" and {"w", "a", "x", "+"} & set(str(getattr(node.args[1], "value", "w"))))
    }
    temporary = "_storage/pickling.py"  # of a tokenizer's files, which become part of the pickle
    draft = "_storage/onnx_file.py"  # it writes the draft that _storage/onnx.py has from atomic_file
    assert modules == {"_runtime/atomic_files.py", "_storage/folder.py", "_training/checkpointing.py", temporary, draft}
    assert {name for name, node in CALLS if called(node) == "save_program"} == {"_storage/onnx.py"}
    assert "TemporaryDirectory" in {called(node) for name, node in CALLS if name == temporary}
    for module in ("_storage/folder.py", "_training/checkpointing.py", "_storage/onnx.py"):
        assert {"atomic_file", "atomic_folder"} & {called(node) for name, node in CALLS if name == module}


# -- the offline checkpoint -------------------------------------------------------------------------------


def test_offline_checkpoint_is_the_one_of_the_published_figures(minilm):
    with open(Path(minilm) / "model.safetensors", "rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    assert checksum == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


# -- malicious files --------------------------------------------------------------------------------------


class CreatesFolder:
    """Unpickling creates the folder `mark`."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def folder(tiny_bert, tmp_path):
    """A copy of a checkpoint folder for malicious files; no file may be created outside of it."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "inside" / "bert"))


def files_and_times(path):
    return {str(found.relative_to(path)): found.stat().st_mtime_ns for found in path.rglob("*")}


def as_torch_file(folder, mark):
    torch.save({"pooler.dense.bias": CreatesFolder(mark)}, folder / "pytorch_model.bin")


def as_old_torch_file(folder, mark):
    torch.save({"a": CreatesFolder(mark)}, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def as_plain_pickle(folder, mark):
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(CreatesFolder(mark)))


def as_pickle_named_safetensors(folder, mark):
    (folder / "model.safetensors").write_bytes(pickle.dumps(CreatesFolder(mark)))


def as_zip_with_paths(folder, mark):
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as file:
        for name in (f"../../{mark.name}", str(mark), "archive/data.pkl"):
            file.writestr(name, pickle.dumps(CreatesFolder(mark)))


def as_shards_outside(folder, mark):
    """Valid weights, but the index names a file outside of the folder."""
    outside = folder.parent.parent / "outside.safetensors"
    shutil.copy(folder.parent.parent / "weights", outside)
    index = {"metadata": {}, "weight_map": dict.fromkeys(load_file(outside), f"../../{outside.name}")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def as_shards_without_names(folder, mark):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": 3, "b": None}}))


@pytest.mark.parametrize(
    "write_malicious",
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
def test_malicious_weights_raise_and_write_nothing(folder, tmp_path, write_malicious, load):
    (folder / "model.safetensors").rename(tmp_path / "weights")
    write_malicious(folder, tmp_path / "mark")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertForSequenceClassification"]}))
    before = files_and_times(tmp_path)
    with pytest.raises(OSError, match=r"^The (weights in|folder) '.*(model|tokenizer)\.save_pretrained\(folder\)\.$"):
        load(str(folder))
    assert files_and_times(tmp_path) == before


def test_chat_templates_named_like_paths_are_not_written(folder, tmp_path):
    """A tokenizer may have chat templates, and transformers saves each in a file of its name."""
    names = ["default", "../../../mark", str(tmp_path / "mark"), "tool_use"]
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": name, "template": "written"} for name in names]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    classifier = BertClassifier(str(folder), **SETTINGS).fit(TEXTS, Y)
    before = files_and_times(tmp_path)
    classifier.save_pretrained(tmp_path / "saved")
    new = set(files_and_times(tmp_path)) - set(before)
    assert all(path == "saved" or path.startswith("saved" + os.sep) for path in new)
    loaded = BertClassifier.from_pretrained(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), classifier.predict_proba(TEXTS))


def test_symbolic_links_in_a_saved_folder_are_neither_read_nor_written_through(tiny_bert, tmp_path):
    """Loading refuses a link to a file outside; saving replaces the link and keeps that file."""
    classifier = BertClassifier(tiny_bert, **SETTINGS).fit(TEXTS, Y)
    outside = tmp_path / "outside"
    outside.write_text("unchanged")
    saved = tmp_path / "saved"
    classifier.save_pretrained(saved)
    (saved / "config.json").unlink()
    (saved / "config.json").symlink_to(outside)
    with pytest.raises(OSError, match="lies outside of the folder, which is never read"):
        BertClassifier.from_pretrained(saved)
    classifier.save_pretrained(saved)
    assert outside.read_text() == "unchanged"
    assert BertClassifier.from_pretrained(saved).predict(TEXTS).tolist() == classifier.predict(TEXTS).tolist()


def test_save_and_load_keep_labels_of_any_characters(tiny_bert, tmp_path):
    """Markup, line ends and lone surrogates in labels are data, also on the model card."""
    labels = ["<script>alert(1)</script>", "---\nlicense: x", "`|`", "\ud800", "", "x" * 10_000]
    y = [*labels, *labels]
    classifier = BertClassifier(tiny_bert, **SETTINGS).fit(["good", "bad"] * 6, y)
    classifier.save_pretrained(tmp_path / "saved")
    assert BertClassifier.from_pretrained(tmp_path / "saved").classes_.tolist() == sorted(labels)
    card = (tmp_path / "saved" / "README.md").read_text(encoding="utf-8")
    assert card.count("\n---\n") == 1


def test_html_representation_escapes_parameters():
    page = BertClassifier("<script>alert(1)</script>", revision="<img src=x onerror=alert(1)>")._repr_html_()
    assert "alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "<img" not in page
