"""The fitted attributes of the classifier and the regressor: their types, and how they are set."""

from __future__ import annotations

from sklearn.utils.validation import check_is_fitted

from ._encoding.truncation import TruncationReport
from ._encoding.unknown_tokens import UnknownTokensReport
from ._model.module import BertModule
from ._training.callbacks import best_epoch
from ._training.training_net import BertNet

_OF_VALIDATION = ("validation_scores_", "validation_loss_curve_", "best_iter_")


class FittedAttributes:
    """The fitted attributes that `BertClassifier` and `BertRegressor` share; their docstrings describe them."""

    net_: BertNet
    problem_type_: str
    learning_rate_: float
    average_weights_: bool
    truncation_: TruncationReport
    unknown_tokens_: UnknownTokensReport
    n_iter_: int
    n_steps_: int
    loss_curve_: list[float]
    validation_scores_: list[float]
    validation_loss_curve_: list[float]
    best_iter_: int

    @property
    def module_(self) -> BertModule:
        """The fitted `BertModule`."""
        check_is_fitted(self)
        return self.net_.module_

    @property
    def summary_(self) -> str:
        """One line on the fit: mode, device, precision, epochs, rows in a batch and number of rows that were cut."""
        check_is_fitted(self)
        net, report = self.net_, self.truncation_
        by = "" if self.scoring is None else f" by {getattr(self.scoring, '__qualname__', self.scoring)}"
        kept = f", epoch {self.best_iter_} kept{by}" if hasattr(self, "best_iter_") else ""
        unknown = self.unknown_tokens_.n_unknown_rows
        read = f", {unknown} of unknown tokens only" if unknown else ""
        contrastive = getattr(self, "contrastive_steps_", 0)
        before = f"{contrastive} contrastive steps, then " if contrastive else ""
        steps = "" if self.max_seconds is None else f" ({self.n_steps_} steps in max_seconds={self.max_seconds:g})"
        averaged = ", weights averaged" if getattr(self, "average_weights_", False) else ""
        why = f" (the encoder cannot compute in {net.unsupported_precision_})" if net.unsupported_precision_ else ""
        return (
            f"{self.problem_type_} ({self._target.outputs}), on {net.device} in {net.precision}{why}, {before}"
            f"{self.n_iter_} epoch{'s' * (self.n_iter_ != 1)} in batches of {net.batch_size}{steps}{averaged}{kept}, "
            f"{report.n_truncated} of {report.n_rows} rows cut{read}"
        )

    def _adopt(self, net, attributes):
        """Set the fitted attributes and remove those of an earlier fit. Both fit and loading use this method only."""
        for name in _OF_VALIDATION:
            vars(self).pop(name, None)
        vars(self).update(attributes, net_=net)


def learned_attributes(net, target, text_encoder, truncation_, unknown_tokens_):
    """The fitted attributes of an estimator with such a net, by name, without the net."""
    history = net.history
    learned = {
        "_target": target,
        "_text_encoder": text_encoder,
        "tokenizer_": text_encoder.tokenizer,
        "problem_type_": target.problem_type,
        "learning_rate_": net.lr,
        "average_weights_": net.training_config.average_weights,
        "truncation_": truncation_,
        "unknown_tokens_": unknown_tokens_,
        "n_iter_": len(history),
        "n_steps_": sum(row.get("train_batch_count", 0) for row in history),
        "loss_curve_": [float(row["train_loss"]) for row in history if "train_loss" in row],
    }
    if target.problem_type != "regression":
        learned["contrastive_steps_"] = net.training_config.contrastive_steps
    if best_epoch(history):
        learned["validation_scores_"] = [row["valid_score"] for row in history]
        learned["validation_loss_curve_"] = [row["valid_loss"] for row in history]
        learned["best_iter_"] = best_epoch(history)
    return learned
