"""A picture taken by hand, brought into the view that a recipe has learned; or what to do so that it can be."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.card import MEASURES, AppearanceCard, Card
from sightline.core.errors import InputError
from sightline.imaging.image import Image
from sightline.runtime.appearance import Appearance
from sightline.runtime.marker import Marker, Matrix, find_markers, onto_image, project, sheet_of, slope
from sightline.runtime.part_outline import PartOutline, find_parts

Rect = tuple[int, int, int, int]
FULL = 0.94  # share of a side from which on a part has no ground around it: the picture as a whole is the view
GUIDE = 0.86  # of the frame's shorter side: the view where a recipe's pictures show no part on a ground
BEYOND = 0.06  # of the view's side that may lie outside of the frame; its edge is repeated there
FEWEST_PX = 0.75  # image px for each px of the recipe's input: fewer, and small defects are lost
SHAPE = 0.15  # of its side by which a part may be narrower or wider than the recipe's
DARK, BRIGHT = 0.45, 0.45  # logarithms of the mean brightness, beside the training's
BLURRED = 0.8  # logarithm of the fine structure's share, beside the training's
TURNED_DEG = 8.0
BLACK, WHITE = 22.0, 235.0  # mean grey levels of a frame in which nothing can be found
MOST_PX = 6000  # of a side of the view's picture: what the largest pictures of a training have
TILTED = 0.8  # the shorter side of a square of the marker's plane beside the longer one: less, and details are lost
AWAY = 0.1  # of its width by which a part may lie elsewhere than it was shown beside its marker
AROUND = 0.2  # of the view's sides that is looked at around it for the part's ground


class State(StrEnum):
    """Whether a frame can be inspected; if not, what is in the way."""

    READY = "ready"
    NONE = "none"
    SEVERAL = "several"
    CUT = "cut"
    FAR = "far"
    DARK = "dark"
    BRIGHT = "bright"
    BLURRED = "blurred"
    TURNED = "turned"
    UNMARKED = "unmarked"
    AWAY = "away"


@dataclass(frozen=True)
class Lock:
    """A marker in a frame: its `corners` (4, 2) px, `onto_frame` (3, 3) that takes places in the picture, px from its
    upper left corner, to px of the frame, and the picture's `mm_per_px`.
    """

    corners: Matrix
    onto_frame: Matrix
    mm_per_px: float


@dataclass(frozen=True)
class Presented:
    """A frame (H, W) as a recipe sees it: `view` (x, y, width, height) px of the frame, of which `picture` (h, w, 3)
    is the content at the size of the training's pictures; both None where no part can be inspected. `parts` are what
    was found, the largest first; `lock` is the marker by which it was found, if it was: then `view` encloses it.
    """

    state: State
    size: tuple[int, int]
    parts: tuple[PartOutline, ...]
    view: Rect | None = None
    picture: Image | None = field(default=None, repr=False)
    lock: Lock | None = field(default=None, repr=False)

    def onto_frame(self, points: NDArray[np.int32]) -> NDArray[np.float64]:
        """Points (K, 2) px of the picture as px of the frame, centres of pixels as centres of pixels."""
        assert self.view is not None and self.picture is not None
        if self.lock is not None:
            return project(self.lock.onto_frame, points + 0.5)
        x, y, w, h = self.view
        high, wide = self.picture.shape[:2]
        return np.asarray((points + 0.5) * (w / wide, h / high) + (x - 0.5, y - 0.5), np.float64)


@dataclass(frozen=True)
class Placement:
    """How a recipe's pictures show the part: their `size` (h, w) px, and the part's box (x, y, width, height) in shares
    of it; None where there is no ground around it, as with fabric.
    """

    size: tuple[int, int]
    part: tuple[float, float, float, float] | None

    @classmethod
    def of(cls, card: Card, pictures: Sequence[Image] = ()) -> Placement:
        """From pictures of good parts (H, W, 3) RGB where there are any, else from the mean picture in the card."""
        sizes = [picture.shape[:2] for picture in pictures]
        if sizes:
            size = (
                round(float(np.median([high for high, _ in sizes]))),
                round(float(np.median([w for _, w in sizes]))),
            )
        else:
            size = (round(card.height / min(card.scale, 1.0)), round(card.width / min(card.scale, 1.0)))
        looked = list(pictures) or ([] if card.appearance is None else [_mean_picture(card.appearance)])
        boxes = [box for box in map(_share, looked) if box is not None]
        if not boxes or len(boxes) < len(looked) / 2:
            return cls(_bounded(size), None)
        x, y, w, h = (float(value) for value in np.median(boxes, axis=0))
        return cls(_bounded(size), (x, y, w, h))

    def present(self, frame: Image, card: Card, marker: Marker | None = None) -> Presented:
        """The view of a frame (H, W, 3) uint8 RGB, by the part's outline, or where it lies beside its marker."""
        size = frame.shape[0], frame.shape[1]
        if marker is not None:
            return self._by_marker(frame, card, marker)
        if self.part is None:
            return self._cut_out(frame, (), self._guide(size), State.READY, card)
        parts = find_parts(frame)
        level = float(frame[::4, ::4].mean())
        if not parts:
            lost = State.DARK if level < BLACK else State.BRIGHT if level > WHITE else State.NONE
            return Presented(lost, size, ())
        if len(parts) > 1:
            return Presented(State.SEVERAL, size, parts)
        placed, fits = self._view(parts[0].box, self.part)
        x, y, w, h = view = round(placed[0]), round(placed[1]), round(placed[2]), round(placed[3])
        over = max(-x / w, -y / h, (x + w - size[1]) / w, (y + h - size[0]) / h)
        if parts[0].is_cut or over > BEYOND:
            return Presented(State.CUT, size, parts)
        return self._cut_out(frame, parts, view, State.READY if fits else State.TURNED, card)

    def learn(self, frame: Image, size_mm: float) -> Marker:
        """Where the part in a frame (H, W, 3) lies beside the only marker there, which has `size_mm` a side. The part
        is to be upright in the frame, as in the training's pictures. Raises InputError.
        """
        found = [(number, four) for number, several in find_markers(frame).items() for four in several]
        if len(found) != 1:
            told = "no marker" if not found else "more than one marker"
            raise InputError(f"{told} is in view. Put one marker beside the part, with white around it")
        ((number, corners),) = found
        flat = onto_image(corners, size_mm)
        across = slope(flat, (0.0, 0.0))[:, 0]
        turn = -float(np.arctan2(across[1], across[0]))
        # The marker's plane from straight above, as upright as the frame, with as many px.
        upright = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        scale = 1 / float(np.hypot(*across))
        middle = project(np.linalg.inv(flat @ upright), np.array([(frame.shape[1] / 2, frame.shape[0] / 2)]))[0]
        corner = middle - scale * np.array([frame.shape[1], frame.shape[0]]) / 2
        onto = upright @ np.array([[scale, 0, corner[0]], [0, scale, corner[1]], [0, 0, 1]])
        above = _warped(frame, flat @ onto, (frame.shape[0], frame.shape[1]))
        if self.part is None:
            box = self._guide((frame.shape[0], frame.shape[1]))
        else:
            parts = find_parts(_without_sheet(above, np.linalg.inv(onto), size_mm))
            if len(parts) != 1 or parts[0].is_cut:
                raise InputError("the part beside the marker is not seen whole and alone. Show both on a plain ground")
            box = parts[0].box
        x, y, w, h = box
        ((cx, cy),) = project(onto, np.array([(x + w / 2, y + h / 2)]))
        return Marker(number, size_mm, float(cx), float(cy), w * scale, h * scale, float(np.rad2deg(turn)))

    def _by_marker(self, frame: Image, card: Card, marker: Marker) -> Presented:
        size = frame.shape[0], frame.shape[1]
        found = find_markers(frame).get(marker.number, [])
        if len(found) != 1:
            return Presented(State.SEVERAL if found else State.UNMARKED, size, ())
        box = -marker.width_mm / 2, -marker.height_mm / 2, marker.width_mm, marker.height_mm
        (left, top, wide, high), fits = self._view(box, self.part or (0.0, 0.0, 1.0, 1.0))
        flat = onto_image(found[0], marker.size_mm) @ marker.onto_marker()
        steps = wide / self.size[1], high / self.size[0]
        onto = flat @ np.array([[steps[0], 0, left], [0, steps[1], top], [0, 0, 1]])
        lock = Lock(found[0], onto, float(np.sqrt(steps[0] * steps[1])))
        rim = np.array([(0, 0), (self.size[1], 0), (self.size[1], self.size[0]), (0, self.size[0])])
        quad = project(onto, rim)
        (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
        view = round(x0), round(y0), round(x1 - x0), round(y1 - y0)
        x, y, w, h = self.part or (0.0, 0.0, 1.0, 1.0)
        there = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)]) * self.size[::-1]
        shown = _outlined(onto, there)
        over = max(-x0 / (x1 - x0), -y0 / (y1 - y0), (x1 - size[1]) / (x1 - x0), (y1 - size[0]) / (y1 - y0))
        if over > BEYOND:
            return Presented(State.CUT, size, (shown,), lock=lock)
        sides = np.linalg.svd(slope(flat, (0.0, 0.0)), compute_uv=False)
        if max(sides[0] * wide / card.width, sides[0] * high / card.height) < FEWEST_PX:
            return Presented(State.FAR, size, (shown,), lock=lock)
        picture = _warped(frame, onto, self.size)
        state, parts = State.READY if fits and sides[1] >= TILTED * sides[0] else State.TURNED, (shown,)
        if self.part is not None:
            seen = self._around(frame, onto, np.linalg.inv(onto) @ onto_image(found[0], marker.size_mm), marker.size_mm)
            if len(seen) != 1:
                return Presented(State.SEVERAL if seen else State.NONE, size, (), lock=lock)
            parts = (_outlined(onto, seen[0].contour + 0.5),)
            state = state if self._lies_there(seen[0].box) else State.AWAY
        return Presented(state, size, parts, view, picture, lock)

    def _around(self, frame: Image, onto: Matrix, from_mm: Matrix, size_mm: float) -> tuple[PartOutline, ...]:
        """The parts in the view, in px of its picture; looked for with what is around it, so that there is ground."""
        high, wide = self.size
        whole = round(high * (1 + 2 * AROUND)), round(wide * (1 + 2 * AROUND))
        beside = np.array([[1, 0, -AROUND * wide], [0, 1, -AROUND * high], [0, 0, 1]])
        around = _warped(frame, onto @ beside, whole)
        there = find_parts(_without_sheet(around, np.linalg.inv(beside) @ from_mm, size_mm))
        shift = np.rint(beside[:2, 2]).astype(np.int32)
        moved = [
            PartOutline(one.contour + shift, (one.box[0] + shift[0], one.box[1] + shift[1], *one.box[2:]), one.is_cut)
            for one in there
        ]
        return tuple(
            one for one in moved if 0 <= one.box[0] + one.box[2] / 2 < wide and 0 <= one.box[1] + one.box[3] / 2 < high
        )

    def _lies_there(self, box: Rect) -> bool:
        """Whether a part found in the view's picture lies where those of the training do."""
        assert self.part is not None
        x, y, w, h = np.array(self.part) * (self.size[1], self.size[0], self.size[1], self.size[0])
        off = np.hypot(box[0] + box[2] / 2 - x - w / 2, box[1] + box[3] / 2 - y - h / 2)
        return bool(off <= AWAY * w and abs(box[2] / w - 1) <= SHAPE and abs(box[3] / h - 1) <= SHAPE)

    def _view(
        self, box: tuple[float, float, float, float], part: tuple[float, float, float, float]
    ) -> tuple[tuple[float, float, float, float], bool]:
        """The view in which the part lies as in the training's pictures, and whether its shape is the same."""
        aspect = self.size[1] / self.size[0]
        by_width, by_height = box[2] / part[2], box[3] / part[3] * aspect
        wide = (by_width + by_height) / 2
        high = wide / aspect
        left = box[0] + box[2] / 2 - (part[0] + part[2] / 2) * wide
        top = box[1] + box[3] / 2 - (part[1] + part[3] / 2) * high
        return (left, top, wide, high), abs(by_width - by_height) <= SHAPE * wide

    def _guide(self, size: tuple[int, int]) -> Rect:
        fit = GUIDE * min(size[0] / self.size[0], size[1] / self.size[1])
        high, wide = round(self.size[0] * fit), round(self.size[1] * fit)
        return (size[1] - wide) // 2, (size[0] - high) // 2, wide, high

    def _cut_out(self, frame: Image, parts: tuple[PartOutline, ...], view: Rect, state: State, card: Card) -> Presented:
        x, y, w, h = view
        if max(w / card.width, h / card.height) < FEWEST_PX:
            return Presented(State.FAR, (frame.shape[0], frame.shape[1]), parts)
        high, wide = frame.shape[:2]
        inside = frame[max(0, y) : y + h, max(0, x) : x + w]
        edges = max(0, -y), max(0, y + h - high), max(0, -x), max(0, x + w - wide)
        if any(edges):
            inside = np.asarray(cv2.copyMakeBorder(inside, *edges, cv2.BORDER_REPLICATE), np.uint8)
        method = cv2.INTER_AREA if w > self.size[1] else cv2.INTER_LINEAR
        picture = np.asarray(cv2.resize(inside, self.size[::-1], interpolation=method), np.uint8)
        return Presented(state, (high, wide), parts, view, picture)


