"""The losses of `BertModule` equal those of transformers, or a computation by hand."""

import pytest
import torch
from transformers import BertModel

from sklearn_bert import BertModule
from sklearn_bert._model.module import LOSSES, multi_label_loss
from tests.conftest import make_config
from tests.helpers import exactly
from tests.model.helpers import CLASSES, IDS, MASK, PROBLEMS, REALS, N, all_problems, bert, module_and_reference


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@all_problems
@pytest.mark.parametrize("rows", [N, 1], ids=["batch", "batch of one"])
def test_loss_and_its_gradients_equal_the_reference(num_labels, problem_type, labels, rows):
    results = []
    for model in module_and_reference(num_labels=num_labels, problem_type=problem_type):
        loss = model(IDS[:rows], attention_mask=MASK[:rows], labels=labels[:rows]).loss
        loss.backward()
        results.append({"loss": loss} | {name: p.grad for name, p in model.named_parameters()})
    torch.testing.assert_close(*results)


def test_int32_labels_mean_single_label_like_int64_labels():
    module = bert()
    assert module(IDS, labels=CLASSES.int()).loss == module(IDS, labels=CLASSES).loss


def test_forward_without_labels_returns_no_loss():
    assert bert()(IDS).loss is None


@pytest.mark.parametrize("labels", [REALS, REALS[:, None]], ids=["(B,)", "(B, 1)"])
def test_regression_labels_do_not_broadcast_against_the_logits(labels):
    output = bert(num_labels=1)(IDS, labels=labels)
    by_hand = sum((output.logits[i, 0] - REALS[i]) ** 2 for i in range(N)) / N
    torch.testing.assert_close(output.loss, by_hand)


@pytest.mark.parametrize(("num_labels", "problem_type", "labels"), [p for p in PROBLEMS.values() if p[1] is not None])
def test_unreduced_losses_are_one_per_row_and_average_to_the_reduced_loss(num_labels, problem_type, labels):
    logits, loss = torch.randn(N, num_labels), LOSSES[problem_type]
    losses = loss(logits, labels, reduction="none")
    assert losses.shape == (N,)
    torch.testing.assert_close(losses.mean(), loss(logits, labels))


@pytest.mark.parametrize(("label", "expected"), [(0.0, 1e4), (1.0, 0.0)], ids=["wrong", "right"])
def test_multi_label_loss_is_finite_for_huge_logits(label, expected):
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = multi_label_loss(logits, torch.tensor([[label, 1 - label]]))
    loss.backward()
    assert loss == expected
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_labels_give_part_of_their_probability_to_the_other_classes(smoothing):
    logits, labels = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0])
    smoothed = (1 - smoothing) * torch.nn.functional.one_hot(labels, 3) + smoothing / 3
    by_hand = -(smoothed * logits.log_softmax(dim=1)).sum(dim=1)
    losses = LOSSES["single_label_classification"](logits, labels, "none", label_smoothing=smoothing)
    torch.testing.assert_close(losses, by_hand)
    flags = torch.tensor([[0, 1, 1], [1, 0, 0]])
    smoothed = flags * (1 - smoothing) + smoothing / 2
    p = logits[:2].sigmoid()
    by_hand = -(smoothed * p.log() + (1 - smoothed) * (1 - p).log()).mean(dim=1)
    losses = LOSSES["multi_label_classification"](logits[:2], flags, "none", label_smoothing=smoothing)
    torch.testing.assert_close(losses, by_hand)


def test_pos_weight_multiplies_the_loss_where_a_label_is_one():
    logits, flags = torch.randn(2, 3, dtype=torch.float64), torch.tensor([[0, 1, 1], [1, 0, 0]])
    weight, p = torch.tensor([2.0, 3.0, 0.5], dtype=torch.float64), logits.sigmoid()
    by_hand = -(flags * weight * p.log() + (1 - flags) * (1 - p).log()).mean(dim=1)
    losses = LOSSES["multi_label_classification"](logits, flags, "none", pos_weight=weight)
    torch.testing.assert_close(losses, by_hand)


def test_regression_labels_of_another_shape_raise():
    module = BertModule(make_config(50, num_labels=3, problem_type="regression"))
    message = "labels have shape (3, 2), logits (2, 3). Pass one label per logit."
    with pytest.raises(ValueError, match=exactly(message)):
        module(torch.tensor([[1, 2], [3, 4]]), labels=torch.zeros(3, 2))


def test_an_unknown_problem_type_raises():
    module = BertModule(make_config(50))
    vars(module.config)["problem_type"] = "ordinal"  # some releases of transformers refuse to set it
    message = f"config.problem_type is 'ordinal', expected None or one of {tuple(LOSSES)}. Set one of these."
    with pytest.raises(ValueError, match=exactly(message)):
        module(torch.tensor([[1, 2]]), labels=torch.tensor([0]))


def test_the_head_has_the_outputs_of_the_config_given_with_an_encoder():
    module = BertModule(make_config(50, num_labels=1), encoder=BertModel(make_config(50)))
    assert module(torch.tensor([[1, 2]]), labels=torch.tensor([0.5])).loss.ndim == 0
