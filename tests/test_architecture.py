"""The layout of the package: imports point downwards, and the two estimators have the same methods and sentences."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import sklearn_bert
from sklearn_bert import BertClassifier, BertRegressor

PACKAGE = Path(sklearn_bert.__file__).parent
TESTS = PACKAGE.parent / "tests"
MODULES = {path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
MAY_IMPORT = {  # the eight places of docs/architecture.md; the top may import all
    "_runtime": set(),
    "_data": set(),
    "_model": {"_runtime"},
    "_encoding": {"_data", "_runtime"},
    "_training": {"_encoding", "_model", "_data", "_runtime"},
    "_storage": {"_training", "_encoding", "_model", "_data", "_runtime"},
    "_inspection": {"_encoding", "_training", "_runtime"},
}
FOLDERS = sorted(MAY_IMPORT)


def imports(module):
    """Dotted names of all that a module imports, at any place of the file; inside the package: ``.folder.file``."""
    package = module.split("/")[:-1]
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            yield from (".".join(["", *base, *filter(None, [node.module]), alias.name]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(module):
    """Modules of the package that a module imports, as keys of MODULES."""
    for name in imports(module):
        assert not name.startswith("sklearn_bert"), f"{module} imports the package by its name"
        parts = name[1:].split(".") if name.startswith(".") else []
        yield from ({"/".join(parts), "/".join(parts[:-1])} & MODULES.keys())


def folder_of(module):
    return module.split("/")[0] if "/" in module else "top"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_what_its_place_allows(folder):
    inside = [module for module in MODULES if folder_of(module) == folder]
    found = {folder_of(other) for module in inside for other in imported_modules(module)} - {folder}
    assert len(inside) > 1
    assert found <= MAY_IMPORT[folder]


def test_no_module_imports_itself_through_others():
    graph = {module: set(imported_modules(module)) for module in MODULES}
    while leaves := {module for module, others in graph.items() if not others & graph.keys()}:
        graph = {module: others for module, others in graph.items() if module not in leaves}
    assert not graph


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("torch", {"top", "_runtime", "_encoding", "_model", "_training", "_storage", "_inspection"}),
        ("skorch", {"_training"}),
        ("huggingface_hub", {"_model", "_storage"}),
        ("sklearn", {"top", "_data", "_training", "_storage", "_inspection"}),
    ],
)
def test_only_some_folders_know_a_library(package, allowed):
    users = {folder_of(module) for module in MODULES for name in imports(module) if name.split(".")[0] == package}
    assert users <= allowed


def test_the_folders_are_those_of_the_architecture_page():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    rows = dict(re.findall(r"^\| `(_\w+)/` \|.*\| ([^|]*) \|$", page, flags=re.MULTILINE))
    assert {folder: set(re.findall(r"_\w+", others)) for folder, others in rows.items()} == MAY_IMPORT


@pytest.mark.parametrize("module", [module for module in MODULES if not module.endswith("__init__")])
def test_every_module_has_a_test_module_of_its_name(module):
    *folder, name = module.split("/")
    tests = TESTS.joinpath(*(part.lstrip("_") for part in folder))
    assert list(tests.glob(f"test_{name.lstrip('_')}*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short(module):
    """The public classes' docstrings are the manual, and do not count."""
    text = MODULES[module].read_text()
    manuals = [ast.get_docstring(node) for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    n_manual = sum(len(manual.splitlines()) for manual in manuals if manual and "\nParameters\n" in manual)
    assert len(text.splitlines()) - n_manual <= 320


def documented(estimator, section):
    """Entries of a numpydoc section: name to whole text."""
    text = re.search(rf"\n    {section}\n    -+\n(.*?)\n    [A-Z][\w ]+\n    -+\n", estimator.__doc__, re.DOTALL).group(
        1
    )
    return {entry.split(" :")[0]: entry for entry in re.split(r"\n    (?=\w+ : )", "\n" + text) if entry.strip()}


@pytest.mark.parametrize("section", ["Parameters", "Attributes"])
def test_what_both_estimators_document_they_document_in_the_same_words(section):
    first, second = documented(BertClassifier, section), documented(BertRegressor, section)
    shared = (first.keys() & second.keys()) - {"problem_type_"}  # the modes differ, and so do their names
    assert len(shared) >= 8
    assert {name: first[name] for name in shared} == {name: second[name] for name in shared}


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
def test_the_documented_parameters_are_the_constructors_in_its_order(estimator):
    assert list(documented(estimator, "Parameters")) == list(inspect.signature(estimator).parameters)
