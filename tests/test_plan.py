"""What a fit settles before it trains: seeds and state files; the devices are in tests/runtime."""

import numpy as np
import pytest

from sklearn_bert import BertClassifier
from sklearn_bert._data.rows import Rows
from sklearn_bert._data.target import FIRST, WARM_START
from sklearn_bert._data.targets import TARGETS
from sklearn_bert._plan import Plan
from tests.helpers import exactly


def rows(role=FIRST):
    target_class = TARGETS["single_label_classification"]
    return Rows.of_positive_weight((["good", "bad"],), np.array(["g", "b"]), None, target_class, role)


def test_an_int_gives_the_same_seed_each_time_and_none_another(tiny_bert):
    seeds = [Plan.of(BertClassifier(tiny_bert, random_state=state), rows(), None, 1).seed for state in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert len({Plan.of(BertClassifier(tiny_bert), rows(), None, 1).seed for _ in range(5)}) > 1


def test_a_generator_moves_on_by_one_draw(tiny_bert):
    generator, other = np.random.RandomState(0), np.random.RandomState(0)
    Plan.of(BertClassifier(tiny_bert, random_state=generator), rows(), None, 1)
    other.randint(np.iinfo(np.int32).max)
    assert generator.get_state()[2] == other.get_state()[2]


def test_the_role_of_the_rows_says_whether_training_is_resumed(tiny_bert):
    assert not Plan.of(BertClassifier(tiny_bert), rows(), None, 1).resume
    assert Plan.of(BertClassifier(tiny_bert), rows(WARM_START), None, 1).resume


def test_weights_are_resumed_from_one_place(tiny_bert, tmp_path):
    message = (
        "warm_start=True resumes from the fitted weights, checkpoint_dir from those in the folder. Pass only one of "
        "them."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        Plan.of(BertClassifier(tiny_bert, warm_start=True), rows(WARM_START), None, 1, tmp_path)
