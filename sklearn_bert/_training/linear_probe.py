"""The head's first weights: a linear model solved on the features of the pretrained encoder.

Fine-tuning from a random head first distorts good features to suit bad logits, and with many rare labels
and few steps it learns nothing. Linear probing, then fine-tuning (Kumar et al., "Fine-Tuning can Distort
Pretrained Features and Underperform Out-of-Distribution", ICLR 2022) starts from the best linear model.
"""

import inspect
import warnings
from functools import partial

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from skorch.callbacks import Callback

from .._data.fingerprint import fingerprint
from .._data.sampling import merge_copies
from .._data.targets import TARGETS
from .._runtime.array_cache import SHARED_ARRAYS

# A Gaussian prior on the weights, which more rows weaken: under it a text's logit has a variance of 4, and a
# predicted number has a quarter of the noise's variance. On SST-2, TREC, GoEmotions, STS-B and EmoBank,
# at 200 to 2,000 rows, no other pair of constants was clearly better on all.
_LOGIT_VARIANCE = 4.0
_NOISE_RATIO = 4.0
_LEAST_SPREAD = 0.3  # of the features' size
_NEWTON_MAX = 1000


class LinearProbe(Callback):
    """The head of a `BertNet` starts at the linear model of the encoder's features before any training."""

    def on_train_begin(self, net, X=None, **kwargs):
        """Solve it on a sample of the rows; `X` is a `RowDataset` with targets."""
        problem_type, config = net.config.problem_type, net.training_config
        y, w = (np.asarray(X.targets[name]) for name in ("y", "w"))
        rows, w = merge_copies(X.row_keys(), w)
        picked, w = TARGETS[problem_type].choose_probe_rows(y[rows], w, config.seed)
        rows = rows[picked]
        features = X.features_of(rows, net.predict_features)
        if not np.isfinite(features).all():
            raise ValueError(
                "The encoder's outputs are not finite before any training. Check the checkpoint's weights, or pass "
                "precision='float32'."
            )
        features = _of_one_length(features)
        pos_weight = config.loss_params.get("pos_weight")
        solved = shared_solution(problem_type, features, y[rows], w, net.config.num_labels, pos_weight)
        head = net.module_.classifier
        with torch.no_grad():
            for parameter, values in zip((head.weight, head.bias), solved, strict=True):
                parameter.copy_(torch.tensor(values))


def shared_solution(problem_type, features, y, sample_weight, num_labels, pos_weight=None):
    """What `solve_head` gives for these arguments, solved once in a process: candidates of a search start alike."""
    data = [np.asarray(values) for values in (features, y, sample_weight, () if pos_weight is None else pos_weight)]
    solve = partial(solve_head, problem_type, features, y, sample_weight, num_labels, pos_weight)
    return SHARED_ARRAYS.get_or_compute(("head", problem_type, num_labels, fingerprint(*data)), solve)


def solve_head(problem_type, features, y, sample_weight, num_labels, pos_weight=None):
    """Weights and biases of the linear layer that predicts y from features best.

    Parameters
    ----------
    problem_type : str
        In Hugging Face's words.
    features : ndarray of shape (n, hidden_size)
        Pooled outputs.
    y : ndarray of shape (n,) or (n, num_labels)
        Encoded targets.
    sample_weight : ndarray of shape (n,)
        Only their ratios matter.
    num_labels : int
    pos_weight : array of shape (num_labels,), optional
        Of several labels: factor of a row's weight where it has the label.

    Returns
    -------
    weight : ndarray of shape (num_labels, hidden_size)
    bias : ndarray of shape (num_labels,)
    """
    features = features.astype(np.float64)
    sample_weight = sample_weight / sample_weight.mean()
    mean = np.average(features, axis=0, weights=sample_weight)
    centred = features - mean
    # One scale for all features keeps their proportions, which carry what the encoder has learned. Features
    # that hardly differ between texts are left small: blown up, they would need weights that training,
    # which moves all texts alike, throws off by far.
    scale = max(_rms(centred, sample_weight), _LEAST_SPREAD * _rms(features, sample_weight)) or 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a solver's doubts: a good start need not be the optimum
        if pos_weight is not None:
            sample_weight = sample_weight[:, None] * np.where(y == 1, np.asarray(pos_weight), 1.0)
        weight, bias = _SOLVERS[problem_type](centred / scale, y, sample_weight, num_labels)
    weight = weight / scale
    return weight, bias - weight @ mean


