"""The contrastive steps: the loss, the batches, when they are made, and what they are good for."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._encoding.batching import EncodedDataset
from sklearn_bert._encoding.tokenization import tokenize
from sklearn_bert._model.checkpoint import load_config, load_tokenizer
from sklearn_bert._training import contrastive
from sklearn_bert._training.contrastive import BatchDraw, pair_loss
from sklearn_bert.datasets import load_tickets
from tests.helpers import exactly

SETTINGS = {"max_epochs": 1, "random_state": 0, "precision": "float32", "device": "cpu"}


def dataset_of(tiny_bert, texts, y, w=None):
    tokens = tokenize(load_tokenizer(tiny_bert, load_config(tiny_bert)), (texts,), 64)
    return EncodedDataset(tokens, np.asarray(y), np.ones(len(y)) if w is None else np.asarray(w, dtype=float))


def few(reviews, n=16):
    return reviews[0][:n], reviews[1][:n]


def steps_of(classifier):
    return classifier.contrastive_steps_


def separation(classifier, texts, labels):
    """How much larger the cosine of two texts of one class is than that of two classes, on average."""
    features = F.normalize(torch.tensor(classifier.net_.predict_features(classifier.to_dataset(texts))), dim=1)
    same, cosine = np.equal.outer(np.asarray(labels), np.asarray(labels)), (features @ features.T).numpy()
    return cosine[same].mean() - cosine[~same].mean()


# -- the loss ---------------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_over_pairs_of_one_class_and_over_pairs_of_two():
    features, y = torch.randn(7, 5, dtype=torch.float64), torch.tensor([0, 0, 0, 1, 1, 2, 2])
    one, two = [], []
    for i in range(7):
        for j in range(i):
            cosine = F.cosine_similarity(features[i], features[j], dim=0)
            (one if y[i] == y[j] else two).append((cosine - float(y[i] == y[j])) ** 2)
    torch.testing.assert_close(pair_loss(features, y), (sum(one) / len(one) + sum(two) / len(two)) / 2)


def test_the_loss_is_zero_for_classes_at_right_angles_and_does_not_depend_on_lengths():
    features, y = torch.eye(3)[[0, 0, 1, 1, 2]], torch.tensor([0, 0, 1, 1, 2])
    assert pair_loss(features * torch.arange(1.0, 6.0)[:, None], y) == 0


def test_the_loss_knows_batches_without_pairs_of_one_class_or_of_two():
    same = torch.zeros(2, dtype=torch.long)
    assert pair_loss(torch.ones(2, 3), same) < 1e-6
    assert abs(pair_loss(torch.ones(2, 3), torch.tensor([0, 1])) - 1) < 1e-6


# -- the batches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_classes", "size", "expected"), [(2, 16, 16), (3, 16, 15), (20, 16, 16), (2, 4, 4)])
def test_a_batch_has_as_many_rows_of_each_of_its_classes_and_none_twice(tiny_bert, reviews, n_classes, size, expected):
    y = np.arange(40) % n_classes
    texts = [f"{text} {i}" for i, text in enumerate(reviews[0][:40])]
    draw = BatchDraw(dataset_of(tiny_bert, texts, y), np.random.default_rng(0))
    for _ in range(20):
        rows = draw(size)
        assert len(rows) == len(set(rows)) == expected
        counts = np.unique(y[rows], return_counts=True)[1]
        assert len(set(counts)) == 1
        assert counts[0] >= 2


def test_a_row_of_weight_k_is_drawn_like_k_copies(tiny_bert, reviews):
    texts, y = reviews[0][:6], np.array([0, 1, 0, 1, 0, 1])
    weighted = BatchDraw(dataset_of(tiny_bert, texts, y, [3, 1, 1, 1, 1, 2]), np.random.default_rng(0))
    order = [0, 0, 0, 1, 2, 3, 4, 5, 5]
    copied = BatchDraw(dataset_of(tiny_bert, [texts[i] for i in order], y[order]), np.random.default_rng(0))
    for _ in range(10):
        assert [texts[i] for i in weighted(4)] == [texts[order[i]] for i in copied(4)]


def test_the_order_of_the_rows_does_not_matter(tiny_bert, reviews):
    texts, y = reviews[0][:8], np.array([0, 1] * 4)
    draw = BatchDraw(dataset_of(tiny_bert, texts, y), np.random.default_rng(0))
    reverse = BatchDraw(dataset_of(tiny_bert, texts[::-1], y[::-1]), np.random.default_rng(0))
    for _ in range(10):
        assert [texts[i] for i in draw(4)] == [texts[::-1][i] for i in reverse(4)]


def test_weights_that_vanish_beside_others_leave_a_row_or_class_out(tiny_bert, reviews):
    y, w = np.array([0, 0, 1, 1, 2]), [1e308, 5e-324, 1e308, 1e308, 5e-324]
    draw = BatchDraw(dataset_of(tiny_bert, reviews[0][:5], y, np.array(w) / 1e308), np.random.default_rng(0))
    assert sorted(draw(16)) == [0, 2, 3]


# -- when they are made -----------------------------------------------------------------------------------


def test_auto_makes_them_for_few_rows_per_class(tiny_bert, reviews):
    texts, labels = reviews
    assert steps_of(BertClassifier(tiny_bert, **SETTINGS).fit(texts[:20], labels[:20])) == 20
    assert steps_of(BertClassifier(tiny_bert, **SETTINGS).fit(texts[:22], labels[:22])) == 0


def test_auto_makes_none_for_the_first_rows_of_a_stream(tiny_bert, reviews):
    assert steps_of(BertClassifier(tiny_bert, **SETTINGS).partial_fit(*few(reviews))) == 0


@pytest.mark.parametrize(
    "params",
    [
        {"head_init": "random"},
        {"hidden_layer_sizes": (8,)},
        {"freeze": "encoder"},
        {"freeze": 2},
        {"max_seconds": 60.0},
    ],
)
def test_auto_makes_none_with_another_head_a_frozen_encoder_or_a_limit_of_time(tiny_bert, reviews, params):
    assert steps_of(BertClassifier(tiny_bert, **SETTINGS, **params).fit(*few(reviews))) == 0


def test_auto_makes_none_for_pairs_and_for_several_labels(tiny_bert, reviews):
    texts, labels = few(reviews)
    pairs = list(zip(texts, texts, strict=True))
    assert steps_of(BertClassifier(tiny_bert, **SETTINGS).fit(pairs, labels)) == 0
    tags = np.array([[label == "good", "very" in text] for text, label in zip(texts, labels, strict=True)]).astype(int)
    assert steps_of(BertClassifier(tiny_bert, **SETTINGS).fit(texts, tags)) == 0
    regressor = BertRegressor(tiny_bert, **SETTINGS).fit(texts, np.arange(16.0))
    assert not hasattr(regressor, "contrastive_steps_")
    assert "contrastive" not in regressor.summary_


def test_a_number_is_followed_with_many_rows_and_pairs_too(tiny_bert, reviews):
    texts, labels = reviews
    for X in (texts, list(zip(texts, texts[::-1], strict=True))):
        classifier = BertClassifier(tiny_bert, contrastive_steps=3, **SETTINGS).fit(X, labels)
        assert steps_of(classifier) == 3
        assert "3 contrastive steps, then 1 epoch in batches of " in classifier.summary_


def test_a_fit_that_resumes_makes_none(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, warm_start=True, **SETTINGS).fit(*few(reviews))
    assert steps_of(classifier) == 20
    assert steps_of(classifier.fit(*few(reviews))) == 0


def test_windows_of_long_texts_are_compared_too(tiny_bert, reviews):
    long_texts = [" ".join([text] * 6) for text in reviews[0][:16]]
    classifier = BertClassifier(tiny_bert, long_text="window", max_length=16, **SETTINGS)
    assert steps_of(classifier.fit(long_texts, reviews[1][:16])) == 20
    assert np.isfinite(classifier.predict_proba(long_texts)).all()


def test_with_one_class_so_far_nothing_is_compared(tiny_bert, reviews):
    classifier = BertClassifier(tiny_bert, contrastive_steps=2, **SETTINGS)
    classifier.partial_fit(reviews[0][:4], ["good"] * 4, classes=["bad", "good"])
    assert classifier.contrastive_steps_ == 0
    assert np.isfinite(classifier.predict_proba(reviews[0])).all()


def test_an_auto_rate_is_lower_afterwards_and_a_rate_of_ones_own_stays(tiny_bert, reviews):
    rates = {
        (steps, rate): BertClassifier(tiny_bert, contrastive_steps=steps, learning_rate=rate, **SETTINGS)
        .fit(*few(reviews))
        .learning_rate_
        for steps in (0, 2)
        for rate in ("auto", 0.001)
    }
    assert rates[2, "auto"] == pytest.approx(rates[0, "auto"] / 5)
    assert rates[2, 0.001] == rates[0, 0.001] == 0.001


@pytest.mark.parametrize("freeze", ["encoder", 2])
def test_a_number_with_a_frozen_encoder_is_an_error(tiny_bert, reviews, freeze):
    message = (
        f"Got contrastive_steps=5 with freeze={freeze!r} and one label per text, expected an encoder that is trained, "
        "and one label per text. Pass contrastive_steps='auto'."
    )
    classifier = BertClassifier(tiny_bert, contrastive_steps=5, freeze=freeze, **SETTINGS)
    with pytest.raises(ValueError, match=exactly(message)):
        classifier.fit(*few(reviews))
    classifier.set_params(contrastive_steps="auto").fit(*few(reviews))


def test_a_number_with_several_labels_is_an_error(tiny_bert, reviews):
    texts, tags = reviews[0][:16], np.arange(32).reshape(16, 2) % 3 % 2
    message = (
        "Got contrastive_steps=5 with freeze=None and several labels per text, expected an encoder that is trained, "
        "and one label per text. Pass contrastive_steps='auto'."
    )
    classifier = BertClassifier(tiny_bert, contrastive_steps=5, **SETTINGS)
    with pytest.raises(ValueError, match=exactly(message)):
        classifier.fit(texts, tags)
    classifier.set_params(contrastive_steps="auto").fit(texts, tags)


# -- what they do -----------------------------------------------------------------------------------------


def test_they_draw_texts_of_one_class_together(tiny_bert, reviews):
    tiny_rate = SETTINGS | {"learning_rate": 0.005}
    fitted = [BertClassifier(tiny_bert, contrastive_steps=steps, **tiny_rate).fit(*few(reviews)) for steps in (0, 20)]
    before, after = (separation(classifier, *reviews) for classifier in fitted)
    assert after > before + 0.1


def test_the_same_seed_gives_the_same_weights_and_frozen_parts_keep_theirs(tiny_bert, reviews):
    fits = [
        BertClassifier(tiny_bert, contrastive_steps=4, freeze="embeddings", **SETTINGS).fit(*few(reviews))
        for _ in range(2)
    ]
    first, second = (fit.module_.state_dict() for fit in fits)
    assert all(torch.equal(first[name], second[name]) for name in first)
    none = BertClassifier(tiny_bert, contrastive_steps=0, freeze="embeddings", **SETTINGS).fit(*few(reviews))
    name = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(none.module_.state_dict()[name], first[name])
    assert not torch.equal(
        none.module_.state_dict()["bert.encoder.layer.0.output.dense.weight"],
        first["bert.encoder.layer.0.output.dense.weight"],
    )


def test_a_batch_that_does_not_fit_is_halved(tiny_bert, reviews, monkeypatch):
    sizes, loss = [], contrastive.pair_loss

    def limited(features, y):
        sizes.append(len(y))
        if len(y) > 8:
            raise torch.OutOfMemoryError("out of memory")
        return loss(features, y)

    monkeypatch.setattr(contrastive, "pair_loss", limited)
    BertClassifier(tiny_bert, contrastive_steps=3, **SETTINGS).fit(*few(reviews))
    assert sizes == [16, 8, 8, 8]


def test_too_little_memory_for_the_smallest_batch_names_what_helps(tiny_bert, reviews, monkeypatch):
    def full(features, y):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(contrastive, "pair_loss", full)
    with pytest.raises(MemoryError) as error:
        BertClassifier(tiny_bert, contrastive_steps=3, **SETTINGS).fit(*few(reviews))
    assert re.fullmatch(
        r"The device 'cpu' has too little memory to compare 4 texts of \d+ tokens\. Lower max_length, or pass "
        r"contrastive_steps=0\.",
        str(error.value),
    )
    BertClassifier(tiny_bert, contrastive_steps=0, **SETTINGS).fit(*few(reviews))


def test_micro_batch_size_bounds_a_batch(tiny_bert, reviews, monkeypatch):
    sizes, loss = [], contrastive.pair_loss
    monkeypatch.setattr(contrastive, "pair_loss", lambda features, y: sizes.append(len(y)) or loss(features, y))
    BertClassifier(tiny_bert, contrastive_steps=2, micro_batch_size=6, **SETTINGS).fit(*few(reviews))
    BertClassifier(tiny_bert, contrastive_steps=2, micro_batch_size=1, **SETTINGS).fit(*few(reviews))
    assert sizes == [6, 6, 4, 4]


@pytest.mark.slow
def test_a_real_encoder_separates_the_classes_of_new_texts_better(minilm):
    tickets = load_tickets().sample(frac=1, random_state=0)
    tickets = tickets[tickets["message"].str.len() < 200]
    train = tickets.groupby("team").head(6)
    new = tickets.drop(train.index).head(80)
    separations = []
    for steps in (0, "auto"):
        classifier = BertClassifier(minilm, contrastive_steps=steps, max_length=64, **SETTINGS)
        classifier.fit(train["message"], train["team"])
        separations.append(separation(classifier, new["message"], new["team"]))
    assert separations[1] > separations[0] + 0.1
