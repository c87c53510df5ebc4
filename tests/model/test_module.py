"""`BertModule` equals transformers' `BertForSequenceClassification`; poolings, pairs of texts and other encoders."""

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
    RobertaConfig,
)

from sklearn_bert import BertModule
from sklearn_bert._model.pooled_encoder import POOLINGS
from tests.conftest import make_config
from tests.helpers import exactly
from tests.model.helpers import (
    CLASSES,
    DISTILBERT,
    ELECTRA,
    EMBEDDINGS,
    HIDDEN,
    IDS,
    LENGTHS,
    MASK,
    POSITIONS,
    ROBERTA,
    TYPES,
    VOCAB,
    N,
    T,
    all_poolings,
    all_problems,
    bert,
    both_attentions,
    module_and_reference,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


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
    module, reference = module_and_reference(attention=attention)
    flags = {"output_hidden_states": True, "output_attentions": True}
    ours, theirs = module(**inputs, **flags), reference(**inputs, **flags)
    assert ours.keys() == theirs.keys()
    assert (len(ours.hidden_states), len(ours.attentions)) == (3, 2)
    torch.testing.assert_close(ours.to_tuple(), theirs.to_tuple())
    torch.testing.assert_close(module(**inputs).logits, theirs.logits)  # this call does not switch to eager attention


def test_dropout_in_training_equals_the_reference():
    """The same seed gives the same loss, so dropout has the same probabilities in the same places."""
    module, reference = module_and_reference(attention="eager", classifier_dropout=0.4, hidden_dropout_prob=0.2)
    losses = []
    for model in (module, reference):
        torch.manual_seed(1)
        losses.append(model.train()(IDS, attention_mask=MASK, labels=CLASSES).loss)
    assert losses[0] == losses[1]
    assert losses[0] != module.eval()(IDS, attention_mask=MASK, labels=CLASSES).loss


@pytest.mark.parametrize("with_labels", [False, True], ids=["no labels", "labels"])
@pytest.mark.parametrize("attentions", [False, True], ids=["no attentions", "attentions"])
@pytest.mark.parametrize("states", [False, True], ids=["no states", "states"])
def test_return_dict_false_gives_the_tuple_of_the_reference(with_labels, attentions, states):
    arguments = {"output_attentions": attentions, "output_hidden_states": states, "return_dict": False}
    arguments |= {"labels": CLASSES} if with_labels else {}
    ours, theirs = (model(IDS, **arguments) for model in module_and_reference())
    assert type(ours) is tuple
    assert len(ours) == 1 + with_labels + attentions + states
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("configured", "asked", "is_tuple"),
    [(True, None, False), (False, None, True), (True, False, True), (False, True, False)],
)
def test_return_dict_defaults_to_the_config(configured, asked, is_tuple):
    for model in module_and_reference(return_dict=configured):
        assert isinstance(model(IDS, return_dict=asked), tuple) is is_tuple


@pytest.mark.parametrize("part", ["attentions", "hidden_states"])
def test_output_flags_default_to_the_config(part):
    flag = f"output_{part}"
    module, reference = module_and_reference(attention="eager", **{flag: True})
    torch.testing.assert_close(module(IDS)[part], reference(IDS)[part])
    assert part not in module(IDS, **{flag: False})


def test_state_dicts_load_strictly_into_the_reference_and_back():
    _, reference = module_and_reference()
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


@all_problems
@pytest.mark.parametrize("given", [False, True], ids=["new encoder", "given encoder"])
def test_forward_does_not_change_the_callers_config(num_labels, problem_type, labels, given):
    config = make_config(VOCAB, num_labels=num_labels, problem_type=problem_type)
    encoder = BertModel(config) if given else None
    before = deepcopy(vars(config))
    BertModule(config, encoder=encoder)(IDS, labels=labels, output_attentions=True)
    assert vars(config) == before


def test_token_type_ids_are_ignored_if_the_encoder_has_one_type():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = RobertaConfig(vocab_size=50, type_vocab_size=1, pad_token_id=1, num_labels=2, **sizes)
    module = BertModule(config).eval()
    types = torch.ones_like(IDS)
    torch.testing.assert_close(module(IDS, token_type_ids=types).logits, module(IDS).logits)


