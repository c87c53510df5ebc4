"""The constructor's parameters: what each may be, what "auto" stands for, and the plan of a training made of them."""

from numbers import Integral, Real
from os import PathLike
from typing import NamedTuple

import numpy as np
import torch
from sklearn.metrics import get_scorer_names
from sklearn.utils import _param_validation
from sklearn.utils._param_validation import StrOptions

from ._model.pooled_encoder import MEANS, POOLINGS
from ._runtime.progress import write_line
from ._training.config import BATCH_SIZE, TrainingConfig

_PARAMS_NOT_AFFECTING_WEIGHTS = {"checkpoint_dir", "device", "precision", "random_state", "verbose"}
# A head that starts at random on features that stay: on tickets, SST-2, TREC and EmoBank, 200 to 1,000 rows, no other
# of six factors from 1 to 1000 was better for a linear head and a hidden layer alike.
_FROZEN_HEAD_FACTOR = 100.0
# Of models with 12 layers of width 768: of the rates that the papers recommend, one of those that learn fastest.
_CONTRASTIVE_STEPS, _FEW_ROWS = 20, 10
# Up to so many rows several layers are the better features; with 4,000 rows sentiment lost by them.
_ROWS_FOR_TWO_LAYERS, _ROWS_FOR_THREE_LAYERS = 300, 1000
# So few steps are too few, and smaller batches make more; with 200 rows smaller ones lost a point.
_FEW_STEPS, _ROWS_FOR_SMALL_BATCHES = 125, 300
# Whose layers end in a normalisation, so that the outputs of several layers are of one scale.
_ALIKE_LAYERS = frozenset(
    "bert camembert deberta-v2 distilbert electra mpnet nomic_bert rembert roberta xlm-roberta".split()
)
_LABELS = {True: "one label", False: "several labels"}
_CONTRASTIVE_FACTOR, _AFTER_CONTRASTIVE_FACTOR = 2.0, 0.2
_BASE_RATE, _ROBERTA_RATE, _DEBERTA_RATE = 5e-5, 3e-5, 2e-5
_LOWEST_RATE = 1e-5  # of the widest models, DeBERTa aside: no paper recommends less


class Interval(_param_validation.Interval):
    """Numbers between two bounds. Python counts True and False among them, as 1 and 0; here they are a mistake."""

    def is_satisfied_by(self, val):
        """Whether `val` is such a number."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


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
    "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
    "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "micro_batch_size": [Interval(Integral, 1, None, closed="left"), None],
    "gradient_checkpointing": ["boolean"],
    "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "head_learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"}), None],
    "layer_decay": [Interval(Real, 0, 1, closed="right")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "warmup_fraction": [Interval(Real, 0, 1, closed="both")],
    "average_weights": ["boolean", StrOptions({"auto"})],
    "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
    "callbacks": [list, tuple, None],
    "early_stopping": ["boolean"],
    "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
    "validation_fraction": [Interval(Real, 0, 0.5, closed="right")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "warm_start": ["boolean"],
    "checkpoint_dir": [str, PathLike, None],
    "device": [str, torch.device],
    "precision": [StrOptions({"auto", "float32", "bfloat16", "float16", "float64"})],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def check_params(estimator):
    """Refuse what scikit-learn's constraints cannot: sizes that are no sizes, callbacks that are none."""
    sizes = estimator.hidden_layer_sizes
    if not all(isinstance(size, Integral) and not isinstance(size, bool) and size > 0 for size in sizes):
        raise ValueError(
            f"Got hidden_layer_sizes={sizes!r}, expected ints of at least 1, one per hidden layer. "
            "Pass () for a linear head."
        )
    for item in estimator.callbacks or ():
        callback = item[1] if isinstance(item, tuple) and len(item) == 2 else item
        if not hasattr(callback, "on_train_begin"):
            raise ValueError(
                f"Got {item!r} among callbacks, expected skorch callbacks or (name, callback) tuples. Pass objects "
                "such as skorch.callbacks.EpochScoring('accuracy')."
            )


class Recipe(NamedTuple):
    """The resolved values of the parameters that may be "auto"."""

    pooling: str
    bi_encoder: bool
    batch_size: int
    average_weights: bool
    learning_rate: float
    head_learning_rate: float
    contrastive_learning_rate: float
    contrastive_steps: int


