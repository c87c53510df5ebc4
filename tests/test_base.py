import os
import pickle
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert._training.training_net import BertNet
from tests.helpers import probabilities_in_a_fresh_process

QUICK = {"max_epochs": 2, "learning_rate": 1e-2, "batch_size": 8, "random_state": 0, "device": "cpu"}
EXACT = QUICK | {"precision": "float64"}


@pytest.fixture(scope="module")
def fitted(tiny_bert, reviews):
    """A float64 classifier, so that sums in another order differ by 1e-15 only."""
    torch.set_num_threads(1)
    return BertClassifier(tiny_bert, **EXACT).fit(*reviews)


def weights_of(estimator):
    return torch.cat([p.detach().flatten() for p in estimator.module_.parameters()])


# -- the scikit-learn contract ------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
def test_the_constructor_stores_and_clone_keeps_every_parameter(estimator, tiny_bert):
    sizes = [3, 4]
    original = estimator(tiny_bert, hidden_layer_sizes=sizes, learning_rate=3e-5, device=torch.device("cpu"))
    assert original.hidden_layer_sizes is sizes
    assert clone(original).get_params() == original.get_params()


def test_predicting_before_fit_is_an_error(tiny_bert):
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(BertClassifier(tiny_bert), method)(["text"])


def test_texts_and_targets_of_different_length_are_an_error(tiny_bert):
    message = "inconsistent numbers of samples: [3, 2]. Pass one value, or one row of values, of y per row of X."
    with pytest.raises(ValueError, match=re.escape(message)):
        BertClassifier(tiny_bert).fit(["a", "b", "c"], [0, 1])


def test_a_dataframe_gives_feature_names_and_a_list_takes_them_away_again(tiny_bert, reviews):
    texts, y = reviews
    estimator = BertClassifier(tiny_bert, **QUICK).fit(pd.DataFrame({"review": texts}), y)
    assert (estimator.n_features_in_, list(estimator.feature_names_in_)) == (1, ["review"])
    estimator.fit(texts, y)
    assert not hasattr(estimator, "n_features_in_")
    assert not hasattr(estimator, "feature_names_in_")


def test_another_column_name_at_predict_is_an_error(tiny_bert, reviews):
    texts, y = reviews
    estimator = BertClassifier(tiny_bert, **QUICK).fit(pd.DataFrame({"review": texts}), y)
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        estimator.predict(pd.DataFrame({"summary": texts}))


def test_another_number_of_text_columns_at_predict_is_an_error(fitted):
    message = "X has 2 text column(s), but BertClassifier was fitted with 1. Pass the same columns as in fit."
    with pytest.raises(ValueError, match=re.escape(message)):
        fitted.predict([("one", "two")])


# -- text in every form -------------------------------------------------------------------------------


def test_all_forms_of_the_same_texts_give_identical_predictions(fitted, reviews):
    texts, _ = reviews
    expected = fitted.predict_proba(texts)
    forms = [
        tuple(texts),
        np.array(texts),
        np.array(texts, dtype=object),
        np.array(texts, dtype=object).reshape(-1, 1),
        pd.Series(texts),
        pd.Series(texts, dtype="category"),
        pd.Series(texts, dtype="string[pyarrow]", index=range(len(texts), 0, -1)),
        pd.DataFrame({"review": texts}),
        pl.Series(texts),
        pl.DataFrame({"review": texts}),
    ]
    for form in forms:
        np.testing.assert_array_equal(fitted.predict_proba(form), expected)


def test_all_forms_of_the_same_pairs_give_identical_predictions(tiny_bert, reviews):
    texts, y = reviews
    pairs = list(zip(texts, reversed(texts), strict=True))
    estimator = BertClassifier(tiny_bert, **EXACT).fit(pairs, y)
    expected = estimator.predict_proba(pairs)
    frame = pd.DataFrame(pairs, columns=["one", "two"])
    for form in (frame, frame.to_numpy(), pl.from_pandas(frame), tuple(pairs)):
        np.testing.assert_array_equal(estimator.predict_proba(form), expected)
    assert np.abs(estimator.predict_proba([(b, a) for a, b in pairs]) - expected).max() > 1e-6