def state_by_looks(seen: Appearance, card: Card) -> State:
    """Whether a view's picture is lit, sharp and upright as the pictures of the training were."""
    if card.appearance is None:
        return State.READY
    usual = card.appearance.measures
    off = {name: value - usual[name].mean for name, value in zip(MEASURES, seen.measures, strict=True) if name in usual}
    if off.get("brightness", 0.0) < -DARK:
        return State.DARK
    if off.get("brightness", 0.0) > BRIGHT:
        return State.BRIGHT
    if off.get("sharpness", 0.0) < -BLURRED:
        return State.BLURRED
    usual_turn = usual["turn"].scale if "turn" in usual else 0.0
    return State.TURNED if abs(off.get("turn", 0.0)) > max(TURNED_DEG, 4 * usual_turn) else State.READY


def _warped(frame: Image, onto_frame: Matrix, size: tuple[int, int]) -> Image:
    """The picture (h, w, 3) of `size` whose pixels a homography takes to the frame; by area where it is smaller."""
    wide = np.linalg.norm(np.diff(project(onto_frame, np.array([(0, 0), (size[1], 0)])), axis=0))
    fine = int(np.clip(np.ceil(wide / size[1] - 0.1), 1, 4))
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # the centre of a pixel of the picture
    onto, whole = onto_frame @ np.diag([1 / fine, 1 / fine, 1.0]) @ half, (size[1] * fine, size[0] * fine)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    large = cv2.warpPerspective(frame, onto, whole, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(large, size[::-1], interpolation=cv2.INTER_AREA) if fine > 1 else large, np.uint8)


