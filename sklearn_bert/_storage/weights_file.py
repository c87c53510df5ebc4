"""Read a safetensors file into memory that nothing else uses.

The library maps the file into memory. With a copy of the map, the weights would be in memory twice; without a copy,
they would change with the file.
"""

import json

import torch
from safetensors import safe_open

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_weights_file(path):
    """The weights in a safetensors file, by name: a dict of torch.Tensor.

    Raises
    ------
    OSError
        If the file cannot be read.
    safetensors.SafetensorError
        If it is not a valid safetensors file.
    """
    with safe_open(path, framework="pt"):  # checks the whole header: offsets and sizes
        pass
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        header.pop("__metadata__", None)
        start = file.tell()
        return {name: _read_tensor(file, start, entry) for name, entry in header.items()}


def _read_tensor(file, start, entry):
    tensor = torch.empty(entry["shape"], dtype=_DTYPES[entry["dtype"]])
    place = tensor.reshape(-1).view(torch.uint8).numpy()
    file.seek(start + entry["data_offsets"][0])
    if file.readinto(place) != place.size:
        raise OSError("it became shorter while it was read")
    return tensor
