"""Commonality analysis: what parts that are not OK share and others do not: a lot, a type, a place in the picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.core.result import Verdict
from sightline.evaluate.statistics import binomial
from sightline.evaluate.statistics.intervals import upper_bound
from sightline.store.inspections import Record

DOUBT = 0.01  # of calling anything common that is not
LEAST = 3  # parts
THIRDS = (("top", "middle", "bottom"), ("left", "centre", "right"))


@dataclass(frozen=True, slots=True)
class Common:
    """What `count` of `of` parts share. `kind`: lot, type, or place; `usual`: the share of other parts, as high as it
    may be by its exact 95 % bound.
    """

    kind: str
    value: str
    count: int
    of: int
    usual: float


def find_common(parts: Sequence[Record], beside: Sequence[Record], before: Sequence[Record]) -> tuple[Common, ...]:
    """What parts have in common, the most surprising first.

    `beside` are the OK parts of the same time, with which lots are compared: a lot may be all that ran.
    `before` are earlier parts that were not OK, with whose types and places theirs are compared. Something is in
    common where the lower bound of its share lies above the upper bound of its share among the others; with all
    candidates together, the probability of naming one that is not is 1 % and that of the others' bound.
    """
    kinds: tuple[tuple[str, Callable[[Record], Iterator[str]], Sequence[Record]], ...] = (
        ("lot", _lots, beside),
        ("type", _types, before),
        ("place", _places, before),
    )
    found = []
    for kind, read, others in kinds:
        counts = Counter(value for part in parts for value in set(read(part)))
        elsewhere = Counter(value for part in others for value in set(read(part)))
        for value, count in counts.items():
            if count < LEAST or not others:
                continue
            usual = upper_bound(elsewhere[value], len(others))
            least = binomial.lower(count, len(parts), DOUBT / len(counts))
            if least > usual:
                found.append((least - usual, Common(kind, value, count, len(parts), usual)))
    return tuple(common for _, common in sorted(found, key=lambda one: -one[0]))


def _lots(part: Record) -> Iterator[str]:
    if part.lot:
        yield part.lot


def _types(part: Record) -> Iterator[str]:
    for view in _views(part):
        yield from (str(defect["type"]) for defect in view.get("defects") or () if defect.get("type"))


def _places(part: Record) -> Iterator[str]:
    """The ninths of a view in which the middles of its defects lie."""
    for view in _views(part):
        size = view.get("size")
        for defect in view.get("defects") or ():
            box = defect.get("box")
            if size and box and min(size) > 0:
                middle = [box[axis] + box[axis + 2] / 2 for axis in (0, 1)]
                column, row = (min(2, max(0, int(3 * at / side))) for at, side in zip(middle, size, strict=True))
                yield f"{view.get('view', 'view')}: {THIRDS[0][row]} {THIRDS[1][column]}"


def _views(part: Record) -> Iterator[dict[str, Any]]:
    """Views that were not OK: what is marked in others says nothing."""
    views = part.details.get("views")
    for view in views if isinstance(views, list) else ():
        if isinstance(view, dict) and view.get("verdict") != str(Verdict.OK):
            yield view
