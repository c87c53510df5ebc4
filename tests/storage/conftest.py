"""A fitted classifier for the tests of storage."""

import pytest

from sklearn_bert import BertClassifier
from tests.storage.helpers import ONE_EPOCH


@pytest.fixture(scope="module")
def classifier(tiny_bert, reviews):
    """A small fitted classifier, shared by the tests of a module because none of them changes it."""
    return BertClassifier(tiny_bert, **ONE_EPOCH).fit(*reviews)
