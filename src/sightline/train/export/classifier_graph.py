"""The classifier of known defects in the recipe's graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.models.classifier import CLEAR, EPS, EVIDENT, HOTTEST, Classifier, Standardised
from sightline.models.detector import BoxHead
from sightline.models.memory_bank import top_count
from sightline.train.export.enlarging import ENLARGE_TEXT, Arrays, Grid, enlarging

# The classifier, written out as ONNX text: standardising is folded into the convolutions and matrices after it.

LATERAL_TEXT = "    {p}_{i}_lateral = Conv({map}, {p}_{i}_weights, {p}_{i}_bias)\n"
JOIN_TEXT = """    {p}_{i}_both = Add({p}_{i}_up, {p}_{i}_lateral)
    {p}_{i}_mixed = Relu({p}_{i}_both)
"""
MOMENTS_TEXT = """    known_{i}_mean = ReduceMean<keepdims=0>({map}, known_grid)
    known_{i}_squares = ReduceSumSquare<keepdims=0>({map}, known_grid)
    known_{i}_power = Mul(known_{i}_squares, known_{i}_share)
    known_{i}_mean_squared = Mul(known_{i}_mean, known_{i}_mean)
    known_{i}_variance = Sub(known_{i}_power, known_{i}_mean_squared)
    known_{i}_positive = Max(known_{i}_variance, known_eps)
    known_{i}_spread = Sqrt(known_{i}_positive)
"""
HEAD_TEXT = """    known_around = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>({mixed}, known_mix_weights, known_mix_bias)
    known_sum = Add({mixed}, known_around)
    known_hidden = Relu(known_sum)
    known_places = Conv(known_hidden, known_classes_weights, known_classes_bias)
    known_shares = Softmax<axis=1>(known_places)
    defect_map = Slice(known_shares, known_one, known_end, known_one)
    known_cells = Reshape(known_places, known_flat)
    known_ranked, known_ranks = TopK<axis=2, largest=1, sorted=1>(known_cells, known_most)
{tops}
    known_hottest = Concat<axis=1>({names})
    known_pooled = Concat<axis=1>({moments})
    known_whole = Gemm(known_pooled, known_whole_weights, known_whole_bias)
    known_top = MatMul(known_hottest, known_hottest_weights)
{lda}
    known_said = Slice(known_types, known_one, known_end, known_one)
"""
NO_LDA_TEXT = """    known_types = Add(known_whole, known_top)
"""
DIRECTION_TEXT = """    known_{i}_direction = Conv({map}, known_{i}_evidence)
"""
LDA_TEXT = """    known_evidence = Sum({levels})
    known_spots = Reshape(known_evidence, known_spots_flat)
    known_spots_ranked, known_spots_ranks = TopK<axis=2, largest=1, sorted=1>(known_spots, known_spots_most)
{tops}
    known_spots_hottest = Concat<axis=1>({names})
    known_spots_above = Sub(known_spots_hottest, known_spots_usual)
    known_spots_spreads = Div(known_spots_above, known_spots_spread)
    known_evident = Asinh(known_spots_spreads)
    known_spoken = Gemm(known_evident, known_trust, known_quiet)
    known_learned = Add(known_whole, known_top)
    known_types = Add(known_learned, known_spoken)
"""
SPOT_TEXT = """    known_spots_cut_{i} = Slice(known_spots_ranked, known_zero, known_spots_count_{i}, known_two)
    known_spots_top_{i} = ReduceMean<keepdims=0>(known_spots_cut_{i}, known_two)
"""
TOP_TEXT = """    known_cut_{i} = Slice(known_ranked, known_zero, known_count_{i}, known_two)
    known_top_{i} = ReduceMean<keepdims=0>(known_cut_{i}, known_two)
"""
AGAINST_GOOD_TEXT = """    known_good = Slice(known_types, known_zero, known_one, known_one)
    known_against = Sub(known_said, known_good)
    type_logits = Div(known_against, known_temperature)
"""
ALONE_TEXT = """    type_logits = Div(known_said, known_temperature)
"""
LINEAR_TEXT = """    known_quality = Gemm(known_pooled, known_quality_weights, known_quality_bias)
"""
KERNEL_ORDINAL_TEXT = """    known_level = Sub(known_pooled, known_pooled_mean)
    known_scaled = Div(known_level, known_pooled_spread)
    known_products = Gemm<transB=1>(known_scaled, known_centres, known_centre_halves)
    known_squares = ReduceSumSquare<keepdims=1>(known_scaled, known_one)
    known_half_squares = Mul(known_squares, known_half)
    known_near = Sub(known_products, known_half_squares)
    known_exponents = Mul(known_near, known_narrowness)
    known_bounded = Min(known_exponents, known_nought)
    known_alike = Exp(known_bounded)
    known_quality = MatMul(known_alike, known_likeness_weights)
