"""What a recipe file may contain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sightline.core.errors import RecipeError
from sightline.runtime.guard import check_graph
from sightline.runtime.recipe import read_recipe


def model(nodes: list[onnx.NodeProto], **more: object) -> onnx.ModelProto:
    """A model from x (1,) to y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], **more))


def plain() -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["x"], ["y"])])


def test_a_recipe_of_our_own_passes(recipe_file: Path) -> None:
    assert read_recipe(recipe_file) == recipe_file.read_bytes()


def test_a_model_of_standard_operators_passes() -> None:
    check_graph(plain().SerializeToString())


def foreign() -> onnx.ModelProto:
    return model([helper.make_node("Shell", ["x"], ["y"], domain="evil.corp")])


def contributed() -> onnx.ModelProto:
    return model([helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")])


def looping() -> onnx.ModelProto:
    body = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "body", [], [])
    return model([helper.make_node("Loop", ["", "", "x"], ["y"], body=body)])


def elsewhere() -> onnx.ModelProto:
    tensor = onnx.numpy_helper.from_array(np.ones(1, np.float32), "w")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    tensor.ClearField("raw_data")
    return model([helper.make_node("Add", ["x", "w"], ["y"])], initializer=[tensor])


def hidden_elsewhere() -> onnx.ModelProto:
    tensor = elsewhere().graph.initializer[0]
    return model([helper.make_node("Constant", [], ["y"], value=tensor)])


def with_function() -> onnx.ModelProto:
    made = plain()
    made.functions.append(
        helper.make_function("own", "f", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], made.opset_import)
    )
    return made


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (foreign, "evil.corp.Shell"),
        (contributed, "com.microsoft.Gelu"),
        (looping, "a loop or a branch"),
        (elsewhere, "in another file"),
        (hidden_elsewhere, "in another file"),
        (with_function, "functions of its own"),
    ],
)
def test_what_no_recipe_needs_is_refused(make: object, told: str, tmp_path: Path) -> None:
    data = make().SerializeToString()  # type: ignore[operator]
    with pytest.raises(RecipeError, match=told):
        check_graph(data)
    (tmp_path / "r.onnx").write_bytes(data)
    with pytest.raises(RecipeError, match=r"r\.onnx"):
        read_recipe(tmp_path / "r.onnx")


def test_two_graphs_are_refused() -> None:
    with pytest.raises(RecipeError, match="2 graphs"):
        check_graph(plain().SerializeToString() * 2)


def test_damaged_bytes_are_an_error_of_ours() -> None:
    data = plain().SerializeToString()
    rng = np.random.default_rng(0)
    damaged = [data[:size] + b"\xff" * 3 for size in range(len(data))]
    for _ in range(500):
        noise = bytearray(data)
        noise[rng.integers(len(noise))] = rng.integers(256)
        damaged.append(bytes(noise))
    refused = 0
    for one in damaged:
        try:
            check_graph(one)
        except RecipeError:
            refused += 1
    assert refused > len(data) / 2  # damage to a name or a number is not seen here


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([0x80 | value & 0x7F]), value >> 7
    return out + bytes([value])


def field(number: int, data: bytes, tag: bytes = b"") -> bytes:
    return (tag or varint(number << 3 | 2)) + varint(len(data)) + data


def in_graph(data: bytes) -> bytes:
    """A model whose graph is a plain one with more bytes at its end."""
    made = plain()
    graph = made.graph.SerializeToString() + data
    made.ClearField("graph")
    return made.SerializeToString() + field(7, graph)


def domain_twice() -> bytes:
    """A second domain of a wrong wire type, which protobuf passes over."""
    node = helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft").SerializeToString()
    return in_graph(field(1, node + varint(7 << 3) + b"\x00"))


def wide_tag(number: int, data: bytes) -> bytes:
    """A tag of more than 32 bits, of which protobuf's C++ takes the lower 32."""
    return field(number, data, varint(1 << 32 | number << 3 | 2))


def wide_node() -> bytes:
    return in_graph(wide_tag(1, helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft").SerializeToString()))


def sparse_elsewhere() -> bytes:
    sparse = onnx.SparseTensorProto()
    sparse.values.CopyFrom(elsewhere().graph.initializer[0])
    node = helper.make_node("Constant", [], ["w"])
    attribute = node.attribute.add()
    attribute.name, attribute.type = "sparse_value", onnx.AttributeProto.SPARSE_TENSOR
    attribute.sparse_tensor.CopyFrom(sparse)
    return in_graph(field(1, node.SerializeToString()))


def other_format() -> bytes:
    """ONNX Runtime's own format carries its mark at the fifth byte; here inside an entry that ONNX passes over."""
    return field(200, b"\x00ORTM") + plain().SerializeToString()


@pytest.mark.parametrize("make", [domain_twice, wide_node, sparse_elsewhere, other_format])
def test_no_trick_of_the_wire_format_hides_anything(make: object) -> None:
    with pytest.raises(RecipeError):
        check_graph(make())  # type: ignore[operator]
