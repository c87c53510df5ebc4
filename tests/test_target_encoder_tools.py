"""`TextTargetEncoder` inside pipelines, searches and skrub; metadata, callbacks, warnings, pickles and failures."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sklearn_bert import BertClassifier, TextTargetEncoder
from tests.helpers import FAST

LINEAR = make_pipeline(TfidfVectorizer(), LogisticRegression())


class Weighted(ClassifierMixin, BaseEstimator):
    """Records what each fit gets; the probability is the weighted share of class 1 in its training rows."""

    fits = []

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.share_ = np.average(y == self.classes_[-1], weights=sample_weight)
        self.fits.append((X, y, sample_weight))
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[-1])

    def predict_proba(self, X):
        return np.tile([1 - self.share_, self.share_], (len(X), 1))


@pytest.fixture
def fits():
    """X, y and sample_weight of each fit of a `Weighted`."""
    Weighted.fits.clear()
    return Weighted.fits


class Recorder:
    """A callback of scikit-learn that follows the estimator inside."""

    def __init__(self, depth=None):
        self.max_propagation_depth = depth
        self.begun, self.ended, self.is_torn_down = [], [], False

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.is_torn_down = True

    def on_fit_task_begin(self, estimator, context):
        self.begun.append((type(estimator).__name__, context.task_name))
        self.n_subtasks = max(getattr(self, "n_subtasks", 0), context.max_subtasks or 0)

    def on_fit_task_end(self, estimator, context):
        self.ended.append((type(estimator).__name__, context.task_name))


def test_a_search_over_a_table_reaches_the_estimator(table):
    X, y = table
    encoder = TextTargetEncoder(estimator=LINEAR, cv=2, random_state=0)
    columns = ColumnTransformer([("text", encoder, ["review"])], remainder="passthrough")
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=1000))
    name = "columntransformer__text__estimator__logisticregression__C"
    search = GridSearchCV(pipeline, {name: [1e-3, 10]}, cv=2).fit(X[["review", "price"]], y)
    assert search.best_params_ == {name: 10}
    best = search.best_estimator_[0]
    assert best.named_transformers_["text"].estimators_[0][-1].C == 10
    names = ["text__review_bad", "text__review_good", "text__review_long", "remainder__price"]
    assert list(best.get_feature_names_out()) == names


def test_a_pipeline_is_trained_on_out_of_fold_features(table, monkeypatch):
    X, y = table
    trained_on = []
    fit = LogisticRegression.fit
    monkeypatch.setattr(LogisticRegression, "fit", lambda self, X, y: trained_on.append(X) or fit(self, X, y))
    text = make_pipeline(TfidfVectorizer(), KNeighborsClassifier(3))
    encoder = TextTargetEncoder(estimator=text, random_state=0)
    pipeline = make_pipeline(make_column_transformer((encoder, ["review"])), LogisticRegression()).fit(X, y)
    np.testing.assert_array_equal(trained_on[-1], encoder.fit_transform(X["review"], y))
    assert not np.array_equal(trained_on[-1], pipeline[:-1].transform(X))


def test_skrub_applies_the_encoder_to_its_text_columns(table):
    skrub = pytest.importorskip("skrub")
    X, y = table
    X = X.assign(title=X["title"].where(X["price"] != 3))
    encoder = TextTargetEncoder(estimator=LINEAR, missing="", random_state=0)
    found = skrub.TableVectorizer(high_cardinality=encoder, cardinality_threshold=5).fit_transform(X, y)
    endings = ["_bad", "_good", "_long"]
    assert list(found.columns) == [*(f"review{e}" for e in endings), *(f"title{e}" for e in endings), "price"]
    np.testing.assert_allclose(found.iloc[:, :3], encoder.fit_transform(X["review"], y), rtol=1e-6)


def test_metadata_routing_sends_weights_to_the_fits_and_groups_to_the_splitter(table, fits):
    X, groups, weights = table[0], np.arange(48) // 4, np.arange(1.0, 49.0)
    y = np.arange(48) % 2
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = Weighted().set_fit_request(sample_weight=True)
        encoder = TextTargetEncoder(estimator=estimator, cv=GroupKFold(3))
        columns = make_column_transformer((encoder, ["review"]))
        features = columns.fit_transform(X, y, sample_weight=weights, groups=groups)
        columns.set_params(texttargetencoder=encoder).fit(X, y, sample_weight=weights, groups=groups)
    assert [len(X) for X, _, _ in fits[:4]] == [48, 32, 32, 32]
    for texts, _, fold_weights in fits:
        rows = (np.asarray(fold_weights) - 1).astype(int)
        assert texts == X["review"].iloc[rows].tolist()
        assert len(set(groups[rows])) == len(rows) / 4
    assert len(np.unique(features)) == 3


def test_metadata_routing_sends_weights_to_the_default_estimator(tiny_bert, reviews):
    weights = np.r_[np.zeros(24), np.ones(24)]
    with sklearn.config_context(enable_metadata_routing=True):
        encoder = TextTargetEncoder(tiny_bert, cv=2, random_state=0).fit(*reviews, sample_weight=weights)
        with pytest.raises(TypeError, match="groups"):
            encoder.fit_transform(*reviews, groups=weights)
    assert encoder.estimators_[0].truncation_.n_rows == 24


def test_weights_reach_the_rows_of_each_fit_without_metadata_routing(table, fits):
    texts, weights = table[0]["review"].tolist(), np.arange(1.0, 49.0)
    TextTargetEncoder(estimator=Weighted(), cv=3).fit_transform(texts, np.arange(48) % 2, sample_weight=weights)
    assert [[texts[int(w) - 1] for w in fold_weights] for _, _, fold_weights in fits] == [X for X, _, _ in fits]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        TextTargetEncoder(estimator=Weighted()).fit(texts, np.arange(48) % 2, colour=1)


def test_callbacks_see_each_fold_and_the_epochs_inside(sklearn_callback, tiny_bert, reviews, capsys):
    recorder = Recorder()
    encoder = TextTargetEncoder(estimator=BertClassifier(tiny_bert, **FAST), cv=2)
    encoder.set_callbacks(recorder).fit_transform(*reviews)
    assert recorder.begun[0] == recorder.ended[-1] == ("TextTargetEncoder", "fit")
    assert recorder.begun.count(("BertClassifier", "epoch")) == 3 * FAST["max_epochs"]
    assert sorted(recorder.begun) == sorted(recorder.ended)
    assert recorder.n_subtasks == 3
    assert recorder.is_torn_down
    clone(encoder).set_params(estimator=Weighted()).set_callbacks(sklearn_callback.ProgressBar(0)).fit_transform(
        *reviews
    )
    assert "TextTargetEncoder" in capsys.readouterr().out


def test_truncated_texts_warn_once(tiny_bert, reviews, monkeypatch):
    monkeypatch.setattr("sklearn_bert._runtime.user_warnings._given", set())
    encoder = TextTargetEncoder(estimator=BertClassifier(tiny_bert, max_length=4, **FAST | {"max_epochs": 1}), cv=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encoder.fit_transform(*reviews)
    assert len(caught) == 1
    assert "48 of 48" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_clones_pickles_and_skops_keep_the_encoder(tiny_bert, reviews):
    encoder = TextTargetEncoder(estimator=BertClassifier(tiny_bert, **FAST), cv=2, missing="", response="logit")
    assert str(clone(encoder)) == str(encoder)
    with pytest.raises(NotFittedError):
        encoder.transform(reviews[0])
    features = encoder.fit(*reviews).transform(reviews[0])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(reviews[0]), features)
    data = skops.io.dumps(encoder)
    types = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith("sklearn_bert.") for name in types)
    np.testing.assert_array_equal(skops.io.loads(data, trusted=types).transform(reviews[0]), features)


@pytest.mark.usefixtures("sklearn_callback")
def test_failed_fit_leaves_the_encoder_unchanged(table):
    X, y = table
    encoder = TextTargetEncoder(estimator=LINEAR, random_state=0).fit(X[["review"]], y)
    before = dict(vars(encoder))
    recorder = Recorder(depth=0)
    encoder.set_callbacks(recorder)
    with pytest.raises(ValueError, match="Found input variables"):
        encoder.fit_transform(X[["title"]], y[:3])
    with pytest.raises(ValueError, match="empty vocabulary"):
        encoder.fit_transform([""] * 48, y)
    assert recorder.is_torn_down
    encoder.set_callbacks()
    assert vars(encoder) == before
