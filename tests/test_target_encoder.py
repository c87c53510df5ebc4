"""`TextTargetEncoder`: no row has a part in its own feature, and the encoder works inside scikit-learn's tools."""

import inspect
import pickle
import re

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_bert import BertClassifier, BertRegressor, TextTargetEncoder
from tests.helpers import EXACT, FAST, exactly

LINEAR = make_pipeline(TfidfVectorizer(), LogisticRegression())
MEMORY = make_pipeline(CountVectorizer(analyzer="char"), KNeighborsClassifier(1))  # knows its training rows by heart
RNG = np.random.default_rng(0)
CODES = ["".join(RNG.choice([*"abcdefghij"], 8)) for _ in range(300)]  # texts that say nothing about y
COIN = RNG.permutation(np.arange(300) % 2)


# -- no row has a part in its own feature -------------------------------------------------------------------


def test_features_are_those_of_cross_val_predict_and_of_a_fit_on_all_rows(tiny_bert, reviews):
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    classifier = BertClassifier(tiny_bert, **EXACT)
    encoder = TextTargetEncoder(estimator=classifier, cv=cv)
    out_of_fold = cross_val_predict(classifier, *reviews, cv=cv, method="predict_proba")
    np.testing.assert_allclose(encoder.fit_transform(*reviews), out_of_fold[:, 1:], atol=1e-12)
    on_all_rows = classifier.fit(*reviews).predict_proba(reviews[0])
    np.testing.assert_allclose(encoder.transform(reviews[0]), on_all_rows[:, 1:], atol=1e-12)
    np.testing.assert_allclose(encoder.fit(*reviews).transform(reviews[0]), on_all_rows[:, 1:], atol=1e-12)


def test_another_label_or_text_of_a_row_changes_no_feature_of_its_fold(tiny_bert, reviews):
    texts, labels = reviews
    folds = list(KFold(3).split(texts))
    encoder = TextTargetEncoder(estimator=BertClassifier(tiny_bert, **EXACT), cv=folds)
    before = encoder.fit_transform(texts, labels)
    test = folds[0][1]
    others = ["good" if label == "bad" else "bad" for label in labels[: len(test)]] + labels[len(test) :]
    np.testing.assert_array_equal(encoder.fit_transform(texts, others)[test], before[test])
    changed = ["a soup", *texts[1:]]
    np.testing.assert_allclose(encoder.fit_transform(changed, labels)[test[1:]], before[test[1:]], atol=1e-12)


def test_features_of_random_labels_are_no_better_than_chance():
    encoder = TextTargetEncoder(estimator=MEMORY, random_state=0)
    assert 0.4 < roc_auc_score(COIN, encoder.fit_transform(CODES, COIN)) < 0.6
    assert roc_auc_score(COIN, encoder.transform(CODES)) > 0.95  # of a fit that saw the rows


def test_features_of_a_fine_tuned_bert_on_random_labels_are_no_better_than_chance(tiny_bert):
    classifier = BertClassifier(tiny_bert, **FAST | {"max_epochs": 12, "batch_size": 16, "max_length": 16})
    encoder = TextTargetEncoder(estimator=classifier, cv=2)
    texts, labels = CODES[:64], COIN[:64]
    assert roc_auc_score(labels, encoder.fit_transform(texts, labels)) < 0.65
    assert roc_auc_score(labels, encoder.transform(texts)) > 0.8


def test_groups_keep_copies_of_a_text_out_of_the_fits_of_its_fold():
    texts, labels, groups = CODES * 2, np.tile(COIN, 2), np.tile(np.arange(300), 2)
    split_copies = TextTargetEncoder(estimator=MEMORY, random_state=0).fit_transform(texts, labels)
    assert roc_auc_score(labels, split_copies) > 0.8
    encoder = TextTargetEncoder(estimator=MEMORY, cv=GroupKFold(5))
    assert 0.4 < roc_auc_score(labels, encoder.fit_transform(texts, labels, groups=groups)) < 0.6


def test_a_fit_per_fold_and_one_on_all_rows_are_all(reviews, monkeypatch):
    """The cost: no fit and no prediction beyond these."""
    calls = []
    for name in ("fit", "predict_proba"):
        method = getattr(KNeighborsClassifier, name)

        def record(*args, name=name, method=method):
            calls.append((name, args[1].shape[0]))
            return method(*args)

        monkeypatch.setattr(KNeighborsClassifier, name, record)
    TextTargetEncoder(estimator=MEMORY, cv=4).fit_transform(*reviews)
    assert calls == [("fit", 48), *[("fit", 36), ("predict_proba", 12)] * 4]


