"""Stations that send their journals over HTTP: each entry taken once, in the order of its station, whatever is sent
twice.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.store import recording
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.entries import Entry, corrected, note_events, record_of
from sightline.store.recording import HOUR_US, Counts
from sightline.store.rollouts import note_running
from sightline.store.tables.base import now, to_us
from sightline.store.tables.fleet import ReceivedRow, SenderRow

MAX_WHY = 300
GROUP = 32  # batches in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a station says with its entries: which computer sends, and which of its journals, when by its own clock, how
    many entries wait there, and the recipes that it runs (hash by product). `first` to `through` are the entries that
    this is about, none where it only shows that it lives. `review` has the shares (0..1) of NG and OK parts that are
    for review.
    """

    station: str
    instance: str
    journal: str
    sent: datetime
    version: str
    waiting: int = 0
    running: Mapping[str, str] = field(default_factory=dict)
    first: int | None = None
    through: int | None = None
    review: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Taken:
    """The last entry that is taken now, and those that can never be, each with the reason."""

    through: int
    refused: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sender:
    """A station that sends, as it was last heard. `missing`: entries that never came. `offset_s`: of its clock from the
    server's, positive where it is ahead. `other`: who else tried to send as this station, and when.
    """

    station: str
    instance: str
    sequence: int
    missing: int
    refused: int
    heard: datetime
    offset_s: float
    waiting: int
    version: str
    running: Mapping[str, str]
    other: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Received:
    """Parts of one verdict; `hour` is the last in which any came (hours since 1970)."""

    station: str
    product: str
    recipe_hash: str
    verdict: str
    count: int
    hour: int


FIELDS = tuple(Sender.__dataclass_fields__)


@dataclass(eq=False, slots=True)
class _Batch:
    head: Head
    entries: Sequence[tuple[int, Entry]]
    taken: Taken | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.taken is not None or self.error is not None


