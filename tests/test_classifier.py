"""`BertClassifier`: every type of y through `fit` and the predict methods, class weights, `partial_fit`."""

import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.multioutput import MultiOutputClassifier
from sklearn.utils.multiclass import check_classification_targets

from sklearn_bert import BertClassifier
from tests.helpers import FAST, cases, exactly

ONE_EPOCH = FAST | {"max_epochs": 1}
TEXTS = ["good", "bad", "fine", "poor", "great", "dull"]
TWO = np.array([1, 0, 1, 0, 1, 0])
TAGS = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1]])


@pytest.fixture
def classifier(tiny_bert):
    return BertClassifier(tiny_bert, **ONE_EPOCH)


TWO_CLASSES = {
    "int64 array": (TWO, np.int64),
    "int8 array": (TWO.astype(np.int8), np.int8),
    "bool array": (TWO.astype(bool), np.bool_),
    "float64 array": (TWO.astype(np.float64), np.float64),
    "str array": (np.where(TWO, "yes", "no"), np.dtype("<U3")),
    "object array": (np.where(TWO, "yes", "no").astype(object), np.dtype(object)),
    "pandas str": (pd.Series(np.where(TWO, "yes", "no")), np.dtype(object)),
    "pandas category": (pd.Series(TWO, dtype="category"), np.int64),
    "pandas Int64": (pd.Series(TWO, dtype="Int64"), np.int64),
    "pandas boolean": (pd.Series(TWO.astype(bool), dtype="boolean"), np.bool_),
    "polars": (pl.Series(TWO), np.int64),
    "list of str": (["b", "a"] * 3, np.dtype("<U1")),
}


@pytest.mark.parametrize(("y", "dtype"), **cases(TWO_CLASSES))
def test_predict_returns_two_classes_in_the_dtype_of_y(classifier, y, dtype):
    classifier.fit(TEXTS, y)
    assert classifier.problem_type_ == "single_label_classification"
    assert classifier.classes_.dtype == classifier.predict(TEXTS).dtype == dtype
    assert list(classifier.classes_) == sorted(set(y))
    assert set(classifier.predict(TEXTS)) <= set(classifier.classes_)
    assert classifier.predict_proba(TEXTS).shape == (6, 2)
    assert classifier.decision_function(TEXTS).shape == (6,)


def test_three_classes_have_one_probability_and_one_score_each(classifier):
    classifier.fit(TEXTS, ["c", "a", "b"] * 2)
    probabilities, scores = classifier.predict_proba(TEXTS), classifier.decision_function(TEXTS)
    assert probabilities.shape == scores.shape == (6, 3)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(classifier.predict(TEXTS), classifier.classes_[probabilities.argmax(axis=1)])
    np.testing.assert_array_equal(probabilities.argmax(axis=1), scores.argmax(axis=1))


def test_decision_function_of_two_classes_is_the_log_odds_of_the_second(classifier):
    classifier.fit(TEXTS, TWO)
    p = classifier.predict_proba(TEXTS)[:, 1]
    np.testing.assert_allclose(classifier.decision_function(TEXTS), np.log(p / (1 - p)), rtol=1e-6)


def test_fit_warns_where_scikit_learn_would_that_the_classes_could_be_numbers(classifier):
    message = (
        "The number of unique classes is greater than 50% of the number of samples. If y holds numbers rather than "
        "classes, use BertRegressor."
    )
    texts = TEXTS * 5
    for n_classes in range(14, 18):
        y = np.arange(30) % n_classes * 10
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_classification_targets(y)
        expected = [str(warning.message)[:40] for warning in caught]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            classifier.fit(texts, y)
        assert [str(warning.message)[:40] for warning in caught] == expected
        assert len(expected) == (n_classes > 15)
        assert all(str(warning.message) == message and warning.filename == __file__ for warning in caught)


def test_fit_ravels_a_column_vector_y_with_a_warning(classifier):
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        classifier.fit(TEXTS, TWO.reshape(-1, 1))
    assert classifier.predict(TEXTS).shape == (6,)