# -- what the features are ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "kind", "endings"),
    [
        (np.arange(48) % 2 == 1, "binary", ["_True"]),
        (np.array([*"abc"] * 16), "multiclass", ["_a", "_b", "_c"]),
        (np.eye(3, dtype=int)[np.arange(48) % 3], "multilabel-indicator", ["_0", "_1", "_2"]),
        (
            pd.DataFrame(np.eye(2, dtype=int)[np.arange(48) % 2], columns=["late", "broken"]),
            "multilabel-indicator",
            ["_late", "_broken"],
        ),
        (np.linspace(0, 1, 48), "continuous", [""]),
        (np.linspace(0, 1, 48)[:, None], "continuous", [""]),
        (np.random.default_rng(0).random((48, 2)), "continuous-multioutput", ["_0", "_1"]),
        (pl.DataFrame({"V": np.linspace(0, 1, 48), "A": np.ones(48)}), "continuous-multioutput", ["_V", "_A"]),
    ],
    ids=["bool", "str", "labels", "named labels", "numbers", "a column", "several numbers", "named numbers"],
)
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_the_targets_kind_chooses_the_estimator_and_the_features(tiny_bert, table, y, kind, endings):
    encoder = TextTargetEncoder(tiny_bert, cv=2, random_state=0)
    found = encoder.fit_transform(table[0][["review"]], y)
    assert found.shape == (48, len(endings))
    assert encoder.target_type_ == kind
    assert list(encoder.get_feature_names_out()) == [f"review{ending}" for ending in endings]
    assert isinstance(encoder.estimators_[0], BertRegressor if kind.startswith("continuous") else BertClassifier)
    assert (encoder.classes_ is None) == kind.startswith("continuous")
    if encoder.classes_ is not None:
        assert ((found > 0) & (found < 1)).all()
    if kind == "multiclass":
        np.testing.assert_allclose(found.sum(axis=1), 1)


def test_logits_are_log_odds_for_two_classes_and_logarithms_for_more(reviews, table):
    for y, to_logit in ((reviews[1], lambda p: np.log(p / (1 - p))), (table[1], np.log)):
        encoder = TextTargetEncoder(estimator=LINEAR, random_state=0)
        probabilities = encoder.fit_transform(reviews[0], y)
        logits = encoder.set_params(response="logit").fit_transform(reviews[0], y)
        np.testing.assert_allclose(logits, to_logit(probabilities))


def test_response_does_not_matter_for_numbers(reviews):
    y = np.linspace(0, 1, 48)
    encoder = TextTargetEncoder(estimator=make_pipeline(TfidfVectorizer(), Ridge()), random_state=0)
    found = encoder.fit_transform(reviews[0], y)
    np.testing.assert_array_equal(encoder.set_params(response="logit").fit_transform(reviews[0], y), found)


def test_whole_numbers_are_classes_with_a_warning_and_numbers_for_a_regressor(tiny_bert, reviews):
    y = np.arange(48) // 2
    message = (
        "y holds 24 different whole numbers, which are taken as classes. If they are no classes, pass "
        "estimator=BertRegressor(model)."
    )
    with pytest.warns(UserWarning, match=exactly(message)):
        assert TextTargetEncoder(tiny_bert, cv=2).fit(reviews[0], y).target_type_ == "multiclass"
    encoder = TextTargetEncoder(estimator=BertRegressor(tiny_bert, **FAST), cv=2)
    assert encoder.fit_transform(reviews[0], y).shape == (48, 1)


def test_each_text_column_has_a_fit_of_its_own(table):
    X, y = table
    encoder = TextTargetEncoder(estimator=LINEAR, random_state=0)
    both = encoder.fit_transform(X[["review", "title"]], y)
    new = encoder.transform(X[["review", "title"]])
    assert len(encoder.estimators_) == encoder.n_features_in_ == 2
    classes = ["bad", "good", "long"]
    assert list(encoder.get_feature_names_out()) == [f"{c}_{k}" for c in ("review", "title") for k in classes]
    for j, column in enumerate(["review", "title"]):
        alone = clone(encoder)
        np.testing.assert_array_equal(alone.fit_transform(X[[column]], y), both[:, 3 * j : 3 * j + 3])
        np.testing.assert_array_equal(alone.transform(X[column]), new[:, 3 * j : 3 * j + 3])


