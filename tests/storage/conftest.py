"""A fitted classifier for the tests of storage."""

import pytest
import torch

from sklearn_bert import BertClassifier
from tests.storage.helpers import ONE_EPOCH


@pytest.fixture(scope="module")
def classifier(tiny_bert, reviews):
    """A small fitted classifier, shared by the tests of a module because none of them changes it."""
    torch.set_num_threads(1)
    return BertClassifier(tiny_bert, **ONE_EPOCH).fit(*reviews)
