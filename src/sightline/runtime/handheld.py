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
from sightline.imaging.image import Image
from sightline.runtime.appearance import Appearance
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


@dataclass(frozen=True)
class Presented:
    """A frame (H, W) as a recipe sees it: `view` (x, y, width, height) px of the frame, of which `picture` (h, w, 3)
    is the content at the size of the training's pictures; both None where no part can be inspected. `parts` are what
    was found, the largest first.
    """

    state: State
    size: tuple[int, int]
    parts: tuple[PartOutline, ...]
    view: Rect | None = None
    picture: Image | None = field(default=None, repr=False)

    def onto_frame(self, points: NDArray[np.int32]) -> NDArray[np.float64]:
        """Points (K, 2) px of the picture as px of the frame."""
        assert self.view is not None and self.picture is not None
        x, y, w, h = self.view
        high, wide = self.picture.shape[:2]
        return np.asarray(points * (w / wide, h / high) + (x, y), np.float64)


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

    def present(self, frame: Image, card: Card) -> Presented:
        """The view of a frame (H, W, 3) uint8 RGB."""
        size = frame.shape[0], frame.shape[1]
        if self.part is None:
            return self._cut_out(frame, (), self._guide(size), State.READY, card)
        parts = find_parts(frame)
        level = float(frame[::4, ::4].mean())
        if not parts:
            lost = State.DARK if level < BLACK else State.BRIGHT if level > WHITE else State.NONE
            return Presented(lost, size, ())
        if len(parts) > 1:
            return Presented(State.SEVERAL, size, parts)
        view, fits = self._view(parts[0].box, self.part)
        x, y, w, h = view
        over = max(-x / w, -y / h, (x + w - size[1]) / w, (y + h - size[0]) / h)
        if parts[0].is_cut or over > BEYOND:
            return Presented(State.CUT, size, parts)
        return self._cut_out(frame, parts, view, State.READY if fits else State.TURNED, card)

    def _view(self, box: Rect, part: tuple[float, float, float, float]) -> tuple[Rect, bool]:
        """The view in which the part lies as in the training's pictures, and whether its shape is the same."""
        aspect = self.size[1] / self.size[0]
        by_width, by_height = box[2] / part[2], box[3] / part[3] * aspect
        wide = (by_width + by_height) / 2
        high = wide / aspect
        left = box[0] + box[2] / 2 - (part[0] + part[2] / 2) * wide
        top = box[1] + box[3] / 2 - (part[1] + part[3] / 2) * high
        return (round(left), round(top), round(wide), round(high)), abs(by_width - by_height) <= SHAPE * wide

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
