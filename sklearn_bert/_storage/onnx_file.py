"""Write an ONNX program to a file, one weight at a time.

protobuf would need memory for all weights three times: in the message, in its serialised bytes, and while these grow.
So the message is created without the weights, and their fields are appended to the field of the graph: the fields of a
message may be in any order.
"""

import numpy as np

_GRAPH, _INITIALIZER, _RAW_DATA = (7, 5, 9)  # numbers of fields, in onnx.proto
_LENGTH_DELIMITED = 2
_LARGEST = 2**31 - 2**24  # bytes of weights; a protobuf message, with the graph, has at most 2**31


def save_program(program, path):
    """Write a `torch.onnx.ONNXProgram` to the file `path`; weights that are too large go to a second file.

    Parameters
    ----------
    program : torch.onnx.ONNXProgram
    path : Path
    """
    import onnx

    if sum(value.const_value.nbytes for value in program.model.graph.initializers.values()) > _LARGEST:
        return program.save(path)
    program.save(path, include_initializers=False)
    model = onnx.load(path)
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    arrays = {name: value.const_value.numpy() for name, value in program.model.graph.initializers.items()}
    starts = {name: _start(onnx, name, array) for name, array in arrays.items()}
    sizes = {name: len(start) + arrays[name].nbytes for name, start in starts.items()}
    heads = {name: _head(_INITIALIZER, size) for name, size in sizes.items()}
    n_bytes = len(graph) + sum(len(heads[name]) + sizes[name] for name in arrays)
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
        file.write(_head(_GRAPH, n_bytes))
        file.write(graph)
        for name, array in arrays.items():
            file.write(heads[name])
            file.write(starts[name])
            file.write(np.ascontiguousarray(array).data)


def _start(onnx, name, array):
    """The bytes of a TensorProto up to its data."""
    data_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    proto = onnx.TensorProto(name=name, data_type=data_type, dims=array.shape)
    return proto.SerializeToString() + _head(_RAW_DATA, array.nbytes)


def _head(field, n_bytes):
    """The bytes before the content of a field: its number and type, and the number of bytes as a varint."""
    varint = bytearray([field << 3 | _LENGTH_DELIMITED])
    while n_bytes > 0x7F:
        varint.append(n_bytes & 0x7F | 0x80)
        n_bytes >>= 7
    varint.append(n_bytes)
    return bytes(varint)
