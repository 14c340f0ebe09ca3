"""From what was designed and read to what it says: figures, an answer in a sentence, and what was left out and why.

Works on the content of a study as `store.studies.Studies.content` gives it, plain JSON, so that an exported record can
be analysed again anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.improve.studies.acceptance import acceptance
from sightline.improve.studies.attribute import Readings, attribute_agreement
from sightline.improve.studies.knapp import knapp
from sightline.improve.studies.measured import capability, grey_zone, repeatability

ESCAPE, OVERKILL = "escape", "overkill"  # agreed limits of all defective and all good parts
NUMBER = {"OK": 0, "NG": 1}
Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result(Figures):
    """What a study says. `answer` is one word or a few, `sentence` for people, `figures` by kind of study (by
    appraiser, where each is analysed alone), `notes` what was left out and what the figures do not promise.
    """

    kind: str
    answer: str
    sentence: str
    figures: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Read:
    """What is analysed: complete trials as (P, T) by appraiser, and notes on the incomplete ones."""

    content: Content
    people: dict[str, Readings]
    machines: dict[str, Readings]
    notes: list[str]

    @property
    def everybody(self) -> dict[str, Readings]:
        return {**self.people, **self.machines}


def analyse(content: Content) -> Result:
    """Analyse a study. Raises InputError where too little was read to say anything."""
    kind = content["design"]["kind"]
    result = KINDS[kind](_complete(content))
    if kind in ("attribute", "knapp", "acceptance") and any(
        one["details"].get("verdict") == "REVIEW" for one in content["readings"]
    ):
        review = "REVIEW of the machine counts as NG: such a part does not pass by itself"
        return Result(kind, result.answer, result.sentence, result.figures, (*result.notes, review))
    return result


def _complete(content: Content) -> _Read:
    """Trials in which an appraiser has answered for every part; what is left out is noted."""
    parts = len(content["parts"])
    people: dict[str, Readings] = {}
    machines: dict[str, Readings] = {}
    notes: list[str] = []
    for appraiser in content["design"]["appraisers"]:
        name, columns = appraiser["name"], []
        for trial in range(1, content["design"]["trials"] + 1):
            said = {
                one["part"]: NUMBER[one["answer"]]
                for one in content["readings"]
                if one["appraiser"] == name and one["trial"] == trial and one["answer"] is not None
            }
            if len(said) == parts:
                columns.append([said[number] for number in range(1, parts + 1)])
            else:
                notes.append(f"{name} answered for {len(said)} of {parts} parts in trial {trial}: left out")
        if columns:
            kept = people if appraiser["kind"] == "person" else machines
            kept[name] = np.array(columns, np.int8).T
    return _Read(content, people, machines, notes)


def _attribute(read: _Read) -> Result:
    given = [one["reference"] for one in read.content["parts"]]
    truth = None if None in given else [NUMBER[one] for one in given]
    found = attribute_agreement(read.everybody, truth)
    if truth is None:
        told = f"Without a reference: all readings agree on {found.all_agree.count} of {found.parts} parts."
        return Result("attribute", "agreement only", told, found.to_json(), tuple(read.notes))
    each = ", ".join(f"{one.name} {one.judgement}" for one in found.appraisers)
    bad = found.defective or 0
    notes = list(read.notes)
    if proven := [one.name for one in found.appraisers if one.judgement == "acceptable" and not one.proven]:
        notes.append(
            f"{', '.join(proven)}: acceptable by the estimates, as the manual judges; intervals reach beyond its limits"
        )
    if bad == found.parts:
        notes.append("no part of the study is good: nobody knows the rate of false alarms. Add good parts")
    if not bad:
        notes.append("no part of the study is defective: nobody knows the miss rate. Add defective parts")
    else:
        least = 1 - 0.025 ** (1 / bad)
        notes.append(
            f"with {bad} defective parts, even without a miss, the interval of the miss rate reaches to "
            f"{100 * least:.1f} %: this study alone proves no low escape rate"
        )
    return Result("attribute", str(found.judgement), f"By AIAG MSA 4: {each}.", found.to_json(), tuple(notes))


def _knapp(read: _Read) -> Result:
    if not read.people or not read.machines:
        raise InputError("Knapp's test needs a complete trial of people and one of the machine. Complete both")
    people = np.concatenate(list(read.people.values()), axis=1)
    machine = np.concatenate(list(read.machines.values()), axis=1)
    found = knapp(people, machine)
    notes = [*read.notes, "the zones come from the same inspections by people that are compared, as Knapp has it"]
    if people.shape[1] < 30:
        notes.append(
            f"{people.shape[1]} inspections by people of each container; 30 (three people, ten times) are usual"
        )
    if found.answer is None:
        told = "No container was rejected in 70 % of the inspections by people: there is no reject zone to compare in."
        return Result("knapp", "undecided", told, found.to_json(), tuple(notes))
    told = (
        f"Reject zone ({found.reject.containers} containers): machine {_percent(found.reject.machine)}, people "
        f"{_percent(found.reject.people)}. Accept zone ({found.accept.containers}): machine rejects "
        f"{_percent(found.accept.machine)}, people {_percent(found.accept.people)}."
    )
    return Result("knapp", found.answer, told, found.to_json(), tuple(notes))


def _acceptance(read: _Read) -> Result:
    """The first complete trial of each appraiser: a part that is judged again is no further part."""
    limits = read.content["design"]["settings"].get("limits") or {}
    parts = read.content["parts"]
    figures, answers = {}, []
    for name, readings in read.everybody.items():
        seen = {}
        for wanted in limits:
            mine = [n for n, one in enumerate(parts) if _counts(one, wanted)]
            wrong = NUMBER["OK"] if wanted != OVERKILL else NUMBER["NG"]
            if mine:
                seen[wanted] = (int((readings[mine, 0] == wrong).sum()), len(mine))
        found = acceptance(seen, limits)
        figures[name] = found.to_json()
        answers.append((name, found.answer))
    if not figures:
        raise InputError("nobody has judged all parts. An acceptance needs one complete trial")
    told = "; ".join(f"{name}: {answer}" for name, answer in answers)
    words = {answer for _, answer in answers}
    whole = next(one for one in ("not reached", "undecided", "reached") if one in words)
    return Result("acceptance", whole, f"Agreed characteristic numbers: {told}.", figures, tuple(read.notes))


def _counts(part: Mapping[str, Any], wanted: str) -> bool:
    if wanted == OVERKILL:
        return bool(part["reference"] == "OK")
    return part["reference"] == "NG" and wanted in (ESCAPE, part["type"])


def _repeatability(read: _Read) -> Result:
    labels = {one["number"]: one["label"] for one in read.content["parts"]}
    figures: dict[str, Any] = {}
    told: list[str] = []
    for name in _appraisers(read):
        mine = [one for one in _readings_of(read, name) if one["value"] is not None]
        if not mine:
            continue
        parts = [labels[one["part"]] for one in mine]
        days = [_day(one) for one in mine]
        verdicts = [str(one["details"].get("verdict") or one["answer"]) for one in mine]
        found = repeatability([one["value"] for one in mine], parts, days, verdicts)
        places = [(n, one["details"]["place"]) for n, one in enumerate(mine) if one["details"].get("place")]
        place = None
        chosen = [parts[n] for n, _ in places], [days[n] for n, _ in places]
        if len({*zip(*chosen, strict=True)}) < len(places):
            place = repeatability([xy for _, xy in places], *chosen).to_json()
        figures[name] = {"value": found.to_json(), "place": place}
        flips = f"{len(found.flips)} of {len(set(parts))} parts change their verdict"
        told.append(f"{name}: deviation {found.within.value:.4g} over re-presentations, {flips}")
    if not figures:
        raise InputError("no values were read. Repeatability needs measured values, or a machine's scores")
    answer = "stable" if all(not one["value"]["flips"] for one in figures.values()) else "verdicts change"
    notes = () if len({_day(one) for one in read.content["readings"]}) > 1 else ("all readings are of one day",)
    return Result("repeatability", answer, "; ".join(told) + ".", figures, notes)


def _limit(read: _Read) -> Result:
    parts = read.content["parts"]
    if any(one["size"] is None for one in parts):
        raise InputError("a limit-sample study needs the size of every part. Give them when it is designed")
    names, sizes = [one["label"] for one in parts], [one["size"] for one in parts]
    figures = {
        name: grey_zone(sizes, readings.mean(axis=1), names).to_json() for name, readings in read.everybody.items()
    }
    if not figures:
        raise InputError("nobody has judged all parts. A limit-sample study needs one complete trial")
    everything = np.concatenate(list(read.everybody.values()), axis=1)
    found = grey_zone(sizes, everything.mean(axis=1), names)
    zone = " to ".join("?" if one is None else f"{one:g}" for one in (found.accepted, found.rejected))
    told = f"Grey zone {zone}; {found.limit_sample} ({found.limit_size:g}) is nearest to the limit."
    return Result("limit", f"grey zone {zone}", told, {"all": found.to_json(), **figures}, tuple(read.notes))


def _capability(read: _Read) -> Result:
    settings = read.content["design"]["settings"]
    figures, told = {}, []
    for name in _appraisers(read):
        values = [one["value"] for one in _readings_of(read, name) if one["value"] is not None]
        if not values:
            continue
        found = capability(
            values, settings.get("lower"), settings.get("upper"), subgroup=int(settings.get("subgroup", 1))
        )
        figures[name] = found.to_json()
        least = "?" if found.ppk is None else f"{found.ppk.value:.2f} ({found.ppk.lower:.2f} to {found.ppk.upper:.2f})"
        told.append(f"{name}: Ppk {least} from {found.values} values")
    if not figures:
        raise InputError("no values were read. Capability needs measured values")
    wanted = float(settings.get("ppk", 1.33))
    lows = [0.0 if one["ppk"] is None else one["ppk"]["lower"] for one in figures.values()]
    highs = [0.0 if one["ppk"] is None else one["ppk"]["upper"] for one in figures.values()]
    answer = "capable" if min(lows) >= wanted else "not capable" if min(highs) < wanted else "undecided"
    notes = (f"capable: the interval of Ppk lies above {wanted:g}; values are taken as normal and in their order",)
    return Result("capability", answer, "; ".join(told) + ".", figures, notes)


def _appraisers(read: _Read) -> list[str]:
    return [one["name"] for one in read.content["design"]["appraisers"]]


def _readings_of(read: _Read, name: str) -> list[Mapping[str, Any]]:
    return [one for one in read.content["readings"] if one["appraiser"] == name]


def _day(reading: Mapping[str, Any]) -> str:
    """The day that the reading names, else that on which it was kept (UTC)."""
    kept = datetime.fromtimestamp(reading["created_us"] / 1e6, UTC)
    return str(reading["details"].get("day") or f"{kept:%Y-%m-%d}")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


KINDS: dict[str, Callable[[_Read], Result]] = {
    "attribute": _attribute, "knapp": _knapp, "acceptance": _acceptance, "repeatability": _repeatability,
    "limit": _limit, "capability": _capability,
}  # fmt: skip