def _of_one_length(features):
    """The rows with their mean length: short texts have long features, and would decide where rows are few."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features * (lengths.mean() / np.where(lengths > 0, lengths, 1.0))


def _rms(features, sample_weight):
    """Root of the weighted mean square of all features."""
    return float(np.sqrt(np.average((features**2).mean(axis=1), weights=sample_weight)))


def _solve_single_label(X, y, sample_weight, num_labels):
    seen = np.unique(y)
    if len(seen) < num_labels:  # a stream's first rows need not hold all classes
        return _solve_seen_labels(X, y, sample_weight, num_labels, seen)
    model = _fit(_logistic_regression(X, 1 if num_labels == 2 else num_labels), X, y, sample_weight)
    if num_labels == 2:  # one margin: half of it to each logit
        return np.vstack([-model.coef_, model.coef_]) / 2, np.concatenate([-model.intercept_, model.intercept_]) / 2
    return model.coef_, model.intercept_


def _solve_seen_labels(X, y, sample_weight, num_labels, seen):
    """The solution for the classes that there are; the others are as likely as if half a row had each."""
    weight = np.zeros((num_labels, X.shape[1]))
    bias = np.full(num_labels, np.log(0.5 / len(X)))
    bias[seen] = 0.0
    if len(seen) > 1:
        codes = np.searchsorted(seen, y)
        weight[seen], bias[seen] = _solve_single_label(X, codes, sample_weight, len(seen))
    return weight, bias


def _solve_multi_label(X, y, sample_weight, num_labels):
    weight, bias = np.zeros((num_labels, X.shape[1])), np.empty(num_labels)
    weights = np.broadcast_to(sample_weight.reshape(len(X), -1), y.shape)
    for j in range(num_labels):
        positive, negative = weights[:, j] @ y[:, j], weights[:, j] @ (1 - y[:, j])
        if positive and negative:
            model = _fit(_logistic_regression(X, num_labels), X, y[:, j], weights[:, j])
            weight[j], bias[j] = model.coef_[0], model.intercept_[0]
        else:  # a label that all rows have, or none: its log-odds, as if half a row spoke against it
            bias[j] = np.log((positive + 0.5) / (negative + 0.5))
    return weight, bias


def _solve_regression(X, y, sample_weight, num_labels):
    model = _fit(Ridge(alpha=_NOISE_RATIO * X.shape[1], solver="cholesky"), X, y, sample_weight)
    return model.coef_.reshape(num_labels, -1), np.atleast_1d(model.intercept_)


def _fit(model, X, y, sample_weight):
    """Fit below all wrappers: MLflow wraps every `fit`, and would record the head as the model of the user."""
    return inspect.unwrap(type(model).fit)(model, X, y, sample_weight=sample_weight)


def _logistic_regression(X, n_outputs):
    # Newton's steps are exact in a few rounds, but expensive: with the square of the parameters of one model,
    # and once per label.
    exact = X.shape[1] * n_outputs <= _NEWTON_MAX
    solver = {"solver": "newton-cholesky", "tol": 1e-10} if exact else {"tol": 1e-4}
    return LogisticRegression(C=_LOGIT_VARIANCE / X.shape[1], max_iter=200, **solver)


_SOLVERS = {
    "single_label_classification": _solve_single_label,
    "multi_label_classification": _solve_multi_label,
    "regression": _solve_regression,
}
