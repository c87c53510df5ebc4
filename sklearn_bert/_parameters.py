"""The constructor's parameters: what each may be, what "auto" stands for, and which of them the net takes."""

from numbers import Integral, Real
from os import PathLike

import torch
from sklearn.utils._param_validation import Interval, StrOptions

from ._model.module import POOLINGS
from ._runtime.progress import write_line

_RATE_OF_BERT_BASE, _WIDTH_OF_BERT_BASE = 5e-5, 768  # the rate of the paper's grid that learns fastest

CONSTRAINTS = {
    "model": [str, PathLike],
    "revision": [str, None],
    "max_length": [Interval(Integral, 1, None, closed="left"), None],
    "long_text": [StrOptions({"head_tail", "truncate", "window"})],
    "stride": [Interval(Integral, 0, None, closed="left"), None],
    "pooling": [StrOptions({"auto", *POOLINGS})],
    "pair_encoding": [StrOptions({"auto", "bi_encoder", "cross_encoder"})],
    "hidden_layer_sizes": ["array-like"],
    "head_init": [StrOptions({"linear_probe", "random"})],
    "dropout": [Interval(Real, 0, 1, closed="left"), None],
    "attention_dropout": [Interval(Real, 0, 1, closed="left"), None],
    "freeze": [StrOptions({"embeddings", "encoder"}), Interval(Integral, 0, None, closed="left"), None],
    "max_epochs": [Interval(Integral, 1, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "micro_batch_size": [Interval(Integral, 1, None, closed="left"), None],
    "gradient_checkpointing": ["boolean"],
    "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "head_learning_rate": [Interval(Real, 0, None, closed="neither"), None],
    "layer_decay": [Interval(Real, 0, 1, closed="right")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "warmup_fraction": [Interval(Real, 0, 1, closed="both")],
    "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 0.5, closed="right")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "warm_start": ["boolean"],
    "checkpoint_dir": [str, PathLike, None],
    "device": [str, torch.device],
    "precision": [StrOptions({"auto", "float32", "bfloat16", "float16", "float64"})],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def check_layer_sizes(sizes):
    """Refuse sizes that are no sizes."""
    if not all(isinstance(size, Integral) and size > 0 for size in sizes):
        raise ValueError(
            f"Got hidden_layer_sizes={sizes!r}, expected ints of at least 1, one per hidden layer. "
            "Pass () for a linear head."
        )


def resolve_recipe(estimator, config, n_columns):
    """Pooling, whether the texts of pairs are encoded one by one, and learning rate: what "auto" stands for."""
    probe = estimator.head_init == "linear_probe"
    pooling = ("mean" if probe else "pooler") if estimator.pooling == "auto" else estimator.pooling
    separate = probe if estimator.pair_encoding == "auto" else estimator.pair_encoding == "bi_encoder"
    # The wider the model, the more each step of Adam moves its outputs: as ELECTRA's three sizes have it.
    auto_rate = _RATE_OF_BERT_BASE * _WIDTH_OF_BERT_BASE / config.hidden_size
    return (
        pooling,
        separate and n_columns == 2,
        auto_rate if estimator.learning_rate == "auto" else estimator.learning_rate,
    )


def net_params(estimator, verbose):
    """The constructor's parameters that the net takes as they are, and how much it shows."""
    return {
        "head_init": estimator.head_init,
        "module__hidden_layer_sizes": tuple(estimator.hidden_layer_sizes),
        "module__dropout": estimator.dropout,
        "head_learning_rate": estimator.head_learning_rate,
        "weight_decay": estimator.weight_decay,
        "warmup_fraction": estimator.warmup_fraction,
        "max_grad_norm": estimator.max_grad_norm,
        "freeze": estimator.freeze,
        "layer_decay": estimator.layer_decay,
        "batch_size": estimator.batch_size,
        "micro_batch_size": estimator.micro_batch_size,
        "gradient_checkpointing": estimator.gradient_checkpointing,
        "n_iter_no_change": estimator.n_iter_no_change if estimator.early_stopping else None,
        "verbose": max(0, verbose - 1),
        "callbacks__print_log__sink": write_line if verbose > 1 else print,
        "callbacks__valid_loss": None,
    }
