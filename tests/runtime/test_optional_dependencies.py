"""A missing optional dependency raises an error with the install command, and only where it is used."""

import math
import subprocess
import sys

import pytest

from sklearn_bert import BertClassifier, TokenAttributionDisplay, TrainingCurveDisplay
from sklearn_bert._runtime.optional_dependencies import import_extra
from tests.helpers import exactly


def test_import_extra_returns_an_installed_module():
    assert import_extra("math", "plot", "plot") is math


def test_import_extra_raises_for_a_missing_package_and_names_the_extra():
    message = (
        "plot needs no_such_package, which cannot be imported (No module named 'no_such_package'). "
        "Install it with pip install 'sklearn-bert[explain]'."
    )
    with pytest.raises(ImportError, match=exactly(message)):
        import_extra("no_such_package.part", "explain", "plot")


def test_importing_the_package_imports_no_optional_dependency():
    script = "import sys, sklearn_bert; print({'captum', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize(
    ("module", "extra", "caller", "call"),
    [
        ("captum.attr", "explain", "explain", lambda estimator: estimator.explain(["good"])),
        (
            "matplotlib.pyplot",
            "plot",
            "TrainingCurveDisplay.plot",
            lambda estimator: TrainingCurveDisplay.from_estimator(estimator),
        ),
        (
            "matplotlib.pyplot",
            "plot",
            "TokenAttributionDisplay.plot",
            lambda estimator: TokenAttributionDisplay([]).plot(),
        ),
    ],
    ids=["explain", "curve", "bars"],
)
def test_features_raise_without_their_optional_dependency(module, extra, caller, call, tiny_bert, reviews, monkeypatch):
    estimator = BertClassifier(tiny_bert, max_epochs=1, device="cpu").fit(*reviews)
    monkeypatch.setitem(sys.modules, module, None)
    message = (
        f"{caller} needs {module.split('.')[0]}, which cannot be imported (import of {module} halted; None in "
        f"sys.modules). Install it with pip install 'sklearn-bert[{extra}]'."
    )
    with pytest.raises(ImportError, match=exactly(message)):
        call(estimator)
