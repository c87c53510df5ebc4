"""BertModule against transformers' BertForSequenceClassification, and what it can beyond it."""

import re
from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch
from torch.nn import functional as F
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    ElectraConfig,
    RobertaConfig,
)

from sklearn_bert import BertModule
from sklearn_bert._model.module import LOSSES, multi_label_loss
from tests.conftest import make_config

N, T, VOCAB, HIDDEN = 4, 7, 50, 16
SIZES = {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
ROBERTA = RobertaConfig(vocab_size=VOCAB, max_position_embeddings=64, num_labels=3, **SIZES)
ELECTRA = ElectraConfig(vocab_size=VOCAB, embedding_size=8, num_labels=3, **SIZES)
DISTILBERT = DistilBertConfig(vocab_size=VOCAB, dim=HIDDEN, n_layers=2, n_heads=2, hidden_dim=32, num_labels=3)

_generator = torch.Generator().manual_seed(0)
IDS = torch.randint(5, VOCAB, (N, T), generator=_generator)
LENGTHS = torch.tensor([7, 5, 3, 6])
MASK = (torch.arange(T) < LENGTHS[:, None]).long()
TYPES = (torch.arange(T) >= 3).long().expand(N, T)
POSITIONS = torch.arange(T).flip(0).expand(N, T)
EMBEDDINGS = torch.randn(N, T, HIDDEN, generator=_generator)
REALS, CLASSES = torch.randn(N, generator=_generator), torch.tensor([0, 2, 1, 2])
TABLE, BITS = torch.randn(N, 3, generator=_generator), torch.tensor([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1.0]])

# num_labels, problem_type, labels
PROBLEMS = {
    "regression": (1, "regression", REALS),
    "regression inferred": (1, None, REALS),
    "regression inferred, labels (B, 1)": (1, None, REALS[:, None]),
    "multi-output regression": (3, "regression", TABLE),
    "single label": (3, "single_label_classification", CLASSES),
    "single label inferred": (3, None, CLASSES),
    "multi label": (3, "multi_label_classification", BITS),
    "multi label inferred": (3, None, BITS),
}
all_problems = pytest.mark.parametrize(("num_labels", "problem_type", "labels"), PROBLEMS.values(), ids=PROBLEMS)
both_attentions = pytest.mark.parametrize("attention", ["eager", "sdpa"])
all_poolings = pytest.mark.parametrize("pooling", ["pooler", "cls", "mean"])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def bert(*, attention="sdpa", num_labels=3, pooling="pooler", bi_encoder=False, **changes):
    """Our module in evaluation mode, with all weights random: transformers starts with biases of zero."""
    config = make_config(VOCAB, attn_implementation=attention, num_labels=num_labels, **changes)
    module = BertModule(config, pooling=pooling, bi_encoder=bi_encoder).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return module


def twins(**settings):
    """Our module and the reference, which has eager attention, with the same weights."""
    module = bert(**settings)
    changes = {k: v for k, v in settings.items() if k != "attention"}
    reference = BertForSequenceClassification(
        make_config(VOCAB, attn_implementation="eager", **{"num_labels": 3} | changes)
    )
    reference.load_state_dict(module.state_dict(), strict=True)
    return module, reference.eval()


@both_attentions
@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param({"input_ids": IDS}, id="ids"),
        pytest.param({"input_ids": IDS[:1]}, id="one row"),
        pytest.param({"input_ids": IDS, "attention_mask": MASK}, id="mask"),
        pytest.param({"input_ids": IDS, "attention_mask": MASK, "token_type_ids": TYPES}, id="types"),
        pytest.param({"input_ids": IDS, "position_ids": POSITIONS}, id="positions"),
        pytest.param({"inputs_embeds": EMBEDDINGS, "attention_mask": MASK}, id="embeddings"),
    ],
)
def test_logits_hidden_states_and_attentions_equal_the_reference(attention, inputs):
    module, reference = twins(attention=attention)
    flags = {"output_hidden_states": True, "output_attentions": True}
    ours, theirs = module(**inputs, **flags), reference(**inputs, **flags)
    assert ours.keys() == theirs.keys()
    assert (len(ours.hidden_states), len(ours.attentions)) == (3, 2)
    torch.testing.assert_close(ours.to_tuple(), theirs.to_tuple())
    torch.testing.assert_close(module(**inputs).logits, theirs.logits)  # without the switch to eager attention


