"""`resolve_device` and `resolve_precision`, and the random numbers inside a `seeded` block."""

import re
import threading

import pytest
import torch

from sklearn_bert._runtime.device import resolve_device, resolve_precision, seeded

CPU = torch.device("cpu")
gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
devices = pytest.mark.parametrize("device", [CPU, pytest.param(torch.device("cuda"), marks=gpu)], ids=str)


def draw(seed, device=CPU, n=5):
    with seeded(seed, device):
        return torch.rand(n, device=device).tolist()


def states(device):
    """The random states of the caller: of the CPU and, for CUDA, of the device."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


@pytest.mark.parametrize("cuda", [True, False], ids=["CUDA", "no CUDA"])
@pytest.mark.parametrize("mps", [True, False], ids=["MPS", "no MPS"])
def test_resolve_device_auto_is_cuda_or_else_the_cpu_and_never_mps(monkeypatch, cuda, mps):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert resolve_device("auto") == torch.device("cuda" if cuda else "cpu")


@pytest.mark.parametrize("device", ["cpu", CPU], ids=["name", "torch.device"])
def test_resolve_device_accepts_an_available_device(device):
    assert resolve_device(device) == CPU


@pytest.mark.parametrize("device", ["gpu", "nope", "", "cuda:x"])
def test_resolve_device_raises_for_a_name_of_no_device(device):
    message = (
        f"Got device={device!r}, which names no device. Expected 'auto', 'cpu', 'cuda', 'cuda:1', 'mps', ... Pass "
        "'auto' to take CUDA, or else the CPU. 'cuda' is a GPU of NVIDIA or AMD, 'mps' one of Apple."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        resolve_device(device)


@pytest.mark.parametrize("device", ["cuda:99", torch.device("cuda:99"), "xla"], ids=repr)
def test_resolve_device_raises_for_an_unavailable_device(device):
    message = (
        f"device={str(device)!r} cannot be used here (REASON). Expected 'auto', 'cpu', 'cuda', 'cuda:1', 'mps', ... "
        "Pass 'auto' to take CUDA, or else the CPU."
    )
    with pytest.raises(ValueError, match=re.escape(message).replace("REASON", ".+")):
        resolve_device(device)


@pytest.mark.parametrize("capability", ["DEFAULT", "AVX2"])
def test_auto_precision_is_float32_if_torch_is_limited_to_instructions_without_bfloat16(monkeypatch, capability):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert resolve_precision("auto", CPU) == "float32"


@pytest.fixture
def unlimited(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16", "avx512_f", "bf16"])
def test_auto_precision_on_a_cpu_is_bfloat16_if_an_x86_has_the_instructions(monkeypatch, instructions):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instructions: True}, raising=False)
    fast = instructions in ("avx512_bf16", "amx_bf16")
    assert resolve_precision("auto", CPU) == ("bfloat16" if fast else "float32")


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("avx512", [True, False], ids=["AVX512-BF16", ""])
@pytest.mark.parametrize("amx", [True, False], ids=["AMX", ""])
def test_auto_precision_on_a_cpu_is_the_same_with_a_torch_that_cannot_list_instructions(monkeypatch, avx512, amx):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert resolve_precision("auto", CPU) == ("bfloat16" if avx512 or amx else "float32")


def test_auto_precision_on_mps_is_float32():
    assert resolve_precision("auto", torch.device("mps")) == "float32"


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_resolve_precision_keeps_an_explicit_precision(precision):
    assert resolve_precision(precision, CPU) == precision


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_resolve_precision_raises_for_float16_without_cuda(device):
    message = (
        f"precision='float16' needs a CUDA device, got device='{device}'. "
        "Pass precision='auto', 'bfloat16' or 'float32'."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        resolve_precision("float16", torch.device(device))


def test_resolve_precision_raises_for_float64_on_mps():
    message = "precision='float64' needs a CPU or CUDA device, got device='mps'. Pass device='cpu'."
    with pytest.raises(ValueError, match=re.escape(message)):
        resolve_precision("float64", torch.device("mps"))


@devices
def test_seeded_gives_the_same_numbers_for_the_same_seed(device):
    assert draw(3, device) == draw(3, device)


@devices
def test_seeded_gives_other_numbers_for_another_seed(device):
    assert draw(3, device) != draw(4, device)


@devices
def test_seeded_determines_dropout(device):
    ones, masks = torch.ones(100, device=device), []
    for _ in range(2):
        with seeded(0, device):
            masks.append(torch.nn.functional.dropout(ones))
    assert torch.equal(*masks)


@devices
def test_seeded_ignores_and_restores_the_random_state_of_the_caller(device):
    torch.manual_seed(1)
    first, before = draw(3, device), states(device)
    assert draw(3, device) == first
    assert all(map(torch.equal, states(device), before))
    torch.manual_seed(2)
    assert draw(3, device) == first


@devices
def test_seeded_restores_the_random_state_after_an_exception(device):
    before = states(device)
    with pytest.raises(RuntimeError), seeded(0, device):
        torch.nn.functional.dropout(torch.ones(3, device=device)).view(7)
    assert all(map(torch.equal, states(device), before))


def test_nested_seeded_blocks_do_not_change_the_outer_numbers():
    with seeded(3, CPU):
        numbers = torch.rand(2).tolist()
        assert draw(4) == draw(4)
        numbers += torch.rand(3).tolist()
    assert numbers == draw(3)


def test_seeded_blocks_in_several_threads_run_one_after_the_other():
    """Each thread draws the numbers of its seed, though all threads enter `seeded` at the same time."""
    seeds, drawn = range(8), {}
    barrier = threading.Barrier(len(seeds))

    def work(seed):
        barrier.wait(timeout=60)
        with seeded(seed, CPU):
            numbers = []
            for _ in range(5):
                numbers.append(torch.rand(()).item())
                threading.Event().wait(0.001)  # lets other threads run
            drawn[seed] = numbers

    before = torch.get_rng_state()
    threads = [threading.Thread(target=work, args=(seed,)) for seed in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(torch.get_rng_state(), before)
    assert drawn == {seed: draw(seed) for seed in seeds}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_precision_on_cuda_is_bfloat16_if_the_device_has_it():
    fast = torch.cuda.get_device_capability() >= (8, 0)
    assert resolve_precision("auto", torch.device("cuda")) == ("bfloat16" if fast else "float32")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_resolve_precision_accepts_float16_on_cuda():
    assert resolve_precision("float16", torch.device("cuda")) == "float16"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_seeded_on_a_cpu_does_not_change_the_random_state_of_cuda():
    before = torch.cuda.get_rng_state()
    draw(3, CPU)
    assert torch.equal(torch.cuda.get_rng_state(), before)
