"""The state of a training in one file, written after each epoch, so that an interrupted training can be resumed.

The file is safetensors, which holds numbers only: loading it executes no code. It records the parameters and the
fingerprints of the data. A training with other ones cannot be resumed from it.
"""

import json
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from skorch.callbacks import Callback

from .._runtime.atomic_files import atomic_file, explain_os_errors

_NAME = "training_state.safetensors"
_FORMAT = "sklearn_bert training state 1"


class StateFile(Callback):
    """Writes the state of a training to a folder, and resumes the training whose state is there.

    Parameters
    ----------
    folder : path
        Created if it does not exist.
    fingerprint : dict of str to str
        Parameters and fingerprints of the data, which must be equal to those in the file.

    Raises
    ------
    OSError
        If no file can be written to the folder.
    """

    def __init__(self, folder, fingerprint):
        self.folder = folder
        self.fingerprint = fingerprint
        self.path = Path(folder).expanduser() / _NAME
        with explain_os_errors(self.path):  # before the first epoch is spent
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for draft in self.path.parent.glob(f".{_NAME}.*.draft"):  # of a process that was killed
                draft.unlink(missing_ok=True)
            TemporaryFile(dir=self.path.parent).close()

    def on_epoch_end(self, net, **kwargs):
        """Write the state, in the first process only; it says whether the training stops in any process."""
        stop = any(net.group_.gather(net.stop_training_))
        if not net.group_.is_first:
            return
        callbacks = dict(net.callbacks_)
        average = callbacks.get("weight_average")
        parts = {"now": net.trained, "best": callbacks["best_epoch"].weights, "random": _random_state(net.device)}
        parts |= {"last": average.others} if average else {}
        moments = net.optimizer_.state_dict()["state"]
        parts |= {f"optimizer.{i}": values for i, values in moments.items()}
        tensors = {f"{part}/{name}": t.detach().cpu() for part, values in parts.items() for name, t in values.items()}
        numbers = {
            "history": [_plain(row) for row in net.history],
            "rates": [group["lr"] for group in net.optimizer_.param_groups],
            "step": callbacks["schedule"].lr_scheduler_.last_epoch,
            "averaged": average.n_averaged if average else 0,
            "scaler": net.scaler_.state_dict(),
            "stop": stop,
        }
        metadata = {"format": _FORMAT, "fingerprint": self.fingerprint, "numbers": numbers}
        with atomic_file(self.path) as draft:
            save_file(
                {name: t.contiguous() for name, t in tensors.items()},
                draft,
                metadata={name: json.dumps(value) for name, value in metadata.items()},
            )

    def on_train_begin(self, net, **kwargs):
        """Restore the state of the net from the file, if there is one.

        Raises
        ------
        ValueError
            If the file is damaged, is not a training state, or belongs to other parameters or data.
        """
        if not self.path.exists():
            return
        metadata, parts = self._read()
        self._check(metadata["fingerprint"])
        numbers, callbacks = metadata["numbers"], dict(net.callbacks_)
        with torch.no_grad():
            for name, p in net.trained.items():
                p.copy_(parts["now"][name])
        settings = net.optimizer_.state_dict()["param_groups"]
        moments = {int(part.split(".")[1]): values for part, values in parts.items() if part.startswith("optimizer.")}
        net.optimizer_.load_state_dict({"state": moments, "param_groups": settings})
        for group, rate in zip(net.optimizer_.param_groups, numbers["rates"], strict=True):
            group["lr"] = rate
        callbacks["schedule"].lr_scheduler_.last_epoch = numbers["step"]
        net.scaler_.load_state_dict(numbers["scaler"])
        for row in numbers["history"]:
            net.history.new_epoch()
            for name, value in row.items():
                net.history.record(name, value)
        callbacks["best_epoch"].weights = parts.get("best", {})
        if average := callbacks.get("weight_average"):
            average.others = {name: t.to(net.device) for name, t in parts.get("last", {}).items()}
            average.n_averaged = numbers["averaged"]
        net.stop_training_ |= numbers["stop"]
        _set_random_state(net.device, parts["random"])

    def agree_on_seed(self, seed, *, fixed):
        """The seed to train with: `seed` if it is fixed, otherwise the one in the file, if there is one."""
        if not fixed and self.path.exists():
            seed = int(self._read(with_tensors=False)[0]["fingerprint"]["random_state"])
        self.fingerprint = self.fingerprint | {"random_state": str(seed)}
        return seed

    def _read(self, with_tensors=True):
        parts = {}
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
                if metadata.get("format") != _FORMAT:
                    raise ValueError(f"its format is {metadata.get('format')!r}")
                for key in file.keys() if with_tensors else ():
                    part, name = key.split("/", 1)
                    # A copy: Windows does not replace a file of which a tensor is a view.
                    parts.setdefault(part, {})[name] = file.get_tensor(key).clone()
        except (SafetensorError, ValueError) as error:
            raise ValueError(
                f"{str(self.path)!r} is not a training state that this version can read ({error}). Expected a file "
                "that a fit with checkpoint_dir wrote. Delete it to start anew, or pass another checkpoint_dir."
            ) from error
        return metadata, parts

    def _check(self, found):
        names = sorted(found.keys() | self.fingerprint.keys())
        other = [name for name in names if found.get(name) != self.fingerprint.get(name)]
        if other:
            differences = ", ".join(_difference(name, found.get(name), self.fingerprint.get(name)) for name in other)
            raise ValueError(
                f"{str(self.path)!r} is the state of another training. These differ: {differences}. Fit with the "
                "same data and parameters to resume, delete it to start anew, or pass another checkpoint_dir."
            )


def _difference(name, found, given):
    return name if name in ("X", "y", "sample_weight", "validation") else f"{name} ({found} there, {given} here)"


def _plain(row):
    """The numbers and str of a row of the history, as a dict: JSON cannot hold the batches and other records."""
    values = {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
    return {name: value for name, value in values.items() if isinstance(value, (int, float, str))}


def _random_state(device):
    states = {"cpu": torch.get_rng_state()}
    if torch.device(device).type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_random_state(device, states):
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.device(device).type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
