"""Letters on pictures: OpenCV 5's own outline font, and its stroke font where an older OpenCV is installed."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2

from sightline.runtime.image import Image

Colour = tuple[int, int, int]
REGULAR, BOLD = 400, 650
STROKE_PX = 29  # height in px of a stroke letter at scale 1
PLAIN = str.maketrans({"–": "-", "×": "x", "≥": ">=", "≤": "<=", "²": "2", "…": "..."})  # what strokes lack


def write(canvas: Image, text: str, at: tuple[int, int], size: int, colour: Colour, weight: int = REGULAR) -> None:
    """Write `text` with its baseline's left end at `at` (x, y) px; `size` is the font's height in px."""
    face = _face()
    if face is None:
        plain, thick = text.translate(PLAIN), 2 if weight > REGULAR else 1
        cv2.putText(canvas, plain, at, cv2.FONT_HERSHEY_SIMPLEX, size / STROKE_PX, colour, thick, cv2.LINE_AA)
        return
    cv2.putText(canvas, text, at, colour, face, size, weight)


def width_of(text: str, size: int, weight: int = REGULAR) -> int:
    """Width of `text` in px."""
    face = _face()
    if face is None:
        thick = 2 if weight > REGULAR else 1
        return int(cv2.getTextSize(text.translate(PLAIN), cv2.FONT_HERSHEY_SIMPLEX, size / STROKE_PX, thick)[0][0])
    found: Any = cv2.getTextSize((0, 0), text, (0, 0), face, size, weight)
    return int(found[2])


def wrapped(text: str, size: int, width: int, weight: int = REGULAR) -> list[str]:
    """The text in lines of at most `width` px; a longer word is cut off with "…"."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(shortened(word, size, width, weight))
    return lines


def shortened(text: str, size: int, width: int, weight: int = REGULAR) -> str:
    """The text, its end replaced by "…" where it is wider than `width` px."""
    if width_of(text, size, weight) <= width:
        return text
    kept = len(text)
    while kept > 1 and width_of(text[:kept] + "…", size, weight) > width:
        kept -= 1
    return text[:kept] + "…"


@cache
def _face() -> Any:
    return cv2.FontFace("sans") if hasattr(cv2, "FontFace") else None
