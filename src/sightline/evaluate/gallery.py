"""The pictures behind the figures: what lies in each cell of the confusion table, and the worst mistakes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.core.band import Verdict
from sightline.core.errors import InputError
from sightline.evaluate.evaluation import Evaluation
from sightline.evaluate.inspected import Failure, Inspected, Part
from sightline.evaluate.pictures import Scale, data_uri, thumbnail, with_heat, with_mask, with_outline
from sightline.runtime.image import Image, read_mask

PER_CELL, CELL_PX = 24, 200
WORST, CLOSEST, WORST_PX = 6, 4, 320


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
    words: str
    pictures: tuple[Picture, ...]


def cells(evaluation: Evaluation, scale: Scale) -> tuple[Cell, ...]:
    """The six cells, good parts first, OK before REVIEW before NG; the most surprising images come first."""
    order = (Verdict.OK, Verdict.REVIEW, Verdict.NG)
    return tuple(_cell(evaluation, scale, kind, verdict) for kind in (False, True) for verdict in order)


def worst_escapes(evaluation: Evaluation, scale: Scale) -> Worst:
    """Defective parts judged OK, the lowest score first."""
    return _worst(evaluation, scale, defective=True, mistaken=Verdict.OK)


def worst_overkills(evaluation: Evaluation, scale: Scale) -> Worst:
    """Good parts judged NG, the highest score first; unreadable ones are shown in their cell alone."""
    return _worst(evaluation, scale, defective=False, mistaken=Verdict.NG)


def _cell(evaluation: Evaluation, scale: Scale, defective: bool, verdict: Verdict) -> Cell:
    images = [i for i in _surprising(evaluation, defective) if i.verdict == verdict]
    failures = [f for f in evaluation.failures if f.defective == defective] if verdict is Verdict.NG else []
    shown: list[Part] = [*images, *failures]
    return Cell(
        key=f"{'defective' if defective else 'good'}-{verdict.lower()}",
        defective=defective,
        verdict=verdict,
        count=len(images) + len(failures),
        wrong=verdict is (Verdict.OK if defective else Verdict.NG),
        pictures=tuple(_small(part, scale) for part in shown[:PER_CELL]),
    )


def _worst(evaluation: Evaluation, scale: Scale, *, defective: bool, mistaken: Verdict) -> Worst:
    title, kind = ("Escapes", "defective") if defective else ("Overkills", "good")
    images = _surprising(evaluation, defective)
    mistakes = [image for image in images if image.verdict == mistaken]
    unseen = evaluation.count(mistaken, defective) - len(mistakes)
    shown = mistakes[:WORST] or images[:CLOSEST]
    verb = "were" if len(mistakes) > 1 else "was"
    words = [f"{len(mistakes) or 'None'} of {len(images)} readable {kind} parts {verb} judged {mistaken}."]
    if len(mistakes) > len(shown):
        words.append(f"The worst {len(shown)} are shown.")
    if images and not mistakes:
        words.append("These came closest to it.")
    if unseen:
        words.append(f"{unseen} more could not be read, which counts as {mistaken}.")
    return Worst(title, " ".join(words), tuple(_large(image, scale) for image in shown))


def _surprising(evaluation: Evaluation, defective: bool) -> list[Inspected]:
    """Good or defective images, those whose score fits their label least first."""
    images = [image for image in evaluation.images if image.defective == defective]
    # A score that is not a number is NG, like the highest.
    return sorted(images, key=lambda i: np.inf if np.isnan(i.score) else i.score, reverse=not defective)


def _small(part: Part, scale: Scale) -> Picture:
    if isinstance(part, Failure):
        return Picture(part.path.name, str(part.path), part.message.removeprefix(f"{part.path}: "), part.verdict)
    image = thumbnail(part.path, CELL_PX)
    if image is not None and part.verdict is not Verdict.OK:
        image = with_outline(image, part.heat, scale)
    return _picture(part, image, None)


def _large(part: Inspected, scale: Scale) -> Picture:
    image = thumbnail(part.path, WORST_PX)
    if image is None:
        return _picture(part, None, None)
    heat = with_heat(image, part.heat, scale)
    return _picture(part, image, heat if part.mask is None else _drawn(heat, part.mask))


def _drawn(image: Image, mask: Path) -> Image:
    try:
        return with_mask(image, read_mask(mask))
    except (InputError, OSError):
        return image  # the mask was there for the figures and is gone now: the heat still tells


def _picture(part: Inspected, plain: Image | None, heat: Image | None) -> Picture:
    said = [f"score {part.score:.3g}", *part.types]
    return Picture(
        name=part.path.name,
        path=str(part.path),
        caption=" · ".join(said),
        verdict=part.verdict,
        plain="" if plain is None else data_uri(plain),
        heat="" if heat is None else data_uri(heat),
    )
