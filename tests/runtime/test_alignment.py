"""Alignment: parts come to lie as the golden one does, in any light, and what was found is reported where it lies."""

from __future__ import annotations

import json
import time
import warnings
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from sightline.core.card import METADATA_KEY, Card, GoldenCard
from sightline.core.errors import RecipeError
from sightline.data.sample import render
from sightline.runtime.alignment import Golden, align, heat_back, small_grey, small_size, unmoved
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe

HIGH, WIDE = 600, 800
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module", params=["cap", "board"])
def part(request: pytest.FixtureRequest) -> Picture:
    """A part of (600, 800) px."""
    image = next(iter(render(request.param, 1, size=WIDE, seed=3))).image
    return np.ascontiguousarray(image[100:700])


def _golden(image: Picture, **limits: Any) -> Golden:
    grey = small_grey(image, small_size(image.shape[:2]))
    return Golden(
        grey, **{"motion": "rigid", "max_shift": 0.2, "max_angle_deg": 10.0, "least_correlation": 0.5, **limits}
    )


def _motion(size: tuple[int, ...], shift: tuple[float, float], angle: float) -> NDArray[np.float64]:
    """(2, 3): a turn about the centre and a shift in px."""
    matrix = np.asarray(cv2.getRotationMatrix2D(((size[1] - 1) / 2, (size[0] - 1) / 2), angle, 1.0))
    matrix[:, 2] += shift
    return matrix


