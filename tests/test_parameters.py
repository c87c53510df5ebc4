"""The parameters of the constructor: validation, the meaning of "auto", and how they are passed to the net."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skorch.callbacks import Callback
from transformers import CONFIG_MAPPING

from sklearn_bert import BertClassifier, BertVectorizer, TunedThresholdsClassifierCV
from sklearn_bert._parameters import auto_learning_rate, resolve_recipe


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("model", 3, "an instance of 'str' or an instance of 'os.PathLike'"),
        ("revision", 3, "an instance of 'str' or None"),
        ("hidden_layer_sizes", 3, "an array-like"),
        ("head_init", "zeros", "a str among {"),
        ("device", 3, "an instance of 'str' or an instance of 'torch.device'"),
        ("verbose", -1, "an int in the range [0, inf)"),
        ("class_weight", "even", "an instance of 'dict', a str among {'balanced'} or None"),
        ("max_length", 0, "an int in the range [1, inf) or None"),
        ("pooling", "max", "a str among {"),
        ("dropout", 1.0, "a float in the range [0.0, 1.0) or None"),
        ("attention_dropout", -0.1, "a float in the range [0.0, 1.0) or None"),
        ("long_text", "tail", "a str among {"),
        ("stride", -1, "an int in the range [0, inf) or None"),
        ("freeze", "head", "a str among {"),
        ("freeze", -1, "an int in the range [0, inf) or None"),
        ("micro_batch_size", 0, "an int in the range [1, inf) or None"),
        ("gradient_checkpointing", "yes", "an instance of 'bool'"),
        ("layer_decay", 0.0, "a float in the range (0.0, 1.0]"),
        ("label_smoothing", 1.0, "a float in the range [0.0, 1.0)"),
        ("threshold", 1.5, "a float in the range [0.0, 1.0], an array-like or an instance of 'dict'"),
        ("early_stopping", "yes", "an instance of 'bool'"),
        ("validation_fraction", 0.6, "a float in the range (0.0, 0.5]"),
        ("n_iter_no_change", 0, "an int in the range [1, inf)"),
        ("warm_start", "yes", "an instance of 'bool'"),
        ("checkpoint_dir", 3, "an instance of 'str', an instance of 'os.PathLike' or None"),
        ("max_epochs", 0, "an int in the range [1, inf)"),
        ("max_seconds", 0, "a float in the range (0.0, inf) or None"),
        ("batch_size", 2.5, "an int in the range [1, inf)"),
        ("learning_rate", 0.0, "a float in the range (0.0, inf)"),
        ("weight_decay", -1.0, "a float in the range [0.0, inf)"),
        ("warmup_fraction", 1.5, "a float in the range [0.0, 1.0]"),
        ("max_grad_norm", 0.0, "a float in the range (0.0, inf) or None"),
        ("precision", "int8", "a str among {"),
        ("random_state", "seed", "an instance of 'numpy.random.mtrand.RandomState' or None"),
    ],
)
def test_fit_raises_for_an_invalid_parameter_and_names_the_expected_values(tiny_bert, reviews, name, value, expected):
    estimator = BertClassifier(tiny_bert).set_params(**{name: value})
    with pytest.raises(ValueError, match=rf"The '{name}' parameter of BertClassifier must be .*Got") as raised:
        estimator.fit(*reviews)
    assert expected in str(raised.value)


INT_PARAMETERS = ("batch_size", "max_epochs", "max_length", "micro_batch_size", "n_iter_no_change", "stride", "freeze")
FLOAT_PARAMETERS = ("learning_rate", "head_learning_rate", "layer_decay", "weight_decay", "max_grad_norm", "threshold")


@pytest.mark.parametrize("name", [*INT_PARAMETERS, *FLOAT_PARAMETERS])
def test_a_bool_is_no_number(tiny_bert, reviews, name):
    with pytest.raises(ValueError, match=rf"The '{name}' parameter of BertClassifier must be .* Got True instead"):
        BertClassifier(tiny_bert).set_params(**{name: True}).fit(*reviews)


def test_a_bool_is_no_number_of_the_other_estimators(tiny_bert, reviews):
    with pytest.raises(ValueError, match=r"The 'batch_size' parameter of BertVectorizer must be an int .* Got True"):
        BertVectorizer(tiny_bert, batch_size=True).fit(reviews[0])
    with pytest.raises(ValueError, match=r"The 'n_thresholds' parameter of .* must be an int .* Got True"):
        TunedThresholdsClassifierCV(BertClassifier(tiny_bert), n_thresholds=True).fit(reviews[0], [[0, 1]] * 12)


@pytest.mark.parametrize(
    ("changes", "pooling", "bi_encoder"),
    [
        ({}, "mean", True),
        ({"head_init": "random"}, "pooler", False),
        ({"head_init": "random", "pooling": "cls", "pair_encoding": "bi_encoder"}, "cls", True),
        ({"head_init": "random", "freeze": "encoder"}, "mean", False),
        ({"head_init": "random", "freeze": 2}, "mean", False),
        ({"head_init": "random", "freeze": 1}, "pooler", False),
        ({"pair_encoding": "cross_encoder"}, "mean", False),
    ],
)
def test_auto_pooling_and_auto_pair_encoding_follow_head_init_and_freeze(
    tiny_bert, reviews, changes, pooling, bi_encoder
):
    pairs = pd.DataFrame({"first": reviews[0], "second": reviews[0][::-1]})
    module = BertClassifier(tiny_bert, max_epochs=1, device="cpu", **changes).fit(pairs, reviews[1]).module_
    assert (module.pooling, module.bi_encoder) == (pooling, bi_encoder)
    single = BertClassifier(tiny_bert, max_epochs=1, device="cpu", **changes).fit(*reviews).module_
    assert (single.pooling, single.bi_encoder) == ("mean_last_two" if pooling == "mean" else pooling, False)


@pytest.mark.parametrize(
    ("model_type", "n_layers", "expected"),
    [
        ("bert", 1, ("mean", "mean")),
        ("bert", 2, ("mean_last_two", "mean_last_two")),
        ("xlm-roberta", 12, ("mean_last_two", "mean_last_three")),
        ("modernbert", 9, ("mean", "mean")),
    ],
)
def test_auto_pooling_of_few_single_texts_needs_several_layers_of_one_scale(model_type, n_layers, expected):
    config = CONFIG_MAPPING[model_type](num_hidden_layers=n_layers, problem_type="single_label_classification")

    def pooling(n_columns=1, n_rows=300, contrastive_steps="auto", **found):
        estimator = BertClassifier(contrastive_steps=contrastive_steps)
        return resolve_recipe(estimator, config, n_columns, n_rows=n_rows, **found).pooling

    assert (pooling(), pooling(n_rows=301)) == expected
    assert (pooling(declared_pooling="mean"), pooling(n_rows=1000)) == expected
    assert pooling(n_rows=1001) == pooling(n_columns=2) == pooling(trained_pooling="mean") == "mean"
    assert pooling(contrastive_steps=1) == "mean"
    assert pooling(declared_pooling="cls") == "cls"


@pytest.mark.parametrize(
    ("n_rows", "max_epochs", "expected"),
    [
        (300, 3, 32),
        (301, 3, 16),
        (1000, 2, 16),
        (1000, 3, 24),
        (1000, 4, 32),
        (2000, 1, 16),
        (2000, 2, 32),
        (np.inf, 1, 32),  # a stream
    ],
)
def test_auto_batches_are_smaller_where_there_would_be_few_steps(n_rows, max_epochs, expected):
    config = CONFIG_MAPPING["bert"](problem_type="single_label_classification")

    def batch_size(**given):
        return resolve_recipe(BertClassifier(max_epochs=max_epochs, **given), config, 1, n_rows=n_rows).batch_size

    assert batch_size() == batch_size(batch_size="auto") == expected
    assert batch_size(batch_size=5) == 5


@pytest.mark.parametrize(
    ("given", "n_rows", "expected"),
    [
        ({}, 300, False),
        ({}, 301, True),
        ({}, 1000, True),
        ({}, 2000, False),
        ({}, np.inf, False),
        ({"batch_size": 16}, 1000, False),
        ({"average_weights": False}, 1000, False),
        ({"average_weights": True}, 10, True),
    ],
    ids=str,
)
def test_auto_averages_the_weights_where_auto_makes_batches_smaller(given, n_rows, expected):
    config = CONFIG_MAPPING["bert"](problem_type="single_label_classification")
    recipe = resolve_recipe(BertClassifier(max_epochs=2, **given), config, 1, n_rows=n_rows)
    assert recipe.average_weights is expected


def test_a_fit_makes_its_steps_in_batches_of_the_auto_size(tiny_bert, reviews):
    texts, labels = [column * 8 for column in reviews]
    classifier = BertClassifier(tiny_bert, max_epochs=2, device="cpu").fit(texts, labels)
    assert (classifier.n_steps_, classifier.net_.batch_size) == (2 * len(texts) // 16, 16)
    assert "2 epochs in batches of 16, weights averaged," in classifier.summary_
    assert BertClassifier(tiny_bert, device="cpu").partial_fit(texts, labels).net_.batch_size == 32


@pytest.mark.parametrize(("learning_rate", "expected"), [("auto", 5e-5 * 768 / 16), (1e-3, 1e-3)])
def test_auto_learning_rate_follows_the_hidden_size(tiny_bert, reviews, learning_rate, expected):
    settings = {"max_epochs": 1, "device": "cpu", "learning_rate": learning_rate}
    assert BertClassifier(tiny_bert, **settings).fit(*reviews).net_.lr == pytest.approx(expected)


def rows_of_the_table_of_learning_rates():
    """Of each row of rates in docs/experiments_accuracy.md: type, width, layers, lowest and highest rate, "auto"."""
    page = (Path(__file__).parents[1] / "docs" / "experiments_accuracy.md").read_text(encoding="utf-8")
    lines = page.split("## Learning rates")[1].split("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")][2:]
    return [
        pytest.param(row[1], int(row[2]), int(row[3]), *map(float, [*row[4].split(" to "), row[6]]), id=row[0])
        for row in cells
        if len(row) == 7
    ]


@pytest.mark.parametrize(
    ("model_type", "width", "layers", "low", "high", "auto"), rows_of_the_table_of_learning_rates()
)
def test_auto_learning_rate_is_what_the_papers_recommend(model_type, width, layers, low, high, auto):
    if model_type not in CONFIG_MAPPING:
        pytest.skip(f"this version of transformers has no {model_type}")
    rate = auto_learning_rate(CONFIG_MAPPING[model_type](hidden_size=width, num_hidden_layers=layers))
    assert low * (1 - 1e-9) <= rate <= high * (1 + 1e-9)
    assert f"{rate:.1e}" == f"{auto:.1e}"


def test_the_table_of_learning_rates_has_all_families():
    types = [row.values[0] for row in rows_of_the_table_of_learning_rates()]
    families = {"bert", "roberta", "xlm-roberta", "electra", "deberta", "deberta-v2", "albert", "modernbert"}
    assert set(types) == families
    assert len(types) > 20


@pytest.mark.parametrize("sizes", [("a",), (2.5,), (0,), (-1,), (True,), [[2, 3]]], ids=str)
def test_fit_raises_for_invalid_hidden_layer_sizes(tiny_bert, reviews, sizes):
    with pytest.raises(ValueError, match=re.escape(f"Got hidden_layer_sizes={sizes!r}, expected ints of at least 1")):
        BertClassifier(tiny_bert, hidden_layer_sizes=sizes).fit(*reviews)


AUTO = 5e-5 * 768 / 16


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, AUTO),
        ({"freeze": "encoder"}, AUTO),
        ({"head_init": "random"}, AUTO),
        ({"freeze": 1, "head_init": "random"}, AUTO),
        ({"freeze": "encoder", "head_init": "random"}, 100 * AUTO),
        ({"freeze": "encoder", "hidden_layer_sizes": (4,)}, 100 * AUTO),
        ({"freeze": 2, "hidden_layer_sizes": (4,)}, 100 * AUTO),
        ({"freeze": "encoder", "head_init": "random", "learning_rate": 1e-3}, 1e-3),
        ({"freeze": "encoder", "head_init": "random", "head_learning_rate": None}, AUTO),
        ({"freeze": "encoder", "head_init": "random", "head_learning_rate": 0.3}, 0.3),
        ({"head_learning_rate": 0.3}, 0.3),
    ],
    ids=str,
)
def test_auto_head_learning_rate_follows_freeze_and_the_start_of_the_head(tiny_bert, reviews, params, expected):
    callback = KeepTrainingConfig()
    BertClassifier(tiny_bert, max_epochs=1, device="cpu", callbacks=[callback], **params).fit(*reviews)
    assert callback.config_.head_learning_rate == pytest.approx(expected)


class KeepTrainingConfig(Callback):
    """Keeps the training config, which the net releases when the training ends."""

    def on_train_begin(self, net, **kwargs):
        self.config_ = net.training_config


def test_fit_passes_every_training_parameter_to_the_net(tiny_bert, reviews):
    of_net = {
        "max_epochs": ("max_epochs", 1),
        "batch_size": ("batch_size", 5),
        "precision": ("precision", "float64"),
        "learning_rate": ("lr", 3e-4),
        "pooling": ("module__pooling", "cls"),
        "dropout": ("module__dropout", 0.3),
    }
    of_config = {
        "learning_rate": ("learning_rate", 3e-4),
        "head_learning_rate": ("head_learning_rate", 5e-4),
        "weight_decay": ("weight_decay", 0.3),
        "warmup_fraction": ("warmup_fraction", 0.4),
        "average_weights": ("average_weights", True),
        "max_grad_norm": ("max_grad_norm", 0.7),
        "max_epochs": ("max_epochs", 1),
        "max_seconds": ("max_seconds", 1000.0),
        "head_init": ("linear_probe", True),
        "freeze": ("freeze", 1),
        "layer_decay": ("layer_decay", 0.8),
        "micro_batch_size": ("micro_batch_size", 3),
        "gradient_checkpointing": ("gradient_checkpointing", True),
        "n_iter_no_change": ("patience", 4),
        "contrastive_steps": ("contrastive_steps", 2),
        "label_smoothing": ("loss_params", {"label_smoothing": 0.1}),
    }
    values = {name: value for table in (of_net, of_config) for name, (_, value) in table.items()}
    values |= {"head_init": "linear_probe", "label_smoothing": 0.1, "early_stopping": True}
    callback = KeepTrainingConfig()
    net = BertClassifier(tiny_bert, device="cpu", random_state=0, callbacks=[callback], **values).fit(*reviews).net_
    assert {name: getattr(net, name) for name, _ in of_net.values()} == dict(of_net.values())
    assert vars(callback.config_) == dict(of_config.values()) | {
        "seed": callback.config_.seed,
        "contrastive_learning_rate": 6e-4,
    }


@pytest.mark.parametrize("changes", [{"head_init": "random"}, {"hidden_layer_sizes": (4,)}])
def test_linear_probe_is_used_for_a_linear_head_only(tiny_bert, reviews, changes):
    callback = KeepTrainingConfig()
    BertClassifier(tiny_bert, max_epochs=1, device="cpu", callbacks=[callback], **changes).fit(*reviews)
    assert not callback.config_.linear_probe


def test_patience_is_none_without_early_stopping(tiny_bert, reviews):
    callback = KeepTrainingConfig()
    BertClassifier(tiny_bert, max_epochs=1, n_iter_no_change=1, device="cpu", callbacks=[callback]).fit(*reviews)
    assert callback.config_.patience is None
