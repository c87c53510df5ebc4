"""What pyright and mypy see of the package, as its users run them: in the pages, the examples and by public names.

scikit-learn, skorch and pandas have no annotations. In pages and examples their types are unknown: what pyright
guesses from their source is often wrong, such as an array for each part of a split DataFrame.
"""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import sklearn_bert

pytestmark = pytest.mark.slow
pytest.importorskip("mypy", reason="the extra dev is not installed")
pytest.importorskip("pyright", reason="the extra dev is not installed")

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
CLASSES = {name: vars(sklearn_bert)[name] for name in sklearn_bert.__all__ if name.startswith(("B", "T"))}
SETUP = f"""import numpy as np
from sklearn_bert import {", ".join(CLASSES)}

X, y, matrix, numbers = ["bad", "good"], ["a", "b"], np.eye(2), [0.5, 1.5]
pairs = [("a", "b"), ("c", "d")]
clf, reg, vectorizer = BertClassifier("folder"), BertRegressor("folder"), BertVectorizer("folder")
tuned = TunedThresholdsClassifierCV(clf)
encoder = TextTargetEncoder("folder")
"""
RESULTS = {  # of an expression, the type of its value
    "clf.fit(X, y)": "BertClassifier",
    "clf.fit(pairs, matrix, sample_weight=[1, 2], X_val=np.array(X), y_val=y)": "BertClassifier",
    "clf.partial_fit(X, y, classes=y)": "BertClassifier",
    "clf.fit(X, y).predict(X)": "ndarray",
    "clf.predict_proba(pairs)": "ndarray",
    "clf.decision_function(X)": "ndarray",
    "clf.score(X, y)": "float",
    "clf.explain(X)": "list[TokenAttribution]",
    "clf.explain(X)[0].words": "tuple[str, ...]",
    "clf.truncation_.n_truncated": "int",
    'BertClassifier.from_pretrained("folder", device="cpu")': "BertClassifier",
    'clf.save_pretrained("folder")': "None",
    'clf.export_onnx("model.onnx")': "None",
    "clf.net_.predict_proba(clf.to_dataset(X))": "ndarray",
    "reg.fit(X, numbers)": "BertRegressor",
    "reg.fit(X, numbers).partial_fit(X, numbers).predict(X)": "ndarray",
    "reg.score(X, numbers)": "float",
    'BertRegressor.from_pretrained("folder")': "BertRegressor",
    "vectorizer.fit(X)": "BertVectorizer",
    "vectorizer.fit(X).transform(X)": "ndarray",
    "vectorizer.fit_transform(X)": "ndarray",
    "encoder.fit(X, y)": "TextTargetEncoder",
    "encoder.fit_transform(X, numbers, groups=y)": "ndarray",
    "encoder.transform(X)": "ndarray",
    "tuned.fit(X, matrix)": "TunedThresholdsClassifierCV",
    "tuned.fit(X, matrix).predict(X)": "ndarray",
    "tuned.decision_function(X)": "ndarray",
    "tuned.score(X, matrix)": "float",
    "TokenAttributionDisplay.from_estimator(clf, X)": "TokenAttributionDisplay",
    "TokenAttributionDisplay(clf.explain(X)).plot(row=1)": "TokenAttributionDisplay",
    "TrainingCurveDisplay.from_estimator(clf)": "TrainingCurveDisplay",
}
MISTAKES = [  # each an error
    "clf.fit(X)",
    "clf.fit(X, y, sample_wieght=[1, 2])",
    "clf.predict()",
    "BertClassifier(max_epoch=3)",
    'BertClassifier(max_epochs="3")',
    'BertClassifier(head_init="probe")',
    "BertRegressor(class_weight=None)",
    'BertVectorizer(long_text="window")',
    'TextTargetEncoder(response="proba")',
    'clf.save_pretrained("folder", overwrite=True)',
]


class Finding(NamedTuple):
    """What a checker reports about a line: an error, or the type that `reveal_type` asks for."""

    file: str
    line: int
    is_error: bool
    message: str


def run_pyright(folder, _):
    findings = []
    for project in sorted(folder.iterdir()):
        settings = {"typeCheckingMode": "basic", "useLibraryCodeForTypes": project.name == "names"}
        settings["reportMissingImports"] = False  # as for mypy; a page may need an extra that is not installed
        (project / "pyrightconfig.json").write_text(json.dumps(settings))
        command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "-p", project]
        report = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
        for found in report["generalDiagnostics"]:
            line, is_error = found["range"]["start"]["line"] + 1, found["severity"] == "error"
            findings.append(Finding(Path(found["file"]).name, line, is_error, found["message"]))
    return findings


