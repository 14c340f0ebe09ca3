"""Rollouts: a recipe on its way to stations, the canary first; and what each station is to run and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.core.result import Verdict
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.fleet import AssignmentRow, RolloutRow
from sightline.store.tables.line import InspectionRow

CANARY, ROLLING, DONE, ROLLED_BACK = "canary", "rolling", "done", "rolled back"
UNDER_WAY = (CANARY, ROLLING)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A recipe on its way to `stations`, of which the first is the canary. Each has to inspect `parts` with it.

    `before` has by station what it is to run again where the rollout is taken back, None for the recipe in its file.
    """

    id: int
    product: str
    recipe_hash: str
    stations: tuple[str, ...]
    parts: int
    state: str
    before: Mapping[str, str | None]
    reason: str
    author: str
    note: str
    created: datetime
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a station is to run for a product, None for the recipe in its own file; and what it said that it runs,
    since when (the newest inspection then), what it ran before, or why it does not run it.
    """

    station: str
    product: str
    recipe_hash: str | None
    rollout: int | None
    running_hash: str | None
    ran_hash: str | None
    since: int
    fault: str
    updated: datetime

    @property
    def runs(self) -> bool:
        """Whether the station has said that it runs what it is to run."""
        return not self.fault and self.recipe_hash is not None and self.running_hash == self.recipe_hash


@dataclass(frozen=True, slots=True)
class Wanted:
    """The hash of a recipe that a station is to run, None for that in its own file; `urgent`: as another one was taken
    back, so that it is not to wait for a pause.
    """

    recipe_hash: str | None
    rollout: int | None = None
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """Production parts that a recipe judged at a station: how many, how many of them not OK, and how many with an
    error, which are in neither.
    """

    parts: int
    not_ok: int
    errors: int


FIELDS = tuple(Rollout.__dataclass_fields__)
ASSIGNED = tuple(Assignment.__dataclass_fields__)


class Rollouts:
    """The rollouts of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self, product: str, recipe_hash: str, stations: Sequence[str], parts: int, author: str, note: str = ""
    ) -> Rollout:
        """Assign a recipe to the first of the stations, the canary. Raises InputError, and ConflictError where another
        rollout of the product is under way.
        """
        if not stations or len(set(stations)) < len(stations):
            raise InputError("a rollout needs stations, each named once, the canary first")
        with self._database.writing() as session:
            found = {name: session.get(AssignmentRow, (name, product)) for name in stations}
            before = {name: None if row is None else row.recipe_hash for name, row in found.items()}
            row = RolloutRow(product=product, recipe_hash=recipe_hash, stations=list(stations), parts=parts)
            row.state, row.before, row.reason, row.author, row.note = CANARY, before, "", author, note
            row.created, row.ended = now(), None
            session.add(row)
            try:
                session.flush()
            except IntegrityError as error:
                raise ConflictError(
                    f"another rollout of {product} is under way. Wait for its end, or roll it back"
                ) from error
            _assign(session, row, {stations[0]: recipe_hash})
            told = {"rollout": row.id, "stations": list(stations)}
            audit(session, author, "roll out", f"recipe {recipe_hash}", note, **told)
            return _rollout(row)

    def get(self, id: int) -> Rollout:
        """One rollout. Raises NotFoundError."""
        with self._database.reading() as session:
            return _rollout(_find(session, id))

    def page(self, states: Sequence[str] = (), before: int | None = None, limit: int = 50) -> tuple[Rollout, ...]:
        """Rollouts, the newest first."""
        query = select(RolloutRow).order_by(RolloutRow.id.desc()).limit(limit)
        if states:
            query = query.where(RolloutRow.state.in_(states))
        if before is not None:
            query = query.where(RolloutRow.id < before)
        with self._database.reading() as session:
            return tuple(_rollout(row) for row in session.scalars(query))

    def move(self, id: int, state: str, reason: str, author: str) -> Rollout:
        """Go on to the other stations, end, or take a rollout back, each station to what it ran before.

        Raises ConflictError where it has been taken back already, or has ended and is to go on.
        """
        with self._database.writing() as session:
            row = _find(session, id, lock=True)
            if row.state == ROLLED_BACK or (row.state == DONE and state != ROLLED_BACK) or row.state == state:
                raise ConflictError(f"rollout {id} is {row.state}. Look at it again")
            row.state, row.reason = state, reason
            if state == ROLLING:
                _assign(session, row, dict.fromkeys(row.stations[1:], row.recipe_hash))
            elif state == ROLLED_BACK:
                there = {name: session.get(AssignmentRow, (name, row.product)) for name in row.stations}
                # What a later rollout has assigned stays.
                mine = {name for name, one in there.items() if one is not None and one.rollout == id}
                _assign(session, row, {name: _before(session, row, name) for name in mine})
            if state in (DONE, ROLLED_BACK):
                row.ended = now()
            audit(session, author, "move rollout", f"recipe {row.recipe_hash}", reason, rollout=id, state=state)
            session.flush()
            return _rollout(row)

    def wanted(self, station: str) -> dict[str, Wanted]:
        """By product, what a station is to run in place of its own recipe."""
        row = AssignmentRow
        query = select(row.product, row.recipe_hash, row.rollout, RolloutRow.state)
        query = query.outerjoin(RolloutRow, RolloutRow.id == row.rollout).where(row.station == station)
        with self._database.reading() as session:
            return {
                product: Wanted(hash, rollout, state == ROLLED_BACK)
                for product, hash, rollout, state in session.execute(query)
            }

    def report(self, station: str, product: str, running_hash: str | None, fault: str = "") -> None:
        """What a station runs for a product that something was assigned for, and why it is not that."""
        with self._database.writing() as session:
            note_running(session, station, product, running_hash, fault)

    def assignments(self, product: str | None = None) -> tuple[Assignment, ...]:
        """What stations are to run and run, by station."""
        query = select(AssignmentRow).order_by(AssignmentRow.station, AssignmentRow.product)
        if product is not None:
            query = query.where(AssignmentRow.product == product)
        with self._database.reading() as session:
            return tuple(
                Assignment(**{name: getattr(row, name) for name in ASSIGNED}) for row in session.scalars(query)
            )

    def tally(
        self, station: str, recipe_hash: str, after: int = 0, until: int | None = None, newest: int = 10_000
    ) -> Tally:
        """What a recipe has judged at a station, after one inspection and up to another, the `newest` of these."""
        row = InspectionRow
        said = row.details["purpose"].as_string(), row.details["source"].as_string()
        query = select(row.verdict, row.error, *said).where(row.station == station, row.id > after, ~row.shadow)
        query = query.where(row.recipe_hash == recipe_hash)
        if until is not None:
            query = query.where(row.id <= until)
        with self._database.reading() as session:
            found = session.execute(query.order_by(row.id.desc()).limit(newest)).all()
        counted = [
            (verdict, error)
            for verdict, error, purpose, source in found
            if purpose in (None, "production") and source != "bench"
        ]
        sound = [verdict for verdict, error in counted if not error]
        return Tally(len(sound), sum(one != Verdict.OK for one in sound), len(counted) - len(sound))


