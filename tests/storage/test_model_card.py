"""The card states what is known, and a label or parameter can change nothing but its own text."""

import socket

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from sklearn_bert import BertClassifier
from sklearn_bert._storage.model_card import model_card
from tests.helpers import cases

FACTS = {
    "estimator": "BertClassifier",
    "problem_type": "single_label_classification",
    "names": ["bad", "good `one`"],
    "n_columns": 1,
    "n_rows": 48,
    "metrics": {"validation accuracy": 0.91234},
    "parameters": {"max_epochs": 4},
    "versions": {"torch": "2.13.0"},
    "transformers_incompatibility": None,
}


def head(card):
    """The metadata that the hub reads."""
    return yaml.safe_load(card.split("---")[1])


def test_a_card_states_task_labels_size_metrics_parameters_and_versions():
    card = model_card(**FACTS)
    for fact in (
        "one label per text",
        "`single_label_classification`",
        "`bad`, `good 'one'`",
        "Training rows**: 48",
        "validation accuracy 0.9123",
        "`max_epochs=4`",
        "torch 2.13.0",
        "opens with `transformers.AutoModelForSequenceClassification`",
    ):
        assert fact in card
    assert head(card)["library_name"] == "transformers"
    assert head(card)["pipeline_tag"] == "text-classification"


def test_a_card_of_a_module_that_transformers_cannot_open_states_the_reason():
    card = model_card(**FACTS | {"transformers_incompatibility": "the head has hidden layers"})
    assert "It does not open with transformers: the head has hidden layers." in card
    assert head(card) == {"library_name": "sklearn_bert", "tags": ["text-classification", "sklearn_bert"]}


def test_a_card_names_what_is_unknown():
    facts = {"problem_type": "regression", "names": None, "n_columns": 2, "n_rows": 0, "metrics": {}}
    card = model_card(**FACTS | facts)
    assert "numbers (`regression`), from pairs of texts" in card
    assert "Training rows**: unknown" in card
    assert "Metrics**: none recorded." in card
    assert "numbers in the units of y" in card


def test_a_card_of_many_labels_lists_fifty_and_counts_the_others():
    card = model_card(**FACTS | {"names": [f"label {i}" for i in range(151)]})
    assert "`label 49`, and 101 more." in card
    assert "label 50" not in card


def test_a_card_is_read_by_the_hub_library_as_it_was_written(tmp_path):
    card = model_card(**FACTS)
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    loaded = ModelCard.load(tmp_path / "README.md")
    assert str(loaded) == card
    assert loaded.data.to_dict() == head(card)
    assert loaded.data.tags == ["text-classification", "sklearn_bert"]


def test_a_card_is_made_without_network(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    assert model_card(**FACTS)


# -- hostile labels and parameters ------------------------------------------------------------------------

HOSTILE = {
    "expression": "{{ 7 * 7 }}",
    "names of the template": "{{ card_data }}{{ estimator }}{{ self }}{{ versions }}",
    "attack on a template": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "statement": "{% for i in range(9) %}{{ i }}{% endfor %}",
    "unfinished statement": "{% if",
    "unfinished expression": "{{",
    "end of a raw block": "{% endraw %}{{ 7 * 7 }}{% raw %}",
    "comment": "a {# hidden #} b",
    "line statement": "# for i in range(9)",
    "end of the metadata": "a\n---\nlicense: x",
    "start of a file": "---\nlicense: x\n---\n",
    "yaml": "a: [b, *c, !!python/object/apply:os.system ['d']]",
    "line ends": "a\r\nb\rc\u2028d\u2029e\x85f\x0bg\x0ch\x1ci",
    "backticks": "`|` ``` `",
    "heading": "a\n# heading\n- item",
    "markup": "<script>alert(1)</script>",
    "nul": "a\x00b",
    "lone surrogate": "a\ud800b",
    "empty": "",
}


def on_one_line(text):
    return " ".join(text.replace("`", "'").split())


def changed_lines(hostile):
    """The lines of a card with this label and parameter that differ from one with harmless ones."""
    plain, card = (
        model_card(**FACTS | {"names": ["bad", text], "parameters": {"model": text}}).split("\n")
        for text in ("good", hostile)
    )
    assert len(plain) == len(card)
    return [line for line, other in zip(card, plain, strict=True) if line != other]


@pytest.mark.parametrize("text", **cases(HOSTILE))
def test_a_hostile_label_or_parameter_changes_only_its_own_code_on_its_own_line(text):
    labels, parameter = changed_lines(text)
    assert labels == f"**Labels**: `bad`, `{on_one_line(text)}`."
    assert parameter == f"- `{on_one_line(f'model={text!r}')}`"


@pytest.mark.parametrize("text", **cases(HOSTILE))
def test_a_hostile_label_is_stored_with_a_card_and_loaded_unchanged(tiny_bert, tmp_path, text):
    labels = sorted([text, "good"])
    classifier = BertClassifier(tiny_bert, max_epochs=1, random_state=0, device="cpu")
    classifier.fit(["good", "bad"] * 4, labels * 4).save_pretrained(tmp_path / "model")
    assert BertClassifier.from_pretrained(tmp_path / "model").classes_.tolist() == labels
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert card.count("\n---\n") == 1
    assert head(card) == {"library_name": "sklearn_bert", "tags": ["text-classification", "sklearn_bert"]}


@pytest.mark.parametrize("value", [np.arange(4).reshape(2, 2), "two  spaces", "it's"], ids=["lines", "spaces", "quote"])
def test_a_parameter_is_one_item_of_the_list(value):
    card = model_card(**FACTS | {"parameters": {"a": value, "b": 1}})
    items = card.partition("## Parameters\n\n")[2].partition("\n\n## Versions")[0].split("\n")
    assert len(items) == 2
    assert items[1] == "- `b=1`"
