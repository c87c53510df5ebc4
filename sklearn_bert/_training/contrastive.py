"""Contrastive first steps for few rows: features of one class move closer, those of different classes further away.

With some rows per class, cross entropy hardly moves the encoder: the head fits the rows before it does. Comparing
texts with each other moves it, and the linear model that is solved afterwards starts from better features (Tunstall et
al., "Efficient Few-Shot Learning Without Prompts", 2022). Their loss on pairs is used here on all pairs of a small
batch, so that a step encodes each of its texts once.
"""

from dataclasses import replace

import numpy as np
import torch
from skorch.callbacks import Callback
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from .._data.sampling import merge_copies
from .._runtime.device import is_out_of_memory, release_memory
from .optim import WarmupDecayFactor

_BATCH_SIZE = 16  # larger ones cost more and gave no more on TREC, SST-2 and the tickets
_FEWEST = 4  # rows of a batch: two of each of two classes


class ContrastiveStart(Callback):
    """Before any other training, the encoder of a `BertNet` learns which texts are of one class."""

    def on_train_begin(self, net, X=None, **kwargs):
        """Make the steps; `X` is a `RowDataset` with targets."""
        net.shared_features_ = None  # they are those of the encoder as it was
        config = net.training_config
        draw = BatchDraw(X, np.random.default_rng(config.seed))
        if len(draw.classes) < 2:
            net.training_config = replace(config, contrastive_steps=0)  # `contrastive_steps_` says what was done
            return
        optimizer = net.make_optimizer(net.param_groups(config.contrastive_learning_rate))
        schedule = LambdaLR(optimizer, WarmupDecayFactor(config.contrastive_steps, config.warmup_fraction))
        scaler = torch.amp.GradScaler(enabled=net.precision == "float16")
        net.turn_dropout_on()
        size = min(_BATCH_SIZE, max(_FEWEST, config.micro_batch_size or _BATCH_SIZE))
        for _ in range(config.contrastive_steps):
            size = self._compute_gradients(net, X, draw, size, scaler)
            if config.max_grad_norm is not None:
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_([p for _, p in net.learnable_], config.max_grad_norm)
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
        net.group_.broadcast_weights(net.module_)

    def _compute_gradients(self, net, X, draw, size, scaler):
        """Gradients of a batch of `size` rows, or of as many as the memory holds; gives their number."""
        while True:
            rows = draw(size)
            inputs, targets = X.collate([X[i] for i in rows], net.pad_token_id)
            try:
                features = net.infer_features(inputs)
                scaler.scale(pair_loss(features, targets["y"].to(features.device))).backward()
                return size
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if size <= _FEWEST:
                    raise _too_large(net.device, len(rows), inputs.row_size) from error
            net.module_.zero_grad(set_to_none=True)  # here, where the error no longer holds on to tensors
            release_memory(net.device)
            size = max(_FEWEST, size // 2)


def _too_large(device, n_rows, n_tokens):
    return MemoryError(
        f"The device {str(device)!r} has too little memory to compare {n_rows} texts of {n_tokens} tokens. Lower "
        "max_length, or pass contrastive_steps=0."
    )


class BatchDraw:
    """Random batches of rows, of each class as many, two at least, whatever the order of the rows.

    A row of weight k is drawn like k copies.

    Parameters
    ----------
    dataset : RowDataset
        With targets.
    rng : numpy.random.Generator
    """

    def __init__(self, dataset, rng):
        self.rng = rng
        y, w = (np.asarray(dataset.targets[name]) for name in ("y", "w"))
        keys = dataset.row_keys()
        rows, w = merge_copies(keys, w)
        order = sorted(range(len(rows)), key=lambda i: keys[rows[i]])
        rows, w = rows[order], w[order]
        weighty = w > 0  # a weight may have become zero beside very large ones
        members = [np.flatnonzero((y[rows] == label) & weighty) for label in np.unique(y[rows][weighty])]
        self.classes = [(rows[own], w[own] / w[own].sum()) for own in members]

    def __call__(self, size):
        """About `size` rows, a list of int."""
        per_class = max(2, size // len(self.classes))
        chosen = self.rng.permutation(len(self.classes))[: max(2, size // per_class)]
        draws = []
        for rows, probabilities in (self.classes[i] for i in chosen):
            n_draws = min(per_class, np.count_nonzero(probabilities))
            draws.append(self.rng.choice(rows, n_draws, replace=False, p=probabilities))
        return np.concatenate(draws).tolist()


def pair_loss(features, y):
    """Squared difference of the cosines of all pairs from 1, where both are of one class, or 0.

    Pairs of one class and of two classes count alike, however many there are of each.

    Parameters
    ----------
    features : torch.Tensor of shape (B, H)
    y : torch.Tensor of shape (B,)
        Encoded classes.

    Returns
    -------
    loss : torch.Tensor of shape ()
    """
    unit = F.normalize(features, dim=1)
    first, second = torch.triu_indices(len(y), len(y), offset=1, device=features.device)
    same = y[first] == y[second]
    losses = ((unit[first] * unit[second]).sum(dim=1) - same.to(features.dtype)) ** 2
    return torch.stack([losses[pairs].mean() for pairs in (same, ~same) if pairs.any()]).mean()
