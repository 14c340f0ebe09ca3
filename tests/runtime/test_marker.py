"""A part beside a printed marker: found, brought upright and measured, however the camera is held."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.data.sample import render
from sightline.runtime.handheld import Placement, State
from sightline.runtime.marker import Marker, draw_marker, find_markers, project
from sightline.runtime.part_outline import find_parts
from sightline.runtime.recipe import Recipe

Pixels = NDArray[np.uint8]
PX_PER_MM, SIZE_MM = 8.0, 20.0
TILT = np.array([[0.62, 0.05, 260.0], [-0.03, 0.6, 90.0], [5e-5, -8e-5, 1.0]])


@pytest.fixture(scope="module")
def table() -> tuple[Pixels, Placement, tuple[int, int, int, int]]:
    """A cap and a marker on a bench from straight above, the cap's place, and how its own picture shows it."""
    picture = next(iter(render("cap", 1, defect_rate=0.0, seed=3, lots=1))).image
    high, wide = picture.shape[:2]
    sheet, per_mm = draw_marker(7, SIZE_MM)
    sheet = cv2.resize(sheet, None, fx=PX_PER_MM / per_mm, fy=PX_PER_MM / per_mm, interpolation=cv2.INTER_AREA)
    corner = np.median(picture[:30, :30].reshape(-1, 3), axis=0)
    scene = np.full((high + 200, wide + 500, 3), corner, np.uint8)
    scene[100 : 100 + high, 60 : 60 + wide] = picture
    scene[220 : 220 + sheet.shape[0], wide + 120 : wide + 120 + sheet.shape[1]] = sheet
    x, y, w, h = find_parts(picture)[0].box
    return scene, Placement((high, wide), (x / wide, y / high, w / wide, h / high)), (x + 60, y + 100, w, h)


@pytest.fixture
def card(recipe: Recipe) -> Card:
    return recipe.card.model_copy(update={"width": 160, "height": 160, "scale": 0.5})


def seen(scene: Pixels, matrix: NDArray[np.float64]) -> Pixels:
    """The bench as a camera of 1280 x 720 px sees it; what lies beyond it is of its colour."""
    colour = tuple(int(value) for value in scene[2, 2])
    frame = cv2.warpPerspective(scene, matrix, (1280, 720), flags=cv2.INTER_AREA, borderValue=colour)
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 0.7), np.uint8)


def turned(degrees: float, size: float) -> NDArray[np.float64]:
    """A camera above the bench, turned and at another height."""
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D((500.0, 356.0), degrees, size)
    matrix[:2, 2] += (640 - 500, 360 - 356)
    return matrix


@pytest.fixture
def marker(table: tuple[Pixels, Placement, tuple[int, int, int, int]]) -> Marker:
    scene, place, _ = table
    return place.learn(seen(scene, turned(0.0, 0.7)), SIZE_MM)


def test_what_is_learned_is_where_the_part_lies(
    marker: Marker, table: tuple[Pixels, Placement, tuple[int, int, int, int]]
) -> None:
    _, _, (_, _, w, h) = table
    assert (marker.number, marker.size_mm) == (7, SIZE_MM)
    assert (marker.width_mm, marker.height_mm) == pytest.approx((w / PX_PER_MM, h / PX_PER_MM), rel=0.02)
    assert abs(marker.turn_deg) < 0.5 and marker.x_mm < -30
    assert str(Marker.parse(str(marker))) == str(marker)


