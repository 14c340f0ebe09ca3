"""A pilot's record as a document: what it began with, how it stood at its end, and what was decided."""

from __future__ import annotations

from typing import Any

from sightline.improve.documents.document import Bar, Block, Chart, Document, Rows, Section, said
from sightline.improve.documents.signed import signed_by
from sightline.store.records import Record, Signature

GOOD = {"scale": True, "redesign": None, "stop": False}


def pilot_document(record: Record, signatures: tuple[Signature, ...]) -> Document:
    """The report of a pilot's beginning or end."""
    content = record.content
    ended = content.get("decision")
    sections = [Section("What was agreed", tuple(_agreed(content)))]
    if ended:
        sections.append(Section("Evidence", tuple(_evidence(content))))
    sections += signed_by(record, signatures)
    footer = f"record {record.id}, SHA-256 {record.hash}, Sightline {content['software']}"
    if not ended:
        met = all(one["met"] for one in content["criteria"])
        told = (
            "Every entry criterion is met." if met else f"Begun although not every criterion is met: {content['note']}"
        )
        return Document(record.title, "Pilot begun", True if met else None, told, tuple(sections), footer)
    note = f" {content['note']}" if content["note"] else ""
    sentence = f"{content['sentence']} Advice: {content['standing']['advice']} ({content['standing']['why']}).{note}"
    return Document(record.title, f"Decision: {ended}", GOOD[ended], sentence, tuple(sections), footer)


def _agreed(content: Any) -> list[Block]:
    targets, prices = content["targets"], content["targets"]["prices"]
    shadow = content.get("shadow")
    recipe = f"{shadow[:12]}, in shadow: the machine does not hear it" if shadow else "the one in use at the station"
    facts = [
        ("Station", content["station"]), ("Recipe", recipe), ("Escapes at most", said(targets["escape"])),
        ("Overkill at most", said(targets["overkill"])), ("REVIEW at most", said(targets["review"])),
        ("Parts at least", f"{targets['parts']:,}"),
        ("Prices", f"escape {prices['escape']:g}, overkill {prices['overkill']:g}, review {prices['review'] or 0:g}, "
                   f"stop of the line {prices.get('stop', 0):g}; "
                   f"{said(prices['defect_rate'])} defective parts expected"),
    ]  # fmt: skip
    criteria = tuple((one["name"], "met" if one["met"] else "not met", one["why"]) for one in content["criteria"])
    return [Rows(("", ""), tuple(facts), (1, 3)), Rows(("Entry criterion", "", "Why"), criteria, (1.3, 0.5, 2.2))]


def _evidence(content: Any) -> list[Block]:
    standing, rates = content["standing"], content["rates"]
    rows = tuple(
        (
            one["verdict"] + (f" (in use: {one['active']})" if "active" in one else ""),
            f"{one['parts']:,}",
            str(one["good"]),
            str(one["defective"]),
        )
        for one in rates["strata"]
    )
    bars, marks = [], []
    for goal in standing["goals"]:
        seen = goal["estimate"]
        if seen["value"] is not None:
            bars.append(
                Bar(f"{goal['name']} (goal {said(goal['limit'])})", seen["value"], seen["lower"], seen["upper"])
            )
            marks.append((goal["limit"], ""))
    blocks: list[Block] = [
        f"From {content['from']} to {content['until']} (UTC).",
        Rows(("Verdict", "Parts", "looked at: good", "defective"), rows),
    ]
    if bars:
        blocks.append(
            Chart("Rates with their bounds", tuple(bars), tuple(marks), high=max(0.05, *(b.upper or 0 for b in bars)))
        )
    if standing["cost"] is not None:
        blocks.append(
            f"Cost per 1,000 parts at these estimates: {standing['cost']:.1f}; without the machine, by the cheaper of "
            f"judging every part OK or NG: {standing['cost_without']:.1f}."
        )
    blocks.append(
        "The bounds hold together at 95 %, however few parts were looked at; those of REVIEW are by chance alone."
    )
    return blocks