def auto_learning_rate(config):
    """The learning rate that "auto" means for an encoder; docs/experiments_accuracy.md compares it with the papers."""
    width, depth = config.hidden_size / 768, config.num_hidden_layers / 12
    # The wider or deeper the model, the more each step of Adam moves its outputs.
    if config.model_type in ("deberta", "deberta-v2"):
        return min(_DEBERTA_RATE / depth, _BASE_RATE) / width
    rate = _ROBERTA_RATE if config.model_type in ("roberta", "xlm-roberta", "camembert") else _BASE_RATE
    return max(rate / width / max(1, depth) ** 0.5, _LOWEST_RATE)


def resolve_recipe(
    estimator, config, n_columns, trained_pooling=None, declared_pooling=None, n_rows=np.inf, resumed=False
):
    """The `Recipe` of the constructor's parameters, for an encoder of this config and so many text columns and rows."""
    probe = estimator.head_init == "linear_probe"
    frozen = estimator.freeze is not None and estimator.freeze in ("encoder", config.num_hidden_layers)
    steps = _resolve_contrastive_steps(estimator, config, n_columns, n_rows, frozen)
    pooling = estimator.pooling
    if pooling == "auto":
        pooling = trained_pooling or declared_pooling or ("mean" if probe or frozen else "pooler")
        # Contrastive steps fit the last layer to the classes: then those below add nothing.
        if pooling == "mean" and not trained_pooling and n_columns == 1 and not steps:
            pooling = _mean_of_layers(config, n_rows)
    bi_encoder = probe if estimator.pair_encoding == "auto" else estimator.pair_encoding == "bi_encoder"
    rates = _resolve_rates(estimator, config, frozen, steps and not resumed)
    batch_size = _resolve_batch_size(estimator, n_rows)
    average = _resolve_average_weights(estimator, batch_size)
    return Recipe(pooling, bi_encoder and n_columns == 2, batch_size, average, *rates, 0 if resumed else steps)


def _mean_of_layers(config, n_rows):
    """The mean of the layers that are the best features for so many texts, if all layers have one scale."""
    n_layers = 2 if n_rows <= _ROWS_FOR_TWO_LAYERS else 3 if n_rows <= _ROWS_FOR_THREE_LAYERS else 1
    return MEANS[min(n_layers, config.num_hidden_layers) - 1] if config.model_type in _ALIKE_LAYERS else "mean"


def _resolve_batch_size(estimator, n_rows):
    """The number of rows in a training step, for so many training rows."""
    if estimator.batch_size != "auto":
        return estimator.batch_size
    if n_rows <= _ROWS_FOR_SMALL_BATCHES:
        return BATCH_SIZE
    return int(min(max(n_rows * estimator.max_epochs / _FEW_STEPS, BATCH_SIZE / 2), BATCH_SIZE))


def _resolve_average_weights(estimator, batch_size):
    """Whether the training ends with the mean of its last weights, in batches of so many rows."""
    if estimator.average_weights != "auto":
        return estimator.average_weights
    # More steps in smaller batches make probabilities too sure, which the mean repairs.
    return estimator.batch_size == "auto" and batch_size < BATCH_SIZE


def _starts_at_random(estimator):
    return estimator.head_init != "linear_probe" or len(estimator.hidden_layer_sizes) > 0


def _resolve_contrastive_steps(estimator, config, n_columns, n_rows, frozen):
    """Number of contrastive steps; an error where they are asked for and cannot be made."""
    steps = getattr(estimator, "contrastive_steps", 0)  # a regressor has none
    one_label = config.problem_type == "single_label_classification"
    if steps == "auto":
        few = one_label and 2 * config.num_labels <= n_rows <= _FEW_ROWS * config.num_labels
        planned = estimator.max_seconds is None  # a limit of time plans the steps of the epochs only
        suits = n_columns == 1 and not frozen and not _starts_at_random(estimator)
        return _CONTRASTIVE_STEPS if few and suits and planned else 0
    if steps and (frozen or not one_label):
        raise ValueError(
            f"Got contrastive_steps={steps} with freeze={estimator.freeze!r} and {_LABELS[one_label]} per text, "
            "expected an encoder that is trained, and one label per text. Pass contrastive_steps='auto'."
        )
    return steps


