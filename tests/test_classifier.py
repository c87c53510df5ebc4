"""The y table, row by row, through `fit` and the predict methods."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from sklearn.exceptions import DataConversionWarning, NotFittedError

from sklearn_bert import BertClassifier

QUICK = {"max_epochs": 1, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}
TEXTS = ["good", "bad", "fine", "poor", "great", "dull"]
TWO = np.array([1, 0, 1, 0, 1, 0])
TAGS = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1]])


@pytest.fixture
def classifier(tiny_bert):
    return BertClassifier(tiny_bert, **QUICK)


@pytest.mark.parametrize(
    ("y", "dtype"),
    [
        (TWO, np.int64),
        (TWO.astype(np.int8), np.int8),
        (TWO.astype(bool), np.bool_),
        (TWO.astype(np.float64), np.float64),
        (np.where(TWO, "yes", "no"), np.dtype("<U3")),
        (np.where(TWO, "yes", "no").astype(object), np.dtype(object)),
        (pd.Series(np.where(TWO, "yes", "no")), np.dtype(object)),
        (pd.Series(TWO, dtype="category"), np.int64),
        (pd.Series(TWO, dtype="Int64"), np.int64),
        (pd.Series(TWO.astype(bool), dtype="boolean"), np.bool_),
        (pl.Series(TWO), np.int64),
        (["b", "a"] * 3, np.dtype("<U1")),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
def test_two_classes_come_back_in_their_own_dtype(classifier, y, dtype):
    classifier.fit(TEXTS, y)
    assert classifier.problem_type_ == "single_label_classification"
    assert classifier.classes_.dtype == classifier.predict(TEXTS).dtype == dtype
    assert list(classifier.classes_) == sorted(set(y))
    assert set(classifier.predict(TEXTS)) <= set(classifier.classes_)
    assert classifier.predict_proba(TEXTS).shape == (6, 2)
    assert classifier.decision_function(TEXTS).shape == (6,)


def test_three_classes_have_a_score_each(classifier):
    classifier.fit(TEXTS, ["c", "a", "b"] * 2)
    probabilities, scores = classifier.predict_proba(TEXTS), classifier.decision_function(TEXTS)
    assert probabilities.shape == scores.shape == (6, 3)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(classifier.predict(TEXTS), classifier.classes_[probabilities.argmax(axis=1)])
    np.testing.assert_array_equal(probabilities.argmax(axis=1), scores.argmax(axis=1))


def test_the_margin_of_two_classes_is_the_log_odds_of_the_second(classifier):
    classifier.fit(TEXTS, TWO)
    p = classifier.predict_proba(TEXTS)[:, 1]
    np.testing.assert_allclose(classifier.decision_function(TEXTS), np.log(p / (1 - p)), rtol=1e-6)


def test_a_column_vector_is_ravelled_with_a_warning(classifier):
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
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_matrix_of_zeros_and_ones_is_multi_label(classifier, y):
    classifier.fit(TEXTS, y)
    assert classifier.problem_type_ == "multi_label_classification"
    np.testing.assert_array_equal(classifier.classes_, [0, 1, 2])
    labels, probabilities = classifier.predict(TEXTS), classifier.predict_proba(TEXTS)
    assert (labels.shape, labels.dtype) == ((6, 3), np.int64)
    assert probabilities.dtype == np.float64
    assert np.all((probabilities > 0) & (probabilities < 1))
    np.testing.assert_array_equal(labels, probabilities > 0.5)
    np.testing.assert_array_equal(labels, classifier.decision_function(TEXTS) > 0)


def test_columns_of_a_dataframe_become_label_names_until_the_next_fit(classifier):
    classifier.fit(TEXTS, pd.DataFrame(TAGS, columns=["late", "angry", "paid"]))
    assert classifier.label_names_.tolist() == ["late", "angry", "paid"]
    classifier.fit(TEXTS, TAGS)
    assert not hasattr(classifier, "label_names_")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"] * 6, "BertClassifier needs at least two classes, but y holds 1 class: 'a'."),
        (np.where(TAGS, 1, -1), "MultiLabelBinarizer"),
        (TAGS + np.eye(6, 3, dtype=int), "MultiOutputClassifier"),
        (TAGS.astype(str), "MultiOutputClassifier"),
        (np.linspace(0, 1, 6), "Unknown label type: continuous"),
        (TAGS / 3, "Unknown label type: continuous-multioutput"),
        ([{1, 2}, {2}, {1}, {3}, {1}, {2}], "MultiLabelBinarizer"),
        ([("a", "b"), ("a",), ("b",), ("a",), ("b",), ("a",)], "MultiLabelBinarizer"),
        (TWO.astype(object), "y.astype(int)"),
        ([0, 1, None, 0, 1, 1], "Input y contains NaN"),
        ([0.0, 1.0, np.nan, 0.0, 1.0, 1.0], "Input y contains NaN"),
        (pd.Series([0, 1, pd.NA, 0, 1, 1], dtype="Int64"), "Input y contains NaN"),
        (["a", None, "b", "a", "b", "a"], "Input y contains NaN"),
        (None, "requires y to be passed, but the target y is None"),
    ],
)
def test_a_y_of_no_mode_is_an_error_that_names_the_cure(classifier, y, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        classifier.fit(TEXTS, y)


def test_many_classes_among_few_rows_pass_without_a_warning(classifier):
    assert classifier.fit(TEXTS, [3, 1, 4, 1, 5, 9]).predict_proba(TEXTS).shape == (6, 5)


def test_names_of_several_levels_are_tuples(classifier):
    y = pd.DataFrame(TAGS[:, :2], columns=pd.MultiIndex.from_tuples([("mood", "late"), ("mood", "angry")]))
    classifier.set_params(warm_start=True).fit(TEXTS, y).fit(TEXTS, y)
    assert list(classifier.label_names_) == [("mood", "late"), ("mood", "angry")]


def test_named_labels_in_another_order_are_an_error(classifier):
    named = pd.DataFrame(TAGS, columns=["late", "angry", "paid"])
    swapped = named[["angry", "late", "paid"]]
    message = (
        "y has the columns ['angry', 'late', 'paid'], expected ['late', 'angry', 'paid'] as in the first fit. Pass the "
        "same columns in the same order."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        classifier.fit(TEXTS, named, X_val=TEXTS, y_val=swapped)
    classifier.partial_fit(TEXTS, named)
    with pytest.raises(ValueError, match=re.escape(message)):
        classifier.partial_fit(TEXTS, swapped)
    classifier.partial_fit(TEXTS, TAGS)


@pytest.mark.parametrize(("class_weight", "expected"), [({1: 2}, [2, 1]), ({0: 5, 1: 2}, [5, 2])], ids=str)
def test_class_weights_are_all_by_name_or_all_by_position(classifier, class_weight, expected):
    y = pd.DataFrame(TAGS[:, :2], columns=[1, 2])
    classifier.set_params(class_weight=class_weight).fit(TEXTS, y)
    assert classifier._target.loss_params["pos_weight"].tolist() == expected


def test_a_fitted_classifier_takes_another_threshold(classifier):
    classifier.fit(TEXTS, TAGS)
    assert classifier.set_params(threshold=1.0).predict(TEXTS).sum() == 0
    assert classifier.set_params(threshold=[1.0, 0.0, 1.0]).predict(TEXTS).sum(axis=0).tolist() == [0, 6, 0]


def test_class_weights_multiply_the_sample_weights(classifier):
    y = np.array([1, 0, 0, 0, 0, 0])
    classifier.set_params(class_weight={1: 5.0}, precision="float64").fit(TEXTS, y)
    weighted = classifier.predict_proba(TEXTS)
    classifier.set_params(class_weight="balanced").fit(TEXTS, y)
    balanced = classifier.predict_proba(TEXTS)
    classifier.set_params(class_weight=None).fit(TEXTS, y, sample_weight=[5, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(weighted, classifier.predict_proba(TEXTS), atol=1e-12)
    np.testing.assert_allclose(balanced, weighted, atol=1e-12)


@pytest.mark.parametrize("class_weight", [{0: -1.0}, {0: 0, 1: 0}], ids=str)
def test_class_weights_without_sense_are_an_error(classifier, class_weight):
    with pytest.raises(ValueError, match=re.escape(f"Got class_weight={class_weight!r}, expected finite non-negative")):
        classifier.set_params(class_weight=class_weight).fit(TEXTS, TWO)


def test_unfitted_classes_are_said_to_be_unfitted(classifier):
    assert not hasattr(classifier, "classes_")
    with pytest.raises(NotFittedError, match="This BertClassifier instance is not fitted yet"):
        classifier.classes_  # noqa: B018 - asking is the subject


def test_balanced_class_weights_make_rare_and_common_equally_likely(tiny_bert):
    texts, y = ["movie"] * 50, [0] * 40 + [1] * 10
    regime = QUICK | {"max_epochs": 20, "learning_rate": 3e-3}
    plain = BertClassifier(tiny_bert, **regime).fit(texts, y)
    balanced = BertClassifier(tiny_bert, class_weight="balanced", **regime).fit(texts, y)
    assert plain.predict_proba(["movie"])[0, 1] == pytest.approx(0.2, abs=0.07)
    assert balanced.predict_proba(["movie"])[0, 1] == pytest.approx(0.5, abs=0.07)


def test_multi_label_learns_each_label(tiny_bert, reviews):
    texts, labels = reviews
    y = np.column_stack([[label == "good" for label in labels], ["!" in text for text in texts]]).astype(int)
    classifier = BertClassifier(tiny_bert, **QUICK | {"max_epochs": 20, "pooling": "mean"}).fit(texts, y)
    assert (classifier.predict(texts) == y).mean() > 0.95


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean"])
@pytest.mark.parametrize("sizes", [(), (8,)], ids=["linear", "mlp"])
def test_every_pooling_and_head_learns(tiny_bert, reviews, pooling, sizes):
    settings = QUICK | {"max_epochs": 12, "pooling": pooling, "hidden_layer_sizes": sizes}
    classifier = BertClassifier(tiny_bert, **settings).fit(*reviews)
    assert classifier.score(*reviews) > 0.9
    assert classifier.module_.classifier.in_features == (sizes or (16,))[-1]


def test_dropout_reaches_every_layer_of_the_model(tiny_bert):
    classifier = BertClassifier(tiny_bert, dropout=0.25, attention_dropout=0.125, **QUICK).fit(TEXTS, TWO)
    probabilities = {
        name: layer.p for name, layer in classifier.module_.named_modules() if isinstance(layer, torch.nn.Dropout)
    }
    assert {p for name, p in probabilities.items() if "attention.self" in name} == {0.125}
    assert {p for name, p in probabilities.items() if "attention.self" not in name} == {0.25}


def test_smoothing_makes_probabilities_less_sure(tiny_bert, reviews):
    settings = {**QUICK, "max_epochs": 10}
    sure = BertClassifier(tiny_bert, **settings).fit(*reviews).predict_proba(reviews[0]).max(axis=1)
    smooth = BertClassifier(tiny_bert, label_smoothing=0.4, **settings).fit(*reviews).predict_proba(reviews[0])
    assert sure.mean() > 0.9
    assert smooth.max(axis=1).mean() < 0.85


@pytest.mark.parametrize("head_init", ["linear_probe", "random"])
@pytest.mark.parametrize("class_weight", ["balanced", {"rare": 15.0}, {1: 15.0}], ids=str)
def test_weighted_labels_are_as_likely_as_their_weights_say(tiny_bert, head_init, class_weight):
    """Of 48 equal texts half have a usual label and three a rare one, which weighs as much as its absence."""
    texts = ["it was good"] * 48
    y = pd.DataFrame({"usual": np.arange(48) % 2, "rare": [int(i in (3, 17, 40)) for i in range(48)]})
    settings = {**QUICK, "batch_size": 48, "max_epochs": 30, "head_init": head_init, "dropout": 0.0}
    plain = BertClassifier(tiny_bert, **settings).fit(texts, y).predict_proba(texts[:1])
    weighted = BertClassifier(tiny_bert, class_weight=class_weight, **settings).fit(texts, y).predict_proba(texts[:1])
    np.testing.assert_allclose(plain, [[0.5, 3 / 48]], atol=0.05)
    np.testing.assert_allclose(weighted, [[0.5, 0.5]], atol=0.1)


def test_thresholds_decide_and_leave_the_probabilities(tiny_bert, reviews):
    y = np.column_stack([np.arange(48) % 2, np.arange(48) % 3 == 0]).astype(int)
    plain = BertClassifier(tiny_bert, **QUICK).fit(reviews[0], y)
    eager = BertClassifier(tiny_bert, threshold=[0.0, 1.0], **QUICK).fit(reviews[0], y)
    np.testing.assert_array_equal(eager.predict_proba(reviews[0]), plain.predict_proba(reviews[0]))
    assert eager.predict(reviews[0]).tolist() == [[1, 0]] * 48


# -- going on ----------------------------------------------------------------------------------------


def test_a_stream_is_learned_chunk_by_chunk(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, **QUICK)
    texts, y = reviews
    for _ in range(8):
        for start in (0, 16, 32):
            classifier.partial_fit(texts[start : start + 16], y[start : start + 16], classes=["bad", "good", "so-so"])
    assert classifier.classes_.tolist() == ["bad", "good", "so-so"]
    assert classifier.score(texts, y) > 0.9
    assert classifier.predict_proba(texts)[:, 2].max() < 0.2
    assert classifier.n_iter_ == len(classifier.loss_curve_) == 24


def test_the_first_chunk_may_hold_one_class(tiny_bert, reviews):
    texts, y = reviews
    classifier = BertClassifier(tiny_bert, **QUICK).partial_fit(texts[:1], y[:1], classes=["bad", "good"])
    assert classifier.predict(texts[:1]).tolist() == y[:1]


def test_a_stream_of_one_class_needs_its_classes(tiny_bert, reviews):
    with pytest.raises(ValueError, match="needs at least two classes, but y holds 1 class: 'good'"):
        BertClassifier(tiny_bert, **QUICK).partial_fit(reviews[0][:1], reviews[1][:1])


def test_a_chunk_with_a_new_label_is_an_error_and_changes_nothing(tiny_bert, reviews):
    texts, y = reviews
    classifier = BertClassifier(tiny_bert, **QUICK).partial_fit(texts, y)
    before = classifier.predict_proba(texts)
    with pytest.raises(
        ValueError, match=r"y holds labels that are not among the classes: \['new'\]\. Expected some of"
    ):
        classifier.partial_fit(texts[:2], ["good", "new"])
    np.testing.assert_array_equal(classifier.predict_proba(texts), before)


def test_partial_fit_cannot_balance_or_stop_early(tiny_bert, reviews):
    with pytest.raises(
        ValueError, match=r"class_weight='balanced' needs all rows, and partial_fit sees some at a time\."
    ):
        BertClassifier(tiny_bert, class_weight="balanced", **QUICK).partial_fit(*reviews)
    with pytest.raises(ValueError, match=r"partial_fit does not support early_stopping=True"):
        BertClassifier(tiny_bert, early_stopping=True, **QUICK).partial_fit(*reviews)


def test_going_on_with_another_kind_of_y_is_an_error(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, warm_start=True, **QUICK).fit(*reviews)
    message = (
        "y is of problem type 'multi_label_classification', but BertClassifier was fitted on "
        "'single_label_classification'. Go on with y of the same kind, or fit anew with warm_start=False."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        classifier.fit(reviews[0], np.column_stack([np.arange(48) % 2] * 2))
