"""The plan of one fit: where, with which random numbers and how long it trains."""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple, Self

import numpy as np
import torch
from sklearn.utils import check_random_state

from ._data.target import FIRST
from ._parameters import check_params, training_fingerprint
from ._runtime.device import resolve_device, resolve_precision
from ._runtime.distributed import DistributedContext, get_process_group
from ._training.checkpointing import StateFile

_MAX_SEED = np.iinfo(np.int32).max


class Plan(NamedTuple):
    """The settings of one fit, decided before it starts."""

    device: torch.device
    precision: str
    group: DistributedContext
    started: float  # when, by time.monotonic
    seed: int
    max_epochs: int
    resume: bool  # from the weights fitted so far
    is_stream: bool  # more rows may come: how many there are says nothing
    state_file: StateFile | None

    @classmethod
    def of(cls, estimator, rows, held_out, max_epochs, checkpoint_dir=None, is_stream=False) -> Self:
        """The plan of fitting an estimator to these rows.

        Raises
        ------
        ValueError
            If a parameter, or two of them together, cannot be followed.
        OSError
            If `checkpoint_dir` cannot be written.
        """
        check_params(estimator)
        started = monotonic()
        device = resolve_device(estimator.device)
        precision = resolve_precision(estimator.precision, device)
        seed = int(check_random_state(estimator.random_state).randint(_MAX_SEED))
        group = get_process_group(device)
        group.check_same(lambda: training_fingerprint(estimator, rows, held_out, precision))
        seed, state_file = group.gather(seed)[0], None
        resume = rows.role is not FIRST
        if checkpoint_dir is not None:
            if resume:
                raise ValueError(
                    "warm_start=True resumes from the fitted weights, checkpoint_dir from those in the folder. Pass "
                    "only one of them."
                )
            fingerprint = {"device": str(device)} | training_fingerprint(estimator, rows, held_out, precision)
            state_file = StateFile(checkpoint_dir, fingerprint)
            seed = state_file.agree_on_seed(seed, fixed=estimator.random_state is not None)
        return cls(device, precision, group, started, seed, max_epochs, resume, is_stream, state_file)
