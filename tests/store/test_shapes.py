"""Regions go into JSON and come back the same."""

import json

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.region import Polygons, Rectangle, Region, Runs
from sightline.store.shapes import region_from_json, region_to_json

RINGS = (np.array([[0.1, 0.2], [9.3, 0], [9, 9]]), np.array([[2, 2], [2, 4], [4, 2.0]]))


@pytest.mark.parametrize(
    "shape", [Rectangle(1.25, 2, 3, 4.1), Polygons(RINGS), Runs.of(np.eye(5, 7) > 0)], ids=["box", "rings", "runs"]
)
def test_every_shape_comes_back_the_same(shape):
    region = Region("crack", shape)
    assert region_from_json(json.loads(json.dumps(region_to_json(region)))) == region


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"type": "a"},
        {"type": 3, "box": [0, 0, 1, 1]},
        {"type": "a", "box": [0, 0, 1]},
        {"type": "a", "box": [0, 0, -1, 1]},
        {"type": "a", "box": [0, 0, float("inf"), 1]},
        {"type": "a", "rings": [[[0, 0], [1, 1]]]},
        {"type": "a", "rings": []},
        {"type": "a", "runs": {"height": 2, "width": 2, "counts": [3]}},
        {"type": "a", "runs": {"height": 1e9, "width": 1e9, "counts": [1e18]}},
        "box",
        None,
    ],
)
def test_anything_else_is_refused(value):
    with pytest.raises(InputError):
        region_from_json(value)
