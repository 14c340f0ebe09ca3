"""An explanation as one picture: the verdict and its words, the part, its heat, and what else speaks for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.evaluate.explain.lettering import BOLD, shortened, width_of, wrapped, write
from sightline.evaluate.explain.patches import Patch
from sightline.evaluate.pictures import COLOURS, STOPS, Scale, scale_of, with_heat
from sightline.runtime.image import Image
from sightline.runtime.inspection import VERDICT_RGB

if TYPE_CHECKING:
    from sightline.evaluate.explain.explanation import Explanation, Heat

WIDTH, MARGIN, GAP, COLUMNS = 1240, 40, 28, 3
COLUMN = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) // COLUMNS
MOST_HIGH = 380  # px of a panel's picture
TITLE, BODY, SMALL = 19, 17, 15  # sizes of letters, px
LEADING = 1.42  # of lines, times the letters' size
INK, MUTED, PAPER, RULE = (28, 30, 33), (98, 103, 110), (255, 255, 255), (222, 225, 229)
WORSE, BETTER = np.array((200, 40, 34)), np.array((38, 102, 190))
CLASS_SCALE = Scale(low=0.1, threshold=0.5, high=1.0)
SPOT_PX = 5


@dataclass(frozen=True, slots=True)
class Panel:
    """A titled picture (h, w, 3) uint8 with a caption; `bar` adds the scale of heat with three words under it."""

    title: str
    picture: Image = field(repr=False)
    caption: str
    bar: tuple[str, str, str] | None = None


def draw(explanation: Explanation) -> Image:
    """The picture (H, 1240, 3) uint8 RGB."""
    return np.concatenate([_head(explanation), _laid_out(_panels(explanation)), *_foot(explanation.notes)])


def _panels(explanation: Explanation) -> list[Panel]:
    seen, card = explanation.inspection, explanation.card
    scale = scale_of(card)
    image = _fitted(seen.image)
    panels = [
        Panel("The part", _outlined(image, explanation), _caption_of_part(explanation)),
        Panel(
            "Anomaly heat", with_heat(image, seen.heat, scale),
            "How unlike good parts each place is, on this recipe's scale.",
            (f"{scale.low:.2g} clear", f"{scale.threshold:.2g} outlined", f"{scale.high:.2g} hottest"),
        ),
    ]  # fmt: skip
    for name, share in explanation.class_maps.items():
        said = (
            f"Class map of the recogniser, {share.max():.0%} at its peak. The part as a whole: {seen.types[name]:.0%}."
        )
        panels.append(Panel(f"Type: {name}", with_heat(image, share, CLASS_SCALE), said, ("10 %", "50 %", "100 %")))
    if explanation.contributions is not None and explanation.quality is not None:
        words = (
            f"Share of each cell in the quality {explanation.quality:.2f} that the grade follows from; all cells add "
        )
        words += "up to it. Red: towards a worse grade, blue: towards a better one."
        panels.append(Panel("What makes the grade", _diverging(image, explanation.contributions), words))
    if explanation.attention is not None:
        words = (
            "Attention rollout of the vision transformer (Abnar and Zuidema 2020): where it looks, not what decided."
        )
        panels.append(Panel("Attention", with_heat(image, explanation.attention, _own(explanation.attention)), words))
    return panels + [_pair(patch, number) for number, patch in enumerate(explanation.patches, 1)]


def _caption_of_part(explanation: Explanation) -> str:
    high, wide = explanation.inspection.image.shape[:2]
    count = len(explanation.patches)
    marked = (
        ""
        if not count
        else " Number 1 marks"
        if count == 1
        else f" Numbers 1 {'and' if count == 2 else 'to'} {count} mark"
    )
    marked += (
        "" if not count else " the hottest point of the region." if count == 1 else " the regions' hottest points."
    )
    return f"{wide} × {high} px.{marked}"


def _fitted(image: Image) -> Image:
    """The image, as large as a panel holds."""
    high, wide = image.shape[:2]
    factor = min(COLUMN / wide, MOST_HIGH / high)
    size = (max(1, round(wide * factor)), max(1, round(high * factor)))
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC), np.uint8
    )


def _outlined(image: Image, explanation: Explanation) -> Image:
    seen, drawn = explanation.inspection, image.copy()
    scale = np.array([image.shape[1] / seen.image.shape[1], image.shape[0] / seen.image.shape[0]])
    for defect in seen.defects:
        contour = np.rint(defect.contour * scale).astype(np.int32)
        cv2.polylines(drawn, [contour], True, (255, 255, 255), 4, cv2.LINE_AA)
        cv2.polylines(drawn, [contour], True, VERDICT_RGB[seen.verdict], 2, cv2.LINE_AA)
    for number, patch in enumerate(explanation.patches, 1):
        x, y = np.rint(np.array(patch.centre) * scale).astype(int).tolist()
        x, y = int(np.clip(x, 11, image.shape[1] - 12)), int(np.clip(y, 11, image.shape[0] - 12))
        cv2.circle(drawn, (x, y), 11, (255, 255, 255), cv2.FILLED, cv2.LINE_AA)
        cv2.circle(drawn, (x, y), 11, INK, 1, cv2.LINE_AA)
        write(drawn, str(number), (x - width_of(str(number), SMALL, BOLD) // 2, y + 5), SMALL, INK, BOLD)
    return drawn


def _pair(patch: Patch, number: int) -> Panel:
    """The patch on the left, the nearest good one on the right."""
    side = (COLUMN - 8) // 2
    size = (side, side)
    canvas = np.full((side, COLUMN, 3), 244, np.uint8)
    canvas[:, :side] = cv2.resize(patch.view, size, interpolation=cv2.INTER_CUBIC)
    usual = f"Distance {patch.distance:.2f}; the median of this part's patches is {patch.usual:.2f}."
    if patch.good is None:
        text = "no picture kept"
        at = (side + 8 + (side - width_of(text, SMALL)) // 2, side // 2 + 5)
        write(canvas, text, at, SMALL, MUTED)
        return Panel(f"Patch {number}", canvas, usual)
    canvas[:, COLUMN - side :] = cv2.resize(patch.good, size, interpolation=cv2.INTER_CUBIC)
    assert patch.place is not None and patch.good_distance is not None
    where = f"Right: from {patch.source}, at {patch.place[0]:.0%} of its width and {patch.place[1]:.0%} of its height"
    closer = patch.good_distance > patch.distance + 5e-3
    where += f", the nearest that has a picture ({patch.good_distance:.2f})." if closer else "."
    return Panel(f"Patch {number} · nearest good patch", canvas, f"{usual} {where}")


def _diverging(image: Image, values: Heat) -> Image:
    """The image in grey, red where values are above 0 and blue below, strongest at the largest of either sign."""
    high, wide = image.shape[:2]
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2) * 0.6 + 255 * 0.4
    large = cv2.resize(values, (wide, high), interpolation=cv2.INTER_LINEAR)
    share = np.clip(large / max(float(np.quantile(np.abs(large), 0.995)), 1e-9), -1, 1)[..., None]
    colour = np.where(share > 0, WORSE, BETTER)
    opacity = 0.75 * np.abs(share)
    return np.asarray(np.rint(grey * (1 - opacity) + colour * opacity), np.uint8)


def _own(values: Heat) -> Scale:
    """A scale from a map's own values, for maps that have no threshold."""
    low, high = float(np.quantile(values, 0.5)), float(values.max())
    return Scale(low=low, threshold=(low + high) / 2, high=max(high, low + 1e-9))


