"""The net that predicts: in which batches it reads the texts."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
import torch

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


LINEAR = ("query", "key", "value", "dense", "classifier")


@pytest.fixture(scope="module")
def in_bfloat16(tiny_bert, reviews):
    return BertClassifier(tiny_bert, **FAST | {"precision": "bfloat16"}).fit(*reviews)


def test_a_request_in_bfloat16_casts_no_weight_again_and_gives_the_same_bits(in_bfloat16):
    net, dataset = in_bfloat16.net_, in_bfloat16.to_dataset(["a very good movie"])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = net.module_.eval()(**next(iter(net.get_iterator(dataset)))[0]).logits.float()
    np.testing.assert_array_equal(net.predict_logits(dataset), expected)
    copy = net._autocast_copy
    net.predict_logits(dataset)
    assert net._autocast_copy is copy
    weights = dict(copy.module.named_parameters())
    assert {p.dtype for name, p in weights.items() if name.split(".")[-2] in LINEAR} == {torch.bfloat16}


def test_a_request_after_a_change_has_the_changed_weights(in_bfloat16):
    classifier = deepcopy(in_bfloat16)
    before = classifier.predict_proba(["good"])
    classifier.module_.classifier.weight.data *= -1
    assert not np.array_equal(classifier.predict_proba(["good"]), before)


def test_stored_and_copied_nets_have_no_copy_of_the_weights(in_bfloat16):
    size = len(pickle.dumps(deepcopy(in_bfloat16)))
    names = set(in_bfloat16.module_.state_dict())
    in_bfloat16.predict(["good"])
    assert len(pickle.dumps(in_bfloat16)) == size
    assert set(in_bfloat16.module_.state_dict()) == names
    assert deepcopy(in_bfloat16).net_._autocast_copy is None


def test_many_texts_and_float32_make_no_copy(in_bfloat16, tiny_bert, reviews):
    classifier = deepcopy(in_bfloat16)
    classifier.net_.max_tokens_ = 8
    classifier.predict(["good"] * 9)
    assert classifier.net_._autocast_copy is None
    exact = BertClassifier(tiny_bert, **FAST).fit(*reviews)
    exact.net_.move("cpu", "float32")
    exact.predict(["good"])
    assert exact.net_._autocast_copy is None


def test_threads_predict_at_once(in_bfloat16):
    texts = [["good"], ["a very good movie"], ["the plot was bad"]] * 8
    expected = [in_bfloat16.predict_proba(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(list(pool.map(deepcopy(in_bfloat16).predict_proba, texts)), expected)


def test_a_submodule_in_training_mode_is_set_to_evaluation_mode(in_bfloat16):
    classifier = deepcopy(in_bfloat16)
    expected = classifier.predict_proba(["good"])
    classifier.module_.bert.encoder.layer[1].output.dropout.train()
    np.testing.assert_array_equal(classifier.predict_proba(["good"]), expected)
    assert not any(module.training for module in classifier.module_.modules())
