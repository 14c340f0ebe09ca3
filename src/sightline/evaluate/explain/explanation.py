"""An explanation: why a part got its verdict, in values, as JSON and as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Card
from sightline.evaluate.explain.inner_values import Patch
from sightline.imaging.image import Image
from sightline.runtime.drawing import (
    BOLD,
    REGULAR,
    Colour,
    Scale,
    draw_outlines,
    scale_of,
    width_of,
    with_heat,
    wrapped,
    write,
)
from sightline.runtime.inspection import VERDICT_RGB, Inspection, Overlay

Heat = NDArray[np.float32]

WIDTH, MARGIN, GAP, COLUMNS = 1240, 40, 28, 3
COLUMN = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) // COLUMNS
MAX_HIGH = 380  # px of a panel's picture
HEADING, BODY, TITLE, SMALL = 26, 18, 17, 15  # sizes of letters, px
INK, MUTED, PAPER = (28, 30, 33), (98, 103, 110), (255, 255, 255)
WORSE, BETTER = np.array((200, 40, 34)), np.array((38, 102, 190))
CLASS_SCALE = Scale(low=0.1, threshold=0.5, high=1.0)


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a part got its verdict.

    `inspection` is the verdict itself, `sentences` say it in plain words. `patches` are its most suspicious places,
    each beside the nearest good patch. `class_maps` by type (h, w) float32 0..1 over the image: the classifier's own
    class map. `contributions` (h, w) float32 over the image is each cell's exact share of `quality`, which the grade
    follows from. `attention` (h, w) float32 over the image is the rollout of a vision transformer's attention. What
    does not exist is None or empty, and `notes` say why.
    """

    inspection: Inspection
    card: Card
    sentences: tuple[str, ...]
    patches: tuple[Patch, ...] = ()
    class_maps: Mapping[str, Heat] = field(default_factory=dict, repr=False)
    contributions: Heat | None = field(default=None, repr=False)
    quality: float | None = None
    attention: Heat | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    def picture(self) -> Overlay:
        """Everything on one picture."""
        return Overlay(_draw(self))

    def to_json(self) -> dict[str, Any]:
        """The result of the inspection with the explanation in words and numbers, as plain JSON values."""
        return {
            **self.inspection.to_json(),
            "explanation": " ".join(self.sentences),
            "patches": [patch.to_json() for patch in self.patches],
            "class_maps": list(self.class_maps),
            "quality": None if self.quality is None else round(self.quality, 4),
            "notes": list(self.notes),
        }


def _draw(explanation: Explanation) -> Image:
    """The picture (H, 1240, 3) uint8 RGB: verdict, sentences, panels in columns, notes."""
    inspection, wide = explanation.inspection, WIDTH - 2 * MARGIN
    heading = f"{inspection.verdict} · {explanation.card.product} · {Path(inspection.source).name or 'image'}"
    columns: list[list[Image]] = [[] for _ in range(COLUMNS)]
    for panel in _panels(explanation):
        min(columns, key=lambda column: sum(map(len, column))).append(panel)
    sheet = np.full((max(sum(map(len, column)) for column in columns), wide, 3), 255, np.uint8)
    for number, column in enumerate(columns):
        if column:
            left, stack = number * (COLUMN + GAP), np.concatenate(column)
            sheet[: len(stack), left : left + COLUMN] = stack
    rows = [_text(heading, wide, HEADING, VERDICT_RGB[inspection.verdict], BOLD)]
    rows += [_text(" ".join(explanation.sentences), wide, BODY), sheet]
    rows += [_text(f"{note}.", wide, SMALL, MUTED) for note in explanation.notes]
    return _framed(np.concatenate(rows), MARGIN, MARGIN)


def _framed(image: Image, below: int, right: int, above: int = MARGIN, left: int = MARGIN) -> Image:
    bordered = cv2.copyMakeBorder(image, above, below, left, right, cv2.BORDER_CONSTANT, value=PAPER)
    return np.asarray(bordered, np.uint8)


