"""Training the embeddings of used tokens only gives the same outputs and gradients; then the full table is back."""

from unittest import mock

import pytest
import torch
from torch import nn
from transformers import AutoModel, BertModel, DistilBertConfig, RobertaConfig

from sklearn_bert import BertClassifier
from sklearn_bert._model.embedding_subset import UsedEmbedding, train_used_embeddings
from sklearn_bert._training.training_net import BertNet
from tests.conftest import make_config

SMALL = {"vocab_size": 50, "max_position_embeddings": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
ENCODERS = {
    "bert": make_config(50),
    "roberta": RobertaConfig(**SMALL, hidden_size=16, intermediate_size=32, pad_token_id=1),
    "distilbert": DistilBertConfig(**SMALL, dim=16, hidden_dim=32),
}
IDS = torch.tensor([[7, 3, 49, 3], [11, 7, 0, 0]])


@pytest.fixture(params=ENCODERS)
def encoder(request):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModel.from_config(ENCODERS[request.param]).double().eval()


def loss_and_gradient(encoder):
    table = encoder.get_input_embeddings()
    loss = encoder(input_ids=IDS).last_hidden_state.square().mean()
    (gradient,) = torch.autograd.grad(loss, table.weight)
    return loss, gradient


def test_outputs_and_gradients_are_those_of_the_full_table(encoder):
    expected_loss, expected = loss_and_gradient(encoder)
    used = torch.tensor(sorted({*IDS.unique().tolist(), encoder.get_input_embeddings().padding_idx or 0}))
    with train_used_embeddings(encoder, IDS.unique().tolist()):
        loss, gradient = loss_and_gradient(encoder)
    torch.testing.assert_close(loss, expected_loss)
    torch.testing.assert_close(gradient, expected[used])
    assert not expected[[i for i in range(50) if i not in used]].any()


def test_trained_rows_are_written_back_and_other_rows_do_not_change(encoder):
    full = encoder.get_input_embeddings()
    before = full.weight.detach().clone()
    with train_used_embeddings(encoder, [7, 3]):
        subset = encoder.get_input_embeddings()
        assert [name for name, p in encoder.named_parameters() if p is full.weight] == []
        with torch.no_grad():
            subset.weight.add_(1)
    assert encoder.get_input_embeddings() is full
    changed = (full.weight != before).any(dim=1).nonzero().flatten().tolist()
    padding = [] if full.padding_idx is None else [full.padding_idx]
    assert changed == sorted({3, 7, *padding})


def test_the_full_table_is_restored_after_an_error(encoder):
    full = encoder.get_input_embeddings()
    with pytest.raises(KeyboardInterrupt), train_used_embeddings(encoder, [1]):
        raise KeyboardInterrupt
    assert encoder.get_input_embeddings() is full


def test_looking_up_an_unused_token_raises():
    subset = UsedEmbedding(nn.Embedding(9, 2), torch.tensor([2, 5]))
    assert torch.equal(subset(torch.tensor([5, 2, 5])), subset.weight[[1, 0, 1]])
    with pytest.raises(IndexError):
        subset(torch.tensor([3]))


def test_frozen_embeddings_are_not_replaced():
    encoder = BertModel(make_config(50))
    full = encoder.get_input_embeddings().requires_grad_(False)
    with train_used_embeddings(encoder, [1]):
        assert encoder.get_input_embeddings() is full


def test_a_fit_trains_the_tokens_of_its_texts_and_predicts_with_all_tokens(tiny_bert, reviews):
    sizes, train_step = [], BertNet.train_step

    def spy(net, batch, **params):
        sizes.append(len(net.module_.bert.get_input_embeddings().weight))
        return train_step(net, batch, **params)

    with mock.patch.object(BertNet, "train_step", spy):
        classifier = BertClassifier(tiny_bert, max_epochs=1, random_state=0).fit(*reviews)
    words = {token for text in reviews[0] for token in classifier.tokenizer_.tokenize(text)}
    assert set(sizes) == {len(words | {"[CLS]", "[SEP]", "[PAD]"})}
    assert len(classifier.module_.bert.get_input_embeddings().weight) == len(classifier.tokenizer_)
    assert len(classifier.predict(["zebra quickly jumps", *reviews[0]])) == 1 + len(reviews[0])
