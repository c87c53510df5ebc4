import importlib.metadata

import pytest

import sklearn_bert
from sklearn_bert._storage.versions import FORMAT, check_format, versions
from tests.helpers import exactly


def test_versions_returns_the_installed_versions():
    found = versions()
    assert found["sklearn_bert"] == sklearn_bert.__version__
    assert found["torch"] == importlib.metadata.version("torch")


def test_check_format_accepts_the_current_format():
    check_format(FORMAT, versions(), "The pickle")


@pytest.mark.parametrize(
    ("number", "made_by", "maker"), [(FORMAT + 1, {"sklearn_bert": "9.0"}, "9.0"), (None, None, "unknown")]
)
def test_check_format_of_another_format_is_an_error_that_names_the_version_that_wrote_it(number, made_by, maker):
    message = (
        f"The pickle has format {number} (written by sklearn_bert {maker}), this is sklearn_bert "
        f"{sklearn_bert.__version__}, which reads format {FORMAT}. Load it with the version that "
        "wrote it, or fit again."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        check_format(number, made_by, "The pickle")
