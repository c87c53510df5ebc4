"""The base class of the classifier and the regressor: the steps of `fit`, and the logits of X.

Think twice before adding to it: rules about y belong to the target, rules about batches or training to the
net. Only here, X becomes a dataset and the logits become a float64 array.
"""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch.utils.data import Dataset

from ._callback_support import CallbackSupportMixin
from ._data.rows import Rows
from ._data.target import FIRST, PARTIAL_FIT, VALIDATION, WARM_START
from ._encoding.text_encoder import TextEncoder, warn_if_truncated
from ._encoding.truncation import resolve_max_length
from ._encoding.unknown_tokens import warn_if_unknown
from ._estimator import TextInputMixin, unchanged_by_failure
from ._fitted import FittedAttributes, learned_attributes
from ._inspection.attribution import ExplainMixin
from ._keyword_hints import explain_keywords
from ._model.checkpoint import count_positions, folder_signature, load_config, load_tokenizer
from ._model.dropout import set_dropout
from ._model.hub import resolve_checkpoint
from ._model.module import BertModule
from ._model.sentence_encoder import declared_pooling, trained_pooling
from ._parameters import (
    CONSTRAINTS,
    check_same_structure,
    net_params,
    resolve_recipe,
    training_config,
)
from ._plan import Plan
from ._runtime.device import seeded
from ._runtime.progress import write_folded
from ._storage.persistence import StorableMixin
from ._training.callbacks import SklearnCallbackBridge, make_callbacks
from ._training.training_net import BertNet
from ._training.validation import make_validation
from ._typing import Targets, fit_context