def _text(text: str, width: int, size: int, colour: Colour = INK, weight: int = REGULAR) -> Image:
    """The text (h, width, 3), broken into lines, with room below."""
    lines, step = wrapped(text, size, width, weight), round(1.42 * size)
    canvas = np.full((step * len(lines) + size, width, 3), 255, np.uint8)
    for number, line in enumerate(lines, 1):
        write(canvas, line, (0, step * number - step // 4), size, colour, weight)
    return canvas


def _panel(title: str, picture: Image, caption: str) -> Image:
    """A picture (h, w, 3) with a title above and a caption below, as wide as a column."""
    framed = _framed(picture, 6, COLUMN - picture.shape[1], 0, 0)
    title_rows = _text(title, COLUMN, TITLE, weight=BOLD)[: -TITLE // 2]
    return np.concatenate([title_rows, framed, _text(caption, COLUMN, SMALL, MUTED)])


def _panels(explanation: Explanation) -> list[Image]:
    inspection, scale = explanation.inspection, scale_of(explanation.card)
    high, wide = inspection.image.shape[:2]
    factor = min(COLUMN / wide, MAX_HIGH / high)
    size = (max(1, round(wide * factor)), max(1, round(high * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    image = np.asarray(cv2.resize(inspection.image, size, interpolation=method), np.uint8)
    caption = f"{wide} × {high} px." + " Numbers mark the hottest points." * bool(explanation.patches)
    panels = [_panel("The part", _outlined(image, explanation, factor), caption)]
    caption = f"How unlike good parts it is, on this recipe's own scale: clear up to {scale.low:.2g}, "
    caption += f"yellow and outlined at {scale.threshold:.2g}, red from {scale.high:.2g} on."
    panels.append(_panel("Anomaly heat", with_heat(image, inspection.heat, scale), caption))
    for name, share in explanation.class_maps.items():
        caption = f"Class map of the classifier, yellow at 50 %: {share.max():.0%} at its peak. "
        caption += f"The part as a whole: {inspection.types[name]:.0%}."
        panels.append(_panel(f"Type: {name}", with_heat(image, share, CLASS_SCALE), caption))
    if explanation.contributions is not None:
        caption = f"Share of each cell in the quality {explanation.quality:.2f} that the grade follows from; all cells "
        caption += "add up to it. Red: towards a worse grade, blue: towards a better one."
        panels.append(_panel("What makes the grade", _diverging(image, explanation.contributions), caption))
    if explanation.attention is not None:
        low, top = float(np.quantile(explanation.attention, 0.5)), float(explanation.attention.max())
        own = Scale(low=low, threshold=(low + top) / 2, high=max(top, low + 1e-9))
        caption = (
            "Attention rollout of the vision transformer (Abnar and Zuidema 2020): where it looks, not what decided."
        )
        panels.append(_panel("Attention", with_heat(image, explanation.attention, own), caption))
    return panels + [_beside_good(patch, number) for number, patch in enumerate(explanation.patches, 1)]


def _outlined(image: Image, explanation: Explanation, factor: float) -> Image:
    """The image with its regions outlined and its patches numbered."""
    inspection, canvas = explanation.inspection, image.copy()
    contours = [np.rint(defect.contour * factor).astype(np.int32) for defect in inspection.defects]
    cell_px = max(image.shape[1] / inspection.heat.shape[1], image.shape[0] / inspection.heat.shape[0])
    draw_outlines(canvas, contours, cell_px, VERDICT_RGB[inspection.verdict])
    size = image.shape[1::-1]
    for number, patch in enumerate(explanation.patches, 1):
        x, y = (int(np.clip(round(at * factor), 11, side - 12)) for at, side in zip(patch.centre, size, strict=True))
        cv2.circle(canvas, (x, y), 11, PAPER, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(canvas, (x, y), 11, INK, 1, cv2.LINE_AA)
        write(canvas, str(number), (x - width_of(str(number), SMALL, BOLD) // 2, y + 5), SMALL, INK, BOLD)
    return canvas


def _beside_good(patch: Patch, number: int) -> Image:
    """The patch on the left, the nearest good one that has a picture on the right."""
    side = (COLUMN - 8) // 2
    pair = np.full((side, COLUMN, 3), 244, np.uint8)
    pair[:, :side] = cv2.resize(patch.view, (side, side), interpolation=cv2.INTER_CUBIC)
    caption = f"Distance {patch.distance:.2f}; the median of this part's patches is {patch.typical:.2f}."
    if patch.good is None or patch.place is None or patch.good_distance is None:
        return _panel(f"Patch {number}", pair, f"{caption} No picture of a good patch is kept.")
    pair[:, COLUMN - side :] = cv2.resize(patch.good, (side, side), interpolation=cv2.INTER_CUBIC)
    across, down = patch.place
    caption += f" Right: from {patch.source}, at {across:.0%} of its width and {down:.0%} of its height"
    if patch.good_distance > patch.distance + 5e-3:
        caption += f", the nearest that has a picture ({patch.good_distance:.2f})"
    return _panel(f"Patch {number} · nearest good patch", pair, f"{caption}.")


def _diverging(image: Image, values: Heat) -> Image:
    """The image in grey, red where values are above 0 and blue below, strongest at the largest of either sign."""
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2) * 0.6 + 255 * 0.4
    large = cv2.resize(values, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    share = np.clip(large / max(float(np.quantile(np.abs(large), 0.995)), 1e-9), -1, 1)[..., None]
    opacity = 0.75 * np.abs(share)
    return np.asarray(np.rint(grey * (1 - opacity) + np.where(share > 0, WORSE, BETTER) * opacity), np.uint8)
