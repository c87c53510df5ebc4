"""Estimators around encoders that are not BERT: nothing that differs between families changes what is promised."""

import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_bert import BertClassifier, BertVectorizer
from sklearn_bert._runtime import device
from tests.helpers import FAST
from tests.model.families import FAMILIES, NO_BFLOAT16, PADDING_LEAKS, TYPES_AMONG_WORDS, save_family

# transformers 5.0 compiles parts of DeBERTa and ModernBERT when they are first imported, by what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
LONG = "good " * 40


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folders = {}

    def folder_of(model_type):
        if model_type not in folders:
            folders[model_type] = save_family(tmp_path_factory.mktemp(model_type), model_type)
        return folders[model_type]

    return folder_of


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_prediction_does_not_depend_on_its_company(checkpoint, reviews, model_type):
    classifier = BertClassifier(checkpoint(model_type), **FAST | {"max_epochs": 1, "precision": "float32"})
    classifier.fit(*reviews)
    for fitted in (classifier, pickle.loads(pickle.dumps(classifier))):
        alone = np.concatenate([fitted.predict_proba([text]) for text in reviews[0][:4]])
        together = fitted.predict_proba([*reviews[0][:4], LONG])[:4]
        np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model_type", PADDING_LEAKS)
def test_a_vector_does_not_depend_on_its_company(checkpoint, reviews, model_type):
    vectorizer = BertVectorizer(checkpoint(model_type), device="cpu", precision="float32").fit(reviews[0])
    alone = np.concatenate([vectorizer.transform([text]) for text in reviews[0][:4]])
    np.testing.assert_allclose(vectorizer.transform([*reviews[0][:4], LONG])[:4], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model_type", NO_BFLOAT16)
def test_auto_precision_is_float32_where_the_encoder_cannot_compute_in_bfloat16(
    checkpoint, reviews, monkeypatch, model_type
):
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: True)
    settings = FAST | {"precision": "auto"}
    classifier = BertClassifier(checkpoint(model_type), **settings).fit(*reviews)
    in_float32 = BertClassifier(checkpoint(model_type), **settings | {"precision": "float32"}).fit(*reviews)
    np.testing.assert_array_equal(classifier.predict_proba(reviews[0]), in_float32.predict_proba(reviews[0]))
    again = pickle.loads(pickle.dumps(classifier))
    for fitted in (classifier, again):
        assert fitted.net_.precision == "float32"
        assert "on cpu in float32 (the encoder cannot compute in bfloat16), " in fitted.summary_
    vectors = BertVectorizer(checkpoint(model_type), device="cpu").fit_transform(reviews[0])
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("model_type", NO_BFLOAT16)
def test_bfloat16_is_an_error_where_it_was_asked_for(checkpoint, reviews, model_type):
    classifier = BertClassifier(checkpoint(model_type), **FAST | {"precision": "bfloat16"})
    with pytest.raises(ValueError, match=rf"^A '{model_type}' encoder cannot compute in bfloat16 .*'float32'\.$"):
        classifier.fit(*reviews)


@pytest.mark.parametrize("model_type", TYPES_AMONG_WORDS)
def test_a_cross_encoder_trains_where_token_types_are_looked_up_among_the_words(checkpoint, reviews, model_type):
    pairs = pd.DataFrame({"first": reviews[0], "second": reviews[0][::-1]})
    classifier = BertClassifier(checkpoint(model_type), pair_encoding="cross_encoder", **FAST).fit(pairs, reviews[1])
    assert classifier.loss_curve_[-1] < classifier.loss_curve_[0]
