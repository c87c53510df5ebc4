"""The model card: what a stored estimator is, for people. Markdown with the head that the hub reads."""

_TASKS = {
    "single_label_classification": "one label per text",
    "multi_label_classification": "any number of labels per text",
    "regression": "numbers",
}
_MAX_LABELS = 50


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
        Texts of a row, and rows of the fit; 0 if unknown.
    metrics : dict of float
        What is known of how good it is.
    parameters : dict
        The constructor's parameters that are not its defaults.
    versions : dict of str
    transformers_incompatibility : str or None
        Why transformers cannot open the folder.
    """
    what = "pairs of texts" if n_columns == 2 else "texts"
    lines = [
        "---",
        "library_name: sklearn_bert" if transformers_incompatibility else "library_name: transformers",
        "tags: [text-classification, sklearn_bert]",
        *([] if transformers_incompatibility else ["pipeline_tag: text-classification"]),
        "---",
        "",
        f"# {estimator} of {what}",
        "",
        f"**Task**: {_TASKS[problem_type]} (`{problem_type}`), from {what}.",
        "",
        f"**Labels**: {_listed(names)}" if names is not None else "**Output**: numbers in the units of y.",
        "",
        f"**Training rows**: {n_rows if n_rows else 'unknown'}.",
        "",
        "**Metrics**: "
        + (", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "none recorded")
        + ".",
        "",
        "## Use",
        "",
        "```python",
        f"from sklearn_bert import {estimator}",
        "",
        f'{estimator}.from_pretrained("this/folder").predict(texts)',
        "```",
        "",
        f"It does not open with transformers: {transformers_incompatibility}."
        if transformers_incompatibility
        else "It opens with `transformers.AutoModelForSequenceClassification` as well.",
        "",
        "## Parameters",
        "",
        *(f"- `{name}={value!r}`" for name, value in parameters.items()),
        "",
        "## Versions",
        "",
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
    ]
    return "\n".join(lines)


def _listed(names):
    shown = ", ".join("`" + " ".join(name.replace("`", "'").split()) + "`" for name in names[:_MAX_LABELS])
    return shown + (f", and {len(names) - _MAX_LABELS} more." if len(names) > _MAX_LABELS else ".")
