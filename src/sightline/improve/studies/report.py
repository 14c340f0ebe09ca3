"""A concluded study as a document that a customer's auditor reads: the answer first, every figure with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sightline.improve.documents.document import Bar, Block, Chart, Document, Rows, Section, said
from sightline.improve.documents.signed import signed_by
from sightline.improve.studies.attribute import EFFECTIVENESS, FALSE_ALARM, MISS
from sightline.store.records import Record, Signature

NAMES = {
    "attribute": "Attribute agreement analysis (AIAG MSA, 4th edition)",
    "knapp": "Knapp test (USP <1790>, EU GMP Annex 1)",
    "acceptance": "Acceptance test (VDI/VDE/VDMA 2632-3)",
    "repeatability": "Repeatability over re-presentations and days",
    "limit": "Limit-sample study",
    "capability": "Process capability",
}
GOOD = dict.fromkeys(("acceptable", "passed", "reached", "stable", "capable"), True)
GOOD |= dict.fromkeys(("unacceptable", "failed", "not reached", "verdicts change", "not capable"), False)
Json = Mapping[str, Any]


def study_document(record: Record, signatures: tuple[Signature, ...]) -> Document:
    """The report of a study's record with the signatures under it."""
    content = record.content
    result = content["result"]
    sections = [
        Section("What was done", tuple(_design(content))),
        Section("Figures", tuple(FIGURES[result["kind"]](result["figures"]))),
        Section("What these figures do not promise", tuple(_notes(content))),
        *signed_by(record, signatures),
        Section("All readings", (_readings(content),)),
    ]
    title = f"{record.title}: {NAMES[result['kind']]}"
    answer = GOOD.get(result["answer"])
    footer = f"record {record.id}, SHA-256 {record.hash}, Sightline {content.get('software', '')}"
    kept = tuple(one for one in sections if one.blocks)
    return Document(title, f"Result: {result['answer']}", answer, result["sentence"], kept, footer)


def _notes(content: Json) -> list[str]:
    """What limits the figures, as sentences."""
    notes = [f"{note[:1].upper()}{note[1:]}." for note in content["result"]["notes"]]
    people = {one["name"] for one in content["design"]["appraisers"] if one["kind"] == "person"}
    entered = {(one["appraiser"], one["author"]) for one in content["readings"] if one["author"] != one["appraiser"]}
    for appraiser, author in sorted(one for one in entered if one[0] in people):
        notes.append(f"Readings of {appraiser} were entered by {author}; whether they were blind, they have to say.")
    return [*notes, f"When it was closed: {content['note']}"] if content.get("note") else notes


def _design(content: Json) -> list[Block]:
    design, parts = content["design"], content["parts"]
    bad = sum(one["reference"] == "NG" for one in parts)
    good = sum(one["reference"] == "OK" for one in parts)
    people = [one["name"] for one in design["appraisers"] if one["kind"] == "person"]
    machines = [one["name"] for one in design["appraisers"] if one["kind"] == "machine"]
    known = f", {good} good and {bad} defective by the reference" if good + bad else ", without a reference"
    moments = [one["created_us"] for one in content["readings"]]
    facts = [
        ("Product", design["product"]), ("Parts", f"{len(parts)}{known}"), ("Trials", str(design["trials"])),
        ("Appraisers", ", ".join(people + [f"{name} (machine)" for name in machines])),
        ("Asked about each part", design["question"] or "Is this part good?"),
        ("Order", f"random for each appraiser and trial, from the seed {design['seed']}"),
        ("Blind", "yes: appraisers saw neither names nor earlier answers" if design["blind"] else "no"),
        ("Designed by", design["author"]), ("Readings", str(len(moments))),
    ]  # fmt: skip
    if moments:
        facts.append(("Read", f"{_moment(min(moments))} to {_moment(max(moments))}"))
    if design["settings"]:
        facts.append(("Agreed", ", ".join(f"{key}: {value}" for key, value in _flat(design["settings"]))))
    return [Rows(("", ""), tuple(facts), (1, 3))]


