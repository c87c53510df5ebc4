"""Training and prediction in several processes, with the result of one: who computes which rows, and what is sent.

Every process gets the same rows and builds the same batches. It computes its share of each batch, the gradients are
summed, and all processes make the same step. So the result is that of one process on the same batches, for any weights
of the rows and any size of the last batch. Accelerate sets up the processes, torch.distributed exchanges the messages.
A single process is a group of one, which sends nothing. The other modules only call the methods of the group.
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
    # When this module is first imported, its functions store the existing group as their default value. The group's
    # threads would then still run when the program ends. So it is imported before there is a group.
    import torch.distributed.nn.functional


class DistributedContext:
    """The group of processes of this run, and which of them this one is.

    Parameters
    ----------
    rank : int, default=0
        Of this process; the first is 0.
    size : int, default=1
        Number of processes.
    """

    def __init__(self, rank=0, size=1):
        self.rank, self.size = rank, size

    @property
    def is_first(self):
        """Whether this is the process that writes the files and the output of all."""
        return self.rank == 0

    @property
    def rank_slice(self):
        """The positions of this process's rows, if row i belongs to process ``i % size``."""
        return slice(self.rank, None, self.size)

    def share(self, inputs, targets):
        """This process's rows of a batch, possibly none: each process gets about the same number of tokens.

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
        """Set the gradients to their sums over all processes, and return the sum of the losses.

        Each process has its part of the gradient of the whole batch, so nothing is divided. A parameter that no process
        used keeps no gradient: with zeros, the optimizer would apply weight decay to it.

        Parameters
        ----------
        parameters : iterable of torch.nn.Parameter
            The same, in the same order, in every process.
        loss : torch.Tensor or 0

        Returns
        -------
        loss : torch.Tensor

        Raises
        ------
        RuntimeError
            If another process does not answer.
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
        """Copy the first process's weights into the module, so that all processes have equal bits."""
        if self.size > 1:
            with _explain_lost_peer(), torch.no_grad():
                for p in module.parameters():
                    whole = p.detach().contiguous()
                    dist.broadcast(whole, src=0)
                    p.copy_(whole)

    def gather(self, value):
        """Return a list of the values of all processes, by rank, in every process; values must be picklable."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        with _explain_lost_peer():
            dist.all_gather_object(values, value)
        return values

    def gather_rows(self, values, rows, dataset):
        """Collect the values of all rows in every process, each row from the process that computed it.

        Parameters
        ----------
        values : ndarray of shape (n, k) or None
            The values; only those of `rows` are computed. None if this process has no rows.
        rows : ndarray of int
            Positions of this process's rows.
        dataset : EncodedDataset or FeatureDataset
            The dataset of n rows.

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
        """Raise an error, in every process, if the processes would train differently.

        Parameters
        ----------
        describe : callable
            Returns a dict of str to str, which must be equal in all processes. Not called in a single process.

        Raises
        ------
        ValueError
            If the values of the processes differ.
        """
        if self.size == 1:
            return
        found = self.gather(describe())
        names = sorted(set().union(*found))
        other = [name for name in names if len({values.get(name) for values in found}) > 1]
        if other:
            raise ValueError(
                f"The processes of this run do not fit the same data and parameters. These differ: {', '.join(other)}. "
                "Pass the same in every process: each selects its share of the rows itself."
            )

    def rank_seed(self, seed, epoch):
        """A seed for the dropout of this process in an epoch, different in each process; None in a single process."""
        if self.size == 1:
            return None
        return int(np.random.SeedSequence([seed, epoch, self.rank]).generate_state(1)[0])


def get_process_group(device):
    """The group of processes of this run. If a launcher started this process, the group is set up if necessary.

    Parameters
    ----------
    device : torch.device or str
        Where this process computes.

    Returns
    -------
    group : DistributedContext

    Raises
    ------
    ImportError
        If Accelerate is needed and not installed.
    RuntimeError
        If Accelerate was set up for a single process, or another process does not answer.
    """
    if not dist.is_available():
        return DistributedContext()
    if not dist.is_initialized():
        if not _under_launcher():
            return DistributedContext()
        _set_up(device)
    return DistributedContext(dist.get_rank(), dist.get_world_size())


def _under_launcher():
    """Whether ``torchrun`` or ``accelerate launch`` started this process; false in its child processes."""
    has_address = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()
    return has_address and int(os.environ["WORLD_SIZE"]) > 1 and multiprocessing.parent_process() is None


def _set_up(device):
    accelerate = import_extra("accelerate", "distributed", "A run of several processes")
    with _explain_lost_peer():
        state = accelerate.PartialState(cpu=torch.device(device).type == "cpu")
    if not dist.is_initialized():  # a user's PartialState() on a machine without a GPU
        raise RuntimeError(
            f"This is one of {os.environ['WORLD_SIZE']} processes, but Accelerate was set up for a single process. "
            "Create its PartialState or Accelerator with cpu=True, or let fit create it."
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
    """Turn the error about a lost message into one that says what to do."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise RuntimeError(
            f"Another process of this run no longer answers ({reason}). Look at its last output, then start all of "
            "them again; with checkpoint_dir a fit resumes after its last complete epoch."
        ) from error
