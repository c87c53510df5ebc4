"""A program is written to a file that holds what `ONNXProgram.save` writes."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

from sklearn_bert._storage import onnx_file  # noqa: E402
from sklearn_bert._storage.onnx_file import save_program  # noqa: E402


class Program:
    """An `ONNXProgram` as far as it is used: the sum of an input and of two weights."""

    def __init__(self, weights):
        self.weights = weights
        names = ["x", *weights]
        shape = ["batch", *next(iter(weights.values())).shape]
        value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
        node = onnx.helper.make_node("Sum", names, ["y"])
        graph = onnx.helper.make_graph(
            [node], "sum", value[:1], value[1:], [onnx.numpy_helper.from_array(w, n) for n, w in weights.items()]
        )
        self.proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
        self.proto.metadata_props.add(key="labels", value='["a", "b"]')
        self.model = ir.from_proto(self.proto)

    def save(self, path, include_initializers=True):
        saved = onnx.ModelProto()
        saved.CopyFrom(self.proto)
        if not include_initializers:
            saved.graph.ClearField("initializer")
        onnx.save(saved, path)


@pytest.mark.parametrize("shape", [(3,), (2, 64), (5, 300, 20)])  # lengths of one, two and three bytes
def test_the_file_is_the_model_with_its_weights(shape, tmp_path):
    weights = {name: np.random.default_rng(i).random(shape, dtype=np.float32) for i, name in enumerate("ab")}
    program = Program(weights)
    save_program(program, tmp_path / "model.onnx")
    assert onnx.load(tmp_path / "model.onnx") == program.proto
    assert (tmp_path / "model.onnx").stat().st_size == program.proto.ByteSize()
    onnx.checker.check_model(str(tmp_path / "model.onnx"))


def test_weights_of_every_type_and_transposed_ones_are_written(tmp_path):
    weights = {
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "count": np.array(7, dtype=np.int64),
        "flags": np.array([True, False]),
    }
    program = Program({"a": np.ones(2, dtype=np.float32)})
    program.model = ir.from_proto(
        onnx.helper.make_model(
            onnx.helper.make_graph(
                [], "weights", [], [], [onnx.numpy_helper.from_array(w, n) for n, w in weights.items()]
            )
        )
    )
    save_program(program, tmp_path / "model.onnx")
    found = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert found.keys() == weights.keys()
    for name, expected in weights.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


def test_weights_that_one_file_cannot_hold_are_left_to_torch(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "_LARGEST", 10)
    program = Program({"a": np.ones(3, dtype=np.float32)})
    save_program(program, tmp_path / "model.onnx")
    assert onnx.load(tmp_path / "model.onnx") == program.proto
