"""An encoder's features of a data set, computed once in a process while the encoder is not trained.

The candidates and folds of a search start from the same encoder and read the same texts. Features are kept for whole
data sets: a row's last bits depend on the batch it is in, and a result must not depend on what was computed before.
"""

import os
from contextlib import contextmanager

import torch

from .._data.fingerprint import fingerprint
from .._encoding.batching import EncodedDataset
from .._runtime.array_cache import SHARED_ARRAYS, cache_limit

_FEWEST_ROWS = 32  # of a request's few texts the features are not worth their memory
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
            Without arguments; gives them where they are not known.

        Returns
        -------
        features : ndarray or None
            None if they are not shared: of features, of few rows, of other weights.
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
        """A context before the training, in which the weights are those of now, whatever tensors hold them."""
        versions, self.versions = self.versions, None
        try:
            yield
        finally:
            self.versions = versions

    def _key(self, net, tokens):
        """All that the bits of the features depend on."""
        module = net.module_
        return (
            self.weights_key,
            fingerprint(tokens.input_ids, tokens.token_type_ids, tokens.offsets),
            (module.pooling, module.bi_encoder, net.pad_token_id, net.padding_leaks_),
            (net.precision, str(net.device), torch.get_num_threads(), os.environ.get("SKLEARN_BERT_CPU_KERNELS")),
            net.most_tokens,
        )


def _versions(module):
    """Which tensors the weights are, and how often each was written to; never equal if they are trained."""
    return [(id(p), object() if p.requires_grad or p.is_inference() else p._version) for p in _weights(module)]


def _content(module):
    """The weights; of those as files hold them sums, which show a change and take a tenth of the time to compute."""
    if module.origin is None:
        return [p.numpy(force=True) for p in _weights(module)]
    return [torch.stack([p.detach().sum().double() for p in _weights(module)]).cpu().numpy()]


def _weights(module):
    parts = [part for part in (module.bert, module.pooler) if part is not None]
    return [p for part in parts for p in (*part.parameters(), *part.buffers())]
