"""Studies: designed once, read part by part in each appraiser's own order, closed, and made a record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, ForbiddenError, InputError, NotFoundError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.records import Record, record_of, write_record
from sightline.store.tables.base import now, to_us
from sightline.store.tables.studies import KeptImageRow, RecordRow, StudyPartRow, StudyReadingRow, StudyRow

StudyKind = Literal["attribute", "knapp", "acceptance", "repeatability", "limit", "capability"]
ANSWERS = OK, NG = ("OK", "NG")
OPEN, CLOSED = "open", "closed"
MAX_PARTS, MAX_TRIALS, MAX_APPRAISERS = 5000, 50, 50


@dataclass(frozen=True, slots=True)
class Appraiser:
    """Who reads: a person, by the name they log in with, or a machine."""

    name: str
    kind: Literal["person", "machine"] = "person"


@dataclass(frozen=True, slots=True)
class StudyPart:
    """A part with what it is known to be: `reference` OK or NG, `type` and `size` of its defect. `images` are hashes,
    one for each presentation; trial t shows the t-th, and begins again after the last.
    """

    number: int
    label: str
    reference: str | None = None
    type: str = ""
    size: float | None = None
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """A study as it was designed, and how far it is."""

    name: str
    kind: StudyKind
    product: str
    appraisers: tuple[Appraiser, ...]
    trials: int = 3
    question: str = ""
    seed: int = 0
    blind: bool = True
    settings: Mapping[str, Any] | None = None
    id: int = 0
    state: str = OPEN
    record_id: int | None = None
    author: str = ""
    created: datetime | None = None
    closed: datetime | None = None

    @property
    def subject(self) -> str:
        """As audit and records call it."""
        return f"study {self.id}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What an appraiser said: an answer, a measured value, or both. `details` are plain JSON."""

    answer: str | None = None
    value: float | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """The part that an appraiser reads next: the `place`-th of `of` in this trial, both from 1."""

    trial: int
    place: int
    of: int
    part: StudyPart


def order(seed: int, appraiser: str, trial: int, parts: int) -> list[int]:
    """The numbers 1..parts as an appraiser gets them: sorted by the SHA-256 of seed, appraiser, trial and part."""

    def key(part: int) -> bytes:
        return hashlib.sha256(f"{seed}|{appraiser}|{trial}|{part}".encode()).digest()

    return sorted(range(1, parts + 1), key=key)