def _resolve_rates(estimator, config, frozen, contrastive):
    """The learning rates of the encoder, of the head, and of contrastive steps."""
    auto_rate = auto_learning_rate(config)
    is_auto = estimator.learning_rate == "auto"
    rate = auto_rate if is_auto else estimator.learning_rate
    contrastive_rate = _CONTRASTIVE_FACTOR * rate
    if contrastive and is_auto:
        rate = _AFTER_CONTRASTIVE_FACTOR * auto_rate
    head_rate = rate if estimator.head_learning_rate in ("auto", None) else estimator.head_learning_rate
    if frozen and _starts_at_random(estimator) and is_auto and estimator.head_learning_rate == "auto":
        head_rate = _FROZEN_HEAD_FACTOR * auto_rate
    return rate, head_rate, contrastive_rate


def check_same_structure(estimator, recipe):
    """Refuse to resume with a fitted module that is not what the parameters ask for."""
    module = estimator.module_
    sizes = [layer.out_features for layer in module.hidden]
    found = {"pooling": module.pooling, "bi_encoder": module.bi_encoder, "hidden_layer_sizes": sizes}
    wanted_sizes = list(estimator.hidden_layer_sizes)
    wanted = {"pooling": recipe.pooling, "bi_encoder": recipe.bi_encoder, "hidden_layer_sizes": wanted_sizes}
    if found != wanted:
        raise ValueError(
            f"The fitted module has {found}, the parameters ask for {wanted}. Set them back to resume training, or "
            "fit anew with warm_start=False."
        )


def training_config(estimator, plan, recipe, loss_params):
    """The `TrainingConfig` of the constructor's parameters, the fit's plan and recipe, and the loss's parameters."""
    return TrainingConfig(
        seed=plan.seed,
        max_epochs=plan.max_epochs,
        max_seconds=estimator.max_seconds,
        learning_rate=recipe.learning_rate,
        head_learning_rate=recipe.head_learning_rate,
        layer_decay=estimator.layer_decay,
        weight_decay=estimator.weight_decay,
        warmup_fraction=estimator.warmup_fraction,
        average_weights=recipe.average_weights,
        max_grad_norm=estimator.max_grad_norm,
        linear_probe=not (_starts_at_random(estimator) or plan.resume),
        freeze=estimator.freeze,
        micro_batch_size=estimator.micro_batch_size,
        gradient_checkpointing=estimator.gradient_checkpointing,
        patience=estimator.n_iter_no_change if estimator.early_stopping else None,
        contrastive_steps=recipe.contrastive_steps,
        contrastive_learning_rate=recipe.contrastive_learning_rate,
        loss_params=loss_params,
    )


def net_params(estimator, verbose):
    """skorch's own parameters of the net, and the module's that are used as they are."""
    # Unseen, skorch's PrintLog would still lay out its rows.
    log = {"callbacks__print_log__sink": write_line} if verbose > 1 else {"callbacks__print_log": None}
    return log | {
        "module__hidden_layer_sizes": tuple(estimator.hidden_layer_sizes),
        "module__dropout": estimator.dropout,
        "verbose": max(0, verbose - 1),
        "callbacks__valid_loss": None,
    }


def training_fingerprint(estimator, rows, held_out, precision):
    """What the weights of a training depend on, as a dict of str to str: parameters and fingerprints of the data."""
    given = estimator.get_params(deep=False)
    params = {name: str(value) for name, value in given.items() if name not in _PARAMS_NOT_AFFECTING_WEIGHTS}
    params["scoring"] = getattr(estimator.scoring, "__qualname__", params["scoring"])  # str() has an address in memory
    callbacks = [item[1] if isinstance(item, tuple) else item for item in estimator.callbacks or ()]
    params["callbacks"] = ", ".join((item if isinstance(item, type) else type(item)).__name__ for item in callbacks)
    fingerprint = {"precision": precision} | params | rows.fingerprints()
    if held_out is not None:
        fingerprint["validation"] = " ".join(held_out.fingerprints().values())
    return fingerprint
