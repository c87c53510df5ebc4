"""What the classifier and the regressor share: the constructor, `fit`, and the way from X to logits.

Think twice before adding to the base class: a rule about y belongs to the target, one about batches
or training to the net. Text leaves numpy here once, and logits return here once.
"""

import warnings
from numbers import Integral, Real
from os import PathLike
from typing import Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ._attribution import ExplainMixin
from ._batching import EncodedDataset
from ._checkpoint import count_positions, load_config, load_tokenizer, resolve_checkpoint
from ._device import resolve_device, resolve_precision, seeded
from ._module import POOLINGS
from ._net import BertNet
from ._text import check_texts
from ._tokenization import resolve_max_length, tokenize, truncation_report

_WARN_TRUNCATED = 0.01  # share of cut rows above which a fit warns
_RATE_OF_BERT_BASE, _WIDTH_OF_BERT_BASE = 5e-5, 768  # the rate of the paper's grid that learns fastest


class BaseBertEstimator(ExplainMixin, BaseEstimator):
    """Base of `BertClassifier` and `BertRegressor`; not to be used directly.

    A subclass says how y becomes a target (`_check_y`, `_target_params`) and what its predict
    methods make of the logits.
    """

    _parameter_constraints = {
        "model": [str, PathLike],
        "revision": [str, None],
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
        "long_text": [StrOptions({"head_tail", "truncate"})],
        "pooling": [StrOptions({"auto", *POOLINGS})],
        "pair_encoding": [StrOptions({"auto", "separate", "joint"})],
        "hidden_layer_sizes": ["array-like"],
        "head_init": [StrOptions({"probe", "random"})],
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "attention_dropout": [Interval(Real, 0, 1, closed="left"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "head_learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "warmup_fraction": [Interval(Real, 0, 1, closed="both")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", "float32", "bfloat16", "float16", "float64"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        model,
        *,
        revision,
        max_length,
        long_text,
        pooling,
        pair_encoding,
        hidden_layer_sizes,
        head_init,
        dropout,
        attention_dropout,
        max_epochs,
        batch_size,
        learning_rate,
        head_learning_rate,
        weight_decay,
        warmup_fraction,
        max_grad_norm,
        device,
        precision,
        random_state,
        verbose,
    ):
        self.model = model
        self.revision = revision
        self.max_length = max_length
        self.long_text = long_text
        self.pooling = pooling
        self.pair_encoding = pair_encoding
        self.hidden_layer_sizes = hidden_layer_sizes
        self.head_init = head_init
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.weight_decay = weight_decay
        self.warmup_fraction = warmup_fraction
        self.max_grad_norm = max_grad_norm
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    @property
    def module_(self):
        """The fitted `BertModule`."""
        check_is_fitted(self)
        return self.net_.module_

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None) -> Self:
        """Fine-tune the model on texts and their targets.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            The texts, or sentence pairs as two columns or a list of ``(first, second)`` tuples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets; their shape and dtype choose the mode.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; only their ratios matter. A row of weight 0 counts as absent.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If `X`, `y` or a parameter is not as expected, or the training diverges; the message says
            what to do.
        OSError
            If the checkpoint cannot be loaded.
        """
        earlier = dict(vars(self))
        try:
            self._fit(X, y, sample_weight)
        except BaseException:  # an interrupt too must leave no half-trained estimator
            vars(self).clear()
            vars(self).update(earlier)
            raise
        return self

    def _fit(self, X, y, sample_weight):
        _check_layer_sizes(self.hidden_layer_sizes)
        columns, y, weights, target = self._check_fit_data(X, y, sample_weight)
        device = resolve_device(self.device)
        precision = resolve_precision(self.precision, device)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        with seeded(seed, device):
            folder = resolve_checkpoint(self.model, self.revision)
            config = load_config(folder, dropout=self.dropout, attention_dropout=self.attention_dropout)
            config.num_labels, config.problem_type = target.num_labels, target.problem_type
            tokenizer = load_tokenizer(folder, config)
            pooling, siamese, learning_rate = self._resolve_recipe(config, len(columns))
            columns, n_texts = _read_apart(columns) if siamese else (columns, 1)
            max_length = resolve_max_length(self.max_length, tokenizer, count_positions(config), len(columns))
            tokens = tokenize(tokenizer, columns, max_length, self.long_text)
            net = BertNet(
                folder,
                config,
                pad_token_id=tokenizer.pad_token_id,
                max_length=max_length,
                precision=precision,
                seed=seed,
                module__pooling=pooling,
                module__siamese=siamese,
                lr=learning_rate,
                device=device,
                **self._net_params(),
            )
            net.fit(EncodedDataset(tokens, target.encode(y), weights, n_texts))
        self._target, self._long_text = target, self.long_text
        self.problem_type_ = target.problem_type
        self.tokenizer_ = tokenizer
        self.n_iter_ = len(net.history)
        self.loss_curve_ = [float(loss) for loss in net.history[:, "train_loss"]]
        self.net_ = net.strip()
        self.truncation_ = truncation_report(tokenizer, columns, tokens, max_length, n_texts)
        _warn_if_truncated(self.truncation_)

    def _check_X(self, X, *, reset):
        """One or two lists of str; also keeps, or compares, feature names and number of columns."""
        columns = check_texts(X)
        if reset:
            vars(self).pop("n_features_in_", None)  # a list has none, and validate_data leaves an earlier one
            self._n_columns = len(columns)
        # Names are compared where both have them: the same texts are welcome in any other container.
        if reset or (hasattr(X, "columns") and hasattr(self, "feature_names_in_")):
            validate_data(self, X=X, skip_check_array=True, reset=reset)
        if len(columns) != self._n_columns:
            raise ValueError(
                f"X has {len(columns)} text column(s), but {type(self).__name__} was fitted with {self._n_columns}. "
                "Pass the same columns as in fit."
            )
        return columns

    def _check_fit_data(self, X, y, sample_weight):
        """Texts, y, weights of mean one and the fitted target, without rows of zero weight."""
        y, target_class = self._check_y(y)
        columns = self._check_X(X, reset=True)
        if len(columns[0]) != len(y):
            raise ValueError(
                f"Found input variables with inconsistent numbers of samples: [{len(columns[0])}, {len(y)}]. "
                "Pass one value, or one row of values, of y per row of X."
            )
        weights = _check_sample_weight(sample_weight, columns[0], dtype=np.float64, ensure_non_negative=True)
        kept = np.flatnonzero(weights)
        if len(kept) == 0:
            raise ValueError("Sample weights must contain at least one non-zero number.")
        columns = tuple([column[i] for i in kept] for column in columns)
        y, weights = y[kept], weights[kept] / weights.max()
        target = target_class(y, weights, **self._target_params())
        weights = target.weigh(y, weights)
        return columns, y, weights * (len(weights) / weights.sum()), target

    def _resolve_recipe(self, config, n_columns):
        """Pooling, whether the texts of pairs are encoded one by one, and learning rate: what "auto" stands for."""
        probe = self.head_init == "probe"
        pooling = ("mean" if probe else "pooler") if self.pooling == "auto" else self.pooling
        separate = probe if self.pair_encoding == "auto" else self.pair_encoding == "separate"
        # The wider the model, the more each step of Adam moves its outputs: as ELECTRA's three sizes have it.
        auto_rate = _RATE_OF_BERT_BASE * _WIDTH_OF_BERT_BASE / config.hidden_size
        return pooling, separate and n_columns == 2, auto_rate if self.learning_rate == "auto" else self.learning_rate

    def _net_params(self):
        """The constructor's parameters that the net takes as they are."""
        return {
            "head_init": self.head_init,
            "module__hidden_layer_sizes": tuple(self.hidden_layer_sizes),
            "module__dropout": self.dropout,
            "head_learning_rate": self.head_learning_rate,
            "weight_decay": self.weight_decay,
            "warmup_fraction": self.warmup_fraction,
            "max_grad_norm": self.max_grad_norm,
            "max_epochs": self.max_epochs,
            "batch_size": self.batch_size,
            "verbose": self.verbose,
            "callbacks__valid_loss": None,
        }

    def _read(self, X):
        """The texts as the encoder is to read them, and how many of a row it reads one by one."""
        check_is_fitted(self)
        columns = self._check_X(X, reset=False)
        return _read_apart(columns) if self.module_.siamese else (columns, 1)

    def _logits(self, X):
        """Texts to (n_samples, num_labels) float64 logits, in the order of the rows."""
        columns, n_texts = self._read(X)
        tokens = tokenize(self.tokenizer_, columns, self.truncation_.max_length, self._long_text)
        return self.net_.predict_logits(EncodedDataset(tokens, n_texts=n_texts)).astype(np.float64)


def _read_apart(columns):
    """The texts of pairs as one column, all first ones, then all second ones; and the texts of a row."""
    first, second = columns
    return (first + second,), 2


def _check_layer_sizes(sizes):
    if not all(isinstance(size, Integral) and size > 0 for size in sizes):
        raise ValueError(
            f"Got hidden_layer_sizes={sizes!r}, expected ints of at least 1, one per hidden layer. "
            "Pass () for a linear head."
        )


def _warn_if_truncated(report):
    if report.n_truncated > _WARN_TRUNCATED * report.n_rows:
        warnings.warn(
            f"{report.n_truncated} of {report.n_rows} texts are longer than max_length={report.max_length} tokens and "
            f"were cut; the longest has {report.longest}. Raise max_length if the model can take more (None is its own "
            "limit). The attribute truncation_ has the figures.",
            UserWarning,
            stacklevel=5,
        )