def test_joint_pairs_reach_the_encoder_as_two_segments(tiny_bert, reviews):
    texts, y = reviews
    pairs = list(zip(texts, texts, strict=True))
    estimator = BertClassifier(tiny_bert, pair_encoding="cross_encoder", **EXACT).fit(pairs, y)
    encoded = estimator.tokenizer_(*pairs[0], return_token_type_ids=True, return_tensors="pt")
    with torch.inference_mode():
        logits = estimator.module_(**encoded).logits
    np.testing.assert_allclose(estimator.decision_function(pairs[:1]), logits[:, 1] - logits[:, 0], rtol=1e-9)


def test_separate_pairs_reach_the_head_as_two_vectors(tiny_bert, reviews):
    """Each text is encoded by itself; the head sees both, their distance and their product."""
    texts, y = reviews
    pairs = list(zip(texts, texts[::-1], strict=True))
    estimator = BertClassifier(tiny_bert, pair_encoding="bi_encoder", pooling="mean", **EXACT).fit(pairs, y)
    vectors = []
    with torch.inference_mode():
        for text in pairs[0]:
            encoded = estimator.tokenizer_(text, return_tensors="pt")
            mean = estimator.module_.bert(**encoded).last_hidden_state[0].mean(dim=0)
            vectors.append(mean / mean.square().mean().sqrt())
        u, v = vectors
        logits = estimator.module_.classifier(torch.cat([u, v, (u - v).abs(), u * v]))
    np.testing.assert_allclose(estimator.decision_function(pairs[:1]), [logits[1] - logits[0]], rtol=1e-6)


def test_the_head_learns_at_a_rate_of_its_own(tiny_bert, reviews):
    still = QUICK | {"head_init": "random", "learning_rate": 1e-12}
    start, end = (
        BertClassifier(tiny_bert, **still | {"head_learning_rate": rate}).fit(*reviews).module_.state_dict()
        for rate in (None, 1e-2)
    )
    moved = {name for name in start if not torch.allclose(start[name], end[name], rtol=0, atol=1e-6)}
    assert moved == {"classifier.weight", "classifier.bias"}


def test_separate_texts_have_the_limit_each(tiny_bert, reviews):
    """A pair is cut where one of its texts is."""
    long, short = "the movie was good " * 8, "very good"
    pairs = [(long, short), (short, long), (long, long), (short, short)] * 3
    with pytest.warns(UserWarning, match="9 of 12 rows are longer than max_length=20 tokens"):
        estimator = BertClassifier(tiny_bert, max_length=20, max_epochs=1, device="cpu").fit(pairs, [0, 1] * 6)
    report = estimator.truncation_
    assert (report.n_rows, report.n_truncated, report.longest) == (12, 9, 34)
    assert report.n_tokens_cut == 12 * (34 - 20)


def test_separate_texts_need_room_for_one_each(tiny_bert, reviews):
    pairs = list(zip(reviews[0], reviews[0], strict=True))
    with pytest.warns(UserWarning, match="were cut"):
        BertClassifier(tiny_bert, max_length=3, **QUICK).fit(pairs, reviews[1])


def test_an_empty_string_is_a_text(fitted):
    assert fitted.predict_proba(["", " "]).shape == (2, 2)


# -- predictions do not depend on company ---------------------------------------------------------------


def test_the_order_of_rows_the_batch_and_padding_do_not_matter(fitted, reviews):
    texts = reviews[0] + ["it", "the soup and the service was very very very very good ! ! !"]
    together = fitted.predict_proba(texts)
    alone = np.concatenate([fitted.predict_proba([text]) for text in texts])
    shuffled = np.random.default_rng(0).permutation(len(texts))
    np.testing.assert_allclose(alone, together, atol=1e-9)
    np.testing.assert_allclose(fitted.predict_proba([texts[i] for i in shuffled]), together[shuffled], atol=1e-9)


def test_many_batches_of_prediction_give_what_one_gives(fitted, reviews):
    one = fitted.predict_proba(reviews[0])
    several = clone(fitted).set_params(batch_size=1, max_length=64)
    several.__dict__.update({k: v for k, v in vars(fitted).items() if k.endswith("_") or k.startswith("_")})
    several.net_ = pickle.loads(pickle.dumps(fitted.net_)).set_params(batch_size=1)
    np.testing.assert_allclose(several.predict_proba(reviews[0]), one, atol=1e-9)


def test_eight_threads_predict_what_one_does(fitted, reviews):
    expected = fitted.predict_proba(reviews[0])
    with ThreadPoolExecutor(8) as pool:
        for probabilities in pool.map(fitted.predict_proba, [reviews[0]] * 16):
            np.testing.assert_array_equal(probabilities, expected)


