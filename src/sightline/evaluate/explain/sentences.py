"""An explanation in plain words: score against thresholds, what the p-value rests on, where, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.core.card import Card
from sightline.core.result import SEVERITY, Band, Defect, Verdict
from sightline.runtime.inspection import UNKNOWN, Inspection

ACROSS, DOWN = ("left", "middle", "right"), ("upper", "middle", "lower")


@dataclass(frozen=True)
class Facts:
    """What is put into words: the inspection, the highest type logit and its verdict, and the types that are named
    (None where the recipe knows none).
    """

    inspection: Inspection
    type_logit: float | None
    types_verdict: Verdict
    names: tuple[str, ...] | None


def sentences(card: Card, facts: Facts) -> tuple[str, ...]:
    """The explanation, one sentence after another."""
    inspection = facts.inspection
    own = Verdict.REVIEW if card.without_good else card.band.decide(inspection.score)
    if card.without_good:
        found = [_without_good(card, inspection)]
    else:
        found = [f"{inspection.verdict}: the anomaly score {inspection.score:.2f} {_against(card.band, own)}."]
    if facts.type_logit is not None and SEVERITY[facts.types_verdict] > SEVERITY[own]:
        assert card.recognition is not None and card.recognition.band is not None
        found.append(
            f"The graver verdict comes from the known types: the evidence for one of them, {facts.type_logit:.2f}, "
            f"{_against(card.recognition.band, facts.types_verdict)}."
        )
    elif inspection.reason:
        found.append(f"{inspection.reason[0].upper()}{inspection.reason[1:]}.")
    kind, count = ("known", card.calibration.known) if card.without_good else ("good", card.calibration.good)
    found.append(_p_value(inspection.p_value, count, f"{kind} parts"))
    if inspection.defects:
        found.append(_region(inspection))
    found += _types(facts, card)
    if inspection.grade is not None:
        found.append(f"Grade {inspection.grade} of 0 (best) to {len(card.grades) - 1}.")
    return tuple(found)


def _without_good(card: Card, inspection: Inspection) -> str:
    """What the score means where no good part was learned from."""
    like = "at most" if inspection.score <= card.band.high else "above"
    means = (
        "it looks like the known parts"
        if inspection.score <= card.band.high
        else "it looks like none of the known parts"
    )
    return (
        f"{inspection.verdict}: the score {inspection.score:.2f} is {like} the limit {card.band.high:.2f}, so {means}. "
        "This recipe was made without good parts and never says OK."
    )


def _against(band: Band, verdict: Verdict) -> str:
    limits = f"OK is up to {band.low:.2f}, NG above {band.high:.2f}"
    if verdict is Verdict.OK:
        return f"is not above the OK limit ({limits})"
    return f"lies above the NG limit ({limits})" if verdict is Verdict.NG else f"lies between the limits ({limits})"


def _p_value(p: float, held_out: int, what: str) -> str:
    """A conformal p-value is (1 + parts that score at least as high) / (1 + parts)."""
    higher = max(0, round(p * (held_out + 1)) - 1)
    reached = "none" if higher == 0 else f"{higher:,}"
    least = f"; with {held_out:,} parts it cannot fall below {1 / (held_out + 1):.3f}" if higher == 0 else ""
    return f"Of {held_out:,} held-out {what}, {reached} scored as high: p-value {p:.3f}{least}."


def _region(inspection: Inspection) -> str:
    high, wide = inspection.image.shape[:2]
    first, count = inspection.defects[0], len(inspection.defects)
    x, y, w, h = first.box
    area = f"{first.area_px / (high * wide):.2%} of the image"
    area += "" if first.area_mm2 is None else f", {first.area_mm2:.2f} mm²"
    which = "The region" if count == 1 else f"The hottest of {count} regions"
    where = f"the {_where(first, high, wide)}, its upper left corner at ({x}, {y})"
    return f"{which} measures {w} x {h} px ({area}) at {where}."


def _where(defect: Defect, high: int, wide: int) -> str:
    x, y, w, h = defect.box
    column = ACROSS[min(2, int(3 * (x + w / 2) / wide))]
    row = DOWN[min(2, int(3 * (y + h / 2) / high))]
    return "middle" if row == column == "middle" else f"{row} {column}"


def _types(facts: Facts, card: Card) -> list[str]:
    inspection = facts.inspection
    if facts.names is None:
        return []
    if facts.names:
        types = " and ".join(f"{name} ({inspection.types[name]:.0%})" for name in facts.names)
        found = [f"The part is named {types}{_errors(facts.names[0], card)}."]
    elif inspection.verdict is Verdict.OK:
        return ["No known type is named."]
    else:
        best = max(inspection.types, key=lambda name: inspection.types[name])
        found = [
            f"The part as a whole is named no known type; the likeliest is {best} with {inspection.types[best]:.0%}."
        ]
    unknown = sum(defect.type == UNKNOWN for defect in inspection.defects)
    if unknown:
        count = "1 region is" if unknown == 1 else f"{unknown} regions are"
        found.append(f"{count} unknown: like no good part and like no known type.")
    return found


def _errors(name: str, card: Card) -> str:
    held_out = {} if card.recognition is None else card.recognition.held_out
    if name not in held_out:
        return ""
    missed = held_out[name]
    return f"; of {missed.of} held-out parts of that type {missed.of - missed.count} were named so"
