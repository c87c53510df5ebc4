"""Rows set apart stand for all rows, and the best epoch is the best one."""

import pytest
import torch

from sklearn_bert._training.validation import BestEpoch

SINGLE, MULTI, NUMBERS = "single_label_classification", "multi_label_classification", "regression"


def run(scores_and_losses, patience=None):
    best, p = BestEpoch(patience), {"w": torch.zeros(1)}
    for epoch, (score, loss) in enumerate(scores_and_losses, start=1):
        p["w"].fill_(epoch)
        best.update(epoch, score, loss, p)
        if best.is_enough(epoch):
            break
    best.restore(p)
    return best.epoch, epoch, p["w"].item()


def test_the_best_score_wins_and_of_equal_ones_the_lower_loss():
    assert run([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.7, 0.85), (0.6, 0.1)])[0] == 3


def test_the_best_epochs_weights_come_back():
    assert run([(0.5, 1), (0.9, 1), (0.1, 1)])[2] == 2


@pytest.mark.parametrize(("patience", "last"), [(1, 3), (2, 4), (None, 6)])
def test_patience_counts_epochs_since_the_best(patience, last):
    assert run([(0.5, 1), (0.9, 1), (0.1, 1), (0.1, 1), (0.1, 1), (0.1, 1)], patience)[1] == last
