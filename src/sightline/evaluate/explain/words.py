"""An explanation in plain words: score against thresholds, what the p-value rests on, where, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.core.band import Band, Verdict
from sightline.core.card import Card
from sightline.core.result import Defect
from sightline.runtime.inspection import Inspection
from sightline.runtime.recognition import SEVERITY, UNKNOWN

ACROSS, DOWN = ("left", "middle", "right"), ("upper", "middle", "lower")


@dataclass(frozen=True)
class Said:
    """What is put into words: the inspection, the highest type logit and its verdict, and the types that are named
    (None where the recipe knows none).
    """

    inspection: Inspection
    evidence: float | None
    types_say: Verdict
    names: tuple[str, ...] | None


def sentences(card: Card, said: Said) -> tuple[str, ...]:
    """The explanation, one sentence after another."""
    seen = said.inspection
    own = Verdict.REVIEW if card.without_good else card.band.decide(seen.score)
    if card.without_good:
        found = [_without_good(card, seen)]
    else:
        found = [f"{seen.verdict}: the anomaly score {seen.score:.2f} {_against(card.band, own)}."]
    if said.evidence is not None and SEVERITY[said.types_say] > SEVERITY[own]:
        assert card.recognition is not None and card.recognition.band is not None
        found.append(
            f"The graver word comes from the known types: the evidence for one of them, {said.evidence:.2f}, "
            f"{_against(card.recognition.band, said.types_say)}."
        )
    kind, count = ("known", card.calibration.known) if card.without_good else ("good", card.calibration.good)
    found.append(_p_value(seen.p_value, count, f"{kind} parts"))
    if seen.defects:
        found.append(_places(seen))
    found += _types(said, card)
    if seen.grade is not None:
        found.append(f"Grade {seen.grade} of 0 (best) to {len(card.grades) - 1}.")
    return tuple(found)


def _without_good(card: Card, seen: Inspection) -> str:
    """What the score means where no good part was learned from."""
    like = "at most" if seen.score <= card.band.high else "above"
    means = "it looks like the known parts" if seen.score <= card.band.high else "it looks like none of the known parts"
    return (
        f"{seen.verdict}: the score {seen.score:.2f} is {like} the limit {card.band.high:.2f}, so {means}. This recipe "
        "was made without good parts and never says OK."
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


def _places(seen: Inspection) -> str:
    high, wide = seen.image.shape[:2]
    first, count = seen.defects[0], len(seen.defects)
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


def _types(said: Said, card: Card) -> list[str]:
    seen = said.inspection
    if said.names is None:
        return []
    if said.names:
        known = " and ".join(f"{name} ({seen.types[name]:.0%})" for name in said.names)
        found = [f"The part is named {known}{_errors(said.names[0], card)}."]
    elif seen.verdict is Verdict.OK:
        return ["No known type is named."]
    else:
        best = max(seen.types, key=lambda name: seen.types[name])
        found = [f"The part as a whole is named no known type; the likeliest is {best} with {seen.types[best]:.0%}."]
    strange = sum(defect.type == UNKNOWN for defect in seen.defects)
    if strange:
        places = "1 region is" if strange == 1 else f"{strange} regions are"
        found.append(f"{places} unknown: like no good part and like no known type.")
    return found


def _errors(name: str, card: Card) -> str:
    held_out = {} if card.recognition is None else card.recognition.held_out
    if name not in held_out:
        return ""
    missed = held_out[name]
    return f"; of {missed.of} held-out parts of that type {missed.of - missed.count} were named so"
