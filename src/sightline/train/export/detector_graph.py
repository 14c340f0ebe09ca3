"""The box head, written out as ONNX text: standardising is folded into the first convolutions."""

from __future__ import annotations

import numpy as np
from torch import nn

from sightline.models.classifier import Classifier
from sightline.models.detector import EPS, GROUPS, LONGEST, BoxHead, Tower
from sightline.train.export.classifier_graph import (
    array_of,
    classifier_constants,
    classifier_outputs,
    classifier_text,
    top_down_constants,
    top_down_text,
)
from sightline.train.export.enlarging import Arrays, Grid, Head

TOWER_TEXT = """    box_{t}_mixed = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>({x}, box_{t}_weights, box_{t}_bias)
    box_{t}_grouped = Reshape(box_{t}_mixed, box_groups)
    box_{t}_even = InstanceNormalization<epsilon={eps}>(box_{t}_grouped, box_ones, box_zeros)
    box_{t}_back = Reshape(box_{t}_even, box_grid)
    box_{t}_scaled = Mul(box_{t}_back, box_{t}_scale)
    box_{t}_moved = Add(box_{t}_scaled, box_{t}_offset)
    box_{t} = Relu(box_{t}_moved)
"""
ANSWER_TEXT = """    box_types = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(box_naming, box_types_weights, box_types_bias)
    box_sides = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(box_measuring, box_sides_weights, box_sides_bias)
    box_shares = Sigmoid(box_types)
    box_fit = Slice(box_sides, box_four, box_five, box_axis)
    box_fits = Sigmoid(box_fit)
    box_product = Mul(box_shares, box_fits)
    box_root = Sqrt(box_product)
    box_scores = Reshape(box_root, box_flat)
    box_raw = Slice(box_sides, box_none, box_four, box_axis)
    box_bounded = Min(box_raw, box_longest)
    box_grown = Exp(box_bounded)
    box_signed = Mul(box_grown, box_units)
    box_placed = Add(box_signed, box_centres)
    boxes = Reshape(box_placed, box_flat)
"""
TOWERS = ("body", "naming", "measuring")


def box_text(net: BoxHead) -> str:
    """The operators from the backbone's maps to `box_scores` and `boxes`."""
    text, mixed = top_down_text("box", net.names)
    for tower in TOWERS:
        text += TOWER_TEXT.format(t=tower, x=mixed if tower == "body" else "box_body", eps=EPS)
    return text + ANSWER_TEXT


def box_outputs(net: BoxHead, grids: dict[str, Grid]) -> list[str]:
    """What the graph says more, as ONNX declares it."""
    high, wide = grids[net.names[0]]
    return [f"float[N, {net.types.out_channels}, {high * wide}] box_scores", f"float[N, 4, {high * wide}] boxes"]


def box_constants(net: BoxHead, grids: dict[str, Grid]) -> Arrays:
    """The numbers of `box_text`."""
    high, wide = grids[net.names[0]]
    width = net.sides.in_channels
    unit = 2.0 * net.stride_px
    centres = np.tile(net.centres(high, wide).numpy().reshape(2, high, wide), (2, 1, 1))[None]
    constants: Arrays = {
        "box_groups": np.array([0, GROUPS, -1]),
        "box_grid": np.array([0, width, high, wide]),
        "box_flat": np.array([0, 0, high * wide]),
        "box_ones": np.ones(GROUPS, np.float32),
        "box_zeros": np.zeros(GROUPS, np.float32),
        "box_none": np.array([0]),
        "box_four": np.array([4]),
        "box_five": np.array([5]),
        "box_axis": np.array([1]),
        "box_longest": np.array(LONGEST, np.float32),
        "box_units": np.array([-unit, -unit, unit, unit], np.float32).reshape(1, 4, 1, 1),
        "box_centres": centres.astype(np.float32),
        **_convolution("types", net.types),
        **_convolution("sides", net.sides),
    }
    for name in TOWERS:
        tower = getattr(net, name)
        assert isinstance(tower, Tower)
        constants |= _convolution(name, tower.mix)
        constants[f"box_{name}_scale"] = array_of(tower.norm.weight).reshape(1, -1, 1, 1)
        constants[f"box_{name}_offset"] = array_of(tower.norm.bias).reshape(1, -1, 1, 1)
    return constants | top_down_constants("box", net, grids)


def _convolution(name: str, layer: nn.Conv2d) -> Arrays:
    assert layer.bias is not None
    return {f"box_{name}_weights": array_of(layer.weight), f"box_{name}_bias": array_of(layer.bias)}


# What learned heads add to the recipe's graph.


def heads(grids: dict[str, Grid], net: Classifier | None, boxes: BoxHead | None) -> list[Head]:
    """The heads that were learned, on maps of these grids."""
    found = []
    if net is not None:
        found.append(
            Head(classifier_text(net, grids), classifier_outputs(net, grids), classifier_constants(net, grids))
        )
    if boxes is not None:
        found.append(Head(box_text(boxes), box_outputs(boxes, grids), box_constants(boxes, grids)))
    return found
