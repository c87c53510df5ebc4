"""The net that predicts: in which batches it reads the texts."""

import numpy as np
import pytest

from sklearn_bert import BertClassifier, BertModule
from tests.helpers import FAST
from tests.model.families import save_family


@pytest.fixture
def shapes(monkeypatch):
    """The shapes of the batches that the encoder was given."""
    shapes, encode = [], BertModule._encode

    def note(module, input_ids, **inputs):
        shapes.append(tuple(input_ids.shape))
        return encode(module, input_ids=input_ids, **inputs)

    monkeypatch.setattr(BertModule, "_encode", note)
    return shapes


def test_texts_predicted_chunk_by_chunk_come_in_few_shapes(tiny_bert, reviews, shapes):
    """Or torch's kernels, kept for each shape that it meets, would fill the memory."""
    classifier = BertClassifier(tiny_bert, **FAST | {"precision": "float64", "batch_size": 2}).fit(*reviews)
    shapes.clear()
    short, long = ["good"] * 2000, ["a very very good movie"] * 200
    whole = classifier.predict_proba(long + short)
    met = set(shapes)
    for n in range(1981, 2000):
        chunk = classifier.predict_proba(long + short[:n])
        np.testing.assert_allclose(chunk, whole[: len(chunk)], rtol=1e-9)
    assert set(shapes) == met


@pytest.mark.parametrize(("model_type", "n_shapes"), [("bert", 1), ("convbert", 3)])
def test_only_where_padding_leaks_each_length_has_its_own_batch(tmp_path, reviews, shapes, model_type, n_shapes):
    classifier = BertClassifier(save_family(tmp_path, model_type), **FAST | {"max_epochs": 1}).fit(*reviews)
    shapes.clear()
    classifier.predict(["good", "very good", "a very good movie"])
    assert len(set(shapes)) == n_shapes