def _moved(image: Picture, motion: NDArray[np.float64], light: float = 1.0) -> Picture:
    moved = cv2.warpAffine(image, motion, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.clip(np.rint(moved * light), 0, 255).astype(np.uint8)


def _error_px(warp: NDArray[np.float64], motion: NDArray[np.float64], size: tuple[int, ...]) -> float:
    high, wide = size[:2]
    corners = np.array([(0, 0, 1), (wide - 1, 0, 1), (0, high - 1, 1), (wide - 1, high - 1, 1)], float)
    return float(np.linalg.norm(corners @ (warp - motion).T, axis=1).max())


@pytest.mark.parametrize("light", [0.8, 1.0, 1.2])
@pytest.mark.parametrize(
    ("shift", "angle"), [((0, 0), 0.0), ((17.3, -9.6), 0.0), ((-23.0, 12.4), 3.0), ((5.5, 20.1), -2.2)]
)
def test_a_motion_is_recovered_in_any_light(
    part: Picture, shift: tuple[float, float], angle: float, light: float
) -> None:
    motion = _motion(part.shape, shift, angle)
    aligned = align(_moved(part, motion, light), _golden(part))
    assert aligned.ok
    assert aligned.notes == ()
    assert _error_px(aligned.warp, motion, part.shape) <= 1.0  # at the corners: 1 px there is 0.11 degrees
    found = np.degrees(np.arctan2(aligned.warp[0, 1], aligned.warp[0, 0]))
    assert found == pytest.approx(angle, abs=0.3)


def test_the_aligned_image_lies_as_the_golden_part(part: Picture) -> None:
    motion = _motion(part.shape, (14.0, -11.0), 2.5)
    moved = _moved(part, motion)
    aligned = align(moved, _golden(part)).image
    inside = slice(60, -60), slice(60, -60)
    before = np.abs(moved[inside].astype(int) - part[inside]).mean()
    assert np.abs(aligned[inside].astype(int) - part[inside]).mean() < 0.25 * before


@pytest.mark.parametrize("angle", [35.0, 90.0, -140.0, 180.0])
def test_large_turns_are_found_where_they_are_allowed(angle: float) -> None:
    part = next(iter(render("board", 1, size=400, seed=3))).image
    motion = _motion(part.shape, (6.0, -4.0), angle)
    aligned = align(_moved(part, motion), _golden(part, max_angle_deg=180.0))
    assert aligned.ok
    assert _error_px(aligned.warp, motion, part.shape) <= 1.0


def test_a_shift_alone_is_found_without_turning(part: Picture) -> None:
    motion = _motion(part.shape, (12.0, 7.0), 0.0)
    aligned = align(_moved(part, motion), _golden(part, motion="translation", max_angle_deg=0.0))
    assert aligned.ok
    assert np.array_equal(aligned.warp[:, :2], np.eye(2))
    assert _error_px(aligned.warp, motion, part.shape) <= 1.0


def test_an_image_of_another_size_is_aligned_in_its_own_pixels(part: Picture) -> None:
    motion = _motion(part.shape, (12.0, -8.0), 1.5)
    half = cv2.resize(_moved(part, motion), (WIDE // 2, HIGH // 2), interpolation=cv2.INTER_AREA)
    aligned = align(np.asarray(half, np.uint8), _golden(part))
    assert aligned.image.shape == (HIGH // 2, WIDE // 2, 3)
    smaller = _motion(half.shape, (6.0, -4.0), 1.5)
    assert _error_px(aligned.warp, smaller, half.shape) <= 1.0


@pytest.mark.parametrize(
    ("shift", "angle", "limits", "words"),
    [
        ((60, 0), 0.0, {"max_shift": 0.05}, "shifted by 7.5% of the side, good parts by at most 5.0%"),
        ((0, 0), 4.0, {"max_angle_deg": 2.0}, "turned by 4.0 degrees, good parts by at most 2.0"),
        ((0, 0), 0.0, {"least_correlation": 0.9999}, "correlation"),
    ],
)
def test_a_motion_beyond_the_limits_leaves_the_image_alone(
    part: Picture, shift: tuple[float, float], angle: float, limits: dict[str, float], words: str
) -> None:
    moved = _moved(part, _motion(part.shape, shift, angle))
    aligned = align(moved, _golden(part, **limits))
    assert not aligned.ok
    assert aligned.image is moved
    assert np.array_equal(aligned.warp, np.eye(2, 3))
    assert words in aligned.notes[0]
    assert aligned.notes[0].startswith("could not be aligned")


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((HIGH, WIDE, 3), np.uint8),
        np.full((HIGH, WIDE, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (HIGH, WIDE, 3), np.uint8),
        np.full((WIDE, HIGH, 3), 90, np.uint8),
        np.full((16, 21, 3), 90, np.uint8),
        np.full((16, 4000, 3), 90, np.uint8),
    ],
    ids=["black", "white", "noise", "another shape", "tiny", "a strip"],
)
def test_what_shows_no_part_is_left_alone_without_an_error(part: Picture, image: Picture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aligned = align(image, _golden(part))
    assert not aligned.ok
    assert aligned.image is image
    assert np.isfinite(aligned.correlation)


def test_a_part_of_another_product_is_not_aligned() -> None:
    board, cap = (next(iter(render(name, 1, size=400, seed=3))).image for name in ("board", "cap"))
    assert not align(cap, _golden(board)).ok


def test_heat_goes_back_to_where_the_part_lay(part: Picture) -> None:
    motion = _motion(part.shape, (30.0, -20.0), 3.0)
    aligned = align(_moved(part, motion), _golden(part))
    heat = np.zeros((75, 100), np.float32)  # a cell is 8 px
    heat[30, 60] = 1.0
    back = heat_back(heat, aligned)
    row, column = np.unravel_index(int(back.argmax()), back.shape)
    expected = motion @ (60 * 8 + 3.5, 30 * 8 + 3.5, 1)
    assert np.hypot(column * 8 + 3.5 - expected[0], row * 8 + 3.5 - expected[1]) <= 8
    assert back.shape == heat.shape


def test_heat_is_zero_where_nothing_was_judged_and_whole_elsewhere(part: Picture) -> None:
    aligned = align(_moved(part, _motion(part.shape, (48.0, 0.0), 0.0)), _golden(part))
    back = heat_back(np.ones((75, 100), np.float32), aligned)
    assert (back[:, :5] == 0).all()  # 48 px are 6 cells: they lay beyond the golden part's frame
    assert back[:, 7:] == pytest.approx(1.0)
    untouched = np.ones((3, 4), np.float32)
    assert heat_back(untouched, unmoved(part)) is untouched


def test_a_golden_part_survives_its_card(part: Picture) -> None:
    golden = _golden(part)
    card = GoldenCard.model_validate_json(golden.card().model_dump_json())
    back = Golden.of(card)
    assert np.array_equal(back.image, golden.image)
    assert (back.motion, back.max_shift, back.max_angle_deg) == ("rigid", 0.2, 10.0)
    assert len(card.image) < 2**17


# --- in a recipe ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plate(draw: Any) -> Picture:
    """A plate with holes, which has a pose."""
    image = draw(50)[0].copy()
    for x, y in ((18, 20), (105, 16), (30, 78), (96, 70), (112, 48)):
        cv2.circle(image, (x, y), 6, (20, 25, 30), -1, cv2.LINE_AA)
    return np.asarray(image, np.uint8)


def _with_golden(recipe: Recipe, golden: Any) -> Recipe:
    """The recipe with a golden part in its card, written without any check."""
    model = onnx.load_from_string(recipe.data)
    entry = next(prop for prop in model.metadata_props if prop.key == METADATA_KEY)
    entry.value = json.dumps(json.loads(entry.value) | {"golden": golden})
    return Recipe(model.SerializeToString(), recipe.card)


@pytest.fixture(scope="module")
def aligning(recipe: Recipe, plate: Picture) -> Inspector:
    card = _golden(plate, max_shift=0.1, max_angle_deg=6.0).card()
    return Inspector(_with_golden(recipe, card.model_dump()), threads=1)


def test_a_defect_is_outlined_where_it_lies_in_the_image_that_came(aligning: Inspector, plate: Picture) -> None:
    spoilt = plate.copy()
    cv2.circle(spoilt, (60, 48), 7, (230, 230, 20), -1)
    motion = _motion(spoilt.shape, (7.0, -5.0), 5.0)
    result, clean = (aligning.inspect(_moved(image, motion)) for image in (spoilt, plate))
    assert result.warnings == clean.warnings == ()
    x, y = motion @ (60, 48, 1)
    # The recipe has not learnt the holes: what the flaw alone adds is what must lie on it.
    added = result.heatmap - clean.heatmap
    row, column = np.unravel_index(int(added.argmax()), added.shape)
    assert np.hypot(column - x, row - y) <= 12
    assert any(cv2.pointPolygonTest(one.contour, (float(x), float(y)), False) >= 0 for one in result.defects)
    assert np.array_equal(result.image, _moved(spoilt, motion))


def test_batches_are_aligned_as_single_images(aligning: Inspector, plate: Picture) -> None:
    images = [_moved(plate, _motion(plate.shape, (shift, 2.0), shift)) for shift in (-5.0, 0.0, 4.0)]
    together = list(aligning.inspect_many(images))
    for image, one in zip(images, together, strict=True):
        alone = aligning.inspect(image)
        assert alone.score == pytest.approx(one.score, abs=1e-4)
        assert np.allclose(alone.heat, one.heat, atol=1e-4)


def test_where_alignment_fails_the_part_is_judged_as_it_lies_and_says_so(
    aligning: Inspector, judge: Inspector, draw: Any
) -> None:
    image = draw(701, flawed=True)[0][:, ::-1].copy()
    aligned, plain = aligning.inspect(image), judge.inspect(image)
    assert [text for text in aligned.warnings if text.startswith("could not be aligned to the golden part")]
    assert aligned.score == plain.score
    assert aligned.verdict is plain.verdict
    assert np.array_equal(aligned.heat, plain.heat)


def test_the_card_carries_it(recipe: Recipe, plate: Picture) -> None:
    card = recipe.card.model_copy(update={"golden": _golden(plate).card()})
    assert Card.model_validate_json(card.model_dump_json()) == card


@pytest.mark.parametrize(
    "change",
    [
        {"image": "no base64 !"},
        {"image": "aGVsbG8="},
        {"image": ""},
        {"max_shift": 0.0},
        {"max_angle_deg": 181.0},
        {"least_correlation": 1.0},
        {"motion": "affine"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_damaged_golden_part_is_refused(recipe: Recipe, plate: Picture, change: dict[str, object]) -> None:
    golden = _golden(plate).card().model_dump() | change
    with pytest.raises(RecipeError, match=r"(?s)damaged.*Train or copy it again"):
        Inspector(_with_golden(recipe, golden))


def test_a_golden_image_that_is_cut_off_or_too_large_is_refused(recipe: Recipe, plate: Picture) -> None:
    import base64

    golden = _golden(plate).card().model_dump()
    cut = base64.b64encode(base64.b64decode(golden["image"])[:60]).decode()
    _, data = cv2.imencode(".png", np.zeros((16, 257), np.uint8))
    for image in (cut, base64.b64encode(data.tobytes()).decode()):
        with pytest.raises(RecipeError, match="damaged"):
            Inspector(_with_golden(recipe, golden | {"image": image}))


@pytest.mark.benchmark
def test_alignment_takes_a_few_milliseconds(part: Picture) -> None:
    golden = _golden(part, max_angle_deg=5.0)
    moved = _moved(part, _motion(part.shape, (15.0, -9.0), 2.0))
    spans = []
    for _ in range(15):
        start = time.perf_counter()
        assert align(moved, golden).ok
        spans.append(time.perf_counter() - start)
    assert min(spans) <= 0.012  # 4 to 6 ms on two shared cores
