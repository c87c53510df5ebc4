"""Integrated gradients need an encoder that computes from embeddings, and a baseline where the score does not jump."""

import pytest
import torch
from transformers import AutoModel

from sklearn_bert import BertClassifier
from tests.helpers import FAST
from tests.model.families import save_family

SENTENCE = (
    r"^A '{}' encoder cannot be explained: it does not compute from embeddings what it computes from token ids "
    r"\({}\)\. Choose another encoder, such as BERT\.$"
)


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("ibert", "AttributeError, 'tuple' object has no attribute 'flatten'"),  # cannot
        ("esm", r"the score is -?[\d.]+ instead of -?[\d.]+"),  # computes something else
    ],
)
def test_an_encoder_that_cannot_compute_from_embeddings_is_an_error(tmp_path, tiny_bert, reviews, model_type, reason):
    settings = FAST | {"max_epochs": 1, "precision": "float32"}
    classifier = BertClassifier(save_family(tmp_path, model_type), **settings).fit(*reviews)
    with pytest.raises(ValueError, match=SENTENCE.format(model_type, reason)):
        classifier.explain(reviews[0][:1])
    BertClassifier(tiny_bert, **settings).fit(*reviews).explain(reviews[0][:1], n_steps=1)  # the cure


@pytest.mark.parametrize(("model_type", "token"), [("funnel", "mask"), ("bert", "pad")])
def test_the_baseline_is_the_mask_token_where_a_normalisation_makes_the_score_jump(
    tmp_path, reviews, model_type, token
):
    folder = save_family(tmp_path, model_type)
    encoder = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        encoder.get_input_embeddings().weight[0] = 0
    encoder.save_pretrained(folder)
    classifier = BertClassifier(folder, **FAST | {"precision": "float32"}).fit(*reviews)
    [explanation] = classifier.explain(["the movie was great"], "good", n_steps=256)
    blank = " ".join([getattr(classifier.tokenizer_, f"{token}_token")] * 4)
    margin = classifier.decision_function([blank])[0] * (1 if classifier.classes_[1] == "good" else -1)
    assert explanation.baseline_score == pytest.approx(margin, abs=1e-4)
    assert abs(explanation.convergence_delta) < 0.01 * abs(explanation.score - explanation.baseline_score)