def _flat(settings: Json) -> list[tuple[str, Any]]:
    found = []
    for key, value in settings.items():
        found += [(f"{key} {name}", one) for name, one in value.items()] if isinstance(value, dict) else [(key, value)]
    return found


def _moment(us: int) -> str:
    return f"{datetime.fromtimestamp(us / 1e6, UTC):%Y-%m-%d %H:%M} UTC"


def _readings(content: Json) -> Rows:
    """One row for each part, one column for each appraiser with all trials."""
    names = [one["name"] for one in content["design"]["appraisers"]]
    said_by: dict[tuple[str, int], list[tuple[int, str]]] = {}
    for one in content["readings"]:
        told = one["answer"] or ""
        if one["value"] is not None:
            told = f"{told} {one['value']:.4g}".strip()
        said_by.setdefault((one["appraiser"], one["part"]), []).append((one["trial"], told))
    rows = []
    for part in content["parts"]:
        cells = [", ".join(text for _, text in sorted(said_by.get((name, part["number"]), []))) for name in names]
        rows.append((str(part["number"]), part["label"], part["reference"] or "", *cells))
    return Rows(("", "Part", "Reference", *names), tuple(rows), (0.4, 1.4, 0.9, *(1.5 for _ in names)))


def _rate(rate: Json | None) -> str:
    if rate is None or not rate["of"]:
        return "–"
    return f"{said(rate['value'])} ({said(rate['lower'])} – {said(rate['upper'])}), {rate['count']} of {rate['of']}"


def _interval(one: Json | None) -> str:
    if one is None or one["value"] is None:
        return "–"
    known = one["lower"] is not None
    return f"{one['value']:.2f} ({one['lower']:.2f} – {one['upper']:.2f})" if known else f"{one['value']:.2f}"


def _attribute(figures: Json) -> list[Block]:
    each = figures["appraisers"]
    rows = tuple(
        (
            one["name"],
            _rate(one["effectiveness"]),
            _rate(one["miss"]),
            _rate(one["false_alarm"]),
            one["judgement"] or "–",
        )
        for one in each
    )
    blocks: list[Block] = [
        Rows(
            ("Appraiser", "Effectiveness (parts)", "Miss rate (readings)", "False alarms (readings)", "Judgement"), rows
        ),
        "Limits of the manual: effectiveness 90 % / 80 %, miss rate 2 % / 5 %, false alarms 5 % / 10 % (acceptable / "
        "marginal). Intervals hold in 95 % of studies like this one; those of misses and false alarms count all "
        "readings of a part as one.",
    ]
    for title, field, limits in (
        ("Effectiveness", "effectiveness", EFFECTIVENESS), ("Miss rate", "miss", MISS),
        ("False alarms", "false_alarm", FALSE_ALARM),
    ):  # fmt: skip
        bars = tuple(
            Bar(one["name"], one[field]["value"], one[field]["lower"], one[field]["upper"])
            for one in each
            if one[field] is not None and one[field]["of"]
        )
        if bars:
            top = (
                1.0
                if field == "effectiveness"
                else min(1.0, math.ceil(5 * max(0.2, *(bar.upper or 0 for bar in bars))) / 5)
            )
            marks = tuple((limit, f"{100 * limit:g} %") for limit in limits)
            blocks.append(Chart(title, bars, marks, high=top))
    kappas = tuple((one["name"], _interval(one["within"]), _interval(one["reference"])) for one in each)
    blocks.append(Rows(("Kappa", "within (own trials, Fleiss)", "against the reference (Cohen)"), kappas))
    if figures["between"]:
        pairs = tuple((f"{one['first']} – {one['second']}", _interval(one["kappa"])) for one in figures["between"])
        blocks.append(Rows(("Kappa between", "Cohen"), pairs, (1, 2)))
    blocks.append("Kappa from 0.75 is called good, below 0.40 poor, by the manual.")
    together = f"All readings agree on {_rate(figures['all_agree'])} parts"
    right = f", and with the reference on {_rate(figures['all_right'])}" if figures["all_right"] else ""
    return [*blocks, f"{together}{right}."]


