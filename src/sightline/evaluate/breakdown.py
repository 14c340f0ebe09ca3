"""Figures for each defect type on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sightline.core.band import Verdict
from sightline.core.card import Bounded
from sightline.evaluate.bounds import rate, share
from sightline.evaluate.inspected import Failure, Inspected, Part
from sightline.evaluate.metrics import image_auroc

UNNAMED = "(no type given)"


@dataclass(frozen=True, slots=True)
class TypeFigures:
    """One defect type: how many of its parts were judged OK, and how well it is told from good parts.

    `escapes.of` counts the parts that show this type, unreadable images (NG) among them; `review` counts
    those left to a person; `auroc` is None where no good part or no part of this type was scored.
    """

    name: str
    escapes: Bounded
    review: int
    auroc: float | None

    def to_json(self) -> dict[str, Any]:
        """The figures as one flat JSON object."""
        return {
            "type": self.name,
            "count": self.escapes.of,
            "escaped": self.escapes.count,
            "escape": share(self.escapes),
            "escape_upper": self.escapes.upper,
            "review": self.review,
            "auroc": self.auroc,
        }


def by_type(images: Sequence[Inspected], failures: Sequence[Failure]) -> tuple[TypeFigures, ...]:
    """Figures per defect type, by name; a part with several types counts for each of them."""
    parts: tuple[Part, ...] = (*images, *failures)
    names = {name for part in parts if part.defective for name in part.types or (UNNAMED,)}
    good = [image.score for image in images if not image.defective]
    return tuple(_figures(name, images, failures, good) for name in sorted(names))


def _figures(name: str, images: Sequence[Inspected], failures: Sequence[Failure], good: list[float]) -> TypeFigures:
    shown = [image for image in images if image.defective and name in (image.types or (UNNAMED,))]
    failed = [failure for failure in failures if failure.defective and name in (failure.types or (UNNAMED,))]
    verdicts = [image.verdict for image in shown]
    scores = [image.score for image in shown]
    return TypeFigures(
        name=name,
        escapes=rate(verdicts.count(Verdict.OK), len(shown) + len(failed)),
        review=verdicts.count(Verdict.REVIEW),
        auroc=image_auroc(good + scores, [False] * len(good) + [True] * len(scores)),
    )