@all_problems
@pytest.mark.parametrize("rows", [N, 1], ids=["batch", "batch of one"])
def test_loss_and_its_gradients_equal_the_reference(num_labels, problem_type, labels, rows):
    results = []
    for model in twins(num_labels=num_labels, problem_type=problem_type):
        loss = model(IDS[:rows], attention_mask=MASK[:rows], labels=labels[:rows]).loss
        loss.backward()
        results.append({"loss": loss} | {name: p.grad for name, p in model.named_parameters()})
    torch.testing.assert_close(*results)


def test_dropout_in_training_equals_the_reference():
    """With the same seed: the same probabilities in the same places."""
    module, reference = twins(attention="eager", classifier_dropout=0.4, hidden_dropout_prob=0.2)
    losses = []
    for model in (module, reference):
        torch.manual_seed(1)
        losses.append(model.train()(IDS, attention_mask=MASK, labels=CLASSES).loss)
    assert losses[0] == losses[1]
    assert losses[0] != module.eval()(IDS, attention_mask=MASK, labels=CLASSES).loss


@pytest.mark.parametrize("with_labels", [False, True], ids=["no labels", "labels"])
@pytest.mark.parametrize("attentions", [False, True], ids=["no attentions", "attentions"])
@pytest.mark.parametrize("states", [False, True], ids=["no states", "states"])
def test_tuple_equals_the_reference(with_labels, attentions, states):
    arguments = {"output_attentions": attentions, "output_hidden_states": states, "return_dict": False}
    arguments |= {"labels": CLASSES} if with_labels else {}
    ours, theirs = (model(IDS, **arguments) for model in twins())
    assert type(ours) is tuple
    assert len(ours) == 1 + with_labels + attentions + states
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("configured", "asked", "is_tuple"),
    [(True, None, False), (False, None, True), (True, False, True), (False, True, False)],
)
def test_return_dict_is_the_configs_unless_given(configured, asked, is_tuple):
    for model in twins(return_dict=configured):
        assert isinstance(model(IDS, return_dict=asked), tuple) is is_tuple


@pytest.mark.parametrize("part", ["attentions", "hidden_states"])
def test_output_flags_are_the_configs_unless_given(part):
    flag = f"output_{part}"
    module, reference = twins(attention="eager", **{flag: True})
    torch.testing.assert_close(module(IDS)[part], reference(IDS)[part])
    assert part not in module(IDS, **{flag: False})


def test_weights_load_strictly_in_both_directions():
    _, reference = twins()
    module = BertModule(make_config(VOCAB, num_labels=3)).eval()
    module.load_state_dict(reference.state_dict(), strict=True)
    back = BertForSequenceClassification(make_config(VOCAB, num_labels=3)).eval()
    back.load_state_dict(module.state_dict(), strict=True)
    torch.testing.assert_close((module(IDS).logits, back(IDS).logits), (reference(IDS).logits,) * 2)