def test_an_absent_class_has_probability_zero_in_its_fold_and_a_finite_logit(reviews):
    y = np.array(["rare", *reviews[1][1:]])
    encoder = TextTargetEncoder(estimator=LINEAR, cv=3, random_state=0)
    with pytest.warns(UserWarning, match="The least populated class in y has only 1 members"):
        found = encoder.fit_transform(reviews[0], y)
    assert found[0, 2] == 0
    assert encoder.transform(reviews[0])[0, 2] > 0
    with pytest.warns(UserWarning, match="The least populated class in y has only 1 members"):
        logits = encoder.set_params(response="logit").fit_transform(reviews[0], y)
    assert np.isfinite(logits).all()
    assert logits[0, 2] == pytest.approx(np.log(np.finfo(np.float32).eps))


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (list, ["x0_good"]),
        (np.array, ["x0_good"]),
        (lambda texts: np.array(texts)[:, None], ["x0_good"]),
        (pd.Series, ["x0_good"]),
        (lambda texts: pd.Series(texts, name="message"), ["message_good"]),
        (lambda texts: pl.Series("message", texts), ["message_good"]),
        (lambda texts: pd.DataFrame({"message": texts}), ["message_good"]),
        (lambda texts: pl.DataFrame({"message": texts}), ["message_good"]),
        (lambda texts: pa.table({"message": texts}), ["message_good"]),
        (lambda texts: pd.DataFrame({0: texts}), ["x0_good"]),
        (lambda texts: np.array([texts] * 3).T, ["x0_good", "x1_good", "x2_good"]),
        (lambda texts: list(zip(texts, texts, strict=True)), ["x0_good", "x1_good"]),
    ],
    ids="list array column Series named polars-Series frame polars arrow number 3-columns tuples".split(),
)
def test_names_of_features_carry_the_name_of_the_column(reviews, make, names):
    encoder = TextTargetEncoder(estimator=LINEAR, random_state=0).fit(make(reviews[0]), reviews[1])
    assert list(encoder.get_feature_names_out()) == names
    assert list(pickle.loads(pickle.dumps(encoder)).get_feature_names_out()) == names
    assert encoder.transform(make(reviews[0])).shape == (48, len(names))


def test_set_output_returns_frames_with_the_rows_of_x(table):
    X, y = table
    X = X[["review"]].set_axis(range(100, 148))
    encoder = TextTargetEncoder(estimator=LINEAR, random_state=0).set_output(transform="pandas")
    frame = encoder.fit_transform(X, y)
    assert list(frame.columns) == ["review_bad", "review_good", "review_long"]
    assert list(frame.index) == list(encoder.transform(X).index) == list(range(100, 148))
    polars = encoder.set_output(transform="polars").fit_transform(pl.from_pandas(X), y)
    np.testing.assert_array_equal(polars.to_numpy(), frame.to_numpy())


@pytest.mark.parametrize(
    "make",
    [list, lambda texts: pd.DataFrame({"m": texts}), pl.Series, lambda texts: pa.table({"m": texts})],
    ids=["list", "pandas", "polars", "arrow"],
)
def test_missing_texts_are_replaced_or_refused(reviews, make):
    texts = [None, *reviews[0][1:]]
    encoder = TextTargetEncoder(estimator=LINEAR, missing="good", random_state=0)
    filled = encoder.fit_transform(make(texts), reviews[1])
    np.testing.assert_array_equal(filled, encoder.fit_transform(["good", *texts[1:]], reviews[1]))
    np.testing.assert_array_equal(encoder.transform(make(texts)), encoder.transform(["good", *texts[1:]]))
    with pytest.raises(ValueError, match=r"Input X contains NaN: no text .* at row 0\."):
        encoder.set_params(missing=None).fit(make(texts), reviews[1])
    assert not encoder.__sklearn_tags__().input_tags.allow_nan
    assert encoder.set_params(missing="").__sklearn_tags__().input_tags.allow_nan


