"""A keyword of another library ends in a TypeError that names ours; signatures and metadata requests stay."""

import inspect
import pickle

import pytest
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._keyword_hints import _OUR_NAMES
from tests.helpers import exactly

OF_FIT = {
    "validation_data": "Pass X_val and y_val.",
    "eval_set": "Pass X_val and y_val.",
    "epochs": "Pass max_epochs to the constructor.",
    "batch_size": "Pass batch_size to the constructor.",
    "verbose": "Pass verbose to the constructor.",
    "validation_split": "Pass early_stopping and validation_fraction to the constructor.",
    "sample_weights": "Did you mean sample_weight? Pass it.",
    "warm_restart": "Did you mean warm_start? Pass it to the constructor.",
    "colour": "Expected some of X, y, sample_weight, X_val, y_val, sample_weight_val.",
}
OF_CONSTRUCTOR = {
    "epochs": "Pass max_epochs.",
    "lr": "Pass learning_rate.",
    "model_name": "Pass model.",
    "learnig_rate": "Did you mean learning_rate? Pass it.",
    "X_val": "Pass X_val to fit.",
    "eval_set": "Pass X_val and y_val to fit.",
}


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
@pytest.mark.parametrize("name", OF_FIT)
def test_fit_raises_for_a_keyword_of_another_library_and_names_ours(estimator, name):
    message = f"{estimator.__name__}.fit() got an unexpected keyword argument {name!r}. {OF_FIT[name]}"
    with pytest.raises(TypeError, match=exactly(message)):
        estimator().fit(["a", "b"], [0, 1], **{name: 1})


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
@pytest.mark.parametrize("name", OF_CONSTRUCTOR)
def test_constructor_raises_for_a_keyword_of_another_library_and_names_ours(estimator, name):
    message = f"{estimator.__name__}.__init__() got an unexpected keyword argument {name!r}. {OF_CONSTRUCTOR[name]}"
    with pytest.raises(TypeError, match=exactly(message)):
        estimator(**{name: 1})


def test_partial_fit_names_the_method_that_has_the_parameter():
    message = "BertClassifier.partial_fit() got an unexpected keyword argument 'X_val'. Pass X_val to fit."
    with pytest.raises(TypeError, match=exactly(message)):
        BertClassifier().partial_fit(["a", "b"], [0, 1], X_val=["a"])


def test_each_of_our_names_is_a_parameter():
    known = {*inspect.signature(BertClassifier).parameters, *inspect.signature(BertClassifier.fit).parameters}
    assert {name for ours in _OUR_NAMES.values() for name in ours.split(" and ")} <= known
    assert not known & _OUR_NAMES.keys()


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
def test_signatures_requests_copies_and_pickles_are_those_of_any_estimator(estimator):
    parameters = inspect.signature(estimator.fit).parameters
    assert list(parameters) == ["self", "X", "y", "sample_weight", "X_val", "y_val", "sample_weight_val"]
    assert inspect.signature(estimator).parameters["max_epochs"].default == 3
    assert has_fit_parameter(estimator(), "sample_weight")
    assert set(estimator().get_metadata_routing().fit.requests) == {*parameters} - {"self", "X", "y"}
    assert clone(estimator(max_epochs=2)).max_epochs == pickle.loads(pickle.dumps(estimator(max_epochs=2))).max_epochs
    assert estimator.fit.__doc__.startswith("Fine-tune")
