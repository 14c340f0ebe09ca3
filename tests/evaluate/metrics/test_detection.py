"""Boxes against hand-computed values and a plain-loop version of the published rules."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.region import Rectangle, Region
from sightline.core.result import Box
from sightline.core.sample import Sample
from sightline.evaluate.metrics.detection import Boxes, box_scores, boxes_of, found_boxes, iou, regions


def plain_iou(a, b):
    width = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    shared = width * height
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def plain_ap(truth, found, name, least):
    """Average precision of one type at one IoU, box by box."""
    claims, total = [], 0
    for real, predicted in zip(truth, found, strict=True):
        targets = [box for box, kind in zip(real.xywh, real.types, strict=True) if kind == name]
        total += len(targets)
        mine = [
            (s, box)
            for s, box, kind in zip(predicted.scores, predicted.xywh, predicted.types, strict=True)
            if kind == name
        ]
        taken = set()
        for score, box in sorted(mine, key=lambda pair: -pair[0])[:100]:
            best, at = least, None
            for number, target in enumerate(targets):
                if number not in taken and plain_iou(box, target) >= best:
                    best, at = plain_iou(box, target), number
            taken.add(at)
            claims.append((score, at is not None))
    claims.sort(key=lambda pair: -pair[0])
    points, hits = [], 0
    for number, (_, hit) in enumerate(claims, 1):
        hits += hit
        points.append((hits / total, hits / number))
    return sum(max((p for r, p in points if r >= level), default=0.0) for level in np.linspace(0, 1, 101)) / 101


def scene(seed, images=12):
    """Images with true boxes of two types, and found ones near them, doubled, misnamed or in the wrong place."""
    random = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(images):
        count = random.integers(0, 5)
        real = np.column_stack([random.uniform(0, 80, (count, 2)), random.uniform(8, 30, (count, 2))])
        kinds = random.choice(["chip", "scratch"], count)
        near = np.concatenate(
            [real, real[: count // 2], np.column_stack([random.uniform(0, 80, (2, 2)), [[9, 9], [12, 5]]])]
        )
        near += random.normal(0, 1.5, near.shape)
        predicted = np.concatenate([kinds, kinds[: count // 2], ["chip", "scratch"]])
        truth.append(Boxes.of(real, list(kinds)))
        found.append(Boxes.of(near, list(predicted), random.random(len(near))))
    return truth, found


@pytest.mark.parametrize("seed", range(4))
def test_map_equals_the_rules_read_out_loud(seed: int) -> None:
    truth, found = scene(seed)
    scores = box_scores(truth, found)
    for kind in scores.types:
        each = [plain_ap(truth, found, kind.name, least) for least in np.linspace(0.5, 0.95, 10)]
        assert kind.ap50 == pytest.approx(each[0])
        assert kind.ap50_95 == pytest.approx(np.mean(each))
    assert 0.1 < scores.map50_95 < scores.map50 < 1.0
    assert scores.map50 == pytest.approx(np.mean([kind.ap50 for kind in scores.types]))
    assert json.loads(json.dumps(scores.to_json()))["images"] == 12


def test_by_hand() -> None:
    truth = [Boxes.of([[0, 0, 10, 10], [50, 50, 10, 10]], ["a", "a"])]
    # The best found box misses, the second is right to IoU .8, the third right to the pixel.
    found = [Boxes.of([[80, 0, 10, 10], [0, 0, 10, 8], [50, 50, 10, 10]], ["a"] * 3, [0.9, 0.8, 0.7])]
    scores = box_scores(truth, found)
    # At .50 precision is 0, 1/2, 2/3 at recalls 0, 1/2, 1: interpolated, 2/3 everywhere.
    assert scores.map50 == pytest.approx(2 / 3)
    # From .85 on only the third counts: precision 1/3 up to recall 1/2, which is 51 of 101 recalls.
    assert scores.map50_95 == pytest.approx((7 * 2 / 3 + 3 * 51 / 101 / 3) / 10)
    assert (scores.types[0].truths, scores.types[0].images) == (2, 1)


def test_a_true_box_is_met_once_and_the_better_score_takes_it() -> None:
    truth = [Boxes.of([[0, 0, 10, 10]], ["a"])]
    found = [Boxes.of([[0, 0, 10, 10], [0, 0, 10, 10]], ["a", "a"], [0.4, 0.9])]
    assert box_scores(truth, found).map50_95 == pytest.approx(1.0)
    late = [Boxes.of([[0, 0, 10, 10], [60, 0, 10, 10]], ["a", "a"], [0.4, 0.9])]
    assert box_scores(truth, late).map50 == pytest.approx(0.5)


def test_types_without_truth_are_left_out_and_good_images_count_against_precision() -> None:
    truth = [Boxes.of([[0, 0, 10, 10]], ["a"]), Boxes.of([], [])]
    found = [Boxes.of([[0, 0, 10, 10]], ["a"], [0.5]), Boxes.of([[0, 0, 5, 5], [3, 3, 5, 5]], ["a", "b"], [0.9, 0.9])]
    scores = box_scores(truth, found)
    assert scores.left_out == ("b",)
    assert scores.map50 == pytest.approx(0.5)


def test_nothing_true_gives_none_and_nothing_found_gives_zero() -> None:
    none = box_scores([Boxes.of([], [])], [Boxes.of([[0, 0, 1, 1]], ["a"], [0.5])])
    assert (none.map50, none.map50_95, none.types) == (None, None, ())
    assert box_scores([], []).map50 is None
    assert box_scores([Boxes.of([[0, 0, 1, 1]], ["a"])], [Boxes.of([], [])]).map50_95 == 0.0


def test_only_the_best_hundred_boxes_of_a_type_count() -> None:
    truth = [Boxes.of([[0, 0, 10, 10]], ["a"])]
    boxes = [[50, 50, 5, 5]] * 100 + [[0, 0, 10, 10]]
    assert box_scores(truth, [Boxes.of(boxes, ["a"] * 101, np.linspace(1, 0.1, 101))]).map50 == 0.0


def test_iou_by_hand() -> None:
    found = iou([[0, 0, 4, 4], [0, 0, 0, 0]], [[2, 2, 4, 4], [4, 0, 4, 4], [0, 0, 4, 4], [0, 0, 0, 0]])
    assert found == pytest.approx(np.array([[4 / 28, 0, 1, 0], [0, 0, 0, 0]]))


def test_bad_boxes_are_refused_with_a_remedy() -> None:
    with pytest.raises(InputError, match="not a number"):
        Boxes.of([[0, 0, np.nan, 1]], ["a"])
    with pytest.raises(InputError, match="not a number"):
        Boxes.of([[0, 0, 1, 1]], ["a"], [np.nan])
    with pytest.raises(InputError, match="x, y, width, height"):
        Boxes.of([[5, 5, -1, 1]], ["a"])
    with pytest.raises(ValueError, match="one of each per box"):
        Boxes.of([[0, 0, 1, 1]], [])
    with pytest.raises(InputError, match="Draw it around"):
        box_scores([Boxes.of([[0, 0, 0, 1]], ["a"])], [Boxes.of([], [])])
    with pytest.raises(ValueError, match="Give both"):
        box_scores([], [Boxes.of([], [])])


# Boxes that people drew, and boxes that class maps make.

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
    observed: Any = SimpleNamespace(
        class_maps=lambda: maps, image=np.zeros((*SIZE, 3), np.uint8), types={"dent": 0.1, "scratch": 0.5}
    )
    card: Any = SimpleNamespace(types=("dent", "scratch"), recognition=None)
    found = found_boxes(observed, card)
    assert found.types == ("scratch",) and found.scores.tolist() == [0.5]
    assert found.xywh.tolist() == [[10, 10, 20, 10]]


def test_a_recipe_that_draws_boxes_is_taken_at_its_word() -> None:
    own = Box("dent", 0.7, (1.0, 2.0, 3.0, 4.0))
    observed: Any = SimpleNamespace(boxes=(own,), class_maps=lambda: np.ones((1, *SIZE), np.float32))
    card: Any = SimpleNamespace(types=("dent",), recognition=SimpleNamespace(boxes=True))
    found = found_boxes(observed, card)
    assert found.xywh.tolist() == [[1, 2, 3, 4]] and found.scores.tolist() == [0.7]
