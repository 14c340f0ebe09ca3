"""What a recipe file may contain."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sightline.core.errors import RecipeError, SettingError
from sightline.operations.training import peak_rss_mb
from sightline.runtime.guard import check_graph
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe, read_recipe


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
        (with_function, "its own functions"),
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


def asking(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> bytes:
    """A small model that takes images as recipes do."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 32, 32, 3])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, None)
    numbers = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [image], [score], numbers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def much_memory() -> bytes:
    """A shape of 6.4 GB that stands nowhere in the file: it depends on the image, so nothing folds it."""
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "wide"], ["large"]),
        helper.make_node("Mul", ["large", "large"], ["squares"]),
        helper.make_node("ReduceMax", ["squares"], ["score"], keepdims=0),
    ]
    return asking(nodes, {"wide": np.array([40_000, 40_000], np.int64)})


def folded_memory() -> bytes:
    """The same in constants alone, which an engine computes when it opens the file."""
    nodes = [
        helper.make_node("Expand", ["one", "wide"], ["large"]),
        helper.make_node("ReduceMax", ["large"], ["most"], keepdims=0),
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "most"], ["score"]),
    ]
    return asking(nodes, {"wide": np.array([40_000, 40_000], np.int64), "one": np.ones(1, np.float32)})


def much_time() -> bytes:
    """A long way of products of matrices of a moderate size."""
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "wide"], ["y0"]),
        *(helper.make_node("MatMul", [f"y{i}", f"y{i}"], [f"y{i + 1}"]) for i in range(60)),
        helper.make_node("ReduceMax", ["y60"], ["score"], keepdims=0),
    ]
    return asking(nodes, {"wide": np.array([4000, 4000], np.int64)})


@pytest.mark.parametrize(("make", "seconds"), [(much_memory, "60"), (folded_memory, "60"), (much_time, "2")])
def test_a_small_file_that_asks_for_much_is_refused_before_it_is_opened(
    make: object, seconds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SIGHTLINE_RECIPE_S", seconds)
    data = make()  # type: ignore[operator]
    assert len(data) < 5000
    check_graph(data)  # nothing to be seen in the file itself
    (tmp_path / "r.onnx").write_bytes(data)
    start, before = time.monotonic(), peak_rss_mb()
    for use in (read_recipe, Recipe.load, lambda path: Inspector(path, threads=1)):
        with pytest.raises(RecipeError, match=r"r\.onnx: takes more than .* for a first image"):
            use(tmp_path / "r.onnx")
    assert time.monotonic() - start < 90
    assert peak_rss_mb() < before + 500


def test_a_recipe_is_tried_once(recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SIGHTLINE_RECIPE_MB", "3000")
    read_recipe(recipe_file)
    assert len(list((tmp_path / "cache" / "tried").iterdir())) == 1
    monkeypatch.setattr("sightline.runtime.trial.subprocess.run", lambda *_, **__: pytest.fail("tried again"))
    read_recipe(recipe_file)


def test_limits_of_the_trial_are_numbers(recipe_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_RECIPE_MB", "lots")
    with pytest.raises(SettingError, match="SIGHTLINE_RECIPE_MB=lots: is not a whole number"):
        read_recipe(recipe_file)
