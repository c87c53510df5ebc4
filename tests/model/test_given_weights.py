"""A module is built around weights, which it takes over where they belong to nobody else."""

import pickle
import threading

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_bert._model.given_weights import build_with_weights


class Small(nn.Module):
    """A module with a buffer that is not stored, and a part that is frozen when it is made."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.register_buffer("positions", torch.arange(5), persistent=False)


def arrays():
    shapes = {"linear.weight": (2, 3), "linear.bias": (2,), "frozen.weight": (2, 2), "frozen.bias": (2,)}
    return {name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1 for name, shape in shapes.items()}


def address(tensor):
    return tensor.data_ptr()


def test_the_module_has_the_weights_and_its_own_buffers_and_frozen_parts():
    module = build_with_weights(Small, arrays())
    for name, expected in arrays().items():
        np.testing.assert_array_equal(module.state_dict()[name], expected)
    assert module.positions.tolist() == [0, 1, 2, 3, 4]
    assert [p.requires_grad for p in module.parameters()] == [True, True, False, False]
    module.linear(torch.ones(1, 3)).sum().backward()
    assert module.linear.weight.grad is not None


def test_no_random_number_is_drawn():
    before = torch.get_rng_state()
    build_with_weights(Small, arrays())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_tensors_and_arrays_of_their_own_memory_are_taken_over(protocol):
    unpickled = pickle.loads(pickle.dumps(arrays(), protocol))
    tensors = {name: torch.from_numpy(array) for name, array in arrays().items()}
    for weights, place in (
        (arrays(), lambda a: a.ctypes.data),
        (unpickled, lambda a: a.ctypes.data),
        (tensors, address),
    ):
        module = build_with_weights(Small, weights)
        assert {n: address(t) for n, t in module.state_dict().items()} == {n: place(w) for n, w in weights.items()}


def test_arrays_of_others_are_copied(tmp_path):
    np.save(tmp_path / "array.npy", arrays()["linear.weight"])
    live = nn.Parameter(torch.ones(2, 3)).detach()
    read_only = arrays()["linear.weight"]
    read_only.flags.writeable = False
    out_of_band = []
    data = pickle.dumps(live.numpy(), 5, buffer_callback=out_of_band.append)
    for array in (
        live.numpy(),
        pickle.loads(data, buffers=out_of_band),
        read_only,
        *(np.load(tmp_path / "array.npy", mmap_mode=mode) for mode in ("r", "r+", "c")),
    ):
        module = build_with_weights(Small, arrays() | {"linear.weight": array})
        with torch.no_grad():
            module.linear.weight.fill_(7)
        assert not (array == 7).any()


def test_weights_get_the_dtype_of_the_module():
    module = build_with_weights(lambda: Small().double(), arrays())
    assert {tensor.dtype for tensor in module.state_dict().values()} == {torch.float64}


def test_absent_and_misshaped_weights_are_errors():
    weights = arrays()
    with pytest.raises(RuntimeError, match=r"size mismatch for linear\.bias"):
        build_with_weights(Small, weights | {"linear.bias": np.ones(3, dtype=np.float32)})
    del weights["linear.bias"]
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"linear\.bias\""):
        build_with_weights(Small, weights)


def test_modules_of_other_threads_and_later_ones_have_memory():
    others = []

    def make():
        thread = threading.Thread(target=lambda: others.append(Small()))
        thread.start()
        thread.join()
        return Small()

    build_with_weights(make, arrays())
    with pytest.raises(ZeroDivisionError):
        build_with_weights(lambda: 1 / 0, arrays())
    for module in (*others, Small()):
        assert {p.device.type for p in module.parameters()} == {"cpu"}
