"""The pictures behind the figures: what lies in each cell of the confusion table, and the worst mistakes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.result import SEVERITY, Verdict
from sightline.evaluate.evaluation import Evaluation
from sightline.evaluate.inspected import Failure, Inspected, Part
from sightline.imaging.image import Image, find_full_scale, read_image
from sightline.imaging.mask import Marks, marked_pixels
from sightline.runtime.drawing import Scale, draw_outlines, with_heat
from sightline.runtime.inspection import find_defects

PER_CELL, CELL_PX = 24, 200
WORST, CLOSEST, WORST_PX = 6, 4, 320
QUALITY = 80  # WebP; artefacts stay below what a defect looks like at this size
OUTLINE_RGB = (214, 40, 40)  # what the recipe found
LABEL_RGB, DARK_RGB = (120, 235, 255), (0, 0, 0)  # what a person drew


@dataclass(frozen=True, slots=True)
class Picture:
    """One image in the report: `plain` is its picture, `heat` the same with heat; "" where there is none."""

    name: str
    path: str
    caption: str
    verdict: Verdict
    plain: str = ""
    heat: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the confusion table: `count` parts, `pictures` of some; `wrong` if there should be none."""

    key: str
    defective: bool
    verdict: Verdict
    count: int
    wrong: bool
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst mistakes of one kind; where there was none, the parts that came closest to one."""

    title: str
    text: str
    pictures: tuple[Picture, ...]


def cells(evaluation: Evaluation, scale: Scale) -> tuple[Cell, ...]:
    """The six cells, good parts first, OK before REVIEW before NG; the most surprising images come first."""
    return tuple(_cell(evaluation, scale, kind, verdict) for kind in (False, True) for verdict in SEVERITY)


def worst_escapes(evaluation: Evaluation, scale: Scale) -> Worst:
    """Defective parts judged OK, the lowest score first."""
    return _worst(evaluation, scale, defective=True, mistaken=Verdict.OK)


def worst_overkills(evaluation: Evaluation, scale: Scale) -> Worst:
    """Good parts judged NG, the highest score first; unreadable ones are shown in their cell alone."""
    return _worst(evaluation, scale, defective=False, mistaken=Verdict.NG)


def _cell(evaluation: Evaluation, scale: Scale, defective: bool, verdict: Verdict) -> Cell:
    images = [i for i in _surprising(evaluation, defective) if i.verdict == verdict]
    failures = [f for f in evaluation.failures if f.defective == defective] if verdict is Verdict.NG else []
    chosen: list[Part] = [*images, *failures]
    return Cell(
        key=f"{'defective' if defective else 'good'}-{verdict.lower()}",
        defective=defective,
        verdict=verdict,
        count=len(images) + len(failures),
        wrong=verdict is (Verdict.OK if defective else Verdict.NG),
        pictures=tuple(_small(part, scale) for part in chosen[:PER_CELL]),
    )


def _worst(evaluation: Evaluation, scale: Scale, *, defective: bool, mistaken: Verdict) -> Worst:
    title, kind = ("Escapes", "defective") if defective else ("Overkills", "good")
    images = _surprising(evaluation, defective)
    mistakes = [image for image in images if image.verdict == mistaken]
    unreadable = evaluation.count(mistaken, defective) - len(mistakes)
    chosen = mistakes[:WORST] or images[:CLOSEST]
    verb = "were" if len(mistakes) > 1 else "was"
    text = [f"{len(mistakes) or 'None'} of {len(images)} readable {kind} parts {verb} judged {mistaken}."]
    if len(mistakes) > len(chosen):
        text.append(f"The worst {len(chosen)} are shown.")
    if images and not mistakes:
        text.append("These came closest to it.")
    if unreadable:
        text.append(f"{unreadable} more could not be read, which counts as {mistaken}.")
    return Worst(title, " ".join(text), tuple(_large(image, scale) for image in chosen))


def _surprising(evaluation: Evaluation, defective: bool) -> list[Inspected]:
    """Good or defective images, those whose score fits their label least first."""
    images = [image for image in evaluation.images if image.defective == defective]
    # A score that is not a number is NG, like the highest.
    return sorted(images, key=lambda i: np.inf if np.isnan(i.score) else i.score, reverse=not defective)


def _small(part: Part, scale: Scale) -> Picture:
    if isinstance(part, Failure):
        return Picture(short_name(part.path), str(part.path), part.message.removeprefix(f"{part.path}: "), part.verdict)
    image = thumbnail(part.path, CELL_PX)
    if image is not None and part.verdict is not Verdict.OK:
        image = with_outline(image, part.heat, scale)
    return _picture(part, image, None)


def _large(part: Inspected, scale: Scale) -> Picture:
    image = thumbnail(part.path, WORST_PX)
    if image is None:
        return _picture(part, None, None)
    heat = with_heat(image, part.heat, scale)
    return _picture(part, image, heat if part.mask is None else _with_true_outline(heat, part.mask, part.size))


def _with_true_outline(image: Image, marks: Marks, size: tuple[int, int]) -> Image:
    try:
        return with_mask(image, marked_pixels(marks, size))
    except (InputError, OSError):
        return image  # the mask was there for the figures and is gone now: the heat still tells


def _picture(part: Inspected, plain: Image | None, heat: Image | None) -> Picture:
    text = [f"score {part.score:.3g}", *part.types, *([part.reason] if part.reason else [])]
    return Picture(
        name=short_name(part.path),
        path=str(part.path),
        caption=" · ".join(text),
        verdict=part.verdict,
        plain="" if plain is None else data_uri(plain),
        heat="" if heat is None else data_uri(heat),
    )


def short_name(path: Path) -> str:
    """A file with the folder that it lies in: cameras number from 0 in every folder."""
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def thumbnail(path: Path, longest: int) -> Image | None:
    """The image (h, w, 3) uint8 RGB, its longer side at most `longest` px; None if it cannot be read."""
    try:
        image, _ = read_image(path, find_full_scale([path])[0])  # to look at: its own scale does
    except (InputError, OSError):
        return None
    height, width = image.shape[:2]
    factor = min(1.0, longest / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def with_outline(image: Image, heat: NDArray[np.float32], scale: Scale) -> Image:
    """The image with the outlines that an operator sees for this heat grid (h, w)."""
    height, width = image.shape[:2]
    cell_px = max(width / heat.shape[1], height / heat.shape[0])
    found = find_defects(heat, (height, width), scale.threshold)
    outlined = np.ascontiguousarray(image)
    draw_outlines(outlined, [defect.contour for defect in found], cell_px, OUTLINE_RGB)
    return outlined


def with_mask(image: Image, mask: NDArray[np.bool_]) -> Image:
    """The image with the outline of a mask (H, W) bool of any size, as a person has drawn the defect."""
    height, width = image.shape[:2]
    marked = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.0
    contours, _ = cv2.findContours(marked.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outlined = np.ascontiguousarray(image)
    cv2.drawContours(outlined, contours, -1, DARK_RGB, 3, cv2.LINE_AA)
    cv2.drawContours(outlined, contours, -1, LABEL_RGB, 1, cv2.LINE_AA)
    return outlined


def data_uri(image: Image) -> str:
    """The image (h, w, 3) uint8 RGB as a WebP data URI."""
    done, data = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise InputError("The report's pictures cannot be written as WebP. Reinstall opencv-python-headless.")
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