@pytest.mark.parametrize(
    "camera", [turned(0, 0.6), turned(35, 0.55), turned(90, 0.5), turned(180, 0.62), turned(-140, 0.5), TILT]
)
def test_the_part_is_found_however_the_camera_is_held(
    camera: NDArray[np.float64], marker: Marker, card: Card,
    table: tuple[Pixels, Placement, tuple[int, int, int, int]],
) -> None:  # fmt: skip
    scene, place, (x, y, w, h) = table
    found = place.present(seen(scene, camera), card, marker)
    assert found.state is State.READY and found.picture is not None and found.lock is not None
    # A point of the view's picture lies on the frame where the camera sees it, within 3 % of the part's width.
    inside = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x + w / 2, y + h / 2)])
    truth = project(camera, inside)
    errors = np.linalg.norm(found.onto_frame((inside - (60, 100)).astype(np.int32)) - truth, axis=1)
    wide = np.linalg.norm(truth[1] - truth[0])
    assert errors.max() <= 0.03 * wide, errors / wide
    # So does the outline that is drawn over it.
    (part,) = found.parts
    drawn, there = np.array(cv2.minEnclosingCircle(part.contour)[0]), truth[4]
    assert np.linalg.norm(drawn - there) <= 0.03 * wide
    # The picture is the one that the recipe has learned from, whatever the turn.
    own = scene[100 : 100 + place.size[0], 60 : 60 + place.size[1]]
    coarse = [cv2.GaussianBlur(one, (0, 0), 4).astype(int) for one in (found.picture, own)]
    assert np.abs(coarse[0] - coarse[1]).mean() < 6
    assert found.lock.mm_per_px == pytest.approx(1 / PX_PER_MM, rel=0.02)


def test_what_is_in_the_way_is_said(
    marker: Marker, card: Card, table: tuple[Pixels, Placement, tuple[int, int, int, int]]
) -> None:
    scene, place, _ = table
    camera = turned(0, 0.6)
    frame = seen(scene, camera)
    bare = scene.copy()
    bare[80 : 120 + place.size[0], 40 : 80 + place.size[1]] = scene[2, 2]
    elsewhere = bare.copy()
    cap = scene[100 : 100 + place.size[0], 60 : 60 + place.size[1]]
    elsewhere[100 : 100 + cap.shape[0], 10 : 10 + cap.shape[1]] = cap
    two = seen(scene, camera)
    two[500:700] = two[200:400]
    cases = {
        State.UNMARKED: np.ascontiguousarray(frame[:, ::-1]),  # in a mirror
        State.NONE: seen(bare, camera),
        State.AWAY: seen(elsewhere, camera),
        State.FAR: seen(scene, turned(0, 0.16)),
        State.CUT: seen(scene, np.array([[0.6, 0, -200.0], [0, 0.6, 60.0], [0, 0, 1]])),
        State.TURNED: seen(scene, np.array([[0.6, 0, 300.0], [0, 0.4, 200.0], [0, 0, 1]])),
        State.SEVERAL: two,
    }
    for state, picture in cases.items():
        found = place.present(picture, card, marker)
        assert found.state is state, (state, found.state)
    covered = frame.copy()
    (corners,) = find_markers(frame)[7]
    cv2.fillConvexPoly(covered, np.rint(corners[[0, 1, 2]]).astype(np.int32), (200, 200, 200))
    assert place.present(covered, card, marker).state is State.UNMARKED
    with pytest.raises(InputError, match="no marker is in view"):
        place.learn(covered, SIZE_MM)
    with pytest.raises(InputError, match="not seen whole and alone"):
        place.learn(seen(bare, camera), SIZE_MM)


@pytest.mark.parametrize("text", ["7,15", "7,15,0,0,x,20,0", "50,15,0,0,20,20,0", "7,15,0,0,nan,20,0", "7,1,0,0,2,2,0"])
def test_what_is_no_marker_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Marker.parse(text)


@pytest.mark.parametrize("size_mm", [10.0, 40.0, 52.3])
def test_a_sheet_shows_its_marker_on_whole_pixels(size_mm: float) -> None:
    sheet, per_mm = draw_marker(49, size_mm)
    black = np.flatnonzero((sheet[..., 0] < 128).all(axis=0) | (sheet[..., 0].min(axis=0) < 1))
    assert (black[-1] - black[0] + 1) / per_mm == pytest.approx(size_mm)
    (corners,) = find_markers(sheet)[49]
    assert np.linalg.norm(corners[1] - corners[0]) / per_mm == pytest.approx(size_mm, rel=0.01)
