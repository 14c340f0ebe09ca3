"""Regions as JSON and back, without loss: boxes, polygons with holes, and brush masks in runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.core.errors import InputError
from sightline.core.region import Polygons, Rectangle, Region, Runs, Shape


def region_to_json(region: Region) -> dict[str, Any]:
    """{"type": ..., and one of "box": [x, y, width, height], "rings": [[[x, y], ...], ...], "runs": {...}}, px."""
    shape = region.shape
    if isinstance(shape, Rectangle):
        return {"type": region.type, "box": list(shape.box)}
    if isinstance(shape, Polygons):
        return {"type": region.type, "rings": [np.asarray(ring, float).tolist() for ring in shape.rings]}
    return {
        "type": region.type,
        "runs": {"height": shape.height, "width": shape.width, "counts": list(shape.counts)},
    }


def region_from_json(value: Any) -> Region:
    """The region that `region_to_json` wrote. Raises InputError for anything else, with what was expected."""
    try:
        return Region(_text(value["type"]), _shape(value))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"a region is not valid ({type(error).__name__}: {error}). It needs a type and one of box [x, y, width, "
            "height], rings [[[x, y], ...], ...], runs {height, width, counts}"
        ) from error


def _shape(value: dict[str, Any]) -> Shape:
    if "box" in value:
        box = Rectangle(*(float(side) for side in value["box"]))
        if not (np.isfinite(box.box).all() and box.width > 0 and box.height > 0):
            raise ValueError(f"the box {box.box} has no area")
        return box
    if "rings" in value:
        rings = tuple(np.array(ring, float).reshape(-1, 2) for ring in value["rings"])
        if not rings or not all(len(ring) >= 3 and np.isfinite(ring).all() for ring in rings):
            raise ValueError("a ring needs at least three points")
        return Polygons(rings)
    runs = value["runs"]
    return Runs(int(runs["height"]), int(runs["width"]), tuple(int(count) for count in runs["counts"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no type's name")
    return value
