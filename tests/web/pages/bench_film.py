"""A film of sample parts that a hand shows to a camera, with what is true of each frame, and a recipe for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Card
from sightline.core.sample import Sample
from sightline.data.sample import render
from sightline.runtime.handheld import Placement
from sightline.runtime.part_outline import find_parts
from sightline.runtime.recipe import Recipe
from sightline.store.store import Store

Pixels = NDArray[np.uint8]
HIGH, WIDE = 720, 1280
BITS, DOT_PX = 10, 14  # of a frame's number, written as squares along its upper edge
GOOD = 18


@dataclass(frozen=True)
class Hand:
    """How a part lies in a frame: its centre in px, its turn in degrees and its size beside the picture it is from."""

    x: float = WIDE / 2
    y: float = HIGH / 2
    turn: float = 0.0
    size: float = 1.0


class Part:
    """A sample part, cut out of its picture (H, W, 3), and the ground it lay on, as large as a frame."""

    def __init__(self, picture: Pixels) -> None:
        self.picture = picture
        corner = picture[:60, :60]
        row = np.hstack([corner, corner[:, ::-1]])
        tile = np.vstack([row, row[::-1]])
        self.ground = np.tile(tile, (HIGH // 120 + 1, WIDE // 120 + 1, 1))[:HIGH, :WIDE].copy()
        outline = find_parts(picture)[0]
        mask = np.zeros(picture.shape[:2], np.float32)
        cv2.drawContours(mask, [outline.contour], -1, 1.0, -1)
        self.mask = cv2.GaussianBlur(cv2.dilate(mask, np.ones((19, 19))), (0, 0), 5)
        x, y, w, h = outline.box
        self.middle, self.wide = (x + w / 2, y + h / 2), w

    def onto(self, frame: Pixels, hand: Hand) -> Pixels:
        """The frame with this part in it."""
        warp = cv2.getRotationMatrix2D(self.middle, hand.turn, hand.size)
        warp[:, 2] += (hand.x - self.middle[0], hand.y - self.middle[1])
        share = cv2.warpAffine(self.mask, warp, (WIDE, HIGH))[..., None]
        moved = cv2.warpAffine(self.picture, warp, (WIDE, HIGH))
        return np.rint(frame * (1 - share) + moved * share).astype(np.uint8)

    def shown(self, hand: Hand) -> Pixels:
        """A frame with this part alone."""
        return self.onto(self.ground, hand)


def sample_parts(count: int, defect_rate: float, seed: int = 3) -> list[Part]:
    """Bottle caps; with a defect each, or none."""
    return [Part(part.image) for part in render("cap", count, defect_rate=defect_rate, seed=seed, lots=1)]


def hands(count: int, seed: int = 7) -> Iterator[Hand]:
    """A hand that shows parts as well as hands can."""
    draw = np.random.default_rng(seed).uniform
    for _ in range(count):
        yield Hand(WIDE / 2 + draw(-200, 200), HIGH / 2 + draw(-50, 50), draw(-4, 4), draw(0.92, 1.12))


def views(parts: list[Part], folder: Path, card: Card, write: Callable[[Path, Pixels], Path]) -> list[Path]:
    """The parts as a recipe sees them, when they are shown by hand: pictures to learn from."""
    place = Placement.of(card, [part.picture for part in parts[:5]])
    files = []
    for number, (part, hand) in enumerate(zip(parts, hands(len(parts)), strict=True)):
        frame = cv2.imdecode(np.frombuffer(jpeg(part.shown(hand)), np.uint8), cv2.IMREAD_COLOR_RGB)
        picture = place.present(np.asarray(frame, np.uint8), card).picture
        assert picture is not None
        files.append(write(folder / f"{number:02}.png", picture))
    return files


def learn(store: Store, recipe: Recipe, files: list[Path], product: str = "caps") -> str:
    """Put a recipe and the pictures it has learned from into a store; its hash."""
    store.add([Sample(file, False) for file in files], product, author="ann")
    card = recipe.card.model_dump(mode="json")
    return store.recipes.register(recipe.data, product, "caps.onnx", "ann", card=card).hash


def jpeg(frame: Pixels, number: int | None = None) -> bytes:
    """A frame as JPEG, with its number in it where one is given."""
    if number is not None:
        frame = frame.copy()
        for bit in range(BITS):
            left = DOT_PX * (bit + 1)
            frame[:DOT_PX, left : left + DOT_PX] = 255 if number >> bit & 1 else 0
    return bytes(cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1])


def wander(second: float) -> Hand:
    """A hand that moves, turns and comes nearer."""
    return Hand(
        WIDE / 2 + 210 * math.sin(2.1 * second), HIGH / 2 + 60 * math.sin(3.3 * second),
        3.5 * math.sin(1.7 * second), 1 + 0.06 * math.sin(1.3 * second),
    )  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """Some frames of a film: `part` as a hand moves it, or `frame` all the time."""

    name: str
    frames: int
    frame: Pixels | None = None
    part: Part | None = None
    hand: Callable[[float], Hand] = wander


def shoot(file: Path, scenes: list[Scene], per_second: int = 30) -> list[tuple[str, Hand | None]]:
    """Write a film as motion JPEG; of each frame, the scene's name and where the part is."""
    told: list[tuple[str, Hand | None]] = []
    with file.open("wb") as film:
        for scene in scenes:
            if scene.frame is not None:
                film.write(jpeg(scene.frame) * scene.frames)
                told += [(scene.name, None)] * scene.frames
                continue
            assert scene.part is not None
            for number in range(scene.frames):
                hand = scene.hand(number / per_second)
                film.write(jpeg(scene.part.shown(hand), len(told)))
                told.append((scene.name, hand))
    assert len(told) < 2**BITS
    return told
