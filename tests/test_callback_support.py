"""With a scikit-learn that has no callbacks, a training is the same, and only `set_callbacks` is missing."""

import inspect
import runpy
import sys

import numpy as np
import pytest

from sklearn_bert import BertClassifier, TextTargetEncoder, _callback_support
from tests.helpers import FAST


@pytest.fixture
def without_callbacks(monkeypatch):
    """The names of `_callback_support` as they are with a scikit-learn before 1.9."""
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    return runpy.run_path(_callback_support.__file__)


def test_without_callbacks_of_scikit_learn_a_training_is_the_same(without_callbacks, tiny_bert, reviews):
    class Plain(without_callbacks["CallbackSupportMixin"], BertClassifier):
        """A classifier that calls none."""

    assert not hasattr(without_callbacks["CallbackSupportMixin"], "set_callbacks")
    plain, usual = (
        estimator(tiny_bert, **FAST).fit(*reviews).partial_fit(*reviews) for estimator in (Plain, BertClassifier)
    )
    assert plain.loss_curve_ == usual.loss_curve_
    np.testing.assert_array_equal(plain.predict_proba(reviews[0]), usual.predict_proba(reviews[0]))


def test_without_callbacks_of_scikit_learn_the_folds_of_a_target_encoder_are_the_same(
    without_callbacks, tiny_bert, reviews
):
    class Plain(without_callbacks["CallbackSupportMixin"], TextTargetEncoder):
        """An encoder that calls none."""

        _fit_all = without_callbacks["with_callbacks"](inspect.unwrap(TextTargetEncoder._fit_all))

    estimator = BertClassifier(tiny_bert, **FAST)
    plain, usual = (
        encoder(estimator=estimator, cv=2, random_state=0).fit_transform(*reviews)
        for encoder in (Plain, TextTargetEncoder)
    )
    np.testing.assert_array_equal(plain, usual)