def note_running(session: Session, station: str, product: str, running_hash: str | None, fault: str = "") -> None:
    """As `Rollouts.report`, in the caller's transaction."""
    row = session.get(AssignmentRow, (station, product), with_for_update=True)
    if row is None or (row.running_hash, row.fault) == (running_hash, fault):
        return
    if row.running_hash != running_hash:
        row.since = session.scalar(select(func.max(InspectionRow.id))) or 0
        row.ran_hash = row.running_hash
    row.running_hash, row.fault, row.updated = running_hash, fault[:1000], now()


def _assign(session: Session, rollout: RolloutRow, hashes: Mapping[str, str | None]) -> None:
    for station, hash in hashes.items():
        row = session.get(AssignmentRow, (station, rollout.product)) or AssignmentRow(
            station=station, product=rollout.product, running_hash=None, ran_hash=None, since=0
        )
        row.recipe_hash, row.rollout, row.fault, row.updated = hash, rollout.id, "", now()
        session.add(row)


def _before(session: Session, rollout: RolloutRow, station: str) -> str | None:
    """What a station ran before a rollout, without what was taken back since."""
    row: RolloutRow | None = rollout
    while row is not None:
        hash: str | None = row.before.get(station)
        query = select(RolloutRow).where(RolloutRow.product == rollout.product, RolloutRow.recipe_hash == hash)
        there = session.scalars(query.order_by(RolloutRow.id.desc()))
        newest = next((one for one in there if station in one.before), None)
        if newest is None or newest.state != ROLLED_BACK or newest.id >= row.id:
            return hash
        row = newest
    return None


def _find(session: Session, id: int, lock: bool = False) -> RolloutRow:
    row = session.get(RolloutRow, id, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"there is no rollout {id}. Look it up again")
    return row


def _rollout(row: RolloutRow) -> Rollout:
    values = {name: getattr(row, name) for name in FIELDS}
    return Rollout(**{**values, "stations": tuple(row.stations), "before": dict(row.before)})
