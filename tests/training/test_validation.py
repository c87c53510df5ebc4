"""Held-out rows as what an epoch is judged by."""

import numpy as np
import pytest
import torch

from sklearn_bert._data.rows import Rows
from sklearn_bert._data.targets import RegressionTarget, SingleLabelTarget
from sklearn_bert._encoding.text_encoder import TextEncoder
from sklearn_bert._training.validation import make_validation
from tests.conftest import WORDS, make_tokenizer
from tests.helpers import exactly


@pytest.fixture
def text_encoder():
    return TextEncoder(make_tokenizer(WORDS), 16, "head_tail", None, bi_encoder=False)


def test_validation_holds_encoded_targets_and_weights_and_no_targets_in_its_dataset(text_encoder):
    y, weights = np.array(["b", "a", "b"]), np.array([1.0, 2.0, 1.0])
    target = SingleLabelTarget(y, weights)
    validation = make_validation(Rows((["good", "bad", "the soup"],), y, weights, type(target)), target, text_encoder)
    assert len(validation.dataset) == 3
    assert validation.dataset.targets == {}
    assert validation.targets["y"].tolist() == [1, 0, 1]
    torch.testing.assert_close(validation.targets["w"], torch.tensor([0.75, 1.5, 0.75], dtype=torch.float64))


def test_validation_score_is_the_targets_with_the_weights_of_the_rows(text_encoder):
    y, weights = np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 2.0])
    target = RegressionTarget(y, weights)
    validation = make_validation(Rows((["good", "bad", "soup"],), y, weights, type(target)), target, text_encoder)
    logits = target.encode(np.array([1.0, 2.0, 3.0]))
    assert validation.score(logits) == pytest.approx(target.score(logits, y, weights))


def test_validation_on_one_row_raises(text_encoder):
    y = np.array([1.0])
    target = RegressionTarget(y, np.ones(1))
    message = "Validation needs at least two rows, but has 1. Pass more rows, or raise validation_fraction."
    with pytest.raises(ValueError, match=exactly(message)):
        make_validation(Rows((["good"],), y, np.ones(1), type(target)), target, text_encoder)
