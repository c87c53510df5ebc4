"""What the estimators and the vectorizer share: tags, being fitted, names of columns, and failures without traces."""

import pandas as pd
import pytest
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sklearn_bert import BertClassifier, BertRegressor, BertVectorizer
from sklearn_bert._estimator import unchanged_by_failure

all_estimators = pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor, BertVectorizer])


@all_estimators
def test_tags_say_that_texts_are_taken(estimator):
    tags = get_tags(estimator()).input_tags
    assert (tags.two_d_array, tags.one_d_array, tags.string) == (False, True, True)


@all_estimators
def test_an_estimator_with_a_net_is_fitted(estimator):
    estimator = estimator()
    assert not estimator.__sklearn_is_fitted__()
    estimator.net_ = None
    check_is_fitted(estimator)


@all_estimators
def test_check_X_keeps_and_compares_the_names_of_columns(estimator):
    estimator, frame = estimator(), pd.DataFrame({"text": ["good", "bad"]})
    assert estimator._check_X(frame, reset=True) == (["good", "bad"],)
    assert estimator.feature_names_in_.tolist() == ["text"]
    assert estimator._check_X(frame["text"], reset=False) == (["good", "bad"],)
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        estimator._check_X(frame.rename(columns={"text": "other"}), reset=False)


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_failure_gives_the_attributes_back(error):
    estimator = BertClassifier("a", max_epochs=2)
    estimator.net_ = earlier = object()

    def fail():
        with unchanged_by_failure(estimator):
            estimator.net_ = estimator.new_ = "half-trained"
            raise error

    with pytest.raises(type(error)):
        fail()
    assert estimator.net_ is earlier
    assert not hasattr(estimator, "new_")
    assert estimator.max_epochs == 2