def _knapp(figures: Json) -> list[Block]:
    rows = []
    for name, zone in (
        ("Reject zone (people reject 70 % or more)", "reject"),
        ("Accept zone (30 % or less)", "accept"),
    ):
        one = figures[zone]
        rows.append(
            (name, str(one["containers"]), said(one["people"]), said(one["machine"]), _difference(one["difference"]))
        )
    rows.append(("Grey zone between", str(figures["grey"]), "", "", ""))
    counts = f"{figures['people_inspections']} inspections of each container by people"
    counts += f", {figures['machine_inspections']} by the machine"
    return [
        Rows(
            ("Zone", "Containers", "Rejected by people", "by the machine", "Difference"), tuple(rows), (2, 1, 1, 1, 2)
        ),
        f"{counts}. The machine passes where it rejects the reject zone at least as often as people, and the accept "
        f"zone no more often. Beyond chance: {'yes' if figures['proven'] else 'no'}.",
    ]


def _difference(one: Json) -> str:
    if one["value"] is None:
        return "–"
    known = one["lower"] is not None
    span = f" ({100 * one['lower']:+.1f} to {100 * one['upper']:+.1f})" if known else ""
    return f"{100 * one['value']:+.1f} points{span}"


def _acceptance(figures: Json) -> list[Block]:
    blocks: list[Block] = []
    for name, one in figures.items():
        rows = tuple(
            (claim["name"], said(claim["limit"]), _rate(claim["rate"]), claim["answer"], str(claim["more"] or ""))
            for claim in one["claims"]
        )
        heads = ("Characteristic number", "Agreed", f"Seen ({name})", "Answer", "Parts missing")
        blocks.append(Rows(heads, rows, (1.5, 0.8, 2.4, 1, 1)))
    return [*blocks, "Reached: the one-sided 95 % bound lies within what was agreed."]


def _repeatability(figures: Json) -> list[Block]:
    rows = []
    for name, one in figures.items():
        for what, found in (("value", one["value"]), ("place, px", one["place"])):
            if found is not None:
                within = found["within"]
                days = "–" if found["days"] is None else f"{found['days']:.4g}"
                parts = "–" if found["parts"] is None else f"{found['parts']:.4g}"
                span = f"{within['value']:.4g} ({within['lower']:.4g} – {within['upper']:.4g})"
                rows.append(
                    (f"{name}, {what}", str(found["readings"]), span, days, parts, ", ".join(found["flips"]) or "none")
                )
    heads = ("", "Readings", "Deviation within a part and day", "added by days", "between parts", "Verdict changes at")
    return [Rows(heads, tuple(rows), (1.2, 0.8, 1.8, 1, 1, 1.6))]


def _limit(figures: Json) -> list[Block]:
    rows = tuple(
        (name, *("–" if one[key] is None else f"{one[key]:g}" for key in ("accepted", "rejected")),
         f"{one['limit_sample']} ({one['limit_size']:g}), rejected in {said(one['limit_share'])}")
        for name, one in figures.items()
    )  # fmt: skip
    return [Rows(("", "Everybody accepts up to", "Everybody rejects from", "Nearest to the limit"), rows)]


def _capability(figures: Json) -> list[Block]:
    rows = []
    for name, one in figures.items():
        indices = (_interval(one[key]) for key in ("cp", "cpk", "pp", "ppk"))
        rows.append((name, str(one["values"]), f"{one['mean']:.4g}", *indices, str(one["outside"])))
    heads = ("", "Values", "Mean", "Cp", "Cpk", "Pp", "Ppk", "Outside")
    return [Rows(heads, tuple(rows), (1, 0.7, 0.8, 1.3, 1.3, 1.3, 1.3, 0.8))]


FIGURES: dict[str, Callable[[Json], list[Block]]] = {
    "attribute": _attribute, "knapp": _knapp, "acceptance": _acceptance, "repeatability": _repeatability,
    "limit": _limit, "capability": _capability,
}  # fmt: skip
