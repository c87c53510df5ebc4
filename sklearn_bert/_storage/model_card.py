"""The model card of a stored estimator: a README.md for people, with metadata for the Hugging Face hub."""

import os

import numpy as np
from huggingface_hub import ModelCard, ModelCardData

from .huggingface import transformers_incompatibility
from .versions import versions

_TASKS = {
    "single_label_classification": "one label per text",
    "multi_label_classification": "any number of labels per text",
    "regression": "numbers",
}
_MAX_LABELS = 50
# Jinja, which torch requires, fills it in one pass: template syntax in a label or a parameter stays text.
_TEMPLATE = """\
---
{{ card_data }}
---

# {{ estimator }} of {{ texts }}

**Task**: {{ task }} (`{{ problem_type }}`), from {{ texts }}.

{{ output }}.

**Training rows**: {{ n_rows or "unknown" }}.

**Metrics**: {{ metrics or "none recorded" }}.

## Use

```python
from sklearn_bert import {{ estimator }}

{{ estimator }}.from_pretrained("this/folder").predict(texts)
```

{{ transformers }}.

## Parameters

{{ parameters }}

## Versions

{{ versions }}.
"""


def estimator_card(estimator, class_name, labels, stored):
    """The text of README.md for a fitted estimator.

    Parameters
    ----------
    estimator : BertClassifier or BertRegressor
        Fitted.
    class_name : str
        Name of the public class.
    labels : sequence or None
        The labels in the order of the logits; None for a regressor.
    stored : collection of str
        The names of the parameters that the folder holds.

    Returns
    -------
    card : str
    """
    params, defaults = estimator.get_params(deep=False), type(estimator)().get_params(deep=False)
    scores = getattr(estimator, "validation_scores_", None)
    metrics = {"training loss of the last epoch": estimator.loss_curve_[-1]} if estimator.loss_curve_ else {}
    if scores is not None and np.ndim(scores) == 1 and len(scores):
        metrics["best validation score"] = max(scores)
    return model_card(
        estimator=class_name,
        problem_type=estimator.problem_type_,
        names=None if labels is None else [str(label) for label in labels],
        n_columns=estimator._n_columns or 1,
        n_rows=estimator.truncation_.n_rows,
        metrics=metrics,
        parameters={k: _without_folders(v) for k, v in params.items() if v is not defaults[k] and k in stored},
        versions=versions(),
        transformers_incompatibility=transformers_incompatibility(estimator.module_),
    )


def model_card(
    *, estimator, problem_type, names, n_columns, n_rows, metrics, parameters, versions, transformers_incompatibility
):
    """The text of README.md.

    Parameters
    ----------
    estimator : str
        Name of the class.
    problem_type : str
    names : list of str or None
        The labels.
    n_columns, n_rows : int
        Number of texts per row, and number of rows of the fit; 0 if unknown.
    metrics : dict of float
    parameters : dict
        The constructor's parameters that differ from their defaults.
    versions : dict of str
    transformers_incompatibility : str or None
        Why transformers cannot open the folder.

    Returns
    -------
    card : str
    """
    data = ModelCardData(
        library_name="sklearn_bert" if transformers_incompatibility else "transformers",
        tags=["text-classification", "sklearn_bert"],
        pipeline_tag=None if transformers_incompatibility else "text-classification",
    )
    card = ModelCard.from_template(
        data,
        template_str=_TEMPLATE,
        estimator=estimator,
        texts="pairs of texts" if n_columns == 2 else "texts",
        task=_TASKS[problem_type],
        problem_type=problem_type,
        output="**Output**: numbers in the units of y" if names is None else f"**Labels**: {_listed(names)}",
        n_rows=n_rows,
        metrics=", ".join(f"{name} {value:.4g}" for name, value in metrics.items()),
        transformers=f"It does not open with transformers: {transformers_incompatibility}"
        if transformers_incompatibility
        else "It opens with `transformers.AutoModelForSequenceClassification` as well",
        parameters="\n".join(f"- {_code(f'{name}={value!r}')}" for name, value in parameters.items()),
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
    )
    return f"{card}\n"


def _listed(names):
    shown = ", ".join(_code(name) for name in names[:_MAX_LABELS])
    return shown + (f", and {len(names) - _MAX_LABELS} more" if len(names) > _MAX_LABELS else "")


def _code(text):
    """Inline code of Markdown, on one line, which no character of `text` can end."""
    return "`" + " ".join(text.replace("`", "'").split()) + "`"


def _without_folders(value):
    """A parameter's value; of a path only the last part, since the names of its folders are private."""
    is_path = isinstance(value, os.PathLike) or (isinstance(value, str) and os.path.isabs(value))
    return os.path.basename(os.path.normpath(value)) if is_path else value
