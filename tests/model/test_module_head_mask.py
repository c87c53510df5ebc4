"""`head_mask` scales the output of single attention heads during one call."""

from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch

from sklearn_bert import BertModule
from sklearn_bert._model.cpu_kernels import CPU_ATTENTION
from tests.helpers import exactly
from tests.model.helpers import CLASSES, DISTILBERT, HIDDEN, IDS, MASK, N, T, bert, both_attentions


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_head_mask_of_ones_changes_nothing():
    module = bert()
    assert torch.equal(module(IDS, head_mask=torch.ones(2, 2)).logits, module(IDS).logits)


@both_attentions
@pytest.mark.parametrize("factor", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("head", [0, 1])
def test_head_mask_scales_the_output_of_one_head(attention, factor, layer, head):
    """The reference scales the columns of the output matrix that belong to the head."""
    module = bert(attention=attention)
    scaled, head_mask, width = deepcopy(module), torch.ones(2, 2), HIDDEN // 2
    head_mask[layer, head] = factor
    with torch.no_grad():
        weight = scaled.bert.encoder.layer[layer].attention.output.dense.weight
        weight[:, head * width : (head + 1) * width] *= factor
    ours = module(IDS, attention_mask=MASK, head_mask=head_mask).logits
    torch.testing.assert_close(ours, scaled(IDS, attention_mask=MASK).logits)
    assert not torch.allclose(ours, module(IDS, attention_mask=MASK).logits)


def test_a_head_with_mask_zero_gets_no_gradient():
    module = bert()
    module(IDS, head_mask=torch.tensor([[1.0, 0.0], [1.0, 1.0]]), labels=CLASSES).loss.backward()
    gradient = module.bert.encoder.layer[0].attention.self.value.weight.grad
    assert (gradient[: HIDDEN // 2] != 0).all()
    assert (gradient[HIDDEN // 2 :] == 0).all()


def test_the_gradient_of_the_loss_by_head_mask_is_correct():
    module = bert().double()
    head_mask = torch.rand(2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda mask: module(IDS, head_mask=mask, labels=CLASSES).loss, head_mask)


@pytest.mark.parametrize(
    ("position", "outcome"),
    [(0, nullcontext()), (1000, pytest.raises((IndexError, RuntimeError)))],
    ids=["after the call", "after an error"],
)
def test_head_mask_and_eager_attention_end_with_the_call(position, outcome):
    module = bert(attention="sdpa")
    before = module(IDS).logits
    with outcome:
        module(IDS, head_mask=torch.zeros(2, 2), output_attentions=True, position_ids=torch.full((N, T), position))
    assert torch.equal(module(IDS).logits, before)
    assert module.bert.config._attn_implementation == CPU_ATTENTION


@pytest.mark.parametrize("shape", [(2,), (2, 3), (3, 2), (2, 2, 1)], ids=str)
def test_head_mask_of_another_shape_raises(shape):
    message = (
        f"head_mask has shape {shape}, expected (n_layers, n_heads) = (2, 2). Pass one factor per layer and head, "
        "or None."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        bert()(IDS, head_mask=torch.ones(shape))


def test_head_mask_for_an_encoder_other_than_bert_raises():
    message = "head_mask needs a BERT encoder, got one of type 'distilbert'. Pass head_mask=None."
    with pytest.raises(ValueError, match=exactly(message)):
        BertModule(DISTILBERT)(IDS, head_mask=torch.ones(2, 2))