def test_same_random_state_gives_the_same_features_and_reaches_every_place(reviews):
    estimator = make_pipeline(TfidfVectorizer(), RandomForestClassifier(10, random_state=5))
    encoder = TextTargetEncoder(estimator=estimator, random_state=1)
    found = encoder.fit_transform(*reviews)
    np.testing.assert_array_equal(clone(encoder).fit_transform(*reviews), found)
    assert not np.array_equal(clone(encoder).set_params(random_state=2).fit_transform(*reviews), found)
    seed = encoder.estimators_[0].get_params()["randomforestclassifier__random_state"]
    assert seed != 5
    kept = clone(encoder).set_params(random_state=None).fit(*reviews).estimators_[0]
    assert kept.get_params()["randomforestclassifier__random_state"] == 5
    assert estimator.get_params()["randomforestclassifier__random_state"] == 5


def test_parallel_fits_give_the_same_features(table):
    X, y = table
    encoder = TextTargetEncoder(estimator=LINEAR, random_state=0)
    found = encoder.fit_transform(X[["review", "title"]], y)
    with joblib.parallel_config(backend="threading"):
        again = clone(encoder).set_params(n_jobs=2).fit_transform(X[["review", "title"]], y)
    np.testing.assert_array_equal(again, found)


# -- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        (
            {"cv": [(np.arange(48), np.arange(10))] * 2},
            None,
            "TextTargetEncoder expects cv to test each of the 48 rows once, got 20 test rows, 10 of them different. "
            "Pass a cv such as sklearn.model_selection.KFold.",
        ),
        (
            {"cv": KFold(2)},
            ["a"] * 24 + ["b"] * 24,
            "A fold of cv has 1 class in its training rows: 'b'. TextTargetEncoder expects at least two. Pass more "
            "rows of the others, or another cv.",
        ),
        (
            {},
            ["a"] * 48,
            "y holds 1 class: 'a'. TextTargetEncoder expects at least two. Check how y was selected.",
        ),
        (
            {"estimator": LinearSVC()},
            None,
            "The estimator LinearSVC() has no predict_proba, and is no regressor. Expected one of them. Wrap a "
            "classifier in sklearn.calibration.CalibratedClassifierCV.",
        ),
        (
            {"estimator": make_pipeline(TfidfVectorizer(), RandomForestClassifier(2))},
            np.eye(3, dtype=int)[np.arange(48) % 3],
            "TextTargetEncoder expects Pipeline.predict_proba to give an array of shape (10, 3), got a list. Wrap the "
            "estimator in sklearn.multiclass.OneVsRestClassifier.",
        ),
        (
            {},
            ["a", "b"],
            "Found input variables with inconsistent numbers of samples: [48, 2]. Pass one value, or one row of "
            "values, of y per row of X.",
        ),
    ],
    ids=["no partition", "a class in a fold", "a class", "no probabilities", "a list of probabilities", "lengths"],
)
def test_errors_say_what_came_and_what_to_do(reviews, params, y, message):
    encoder = TextTargetEncoder(**{"estimator": LINEAR} | params)
    with pytest.raises(ValueError, match=exactly(message)):
        encoder.fit_transform(reviews[0], reviews[1] if y is None else y)


def test_errors_name_the_column_and_another_number_of_columns(table):
    X, y = table
    encoder = TextTargetEncoder(estimator=LINEAR)
    with pytest.raises(ValueError, match=r"^In column 'price': X holds values of type int at rows 0, 1"):
        encoder.fit(X, y)
    with pytest.raises(ValueError, match="X has 0 columns"):
        encoder.fit(X[[]], y)
    encoder.fit(X[["review", "title"]], y)
    message = "X has 1 text column(s), but TextTargetEncoder was fitted with 2. Pass the same columns as in fit."
    with pytest.raises(ValueError, match=exactly(message)):
        encoder.transform(X["review"].tolist())
    with pytest.raises(ValueError, match="The feature names should match"):
        encoder.transform(X[["review"]].assign(body=X["title"]))
    with pytest.raises(ValueError, match=r"^input_features is not equal to feature_names_in_: got \['a'\]"):
        encoder.get_feature_names_out(["a"])


def test_parameters_are_documented_in_the_constructors_order():
    documented = re.findall(r"^    (\w+) : ", TextTargetEncoder.__doc__.split("Attributes\n")[0], flags=re.MULTILINE)
    assert documented == list(inspect.signature(TextTargetEncoder).parameters)
