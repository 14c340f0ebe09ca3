"""What learned heads add to the recipe's graph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.models.boxes import BoxHead
from sightline.models.recogniser import Recogniser
from sightline.train.box_graph import box_constants, box_outputs, box_text
from sightline.train.enlarging import Grid
from sightline.train.recogniser_graph import recogniser_constants, recogniser_outputs, recogniser_text


class Head(NamedTuple):
    """What a network on the trunk's maps adds to the graph: operators, outputs as ONNX declares them, and numbers."""

    text: str
    outputs: list[str]
    constants: dict[str, NDArray[np.generic]]


def heads(grids: dict[str, Grid], net: Recogniser | None, boxes: BoxHead | None) -> list[Head]:
    """The heads that were learned, on maps of these grids."""
    found = []
    if net is not None:
        found.append(
            Head(recogniser_text(net, grids), recogniser_outputs(net, grids), recogniser_constants(net, grids))
        )
    if boxes is not None:
        found.append(Head(box_text(boxes), box_outputs(boxes, grids), box_constants(boxes, grids)))
    return found
