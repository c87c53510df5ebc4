"""A process group that trains and predicts as one process would: which rows are whose, and what is exchanged.

Every process is given the same rows and builds the same batches. It computes its share of each batch, the gradients are
summed, and all make the same step: the result is that of one process on the same batches, whatever the weights of the
rows and however uneven the last batch. Accelerate sets the processes up, torch.distributed exchanges the messages. A
single process is a group of one, which sends nothing and sums nothing. No other module knows of processes.
"""

import atexit
import multiprocessing
import os
from contextlib import contextmanager

import numpy as np
import torch
import torch.distributed as dist

from .optional_dependencies import import_extra

if dist.is_available():
    # Its functions take the group that exists when it is first imported as their default, and keep it and its
    # threads, which would still run when the program ends. So it is imported before there is a group.
    import torch.distributed.nn.functional


class DistributedContext:
    """The group of processes of this run, and which of them this one is.

    Parameters
    ----------
    rank : int, default=0
        Of this process; the first is 0.
    size : int, default=1
    """

    def __init__(self, rank=0, size=1):
        self.rank, self.size = rank, size

    @property
    def is_first(self):
        """Whether this is the process that writes files and output for all."""
        return self.rank == 0

    @property
    def rank_slice(self):
        """Which rows are this process's, if rows in some order are dealt out in turn."""
        return slice(self.rank, None, self.size)

    def share(self, inputs, targets):
        """This process's rows of a batch, maybe none: about as many tokens as the others have.

        Parameters
        ----------
        inputs : TokenBatch or FeatureBatch
        targets : dict of torch.Tensor

        Returns
        -------
        inputs : TokenBatch or FeatureBatch
        targets : dict of torch.Tensor
        """
        if self.size == 1:
            return inputs, targets
        rows = _rows_of(self.rank, self.size, inputs.costs())
        return inputs.rows(rows.start, rows.stop), {name: values[rows] for name, values in targets.items()}

    def sum_gradients(self, parameters, loss):
        """Give the parameters the sum of all processes' gradients; the sum of their losses.

        Each is a part of the global batch's, so nothing is divided. A parameter that no process used stays without
        a gradient: a zero would let the optimizer decay it.

        Parameters
        ----------
        parameters : iterable of torch.nn.Parameter
            The same, in the same order, in every process.
        loss : torch.Tensor or 0

        Returns
        -------
        loss : torch.Tensor
        """
        if self.size == 1:
            return loss
        parameters = list(parameters)
        like, sizes = parameters[0], [p.numel() for p in parameters]
        used = like.new_tensor([p.grad is not None for p in parameters])
        loss = torch.as_tensor(loss, dtype=like.dtype, device=like.device).reshape(1)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        message = torch.cat([*(g.flatten() for g in gradients), used, loss])  # one message instead of hundreds
        with _explain_lost_peer():
            dist.all_reduce(message)
        *gradients, used, loss = message.split([*sizes, len(sizes), 1])
        for p, gradient, n_users in zip(parameters, gradients, used.tolist(), strict=True):
            p.grad = gradient.view_as(p) if n_users else None
        return loss[0]

    def broadcast_weights(self, module):
        """Give a module the first process's weights, to the bit."""
        if self.size > 1:
            with _explain_lost_peer(), torch.no_grad():
                for p in module.parameters():
                    whole = p.detach().contiguous()
                    dist.broadcast(whole, src=0)
                    p.copy_(whole)

    def gather(self, value):
        """The value of each process, by rank, in every process; anything that can be pickled."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        with _explain_lost_peer():
            dist.all_gather_object(values, value)
        return values

    def gather_rows(self, values, rows, dataset):
        """All rows' values in every process, from each the ones that it computed.

        Parameters
        ----------
        values : ndarray of shape (n, k) or None
            Of which `rows` are computed; None where there are none.
        rows : ndarray of int
        dataset : EncodedDataset or FeatureDataset
            What the rows are of.

        Returns
        -------
        values : ndarray of shape (n, k)

        Raises
        ------
        ValueError
            If the processes compute values of different texts.
        """
        if self.size == 1:
            return values
        part = None if values is None else (rows, values[rows])
        fingerprints, parts = zip(*self.gather((dataset.fingerprint(), part)), strict=True)
        if len(set(fingerprints)) > 1:
            raise ValueError(
                "The processes of this run predict different texts. Pass the same texts in every process: each "
                "computes its share of them, and all get every row."
            )
        parts = [part for part in parts if part is not None]
        whole = np.empty((len(dataset), *parts[0][1].shape[1:]), dtype=parts[0][1].dtype)
        for rows, computed in parts:
            whole[rows] = computed
        return whole

    def check_same(self, describe):
        """Refuse to train on what is not the same in every process.

        Parameters
        ----------
        describe : callable
            Gives a dict of str to str; not called in a single process.

        Raises
        ------
        ValueError
            In every process.
        """
        if self.size == 1:
            return
        found = self.gather(describe())
        names = sorted(set().union(*found))
        other = [name for name in names if len({values.get(name) for values in found}) > 1]
        if other:
            raise ValueError(
                f"The processes of this run do not fit the same. Different are: {', '.join(other)}. Pass the same data "
                "and parameters in every process: each takes its share of the rows by itself."
            )

    def rank_seed(self, seed, epoch):
        """A seed for the dropout of this process in an epoch, different in each process; None in a single process."""
        if self.size == 1:
            return None
        return int(np.random.SeedSequence([seed, epoch, self.rank]).generate_state(1)[0])


def get_process_group(device):
    """The group of this run, which is set up if a launcher started this process and nobody has set it up yet.

    Parameters
    ----------
    device : torch.device or str
        Where this process computes.

    Raises
    ------
    ImportError
        If Accelerate is missing and needed.
    """
    if not dist.is_available():
        return DistributedContext()
    if not dist.is_initialized():
        if not _under_launcher():
            return DistributedContext()
        _set_up(device)
    return DistributedContext(dist.get_rank(), dist.get_world_size())


def _under_launcher():
    """Whether ``torchrun`` or ``accelerate launch`` started this process, and not one of its workers."""
    has_address = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()
    return has_address and int(os.environ["WORLD_SIZE"]) > 1 and multiprocessing.parent_process() is None


def _set_up(device):
    accelerate = import_extra("accelerate", "distributed", "A run of several processes")
    with _explain_lost_peer():
        state = accelerate.PartialState(cpu=torch.device(device).type == "cpu")
    if not dist.is_initialized():  # a user's PartialState() on a machine without a GPU
        raise RuntimeError(
            f"This is one of {os.environ['WORLD_SIZE']} processes, but Accelerate was set up for one by itself. Create "
            "its PartialState or Accelerator with cpu=True, or leave that to fit."
        )
    atexit.register(state.destroy_process_group)


def _rows_of(rank, size, costs):
    """The slice of rows with the `rank`-th of `size` equal parts of the costs; the middle of a row decides."""
    middles = np.cumsum(costs) - costs / 2
    owners = (middles * size / costs.sum()).astype(int)
    start, stop = np.searchsorted(owners, [rank, rank + 1])
    return slice(int(start), int(stop))


@contextmanager
def _explain_lost_peer():
    """Explain an error that a message did not arrive."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise RuntimeError(
            f"Another process of this run does not answer any more ({reason}). Look at what it printed last, then "
            "start all of them again; with checkpoint_dir a fit resumes after its last whole epoch."
        ) from error
