"""A module on a device, in a precision and within its memory: batches of tokens in, arrays out.

What training and prediction share of the skorch net.
"""

import re
from functools import partial

import numpy as np
import skorch
import torch
from skorch.utils import to_device
from torch.utils.data import DataLoader

from .._encoding.batching import TokenBudgetSampler, micro_batches
from .._model.cpu_kernels import FastCpuKernels
from .._model.embedding_subset import full_embeddings
from .._model.module import BertModule
from .._runtime.device import is_out_of_memory, release_memory, seeded, use_one_thread_after_fork
from .._runtime.distributed import get_process_group
from .._runtime.progress import prediction_bar

_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_STORED = ("pad_token_id", "max_length", "precision", "batch_size")
_CACHED_TOKENS = 2048  # computed at a time on a CPU: with more, what one layer hands to the next leaves the cache


class InferenceNet(skorch.NeuralNet):
    """A `BertModule` that predicts.

    Parameters
    ----------
    config : transformers.PreTrainedConfig
        With `num_labels` and `problem_type` set.
    pad_token_id : int
    max_length : int
        Most tokens in a row; with `batch_size` it bounds the tokens of a batch in prediction.
    precision : {"float32", "bfloat16", "float16", "float64"}
    new_module : callable or None
        Gives the module. None: one with random weights.
    **kwargs : dict
        skorch's own parameters; ``module__`` ones reach `BertModule`.
    """

    def __init__(self, config, *, pad_token_id, max_length, precision, new_module=None, **kwargs):
        super().__init__(BertModule, criterion=None, optimizer=torch.optim.AdamW, train_split=None, **kwargs)
        self.config = config
        self.pad_token_id = pad_token_id
        self.max_length = max_length
        self.precision = precision
        self.new_module = new_module

    @classmethod
    def from_arrays(cls, arrays, config, params):
        """A net on the CPU, ready to predict, from what `arrays` and `stored_params` give."""
        # The caller's random state stays: all is overwritten. Weights of inference mode could never have gradients.
        with seeded(0, torch.device("cpu")), torch.inference_mode(False):
            net = InferenceNet(config, **params, device="cpu", verbose=0).initialize()
        # torch warns about an array that it may not write to, a memory map for example
        writeable = {name: array if array.flags.writeable else array.copy() for name, array in arrays.items()}
        net.module_.load_state_dict({name: torch.from_numpy(array) for name, array in writeable.items()})
        return net.release_training_state()

    def arrays(self):
        """The weights by name, as NumPy arrays."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.module_.state_dict().items()}

    def stored_params(self):
        """What builds an `InferenceNet` round the weights, but for the config."""
        names = [name for name in vars(self) if name.startswith("module__")]
        return {name: getattr(self, name) for name in (*_STORED, *names)}

    def __reduce__(self):
        """Stored are the weights, once, and what builds a net round them: no optimizer, no history, no device."""
        if not self.initialized_:
            return super().__reduce__()
        return self.from_arrays, (self.arrays(), self.config, self.stored_params())

    def move(self, device, precision):
        """Compute there, and so precisely, from now on."""
        self.module_.to(device, _dtype(precision))
        self.device, self.precision = device, precision
        self._reset_token_budget()

    @property
    def _device_type(self):
        return torch.device(self.device).type

    def initialize_module(self):
        """The module that `new_module` gives, or one with random weights."""
        self.config.dtype = _dtype(self.precision)
        self.module_ = (self.new_module or self._build_module)()
        self._reset_token_budget()
        return self

    def _build_module(self):
        return BertModule(self.config, **self.get_params_for("module"))

    @property
    def processes(self):
        """The processes that train and predict as one, and which of them this one is."""
        return get_process_group(self.device)

    def _reset_token_budget(self):
        """Tokens computed at a time: as many as a CPU's cache holds; on other devices all, while they fit."""
        self.max_tokens_ = _CACHED_TOKENS if self._device_type == "cpu" else np.inf

    def initialize_criterion(self):
        """None: prediction has no loss."""
        return self

    def initialize_optimizer(self):
        """None: prediction moves no weights."""
        return self

    def release_training_state(self):
        """Keep what prediction needs: the weights once, no gradients, no optimizer, no batch histories."""
        self.trim_for_prediction()
        self.module_.zero_grad(set_to_none=True)
        self.new_module = None
        self._reset_token_budget()
        return self

    def predict_logits(self, dataset, progress=0):
        """Logits of every text, in the dataset's order, (n, num_labels) float32 or float64."""
        return dataset.average_windows(self._predict(dataset, self._logits, progress))

    def predict_features(self, dataset, progress=0):
        """What the head takes, of every row, in the dataset's order, (n, H), or (n, 4 H) of pairs read apart."""
        return self._predict(dataset, self.module_.features, progress)

    def get_iterator(self, dataset, training=False):
        """Batches of rows of similar lengths, the longest first."""
        max_tokens = min(self.batch_size * self.max_length, self.max_tokens_)
        return self._loader(dataset, TokenBudgetSampler(dataset.lengths, max_tokens, self.processes.rank_slice))

    def _loader(self, dataset, sampler):
        # A generator of its own: the loader would draw a seed from the caller's random state.
        collate = partial(dataset.collate, pad_token_id=self.pad_token_id)
        return DataLoader(dataset, batch_sampler=sampler, collate_fn=collate, generator=torch.Generator())

    def _predict(self, dataset, function, progress=0):
        """A function of the module for every row, in eval mode and without gradients, in the dataset's order."""
        self._set_training(False)
        iterator = self.get_iterator(dataset, training=False)
        mine, results = iterator.batch_sampler.order, None

        def compute(inputs, _):
            return self._compute(function, inputs).cpu().numpy()

        # One autocast round all batches: it casts the weights once.
        with (
            torch.inference_mode(),
            self._autocast(),
            FastCpuKernels(),
            full_embeddings(self.module_.bert),
            prediction_bar(len(mine), self.processes.is_first and progress) as bar,
        ):
            for rows, (inputs, _) in zip(iterator.batch_sampler, iterator, strict=True):
                batch = np.concatenate(self._in_pieces(compute, inputs, {}))  # (B, ...)
                if results is None:
                    results = np.empty((len(dataset), batch.shape[1]), dtype=batch.dtype)
                results[rows] = batch
                bar.update(len(set(rows)))  # the last batch may hold copies
        return self.processes.gather_rows(results, mine, dataset)

    def infer(self, x, **fit_params):
        """A batch of inputs to (B, num_labels) logits, in float32 or better."""
        if "features" in x:  # too little work for autocast and other kernels to pay
            return self.module_.head(**to_device(x, self.device))
        with FastCpuKernels():
            return self._compute(self._logits, x)

    def _logits(self, **inputs):
        if "features" in inputs:
            return self.module_.head(**inputs)
        return self.module_(**inputs, return_dict=False)[0]

    def _compute(self, function, inputs):
        """A function of the module, on the device and in the precision asked for; the result in float32 or better."""
        use_one_thread_after_fork()
        try:
            with self._autocast():
                result = function(**to_device(inputs, self.device))
        except RuntimeError as error:
            if self.precision in _AUTOCAST and re.search("BFloat16|Half|dtype", str(error)):
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
        """What `compute` gives for each piece of a batch, in pieces that the memory holds.

        When it does not, all is computed again in pieces of half the size, and so is all that follows.

        Raises
        ------
        MemoryError
            If a single row is too much.
        """
        if "features" in inputs:  # a handful of numbers a row
            return [compute(inputs, targets)] if len(inputs["features"]) else []
        n_texts = 2 if self.module_.bi_encoder else 1
        while True:
            pieces = list(micro_batches(inputs, targets, self.max_tokens_, n_texts, max_rows))
            try:
                return [compute(*piece) for piece in pieces]
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                n_rows, n_tokens = pieces[0][0]["input_ids"].shape
                if n_rows == n_texts:
                    raise self._too_large(n_tokens) from error
            # Here, where the error no longer holds on to tensors.
            self.module_.zero_grad(set_to_none=True)
            release_memory(self.device)
            self.max_tokens_ = n_rows * n_tokens // 2

    def _too_large(self, n_tokens):
        return MemoryError(
            f"The device {str(self.device)!r} has too little memory for one row of {n_tokens} tokens at a time. Lower "
            "max_length; in training, gradient_checkpointing=True or freeze need less, too."
        )


def _dtype(precision):
    """Of the weights: the lower precisions are autocast's."""
    return torch.float64 if precision == "float64" else torch.float32