def test_inputs_embeds_give_the_logits_of_their_input_ids():
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
def test_neither_or_both_of_input_ids_and_inputs_embeds_raise(inputs, came):
    message = (
        f"Got {came} of input_ids and inputs_embeds. "
        "Expected exactly one: pass token ids, or embeddings in their place."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        bert()(**inputs)


@pytest.mark.parametrize(
    ("name", "default", "other"),
    [
        ("attention_mask", torch.ones_like(IDS), MASK),
        ("token_type_ids", torch.zeros_like(IDS), TYPES),
        ("position_ids", torch.arange(T).expand(N, T), POSITIONS),
    ],
)
def test_an_absent_input_equals_its_default_and_other_values_change_the_logits(name, default, other):
    module = bert()
    torch.testing.assert_close(module(IDS, **{name: default}).logits, module(IDS).logits)
    assert not torch.allclose(module(IDS, **{name: other}).logits, module(IDS).logits)


@all_poolings
@both_attentions
def test_padding_does_not_change_the_logits(pooling, attention):
    module = bert(pooling=pooling, attention=attention)
    padded = module(IDS, attention_mask=MASK).logits
    alone = [module(row[None, :length]).logits for row, length in zip(IDS, LENGTHS, strict=True)]
    torch.testing.assert_close(padded, torch.cat(alone))


@all_poolings
@pytest.mark.parametrize("mask", [None, MASK], ids=["no mask", "mask"])
def test_pooling_equals_a_computation_by_hand(pooling, mask):
    module = bert(pooling=pooling)
    *_, lowest, below, states = module(IDS, attention_mask=mask, output_hidden_states=True).hidden_states
    lengths = [T] * N if mask is None else LENGTHS.tolist()

    def mean(layer):
        return torch.stack([row[:length].mean(dim=0) for row, length in zip(layer, lengths, strict=True)])

    pooled = {
        "pooler": torch.tanh(module.bert.pooler.dense(states[:, 0])),
        "cls": states[:, 0],
        "mean": mean(states),
        "mean_last_two": (mean(states) + mean(below)) / 2,
        "mean_last_three": (mean(states) + mean(below) + mean(lowest)) / 3,
    }[pooling]
    torch.testing.assert_close(module(IDS, attention_mask=mask).logits, module.classifier(pooled))


@all_poolings
def test_the_head_of_a_bi_encoder_sees_both_vectors_their_distance_and_their_product(pooling):
    module = bert(pooling=pooling, bi_encoder=True)
    single = BertModule(module.config, encoder=module.bert, pooling=pooling)
    vectors = single.features(IDS[:4], MASK[:4])
    vectors = vectors / vectors.square().mean(dim=1, keepdim=True).sqrt()
    u, v = vectors[0::2], vectors[1::2]
    logits = module.classifier(torch.cat([u, v, (u - v).abs(), u * v], dim=1))
    torch.testing.assert_close(module(IDS[:4], attention_mask=MASK[:4]).logits, logits)
    torch.testing.assert_close(module.classifier(module.features(IDS[:4], MASK[:4])), logits)


def test_a_bi_encoder_with_an_odd_number_of_rows_raises():
    sentence = "Got 3 rows, expected pairs of rows. Pass two texts per pair, or bi_encoder=False."
    with pytest.raises(ValueError, match=exactly(sentence)):
        bert(bi_encoder=True)(IDS[:3])


@pytest.mark.parametrize("pooling", ["cls", "mean", "mean_last_two", "mean_last_three"])
def test_an_unused_pooler_gets_no_gradient_and_other_parameters_do(pooling):
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
def test_head_dropout_is_the_argument_or_classifier_dropout_or_hidden_dropout_prob(settings, dropout, expected):
    assert BertModule(make_config(VOCAB, **settings), dropout=dropout).dropout.p == expected


def test_head_dropout_of_distilbert_is_its_seq_classif_dropout():
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


def test_all_parameters_have_the_dtype_of_the_config():
    assert {p.dtype for p in BertModule(make_config(VOCAB, dtype="bfloat16")).parameters()} == {torch.bfloat16}


def test_an_unknown_pooling_raises():
    message = f"Got pooling='max', expected one of {POOLINGS}. Choose one of these."
    with pytest.raises(ValueError, match=exactly(message)):
        BertModule(make_config(50), pooling="max")
