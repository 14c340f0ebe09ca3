"""The recipe's graph, written out: backbone + memory bank + calibration as one ONNX model.

The anomaly head is spelled here a second time, in ONNX's own text form, instead of being traced from
`sightline.models.memory_bank`: the file then holds exactly these operators, is written in milliseconds, and the
parity gate compares two independent statements of the same computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, compose, helper, numpy_helper, parser

from sightline.core.card import EXPLANATION_KEY, METADATA_KEY, Card, ExplanationData
from sightline.core.errors import RecipeError
from sightline.models.anomaly import Discriminator, OutOfDistribution
from sightline.models.arrays import to_numpy
from sightline.models.memory_bank import AnomalyHead, Level, top_count
from sightline.runtime.session import OnnxSession
from sightline.train.anomaly.discriminator import DISCRIMINATOR_TEXT, discriminator_constants
from sightline.train.anomaly.out_of_distribution import out_of_distribution_constants, out_of_distribution_text
from sightline.train.backbone.lite_graph import OPSET
from sightline.train.export.enlarging import ENLARGE_TEXT, Grid, Head, enlarging

if TYPE_CHECKING:
    from sightline.models.classifier import Classifier
    from sightline.models.detector import BoxHead

OUTPUTS = (
    "float[N] score",
    "float[N] p_value",
    "float[N, {h}, {w}] heatmap",
    "float[N, E] embedding",
    "float[N, D] ood",
)
MAP_TEXT = "    {L}_{i}_keys = Conv({map}, {L}_{i}_weights)\n"
POOL_TEXT = """    {L}_{i}_pooled = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>({L}_{i}_keys)
"""
LEVEL_TEXT = """
    {L}_f = Transpose<perm=[0,2,3,1]>({keys})
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
    backbone: bytes,
    head: AnomalyHead,
    calibration: NDArray[np.float32],
    size: tuple[int, int],
    embedding: str,
    classifier: Classifier | None = None,
    boxes: BoxHead | None = None,
) -> ModelProto:
    """The whole graph for inputs (N, height, width, 3) uint8, without its card.

    `backbone` is the ONNX model of the backbone that the head was fitted on, `embedding` the map whose mean
    describes the image; `calibration` (n,) float32 are the held-out scores of good parts. The banks and the
    calibration scores are initializers that are graph inputs, too, so that a station can override them without a new
    file.
    """
    network = onnx.load_from_string(backbone)
    grids = map_grids(backbone, size)
    read = [level.names for level in head.levels.values()] + [x.names for x in (classifier, boxes) if x is not None]
    if head.ood is None:
        raise RecipeError("the recipe lacks the test for pictures that do not show the product. Train it again")
    wanted = sorted({embedding, *head.ood.names}.union(*read))
    answers = _anomaly_head_model(head, grids, embedding, wanted, _known(grids, classifier, boxes), head.ood)
    model = compose.merge_models(
        network,
        answers,
        io_map=[(name, name) for name in wanted],
        outputs=[output.name for output in answers.graph.output],
    )
    graph = model.graph
    del graph.value_info[:]  # the backbone's symbolic sizes; this graph has fixed ones
    del model.opset_import[1:]  # merging names the one operator set twice
    for axis, length in enumerate((None, *size, 3)):
        if length is not None:
            graph.input[0].type.tensor_type.shape.dim[axis].dim_value = length
    for name, level in head.levels.items():
        graph.initializer.append(numpy_helper.from_array(to_numpy(level.bank), f"bank_{name}"))
    graph.initializer.append(numpy_helper.from_array(calibration, "calibration"))
    model.producer_name = "sightline"
    onnx.checker.check_model(model)
    return model


def _known(grids: dict[str, Grid], classifier: Classifier | None, boxes: BoxHead | None) -> list[Head]:
    if classifier is None and boxes is None:
        return []
    from sightline.train.export.detector_graph import heads  # they were learned in torch; the rest needs none

    return heads(grids, classifier, boxes)


def map_grids(backbone: bytes, size: tuple[int, int]) -> dict[str, Grid]:
    """Grid (h, w) of every map of a backbone for inputs (height, width)."""
    session = OnnxSession(backbone, threads=1, optimise=False, name="backbone")
    maps = session.run({"image": np.zeros((1, *size, 3), np.uint8)})
    return {name: (values.shape[2], values.shape[3]) for name, values in maps.items()}


def with_card(model: ModelProto, card: Card, explanation: ExplanationData | None = None) -> bytes:
    """The model's bytes with the card in its metadata, and `explanation`, if given, else that which the model has."""
    kept = {prop.key: prop.value for prop in model.metadata_props if prop.key == EXPLANATION_KEY}
    if explanation is not None:
        kept[EXPLANATION_KEY] = explanation.model_dump_json()
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: card.model_dump_json(), **kept})
    return model.SerializeToString()


