"""What padding and bfloat16 do in an encoder, for real families of encoders with random weights."""

import pytest
import torch
from transformers import AutoModel, TapasConfig

from sklearn_bert import BertModule
from sklearn_bert._model.encoder_trial import TRIED_FAMILIES, padding_leaks, try_encoder
from tests.helpers import exactly
from tests.model.families import NO_BFLOAT16, PADDING_LEAKS, SIZES, config_of

# transformers 5.0 compiles parts of DeBERTa and ModernBERT when they are first imported, by what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")


@pytest.fixture(autouse=True)
def seed_zero():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def module_of(model_type, **params):
    return BertModule(config_of(model_type), pooling="mean", **params).eval()


@pytest.mark.parametrize("bi_encoder", [False, True])
@pytest.mark.parametrize("model_type", sorted(TRIED_FAMILIES))
def test_in_a_tried_family_padding_changes_nothing_and_bfloat16_computes(model_type, bi_encoder):
    module = module_of(model_type, bi_encoder=bi_encoder)
    assert not padding_leaks(module, 0)
    with torch.autocast("cpu", torch.bfloat16):
        assert try_encoder(module, 0).isfinite().all()


@pytest.mark.parametrize("bi_encoder", [False, True])
@pytest.mark.parametrize("model_type", PADDING_LEAKS)
def test_convolutions_and_hashes_let_padding_leak(model_type, bi_encoder):
    assert model_type not in TRIED_FAMILIES
    assert padding_leaks(module_of(model_type, bi_encoder=bi_encoder), 0)


@pytest.mark.parametrize("model_type", NO_BFLOAT16)
def test_some_families_cannot_compute_in_bfloat16(model_type):
    assert model_type not in TRIED_FAMILIES
    module = module_of(model_type)
    assert not padding_leaks(module, 0)
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(RuntimeError, match=r"BFloat16|dtype"):
        try_encoder(module, 0)


def test_yoso_has_features_that_are_no_numbers_in_bfloat16():
    module = module_of("yoso")
    texts = torch.randint(5, 50, (200, 64))
    arguments = texts, torch.ones_like(texts), torch.zeros_like(texts)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert not module.features(*arguments).isfinite().all()
        with pytest.raises(RuntimeError, match="dtype"):
            try_encoder(module, 0)
    assert try_encoder(module, 0).isfinite().all()


def test_a_trial_leaves_dropout_off_and_the_weights_as_they_were():
    module = module_of("convbert").train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    padding_leaks(module, 0)
    assert not module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_an_encoder_of_something_else_than_texts_is_an_error():
    config = TapasConfig(**SIZES)
    module = BertModule(config, encoder=AutoModel.from_config(config), pooling="mean")
    message = (
        "A 'tapas' encoder cannot encode a text of 5 tokens (IndexError, too many indices for tensor of dimension 2). "
        "Choose an encoder of plain texts, such as BERT."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        padding_leaks(module, 0)


def test_an_encoder_that_draws_random_numbers_in_prediction_is_an_error():
    module = module_of("bert")
    module.bert.embeddings.register_forward_hook(lambda _, inputs, output: output + torch.randn_like(output))
    message = (
        "A 'bert' encoder gives different features each time it encodes a text. Expected equal ones; choose an "
        "encoder without random numbers in prediction, such as BERT."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        padding_leaks(module, 0)
