"""What stations have learned since their recipes were made: every change is a row, and can be undone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.line import AdaptationRow, LearningRow

SUGGESTED, ACTIVE, REPLACED, REFUSED = "suggested", "active", "replaced", "refused"
Kind = Literal["learned", "harmless", "transfer", "undo"]
Mode = Literal["off", "suggest", "on"]
DIGITS = 16  # of the SHA-256 that records name an adaptation by


@dataclass(frozen=True, slots=True)
class StoredAdaptation:
    """A change of what a station has learned of one recipe, without its file. `digest` is what records name it by."""

    id: int
    station: str
    recipe_hash: str
    number: int
    kind: str
    state: str
    digest: str
    details: Mapping[str, Any]
    author: str
    note: str
    created: datetime


FIELDS = tuple(StoredAdaptation.__dataclass_fields__)


class Adaptations:
    """The adaptations of a store: of each station and recipe, at most one is active."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def next_number(self, station: str, recipe_hash: str) -> int:
        """The number that the next change of a station's recipe will have."""
        with self._database.reading() as session:
            return _newest(session, station, recipe_hash) + 1

    def add(
        self,
        station: str,
        recipe_hash: str,
        number: int,
        kind: Kind,
        data: bytes,
        details: Mapping[str, Any],
        author: str,
        note: str = "",
        state: str = ACTIVE,
        *,
        based_on: int | None = None,
    ) -> StoredAdaptation:
        """Keep a change under the number that `next_number` gave; an active one takes the place of the one before.

        `based_on` is the id of what was active when it was made, None where nothing was.

        Raises ConflictError where somebody else has changed it meanwhile.
        """
        if state not in (ACTIVE, SUGGESTED):
            raise InputError(f"a new adaptation is {ACTIVE} or {SUGGESTED}, not {state}")
        changed = _CHANGED.format(station=station)
        with self._database.writing() as session, _alone(changed):
            active = _active(session, station, recipe_hash)
            if number != _newest(session, station, recipe_hash) + 1 or based_on != active:
                raise ConflictError(changed)
            if state == ACTIVE:
                _replace(session, station, recipe_hash)
            row = AdaptationRow(station=station, recipe_hash=recipe_hash, number=number, kind=kind, state=state)
            row.data, row.digest = data, hashlib.sha256(data).hexdigest()[:DIGITS]
            row.details = {**details, "based_on": based_on}
            row.author, row.note, row.created = author, note, now()
            session.add(row)
            session.flush()
            audit(session, author, f"adapt: {kind}", f"station {station}", note, adaptation=row.id, state=state)
            return _stored(row)

    def decide(self, id: int, admitted: bool, author: str, note: str = "") -> StoredAdaptation:
        """Make a suggested change active, or refuse it.

        Raises ConflictError where it is not suggested any more, or where another change came after it.
        """
        meanwhile = f"change {id} was decided meanwhile. Look at it again"
        with self._database.writing() as session, _alone(meanwhile):
            row = _find(session, id)
            if row.state != SUGGESTED:
                raise ConflictError(f"change {id} is {row.state}, not {SUGGESTED}. Look at it again")
            based_on, active = row.details.get("based_on"), _active(session, row.station, row.recipe_hash)
            if admitted and (row.number != _newest(session, row.station, row.recipe_hash) or based_on != active):
                raise ConflictError(f"change {id} is older than the newest of {row.station}. Have it suggested again")
            if admitted:
                _replace(session, row.station, row.recipe_hash)
            row.state = ACTIVE if admitted else REFUSED
            told = "admit" if admitted else "refuse"
            audit(session, author, f"adapt: {told}", f"station {row.station}", note, adaptation=id)
            session.flush()
            return _stored(row)

    def active(self, station: str, recipe_hash: str) -> StoredAdaptation | None:
        """What a station inspects with beside its recipe; None: the recipe alone."""
        row = AdaptationRow
        query = select(row).where(row.station == station, row.recipe_hash == recipe_hash, row.state == ACTIVE)
        with self._database.reading() as session:
            found = session.scalar(query)
            return None if found is None else _stored(found)

    def digests(self, station: str, recipe_hashes: Sequence[str]) -> dict[str, tuple[int, str]]:
        """(id, digest) of the active adaptation of each recipe that has one. One small query, for a station's poll."""
        row = AdaptationRow
        query = select(row.recipe_hash, row.id, row.digest).where(
            row.station == station, row.recipe_hash.in_(recipe_hashes), row.state == ACTIVE
        )
        with self._database.reading() as session:
            return {hash: (number, digest) for hash, number, digest in session.execute(query)}

    def get(self, id: int) -> StoredAdaptation:
        """One change. Raises NotFoundError."""
        with self._database.reading() as session:
            return _stored(_find(session, id))

    def file(self, id: int) -> bytes:
        """The adaptation after a change, which `runtime.adaptation.Adaptation.of` reads. Raises NotFoundError."""
        with self._database.reading() as session:
            return _find(session, id).data

    def page(
        self, station: str | None = None, state: str | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[StoredAdaptation, ...]:
        """The newest changes, of one station, in one state, or older than the id `before`."""
        row = AdaptationRow
        query = select(row).order_by(row.id.desc()).limit(limit)
        for column, value in ((row.station, station), (row.state, state)):
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(row.id < before)
        with self._database.reading() as session:
            return tuple(_stored(found) for found in session.scalars(query))

    def mode(self, station: str) -> Mode:
        """Whether a station learns by itself: off unless somebody has switched it."""
        with self._database.reading() as session:
            row = session.get(LearningRow, station)
            return "off" if row is None else row.mode  # type: ignore[return-value]  # checked when it was written

    def modes(self) -> dict[str, str]:
        """The stations that were ever switched, and to what."""
        with self._database.reading() as session:
            return {row.station: row.mode for row in session.scalars(select(LearningRow))}

    def set_mode(self, station: str, mode: Mode, author: str, note: str = "") -> None:
        """Switch a station's self-learning. Raises InputError."""
        if mode not in get_args(Mode):
            raise InputError(f"'{mode}' is no mode of self-learning. Use one of: {', '.join(get_args(Mode))}")
        with self._database.writing() as session:
            row = session.get(LearningRow, station, with_for_update=True)
            before = "off" if row is None else row.mode
            if row is None:
                row = LearningRow(station=station)
                session.add(row)
            row.mode, row.author, row.updated = mode, author, now()
            audit(session, author, "self-learning", f"station {station}", note, before=before, after=mode)


_CHANGED = "what station {station} has learned was changed meanwhile. Look at it again, then repeat"


@contextmanager
def _alone(otherwise: str) -> Iterator[None]:
    """Inside of a transaction: where another one was first, the second is told so."""
    try:
        yield
    except IntegrityError as error:
        raise ConflictError(otherwise) from error


def _newest(session: Session, station: str, recipe_hash: str) -> int:
    row = AdaptationRow
    mine = select(func.max(row.number)).where(row.station == station, row.recipe_hash == recipe_hash)
    return session.scalar(mine) or 0


def _active(session: Session, station: str, recipe_hash: str) -> int | None:
    row = AdaptationRow
    mine = select(row.id).where(row.station == station, row.recipe_hash == recipe_hash, row.state == ACTIVE)
    return session.scalar(mine)


def _replace(session: Session, station: str, recipe_hash: str) -> None:
    row = AdaptationRow
    mine = select(row).where(row.station == station, row.recipe_hash == recipe_hash, row.state == ACTIVE)
    for found in session.scalars(mine):
        found.state = REPLACED
    session.flush()


def _find(session: Session, id: int) -> AdaptationRow:
    row = session.get(AdaptationRow, id)
    if row is None:
        raise NotFoundError(f"there is no change {id} of what stations have learned. Look it up again")
    return row


def _stored(row: AdaptationRow) -> StoredAdaptation:
    return StoredAdaptation(**{name: getattr(row, name) for name in FIELDS})
