"""The recipe's graph, written out: trunk + memory reader + calibration as one ONNX model.

The reader is spelled here a second time, in ONNX's own text form, instead of being traced from
`sightline.models.memory`: the file then holds exactly these operators, is written in milliseconds, and the
parity gate compares two independent statements of the same computation.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, compose, helper, numpy_helper, parser

from sightline.core.card import METADATA_KEY, Card
from sightline.models.memory import LEVELS, Level, MemoryReader, top_count
from sightline.train.trunk import OPSET, trunk_onnx

LEVEL_TEXT = """
    {L}_a = Conv(stride_{first}, {L}_first)
    {L}_b = Conv(stride_{second}, {L}_second)
    {L}_pooled_a = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>({L}_a)
    {L}_pooled_b = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>({L}_b)
    {L}_c = Resize<mode="linear", coordinate_transformation_mode="half_pixel">({L}_pooled_b, , double)
    {L}_d = Add({L}_pooled_a, {L}_c)
    {L}_e = Add({L}_d, {L}_bias)
    {L}_f = Transpose<perm=[0,2,3,1]>({L}_e)
    {L}_keys = Reshape({L}_f, rows)
    {L}_norms = ReduceSumSquare<keepdims=0>(bank_{L}, last)
    {L}_halves = Mul({L}_norms, minus_half)
    {L}_column = Unsqueeze({L}_halves, last)
    {L}_entries = Concat<axis=1>(bank_{L}, {L}_column)
    {L}_similarity = Gemm<transB=1>({L}_keys, {L}_entries)
    {L}_best = ReduceMax<keepdims=0>({L}_similarity, last)
    {L}_lengths = ReduceSumSquare<keepdims=0>({L}_keys, last)
    {L}_twice = Add({L}_best, {L}_best)
    {L}_above = Sub({L}_lengths, {L}_twice)
    {L}_squared = Sub({L}_above, one)
    {L}_floored = Max({L}_squared, zero)
    {L}_distance = Sqrt({L}_floored)
    {L}_far = Max({L}_distance, {L}_floor)
    {L}_offset = Sub({L}_far, {L}_centre)
    {L}_scaled = Div({L}_offset, {L}_spread)
    {L}_map = Reshape({L}_scaled, {L}_shape)
"""
FUSE_TEXT = """
    coarse_large = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(coarse_map, , double)
    fused = Add(fine_map, coarse_large)
    framed = Pad<mode="edge">(fused, frame)
    blurred = Conv(framed, kernel_row)
    smooth = Conv(blurred, kernel_column)
    heatmap = Squeeze(smooth, channel)
    cells = Reshape(smooth, flat)
    ranked, ranks = TopK<axis=1, largest=1, sorted=1>(cells, most)
    {tops}
    top_means = Concat<axis=1>({names})
    top_offsets = Sub(top_means, score_centres)
    top_scaled = Div(top_offsets, score_spreads)
    score = ReduceMean<keepdims=0>(top_scaled, last)
    column = Unsqueeze(score, last)
    reached = GreaterOrEqual(calibration, column)
    counted = Cast<to=1>(reached)
    higher = ReduceSum<keepdims=0>(counted, last)
    higher_and_self = Add(higher, one)
    held_out = Size(calibration)
    held_out_float = Cast<to=1>(held_out)
    all_and_self = Add(held_out_float, one)
    p_value = Div(higher_and_self, all_and_self)
    embedding = ReduceMean<keepdims=0>(stride_32, spatial)
"""
TOP_TEXT = """
    cut_{i} = Slice(ranked, start, count_{i}, last)
    top_{i} = ReduceMean<keepdims=1>(cut_{i}, last)
"""


def recipe_model(
    backbone: str, reader: MemoryReader, calibration: NDArray[np.float32], size: tuple[int, int]
) -> ModelProto:
    """The whole graph for inputs (N, height, width, 3) uint8, without its card.

    `calibration` (n,) float32 are the held-out scores of good parts. The banks and the calibration scores
    are initializers that are graph inputs, too, so that a station can override them without a new file.
    """
    trunk = onnx.load_from_string(trunk_onnx(backbone))
    outputs = ["score", "p_value", "heatmap", "embedding"]
    model = compose.merge_models(
        trunk,
        _reader_model(reader, size),
        io_map=[(name, name) for name in ("stride_8", "stride_16", "stride_32")],
        outputs=outputs,
    )
    graph = model.graph
    del graph.value_info[:]  # the trunk's symbolic sizes; this graph has fixed ones
    del model.opset_import[1:]  # merging names the one operator set twice
    for axis, length in enumerate((None, *size, 3)):
        if length is not None:
            graph.input[0].type.tensor_type.shape.dim[axis].dim_value = length
    for name, level in reader.levels.items():
        graph.initializer.append(numpy_helper.from_array(level.bank.cpu().numpy(), f"bank_{name}"))
    graph.initializer.append(numpy_helper.from_array(calibration, "calibration"))
    model.producer_name = "sightline"
    onnx.checker.check_model(model)
    return model


def with_card(model: ModelProto, card: Card) -> bytes:
    """The model's bytes with the card in its metadata."""
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: card.model_dump_json()})
    return model.SerializeToString()


