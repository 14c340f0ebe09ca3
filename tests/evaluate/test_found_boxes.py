"""Boxes that people drew, and boxes that class maps make."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from sightline.core.region import Rectangle, Region
from sightline.core.result import Box
from sightline.core.sample import Sample
from sightline.evaluate.found_boxes import boxes_of, found_boxes, regions

SIZE = (60, 80)


def test_drawn_boxes_are_cut_to_the_image_and_strangers_left_out() -> None:
    drawn = (Region("dent", Rectangle(70, 50, 30, 30)), Region("other", Rectangle(0, 0, 9, 9)))
    found = boxes_of(Sample(Path("a.png"), True, ("dent",), regions=drawn), None, SIZE, ("dent",))
    assert found is not None and found.types == ("dent",)
    assert found.xywh.tolist() == [[70, 50, 10, 10]]


def test_a_mask_makes_one_box_for_each_of_its_regions(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[5:15, 10:30], mask[40:50, 60:70] = 255, 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    found = boxes_of(Sample(Path("a.png"), True, ("dent",)), tmp_path / "mask.png", SIZE, ("dent",))
    assert found is not None and sorted(found.xywh.tolist()) == [[10, 5, 20, 10], [60, 40, 10, 10]]
    assert boxes_of(Sample(Path("a.png"), True, ("dent",)), None, SIZE, ("dent",)) is None
    good = boxes_of(Sample(Path("a.png"), False), None, SIZE, ("dent",))
    assert good is not None and not good.types


def test_touching_instances_part_at_a_higher_level() -> None:
    share = np.zeros(SIZE, np.float32)
    share[20:40, 10:70] = 0.4  # a bridge between two
    share[20:40, 10:30], share[20:40, 50:70] = 0.9, 0.9
    found = dict(regions(share))
    assert found[10.0, 20.0, 20.0, 20.0] == pytest.approx(0.9)
    assert found[50.0, 20.0, 20.0, 20.0] == pytest.approx(0.9)
    assert found[10.0, 20.0, 60.0, 20.0] < 0.9  # both as one: less sure
    assert len(found) == 3


def test_found_boxes_carry_type_and_score() -> None:
    maps = np.zeros((2, *SIZE), np.float32)
    maps[1, 10:20, 10:30] = 1.0
    seen: Any = SimpleNamespace(
        class_maps=lambda: maps, image=np.zeros((*SIZE, 3), np.uint8), types={"dent": 0.1, "scratch": 0.5}
    )
    card: Any = SimpleNamespace(types=("dent", "scratch"), recognition=None)
    found = found_boxes(seen, card)
    assert found.types == ("scratch",) and found.scores.tolist() == [0.5]
    assert found.xywh.tolist() == [[10, 10, 20, 10]]


def test_a_recipe_that_draws_boxes_is_taken_at_its_word() -> None:
    own = Box("dent", 0.7, (1.0, 2.0, 3.0, 4.0))
    seen: Any = SimpleNamespace(boxes=(own,), class_maps=lambda: np.ones((1, *SIZE), np.float32))
    card: Any = SimpleNamespace(types=("dent",), recognition=SimpleNamespace(boxes=True))
    found = found_boxes(seen, card)
    assert found.xywh.tolist() == [[1, 2, 3, 4]] and found.scores.tolist() == [0.7]