"""
GRADE_TEXT = """    known_margins = Sub(known_quality, known_thresholds)
    known_above = Sigmoid(known_margins)
    grade = ReduceSum<keepdims=0>(known_above, known_one)
"""


def top_down_text(prefix: str, names: Sequence[str]) -> tuple[str, str]:
    """The operators of `models.classifier.top_down` on maps of these names, and the name of the value they end in."""
    text, mixed = "", ""
    for i, name in reversed(list(enumerate(names))):
        text += LATERAL_TEXT.format(p=prefix, i=i, map=name)
        if mixed:
            text += ENLARGE_TEXT.format(x=mixed, to=f"{prefix}_{i}_up") + JOIN_TEXT.format(p=prefix, i=i)
        mixed = f"{prefix}_{i}_mixed" if mixed else f"{prefix}_{i}_lateral"
    return text, mixed


def top_down_constants(prefix: str, net: Classifier | BoxHead, grids: dict[str, Grid]) -> Arrays:
    """The numbers of `top_down_text`: standardising is folded into the convolutions."""
    arrays: Arrays = {}
    for i, (name, standard, lateral) in enumerate(zip(net.names, net.standards, net.lateral, strict=True)):
        assert isinstance(lateral, nn.Conv2d)
        weights, bias = folded(standard, lateral.weight[:, :, 0, 0], lateral.bias)
        arrays |= {f"{prefix}_{i}_weights": weights[:, :, None, None].copy(), f"{prefix}_{i}_bias": bias}
        if i + 1 < len(net.names):
            arrays[f"{prefix}_{i}_up_scale"] = enlarging(grids[net.names[i + 1]], grids[name])
    return arrays


def classifier_text(net: Classifier, grids: dict[str, Grid]) -> str:
    """The operators from the backbone's maps to `type_logits`, `defect_map` and, with grades, `grade`."""
    text, mixed = top_down_text("known", net.names)
    for i, name in enumerate(net.names):
        text += MOMENTS_TEXT.format(i=i, map=name)
    shares = range(len(HOTTEST))
    moments = ", ".join(f"known_{i}_mean, known_{i}_spread" for i in range(len(net.names)))
    tops, names = "".join(TOP_TEXT.format(i=i) for i in shares), ", ".join(f"known_top_{i}" for i in shares)
    text += HEAD_TEXT.format(mixed=mixed, tops=tops, names=names, moments=moments, lda=_lda_text(net, grids))
    text += AGAINST_GOOD_TEXT if net.exclusive else ALONE_TEXT
    if net.quality is None:
        return text
    return text + (LINEAR_TEXT if net.kernel_ordinal is None else KERNEL_ORDINAL_TEXT) + GRADE_TEXT


def _lda_text(net: Classifier, grids: dict[str, Grid]) -> str:
    """Each map's share of the evidence, brought to one grid and added; then its hottest cells."""
    if not len(net.lda):
        return NO_LDA_TEXT
    text, levels = "", []
    for i, name in enumerate(net.names):
        text += DIRECTION_TEXT.format(i=i, map=name)
        levels.append(f"known_{i}_direction")
        if grids[name] != grids[net.base]:
            text += ENLARGE_TEXT.format(x=levels[-1], to=f"known_{i}_spots")
            levels[-1] = f"known_{i}_spots"
    shares = range(len(EVIDENT))
    tops, names = "".join(SPOT_TEXT.format(i=i) for i in shares), ", ".join(f"known_spots_top_{i}" for i in shares)
    return text + LDA_TEXT.format(levels=", ".join(levels), tops=tops, names=names)


def classifier_outputs(net: Classifier, grids: dict[str, Grid]) -> list[str]:
    """What the graph says more, as ONNX declares it."""
    height, width = grids[net.names[0]]
    types = net.classes.out_channels - 1
    outputs = [f"float[N, {types}] type_logits", f"float[N, {types}, {height}, {width}] defect_map"]
    return outputs + (["float[N] grade"] if net.quality is not None else [])