def _reader_model(reader: MemoryReader, size: tuple[int, int]) -> ModelProto:
    height, width = size[0] // 8, size[1] // 8
    body = "".join(LEVEL_TEXT.format(L=name, first=a, second=b) for name, (a, b) in LEVELS.items())
    fractions = range(len(reader.score.fractions))
    tops = "".join(TOP_TEXT.format(i=i) for i in fractions)
    body += FUSE_TEXT.format(tops=tops, names=", ".join(f"top_{i}" for i in fractions))
    maps = ", ".join(f"float[N, C{s}, H{s}, W{s}] stride_{s}" for s in (8, 16, 32))
    model = parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : {OPSET}]> reader ({maps}) => '
        f"(float[N] score, float[N] p_value, float[N, {height}, {width}] heatmap, float[N, E] embedding) {{{body}}}"
    )
    for name, array in _constants(reader, height, width).items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    # Their values follow in recipe_model; being inputs as well makes them overridable.
    for name, level in reader.levels.items():
        shape = [f"entries_{name}", level.bank.shape[1]]
        model.graph.input.append(helper.make_tensor_value_info(f"bank_{name}", onnx.TensorProto.FLOAT, shape))
    model.graph.input.append(helper.make_tensor_value_info("calibration", onnx.TensorProto.FLOAT, ["held_out"]))
    return model


def _constants(reader: MemoryReader, height: int, width: int) -> dict[str, NDArray[np.generic]]:
    cells = height * width
    kernel = reader.kernel.cpu().numpy()
    radius = len(kernel) // 2
    counts = [top_count(fraction, cells) for fraction in reader.score.fractions]
    constants: dict[str, NDArray[np.generic]] = {
        "rows": np.array([-1, reader.levels["fine"].directions.shape[1] + 1]),
        "flat": np.array([-1, cells]),
        "fine_shape": np.array([-1, 1, height, width]),
        "coarse_shape": np.array([-1, 1, height // 2, width // 2]),
        "last": np.array([1]),
        "channel": np.array([1]),
        "spatial": np.array([2, 3]),
        "start": np.array([0]),
        "most": np.array([max(counts)]),
        "double": np.array([1, 1, 2, 2], np.float32),
        "frame": np.array([0, 0, radius, radius] * 2),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "minus_half": np.array(-0.5, np.float32),
        "kernel_row": kernel.reshape(1, 1, 1, -1),
        "kernel_column": kernel.reshape(1, 1, -1, 1),
        "score_centres": reader.score.centres.cpu().numpy(),
        "score_spreads": reader.score.spreads.cpu().numpy(),
    }
    constants |= {f"count_{i}": np.array([count]) for i, count in enumerate(counts)}
    for name, level in reader.levels.items():
        constants |= _level_constants(name, level)
    return constants


def _level_constants(name: str, level: Level) -> dict[str, NDArray[np.generic]]:
    """The PCA as 1x1 convolutions: it is linear, so it may be applied before the maps are averaged and joined.

    Keys have one more value, always 1 (from the bias), that meets the entries' -|b|^2 / 2 in the product: no pass
    over the (patches x entries) matrix for a bias.
    """
    directions, mean = level.directions.cpu().numpy(), level.mean.cpu().numpy()
    weights = np.vstack([directions.T, np.zeros((1, len(directions)), np.float32)])[:, :, None, None]
    return {
        f"{name}_first": weights[:, : level.first].copy(),
        f"{name}_second": weights[:, level.first :].copy(),
        f"{name}_bias": np.append(-(mean @ directions), np.float32(1))[None, :, None, None],
        f"{name}_floor": level.floor.cpu().numpy(),
        f"{name}_centre": level.centre.cpu().numpy(),
        f"{name}_spread": level.spread.cpu().numpy(),
    }
