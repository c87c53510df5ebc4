"""The plan of the house, kept true: imports point downwards, and the two estimators speak alike."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import sklearn_bert
from sklearn_bert import BertClassifier, BertRegressor

PACKAGE = Path(sklearn_bert.__file__).parent
LAYERS = (
    {"_class_weight", "_digest", "_dropout", "_extras", "_missing"},
    {
        "_atomic",
        "_attribution_display",
        "_card",
        "_text",
        "_targets",
        "_tokenization",
        "_checkpoint",
        "_batching",
        "_module",
        "_optim",
        "_cpu",
        "_device",
        "_distributed",
        "_probe",
        "_progress",
        "_values",
        "_versions",
        "_vocabulary",
        "_layers",
        "_memory",
        "_thresholds",
        "_validation",
    },
    {
        "_curve_display",
        "_folder",
        "_huggingface",
        "_inference",
        "_onnx",
        "_parameters",
        "_reading",
        "_training_state",
        "_y",
    },
    {"_attribution", "_net", "_persistence", "_rows"},
    {"_base"},
    {"_classifier", "_regressor"},
    {"_vectorizer"},
    {"__init__"},
)
LAYER_OF = {room: i for i, layer in enumerate(LAYERS) for room in layer}
ROOMS = sorted(path.stem for path in PACKAGE.glob("*.py"))


def imported_rooms(room):
    """Rooms of the package that a room imports, by any form of import, at any place of the file."""
    tree = ast.parse((PACKAGE / f"{room}.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("sklearn_bert"):
            found |= {part for part in node.module.split(".")[1:2]} or {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("sklearn_bert.")}
    return found


def test_every_room_has_a_layer():
    assert sorted(LAYER_OF) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_the_layers_below(room):
    upward = {other for other in imported_rooms(room) if LAYER_OF[other] >= LAYER_OF[room]}
    assert not upward


def test_the_layers_are_those_of_the_architecture_page():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (\d+) \| `(\w+)\.py` \|", page, flags=re.MULTILINE)
    assert {room: int(layer) for layer, room in rows} == LAYER_OF


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "__init__"])
def test_every_room_has_a_test_module_of_its_name(room):
    assert (PACKAGE.parent / "tests" / f"test{room}.py").is_file()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_short(room):
    """The public classes' docstrings are the manual, and do not count."""
    text = (PACKAGE / f"{room}.py").read_text()
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