def _anomaly_head_model(
    head: AnomalyHead,
    grids: dict[str, Grid],
    embedding: str,
    wanted: list[str],
    added: Sequence[Head],
    ood: OutOfDistribution,
) -> ModelProto:
    height, width = grids[next(iter(head.levels.values())).names[0]]
    body = _heat_text(head, grids, (height, width))
    fractions = range(len(head.score.fractions))
    tops = "".join(TOP_TEXT.format(i=i) for i in fractions)
    names = ", ".join(f"top_{i}" for i in fractions)
    body += SCORE_TEXT.format(tops=tops, names=names, embedding=embedding)
    body += out_of_distribution_text(ood.names)
    more = [output for head in added for output in head.outputs]
    body += "".join(head.text for head in added)
    maps = ", ".join(f"float[N, C_{name}, H_{name}, W_{name}] {name}" for name in wanted)
    model = parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : {OPSET}]> reader ({maps}) => '
        f"({', '.join([*OUTPUTS, *more]).format(h=height, w=width)}) {{{body}}}"
    )
    own = _constants(head, grids, (height, width)) | out_of_distribution_constants(ood)
    constants = [own, *(head.constants for head in added)]
    for name, array in (pair for numbers in constants for pair in numbers.items()):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    # Their values follow in recipe_model; being inputs as well makes them overridable.
    for name, level in head.levels.items():
        shape = [f"entries_{name}", level.bank.shape[1]]
        model.graph.input.append(helper.make_tensor_value_info(f"bank_{name}", onnx.TensorProto.FLOAT, shape))
    model.graph.input.append(helper.make_tensor_value_info("calibration", onnx.TensorProto.FLOAT, ["held_out"]))
    return model


def _heat_text(head: AnomalyHead, grids: dict[str, Grid], grid: Grid) -> str:
    """Every term's standardised distances on the first level's grid, and their sum, the heat."""
    first, *others = head.levels
    text = _level_text(first, head.levels[first], grids, head.discriminator)
    terms = [f"{first}_scaled"]
    for name in others:
        text += _level_text(name, head.levels[name], grids)
        text += _enlarged(f"{name}_scaled", f"{name}_large", grids[head.levels[name].names[0]], grid)
        terms.append(f"{name}_large")
    if head.discriminator is not None:
        terms.append("taught_scaled")
    return text + f"    heat = Sum({', '.join(terms)})\n"


def _level_text(name: str, level: Level, grids: dict[str, Grid], taught: Discriminator | None = None) -> str:
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
    text += f"    {name}_sized = Add({total}, {name}_bias)\n"
    if taught is None:
        return text + LEVEL_TEXT.format(L=name, keys=f"{name}_sized")
    return text + DISCRIMINATOR_TEXT.format(L=name) + LEVEL_TEXT.format(L=name, keys=f"{name}_own")


def _enlarged(x: str, to: str, grid: Grid, target: Grid) -> str:
    if grid == target:
        return f"    {to} = Identity({x})\n"
    return ENLARGE_TEXT.format(x=x, to=to)


def _constants(head: AnomalyHead, grids: dict[str, Grid], grid: Grid) -> dict[str, NDArray[np.generic]]:
    height, width = grid
    cells = height * width
    kernel = head.kernel
    radius = len(kernel) // 2
    counts = [top_count(fraction, cells) for fraction in head.score.fractions]
    constants: dict[str, NDArray[np.generic]] = {
        "rows": np.array([-1, next(iter(head.levels.values())).directions.shape[1] + 1]),
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
        "score_centres": to_numpy(head.score.centres),
        # Tensors of a recipe keep the name `spread` for a scale: an older line would not open a recipe with another.
        "score_spreads": to_numpy(head.score.scales),
    }
    constants |= {f"count_{i}": np.array([count]) for i, count in enumerate(counts)}
    taught = head.discriminator
    for name, level in head.levels.items():
        constants |= _level_constants(name, level, grids, taught)
        constants[f"{name}_large_scale"] = enlarging(grids[level.names[0]], grid)
        taught = None  # it reads the first level's features only
    if head.discriminator is not None:
        constants |= discriminator_constants(head.discriminator, int(constants["rows"][1]))
    return constants


def _level_constants(
    name: str, level: Level, grids: dict[str, Grid], taught: Discriminator | None
) -> dict[str, NDArray[np.generic]]:
    """The PCA as 1x1 convolutions: it is linear, so it may be applied before the maps are averaged and joined.

    Keys have one more value, always 1 (from the bias), that meets the entries' -|b|^2 / 2 in the product: no pass
    over the (patches x entries) matrix for a bias.
    """
    directions, mean = to_numpy(level.directions), to_numpy(level.mean)
    weights = np.vstack([directions.T, np.zeros((1, len(directions)), np.float32)])
    bias = np.append(-(mean @ directions), np.float32(1))
    if taught is not None:
        weights = np.vstack([weights, to_numpy(taught.weights)])
        bias = np.append(bias, to_numpy(taught.bias))
    parts = np.split(weights[:, :, None, None], np.cumsum(level.channels)[:-1], axis=1)
    grid = grids[level.names[0]]
    constants: dict[str, NDArray[np.generic]] = {
        f"{name}_bias": bias[None, :, None, None],
        f"{name}_shape": np.array([-1, 1, *grid]),
        f"{name}_floor": np.array(level.floor, np.float32),
        f"{name}_centre": np.array(level.centre, np.float32),
        f"{name}_spread": np.array(level.scale / level.weight, np.float32),
    }
    for i, (source, part) in enumerate(zip(level.names, parts, strict=True)):
        constants |= {f"{name}_{i}_weights": part.copy(), f"{name}_{i}_scale": enlarging(grids[source], grid)}
    return constants
