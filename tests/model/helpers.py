"""Small modules with random weights, the same modules of transformers, and inputs and labels for them."""

import pytest
import torch
from transformers import BertForSequenceClassification, DistilBertConfig, ElectraConfig, RobertaConfig

from sklearn_bert import BertModule
from sklearn_bert._model.pooled_encoder import POOLINGS
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
all_poolings = pytest.mark.parametrize("pooling", POOLINGS)


def bert(*, attention="sdpa", num_labels=3, pooling="pooler", bi_encoder=False, **changes):
    """Our module in evaluation mode, with all weights random: transformers starts with biases of zero."""
    config = make_config(VOCAB, attn_implementation=attention, num_labels=num_labels, **changes)
    module = BertModule(config, pooling=pooling, bi_encoder=bi_encoder).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return module


def module_and_reference(**settings):
    """Our module and the reference, which has eager attention, with the same weights."""
    module = bert(**settings)
    changes = {k: v for k, v in settings.items() if k != "attention"}
    reference = BertForSequenceClassification(
        make_config(VOCAB, attn_implementation="eager", **{"num_labels": 3} | changes)
    )
    reference.load_state_dict(module.state_dict(), strict=True)
    return module, reference.eval()
