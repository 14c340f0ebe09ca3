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
from sightline.models.memory import Level, MemoryReader, top_count
from sightline.models.place import Place
from sightline.models.recogniser import Recogniser
from sightline.runtime.session import OnnxSession
from sightline.train.enlarging import ENLARGE_TEXT, Grid, enlarging
from sightline.train.recogniser_graph import recogniser_constants, recogniser_outputs, recogniser_text
from sightline.train.trunk import OPSET

OUTPUTS = ("float[N] score", "float[N] p_value", "float[N, {h}, {w}] heatmap", "float[N, E] embedding")
MAP_TEXT = "    {L}_{i}_keys = Conv({map}, {L}_{i}_weights)\n"
POOL_TEXT = """    {L}_{i}_pooled = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>({L}_{i}_keys)
"""
LEVEL_TEXT = """
    {L}_e = Add({L}_sum, {L}_bias)
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
    {L}_map = Reshape({L}_far, {L}_shape)
    {L}_offset = Sub({L}_map, {L}_centre)
    {L}_scaled = Div({L}_offset, {L}_spread)
"""
PLACE_TEXT = """
    place_cut = Slice({L}_keys, start, place_size, last)
    place_rows = Reshape(place_cut, place_cells)
    place_whitened = MatMul(place_rows, place_whiten)
    place_offset = Sub(place_whitened, place_mean)
    place_squared = ReduceSumSquare<keepdims=0>(place_offset, place_values)
    place_distance = Sqrt(place_squared)
    place_far = Max(place_distance, place_floor)
    place_map = Reshape(place_far, {L}_shape)
    place_moved = Sub(place_map, place_centre)
    place_scaled = Div(place_moved, place_spread)
"""
SCORE_TEXT = """
    framed = Pad<mode="edge">(heat, frame)
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
    embedding = ReduceMean<keepdims=0>({embedding}, spatial)
"""
TOP_TEXT = """
    cut_{i} = Slice(ranked, start, count_{i}, last)
    top_{i} = ReduceMean<keepdims=1>(cut_{i}, last)
"""


def recipe_model(
    trunk: bytes,
    reader: MemoryReader,
    calibration: NDArray[np.float32],
    size: tuple[int, int],
    embedding: str,
    recogniser: Recogniser | None = None,
) -> ModelProto:
    """The whole graph for inputs (N, height, width, 3) uint8, without its card.

    `trunk` is the ONNX model of the trunk that the reader was fitted on, `embedding` the map whose mean describes the
    image; `calibration` (n,) float32 are the held-out scores of good parts. The banks and the calibration scores are
    initializers that are graph inputs, too, so that a station can override them without a new file.
    """
    network = onnx.load_from_string(trunk)
    grids = map_grids(trunk, size)
    readers = [level.names for level in reader.levels.values()] + ([] if recogniser is None else [recogniser.names])
    wanted = sorted({embedding}.union(*readers))
    answers = _reader_model(reader, grids, embedding, wanted, recogniser)
    model = compose.merge_models(
        network,
        answers,
        io_map=[(name, name) for name in wanted],
        outputs=[output.name for output in answers.graph.output],
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


def map_grids(trunk: bytes, size: tuple[int, int]) -> dict[str, Grid]:
    """Grid (h, w) of every map of a trunk for inputs (height, width)."""
    session = OnnxSession(trunk, threads=1, optimise=False, name="trunk")
    maps = session.run({"image": np.zeros((1, *size, 3), np.uint8)})
    return {name: (values.shape[2], values.shape[3]) for name, values in maps.items()}


def with_card(model: ModelProto, card: Card) -> bytes:
    """The model's bytes with the card in its metadata."""
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: card.model_dump_json()})
    return model.SerializeToString()


def _reader_model(
    reader: MemoryReader,
    grids: dict[str, Grid],
    embedding: str,
    wanted: list[str],
    recogniser: Recogniser | None = None,
) -> ModelProto:
    first, *others = reader.levels
    height, width = grids[reader.levels[first].names[0]]
    body = "".join(_level_text(name, level, grids) for name, level in reader.levels.items())
    heat = f"{first}_scaled"
    for name in others:
        body += _enlarged(f"{name}_scaled", f"{name}_large", grids[reader.levels[name].names[0]], (height, width))
        body += f"    heat_{name} = Add({heat}, {name}_large)\n"
        heat = f"heat_{name}"
    if reader.place is not None:
        body += PLACE_TEXT.format(L=first) + f"    heat_place = Add({heat}, place_scaled)\n"
        heat = "heat_place"
    body += f"    heat = Identity({heat})\n"
    fractions = range(len(reader.score.fractions))
    tops = "".join(TOP_TEXT.format(i=i) for i in fractions)
    names = ", ".join(f"top_{i}" for i in fractions)
    body += SCORE_TEXT.format(tops=tops, names=names, embedding=embedding)
    more = [] if recogniser is None else recogniser_outputs(recogniser, grids)
    body += "" if recogniser is None else recogniser_text(recogniser, grids)
    maps = ", ".join(f"float[N, C_{name}, H_{name}, W_{name}] {name}" for name in wanted)
    model = parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : {OPSET}]> reader ({maps}) => '
        f"({', '.join([*OUTPUTS, *more]).format(h=height, w=width)}) {{{body}}}"
    )
    constants = _constants(reader, grids, (height, width))
    constants |= {} if recogniser is None else recogniser_constants(recogniser, grids)
    for name, array in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    # Their values follow in recipe_model; being inputs as well makes them overridable.
    for name, level in reader.levels.items():
        shape = [f"entries_{name}", level.bank.shape[1]]
        model.graph.input.append(helper.make_tensor_value_info(f"bank_{name}", onnx.TensorProto.FLOAT, shape))
    model.graph.input.append(helper.make_tensor_value_info("calibration", onnx.TensorProto.FLOAT, ["held_out"]))
    return model


