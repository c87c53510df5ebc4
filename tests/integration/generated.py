"""Shared by the tests of generated inputs: settings of the estimators and of hypothesis, and a check of results."""

import numpy as np
from hypothesis import HealthCheck, Phase

SETTINGS = {"max_epochs": 1, "random_state": 0, "device": "cpu", "precision": "float32", "batch_size": 8}
REPRODUCIBLE = {  # the same inputs in every run, and no time limit on a busy machine
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate, Phase.shrink],
}


def assert_probabilities(probabilities, shape):
    """An array of float64 of this shape, between 0 and 1, whose rows sum to one."""
    assert type(probabilities) is np.ndarray
    assert (probabilities.shape, probabilities.dtype) == (shape, np.float64)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-12)
