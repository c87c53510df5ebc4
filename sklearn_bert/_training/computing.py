"""Compute with a net's module on its device, in its precision and within its memory, in training and prediction."""

import re
from contextlib import nullcontext

import numpy as np
import torch

from .._encoding.batching import micro_batches
from .._model.autocast_copy import AutocastCopy
from .._model.cpu_kernels import FastCpuKernels
from .._model.encoder_trial import TRIED_FAMILIES, try_encoder
from .._runtime.device import is_out_of_memory, release_memory, use_one_thread_after_fork

_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_CACHED_TOKENS = 2048  # computed at a time on a CPU: with more, the outputs of a layer do not fit into the cache


class ComputingMixin:
    """Computing for a net with `module_`, `config`, `device`, `precision` and `or_float32`."""

    _autocast_copy = None  # made when a few texts are predicted; not pickled

    def move(self, device, precision, or_float32=False):
        """Move the module to a device and a precision."""
        self.module_.to(device, dtype_of(precision))
        self.device, self.precision, self.or_float32 = device, precision, or_float32
        self._settle_precision()
        self._reset_token_budget()

    @property
    def _is_tried(self):
        return self.config.model_type in TRIED_FAMILIES

    def _settle_precision(self):
        """Replace a low precision in which the encoder cannot compute by float32, if `or_float32` allows it."""
        self.unsupported_precision_ = None
        if not self.or_float32 or self.precision not in _AUTOCAST or self._is_tried:
            return
        self.module_.eval()
        try:
            with self._autocast():
                try_encoder(self.module_, self.pad_token_id)
        except RuntimeError as error:
            if not _is_about_dtype(error):
                raise
            self.unsupported_precision_, self.precision = self.precision, "float32"

    def _reset_token_budget(self):
        """Set the number of tokens computed at a time: what a CPU's cache holds; no limit on other devices."""
        self.max_tokens_ = _CACHED_TOKENS if self._device_type == "cpu" else np.inf

    @property
    def _device_type(self):
        return torch.device(self.device).type

    def infer(self, x, **fit_params):
        """The logits (B, num_labels) of a batch, in float32 or better."""
        # A head alone computes too little for autocast and other kernels to save time.
        with FastCpuKernels() if x.needs_encoder else nullcontext():
            return self._compute(x.logits, autocast=x.needs_encoder)

    def infer_features(self, x):
        """The features of a batch of token ids, in float32 or better."""
        with FastCpuKernels():
            return self._compute(x.features)

    def _module_for_prediction(self, n_batches):
        """The module in evaluation mode; for a single batch on a CPU, a copy whose weights are already cast."""
        module, dtype = self.module_, _AUTOCAST.get(self.precision)
        if _is_training(module):  # setting the mode visits all modules, which takes as long as computing a layer
            self._set_training(False)
        is_trained = not getattr(self, "_trimmed_for_prediction", False)
        if dtype is None or self._device_type != "cpu" or is_trained or not self._is_tried:
            return module
        copy = self._autocast_copy
        if copy is None or not copy.is_current(module, dtype):
            copy = AutocastCopy(module, dtype) if n_batches == 1 else None
            self._autocast_copy = copy  # several threads may each make one; all are correct
        return module if copy is None else copy.module

    def _compute(self, method, *, autocast=True, module=None):
        """The result of a method of a batch, computed on the device in the precision; in float32 or better."""
        use_one_thread_after_fork()
        try:
            with self._autocast() if autocast else nullcontext():
                result = method(self.module_ if module is None else module, self.device)
        except RuntimeError as error:
            if self.precision in _AUTOCAST and _is_about_dtype(error):
                raise ValueError(
                    f"A {self.config.model_type!r} encoder cannot compute in {self.precision} ({error}). Pass "
                    "precision='float32'."
                ) from error
            raise
        return result.to(torch.promote_types(result.dtype, torch.float32))

    def _autocast(self):
        dtype = _AUTOCAST.get(self.precision)
        return torch.autocast(self._device_type, dtype=dtype, enabled=dtype is not None)

    def _in_pieces(self, compute, inputs, targets, max_rows=None):
        """The results of `compute` for the pieces of a batch.

        If the memory is not enough, the batch is computed again in pieces of half the size, as are all later batches.

        Parameters
        ----------
        compute : callable
            Called with the inputs and targets of each piece.
        inputs : TokenBatch or FeatureBatch
        targets : dict of torch.Tensor
        max_rows : int, optional
            Maximum number of rows of a piece.

        Returns
        -------
        results : list

        Raises
        ------
        MemoryError
            If the memory is not enough for a single row.
        """
        while True:
            pieces = list(micro_batches(inputs, targets, self.max_tokens_, max_rows))
            try:
                return [compute(*piece) for piece in pieces]
            except Exception as error:
                if not is_out_of_memory(error) or not inputs.needs_encoder:
                    raise
                largest = pieces[0][0]
                if largest.n_rows == 1:
                    raise self._too_large(largest.row_size // largest.n_texts) from error
            # After the except block, since the error keeps tensors alive.
            self.module_.zero_grad(set_to_none=True)
            release_memory(self.device)
            self.max_tokens_ = largest.n_rows * largest.row_size // 2

    def _too_large(self, n_tokens):
        return MemoryError(
            f"The device {str(self.device)!r} has too little memory for one row of {n_tokens} tokens at a time. Lower "
            "max_length; in training, gradient_checkpointing=True or freeze need less, too."
        )


def dtype_of(precision):
    """The dtype of the weights; only autocast uses the lower precisions."""
    return torch.float64 if precision == "float64" else torch.float32


def _is_training(module):
    return module.training or any(_is_training(child) for child in module._modules.values() if child is not None)


def _is_about_dtype(error):
    return re.search("BFloat16|Half|dtype", str(error)) is not None
