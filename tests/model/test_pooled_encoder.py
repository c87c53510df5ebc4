"""An encoder with a pooling gives the features that the head of a `BertModule` takes."""

import pytest
import torch

from sklearn_bert import BertModule
from sklearn_bert._model.checkpoint import load_config
from sklearn_bert._model.pooled_encoder import POOLINGS, PooledEncoder
from tests.helpers import exactly
from tests.model.helpers import all_poolings

IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


@pytest.fixture
def config(tiny_bert):
    config = load_config(tiny_bert)
    config.dtype = torch.float32
    return config


@all_poolings
@pytest.mark.parametrize("bi_encoder", [False, True])
def test_forward_gives_the_features_of_a_module_with_a_head(tiny_bert, config, pooling, bi_encoder):
    parts = {"pooling": pooling, "bi_encoder": bi_encoder}
    encoder = PooledEncoder.from_folder(tiny_bert, config, **parts).eval()
    module = BertModule.from_folder(tiny_bert, config, **parts).eval()
    features = encoder(IDS, MASK)
    assert features.shape == ((1, 64) if bi_encoder else (2, 16))
    torch.testing.assert_close(features, module.features(IDS, MASK), rtol=0, atol=0)


def test_a_pooled_encoder_has_no_head(tiny_bert, config):
    names = {name.split(".")[0] for name, _ in PooledEncoder.from_folder(tiny_bert, config).named_parameters()}
    assert names == {"bert"}


def test_an_unknown_pooling_raises(config):
    message = f"Got pooling='max', expected one of {POOLINGS}. Choose one of these."
    with pytest.raises(ValueError, match=exactly(message)):
        PooledEncoder(config, pooling="max")


def test_a_bi_encoder_with_an_odd_number_of_rows_raises(config):
    message = "Got 1 rows, expected pairs of rows. Pass two texts per pair, or bi_encoder=False."
    with pytest.raises(ValueError, match=exactly(message)):
        PooledEncoder(config, pooling="mean", bi_encoder=True)(IDS[:1], MASK[:1])