# -- training -------------------------------------------------------------------------------------------


def test_training_learns(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, **QUICK | {"max_epochs": 10}).fit(*reviews)
    assert estimator.score(*reviews) > 0.95
    assert len(estimator.loss_curve_) == estimator.n_iter_ == 10
    assert estimator.loss_curve_[-1] < 0.5 * estimator.loss_curve_[0]


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
def test_the_same_seed_gives_the_same_weights_whatever_the_callers_random_state(estimator, tiny_bert, reviews):
    texts, labels = reviews
    y = [float(label == "good") for label in labels] if estimator is BertRegressor else labels
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the global state is the subject
        weights.append(weights_of(estimator(tiny_bert, **QUICK).fit(texts, y)))
    assert torch.equal(*weights)


def test_another_seed_gives_other_weights(tiny_bert, reviews):
    first, second = (weights_of(BertClassifier(tiny_bert, **QUICK | {"random_state": s}).fit(*reviews)) for s in (0, 1))
    assert not torch.equal(first, second)


def test_the_callers_random_state_is_untouched(tiny_bert, reviews):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - the subject
    BertClassifier(tiny_bert, **QUICK).fit(*reviews).predict(reviews[0])
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002 - the subject


def test_fits_in_threads_give_what_fits_in_turn_give(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, **QUICK)
    serial = weights_of(clone(estimator).fit(*reviews))
    fits = joblib.Parallel(n_jobs=4, backend="threading")(
        joblib.delayed(clone(estimator).fit)(*reviews) for _ in range(6)
    )
    assert all(torch.equal(weights_of(fit), serial) for fit in fits)


def test_rows_of_zero_weight_are_as_good_as_absent(tiny_bert, reviews):
    texts, y = reviews
    extended = BertClassifier(tiny_bert, **QUICK).fit(
        [*texts, "a", "b"], [*y, "third", "good"], [1.0] * len(y) + [0, 0]
    )
    assert list(extended.classes_) == ["bad", "good"]
    assert torch.equal(weights_of(extended), weights_of(BertClassifier(tiny_bert, **QUICK).fit(texts, y)))


def test_only_the_ratios_of_the_weights_matter(tiny_bert, reviews):
    w = np.random.default_rng(0).uniform(1, 3, len(reviews[0]))
    first, second = (BertClassifier(tiny_bert, **EXACT).fit(*reviews, sample_weight=s * w) for s in (1, 1000))
    np.testing.assert_allclose(first.predict_proba(reviews[0]), second.predict_proba(reviews[0]), atol=1e-9)


def test_a_weight_of_k_counts_as_k_copies_in_one_batch(tiny_bert, reviews):
    texts, y = reviews
    k = np.random.default_rng(0).integers(1, 4, len(y))
    regime = EXACT | {"batch_size": 4096, "dropout": 0.0, "attention_dropout": 0.0, "max_epochs": 5}
    weighted = BertClassifier(tiny_bert, **regime).fit(texts, y, sample_weight=k)
    copied = BertClassifier(tiny_bert, **regime).fit(np.repeat(texts, k), np.repeat(y, k))
    np.testing.assert_allclose(weighted.predict_proba(texts), copied.predict_proba(texts), atol=1e-9)


def test_negative_and_all_zero_weights_are_errors(tiny_bert, reviews):
    n = len(reviews[0])
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        BertClassifier(tiny_bert).fit(*reviews, sample_weight=[-1.0] + [1.0] * (n - 1))
    with pytest.raises(ValueError, match=r"(?i)sample weights? .*(non-zero|zero)"):
        BertClassifier(tiny_bert).fit(*reviews, sample_weight=np.zeros(n))


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError])
def test_a_fit_that_fails_leaves_an_earlier_one_whole(tiny_bert, reviews, monkeypatch, failure):
    texts, y = reviews
    estimator = BertClassifier(tiny_bert, **QUICK).fit(pd.DataFrame({"review": texts}), y)
    before, probabilities = dict(vars(estimator)), estimator.predict_proba(pd.DataFrame({"review": texts}))

    def fail(*args, **kwargs):
        raise failure

    monkeypatch.setattr(BertNet, "train_step", fail)
    with pytest.raises(failure):
        estimator.fit(texts, [1, 2] * 24)
    assert vars(estimator) == before
    np.testing.assert_array_equal(estimator.predict_proba(pd.DataFrame({"review": texts})), probabilities)


