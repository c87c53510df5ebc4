"""What "auto" becomes, which wishes are refused, and whose random numbers a fit draws."""

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
    """The caller's random state on the CPU and, on CUDA, on the device."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def test_auto_device_is_the_best_that_torch_has():
    kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert resolve_device("auto") == torch.device(kind)


@pytest.mark.parametrize("device", ["cpu", CPU], ids=["name", "torch.device"])
def test_a_device_that_is_there_is_taken(device):
    assert resolve_device(device) == CPU


@pytest.mark.parametrize("device", ["nope", "", "cuda:99", torch.device("cuda:99")], ids=repr)
def test_a_device_that_is_not_there_is_an_error(device):
    message = (
        f"device={str(device)!r} cannot be used here (REASON). Expected 'auto', 'cpu', 'cuda', 'cuda:1', 'mps', ... "
        "Pass 'auto' to take the best device there is."
    )
    with pytest.raises(ValueError, match=re.escape(message).replace("REASON", ".+")):
        resolve_device(device)


def test_auto_precision_on_the_cpu_is_bfloat16_where_the_instructions_exist():
    capabilities = torch.cpu.get_capabilities()
    fast = capabilities.get("avx512_bf16", False) or capabilities.get("amx_bf16", False)
    assert resolve_precision("auto", CPU) == ("bfloat16" if fast else "float32")


def test_auto_precision_on_mps_is_float32():
    assert resolve_precision("auto", torch.device("mps")) == "float32"


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_a_named_precision_is_kept(precision):
    assert resolve_precision(precision, CPU) == precision


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_float16_without_cuda_is_an_error(device):
    message = (
        f"precision='float16' needs a CUDA device, got device='{device}'. "
        "Pass precision='auto', 'bfloat16' or 'float32'."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        resolve_precision("float16", torch.device(device))


def test_float64_on_mps_is_an_error():
    message = "precision='float64' needs a CPU or CUDA device, got device='mps'. Pass device='cpu'."
    with pytest.raises(ValueError, match=re.escape(message)):
        resolve_precision("float64", torch.device("mps"))


@devices
def test_the_same_seed_gives_the_same_numbers(device):
    assert draw(3, device) == draw(3, device)


@devices
def test_other_seeds_give_other_numbers(device):
    assert draw(3, device) != draw(4, device)


@devices
def test_dropout_follows_the_seed(device):
    ones, masks = torch.ones(100, device=device), []
    for _ in range(2):
        with seeded(0, device):
            masks.append(torch.nn.functional.dropout(ones))
    assert torch.equal(*masks)


@devices
def test_the_callers_random_state_does_not_matter_and_does_not_change(device):
    torch.manual_seed(1)
    first, before = draw(3, device), states(device)
    assert draw(3, device) == first
    assert all(map(torch.equal, states(device), before))
    torch.manual_seed(2)
    assert draw(3, device) == first


@devices
def test_the_callers_random_state_comes_back_after_an_exception(device):
    before = states(device)
    with pytest.raises(RuntimeError), seeded(0, device):
        torch.nn.functional.dropout(torch.ones(3, device=device)).view(7)
    assert all(map(torch.equal, states(device), before))


def test_a_seeded_block_inside_another_leaves_the_outer_numbers_alone():
    with seeded(3, CPU):
        numbers = torch.rand(2).tolist()
        assert draw(4) == draw(4)
        numbers += torch.rand(3).tolist()
    assert numbers == draw(3)


def test_threads_take_turns():
    """Each thread draws its seed's numbers, though all of them are inside `seeded` or waiting for it."""
    seeds, drawn = range(8), {}
    together = threading.Barrier(len(seeds))

    def work(seed):
        together.wait(timeout=10)
        with seeded(seed, CPU):
            numbers = []
            for _ in range(5):
                numbers.append(torch.rand(()).item())
                threading.Event().wait(0.001)  # gives the others the chance to break in
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
def test_auto_precision_on_cuda_is_bfloat16_where_the_hardware_has_it():
    fast = torch.cuda.get_device_capability() >= (8, 0)
    assert resolve_precision("auto", torch.device("cuda")) == ("bfloat16" if fast else "float32")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_float16_on_cuda_is_taken():
    assert resolve_precision("float16", torch.device("cuda")) == "float16"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_seeding_the_cpu_leaves_cuda_alone():
    before = torch.cuda.get_rng_state()
    draw(3, CPU)
    assert torch.equal(torch.cuda.get_rng_state(), before)