def run_mypy(folder, cache):
    options = ["--ignore-missing-imports", "--config-file=", f"--cache-dir={cache}", "--output=json"]
    command = [sys.executable, "-m", "mypy", *options, *sorted(folder.rglob("*.py"))]
    lines = subprocess.run(command, capture_output=True, text=True, cwd=folder).stdout.splitlines()
    reported = [json.loads(line) for line in lines if line.startswith("{")]
    return [Finding(Path(r["file"]).name, r["line"], r["severity"] == "error", r["message"]) for r in reported]


CHECKERS = {"pyright": run_pyright, "mypy": run_mypy}


def blocks_in_place(page):
    """The Python blocks of a page as one program, each line where it is on the page."""
    inside, lines = False, []
    for line in page.read_text().splitlines():
        inside = inside and not line.startswith("```")
        lines.append(line if inside else "")
        inside = inside or line == "```python"
    return "\n".join(lines) + "\n"


def documented_attributes(cls):
    section = re.search(r"\n    Attributes\n    -+\n(.*?)(\n    [A-Z][\w ]+\n    -+\n|$)", cls.__doc__, re.DOTALL)
    return re.findall(r"^    (\w+) : ", section[1], re.MULTILINE) if section else []


def public_methods(cls):
    """Names of the methods that the package itself defines."""
    routines = {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_")}
    own = {name for name, value in routines.items() if getattr(value, "__module__", "").startswith("sklearn_bert")}
    return sorted(name for name in own if inspect.isroutine(routines[name]))


def programs():
    """Text of each program by its path: those of the documentation, and those made of the public names."""
    arguments = ", ".join(f"a_{name}: {name}" for name in CLASSES)
    attributes = [f"reveal_type(a_{attribute})" for attribute in ATTRIBUTES]
    return {
        **{f"pages/{page.stem}_md.py": blocks_in_place(page) for page in PAGES},
        **{f"pages/{example.name}": example.read_text() for example in EXAMPLES},
        "names/results.py": SETUP + "\n".join(f"reveal_type({expression})" for expression in RESULTS),
        "names/mistakes.py": SETUP + "\n".join(MISTAKES),
        "names/methods.py": SETUP + "\n".join(f"reveal_type({method})" for method in METHODS),
        "names/attributes.py": f"{SETUP}def see({arguments}):\n    " + "\n    ".join(attributes),
    }


ATTRIBUTES = [f"{name}.{attribute}" for name, cls in CLASSES.items() for attribute in documented_attributes(cls)]
METHODS = [
    f"{name}.{method}"
    for name, cls in CLASSES.items()
    if name != "BertNet"  # its methods are overrides of skorch's, which have no types
    for method in public_methods(cls)
]
FIRST_LINE = len(SETUP.splitlines()) + 1


@pytest.fixture(scope="module", params=CHECKERS)
def findings(request, tmp_path_factory, worker_id):
    """What a checker finds in all programs; parallel test processes would lock each other out of one cache."""
    folder = tmp_path_factory.mktemp("programs")
    for path, program in programs().items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(program + "\n")
    return CHECKERS[request.param](folder, request.config.cache.mkdir(f"mypy-{worker_id}"))


def revealed(findings, file):
    """The types that a program reveals, in its order, without the names of modules and without dtypes."""
    types = [re.sub(r'.* is "(.*)"$', r"\1", found.message) for found in findings if found.file == file]
    return [re.sub(r"ndarray\[.*\]", "ndarray", re.sub(r"\b(\w+\.)+(?=\w)", "", text)) for text in types]


def test_pages_and_examples_have_no_type_error(findings):
    files = {Path(path).name for path in programs() if path.startswith("pages/")}
    errors = [found for found in findings if found.is_error and found.file in files]
    assert [f"{found.file}:{found.line} {found.message}" for found in errors] == []


def test_methods_return_the_types_that_their_documentation_says(findings):
    assert dict(zip(RESULTS, revealed(findings, "results.py"), strict=True)) == RESULTS


def test_methods_show_their_own_parameters(findings):
    for method, text in zip(METHODS, revealed(findings, "methods.py"), strict=True):
        name, method_name = method.split(".")
        parameters = list(inspect.signature(getattr(CLASSES[name], method_name)).parameters)
        assert [word for word in re.findall(r"(\w+):", text) if word in parameters] == parameters, method
        assert "Unknown" not in text, method


def test_documented_attributes_have_types(findings):
    types = dict(zip(ATTRIBUTES, revealed(findings, "attributes.py"), strict=True))
    assert len(types) > 50
    without = {attribute for attribute, text in types.items() if text in ("Any", "Unknown")}
    assert without <= {"TunedThresholdsClassifierCV.estimator_", "BertNet.history"}  # any classifier; skorch's class


def test_mistakes_are_found(findings):
    lines = {found.line for found in findings if found.file == "mistakes.py" and found.is_error}
    assert [mistake for i, mistake in enumerate(MISTAKES, FIRST_LINE) if i not in lines] == []