class Studies:
    """The studies of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, study: Study, parts: Sequence[StudyPart], author: str) -> Study:
        """Keep a design; parts get the numbers 1, 2, ... Raises InputError."""
        _check(study, parts)
        with self._database.writing() as session:
            row = StudyRow(state=OPEN, author=author, created=now())
            for name in ("name", "kind", "product", "trials", "question", "seed", "blind"):
                setattr(row, name, getattr(study, name))
            row.appraisers = [{"name": one.name, "kind": one.kind} for one in study.appraisers]
            row.settings = dict(study.settings or {})
            session.add(row)
            session.flush()
            for number, one in enumerate(parts, start=1):
                values = {name: getattr(one, name) for name in ("label", "reference", "type", "size")}
                session.add(StudyPartRow(study_id=row.id, number=number, images=list(one.images), **values))
            for hash in sorted({hash for one in parts for hash in one.images}):
                session.add(KeptImageRow(hash=hash, subject=f"study {row.id}"))
            told = {"kind": study.kind, "parts": len(parts), "trials": study.trials}
            audit(session, author, "design study", f"study {row.id}", study.name, **told)
            session.flush()
            return _study(row)

    def get(self, id: int) -> Study:
        """One study. Raises NotFoundError."""
        with self._database.reading() as session:
            return _study(_find(session, id))

    def page(self, before: int | None = None, limit: int = 50) -> tuple[Study, ...]:
        """The newest studies, or those older than the id `before`."""
        query = select(StudyRow).order_by(StudyRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(StudyRow.id < before)
        with self._database.reading() as session:
            return tuple(_study(row) for row in session.scalars(query))

    def parts(self, id: int) -> tuple[StudyPart, ...]:
        """The parts, by number."""
        with self._database.reading() as session:
            return _parts(session, id)

    def done(self, id: int) -> dict[str, int]:
        """How many readings there are of each appraiser."""
        mine = select(StudyReadingRow.appraiser, func.count()).where(StudyReadingRow.study_id == id)
        with self._database.reading() as session:
            row = _find(session, id)
            counts = {name: int(n) for name, n in session.execute(mine.group_by(StudyReadingRow.appraiser))}
        return {one["name"]: counts.get(one["name"], 0) for one in row.appraisers}

    def turn(self, id: int, appraiser: str) -> Turn | None:
        """What an appraiser reads next; None where all is read. Raises ForbiddenError for somebody else."""
        with self._database.reading() as session:
            row = _find(session, id)
            _check_appraiser(row, appraiser)
            return _turn(session, row, appraiser)

    def read(
        self,
        id: int,
        appraiser: str,
        reading: Reading,
        author: str,
        *,
        trial: int | None = None,
        place: int | None = None,
    ) -> Turn:
        """Keep what an appraiser says of the part whose turn it is; `trial` and `place` say which one they saw.

        Raises ConflictError for a part that was read already or is not the next one, and after the study was closed;
        ForbiddenError for somebody who is no appraiser of it.
        """
        with self._database.reading() as session:
            row = _find(session, id)
            _check_appraiser(row, appraiser)
            coming = _turn(session, row, appraiser)
        if coming is None:
            raise ConflictError(f"{appraiser} has read every part of study {id} already. Nothing was changed")
        if (trial or coming.trial, place or coming.place) != (coming.trial, coming.place):
            early = (trial or 0, place or 0) < (coming.trial, coming.place)
            what = "was read already, and no reading is changed" if early else "is not the next one"
            raise ConflictError(f"part {place} of trial {trial} {what}. Go on with part {coming.place}")
        self.read_all(id, appraiser, [(coming.trial, coming.part.number, reading)], author)
        return coming

    def read_all(self, id: int, appraiser: str, readings: Sequence[tuple[int, int, Reading]], author: str) -> None:
        """Keep (trial, part number, reading) of an appraiser, from a protocol on paper or of a machine: all or none.

        Raises as `read`, and InputError for trials or parts that the study does not have.
        """
        with self._database.writing() as session:
            row = _find(session, id, lock=True)  # one writer after the other
            _check_appraiser(row, appraiser)
            if row.state != OPEN:
                raise ConflictError(f"study {id} is closed: no reading is added. Design a new one")
            count = session.scalar(select(func.count()).where(StudyPartRow.study_id == id)) or 0
            read = _read(session, id, appraiser)
            for trial, part, reading in readings:
                if not (1 <= trial <= row.trials and 1 <= part <= count):
                    raise InputError(f"study {id} has no part {part} in trial {trial}. Correct the reading")
                if (trial, part) in read:
                    told = f"{appraiser} has read part {part} in trial {trial} already"
                    raise ConflictError(f"{told}, and no reading is changed. Leave it out")
                _check_reading(reading)
                read.add((trial, part))
                session.add(
                    StudyReadingRow(
                        study_id=id, appraiser=appraiser, trial=trial, part=part, answer=reading.answer,
                        value=reading.value, details=dict(reading.details or {}), author=author, created=now(),
                    )
                )  # fmt: skip

    def content(self, id: int) -> dict[str, Any]:
        """Everything that was designed and read, as plain JSON: what a record of it begins with."""
        with self._database.reading() as session:
            row = _find(session, id)
            query = select(StudyReadingRow).where(StudyReadingRow.study_id == id).order_by(StudyReadingRow.id)
            names = ("appraiser", "trial", "part", "answer", "value", "details", "author")
            readings = [
                {**{name: getattr(one, name) for name in names}, "created_us": to_us(one.created)}
                for one in session.scalars(query)
            ]
            kept = ("id", "name", "kind", "product", "question", "trials", "seed", "blind", "appraisers", "settings")
            design = {name: getattr(row, name) for name in (*kept, "author")}
            fields = ("number", "label", "reference", "type", "size")
            parts = [
                {**{name: getattr(one, name) for name in fields}, "images": list(one.images)}
                for one in _parts(session, id)
            ]
            return {"design": {**design, "created_us": to_us(row.created)}, "parts": parts, "readings": readings}

    def close(self, id: int, author: str, note: str = "") -> Study:
        """No reading is added from now on. Closing again changes nothing."""
        with self._database.writing() as session:
            row = _find(session, id, lock=True)
            if row.state == OPEN:
                row.state, row.closed = CLOSED, now()
                audit(session, author, "close study", f"study {id}", note)
            session.flush()
            return _study(row)

    def conclude(self, id: int, content: Mapping[str, Any], author: str) -> Record:
        """Make the record of a closed study. Raises ConflictError where it has one, or is open."""
        with self._database.writing() as session:
            row = _find(session, id, lock=True)
            if row.state != CLOSED or row.record_id is not None:
                raise ConflictError(f"study {id} is {row.state}, or has its record already. Look at it again")
            found = write_record(session, "study", f"study {id}", row.name, content, author)
            row.record_id = found.id
            return record_of(found)

    def tampered(self, id: int) -> str:
        """What a concluded study's design, parts and readings differ in from its record; empty where nothing does."""
        row = self.get(id)
        if row.record_id is None:
            return ""
        with self._database.reading() as session:
            record = session.get(RecordRow, row.record_id)
        if record is None:
            return f"the record of study {id} is gone"
        now_there = self.content(id)
        differing = [name for name, value in now_there.items() if record.content.get(name) != value]
        return f"study {id} differs from its record in: {', '.join(differing)}" if differing else ""


