"""What a fit depends on: the data, the weights of rows and `random_state`, and nothing else."""

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_bert import BertClassifier, BertRegressor
from tests.helpers import EXACT, FAST, weights_of


def test_fit_learns_its_training_data_and_records_the_loss(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, **FAST | {"max_epochs": 10}).fit(*reviews)
    assert estimator.score(*reviews) > 0.95
    assert len(estimator.loss_curve_) == estimator.n_iter_ == 10
    assert estimator.loss_curve_[-1] < 0.5 * estimator.loss_curve_[0]


def test_head_learning_rate_applies_to_the_head_only(tiny_bert, reviews):
    settings = FAST | {"head_init": "random", "learning_rate": 1e-12}
    start, end = (
        BertClassifier(tiny_bert, **settings | {"head_learning_rate": rate}).fit(*reviews).module_.state_dict()
        for rate in (None, 1e-2)
    )
    moved = {name for name in start if not torch.allclose(start[name], end[name], rtol=0, atol=1e-6)}
    assert moved == {"classifier.weight", "classifier.bias"}


# -- reproducibility --------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
def test_same_random_state_gives_the_same_weights_whatever_the_global_random_state(estimator, tiny_bert, reviews):
    texts, labels = reviews
    y = [float(label == "good") for label in labels] if estimator is BertRegressor else labels
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the global state is the subject
        weights.append(weights_of(estimator(tiny_bert, **FAST).fit(texts, y)))
    assert torch.equal(*weights)


def test_another_random_state_gives_other_weights(tiny_bert, reviews):
    first, second = (weights_of(BertClassifier(tiny_bert, **FAST | {"random_state": s}).fit(*reviews)) for s in (0, 1))
    assert not torch.equal(first, second)


def test_fit_and_predict_leave_the_global_random_state_unchanged(tiny_bert, reviews):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - the subject
    BertClassifier(tiny_bert, **FAST).fit(*reviews).predict(reviews[0])
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002 - the subject


def test_fit_does_not_depend_on_the_gradient_mode_and_default_dtype_of_the_caller(tiny_bert, reviews):
    plain = weights_of(BertClassifier(tiny_bert, **FAST).fit(*reviews))
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            other = weights_of(BertClassifier(tiny_bert, **FAST).fit(*reviews))
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(plain, other)
    with torch.inference_mode():
        assert torch.equal(plain, weights_of(BertClassifier(tiny_bert, **FAST).fit(*reviews)))


def test_fits_in_threads_give_the_weights_of_a_serial_fit(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, **FAST)
    serial = weights_of(clone(estimator).fit(*reviews))
    fits = joblib.Parallel(n_jobs=4, backend="threading")(
        joblib.delayed(clone(estimator).fit)(*reviews) for _ in range(6)
    )
    assert all(torch.equal(weights_of(fit), serial) for fit in fits)


# -- sample weights ---------------------------------------------------------------------------------------


def test_fit_treats_rows_of_zero_weight_as_absent(tiny_bert, reviews):
    texts, y = reviews
    extended = BertClassifier(tiny_bert, **FAST).fit([*texts, "a", "b"], [*y, "third", "good"], [1.0] * len(y) + [0, 0])
    assert list(extended.classes_) == ["bad", "good"]
    assert torch.equal(weights_of(extended), weights_of(BertClassifier(tiny_bert, **FAST).fit(texts, y)))


def test_fit_does_not_depend_on_the_scale_of_sample_weight(tiny_bert, reviews):
    w = np.random.default_rng(0).uniform(1, 3, len(reviews[0]))
    first, second = (BertClassifier(tiny_bert, **EXACT).fit(*reviews, sample_weight=s * w) for s in (1, 1000))
    np.testing.assert_allclose(first.predict_proba(reviews[0]), second.predict_proba(reviews[0]), atol=1e-9)


@pytest.mark.parametrize("size", [1e-310, 1e308])
def test_fit_does_not_depend_on_the_scale_of_extremely_small_or_large_sample_weight(tiny_bert, reviews, size):
    plain = BertClassifier(tiny_bert, **FAST).fit(*reviews)
    weighted = BertClassifier(tiny_bert, **FAST).fit(*reviews, sample_weight=np.full(48, size))
    assert torch.equal(weights_of(plain), weights_of(weighted))


def test_weight_k_equals_k_copies_of_the_row_in_one_batch(tiny_bert, reviews):
    texts, y = reviews
    k = np.random.default_rng(0).integers(1, 4, len(y))
    settings = EXACT | {"batch_size": 4096, "dropout": 0.0, "attention_dropout": 0.0, "max_epochs": 5}
    weighted = BertClassifier(tiny_bert, **settings).fit(texts, y, sample_weight=k)
    copied = BertClassifier(tiny_bert, **settings).fit(np.repeat(texts, k), np.repeat(y, k))
    np.testing.assert_allclose(weighted.predict_proba(texts), copied.predict_proba(texts), atol=1e-9)


def test_fit_raises_for_negative_and_for_all_zero_sample_weight(tiny_bert, reviews):
    n = len(reviews[0])
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        BertClassifier(tiny_bert).fit(*reviews, sample_weight=[-1.0] + [1.0] * (n - 1))
    with pytest.raises(ValueError, match=r"(?i)sample weights? .*(non-zero|zero)"):
        BertClassifier(tiny_bert).fit(*reviews, sample_weight=np.zeros(n))
