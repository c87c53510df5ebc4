"""What the classifier and the regressor share: the constructor, `fit`, and the way from X to logits.

Think twice before adding to the base class: a rule about y belongs to the target, one about batches
or training to the net. Text leaves numpy here once, and logits return here once.
"""

from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, _fit_context
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ._data.rows import Rows
from ._data.text import check_texts
from ._encoding.text_encoder import TextEncoder, warn_if_truncated
from ._encoding.tokenization import resolve_max_length
from ._inspection.attribution import ExplainMixin
from ._model.checkpoint import count_positions, load_config, load_tokenizer, resolve_checkpoint
from ._model.dropout import set_dropout
from ._parameters import CONSTRAINTS, check_layer_sizes, net_params, resolve_recipe
from ._runtime.device import resolve_device, resolve_precision, seeded
from ._runtime.distributed import get_process_group
from ._runtime.progress import EpochTasks, write_line
from ._storage.persistence import StorableMixin
from ._training.checkpointing import StateFile
from ._training.training_net import BertNet
from ._training.validation import make_validation

_PARAMS_NOT_AFFECTING_WEIGHTS = {"checkpoint_dir", "device", "precision", "random_state", "verbose"}


class BaseBertEstimator(CallbackSupportMixin, ExplainMixin, StorableMixin, BaseEstimator):
    """Base of `BertClassifier` and `BertRegressor`; not to be used directly.

    A subclass says how y becomes a target (`_check_y`, `_target_params`) and what its predict
    methods make of the logits.
    """

    _parameter_constraints = CONSTRAINTS

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

    @property
    def summary_(self):
        """What the fit inferred and did, in one line."""
        check_is_fitted(self)
        net, report = self.net_, self.truncation_
        kept = f", epoch {self.best_iter_} kept" if hasattr(self, "best_iter_") else ""
        return (
            f"{self.problem_type_} ({self._target.outputs}), on {net.device} in {net.precision}, {self.n_iter_} "
            f"epoch{'s' * (self.n_iter_ != 1)}{kept}, {report.n_truncated} of {report.n_rows} rows cut"
        )

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None) -> Self:
        """Fine-tune the model on texts and their targets.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            The texts, or sentence pairs as two columns or a list of ``(first, second)`` tuples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets; their shape and dtype choose the mode.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; only their ratios matter. A row of weight 0 counts as absent.
        X_val, y_val, sample_weight_val : default=None
            Texts, targets and weights to judge each epoch by, in the forms of the others. The weights of
            the best epoch are kept. `early_stopping` then sets no rows of `X` apart.

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
            If the checkpoint cannot be loaded, or `checkpoint_dir` not be written.
        MemoryError
            If the device has too little memory for one row at a time.
        """
        if (X_val is None) != (y_val is None) or (X_val is None and sample_weight_val is not None):
            raise ValueError(
                "Got only some of X_val, y_val and sample_weight_val. Pass X_val and y_val together, or none of them."
            )
        goes_on = self.warm_start and self.__sklearn_is_fitted__()
        context = self._init_callback_context(max_subtasks=self.max_epochs)
        data = {"X": X, "y": y, "metadata": {"sample_weight": sample_weight}}
        context.call_on_fit_task_begin(estimator=self, **data)
        with unchanged_by_failure(self):
            rows = self._check_rows(X, y, sample_weight, reset=not goes_on)
            held_out = None if X_val is None else self._check_held_out(rows, X_val, y_val, sample_weight_val)
            self._fit(
                rows,
                held_out,
                goes_on,
                max_epochs=self.max_epochs,
                checkpoint_dir=self.checkpoint_dir,
                watch=partial(EpochTasks, self, context, data),
            )
            warn_if_truncated(self.truncation_, stacklevel=4)
        context.call_on_fit_task_end(estimator=self, **data, reconstruction_attributes=lambda: vars(self))
        return self

    def _partial_fit(self, X, y, sample_weight, classes=None):
        """One more epoch, on these rows; `classes` are all that will ever come."""
        if self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True: its rows are all trained on. Pass False."
            )
        goes_on = self.__sklearn_is_fitted__()
        curve = self.loss_curve_ if goes_on else []
        with unchanged_by_failure(self):
            rows = self._check_rows(X, y, sample_weight, reset=not goes_on)
            self._fit(rows, None, goes_on, classes=classes, max_epochs=1, checkpoint_dir=None)
            self.loss_curve_ = [*curve, *self.loss_curve_]
            self.n_iter_ = len(self.loss_curve_)
            warn_if_truncated(self.truncation_, stacklevel=5)
        return self

    def _fit(self, rows, held_out, goes_on, *, classes=None, max_epochs, checkpoint_dir=None, watch=None):
        """Train on `rows`, from the checkpoint or from where an earlier fit ended."""
        check_layer_sizes(self.hidden_layer_sizes)
        device = resolve_device(self.device)
        precision = resolve_precision(self.precision, device)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        together = get_process_group(device)
        together.check_same(lambda: self._training_fingerprint(rows, held_out, precision))
        seed, state_file = together.gather(seed)[0], None
        if checkpoint_dir is not None:
            state_file = self._state_file(rows, held_out, goes_on, device, precision)
            seed = state_file.agree_on_seed(seed, fixed=self.random_state is not None)
        if self.early_stopping and held_out is None:
            apart = rows.target_class.choose_validation_rows(rows.y, self.validation_fraction, seed)
            rows, held_out = rows.take(~apart), rows.take(apart)
        target = self._target_to_go_on(rows, classes) if goes_on else self._new_target(rows, classes)
        with seeded(seed, device), torch.inference_mode(False):
            net, text_encoder = self._new_net(target, len(rows.columns), device, precision, seed, goes_on)
            net.set_params(max_epochs=max_epochs)
            dataset = text_encoder.encode(rows.columns, target.encode(rows.y), rows.weights_for(target))
            validation = None if held_out is None else make_validation(held_out, target, text_encoder)
            report = text_encoder.report(rows.columns, dataset)
            fitted = {
                "_target": target,
                "_text_encoder": text_encoder,
                "tokenizer_": text_encoder.tokenizer,
                "problem_type_": target.problem_type,
                "learning_rate_": net.lr,
                "truncation_": report,
            }
            tasks = watch and watch(lambda net: fitted | {"net_": net})
            net.fit(dataset, validation=validation, state_file=state_file, tasks=tasks, progress=self.verbose)
        vars(self).update(fitted)
        self._keep_history(net)
        self.net_ = net.release_training_state()
        if self.verbose and together.is_first:
            write_line(self.summary_)

    def _new_net(self, target, n_columns, device, precision, seed, goes_on):
        """An untrained net on the checkpoint, or on the module fitted so far, and the reader of its texts."""
        folder, config, tokenizer = self._fitted_parts() if goes_on else self._checkpoint_parts(target)
        set_dropout(config, dropout=self.dropout, attention_dropout=self.attention_dropout)
        pooling, separate, learning_rate = resolve_recipe(self, config, n_columns)
        if goes_on:
            self._check_module(pooling, separate)
        n_read_together = 1 if separate else n_columns
        max_length = resolve_max_length(self.max_length, tokenizer, count_positions(config), n_read_together)
        text_encoder = TextEncoder(tokenizer, max_length, self.long_text, self.stride, separate)
        text_encoder.check(n_columns)
        net = BertNet(
            folder,
            config,
            loss_params=target.loss_params,
            pad_token_id=tokenizer.pad_token_id,
            max_length=max_length,
            precision=precision,
            seed=seed,
            new_module=partial(self.module_.rebuilt, config, self.dropout) if goes_on else None,
            module__pooling=pooling,
            module__bi_encoder=separate,
            lr=learning_rate,
            device=device,
            **net_params(self, self.verbose if get_process_group(device).is_first else 0),
        )
        return net, text_encoder

    def _checkpoint_parts(self, target):
        folder = resolve_checkpoint(self.model, self.revision)
        config = load_config(folder)
        config.num_labels, config.problem_type = target.num_labels, target.problem_type
        return folder, config, load_tokenizer(folder, config)

    def _fitted_parts(self):
        return None, deepcopy(self.module_.config), deepcopy(self.tokenizer_)

    def _keep_history(self, net):
        """What the epochs were like; after an earlier fit with validation nothing of it may be left."""
        self.n_iter_ = len(net.history)
        self.loss_curve_ = [float(loss) for loss in net.history[:, "train_loss"]]
        for name in ("validation_scores_", "validation_loss_curve_", "best_iter_"):
            vars(self).pop(name, None)
        if net.validation_ is not None:
            self.validation_scores_ = net.history[:, "valid_score"]
            self.validation_loss_curve_ = net.history[:, "valid_loss"]
            self.best_iter_ = net.best_.epoch

    def _check_X(self, X, *, reset):
        """One or two lists of str; also keeps, or compares, feature names and number of columns."""
        columns = check_texts(X)
        if reset:
            vars(self).pop("n_features_in_", None)  # a list has none, and validate_data leaves an earlier one
            self._n_columns = len(columns)
        # Names are compared where both have them: the same texts are welcome in any other container.
        if reset or (hasattr(X, "columns") and hasattr(self, "feature_names_in_")):
            validate_data(self, X=X, skip_check_array=True, reset=reset)
        if self._n_columns not in (None, len(columns)):  # None: a model of transformers may take either
            raise ValueError(
                f"X has {len(columns)} text column(s), but {type(self).__name__} was fitted with {self._n_columns}. "
                "Pass the same columns as in fit."
            )
        return columns

    def _check_held_out(self, rows, X, y, sample_weight):
        try:
            held_out = self._check_rows(X, y, sample_weight, reset=False)
        except (TypeError, ValueError) as error:
            raise type(error)(f"In X_val, y_val or sample_weight_val: {error}") from error
        if held_out.target_class is not rows.target_class:
            raise ValueError(
                f"y_val is of problem type {held_out.target_class.problem_type!r}, y of "
                f"{rows.target_class.problem_type!r}. Pass targets of the same kind."
            )
        return held_out

    def _check_rows(self, X, y, sample_weight, *, reset):
        y, target_class = self._check_y(y, reset=reset)
        return Rows.of_positive_weight(self._check_X(X, reset=reset), y, sample_weight, target_class)

    def _new_target(self, rows, classes):
        params = self._target_params() | ({} if classes is None else {"classes": classes})
        return rows.target_class(rows.y, rows.weights, **params)

    def _target_to_go_on(self, rows, classes):
        """The target as the parameters now ask for it, with the classes, labels or scale of the earlier fit."""
        if rows.target_class is not type(self._target):
            raise ValueError(
                f"y is of problem type {rows.target_class.problem_type!r}, but {type(self).__name__} was fitted on "
                f"{self.problem_type_!r}. Go on with y of the same kind, or fit anew with warm_start=False."
            )
        return self._target.refit_keeping_classes(rows.y, rows.weights, classes, **self._target_params())

    def _check_module(self, pooling, separate):
        """Whether the fitted module is what the parameters ask for."""
        module = self.module_
        sizes = [layer.out_features for layer in module.hidden]
        found = {"pooling": module.pooling, "separate pairs": module.bi_encoder, "hidden_layer_sizes": sizes}
        asked = {"pooling": pooling, "separate pairs": separate, "hidden_layer_sizes": list(self.hidden_layer_sizes)}
        if found != asked:
            raise ValueError(
                f"The fitted module has {found}, the parameters ask for {asked}. Set them back to go on training, or "
                "fit anew with warm_start=False."
            )

    def _state_file(self, rows, held_out, goes_on, device, precision):
        if goes_on:
            raise ValueError(
                "warm_start=True goes on from the fitted weights, checkpoint_dir from those in the folder. Pass only "
                "one of them."
            )
        return StateFile(
            self.checkpoint_dir, {"device": str(device)} | self._training_fingerprint(rows, held_out, precision)
        )

    def _training_fingerprint(self, rows, held_out, precision):
        """What a training is of."""
        params = {k: str(v) for k, v in self.get_params(deep=False).items() if k not in _PARAMS_NOT_AFFECTING_WEIGHTS}
        description = {"precision": precision} | params | rows.fingerprints()
        if held_out is not None:
            description["validation"] = " ".join(held_out.fingerprints().values())
        return description

    def _logits(self, X):
        """Texts to (n_samples, num_labels) float64 logits, in the order of the rows."""
        check_is_fitted(self)
        columns = self._check_X(X, reset=False)
        return self.net_.predict_logits(self._text_encoder.encode(columns), self.verbose).astype(np.float64)


@contextmanager
def unchanged_by_failure(estimator):
    """Give the estimator its attributes back if the context fails: half-trained, it must not look trained."""
    earlier = dict(vars(estimator))
    try:
        yield
    except BaseException:  # an interrupt too
        vars(estimator).clear()
        vars(estimator).update(earlier)
        raise
