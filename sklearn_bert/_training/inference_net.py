"""The skorch net that predicts: how it is built and stored, and how it predicts batch by batch."""

from functools import partial

import numpy as np
import skorch
import torch
from scipy.special import expit, softmax
from skorch.exceptions import SkorchTrainingImpossibleError
from skorch.history import History
from torch.utils.data import DataLoader

from .._encoding.batching import KnownFeatures
from .._encoding.samplers import TokenBudgetSampler
from .._model.checkpoint import config_from_json
from .._model.cpu_kernels import FastCpuKernels
from .._model.embedding_subset import full_embeddings
from .._model.encoder_trial import padding_leaks
from .._model.given_weights import build_with_weights
from .._model.module import PooledEncoder
from .._runtime.device import seeded
from .._runtime.distributed import DistributedContext, get_process_group
from .._runtime.progress import prediction_bar
from .computing import ComputingMixin, dtype_of
from .shared_features import SharedFeatures

_STORED = ("pad_token_id", "max_length", "precision", "batch_size")
_PROBABILITIES = {
    "single_label_classification": partial(softmax, axis=1),
    "multi_label_classification": expit,
    "regression": np.asarray,  # numbers have none
}
_PREDICTIONS = {
    "single_label_classification": partial(np.argmax, axis=1),
    "multi_label_classification": lambda logits: (logits > 0).astype(np.int64),
    "regression": np.asarray,
}


