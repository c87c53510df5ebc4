"""`is_out_of_memory` recognises the errors of every device; `release_memory` accepts a CPU."""

import pytest
import torch

from sklearn_bert._runtime.device import is_out_of_memory, release_memory


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5.0 GB)"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            True,
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_is_out_of_memory_is_true_for_out_of_memory_errors_only(error, expected):
    assert is_out_of_memory(error) is expected


def test_is_out_of_memory_is_true_for_the_error_of_torch_on_this_machine():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)


def test_release_memory_does_nothing_on_a_cpu():
    release_memory("cpu")