def classifier_constants(net: Classifier, grids: dict[str, Grid]) -> Arrays:
    """The numbers of `classifier_text`."""
    classes = net.classes.out_channels
    height, width = grids[net.names[0]]
    counts = [top_count(share, height * width) for share in HOTTEST]
    whole, whole_bias = folded(net.pooled, net.whole.weight, net.whole.bias)
    constants: Arrays = {
        "known_grid": np.array([2, 3]),
        "known_eps": np.array(EPS, np.float32),
        "known_zero": np.array([0]),
        "known_one": np.array([1]),
        "known_two": np.array([2]),
        "known_end": np.array([classes]),
        "known_flat": np.array([-1, classes, height * width]),
        "known_most": np.array([max(counts)]),
        "known_mix_weights": array_of(net.mix.weight),
        "known_mix_bias": array_of(_given(net.mix)),
        "known_classes_weights": array_of(net.classes.weight),
        "known_classes_bias": array_of(_given(net.classes)),
        "known_whole_weights": whole.T.copy(),
        "known_whole_bias": whole_bias,
        "known_hottest_weights": array_of(net.hottest.weight).T.copy(),
        "known_temperature": array_of(net.temperature),
    }
    constants |= {f"known_count_{i}": np.array([count]) for i, count in enumerate(counts)}
    constants |= {f"known_{i}_share": np.array(1 / np.prod(grids[n]), np.float32) for i, n in enumerate(net.names)}
    constants |= top_down_constants("known", net, grids)
    constants |= _lda_constants(net, grids) if len(net.lda) else {}
    return constants | (_grade(net) if net.quality is not None else {})


def _grade(net: Classifier) -> Arrays:
    assert net.quality is not None
    arrays: Arrays = {"known_thresholds": array_of(net.thresholds)}
    if net.kernel_ordinal is None:
        weights, bias = folded(net.pooled, net.quality.weight, None)
        return arrays | {"known_quality_weights": weights.T.copy(), "known_quality_bias": bias}
    return arrays | {
        "known_pooled_mean": array_of(net.pooled.mean),
        "known_pooled_spread": array_of(net.pooled.scale),
        "known_centres": array_of(net.kernel_ordinal.centres),
        "known_centre_halves": array_of(-0.5 * net.kernel_ordinal.centres.square().sum(1)),
        "known_half": np.array(0.5, np.float32),
        "known_nought": np.array(0, np.float32),
        "known_narrowness": array_of(2 * net.kernel_ordinal.narrowness),
        "known_likeness_weights": array_of(net.kernel_ordinal.weights)[:, None].copy(),
    }


def _lda_constants(net: Classifier, grids: dict[str, Grid]) -> Arrays:
    """Directions that take maps as they are; the evidence of good parts, and how far each share is trusted."""
    height, width = grids[net.base]
    counts = [top_count(share, height * width) for share in EVIDENT]
    types = net.classes.out_channels - 1
    arrays: Arrays = {
        "known_spots_flat": np.array([-1, types, height * width]),
        "known_spots_most": np.array([max(counts)]),
    }
    arrays |= {f"known_spots_count_{i}": np.array([count]) for i, count in enumerate(counts)}
    offset = np.zeros(types, np.float32)
    for i, (name, standard, direction) in enumerate(zip(net.names, net.standards, net.lda, strict=True)):
        assert isinstance(direction, nn.Conv2d)
        weights, bias = folded(standard, direction.weight[:, :, 0, 0], None)
        arrays[f"known_{i}_evidence"], offset = weights[:, :, None, None].copy(), offset + bias
        if grids[name] != grids[net.base]:
            arrays[f"known_{i}_spots_scale"] = enlarging(grids[name], grids[net.base])
    trust = array_of(net.trust)
    arrays["known_spots_usual"] = array_of(net.default) - np.tile(offset, len(trust))
    arrays["known_spots_spread"] = array_of(net.scale)
    arrays["known_trust"] = np.pad(np.kron(trust[:, None], np.eye(types, dtype=np.float32)), ((0, 0), (1, 0)))
    arrays["known_quiet"] = np.append(np.float32(0), np.full(types, -CLEAR * trust.sum(), np.float32))
    return arrays


def folded(
    standard: Standardised, weight: Tensor, bias: Tensor | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (out, in) and bias (out,) that take values as they are instead of standardised ones."""
    weights = array_of(weight / standard.scale)
    offset = -weights @ array_of(standard.mean)
    return weights, offset if bias is None else offset + array_of(bias)


def _given(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def array_of(values: Tensor) -> NDArray[np.float32]:
    return np.asarray(values.detach().cpu().numpy(), np.float32)
