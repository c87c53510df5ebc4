"""Encoders of several families split into embeddings and layers; what is frozen, and which layer learns how fast."""

import pytest
import torch
from transformers import AlbertConfig, AutoModel, DistilBertConfig, ElectraConfig, RobertaConfig, XLMConfig

from sklearn_bert import BertClassifier, BertModule
from sklearn_bert._model.layers import frozen_parts, layerwise_lr_multipliers, split_into_layers
from sklearn_bert._training.training_net import BertNet
from tests.conftest import make_config
from tests.helpers import FAST, exactly

SMALL = {"vocab_size": 50, "max_position_embeddings": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
ENCODERS = {
    "bert": make_config(50, num_hidden_layers=3),
    "roberta": RobertaConfig(**SMALL, hidden_size=16, intermediate_size=32, pad_token_id=1),
    "distilbert": DistilBertConfig(**SMALL, dim=16, hidden_dim=32),
    "electra": ElectraConfig(**SMALL, hidden_size=16, embedding_size=8, intermediate_size=32),
}
SETTINGS = FAST | {"batch_size": 16}


@pytest.fixture(params=ENCODERS)
def encoder(request):
    return AutoModel.from_config(ENCODERS[request.param])


def parameters_of(parts):
    return {id(p) for part in parts for p in part.parameters()}


def test_split_into_layers_gives_all_parameters_but_those_of_the_pooler(encoder):
    embeddings, layers = split_into_layers(encoder)
    assert len(layers) == 3
    table = encoder.get_input_embeddings().weight
    assert id(table) in parameters_of(embeddings)
    assert not parameters_of(embeddings) & parameters_of(layers)
    pooler = parameters_of([encoder.pooler]) if hasattr(encoder, "pooler") else set()
    assert parameters_of(embeddings) | parameters_of(layers) | pooler == parameters_of([encoder])


@pytest.mark.parametrize(("freeze", "n_layers"), [("embeddings", 0), (0, 0), (2, 2), (3, 3)])
def test_frozen_parts_are_the_embeddings_and_the_lowest_layers(encoder, freeze, n_layers):
    embeddings, layers = split_into_layers(encoder)
    assert parameters_of(frozen_parts(encoder, freeze)) == parameters_of([*embeddings, *layers[:n_layers]])


def test_frozen_parts_of_none_and_encoder_are_nothing_and_everything(encoder):
    assert frozen_parts(encoder, None) == []
    assert frozen_parts(encoder, "encoder") == [encoder]


def test_freezing_more_layers_than_there_are_raises(encoder):
    message = "freeze=4 is more than the encoder's 3 layers. Expected at most 3; freeze='encoder' freezes all of it."
    with pytest.raises(ValueError, match=exactly(message)):
        frozen_parts(encoder, 4)


def test_learning_rates_fall_by_the_decay_from_layer_to_layer(encoder):
    embeddings, layers = split_into_layers(encoder)
    factors = layerwise_lr_multipliers(encoder, 0.5)
    for parts, expected in (([layers[2]], 1.0), ([layers[1]], 0.5), ([layers[0]], 0.25), (embeddings, 0.125)):
        assert {factors[i] for i in parameters_of(parts)} == {expected}
    assert len(factors) == len(list(encoder.parameters()))
    assert set(layerwise_lr_multipliers(encoder, 1.0).values()) == {1.0}


def test_an_encoder_that_shares_one_layer_raises_but_can_be_frozen_as_a_whole():
    config = AlbertConfig(vocab_size=50, embedding_size=8, hidden_size=16, num_attention_heads=2, intermediate_size=32)
    encoder = AutoModel.from_config(config)
    message = (
        "An encoder of type 'albert' has no list of separate layers. Pass freeze=None or 'encoder', layer_decay=1.0, "
        "gradient_checkpointing=False and pooling='auto'."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        split_into_layers(encoder)
    assert frozen_parts(encoder, "encoder") == [encoder]
    assert set(layerwise_lr_multipliers(encoder, 1.0).values()) == {1.0}


def test_an_encoder_with_lists_of_parts_of_layers_raises():
    encoder = AutoModel.from_config(
        XLMConfig(vocab_size=50, emb_dim=16, n_layers=2, n_heads=2, max_position_embeddings=64)
    )
    message = (
        "An encoder of type 'xlm' has no list of separate layers. Pass freeze=None or 'encoder', layer_decay=1.0, "
        "gradient_checkpointing=False and pooling='auto'."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        split_into_layers(encoder)


def test_layer_decay_of_a_frozen_encoder_needs_no_layers():
    config = AlbertConfig(vocab_size=50, embedding_size=8, hidden_size=16, num_attention_heads=2, intermediate_size=32)
    encoder = AutoModel.from_config(config).requires_grad_(False)
    assert set(layerwise_lr_multipliers(encoder, 0.9).values()) == {1.0}


# -- their effect on a fit -----------------------------------------------------------------------------


def change_of(part, folder, classifier):
    """The largest change that a fit made to the parameters of a part of the checkpoint's encoder."""
    pairs = zip(AutoModel.from_pretrained(folder).named_parameters(), classifier.module_.bert.parameters(), strict=True)
    return max((p - q).abs().max().item() for (name, p), q in pairs if part in name)


@pytest.mark.parametrize(
    ("freeze", "expected"),
    [
        (None, {"embeddings", "layer.0", "layer.1"}),
        ("embeddings", {"layer.0", "layer.1"}),
        (1, {"layer.1"}),
        ("encoder", set()),
    ],
)
def test_a_fit_does_not_change_what_is_frozen(tiny_bert, reviews, freeze, expected):
    fitted = BertClassifier(tiny_bert, freeze=freeze, **SETTINGS).fit(*reviews)
    parts = ("embeddings", "layer.0", "layer.1")
    assert {part for part in parts if change_of(part, tiny_bert, fitted)} == expected


def test_frozen_parts_have_no_gradients_no_optimizer_state_and_no_dropout(tiny_bert, reviews, monkeypatch):
    seen, train_step = [], BertNet.train_step

    def spy(net, batch, **params):
        result = train_step(net, batch, **params)
        layer = net.module_.bert.encoder.layer
        frozen = [*net.module_.bert.embeddings.parameters(), *layer[0].parameters()]
        seen.append(
            {
                "gradients": any(p.grad is not None for p in frozen),
                "state": any(p in net.optimizer_.state for p in frozen),
                "dropout": [m.training for m in (net.module_.bert.embeddings, layer[0].output, layer[1].output)],
            }
        )
        return result

    monkeypatch.setattr(BertNet, "train_step", spy)
    BertClassifier(tiny_bert, freeze=1, **SETTINGS).fit(*reviews)
    assert seen
    assert all(step == {"gradients": False, "state": False, "dropout": [False, False, True]} for step in seen)


def test_a_fit_with_a_frozen_encoder_encodes_each_text_once(tiny_bert, reviews, monkeypatch):
    rows, features = [], BertModule.features

    def spy(module, input_ids, **inputs):
        rows.append(len(input_ids))
        return features(module, input_ids, **inputs)

    monkeypatch.setattr(BertModule, "features", spy)
    settings = SETTINGS | {"max_epochs": 20, "early_stopping": True, "n_iter_no_change": 20}
    fitted = BertClassifier(tiny_bert, freeze="encoder", hidden_layer_sizes=(8,), **settings).fit(*reviews)
    assert fitted.n_iter_ == 20
    assert sum(rows) == len(reviews[0])
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]


def test_a_head_learns_the_same_from_stored_features_as_from_texts(tiny_bert, reviews):
    """``freeze=2`` freezes all layers, too, but encodes the texts in each epoch instead of storing features."""
    settings = SETTINGS | {"dropout": 0.0, "attention_dropout": 0.0, "precision": "float64", "batch_size": 48}
    stored = BertClassifier(tiny_bert, freeze="encoder", **settings).fit(*reviews)
    encoded = BertClassifier(tiny_bert, freeze=2, **settings).fit(*reviews)
    torch.testing.assert_close(
        stored.module_.classifier.weight, encoded.module_.classifier.weight, rtol=1e-9, atol=1e-12
    )


def test_layer_decay_makes_lower_layers_change_less(tiny_bert, reviews):
    fitted = BertClassifier(tiny_bert, layer_decay=0.1, **SETTINGS).fit(*reviews)
    embeddings, low, high = (change_of(part, tiny_bert, fitted) for part in ("embeddings", "layer.0", "layer.1"))
    assert embeddings < 0.3 * low < 0.09 * high