def _head(explanation: Explanation) -> Image:
    """The verdict in its colour, the product, and the sentences."""
    seen, card = explanation.inspection, explanation.card
    lines = wrapped(" ".join(explanation.sentences), BODY + 1, WIDTH - 2 * MARGIN)
    step = round((BODY + 1) * LEADING)
    canvas = np.full((118 + step * len(lines) + 22, WIDTH, 3), 255, np.uint8)
    badge = width_of(str(seen.verdict), 30, BOLD) + 36
    cv2.rectangle(canvas, (MARGIN, 32), (MARGIN + badge, 84), VERDICT_RGB[seen.verdict], cv2.FILLED, cv2.LINE_AA)
    write(canvas, str(seen.verdict), (MARGIN + 18, 69), 30, PAPER, BOLD)
    left = MARGIN + badge + 22
    name = Path(seen.source).name or "image"
    write(canvas, shortened(card.product, 24, WIDTH - MARGIN - left, BOLD), (left, 56), 24, INK, BOLD)
    write(canvas, shortened(name, BODY, WIDTH - MARGIN - left), (left, 81), BODY, MUTED)
    for number, line in enumerate(lines):
        write(canvas, line, (MARGIN, 124 + step * number), BODY + 1, INK)
    return canvas


def _laid_out(panels: list[Panel]) -> Image:
    """Panels in columns, each below the shortest so far."""
    columns: list[list[Image]] = [[] for _ in range(COLUMNS)]
    for panel in panels:
        min(columns, key=lambda column: sum(map(len, column))).append(_drawn(panel))
    canvas = np.full((18 + max(sum(map(len, column)) for column in columns) + 10, WIDTH, 3), 255, np.uint8)
    canvas[0, MARGIN : WIDTH - MARGIN] = RULE
    for number, column in enumerate(columns):
        left, top = MARGIN + number * (COLUMN + GAP), 18
        for one in column:
            canvas[top : top + len(one), left : left + COLUMN] = one
            top += len(one)
    return canvas