def test_a_first_fit_that_fails_leaves_the_estimator_unfitted(tiny_bert, reviews, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(BertNet, "train_step", fail)
    estimator = BertClassifier(tiny_bert, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(*reviews)
    with pytest.raises(NotFittedError):
        estimator.predict(reviews[0])


@pytest.mark.parametrize("estimator", [BertClassifier, BertRegressor])
def test_a_training_that_diverges_is_an_error_and_leaves_nothing_fitted(estimator, tiny_bert, reviews):
    y = reviews[1] if estimator is BertClassifier else [float(label == "good") for label in reviews[1]]
    diverging = estimator(tiny_bert, **QUICK | {"learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"The training diverged in epoch 1, step \d: .* Lower the learning rates"):
        diverging.fit(reviews[0], y)
    assert not hasattr(diverging, "net_")
    assert not hasattr(diverging, "module_")


@pytest.mark.parametrize("size", [1e-310, 1e308])
def test_weights_of_any_size_count_by_their_ratios(tiny_bert, reviews, size):
    plain = BertClassifier(tiny_bert, **QUICK).fit(*reviews)
    weighted = BertClassifier(tiny_bert, **QUICK).fit(*reviews, sample_weight=np.full(48, size))
    assert torch.equal(weights_of(plain), weights_of(weighted))


def test_the_callers_gradient_mode_and_default_dtype_do_not_matter(tiny_bert, reviews):
    plain = weights_of(BertClassifier(tiny_bert, **QUICK).fit(*reviews))
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            other = weights_of(BertClassifier(tiny_bert, **QUICK).fit(*reviews))
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(plain, other)
    with torch.inference_mode():
        assert torch.equal(plain, weights_of(BertClassifier(tiny_bert, **QUICK).fit(*reviews)))


def test_the_revision_reaches_the_hub(monkeypatch, reviews):
    asked = []

    def snapshot_download(model, *, revision, **kwargs):
        asked.append((model, revision))
        raise OSError("no hub here")

    monkeypatch.setattr("sklearn_bert._model.checkpoint.snapshot_download", snapshot_download)
    with pytest.raises(OSError, match="no hub here"):
        BertClassifier("org/name", revision="v1", device="cpu").fit(*reviews)
    assert set(asked) == {("org/name", "v1")}


# -- long texts -----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.* rows are longer than max_length")
@pytest.mark.parametrize(("long_text", "sees_the_end"), [("head_tail", True), ("truncate", False)])
def test_a_long_text_is_judged_by_its_end_too_unless_it_is_cut_there(tiny_bert, long_text, sees_the_end):
    same, n = "the movie the plot the acting the soup the room ", 8
    texts = [same + end for end in ["great", "awful"] * n]
    estimator = BertClassifier(tiny_bert, max_length=8, long_text=long_text, **QUICK).fit(texts, ["good", "bad"] * n)
    estimator.set_params(long_text="truncate")  # what was fitted counts
    first, second = estimator.predict_proba(texts[:2])
    assert (np.abs(first - second).max() > 1e-3) == sees_the_end


def test_truncation_is_reported_and_warned_about_once(tiny_bert):
    texts, y = ["good " * 20, "bad", "very bad", "good"], ["good", "bad", "bad", "good"]
    message = (
        "1 of 4 rows are longer than max_length=6 tokens and were cut; the longest text has 22. Raise max_length if "
        "the model can take more (None is its own limit), or read all of single texts with long_text='window'. "
        "truncation_ has the figures."
    )
    for method in ("fit", "partial_fit"):
        with pytest.warns(UserWarning, match=re.escape(message)) as caught:
            report = getattr(BertClassifier(tiny_bert, max_length=6, **QUICK), method)(texts, y).truncation_
        assert len(caught) == 1
        assert caught[0].filename == __file__
    assert (report.n_rows, report.n_truncated, report.n_tokens_cut, report.longest) == (4, 1, 16, 22)


def test_a_long_text_is_cut_at_the_models_own_limit_by_default(fitted):
    assert fitted.truncation_.max_length == 64
    np.testing.assert_array_equal(fitted.predict_proba(["good " * 1000]), fitted.predict_proba(["good " * 62]))


# -- silence and cleanliness ------------------------------------------------------------------------------


def test_nothing_is_printed_and_no_file_is_written(minilm, reviews, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    estimator = BertClassifier(minilm, max_epochs=1, random_state=0, device="cpu").fit(reviews[0][:8], reviews[1][:8])
    estimator.predict(reviews[0])
    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path) == []


def test_a_fitted_estimator_holds_the_weights_once(minilm, reviews):
    estimator = BertClassifier(minilm, max_epochs=1, random_state=0, device="cpu").fit(reviews[0][:8], reviews[1][:8])
    n_bytes = sum(4 * p.numel() for p in estimator.module_.parameters())
    assert len(pickle.dumps(estimator)) <= 1.02 * n_bytes
    assert all(p.grad is None for p in estimator.module_.parameters())
    assert estimator.net_.optimizer_ is None


# -- storing ----------------------------------------------------------------------------------------------


def test_a_pickle_gives_equal_probabilities_in_a_fresh_process(fitted, reviews, tmp_path):
    probabilities = probabilities_in_a_fresh_process(fitted, reviews[0], tmp_path)
    np.testing.assert_array_equal(probabilities, fitted.predict_proba(reviews[0]))


def test_a_copy_is_independent(fitted, reviews):
    from copy import deepcopy

    copied = deepcopy(fitted)
    with torch.no_grad():
        copied.module_.classifier.weight.zero_()
    assert fitted.module_.classifier.weight.abs().sum() > 0


# -- validation and early stopping ---------------------------------------------------------------------


def noisy(reviews):
    """Labels with a third of them wrong: what a model learns by heart does not help on other rows."""
    texts, y = reviews
    wrong = np.random.default_rng(0).random(len(y)) < 0.33
    return texts, np.where(wrong, np.where(np.array(y) == "good", "bad", "good"), y)


def test_the_best_epochs_weights_are_kept(tiny_bert, reviews):
    X_val, y_val = reviews[0][:20], reviews[1][:20]
    settings = EXACT | {"max_epochs": 8, "learning_rate": 3e-2}
    estimator = BertClassifier(tiny_bert, **settings).fit(*noisy(reviews), X_val=X_val, y_val=y_val)
    scores = estimator.validation_scores_
    assert len(scores) == len(estimator.validation_loss_curve_) == len(estimator.loss_curve_) == estimator.n_iter_ == 8
    assert scores[-1] < max(scores)
    assert scores[estimator.best_iter_ - 1] == max(scores) == estimator.score(X_val, y_val)


def test_training_stops_when_the_score_no_longer_rises(tiny_bert, reviews):
    settings = QUICK | {"max_epochs": 60, "learning_rate": 1e-30, "early_stopping": True}
    estimator = BertClassifier(tiny_bert, n_iter_no_change=3, **settings).fit(*reviews)
    assert estimator.n_iter_ == estimator.best_iter_ + 3 < 60


def test_rows_of_x_are_set_apart_only_for_early_stopping_without_others(tiny_bert, reviews, monkeypatch):
    sizes, fit = [], BertNet.fit

    def spy(net, X, **params):
        validation = params["validation"]
        sizes.append((len(X), validation and len(validation.dataset)))
        return fit(net, X, **params)

    monkeypatch.setattr(BertNet, "fit", spy)
    val = {"X_val": reviews[0][:9], "y_val": reviews[1][:9]}
    BertClassifier(tiny_bert, **QUICK).fit(*reviews)
    BertClassifier(tiny_bert, **QUICK).fit(*reviews, **val)
    BertClassifier(tiny_bert, early_stopping=True, **QUICK).fit(*reviews, **val)
    BertClassifier(tiny_bert, early_stopping=True, validation_fraction=0.25, **QUICK).fit(*reviews)
    assert sizes == [(48, None), (48, 9), (48, 9), (36, 12)]


def test_validation_does_not_change_what_is_learned(tiny_bert, reviews):
    """With words in it that no training text has; the best epoch is the last one."""
    plain = BertClassifier(tiny_bert, **QUICK | {"max_epochs": 1}).fit(*reviews)
    watched = BertClassifier(tiny_bert, **QUICK | {"max_epochs": 1})
    watched.fit(*reviews, X_val=["one two three zebra", "four five"], y_val=["good", "bad"])
    torch.testing.assert_close(weights_of(watched), weights_of(plain), rtol=0, atol=0)


def test_validation_is_deterministic_under_random_state(tiny_bert, reviews):
    settings = QUICK | {"early_stopping": True, "validation_fraction": 0.3}
    first, second = (BertClassifier(tiny_bert, **settings).fit(*reviews) for _ in range(2))
    assert first.validation_scores_ == second.validation_scores_
    assert first.validation_loss_curve_ == second.validation_loss_curve_


def test_weights_of_validation_rows_count(tiny_bert, reviews):
    val = {"X_val": reviews[0], "y_val": reviews[1]}
    halves = [np.arange(48) < 10, np.arange(48) >= 10]
    scores = []
    for half in halves:
        estimator = BertClassifier(tiny_bert, **QUICK).fit(*reviews, **val, sample_weight_val=half.astype(float))
        X, y = (np.array(part)[half] for part in reviews)
        assert estimator.validation_scores_[estimator.best_iter_ - 1] == pytest.approx(estimator.score(X, y))
        scores.append(estimator.validation_loss_curve_)
    assert scores[0] != scores[1]


def test_regression_is_judged_by_r_squared(tiny_bert, reviews):
    y = np.array([len(text) + 10.0 * (label == "good") for text, label in zip(*reviews, strict=True)])
    regressor = BertRegressor(tiny_bert, **EXACT).fit(reviews[0], y, X_val=reviews[0][:30], y_val=y[:30])
    assert max(regressor.validation_scores_) == pytest.approx(regressor.score(reviews[0][:30], y[:30]))


def test_a_fit_without_validation_leaves_nothing_of_an_earlier_one(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, **QUICK | {"early_stopping": True}).fit(*reviews)
    estimator.set_params(early_stopping=False).fit(*reviews)
    assert not {"validation_scores_", "validation_loss_curve_", "best_iter_"} & vars(estimator).keys()


def test_part_of_the_validation_data_is_an_error(tiny_bert, reviews):
    message = (
        r"^Got only some of X_val, y_val and sample_weight_val\. Pass X_val and y_val together, or none of them\.$"
    )
    for part in ({"X_val": reviews[0]}, {"y_val": reviews[1]}, {"sample_weight_val": np.ones(48)}):
        with pytest.raises(ValueError, match=message):
            BertClassifier(tiny_bert, **QUICK).fit(*reviews, **part)


def test_one_row_of_validation_is_an_error(tiny_bert, reviews):
    message = r"^Validation needs at least two rows, but has 1\. Pass more rows, or raise validation_fraction\.$"
    with pytest.raises(ValueError, match=message):
        BertClassifier(tiny_bert, **QUICK).fit(*reviews, X_val=reviews[0][:1], y_val=reviews[1][:1])
    with pytest.raises(ValueError, match=message):
        BertClassifier(tiny_bert, early_stopping=True, **QUICK).fit(reviews[0][:12], reviews[1][:12])


def test_validation_labels_that_training_has_not_are_an_error(tiny_bert, reviews):
    with pytest.raises(ValueError, match=r"y holds labels that are not among the classes: \['fair'\]"):
        BertClassifier(tiny_bert, **QUICK).fit(*reviews, X_val=reviews[0][:2], y_val=["good", "fair"])


def test_errors_of_validation_data_say_so(tiny_bert, reviews):
    message = (
        "In X_val, y_val or sample_weight_val: Found input variables with inconsistent numbers of samples: [2, 1]. "
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        BertClassifier(tiny_bert, **QUICK).fit(*reviews, X_val=reviews[0][:2], y_val=["good"])
    message = (
        "y_val is of problem type 'multi_label_classification', y of 'single_label_classification'. Pass targets of "
        "the same kind."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        BertClassifier(tiny_bert, **QUICK).fit(*reviews, X_val=reviews[0][:2], y_val=np.eye(2, dtype=int))


# -- going on ------------------------------------------------------------------------------------------


def test_warm_start_goes_on_from_the_fitted_weights(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, warm_start=True, **QUICK | {"max_epochs": 6}).fit(*reviews)
    before, low = weights_of(estimator), estimator.loss_curve_[-1]
    estimator.set_params(learning_rate=1e-30, max_epochs=1).fit(*reviews)
    torch.testing.assert_close(weights_of(estimator), before, rtol=1e-5, atol=1e-9)
    assert estimator.loss_curve_[0] < 1.5 * low
    assert estimator.n_iter_ == 1
    cold = BertClassifier(tiny_bert, **QUICK | {"max_epochs": 1, "learning_rate": 1e-30}).fit(*reviews)
    assert not torch.allclose(weights_of(cold), before, atol=1e-3)


@pytest.mark.parametrize("freeze", ["encoder", 1])
def test_what_was_frozen_learns_in_a_warm_start_without_freeze(tiny_bert, reviews, freeze):
    estimator = BertClassifier(tiny_bert, warm_start=True, freeze=freeze, **QUICK).fit(*reviews)
    stored = pickle.loads(pickle.dumps(estimator))
    before = [p.clone() for p in estimator.module_.bert.encoder.parameters()]
    for other in (estimator, stored):
        other.set_params(freeze=None).fit(*reviews)
    assert not any(map(torch.equal, estimator.module_.bert.encoder.parameters(), before))
    assert torch.equal(weights_of(estimator), weights_of(stored))


def test_going_on_takes_the_parameters_as_they_are_now(tiny_bert, reviews):
    texts, labels = reviews[0], np.array([[word == "good", i % 2] for i, word in enumerate(reviews[1])], dtype=int)
    estimator = BertClassifier(tiny_bert, warm_start=True, threshold=0.2, **QUICK).fit(texts, labels)
    changed = {"dropout": 0.7, "attention_dropout": 0.6, "class_weight": {0: 3.0}, "label_smoothing": 0.25}
    estimator.set_params(threshold=1.0, precision="float64", **changed).partial_fit(texts, labels)
    assert not estimator.predict(texts).any()
    assert estimator._target.loss_params["label_smoothing"] == 0.25
    assert estimator._target.loss_params["pos_weight"].tolist() == [3, 1]
    probabilities = {part.p for part in estimator.module_.modules() if isinstance(part, torch.nn.Dropout)}
    assert probabilities == {0.7, 0.6}
    assert {p.dtype for p in estimator.module_.parameters()} == {torch.float64}


def test_a_warm_start_that_fails_leaves_the_earlier_fit(tiny_bert, reviews, monkeypatch):
    estimator = BertClassifier(tiny_bert, warm_start=True, **QUICK).fit(*reviews)
    before, train_step, steps = weights_of(estimator).clone(), BertNet.train_step, []

    def fail_later(net, batch, **params):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return train_step(net, batch, **params)

    monkeypatch.setattr(BertNet, "train_step", fail_later)
    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(precision="float64", dropout=0.5).fit(*reviews)
    assert torch.equal(weights_of(estimator), before)
    assert (estimator.module_.config.dtype, estimator.module_.config.hidden_dropout_prob) == (torch.float32, 0.1)


def test_going_on_with_another_structure_is_an_error(tiny_bert, reviews):
    estimator = BertClassifier(tiny_bert, warm_start=True, **QUICK).fit(*reviews)
    with pytest.raises(
        ValueError, match=r"The fitted module has \{'pooling': 'mean', .* the parameters ask for \{'pool"
    ):
        estimator.set_params(pooling="cls").fit(*reviews)
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(0,\)"):
        BertClassifier(tiny_bert, hidden_layer_sizes=(0,), **QUICK).partial_fit(*reviews)
    with pytest.raises(ValueError, match=r"y holds labels that are not among the classes: \['new'\]"):
        estimator.set_params(pooling="mean").fit(reviews[0], ["new", "good"] * 24)
    with pytest.raises(ValueError, match=r"X has 2 text column\(s\), but BertClassifier was fitted with 1\."):
        estimator.fit(list(zip(reviews[0], reviews[0], strict=True)), reviews[1])


def test_an_interrupt_ends_a_grid_search(tiny_bert, reviews, monkeypatch):
    fits, fit = [], BertNet.fit

    def interrupted(net, *args, **params):
        fits.append(1)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return fit(net, *args, **params)

    monkeypatch.setattr(BertNet, "fit", interrupted)
    search = GridSearchCV(BertClassifier(tiny_bert, **QUICK), {"max_epochs": [1, 2]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(*reviews)
    assert len(fits) == 2
    assert not hasattr(search, "best_estimator_")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_ctrl_c_leaves_the_estimator_unfitted_or_as_it_was(tiny_bert, reviews, request):
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, usual))
    estimator = BertClassifier(tiny_bert, **QUICK | {"max_epochs": 100_000})
    for fitted in (False, True):
        if fitted:
            estimator.set_params(max_epochs=1).fit(*reviews)
            before = weights_of(estimator).clone()
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            estimator.set_params(max_epochs=100_000).fit(*reviews)
        timer.join()
        assert hasattr(estimator, "net_") == fitted
    assert torch.equal(weights_of(estimator), before)
