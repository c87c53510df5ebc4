"""Batches within the memory: what does not fit is computed in smaller pieces, with the same result."""

import numpy as np
import pytest
import torch

from sklearn_bert import BertClassifier, BertModule
from tests.helpers import exactly

EXACT = {
    "max_epochs": 2,
    "learning_rate": 1e-2,
    "batch_size": 24,
    "random_state": 0,
    "device": "cpu",
    "precision": "float64",
    "dropout": 0.0,
    "attention_dropout": 0.0,
}
OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory.")


@pytest.fixture
def small_memory(monkeypatch):
    """The encoder says that memory ran out whenever it is given more than so many rows; the numbers of rows it was."""
    rows, encode = [], BertModule._encode

    def limit(most_rows, error=OUT_OF_MEMORY):
        def encode_or_fail(module, input_ids, **inputs):
            rows.append(len(input_ids))
            if len(input_ids) > most_rows:
                raise error
            return encode(module, input_ids=input_ids, **inputs)

        monkeypatch.setattr(BertModule, "_encode", encode_or_fail)
        return rows

    return limit


@pytest.mark.parametrize("head_init", ["linear_probe", "random"])
def test_a_fit_in_little_memory_gives_the_weights_of_a_fit_in_much(tiny_bert, reviews, small_memory, head_init):
    weights = np.linspace(0.5, 1.5, len(reviews[0]))
    usual = BertClassifier(tiny_bert, head_init=head_init, **EXACT).fit(*reviews, sample_weight=weights)
    rows = small_memory(5)
    fitted = BertClassifier(tiny_bert, head_init=head_init, **EXACT).fit(*reviews, sample_weight=weights)
    assert max(rows) > 5
    assert fitted.loss_curve_ == pytest.approx(usual.loss_curve_, rel=1e-9)
    for p, q in zip(fitted.module_.parameters(), usual.module_.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-7, atol=1e-9)


def test_memory_is_not_tried_again_in_every_step(tiny_bert, reviews, small_memory):
    rows = small_memory(5)
    BertClassifier(tiny_bert, **EXACT | {"max_epochs": 10}).fit(*reviews)
    assert sum(n > 5 for n in rows) <= 5


def test_predictions_in_little_memory_are_those_in_much(tiny_bert, reviews, small_memory):
    classifier = BertClassifier(tiny_bert, **EXACT).fit(*reviews)
    usual = classifier.predict_proba(reviews[0])
    rows = small_memory(3)
    np.testing.assert_allclose(classifier.predict_proba(reviews[0]), usual, rtol=0, atol=1e-12)
    assert max(rows) > 3


@pytest.mark.parametrize("precisions", [("float32", "float64"), ("float64", "bfloat16")])
def test_a_moved_net_computes_in_the_precision_asked_for(tiny_bert, reviews, precisions):
    first, then = precisions
    classifier = BertClassifier(tiny_bert, **EXACT | {"precision": first}).fit(*reviews)
    before = classifier.predict_proba(reviews[0])
    classifier.net_.move("cpu", then)
    difference = abs(classifier.predict_proba(reviews[0]) - before).max()
    assert 0 < difference < {"float64": 1e-5, "bfloat16": 0.1}[then]


def test_pairs_stay_together_in_little_memory(tiny_bert, reviews, small_memory):
    pairs = list(zip(reviews[0], reviews[0][::-1], strict=True))
    classifier = BertClassifier(tiny_bert, **EXACT).fit(pairs, reviews[1])
    usual = classifier.predict_proba(pairs)
    small_memory(3)
    np.testing.assert_allclose(classifier.predict_proba(pairs), usual, rtol=0, atol=1e-12)


def test_memory_too_small_for_one_row_is_an_error_that_says_what_to_do(tiny_bert, reviews, small_memory):
    small_memory(0)
    message = (
        r"^The device 'cpu' has too little memory for one row of \d+ tokens at a time\. Lower max_length; in training, "
        r"gradient_checkpointing=True or freeze need less, too\.$"
    )
    classifier = BertClassifier(tiny_bert, head_init="random", **EXACT)
    with pytest.raises(MemoryError, match=message):
        classifier.fit(*reviews)
    assert not hasattr(classifier, "net_")


def test_an_encoder_that_cannot_compute_in_the_precision_is_an_error_with_a_cure(tiny_bert, reviews, small_memory):
    small_memory(0, RuntimeError("value cannot be converted to type c10::BFloat16 without overflow"))
    message = (
        "A 'bert' encoder cannot compute in bfloat16 (value cannot be converted to type c10::BFloat16 without "
        "overflow). Pass precision='float32'."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        BertClassifier(tiny_bert, **EXACT | {"precision": "bfloat16"}).fit(*reviews)


def test_other_errors_are_passed_on(tiny_bert, reviews, small_memory):
    small_memory(5, RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match=exactly("a bug")):
        BertClassifier(tiny_bert, head_init="random", **EXACT).fit(*reviews)


def test_micro_batches_hold_so_many_rows_and_change_nothing(tiny_bert, reviews, small_memory):
    usual = BertClassifier(tiny_bert, head_init="random", **EXACT).fit(*reviews)
    rows = small_memory(10**9)
    fitted = BertClassifier(tiny_bert, head_init="random", micro_batch_size=4, **EXACT).fit(*reviews)
    assert max(rows) == 4
    for p, q in zip(fitted.module_.parameters(), usual.module_.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-7, atol=1e-9)


def test_gradient_checkpointing_changes_no_weight_even_with_dropout(tiny_bert, reviews):
    settings = EXACT | {"dropout": 0.1, "attention_dropout": 0.1}
    usual = BertClassifier(tiny_bert, **settings).fit(*reviews)
    fitted = BertClassifier(tiny_bert, gradient_checkpointing=True, **settings).fit(*reviews)
    for p, q in zip(fitted.module_.parameters(), usual.module_.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)
    assert all("forward" not in vars(layer) for layer in fitted.module_.bert.encoder.layer)


def test_gradient_checkpointing_keeps_less_for_the_way_back(tiny_bert, reviews):
    kept = {}
    for checkpointing in (False, True):
        kept[checkpointing] = 0

        def count(tensor, which=checkpointing):
            kept[which] += tensor.numel()
            return tensor

        classifier = BertClassifier(tiny_bert, head_init="random", gradient_checkpointing=checkpointing, **EXACT)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            classifier.fit(*reviews)
    assert kept[True] < 2 * kept[False]


@pytest.mark.gpu
def test_a_real_lack_of_memory_on_a_gpu_is_overcome(minilm, reviews):
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    texts = [" ".join([text] * 60) for text in reviews[0]] * 4
    classifier = BertClassifier(minilm, max_epochs=1, batch_size=192, random_state=0, device="cuda")
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(1.5 * 2**30 / total)
    try:
        classifier.fit(texts, reviews[1] * 4)
        assert len(classifier.predict(texts)) == len(texts)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