def _check(study: Study, parts: Sequence[StudyPart]) -> None:
    if study.kind not in get_args(StudyKind):
        raise InputError(f"'{study.kind}' is no kind of study. Use one of: {', '.join(get_args(StudyKind))}")
    if not study.name.strip():
        raise InputError("a study needs a name. Give one, such as: MSA press 3, November")
    names = [one.name for one in study.appraisers]
    if not names or len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise InputError("a study needs appraisers with different names. Give at least one")
    for value, most, what in (
        (len(parts), MAX_PARTS, "parts"), (study.trials, MAX_TRIALS, "trials"),
        (len(names), MAX_APPRAISERS, "appraisers"),
    ):  # fmt: skip
        if not 1 <= value <= most:
            raise InputError(f"{value} {what} are not possible. Give 1 to {most}")
    settings = study.settings or {}
    if study.kind == "acceptance" and not settings.get("limits"):
        raise InputError("an acceptance needs agreed limits. Give for instance escape=0.01 and overkill=0.02")
    if study.kind == "capability" and settings.get("lower") is None and settings.get("upper") is None:
        raise InputError("a capability needs a lower or an upper limit. Give lower=, upper= or both")
    if study.kind == "limit" and any(one.size is None for one in parts):
        raise InputError("a limit-sample study needs the size of every part. Give them, for instance in a table")
    if wrong := [one.label for one in parts if one.reference not in (None, *ANSWERS)]:
        raise InputError(f"{wrong[0]}: a reference is OK or NG. Correct it, or leave it out")


def _check_reading(reading: Reading) -> None:
    if reading.answer not in (None, *ANSWERS):
        raise InputError(f"'{reading.answer}' is no answer. Say OK or NG")
    if reading.answer is None and reading.value is None:
        raise InputError("a reading is an answer (OK or NG) or a value. Give one of them")


def _check_appraiser(row: StudyRow, name: str) -> None:
    if name not in [one["name"] for one in row.appraisers]:
        raise ForbiddenError(f"{name} is no appraiser of study {row.id}. Log in as one of them, or design a new study")


def _turn(session: Session, row: StudyRow, appraiser: str) -> Turn | None:
    read = _read(session, row.id, appraiser)
    parts = {one.number: one for one in _parts(session, row.id)}
    for trial in range(1, row.trials + 1):
        for place, number in enumerate(order(row.seed, appraiser, trial, len(parts)), start=1):
            if (trial, number) not in read:
                return Turn(trial, place, len(parts), parts[number])
    return None


def _read(session: Session, id: int, appraiser: str) -> set[tuple[int, int]]:
    """(trial, part) of what an appraiser has read."""
    mine = StudyReadingRow.study_id == id, StudyReadingRow.appraiser == appraiser
    query = select(StudyReadingRow.trial, StudyReadingRow.part).where(*mine)
    return {(trial, part) for trial, part in session.execute(query)}


def _parts(session: Session, id: int) -> tuple[StudyPart, ...]:
    query = select(StudyPartRow).where(StudyPartRow.study_id == id).order_by(StudyPartRow.number)
    names = ("number", "label", "reference", "type", "size")
    return tuple(
        StudyPart(**{name: getattr(row, name) for name in names}, images=tuple(row.images))
        for row in session.scalars(query)
    )


def _find(session: Session, id: int, lock: bool = False) -> StudyRow:
    row = session.get(StudyRow, id, with_for_update=lock)
    if row is None:
        raise NotFoundError(f"there is no study {id}. Look it up again")
    return row


def _study(row: StudyRow) -> Study:
    names = [name for name in Study.__dataclass_fields__ if name != "appraisers"]
    people = tuple(Appraiser(one["name"], one["kind"]) for one in row.appraisers)
    return Study(**{name: getattr(row, name) for name in names}, appraisers=people)