def _level_text(name: str, level: Level, grids: dict[str, Grid]) -> str:
    """Each of the level's maps projected, averaged, enlarged to the first one's grid and added; then the distances."""
    text, total = "", ""
    for i, source in enumerate(level.names):
        text += MAP_TEXT.format(L=name, i=i, map=source)
        ready = f"{name}_{i}_keys"
        if level.pooled:
            text += POOL_TEXT.format(L=name, i=i)
            ready = f"{name}_{i}_pooled"
        text += _enlarged(ready, f"{name}_{i}", grids[source], grids[level.names[0]])
        text += f"    {name}_sum_{i} = Add({total}, {name}_{i})\n" if total else ""
        total = f"{name}_sum_{i}" if total else f"{name}_{i}"
    return text + f"    {name}_sum = Identity({total})\n" + LEVEL_TEXT.format(L=name)


def _enlarged(x: str, to: str, grid: Grid, target: Grid) -> str:
    if grid == target:
        return f"    {to} = Identity({x})\n"
    return ENLARGE_TEXT.format(x=x, to=to)


def _constants(reader: MemoryReader, grids: dict[str, Grid], grid: Grid) -> dict[str, NDArray[np.generic]]:
    height, width = grid
    cells = height * width
    kernel = reader.kernel.cpu().numpy()
    radius = len(kernel) // 2
    counts = [top_count(fraction, cells) for fraction in reader.score.fractions]
    constants: dict[str, NDArray[np.generic]] = {
        "rows": np.array([-1, next(iter(reader.levels.values())).directions.shape[1] + 1]),
        "flat": np.array([-1, cells]),
        "last": np.array([1]),
        "channel": np.array([1]),
        "spatial": np.array([2, 3]),
        "start": np.array([0]),
        "most": np.array([max(counts)]),
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
        constants |= _level_constants(name, level, grids)
        constants[f"{name}_large_scale"] = enlarging(grids[level.names[0]], grid)
    return constants if reader.place is None else constants | _place_constants(reader.place)


def _place_constants(place: Place) -> dict[str, NDArray[np.generic]]:
    """|W (k - m)| as |k W' - W m|: rows (1, d) times (d, d) at every place, and one difference."""
    whiten, mean = place.whiten.cpu().numpy(), place.mean.cpu().numpy()
    places, size = mean.shape
    return {
        "place_size": np.array([size]),
        "place_cells": np.array([-1, places, 1, size]),
        "place_values": np.array([2, 3]),
        "place_whiten": np.ascontiguousarray(whiten.transpose(0, 2, 1)),
        "place_mean": (whiten @ mean[..., None])[..., 0][:, None],
        "place_floor": place.floor.cpu().numpy(),
        "place_centre": place.centre.cpu().numpy(),
        "place_spread": place.spread.cpu().numpy() / np.float32(place.weight),
    }


def _level_constants(name: str, level: Level, grids: dict[str, Grid]) -> dict[str, NDArray[np.generic]]:
    """The PCA as 1x1 convolutions: it is linear, so it may be applied before the maps are averaged and joined.

    Keys have one more value, always 1 (from the bias), that meets the entries' -|b|^2 / 2 in the product: no pass
    over the (patches x entries) matrix for a bias.
    """
    directions, mean = level.directions.cpu().numpy(), level.mean.cpu().numpy()
    weights = np.vstack([directions.T, np.zeros((1, len(directions)), np.float32)])[:, :, None, None]
    parts = np.split(weights, np.cumsum(level.channels)[:-1], axis=1)
    grid = grids[level.names[0]]
    centre = level.centre.cpu().numpy()
    constants: dict[str, NDArray[np.generic]] = {
        f"{name}_bias": np.append(-(mean @ directions), np.float32(1))[None, :, None, None],
        f"{name}_shape": np.array([-1, 1, *grid]),
        f"{name}_floor": level.floor.cpu().numpy(),
        f"{name}_centre": centre[None, None] if centre.ndim else centre,
        f"{name}_spread": level.spread.cpu().numpy() / np.float32(level.weight),
    }
    for i, (source, part) in enumerate(zip(level.names, parts, strict=True)):
        constants |= {f"{name}_{i}_weights": part.copy(), f"{name}_{i}_scale": enlarging(grids[source], grid)}
    return constants
