import math

import pytest

from sklearn_bert._extras import import_extra
from tests.cases import exactly


def test_a_module_that_is_there_is_given():
    assert import_extra("math", "plot", "plot") is math


def test_a_missing_package_is_named_with_the_extra_that_installs_it():
    message = (
        "plot needs no_such_package, which cannot be imported (No module named 'no_such_package'). "
        "Install it with pip install 'sklearn-bert[explain]'."
    )
    with pytest.raises(ImportError, match=exactly(message)):
        import_extra("no_such_package.part", "explain", "plot")
