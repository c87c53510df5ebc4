"""The features of a data set are computed once in a process, as long as the encoder is not trained.

The candidates and folds of a search start from the same encoder and encode the same texts. Features are cached for
whole data sets: the last bits of a row depend on its batch, and a result must not depend on earlier computations.
"""

import os
from contextlib import contextmanager

import torch

from .._data.fingerprint import fingerprint
from .._encoding.batching import EncodedDataset
from .._runtime.array_cache import SHARED_ARRAYS, cache_limit

_FEWEST_ROWS = 32  # caching a few texts saves too little
_OF_THE_HEAD = ("id2label", "label2id", "num_labels", "problem_type")


class SharedFeatures:
    """The features of an encoder that is not trained. They are shared until a weight is replaced or written to.

    It holds no reference to the net, which would keep it in memory.

    Parameters
    ----------
    module : PooledEncoder
    """

    def __init__(self, module):
        self.versions = _versions(module)
        config = {name: value for name, value in module.config.to_dict().items() if name not in _OF_THE_HEAD}
        self.weights_key = fingerprint([str(config), str(module.origin)], *_content(module))

    def of(self, net, dataset, compute):
        """Features of all rows, (n, n_features).

        Parameters
        ----------
        net : InferenceNet
        dataset : RowDataset
        compute : callable
            Called without arguments if the features are not cached; returns them.

        Returns
        -------
        features : ndarray or None
            None if they cannot be shared: the dataset holds features or few rows, or the weights have changed.
        """
        if not isinstance(dataset, EncodedDataset) or len(dataset) < _FEWEST_ROWS or not cache_limit():
            return None
        if self.versions is not None and self.versions != _versions(net.module_):
            return None
        key = self._key(net, dataset.tokens)
        [features] = SHARED_ARRAYS.get_or_compute(key, lambda: (compute(),))
        return features.copy()

    @contextmanager
    def fixed(self):
        """A context before the training, in which the weights do not change even if other tensors hold them."""
        versions, self.versions = self.versions, None
        try:
            yield
        finally:
            self.versions = versions

    def _key(self, net, tokens):
        """A key of everything that the features depend on, to the bit."""
        module = net.module_
        return (
            self.weights_key,
            fingerprint(tokens.input_ids, tokens.token_type_ids, tokens.offsets),
            (module.pooling, module.bi_encoder, net.pad_token_id, net.padding_leaks_),
            (net.precision, str(net.device), torch.get_num_threads(), os.environ.get("SKLEARN_BERT_CPU_KERNELS")),
            net.most_tokens,
        )


def _versions(module):
    """The identity of each weight and its number of writes; for weights that are trained, never equal."""
    return [(id(p), object() if p.requires_grad or p.is_inference() else p._version) for p in _weights(module)]


def _content(module):
    """The weights; if they came from files, only their sums, which change with them and are ten times as fast."""
    if module.origin is None:
        return [p.numpy(force=True) for p in _weights(module)]
    return [torch.stack([p.detach().sum().double() for p in _weights(module)]).cpu().numpy()]


def _weights(module):
    parts = [part for part in (module.bert, module.pooler) if part is not None]
    return [p for part in parts for p in (*part.parameters(), *part.buffers())]