class Senders:
    """The senders of a store. Batches that come at once are kept in one transaction: a thousand stations cost a few
    syncs of the disk a second.
    """

    def __init__(self, database: Database, counts: Counts) -> None:
        self._database, self._counts = database, counts
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._waiting: list[_Batch] = []

    def take(self, head: Head, entries: Sequence[tuple[int, Entry]]) -> Taken:
        """Keep what has not been taken yet, all of it or, after an error, none: then it may be sent again.

        Raises ConflictError where another computer sends as this station, StoreError.
        """
        mine = _Batch(head, entries)
        with self._lock:
            self._waiting.append(mine)
        while not mine.done:
            with self._turn:  # whoever has it does the work of all who wait
                if not mine.done:
                    with self._lock:
                        group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
                    self._take(group)
        if mine.error is not None:
            raise mine.error
        assert mine.taken is not None
        return mine.taken

    def received(self, since: datetime) -> tuple[Received, ...]:
        """How many parts came since the hour of a moment, by station, product, recipe and verdict; the oldest first.

        Counted by the store's own clock, for all stations, whether they send or write into the database themselves.
        """
        row = ReceivedRow
        query = select(row.station, row.product, row.recipe_hash, row.verdict, func.sum(row.count), func.max(row.hour))
        query = query.where(row.hour >= to_us(since) // HOUR_US)
        query = query.group_by(row.station, row.product, row.recipe_hash, row.verdict)
        with self._database.reading() as session:
            found = [Received(*values[:4], int(values[4]), int(values[5])) for values in session.execute(query)]
        return tuple(sorted(found, key=lambda one: one.hour))

    def _take(self, group: Sequence[_Batch]) -> None:
        try:
            with self._database.writing() as session:
                found = [self._keep(session, batch.head, batch.entries) for batch in group]
        except BaseException as error:  # noqa: BLE001  # it is raised where the batch came from
            if len(group) > 1:
                for batch in group:
                    self._take([batch])
            elif isinstance(error, InputError) and group[0].entries:
                self._take_apart(group[0])
            else:
                group[0].error = error
            return
        for batch, taken in zip(group, found, strict=True):
            if isinstance(taken, Taken):
                batch.taken = taken
            else:
                batch.error = taken

    def _take_apart(self, batch: _Batch) -> None:
        """One of the entries cannot be kept: the others are, and that one is named."""
        head, last = batch.head, len(batch.entries) - 1
        refused: list[tuple[int, str]] = []
        done = 0
        for at, (number, entry) in enumerate(batch.entries):
            first, through = head.first if at == 0 else number, head.through if at == last else number
            one = replace(head, first=first, through=through)
            try:
                with self._database.writing() as session:
                    taken = self._keep(session, one, [(number, entry)])
            except InputError as error:
                with self._database.writing() as session:
                    taken = self._keep(session, one, (), (number, str(error)[:MAX_WHY]))
            except BaseException as error:  # noqa: BLE001
                taken = error
            if not isinstance(taken, Taken):
                batch.error = taken
                return
            refused.extend(taken.refused)
            done = taken.through
        batch.taken = Taken(done, tuple(refused))

    def _keep(
        self, session: Session, head: Head, entries: Sequence[tuple[int, Entry]], refused: tuple[int, str] | None = None
    ) -> Taken | BaseException:
        """What was taken; a ConflictError, which is to be raised once it is noted, for another computer."""
        row = _row(session, head)
        if row.instance != head.instance:
            row.other = {"instance": head.instance, "at": now().isoformat(), "version": head.version}
            return ConflictError(
                f"another computer ({row.instance[:8]}, last heard {row.heard:%Y-%m-%d %H:%M} UTC) sends as station "
                f"{head.station}, and this one ({head.instance[:8]}) may not. Give one of them another name; if this "
                f"one replaces it, say so: sightline fleet replace {head.station}"
            )
        try:
            self._write(session, head, [entry for number, entry in entries if number > row.sequence])
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise InputError(f"an entry is damaged ({error}): {str(entries[0])[:200]}") from error
        named = (refused,) if refused is not None and refused[0] > row.sequence else ()
        for number, why in named:
            name = f"station {head.station}"
            audit(session, name, "refuse entry", name, why, number=number)
        _advance(row, head, len(named))
        return Taken(row.sequence, named)

    def replace(self, station: str, author: str, reason: str = "") -> Sender:
        """Take what the next computer sends as this station, and no more of the one before. Raises NotFoundError."""
        with self._database.writing() as session:
            row = session.get(SenderRow, station, with_for_update=True)
            if row is None:
                raise NotFoundError(f"station {station} has sent nothing to this server. Look its name up")
            audit(session, author, "replace computer", f"station {station}", reason, instance=row.instance)
            row.instance, row.journal, row.sequence, row.other = "", "", 0, {}
            session.flush()
            return _sender(row)

    def all(self) -> tuple[Sender, ...]:
        """All of them, by station."""
        with self._database.reading() as session:
            return tuple(_sender(row) for row in session.scalars(select(SenderRow).order_by(SenderRow.station)))

    def _write(self, session: Session, head: Head, entries: Sequence[Entry]) -> None:
        connection = session.connection()
        records = []
        for entry in entries:
            _check(head.station, entry)
            if entry["kind"] == "part":
                records.append(record_of(entry))
            elif entry["kind"] == "running":  # what comes after it was inspected by that recipe
                recording.keep(connection, self._counts, records, *head.review)
                records = []
                fault, running = str(entry.get("fault", "")), entry.get("running_hash")
                note_running(session, head.station, str(entry["product"]), running and str(running), fault)
        recording.keep(connection, self._counts, records, *head.review)
        for entry in entries:
            if entry["kind"] == "correction":
                recording.correct(connection, self._counts, *corrected(entry))
        note_events(session, head.station, entries)


def _check(station: str, entry: Entry) -> None:
    """Raises InputError for an entry that is none, or that is of another station."""
    kind = entry.get("kind") if isinstance(entry, dict) else None
    needed = {"part": ("station", "key"), "correction": ("key",), "event": ("event", "text", "time")}
    needed |= {"running": ("product",)}
    if kind not in needed or any(name not in entry for name in needed[str(kind)]):
        raise InputError(f"an entry is damaged: {str(entry)[:200]}")
    if entry.get("station", station) != station or not str(entry.get("key", f"{station}-")).startswith(f"{station}-"):
        raise InputError(f"an entry of station {station} is about another one: {str(entry)[:200]}")


def _row(session: Session, head: Head) -> SenderRow:
    row = session.get(SenderRow, head.station, with_for_update=True)
    if row is None:
        row = SenderRow(station=head.station, instance="", journal="", sequence=0, missing=0, refused=0, other={})
        row.heard, row.offset_s, row.waiting, row.version, row.running = now(), 0.0, 0, "", {}
        session.add(row)
    row.instance = row.instance or head.instance
    if row.instance == head.instance and row.journal != head.journal:  # a new one counts from 1 again
        row.journal, row.sequence = head.journal, 0
    return row


def _advance(row: SenderRow, head: Head, refused: int) -> None:
    if head.first is not None and head.through is not None:
        if row.sequence:
            row.missing += max(0, head.first - row.sequence - 1)
        row.sequence = max(row.sequence, head.through)
    row.refused += refused
    row.heard, row.waiting, row.version, row.running = now(), head.waiting, head.version, dict(head.running)
    row.offset_s = (head.sent - row.heard).total_seconds()


def _sender(row: SenderRow) -> Sender:
    return Sender(**{name: getattr(row, name) for name in FIELDS})
