"""What the commands about studies take and tell."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from sightline.core.errors import SettingError

if TYPE_CHECKING:
    from sightline.improve.pilot import Targets
    from sightline.operations.studies import Planned, Progressed
    from sightline.store.records import Signature
    from sightline.store.studies import Reading, Study, Turn

KINDS = "attribute (MSA), knapp, acceptance, repeatability, limit or capability."
NUMBERS = ("upper", "lower", "subgroup", "ppk")  # settings that are no limits of rates


def wanted(
    name: str, kind: Any, product: str, parts: str, people: list[str] | None, machines: list[str] | None, trials: int,
    question: str, seed: int, blind: bool, limits: list[str] | None,
) -> Study:  # fmt: skip
    """A design out of what was typed. Raises SettingError for a limit that is none."""
    from sightline.store.studies import Appraiser, Study

    settings: dict[str, Any] = {}
    for text in limits or []:
        key, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError as error:
            raise SettingError(f"'{text}' is no limit. Write it as escape=0.01") from error
        if key in NUMBERS:
            settings[key] = number
        else:
            settings.setdefault("limits", {})[key] = number
    appraisers = [Appraiser(one) for one in people or []] + [Appraiser(one, "machine") for one in machines or []]
    called = product or PurePath(parts.removeprefix("store:")).stem
    return Study(name, kind, called, tuple(appraisers), trials, question, seed, blind, settings)


def reading(answer: str | None, value: float | None) -> Reading | None:
    """A reading out of what was typed; None where nothing was."""
    from sightline.store.studies import Reading

    return None if answer is None and value is None else Reading(answer and answer.upper(), value)


def planned(found: Planned) -> str:
    """How many parts a claim needs."""
    lines = [f"At most {100 * found.limit:g} % at {100 * found.confidence:g} %:"]
    lines += [f"  {events} of {parts:,} parts" for events, parts in found.parts.items()]
    lines.append(f"By the rule of three, none of {found.parts[0]:,} bounds the rate by {100 * found.three:.3g} %.")
    if (two := found.double) is not None:
        lines.append(f"Two samples: accept with {two.accept_1} of {two.first:,}, refuse with more than {two.accept_2};")
        lines.append(f"  else {two.second:,} more, and accept with at most {two.accept_2} in both.")
        lines.append(f"  Good lots need {found.expected:,.0f} parts in the mean.")
    return "\n".join(lines)


def progressed(found: Progressed) -> str:
    """How far a study is."""
    one = found.study
    lines = [f"Study {one.id}: {one.name} ({one.kind}, {one.product}), {one.state}"]
    lines += [f"  {name}: {count} of {found.of} readings" for name, count in found.done.items()]
    return "\n".join(lines)


def turn_json(found: Turn | None) -> dict[str, Any]:
    """Whose turn it is, without what is known about the part."""
    if found is None:
        return {"trial": None, "place": None, "of": None, "part": None, "label": None}
    return {
        "trial": found.trial,
        "place": found.place,
        "of": found.of,
        "part": found.part.number,
        "label": found.part.label,
    }


def turn(found: Turn | None) -> str:
    """Whose turn it is."""
    if found is None:
        return "All parts are read."
    return f"Next: trial {found.trial}, part {found.part.number} ({found.part.label}), {found.place} of {found.of}"


def result(found: dict[str, Any]) -> str:
    """What a study found, and who signed it."""
    said = found["result"]
    lines = [f"{found['title']}: {said['answer']}", said["sentence"], *(f"  - {note}" for note in said["notes"])]
    lines += [f"Signed by {one['author']} ({one['meaning']}) at {one['created']}" for one in found["signatures"]]
    if found["tampered"]:
        lines.append(f"Not as it was kept: {found['tampered']}")
    return "\n".join([*lines, f"Record {found['id']}, SHA-256 {found['hash']}"])


def signature_json(found: Signature) -> dict[str, Any]:
    """A signature as plain JSON values."""
    return {**asdict(found), "created": found.created.isoformat()}


def signature(found: Signature) -> str:
    """A signature in words."""
    return f"{found.author} signed record {found.record_id} as {found.meaning}: {found.hash}"


def targets(escape: float, overkill: float, review: float, parts: int, prices: list[str] | None) -> Targets:
    """A pilot's targets out of what was typed. Raises SettingError, InputError."""
    from sightline.evaluate.prices import Prices
    from sightline.improve.pilot import Targets

    return Targets(escape, overkill, review, parts, Prices.parse(prices or []))


def begun(found: dict[str, Any]) -> str:
    """What a pilot begins with."""
    lines = [f"{found['title']}, record {found['id']}"]
    lines += [
        f"  {'met' if one['met'] else 'not met'}: {one['name']} ({one['why']})" for one in found["content"]["criteria"]
    ]
    return "\n".join(lines)


def standing(found: dict[str, Any]) -> str:
    """How a pilot stands."""
    cost = ""
    if found["cost"] is not None:
        cost = f"\nPer 1,000 parts it costs {found['cost']:.1f}, without it {found['cost_without']:.1f}."
    return f"{found['sentence']}{cost}\nAdvice: {found['advice']} ({found['why']})"


def record(found: dict[str, Any]) -> str:
    """A record in a line, and who signed it."""
    signed = ", ".join(f"{one['author']} ({one['meaning']})" for one in found["signatures"]) or "not signed"
    return f"Record {found['id']}: {found['title']}, {found['created'][:16]}, {signed}, SHA-256 {found['hash'][:16]}"


def qualified(found: dict[str, Any]) -> str:
    """Every check of a qualification, then where its record is."""
    lines = [
        f"{one['stage']} {'passed' if one['passed'] else 'FAILED'}  {one['name']}: {one['found']}"
        for one in found["content"]["checks"]
    ]
    return "\n".join([*lines, f"{found['content']['answer'].upper()}. {record(found)}"])