class BaseBertEstimator(
    CallbackSupportMixin, FittedAttributes, TextInputMixin, ExplainMixin, StorableMixin, BaseEstimator
):
    """Base class of `BertClassifier` and `BertRegressor`; do not use it directly.

    A subclass defines how y becomes a target (`_check_y`, `_target_params`) and what its predict
    methods make of the logits.
    """

    _parameter_constraints = CONSTRAINTS
    net_class: type[BertNet] = BertNet  # a subclass of an estimator may name a subclass of it

    @explain_keywords
    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: Targets,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: Targets | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Fine-tune the model on texts and their targets.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            The texts, or sentence pairs as two columns or a list of ``(first, second)`` tuples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets; their shape and dtype choose the mode.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; only their ratios matter. A row of weight 0 counts as absent.
        X_val, y_val, sample_weight_val : array-like, default=None
            Texts, targets and weights on which each epoch is scored, in the same forms as `X`, `y` and
            `sample_weight`. The weights of the best epoch are kept. `early_stopping` then holds out no rows.

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
            If the checkpoint cannot be loaded, or `checkpoint_dir` cannot be written.
        MemoryError
            If the device has too little memory for a single row.
        """
        if (X_val is None) != (y_val is None) or (X_val is None and sample_weight_val is not None):
            raise ValueError(
                "Got only some of X_val, y_val and sample_weight_val. Pass X_val and y_val together, or none of them."
            )
        role = WARM_START if self.warm_start and self.__sklearn_is_fitted__() else FIRST
        with self._fit_task(X, y, sample_weight, self.max_epochs) as bridge:
            rows = self._check_rows(X, y, sample_weight, role)
            held_out = None if X_val is None else self._check_held_out(rows, X_val, y_val, sample_weight_val)
            self._fit(Plan.of(self, rows, held_out, self.max_epochs, self.checkpoint_dir), rows, held_out, bridge)
        return self

    def _partial_fit(self, X, y, sample_weight, classes=None):
        """Train one more epoch, on these rows; `classes` are all classes that will ever occur."""
        if self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True: its rows are all trained on. Pass False."
            )
        role = PARTIAL_FIT if self.__sklearn_is_fitted__() else FIRST
        curve, n_steps = ([], 0) if role is FIRST else (self.loss_curve_, self.n_steps_)
        with self._fit_task(X, y, sample_weight, max_epochs=1) as bridge:
            rows = self._check_rows(X, y, sample_weight, role)
            self._fit(Plan.of(self, rows, None, max_epochs=1, is_stream=True), rows, None, bridge, classes=classes)
            self.loss_curve_ = [*curve, *self.loss_curve_]
            self.n_iter_ = len(self.loss_curve_)
            self.n_steps_ += n_steps
        return self

    @contextmanager
    def _fit_task(self, X, y, sample_weight, max_epochs):
        """The context of a fit, which is a task of scikit-learn's callbacks; yields the bridge to them.

        If the fit fails, the estimator is not changed.
        """
        context = self._init_callback_context(max_subtasks=max_epochs)
        data = {"X": X, "y": y, "metadata": {"sample_weight": sample_weight}}
        context.call_on_fit_task_begin(estimator=self, **data)
        with unchanged_by_failure(self):
            yield partial(SklearnCallbackBridge, self, context, data)
        context.call_on_fit_task_end(estimator=self, **data, reconstruction_attributes=lambda: vars(self))

    # -- the steps of a fit: plan, split, prepare, train, adopt ------------------------------------------

    def _fit(self, plan, rows, held_out, bridge, classes=None):
        """Train on `rows`, from the checkpoint or from the weights fitted so far."""
        rows, held_out = self._split(rows, held_out, plan.seed)
        rows = rows if plan.resume else self._with_descriptions(rows, classes)
        target = self._resumed_target(rows, classes) if plan.resume else self._new_target(rows, classes)
        if held_out is not None:
            target.encode(held_out.y, VALIDATION)  # refuses other classes, in words about y_val
        with seeded(plan.seed, plan.device), torch.inference_mode(False):
            net, text_encoder, origin = self._prepare(plan, target, rows)
            dataset = text_encoder.encode(rows.columns, target.encode(rows.y), rows.weights_for(target), origin)
            attributes = self._train(net, plan, target, text_encoder, dataset, held_out, bridge)
        self._adopt(net.release_training_state(), attributes)
        if self.verbose and plan.group.is_first:
            write_folded(self.summary_)
        warn_if_truncated(self.truncation_)
        warn_if_unknown(self.unknown_tokens_)

    def _split(self, rows, held_out, seed):
        """The rows to train on, and the rows to validate on or None."""
        if not self.early_stopping or held_out is not None:
            return rows, held_out
        mask = rows.target_class.choose_validation_rows(rows.y, self.validation_fraction, seed)
        most = rows.target_class.choose_validation_rows(rows.y, 0.5, seed).sum()
        if most < 2:
            raise ValueError(
                f"early_stopping=True needs two rows to validate on, but only {most} of {len(mask)} can be held out: a "
                "row of each class or label stays in training. Pass more rows of each class, pass X_val and y_val, or "
                "set early_stopping=False."
            )
        return rows.take(~mask), rows.take(mask)

    def _prepare(self, plan, target, rows):
        """A net with the weights of the checkpoint or the earlier fit, its text encoder, and the tokenizer's origin."""
        if plan.resume:
            self.net_.check_structure()
            config, tokenizer = deepcopy(self.module_.config), deepcopy(self.tokenizer_)
            make_module, origin = self.module_.rebuilt, None
            trained, declared = self.module_.pooling, None
        else:
            folder = resolve_checkpoint(self.model, self.revision, self.verbose if plan.group.is_first else 0)
            origin, config = folder_signature(folder), load_config(folder)
            config.num_labels, config.problem_type = target.num_labels, target.problem_type
            tokenizer = load_tokenizer(folder, config)
            make_module = partial(BertModule.from_folder, folder)
            trained = trained_pooling(folder)
            declared = declared_pooling(folder) if self.pooling == "auto" and trained is None else None
        set_dropout(config, dropout=self.dropout, attention_dropout=self.attention_dropout)
        n_rows, n_columns = np.inf if plan.is_stream else len(rows.y), len(rows.columns)
        recipe = resolve_recipe(self, config, n_columns, trained, declared, n_rows, resumed=plan.resume)
        if plan.resume:
            check_same_structure(self, recipe)
        n_encoded_together = 1 if recipe.bi_encoder else n_columns
        max_length = resolve_max_length(self.max_length, tokenizer, count_positions(config), n_encoded_together)
        text_encoder = TextEncoder(tokenizer, max_length, self.long_text, self.stride, recipe.bi_encoder)
        text_encoder.check(n_columns)
        net = self.net_class(
            config,
            training_config(self, plan, recipe, target.loss_params),
            pad_token_id=tokenizer.pad_token_id,
            max_length=max_length,
            precision=plan.precision,
            or_float32=self.precision == "auto",
            device=plan.device,
            make_module=make_module,
            module__pooling=recipe.pooling,
            module__bi_encoder=recipe.bi_encoder,
            batch_size=recipe.batch_size,
            **net_params(self, verbose=self.verbose if plan.group.is_first else 0),
        )
        return net, text_encoder, origin

    def _train(self, net, plan, target, text_encoder, dataset, held_out, bridge):
        """Train the net, and return the fitted attributes by name, without the net."""
        validation = None if held_out is None else make_validation(held_out, target, text_encoder, self.scoring, self)
        reports = {"truncation_": text_encoder.report(dataset), "unknown_tokens_": text_encoder.unknown_tokens(dataset)}
        learned = partial(learned_attributes, target=target, text_encoder=text_encoder, **reports)
        net.callbacks = make_callbacks(
            net.training_config,
            started=plan.started,
            progress=self.verbose,
            state_file=plan.state_file,
            bridge=bridge and bridge(lambda net: learned(net) | {"net_": net}),
            callbacks=self.callbacks,
        )
        net.fit(dataset, validation=validation)
        return learned(net)

    # -- what a fit checks first --------------------------------------------------------------------------

    def _check_rows(self, X, y, sample_weight, role):
        y, target_class = self._check_y(y, role)
        columns = self._check_X(X, reset=role is FIRST)
        return Rows.of_positive_weight(columns, y, sample_weight, target_class, role)

    def _check_held_out(self, rows, X, y, sample_weight):
        try:
            held_out = self._check_rows(X, y, sample_weight, VALIDATION)
        except (TypeError, ValueError) as error:
            raise type(error)(f"In X_val, y_val or sample_weight_val: {error}") from error
        if held_out.target_class is not rows.target_class:
            raise ValueError(
                f"y_val is of problem type {held_out.target_class.problem_type!r}, y of "
                f"{rows.target_class.problem_type!r}. Pass targets of the same kind."
            )
        if len(held_out.y) < 2:
            raise ValueError(
                "X_val and y_val have 1 row of positive weight, expected at least two. Pass more rows to validate on."
            )
        return held_out

    def _with_descriptions(self, rows, classes):
        """The rows to train on. The classifier adds a row for each class description."""
        return rows

    def _new_target(self, rows, classes):
        params = self._target_params() | ({} if classes is None else {"classes": classes})
        return rows.target_class(rows.y, rows.weights, **params)

    def _resumed_target(self, rows, classes):
        """The target for the current parameters, with the classes, labels or scale of the earlier fit."""
        if rows.target_class is not type(self._target):
            raise ValueError(
                f"y is of problem type {rows.target_class.problem_type!r}, but {type(self).__name__} was fitted on "
                f"{self.problem_type_!r}. Pass y of the same kind, or {rows.role.cure}."
            )
        return self._target.refit_keeping_classes(rows.y, rows.weights, classes, rows.role, **self._target_params())

    # -- prediction -----------------------------------------------------------------------------------------

    def to_dataset(self, X: ArrayLike) -> Dataset[Any]:
        """Encode texts as `fit` did, as a dataset for ``net_``.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.

        Returns
        -------
        dataset : torch.utils.data.Dataset
            Token ids, cut to `max_length`, for ``net_.forward``, ``net_.predict_proba`` and ``net_.predict``.

        Raises
        ------
        ValueError
            If `X` is not as expected, or has another number of text columns than in `fit`.
        """
        check_is_fitted(self)
        return self._text_encoder.encode(self._check_X(X, reset=False))

    def _logits(self, X):
        """The logits of texts, (n_samples, num_labels) float64, in the order of the rows."""
        dataset = self.to_dataset(X)
        return self.net_.predict_logits(dataset, self.verbose).astype(np.float64)
