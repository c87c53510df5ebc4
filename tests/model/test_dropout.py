"""Dropout probabilities of an encoder's config, whose names differ between families of encoders."""

import pytest
import transformers

from sklearn_bert._model.dropout import head_dropout, set_dropout
from tests.conftest import make_config
from tests.helpers import exactly


@pytest.mark.parametrize("probability", [None, 0.0, 0.3])
@pytest.mark.parametrize(
    ("config", "parameter", "names"),
    [
        (make_config(9), "dropout", "hidden_dropout_prob classifier_dropout"),
        (make_config(9), "attention_dropout", "attention_probs_dropout_prob"),
        (transformers.DistilBertConfig(), "dropout", "dropout seq_classif_dropout"),
        (transformers.DistilBertConfig(), "attention_dropout", "attention_dropout"),
        (transformers.ModernBertConfig(), "dropout", "embedding_dropout mlp_dropout classifier_dropout"),
    ],
    ids=["BERT", "BERT attention", "DistilBERT", "DistilBERT attention", "ModernBERT"],
)
def test_set_dropout_replaces_the_probabilities_of_the_config_unless_it_is_none(config, parameter, names, probability):
    config = type(config).from_dict(config.to_dict())
    expected = config.to_dict()
    if probability is not None:
        expected |= dict.fromkeys(names.split(), probability)
    set_dropout(config, **{parameter: probability})
    assert config.to_dict() == expected


def test_set_dropout_raises_if_the_config_has_no_such_dropout():
    sentence = "attention_dropout=0.3 has no counterpart in a 'fnet' model. Pass None."
    with pytest.raises(ValueError, match=exactly(sentence)):
        set_dropout(transformers.FNetConfig(), dropout=0.1, attention_dropout=0.3)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (transformers.AlbertConfig(hidden_dropout_prob=0.0, classifier_dropout_prob=0.2), 0.2),
        (transformers.XLMConfig(dropout=0.3), 0.3),
        (transformers.FNetConfig(hidden_dropout_prob=0.4), 0.4),
        (transformers.T5Config(dropout_rate=0.5), 0.0),
    ],
    ids=["ALBERT", "XLM", "FNet", "none of the names"],
)
def test_head_dropout_takes_the_most_specific_name(config, expected):
    assert head_dropout(config) == expected