def test_pretrained_minilm_equals_the_reference(minilm):
    reference = AutoModelForSequenceClassification.from_pretrained(minilm, num_labels=3).eval()
    module = BertModule(reference.config, encoder=AutoModel.from_pretrained(minilm, num_labels=3)).eval()
    module.classifier.load_state_dict(reference.classifier.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    batch = tokenizer(["A fine film.", "The soup was cold"], ["Is it?", "I left at once!"], padding=True)
    batch = batch.convert_to_tensors("pt")
    with torch.no_grad():
        torch.testing.assert_close(module(**batch).logits, reference(**batch).logits)


def test_int_labels_mean_single_label_as_long_ones_do():
    module = bert()
    assert module(IDS, labels=CLASSES.int()).loss == module(IDS, labels=CLASSES).loss


def test_without_labels_there_is_no_loss():
    assert bert()(IDS).loss is None


@pytest.mark.parametrize("labels", [REALS, REALS[:, None]], ids=["(B,)", "(B, 1)"])
def test_regression_labels_never_broadcast(labels):
    output = bert(num_labels=1)(IDS, labels=labels)
    by_hand = sum((output.logits[i, 0] - REALS[i]) ** 2 for i in range(N)) / N
    torch.testing.assert_close(output.loss, by_hand)


@pytest.mark.parametrize(("num_labels", "problem_type", "labels"), [p for p in PROBLEMS.values() if p[1] is not None])
def test_unreduced_losses_are_one_per_row_and_average_to_the_mean(num_labels, problem_type, labels):
    logits, loss = torch.randn(N, num_labels), LOSSES[problem_type]
    losses = loss(logits, labels, reduction="none")
    assert losses.shape == (N,)
    torch.testing.assert_close(losses.mean(), loss(logits, labels))


@pytest.mark.parametrize(("label", "expected"), [(0.0, 1e4), (1.0, 0.0)], ids=["wrong", "right"])
def test_multi_label_loss_is_finite_at_huge_logits(label, expected):
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = multi_label_loss(logits, torch.tensor([[label, 1 - label]]))
    loss.backward()
    assert loss == expected
    assert logits.grad.isfinite().all()


@all_problems
@pytest.mark.parametrize("given", [False, True], ids=["new encoder", "given encoder"])
def test_the_callers_config_is_never_changed(num_labels, problem_type, labels, given):
    config = make_config(VOCAB, num_labels=num_labels, problem_type=problem_type)
    encoder = BertModel(config) if given else None
    before = deepcopy(vars(config))
    BertModule(config, encoder=encoder)(IDS, labels=labels, output_attentions=True)
    assert vars(config) == before


def test_types_of_tokens_are_left_out_where_the_encoder_has_one_only():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = RobertaConfig(vocab_size=50, type_vocab_size=1, pad_token_id=1, num_labels=2, **sizes)
    module = BertModule(config).eval()
    types = torch.ones_like(IDS)
    torch.testing.assert_close(module(IDS, token_type_ids=types).logits, module(IDS).logits)


def test_inputs_embeds_equal_their_input_ids():
    module = bert()
    torch.testing.assert_close(
        module(inputs_embeds=module.bert.embeddings.word_embeddings(IDS), attention_mask=MASK).logits,
        module(IDS, attention_mask=MASK).logits,
    )


@pytest.mark.parametrize(
    ("inputs", "came"),
    [({}, "neither"), ({"input_ids": IDS, "inputs_embeds": EMBEDDINGS}, "both")],
    ids=["neither", "both"],
)
def test_exactly_one_of_input_ids_and_inputs_embeds_is_needed(inputs, came):
    message = (
        f"Got {came} of input_ids and inputs_embeds. "
        "Expected exactly one: pass token ids, or embeddings in their place."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        bert()(**inputs)


@pytest.mark.parametrize(
    ("name", "default", "other"),
    [
        ("attention_mask", torch.ones_like(IDS), MASK),
        ("token_type_ids", torch.zeros_like(IDS), TYPES),
        ("position_ids", torch.arange(T).expand(N, T), POSITIONS),
    ],
)
def test_an_absent_input_is_its_default_and_another_value_matters(name, default, other):
    module = bert()
    torch.testing.assert_close(module(IDS, **{name: default}).logits, module(IDS).logits)
    assert not torch.allclose(module(IDS, **{name: other}).logits, module(IDS).logits)


@all_poolings
@both_attentions
def test_padding_does_not_change_logits(pooling, attention):
    module = bert(pooling=pooling, attention=attention)
    padded = module(IDS, attention_mask=MASK).logits
    alone = [module(row[None, :length]).logits for row, length in zip(IDS, LENGTHS, strict=True)]
    torch.testing.assert_close(padded, torch.cat(alone))


def test_head_mask_of_ones_changes_nothing():
    module = bert()
    assert torch.equal(module(IDS, head_mask=torch.ones(2, 2)).logits, module(IDS).logits)


@both_attentions
@pytest.mark.parametrize("factor", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("head", [0, 1])
def test_head_mask_scales_exactly_that_head(attention, factor, layer, head):
    """A head's part enters the layer through its own columns of the output matrix."""
    module = bert(attention=attention)
    scaled, head_mask, width = deepcopy(module), torch.ones(2, 2), HIDDEN // 2
    head_mask[layer, head] = factor
    with torch.no_grad():
        weight = scaled.bert.encoder.layer[layer].attention.output.dense.weight
        weight[:, head * width : (head + 1) * width] *= factor
    ours = module(IDS, attention_mask=MASK, head_mask=head_mask).logits
    torch.testing.assert_close(ours, scaled(IDS, attention_mask=MASK).logits)
    assert not torch.allclose(ours, module(IDS, attention_mask=MASK).logits)


def test_a_removed_head_gets_no_gradient():
    module = bert()
    module(IDS, head_mask=torch.tensor([[1.0, 0.0], [1.0, 1.0]]), labels=CLASSES).loss.backward()
    gradient = module.bert.encoder.layer[0].attention.self.value.weight.grad
    assert (gradient[: HIDDEN // 2] != 0).all()
    assert (gradient[HIDDEN // 2 :] == 0).all()


def test_head_mask_has_right_gradients_of_its_own():
    module = bert().double()
    head_mask = torch.rand(2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda mask: module(IDS, head_mask=mask, labels=CLASSES).loss, head_mask)


@pytest.mark.parametrize(
    ("position", "outcome"),
    [(0, nullcontext()), (1000, pytest.raises((IndexError, RuntimeError)))],
    ids=["after the call", "after an error"],
)
def test_head_mask_and_switched_attention_are_forgotten(position, outcome):
    module = bert(attention="sdpa")
    before = module(IDS).logits
    with outcome:
        module(IDS, head_mask=torch.zeros(2, 2), output_attentions=True, position_ids=torch.full((N, T), position))
    assert torch.equal(module(IDS).logits, before)
    assert module.bert.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("shape", [(2,), (2, 3), (3, 2), (2, 2, 1)], ids=str)
def test_head_mask_of_another_shape_is_an_error(shape):
    message = f"head_mask has shape {shape}, expected (n_layers, n_heads) = (2, 2)."
    with pytest.raises(ValueError, match=re.escape(message)):
        bert()(IDS, head_mask=torch.ones(shape))


def test_head_mask_of_another_encoder_is_an_error():
    message = "head_mask needs a BERT encoder, got one of type 'distilbert'. Pass head_mask=None."
    with pytest.raises(ValueError, match=re.escape(message)):
        BertModule(DISTILBERT)(IDS, head_mask=torch.ones(2, 2))


@all_poolings
@pytest.mark.parametrize("mask", [None, MASK], ids=["no mask", "mask"])
def test_pooling_equals_a_computation_by_hand(pooling, mask):
    module = bert(pooling=pooling)
    states = module(IDS, attention_mask=mask, output_hidden_states=True).hidden_states[-1]
    lengths = [T] * N if mask is None else LENGTHS.tolist()
    pooled = {
        "pooler": torch.tanh(module.bert.pooler.dense(states[:, 0])),
        "cls": states[:, 0],
        "mean": torch.stack([row[:length].mean(dim=0) for row, length in zip(states, lengths, strict=True)]),
    }[pooling]
    torch.testing.assert_close(module(IDS, attention_mask=mask).logits, module.classifier(pooled))


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean"])
def test_a_siamese_head_sees_both_vectors_their_distance_and_their_product(pooling):
    module = bert(pooling=pooling, bi_encoder=True)
    single = BertModule(module.config, encoder=module.bert, pooling=pooling)
    vectors = single.features(IDS[:4], MASK[:4])
    vectors = vectors / vectors.square().mean(dim=1, keepdim=True).sqrt()
    u, v = vectors[0::2], vectors[1::2]
    logits = module.classifier(torch.cat([u, v, (u - v).abs(), u * v], dim=1))
    torch.testing.assert_close(module(IDS[:4], attention_mask=MASK[:4]).logits, logits)
    torch.testing.assert_close(module.classifier(module.features(IDS[:4], MASK[:4])), logits)


def test_a_siamese_module_refuses_half_a_pair():
    sentence = "Got 3 rows, expected pairs of rows. Pass two texts per pair, or bi_encoder=False."
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        bert(bi_encoder=True)(IDS[:3])


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_an_unused_pooler_gets_no_gradient_and_all_else_does(pooling):
    module = bert(pooling=pooling)
    module(IDS, attention_mask=MASK, token_type_ids=TYPES, labels=CLASSES).loss.backward()
    unused = {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert {name for name, parameter in module.named_parameters() if parameter.grad is None} == unused
    assert {name for name, parameter in module.named_parameters() if not parameter.requires_grad} == unused


@pytest.mark.parametrize(
    ("settings", "dropout", "expected"),
    [
        ({"hidden_dropout_prob": 0.3}, None, 0.3),
        ({"hidden_dropout_prob": 0.3, "classifier_dropout": 0.2}, None, 0.2),
        ({"hidden_dropout_prob": 0.3, "classifier_dropout": 0.0}, None, 0.0),
        ({"hidden_dropout_prob": 0.3, "classifier_dropout": 0.2}, 0.5, 0.5),
        ({"hidden_dropout_prob": 0.3, "classifier_dropout": 0.2}, 0.0, 0.0),
    ],
    ids=["hidden", "classifier", "classifier zero", "parameter", "parameter zero"],
)
def test_head_dropout_is_the_parameter_or_the_classifiers_or_the_hidden_one(settings, dropout, expected):
    assert BertModule(make_config(VOCAB, **settings), dropout=dropout).dropout.p == expected


def test_head_dropout_of_distilbert_goes_by_its_own_name():
    assert BertModule(DISTILBERT).dropout.p == DISTILBERT.seq_classif_dropout


def test_hidden_layers_are_gelu_layers_between_pooling_and_classifier():
    module = BertModule(make_config(VOCAB, num_labels=3), hidden_layer_sizes=(12, 5)).eval()
    assert [layer.weight.shape for layer in module.hidden] == [(12, HIDDEN), (5, 12)]
    first, second = module.hidden
    pooled = F.gelu(second(F.gelu(first(module.bert(IDS).pooler_output))))
    torch.testing.assert_close(module(IDS).logits, module.classifier(pooled))


@pytest.mark.parametrize("config", [ROBERTA, ELECTRA, DISTILBERT], ids=lambda config: config.model_type)
def test_other_encoders_train_with_a_dense_tanh_pooler(config):
    module = BertModule(config).eval()
    output = module(IDS, attention_mask=MASK, labels=CLASSES, output_hidden_states=True)
    pooler = module.bert.pooler.dense if module.pooler is None else module.pooler
    logits = module.classifier(torch.tanh(pooler(output.hidden_states[-1][:, 0])))
    torch.testing.assert_close(output.logits, logits)
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize("config", [ELECTRA, DISTILBERT], ids=lambda config: config.model_type)
def test_an_encoder_without_pooler_gets_one_only_for_pooler_pooling(config):
    assert BertModule(config).pooler.weight.shape == (HIDDEN, HIDDEN)
    assert BertModule(config, pooling="mean").pooler is None


def test_module_has_the_encoders_floating_point_format():
    assert {p.dtype for p in BertModule(make_config(VOCAB, dtype="bfloat16")).parameters()} == {torch.bfloat16}


def test_labels_of_another_shape_are_an_error():
    module = BertModule(make_config(50, num_labels=3, problem_type="regression"))
    message = "labels have shape (3, 2), logits (2, 3). Pass one label per logit."
    with pytest.raises(ValueError, match=re.escape(message)):
        module(torch.tensor([[1, 2], [3, 4]]), labels=torch.zeros(3, 2))


def test_an_unknown_problem_type_is_an_error():
    module = BertModule(make_config(50))
    module.config.problem_type = "ordinal"
    with pytest.raises(ValueError, match=re.escape("config.problem_type is 'ordinal', expected None or one of (")):
        module(torch.tensor([[1, 2]]), labels=torch.tensor([0]))


def test_an_unknown_pooling_is_an_error():
    with pytest.raises(ValueError, match=re.escape("Got pooling='max', expected one of ('pooler', 'cls', 'mean').")):
        BertModule(make_config(50), pooling="max")


def test_the_head_follows_the_config_given_beside_an_encoder():
    module = BertModule(make_config(50, num_labels=1), encoder=BertModel(make_config(50)))
    assert module(torch.tensor([[1, 2]]), labels=torch.tensor([0.5])).loss.ndim == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_labels_give_part_of_their_probability_to_the_others(smoothing):
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


def test_positive_weights_multiply_the_loss_where_a_label_is_one():
    logits, flags = torch.randn(2, 3, dtype=torch.float64), torch.tensor([[0, 1, 1], [1, 0, 0]])
    weight, p = torch.tensor([2.0, 3.0, 0.5], dtype=torch.float64), logits.sigmoid()
    by_hand = -(flags * weight * p.log() + (1 - flags) * (1 - p).log()).mean(dim=1)
    losses = LOSSES["multi_label_classification"](logits, flags, "none", pos_weight=weight)
    torch.testing.assert_close(losses, by_hand)