class InferenceNet(ComputingMixin, skorch.NeuralNet):
    """A module that predicts: logits of a `BertModule`, or features of a `PooledEncoder`.

    Parameters
    ----------
    config : transformers.PreTrainedConfig
        With `num_labels` and `problem_type` set, if the module has a head.
    pad_token_id : int
    max_length : int
        Maximum number of tokens in a row; with `batch_size` it limits the tokens of a batch in prediction.
    precision : {"float32", "bfloat16", "float16", "float64"}
    or_float32 : bool, default=False
        Whether float32 replaces a lower precision in which the encoder cannot compute.
    make_module : callable or None
        Called with the config and the ``module__`` parameters, returns the module. None: one with random weights.
    **kwargs : dict
        skorch's own parameters; those that begin with ``module__`` are passed to the module.
    """

    module_class = PooledEncoder

    def __init__(self, config, *, pad_token_id, max_length, precision, or_float32=False, make_module=None, **kwargs):
        settings = {"criterion": None, "optimizer": torch.optim.AdamW, "train_split": None} | kwargs
        super().__init__(self.module_class, **settings)
        self.config = config
        self.pad_token_id = pad_token_id
        self.max_length = max_length
        self.precision = precision
        self.or_float32 = or_float32
        self.make_module = make_module

    # -- storing ----------------------------------------------------------------------------------------

    @classmethod
    def from_weights(cls, weights, config, params, history=()):
        """Build a net on the CPU that can predict.

        Parameters
        ----------
        weights : dict of torch.Tensor or ndarray
            What `arrays` returned. The net uses their memory, see `build_with_weights`.
        config : transformers.PreTrainedConfig
        params : dict
            What `stored_params` returned.
        history : sequence of dict
            What `stored_history` returned.

        Returns
        -------
        net : InferenceNet
        """

        def make_module(config, **module_params):
            return build_with_weights(partial(cls.module_class, config, **module_params), weights)

        # The caller's random state is kept. In inference mode, the weights could never have gradients.
        with seeded(0, torch.device("cpu")), torch.inference_mode(False):
            net = cls(config, **params, make_module=make_module, device="cpu", verbose=0).initialize()
        net.history.extend(history)
        return net.release_training_state()

    @classmethod
    def from_plain(cls, state):
        """Build a net on the CPU that can predict from what `to_plain` returned."""
        return cls.from_weights(state["arrays"], config_from_json(state["config"]), state["params"], state["history"])

    def to_plain(self):
        """All that `from_plain` needs, in arrays, str, numbers, lists and dicts; the weights once."""
        return {
            "arrays": self.arrays(),
            "config": self.config.to_json_string(use_diff=False),
            "params": self.stored_params(),
            "history": self.stored_history(),
        }

    def arrays(self):
        """The weights by name, as NumPy arrays; a ValueError if they do not match the config."""
        self.check_structure()
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.module_.state_dict().items()}

    def stored_params(self):
        """The parameters that build such a net around the weights, without the config."""
        names = [name for name in vars(self) if name.startswith("module__")]
        return {name: getattr(self, name) for name in (*_STORED, *names)}

    def stored_history(self):
        """A dict for each epoch with the records that are numbers, str, arrays, or lists or dicts of these."""
        return [{name: value for name, value in row.items() if _is_plain(value)} for row in self.history]

    def __reduce__(self):
        """Pickle the weights and what builds a net around them, but no optimizer, no callbacks and no device."""
        return (self.from_plain, (self.to_plain(),)) if self.initialized_ else super().__reduce__()

    def check_structure(self):
        """Raise a ValueError if the config builds another module: this one could be stored, but not loaded."""
        with torch.device("meta"):
            expected = self.module_class(self.config, **self.get_params_for("module")).state_dict()
        found = self.module_.state_dict()
        other = [k for k in found.keys() | expected.keys() if k not in found or k not in expected]
        other += [k for k in found.keys() & expected.keys() if found[k].shape != expected[k].shape]
        if other:
            raise ValueError(
                f"The module is not the one that was fitted: {len(other)} weights are absent, new or of another shape, "
                f"such as {min(other)!r}. Expected the module as fit made it. Undo the change; of a PEFT adapter set "
                "module_.bert to what its merge_and_unload() returns."
            )

    # -- building ---------------------------------------------------------------------------------------

    def initialize(self):
        """Build the module on the device, and test what its encoder can do if its family is unknown here."""
        super().initialize()
        self.shared_features_ = None
        self.padding_leaks_ = not self._is_tried and padding_leaks(self.module_, self.pad_token_id)
        self._settle_precision()
        return self

    def initialize_module(self):
        """Set `module_` to what `make_module` returns, or to a module with random weights."""
        self.check_training_readiness()  # set_params(module__...) of a fitted net would give it random weights
        self.config.dtype = dtype_of(self.precision)
        self.module_ = (self.make_module or self.module)(self.config, **self.get_params_for("module"))
        self.group_ = DistributedContext()
        self._reset_token_budget()
        return self

    def check_training_readiness(self):
        """Raise an error if training state was released: such a net cannot be trained or initialized again."""
        if getattr(self, "_trimmed_for_prediction", False):
            raise SkorchTrainingImpossibleError(
                "The net of a fitted estimator only predicts. To train it further, call the estimator's partial_fit, "
                "or its fit with warm_start=True."
            )

    def __sklearn_clone__(self):
        """Raise a TypeError: the parameters of a training belong to the estimator, so a net cannot be cloned."""
        raise TypeError(
            f"Got a {type(self).__name__} to clone, expected an estimator: only an estimator can be cloned and fitted "
            "again. Clone the estimator that has this net, or copy the net and its weights with copy.deepcopy."
        )

    def initialize_criterion(self):
        """Set nothing: prediction needs no loss."""
        return self

    def initialize_optimizer(self):
        """Set nothing: prediction needs no optimizer."""
        return self

    def release_training_state(self):
        """Release all that prediction does not need; the weights and a row of history per epoch are kept."""
        history = History({**row, "batches": []} for row in self.history)
        self.trim_for_prediction()  # clears the history, too
        self.history = history
        self.module_.zero_grad(set_to_none=True)
        self.make_module = None
        self.group_ = DistributedContext()
        self._reset_token_budget()
        return self

    # -- prediction -------------------------------------------------------------------------------------

    def predict_logits(self, dataset, progress=0):
        """Logits of all texts, in the order of the dataset: (n, num_labels) float32 or float64."""
        features = self._shared_features(dataset, progress)
        rows = dataset if features is None else KnownFeatures(features, dataset)
        return dataset.average_windows(self._predict(rows, lambda batch: batch.logits, progress))

    def predict_features(self, dataset, progress=0):
        """Features of all rows, in the order of the dataset: (n, H), or (n, 4 H) with a bi-encoder."""
        features = self._shared_features(dataset, progress)
        return self._predict(dataset, lambda batch: batch.features, progress) if features is None else features

    def share_features(self):
        """From now on, share the encoder's features with other nets of this process, until its weights change."""
        self.shared_features_ = SharedFeatures(self.module_)

    def _shared_features(self, dataset, progress):
        if self.shared_features_ is None or get_process_group(self.device).size > 1:
            return None
        compute = partial(self._predict, dataset, lambda batch: batch.features, progress)
        return self.shared_features_.of(self, dataset, compute)

    def forward_iter(self, X, training=False, device="cpu"):
        """Yield the logits of all rows as one batch, in the order of the dataset.

        skorch's own method would yield batches, the longest rows first.

        Parameters
        ----------
        X : EncodedDataset
            As the estimator's `to_dataset` gives it.
        training : bool, default=False
        device : str, default="cpu"

        Yields
        ------
        logits : torch.Tensor of shape (n, num_labels)

        Raises
        ------
        TypeError
            If `X` is not such a dataset.
        ValueError
            If `training` is True.
        """
        if training:
            raise ValueError("Got training=True. This net predicts in evaluation mode only: pass training=False.")
        yield torch.as_tensor(self.predict_logits(self.get_dataset(X)), device=device)

    def get_dataset(self, X, y=None):
        """Return the dataset; a TypeError if it is anything else, such as texts."""
        if not hasattr(X, "average_windows"):
            raise TypeError(
                f"The net got a {type(X).__name__}, expected a dataset of token ids. Pass estimator.to_dataset(texts), "
                "or call the estimator's own predict methods with the texts."
            )
        return X

    def predict_proba(self, X) -> np.ndarray:
        """Probabilities of the classes or labels, in the order of the dataset; for a regression, the logits.

        Parameters
        ----------
        X : EncodedDataset
            As the estimator's `to_dataset` gives it.

        Returns
        -------
        probabilities : ndarray of shape (n, num_labels)
        """
        logits = self.forward(X).numpy().astype(np.float64)
        return _PROBABILITIES[self.config.problem_type](logits)

    def predict(self, X) -> np.ndarray:
        """Positions of the classes; 0 or 1 for each label; or, for a regression, the logits.

        Parameters
        ----------
        X : EncodedDataset
            As the estimator's `to_dataset` gives it.

        Returns
        -------
        predictions : ndarray of shape (n,) or (n, num_labels)
        """
        return _PREDICTIONS[self.config.problem_type](self.forward(X).numpy().astype(np.float64))

    def get_iterator(self, dataset, training=False):
        """Batches of rows of similar lengths, the longest first. The rows are reordered."""
        sampler = TokenBudgetSampler(dataset.lengths, self.most_tokens, self.group_.rank_slice, self.padding_leaks_)
        return self._loader(dataset, sampler)

    @property
    def most_tokens(self):
        """Maximum number of tokens of a batch in prediction, padding included."""
        return min(self.batch_size * self.max_length, self.max_tokens_)

    def _loader(self, dataset, sampler):
        # With a separate generator, since the loader would draw a seed from the caller's random state.
        collate = partial(dataset.collate, pad_token_id=self.pad_token_id)
        return DataLoader(dataset, batch_sampler=sampler, collate_fn=collate, generator=torch.Generator())

    def _predict(self, dataset, method_of, progress=0):
        """The results (n, k) of a method of the batches, without gradients, in the order of the dataset."""
        self.group_ = get_process_group(self.device)
        iterator = self.get_iterator(dataset, training=False)
        module = self._module_for_prediction(len(iterator.batch_sampler))
        mine, results = iterator.batch_sampler.order, None

        def compute(inputs, _):
            return self._compute(method_of(inputs), module=module).cpu().numpy()

        # One autocast context around all batches, so that the weights are cast once.
        with (
            torch.inference_mode(),
            self._autocast(),
            FastCpuKernels(),
            full_embeddings(self.module_.bert),
            prediction_bar(len(mine), self.group_.is_first and progress) as bar,
        ):
            for rows, (inputs, _) in zip(iterator.batch_sampler, iterator, strict=True):
                batch = np.concatenate(self._in_pieces(compute, inputs, {}))  # (B, ...)
                if results is None:
                    results = np.empty((len(dataset), batch.shape[1]), dtype=batch.dtype)
                results[rows] = batch
                bar.update(len(set(rows)))  # the last batch may hold copies
        return self.group_.gather_rows(results, mine, dataset)


def _is_plain(value):
    """Whether a pickle of the value needs no code but NumPy's, and no device."""
    if isinstance(value, (list, tuple, dict)):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    if isinstance(value, np.ndarray):
        return value.dtype != object
    return value is None or isinstance(value, (int, float, str, np.generic))
