"""With a scikit-learn that has no callbacks, a training is the same, and only `set_callbacks` is missing."""

import runpy
import sys

import numpy as np
import pytest

from sklearn_bert import BertClassifier, _callback_support
from tests.helpers import FAST


@pytest.fixture
def mixin_without_callbacks(monkeypatch):
    """`CallbackSupportMixin` as it is with a scikit-learn before 1.9."""
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    return runpy.run_path(_callback_support.__file__)["CallbackSupportMixin"]


def test_without_callbacks_of_scikit_learn_a_training_is_the_same(mixin_without_callbacks, tiny_bert, reviews):
    class Plain(mixin_without_callbacks, BertClassifier):
        """A classifier that calls none."""

    assert not hasattr(mixin_without_callbacks, "set_callbacks")
    plain, usual = (
        estimator(tiny_bert, **FAST).fit(*reviews).partial_fit(*reviews) for estimator in (Plain, BertClassifier)
    )
    assert plain.loss_curve_ == usual.loss_curve_
    np.testing.assert_array_equal(plain.predict_proba(reviews[0]), usual.predict_proba(reviews[0]))