@pytest.mark.parametrize(
    "y",
    [
        TAGS,
        TAGS.astype(float),
        TAGS.astype(bool),
        TAGS.tolist(),
        pd.DataFrame(TAGS, columns=["x", "y", "z"]),
        sp.csr_matrix(TAGS),
        sp.coo_array(TAGS),
        pl.DataFrame(TAGS, schema=["x", "y", "z"]),
        pd.Series(TAGS.tolist()),
        pa.chunked_array([TAGS.tolist()]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_fit_treats_a_2d_y_of_zeros_and_ones_as_multi_label(classifier, y):
    classifier.fit(TEXTS, y)
    assert classifier.problem_type_ == "multi_label_classification"
    np.testing.assert_array_equal(classifier.classes_, [0, 1, 2])
    labels, probabilities = classifier.predict(TEXTS), classifier.predict_proba(TEXTS)
    assert (labels.shape, labels.dtype) == ((6, 3), np.int64)
    assert probabilities.dtype == np.float64
    assert np.all((probabilities > 0) & (probabilities < 1))
    np.testing.assert_array_equal(labels, probabilities > 0.5)
    np.testing.assert_array_equal(labels, classifier.decision_function(TEXTS) > 0)


@pytest.mark.parametrize("table", [pd.DataFrame, pl.DataFrame, pa.table])
def test_fit_sets_label_names_for_a_table_y_and_removes_them_for_an_array(classifier, table):
    classifier.fit(TEXTS, table(dict(zip(["late", "angry", "paid"], TAGS.T, strict=True))))
    assert classifier.label_names_.tolist() == ["late", "angry", "paid"]
    classifier.fit(TEXTS, TAGS)
    assert not hasattr(classifier, "label_names_")


def test_multi_output_classifier_takes_several_columns_of_classes_as_the_error_says(classifier):
    y = np.column_stack([np.where(TWO, "yes", "no"), np.where(TAGS[:, 0], "late", "paid")])
    with pytest.raises(ValueError, match=re.escape("use sklearn.multioutput.MultiOutputClassifier;")):
        classifier.fit(TEXTS, y)
    predicted = MultiOutputClassifier(classifier).fit(TEXTS, y).predict(TEXTS)
    assert [set(column) <= set(classes) for column, classes in zip(predicted.T, y.T, strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"] * 6, "BertClassifier needs at least two classes, but y holds 1 class: 'a'."),
        (np.where(TAGS, 1, -1), "Pass np.asarray(y) == 1."),
        (TAGS + np.eye(6, 3, dtype=int), "MultiOutputClassifier"),
        (TAGS.astype(str), "MultiOutputClassifier"),
        (np.linspace(0, 1, 6), "Unknown label type: continuous"),
        (TAGS / 3, "Unknown label type: continuous-multioutput"),
        ([{1, 2}, {2}, {1}, {3}, {1}, {2}], "MultiLabelBinarizer"),
        ([("a", "b"), ("a",), ("b",), ("a",), ("b",), ("a",)], "MultiLabelBinarizer"),
        (TWO.astype(object), "np.asarray(y).astype(int)"),
        ([0, 1, None, 0, 1, 1], "Input y contains NaN"),
        ([0.0, 1.0, np.nan, 0.0, 1.0, 1.0], "Input y contains NaN"),
        (pd.Series([0, 1, pd.NA, 0, 1, 1], dtype="Int64"), "Input y contains NaN"),
        (["a", None, "b", "a", "b", "a"], "Input y contains NaN"),
        (None, "requires y to be passed, but the target y is None"),
    ],
)
def test_fit_raises_for_an_unsupported_y_and_names_the_remedy(classifier, y, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        classifier.fit(TEXTS, y)


def test_fit_does_not_warn_about_many_classes_in_few_rows(classifier):
    assert classifier.fit(TEXTS, [3, 1, 4, 1, 5, 9]).predict_proba(TEXTS).shape == (6, 5)


def test_label_names_of_a_multiindex_are_tuples(classifier):
    y = pd.DataFrame(TAGS[:, :2], columns=pd.MultiIndex.from_tuples([("mood", "late"), ("mood", "angry")]))
    classifier.set_params(warm_start=True).fit(TEXTS, y).fit(TEXTS, y)
    assert list(classifier.label_names_) == [("mood", "late"), ("mood", "angry")]


def test_label_columns_in_another_order_raise_in_validation_and_partial_fit(classifier):
    named = pd.DataFrame(TAGS, columns=["late", "angry", "paid"])
    swapped = named[["angry", "late", "paid"]]
    message = (
        "{} has the columns ['angry', 'late', 'paid'], expected ['late', 'angry', 'paid'] as in {}. Pass the same "
        "columns in the same order."
    )
    with pytest.raises(ValueError, match=re.escape(message.format("y_val", "y"))):
        classifier.fit(TEXTS, named, X_val=TEXTS, y_val=swapped)
    classifier.partial_fit(TEXTS, named)
    with pytest.raises(ValueError, match=exactly(message.format("y", "the first call"))):
        classifier.partial_fit(TEXTS, swapped)
    with pytest.raises(ValueError, match=exactly(message.format("y", "the earlier fit"))):
        classifier.set_params(warm_start=True).fit(TEXTS, swapped)
    classifier.partial_fit(TEXTS, TAGS)


@pytest.mark.parametrize(("class_weight", "expected"), [({1: 2}, [2, 1]), ({0: 5, 1: 2}, [5, 2])], ids=str)
def test_class_weight_keys_are_label_names_if_all_match_else_positions(classifier, class_weight, expected):
    y = pd.DataFrame(TAGS[:, :2], columns=[1, 2])
    classifier.set_params(class_weight=class_weight).fit(TEXTS, y)
    assert classifier._target.loss_params["pos_weight"].tolist() == expected


def test_set_params_threshold_applies_to_a_fitted_classifier(classifier):
    classifier.fit(TEXTS, TAGS)
    assert classifier.set_params(threshold=1.0).predict(TEXTS).sum() == 0
    assert classifier.set_params(threshold=[1.0, 0.0, 1.0]).predict(TEXTS).sum(axis=0).tolist() == [0, 6, 0]


def test_threshold_may_be_a_dict_by_label_name_or_position(classifier):
    named = pd.DataFrame(TAGS, columns=["late", "angry", "paid"])
    classifier.set_params(threshold={"angry": 0.0, "paid": 1.0}).fit(TEXTS, named)
    expected = classifier.predict_proba(TEXTS) > [0.5, 0.0, 1.0]
    np.testing.assert_array_equal(classifier.predict(TEXTS), expected)
    np.testing.assert_array_equal(classifier.set_params(threshold={1: 0.0, 2: 1.0}).predict(TEXTS), expected)
    classifier.fit(TEXTS, TAGS)
    assert classifier.predict(TEXTS)[:, 1:].sum(axis=0).tolist() == [6, 0]
    with pytest.raises(ValueError, match=r"^threshold names \['angry'\], which are none of the 3 labels"):
        classifier.set_params(threshold={"angry": 0.3}).predict(TEXTS)
    with pytest.raises(ValueError, match=r"^Got threshold=\{0: 0.3\}, which applies to several labels per row"):
        classifier.set_params(threshold={0: 0.3}).fit(TEXTS, TWO)


def test_predict_log_proba_is_the_logarithm_of_predict_proba(classifier):
    for y in (TWO, TAGS):
        classifier.fit(TEXTS, y)
        np.testing.assert_allclose(classifier.predict_log_proba(TEXTS), np.log(classifier.predict_proba(TEXTS)))


def test_class_weight_multiplies_sample_weight(classifier):
    y = np.array([1, 0, 0, 0, 0, 0])
    classifier.set_params(class_weight={1: 5.0}, precision="float64").fit(TEXTS, y)
    weighted = classifier.predict_proba(TEXTS)
    classifier.set_params(class_weight="balanced").fit(TEXTS, y)
    balanced = classifier.predict_proba(TEXTS)
    classifier.set_params(class_weight=None).fit(TEXTS, y, sample_weight=[5, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(weighted, classifier.predict_proba(TEXTS), atol=1e-12)
    np.testing.assert_allclose(balanced, weighted, atol=1e-12)


@pytest.mark.parametrize("class_weight", [{0: -1.0}, {0: 0, 1: 0}], ids=str)
def test_fit_raises_for_negative_and_for_all_zero_class_weight(classifier, class_weight):
    with pytest.raises(ValueError, match=re.escape(f"Got class_weight={class_weight!r}, expected finite non-negative")):
        classifier.set_params(class_weight=class_weight).fit(TEXTS, TWO)


def test_classes_before_fit_raises_not_fitted_error(classifier):
    assert not hasattr(classifier, "classes_")
    with pytest.raises(NotFittedError, match="This BertClassifier instance is not fitted yet"):
        classifier.classes_  # noqa: B018 - the access is the subject


def test_balanced_class_weight_gives_rare_and_common_classes_equal_probability(tiny_bert):
    texts, y = ["movie"] * 50, [0] * 40 + [1] * 10
    settings = ONE_EPOCH | {"max_epochs": 20, "learning_rate": 3e-3}
    plain = BertClassifier(tiny_bert, **settings).fit(texts, y)
    balanced = BertClassifier(tiny_bert, class_weight="balanced", **settings).fit(texts, y)
    assert plain.predict_proba(["movie"])[0, 1] == pytest.approx(0.2, abs=0.07)
    assert balanced.predict_proba(["movie"])[0, 1] == pytest.approx(0.5, abs=0.07)


def test_multi_label_fit_learns_each_label(tiny_bert, reviews):
    texts, labels = reviews
    y = np.column_stack([[label == "good" for label in labels], ["!" in text for text in texts]]).astype(int)
    classifier = BertClassifier(tiny_bert, **ONE_EPOCH | {"max_epochs": 20, "pooling": "mean"}).fit(texts, y)
    assert (classifier.predict(texts) == y).mean() > 0.95


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean"])
@pytest.mark.parametrize("sizes", [(), (8,)], ids=["linear", "mlp"])
def test_fit_learns_with_every_pooling_and_head(tiny_bert, reviews, pooling, sizes):
    settings = ONE_EPOCH | {"max_epochs": 12, "pooling": pooling, "hidden_layer_sizes": sizes}
    classifier = BertClassifier(tiny_bert, **settings).fit(*reviews)
    assert classifier.score(*reviews) > 0.9
    assert classifier.module_.classifier.in_features == (sizes or (16,))[-1]


def test_dropout_parameters_apply_to_every_layer(tiny_bert):
    classifier = BertClassifier(tiny_bert, dropout=0.25, attention_dropout=0.125, **ONE_EPOCH).fit(TEXTS, TWO)
    probabilities = {
        name: layer.p for name, layer in classifier.module_.named_modules() if isinstance(layer, torch.nn.Dropout)
    }
    assert {p for name, p in probabilities.items() if "attention.self" in name} == {0.125}
    assert {p for name, p in probabilities.items() if "attention.self" not in name} == {0.25}


def test_label_smoothing_lowers_the_predicted_confidence(tiny_bert, reviews):
    settings = {**ONE_EPOCH, "max_epochs": 10}
    plain = BertClassifier(tiny_bert, **settings).fit(*reviews).predict_proba(reviews[0]).max(axis=1)
    smooth = BertClassifier(tiny_bert, label_smoothing=0.4, **settings).fit(*reviews).predict_proba(reviews[0])
    assert plain.mean() > 0.9
    assert smooth.max(axis=1).mean() < 0.85


@pytest.mark.parametrize("head_init", ["linear_probe", "random"])
@pytest.mark.parametrize("class_weight", ["balanced", {"rare": 15.0}, {1: 15.0}], ids=str)
def test_class_weight_sets_the_predicted_probability_of_each_label(tiny_bert, head_init, class_weight):
    """Of 48 equal texts, 24 are "usual" and 3 are "rare"; the weight 15 makes these 3 as heavy as the other 45."""
    texts = ["it was good"] * 48
    y = pd.DataFrame({"usual": np.arange(48) % 2, "rare": [int(i in (3, 17, 40)) for i in range(48)]})
    settings = {**ONE_EPOCH, "batch_size": 48, "max_epochs": 30, "head_init": head_init, "dropout": 0.0}
    plain = BertClassifier(tiny_bert, **settings).fit(texts, y).predict_proba(texts[:1])
    weighted = BertClassifier(tiny_bert, class_weight=class_weight, **settings).fit(texts, y).predict_proba(texts[:1])
    np.testing.assert_allclose(plain, [[0.5, 3 / 48]], atol=0.05)
    np.testing.assert_allclose(weighted, [[0.5, 0.5]], atol=0.1)


def test_threshold_changes_predict_but_not_predict_proba(tiny_bert, reviews):
    y = np.column_stack([np.arange(48) % 2, np.arange(48) % 3 == 0]).astype(int)
    plain = BertClassifier(tiny_bert, **ONE_EPOCH).fit(reviews[0], y)
    tuned = BertClassifier(tiny_bert, threshold=[0.0, 1.0], **ONE_EPOCH).fit(reviews[0], y)
    np.testing.assert_array_equal(tuned.predict_proba(reviews[0]), plain.predict_proba(reviews[0]))
    assert tuned.predict(reviews[0]).tolist() == [[1, 0]] * 48


# -- warm starts and chunks ----------------------------------------------------------------------------


def test_partial_fit_learns_from_chunks(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, **ONE_EPOCH)
    texts, y = reviews
    for _ in range(8):
        for start in (0, 16, 32):
            classifier.partial_fit(texts[start : start + 16], y[start : start + 16], classes=["bad", "good", "so-so"])
    assert classifier.classes_.tolist() == ["bad", "good", "so-so"]
    assert classifier.score(texts, y) > 0.9
    assert classifier.predict_proba(texts)[:, 2].max() < 0.2
    assert classifier.n_iter_ == len(classifier.loss_curve_) == 24


def test_partial_fit_accepts_one_class_in_the_first_chunk_if_classes_are_given(tiny_bert, reviews):
    texts, y = reviews
    classifier = BertClassifier(tiny_bert, **ONE_EPOCH).partial_fit(texts[:1], y[:1], classes=["bad", "good"])
    assert classifier.predict(texts[:1]).tolist() == y[:1]


def test_partial_fit_raises_for_one_class_without_classes(tiny_bert, reviews):
    with pytest.raises(ValueError, match="needs at least two classes, but y holds 1 class: 'good'"):
        BertClassifier(tiny_bert, **ONE_EPOCH).partial_fit(reviews[0][:1], reviews[1][:1])


def test_partial_fit_raises_for_a_new_label_and_keeps_the_model(tiny_bert, reviews):
    texts, y = reviews
    classifier = BertClassifier(tiny_bert, **ONE_EPOCH).partial_fit(texts, y)
    before = classifier.predict_proba(texts)
    with pytest.raises(
        ValueError, match=r"y holds labels that are not among the classes: \['new'\]\. Expected some of"
    ):
        classifier.partial_fit(texts[:2], ["good", "new"])
    np.testing.assert_array_equal(classifier.predict_proba(texts), before)


def test_partial_fit_raises_for_balanced_class_weight_and_for_early_stopping(tiny_bert, reviews):
    with pytest.raises(
        ValueError, match=r"class_weight='balanced' needs all rows, and partial_fit sees some at a time\."
    ):
        BertClassifier(tiny_bert, class_weight="balanced", **ONE_EPOCH).partial_fit(*reviews)
    with pytest.raises(ValueError, match=r"partial_fit does not support early_stopping=True"):
        BertClassifier(tiny_bert, early_stopping=True, **ONE_EPOCH).partial_fit(*reviews)


def test_warm_start_raises_for_another_problem_type(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, warm_start=True, **ONE_EPOCH).fit(*reviews)
    message = (
        "y is of problem type 'multi_label_classification', but BertClassifier was fitted on "
        "'single_label_classification'. Pass y of the same kind, or fit anew with warm_start=False."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        classifier.fit(reviews[0], np.column_stack([np.arange(48) % 2] * 2))
