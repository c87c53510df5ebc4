import yaml

from sklearn_bert._storage.model_card import model_card

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
    """What the hub reads."""
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


def test_what_transformers_cannot_open_says_why():
    card = model_card(**FACTS | {"transformers_incompatibility": "the head has hidden layers"})
    assert "It does not open with transformers: the head has hidden layers." in card
    assert head(card) == {"library_name": "sklearn_bert", "tags": ["text-classification", "sklearn_bert"]}


def test_what_is_not_known_is_said_to_be_so():
    facts = {"problem_type": "regression", "names": None, "n_columns": 2, "n_rows": 0, "metrics": {}}
    card = model_card(**FACTS | facts)
    assert "numbers (`regression`), from pairs of texts" in card
    assert "Training rows**: unknown" in card
    assert "Metrics**: none recorded." in card
    assert "numbers in the units of y" in card


def test_many_labels_are_counted():
    card = model_card(**FACTS | {"names": [f"label {i}" for i in range(151)]})
    assert "`label 49`, and 101 more." in card
    assert "label 50" not in card