def _outlined(onto_frame: Matrix, contour: NDArray[np.generic]) -> PartOutline:
    """A contour (K, 2) in the frame, px from the upper left corner of the view's picture."""
    points = np.rint(project(onto_frame, contour)).astype(np.int32)
    x, y, w, h = cv2.boundingRect(points)
    return PartOutline(points, (x, y, w, h), False)


def _without_sheet(picture: Image, from_mm: Matrix, size_mm: float) -> Image:
    """A picture whose marker, with its sheet, has the colour of the ground; `from_mm` takes mm to the picture's px."""
    sheet = np.rint(project(from_mm, sheet_of(size_mm))).astype(np.int32)
    rim = np.concatenate([picture[[0, -1]].reshape(-1, 3), picture[:, [0, -1]].reshape(-1, 3)])
    ground = [float(value) for value in np.median(rim, axis=0)]
    return np.asarray(cv2.fillConvexPoly(picture.copy(), sheet, ground), np.uint8)


def _bounded(size: tuple[int, int]) -> tuple[int, int]:
    shrink = min(1.0, MOST_PX / max(size))
    return max(8, round(size[0] * shrink)), max(8, round(size[1] * shrink))


def _mean_picture(card: AppearanceCard) -> Image:
    data = np.frombuffer(base64.b64decode(card.picture, validate=True), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def _share(picture: Image) -> tuple[float, float, float, float] | None:
    parts = find_parts(picture)
    high, wide = picture.shape[:2]
    if len(parts) != 1 or parts[0].is_cut:
        return None
    x, y, w, h = parts[0].box
    return None if max(w / wide, h / high) > FULL else (x / wide, y / high, w / wide, h / high)