def _drawn(panel: Panel) -> Image:
    """A panel (h, COLUMN, 3): title, picture, scale, caption."""
    step = round(SMALL * LEADING)
    lines = wrapped(panel.caption, SMALL, COLUMN)
    high, wide = panel.picture.shape[:2]
    bar = 0 if panel.bar is None else 36
    canvas = np.full((34 + high + bar + 8 + step * len(lines) + 22, COLUMN, 3), 255, np.uint8)
    write(canvas, shortened(panel.title, TITLE, COLUMN, BOLD), (0, 20), TITLE, INK, BOLD)
    canvas[34 : 34 + high, :wide] = panel.picture
    if panel.bar is not None:
        _draw_bar(canvas, 34 + high + 8, panel.bar)
    for number, line in enumerate(lines):
        write(canvas, line, (0, 34 + high + bar + 8 + step * (number + 1) - 5), SMALL, MUTED)
    return canvas


def _draw_bar(canvas: Image, top: int, words: tuple[str, str, str]) -> None:
    place = np.linspace(0, 1, COLUMN)
    colour = np.stack([np.interp(place, STOPS, channel) for channel in zip(*COLOURS, strict=True)], axis=-1)
    strength = np.clip(place * 2, 0.15, 1.0)[:, None]  # below the threshold, heat is laid on thinly
    canvas[top : top + 8] = np.rint(colour * strength + 255 * (1 - strength)).astype(np.uint8)
    for word, share in zip(words, (0.0, 0.5, 1.0), strict=True):
        write(canvas, word, (round(share * (COLUMN - width_of(word, SMALL - 1))), top + 25), SMALL - 1, MUTED)


def _foot(notes: tuple[str, ...]) -> Iterable[NDArray[np.uint8]]:
    if not notes:
        return
    lines = [line for note in notes for line in wrapped(f"{note}.", SMALL, WIDTH - 2 * MARGIN)]
    step = round(SMALL * LEADING)
    canvas = np.full((20 + step * len(lines) + 22, WIDTH, 3), 255, np.uint8)
    canvas[0, MARGIN : WIDTH - MARGIN] = RULE
    for number, line in enumerate(lines):
        write(canvas, line, (MARGIN, 32 + step * number), SMALL, MUTED)
    yield canvas
