"""The plan of one fit: device, precision, seed, number of epochs, and whether it resumes."""

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
    started: float  # the time of time.monotonic at the start
    seed: int
    max_epochs: int
    resume: bool  # start from the weights fitted so far
    is_stream: bool  # partial_fit: more rows may come, so their number is unknown
    state_file: StateFile | None

    @classmethod
    def of(cls, estimator, rows, held_out, max_epochs, checkpoint_dir=None, is_stream=False) -> Self:
        """Plan the fit of an estimator.

        Parameters
        ----------
        estimator : BaseBertEstimator
        rows : Rows
        held_out : Rows or None
            The validation rows that the user passed.
        max_epochs : int
        checkpoint_dir : str, path or None
        is_stream : bool, default=False

        Returns
        -------
        plan : Plan

        Raises
        ------
        ValueError
            If a parameter is invalid, parameters contradict each other, or the processes of this run differ.
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
