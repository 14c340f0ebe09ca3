"""What other thresholds would have done on judged pictures: the matrix, the rates with bounds, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.core.card import Bounded
from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.core.result import SEVERITY, Band, Verdict
from sightline.evaluate.inspected import Inspected, Part
from sightline.evaluate.prices import PER, Prices
from sightline.evaluate.statistics.intervals import CONFIDENCE, rate

if TYPE_CHECKING:
    from sightline.evaluate.evaluation import Evaluation

GOOD, DEFECTIVE = "good", "defective"
PPM = 1_000_000


@dataclass(frozen=True)
class Judged(Figures):
    """Pictures as an evaluation judged them, one entry each; what other thresholds would say follows from these.

    `score` is None where the picture could not be read: that is NG always. `floor` is the verdict that something else
    than the score asked for, OK where nothing did: the graver one of it and the score's counts. `unit` numbers the
    parts: pictures of one part share it. `sample` is the number of the picture in the store, None outside of one.
    """

    sample: tuple[int | None, ...]
    score: tuple[float | None, ...]
    label: tuple[str, ...]
    type: tuple[str | None, ...]
    verdict: tuple[str, ...]
    floor: tuple[str, ...]
    unit: tuple[int, ...]

    @classmethod
    def of(cls, evaluation: Evaluation, samples: Mapping[str, int]) -> Judged:
        """The pictures of an evaluation; `samples` has their numbers by the names of their files without suffix."""
        parts, band = evaluation.parts, evaluation.card.band
        units: dict[str, int] = {}
        return cls(
            sample=tuple(samples.get(part.path.stem) for part in parts),
            score=tuple(_score(part) for part in parts),
            label=tuple(DEFECTIVE if part.defective else GOOD for part in parts),
            type=tuple(next(iter(part.types), None) for part in parts),
            verdict=tuple(str(part.verdict) for part in parts),
            floor=tuple(str(_floor(part, band)) for part in parts),
            unit=tuple(units.setdefault(getattr(part, "group", None) or str(part.path), len(units)) for part in parts),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Sequence[Any]]) -> Judged:
        """What `to_json` gave."""
        return cls(**{name: tuple(values[name]) for name in cls.__dataclass_fields__})

    def verdicts(self, band: Band) -> tuple[Verdict, ...]:
        """What other thresholds would have said of each picture."""
        return tuple(
            max(Verdict(floor), band.decide(math.nan if score is None else score), key=SEVERITY.__getitem__)
            for score, floor in zip(self.score, self.floor, strict=True)
        )


@dataclass(frozen=True)
class Preview:
    """What thresholds would have done. `matrix` counts pictures by label and verdict; rates count parts, those with
    several pictures once, as an evaluation does. `review_load` is the share of production that goes to a person,
    `shipped_ppm` the defective parts in a million that are shipped; both at the defect rate of the prices.
    """

    matrix: Mapping[str, Mapping[str, int]]
    escape: Bounded
    overkill: Bounded
    review_good: Bounded
    review_defective: Bounded
    review_load: float
    shipped_ppm: float | None
    shipped_ppm_upper: float | None
    cost_per_1000: float
    cost_per_1000_upper: float
    notes: tuple[str, ...]


def preview(judged: Judged, ok: float, ng: float, prices: Prices) -> Preview:
    """What `judged` pictures would have got with OK up to `ok`, NG above `ng`, and what that costs at these prices.

    The bound of the cost takes escape and overkill each at 97.5 %, reviews as seen. Raises InputError for thresholds
    that are none.
    """
    if not (math.isfinite(ok) and math.isfinite(ng) and ok <= ng):
        raise InputError(
            f"OK up to {ok:g} and NG above {ng:g} are not valid thresholds. The first must not exceed the second"
        )
    verdicts = judged.verdicts(Band(low=ok, high=ng))
    matrix = {label: dict.fromkeys(map(str, SEVERITY), 0) for label in (GOOD, DEFECTIVE)}
    for label, verdict in zip(judged.label, verdicts, strict=True):
        matrix[label][str(verdict)] += 1
    got = {label: _by_unit(judged, verdicts, label) for label in (GOOD, DEFECTIVE)}
    escape, overkill = _rate(got[DEFECTIVE], Verdict.OK), _rate(got[GOOD], Verdict.NG)
    review_good, review_bad = (_rate(got[label], Verdict.REVIEW) for label in (GOOD, DEFECTIVE))
    bad = prices.defect_rate
    load = bad * _value(review_bad) + (1 - bad) * _value(review_good)
    shipped = (1 - bad) * sum(found == {Verdict.OK} for found in got[GOOD]) / max(1, len(got[GOOD]))

    def cost(escaped: float, overkilled: float) -> float:
        errors = bad * escaped * prices.escape + (1 - bad) * overkilled * prices.overkill
        return PER * (errors + load * (prices.review or 0.0))

    each = 1 - (1 - CONFIDENCE) / 2
    uppers = [_rate(got[DEFECTIVE], Verdict.OK, each).upper, _rate(got[GOOD], Verdict.NG, each).upper]
    return Preview(
        matrix=matrix,
        escape=escape,
        overkill=overkill,
        review_good=review_good,
        review_defective=review_bad,
        review_load=load,
        shipped_ppm=_ppm(bad * _value(escape), shipped),
        shipped_ppm_upper=_ppm(bad * escape.upper, shipped),
        cost_per_1000=cost(_value(escape), _value(overkill)),
        cost_per_1000_upper=cost(uppers[0], uppers[1]),
        notes=tuple(_notes(got)),
    )


def _score(part: Part) -> float | None:
    return part.score if isinstance(part, Inspected) and math.isfinite(part.score) else None


def _floor(part: Part, band: Band) -> Verdict:
    if not isinstance(part, Inspected):
        return Verdict.NG
    by_score = band.decide(part.score)
    return part.verdict if SEVERITY[part.verdict] > SEVERITY[by_score] else Verdict.OK


def _by_unit(judged: Judged, verdicts: Sequence[Verdict], label: str) -> list[set[Verdict]]:
    """Which verdicts the pictures of each part of a label got."""
    found: dict[int, set[Verdict]] = {}
    for unit, one, verdict in zip(judged.unit, judged.label, verdicts, strict=True):
        if one == label:
            found.setdefault(unit, set()).add(verdict)
    return list(found.values())


def _rate(got: Sequence[set[Verdict]], verdict: Verdict, confidence: float = CONFIDENCE) -> Bounded:
    return rate(sum(verdict in found for found in got), len(got), confidence)


def _value(bounded: Bounded) -> float:
    return bounded.value or 0.0


def _ppm(bad: float, good: float) -> float | None:
    return PPM * bad / (bad + good) if bad + good else None


def _notes(got: Mapping[str, Sequence[set[Verdict]]]) -> list[str]:
    notes = []
    if not got[DEFECTIVE]:
        notes.append("no defective part was judged: nothing can be said about escapes")
    if not got[GOOD]:
        notes.append("no good part was judged: nothing can be said about overkill")
    notes.append("the bounds hold for thresholds that were not chosen by looking at these parts")
    return notes
