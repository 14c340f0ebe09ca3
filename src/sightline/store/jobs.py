"""The queue of lab work: asked for, claimed by one worker, watched, ended; and asked for again where a worker died."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, NotFoundError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.line import JobRow
from sightline.store.tables.web import JobLineRow

STATES = QUEUED, RUNNING, DONE, FAILED, CANCELLED = ("queued", "running", "done", "failed", "cancelled")
LOST_S = 30.0  # a worker without a sign of life for so long has died
MAX_ATTEMPTS = 3
MAX_LINES = 2000  # of a job's log: the oldest go
MAX_TEXT = 4000  # characters of a line
GO_ON, STOP, LOST = "go on", "stop", "lost"


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. `progress` has `stage`, `done` and `of`; `error` says what to do where it failed."""

    id: int
    kind: str
    arguments: Mapping[str, Any]
    state: str
    progress: Mapping[str, Any]
    result: Mapping[str, Any]
    error: str | None
    author: str
    worker: str | None
    attempts: int
    cancelled_by: str | None
    heartbeat: datetime | None
    created: datetime
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a job's log."""

    id: int
    text: str
    created: datetime


FIELDS = tuple(Job.__dataclass_fields__)


class Jobs:
    """The jobs of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: str, arguments: Mapping[str, Any], author: str, reason: str = "") -> Job:
        """Ask for work."""
        row = JobRow(kind=kind, arguments=dict(arguments), author=author, created=now(), state=QUEUED, attempts=0)
        row.progress, row.result = {}, {}
        with self._database.writing() as session:
            session.add(row)
            session.flush()
            audit(session, author, "add job", f"job {row.id}", reason, kind=kind, arguments=dict(arguments))
            return _job(row)

    def get(self, id: int) -> Job:
        """One job. Raises NotFoundError."""
        with self._database.reading() as session:
            return _job(_find(session, id))

    def page(
        self, state: str | None = None, kind: str | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[Job, ...]:
        """The newest jobs, in one state, of one kind, or older than the id `before`."""
        query = select(JobRow).order_by(JobRow.id.desc()).limit(limit)
        for column, value in ((JobRow.state, state), (JobRow.kind, kind)):
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(JobRow.id < before)
        with self._database.reading() as session:
            return tuple(_job(row) for row in session.scalars(query))

    def changed(self, since: datetime, limit: int = 100) -> tuple[Job, ...]:
        """Jobs of which something was heard after a moment, and those that wait or ended since."""
        moved = func.coalesce(JobRow.ended, JobRow.heartbeat, JobRow.created)
        recent = select(JobRow).order_by(JobRow.id.desc()).limit(limit).subquery()
        query = select(JobRow).where(JobRow.id.in_(select(recent.c.id)), moved > since).order_by(JobRow.id)
        with self._database.reading() as session:
            return tuple(_job(row) for row in session.scalars(query))

    def lines(self, id: int, after: int = 0, limit: int = 500) -> tuple[Line, ...]:
        """A job's log in order, the lines after one."""
        query = select(JobLineRow).where(JobLineRow.job_id == id, JobLineRow.id > after)
        with self._database.reading() as session:
            _find(session, id)
            rows = session.scalars(query.order_by(JobLineRow.id).limit(limit))
            return tuple(Line(row.id, row.text, row.created) for row in rows)

    def cancel(self, id: int, author: str, reason: str = "") -> Job:
        """Have a job end: at once where it waits, else within seconds. Raises NotFoundError, ConflictError."""
        with self._database.writing() as session:
            row = _find(session, id, lock=True)
            if row.state not in {QUEUED, RUNNING}:
                raise ConflictError(f"job {id} is {row.state}, so there is nothing to cancel")
            if row.state == QUEUED:
                row.state, row.ended = CANCELLED, now()
            row.cancelled_by = row.cancelled_by or author
            audit(session, author, "cancel job", f"job {id}", reason)
            session.flush()
            return _job(row)

    # -- what workers do

    def claim(self, worker: str) -> Job | None:
        """The job that has waited longest, which is this worker's now; None where none waits."""
        waiting = select(JobRow.id).where(JobRow.state == QUEUED).order_by(JobRow.id).limit(1)
        with self._database.reading() as session:
            if session.scalar(waiting) is None:
                return None  # most of the time: nobody's write has to wait for this look
        with self._database.writing() as session:
            row = session.scalar(
                select(JobRow).where(JobRow.id.in_(waiting.with_for_update(skip_locked=True)), JobRow.state == QUEUED)
            )
            if row is None:
                return None
            row.state, row.worker, row.attempts = RUNNING, worker, row.attempts + 1
            row.started = row.heartbeat = now()
            session.flush()
            return _job(row)

    def beat(self, id: int, worker: str, progress: Mapping[str, Any] | None = None, lines: Sequence[str] = ()) -> str:
        """Give a sign of life with what is new: whether to go on, to stop since that is wanted, or that it is lost.

        LOST: somebody else has the job now, and nothing was kept.
        """
        values: dict[str, Any] = {"heartbeat": now()} | ({} if progress is None else {"progress": dict(progress)})
        with self._database.writing() as session:
            mine = update(JobRow).where(JobRow.id == id, JobRow.worker == worker, JobRow.state == RUNNING)
            found = session.execute(mine.values(values).returning(JobRow.cancelled_by)).one_or_none()
            if found is None:
                return LOST
            _write_lines(session, id, lines)
            return GO_ON if found[0] is None else STOP

    def finish(self, id: int, worker: str, result: Mapping[str, Any]) -> bool:
        """It is done; whether it was still this worker's."""
        return self._end(id, worker, {"state": DONE, "result": dict(result), "error": None})

    def fail(self, id: int, worker: str, error: str) -> bool:
        """It failed, and why; whether it was still this worker's."""
        return self._end(id, worker, {"state": FAILED, "error": error})

    def stop(self, id: int, worker: str) -> bool:
        """It has ended since somebody wanted that; whether it was still this worker's."""
        return self._end(id, worker, {"state": CANCELLED})

    def release(self, id: int, worker: str) -> None:
        """Give it back to the queue, since the worker is ending: the attempt does not count."""
        mine = update(JobRow).where(JobRow.id == id, JobRow.worker == worker, JobRow.state == RUNNING)
        values = {"state": QUEUED, "worker": None, "attempts": JobRow.attempts - 1, "heartbeat": None}
        with self._database.writing() as session:
            session.execute(mine.values(values))

    def requeue_lost(self, lost_s: float = LOST_S) -> tuple[int, ...]:
        """Give jobs of workers that died back to the queue, or up after `MAX_ATTEMPTS`; their ids."""
        lost = JobRow.state == RUNNING, JobRow.heartbeat < now() - timedelta(seconds=lost_s)
        with self._database.reading() as session:
            if session.scalar(select(JobRow.id).where(*lost).limit(1)) is None:
                return ()
        with self._database.writing() as session:
            rows = session.scalars(select(JobRow).where(*lost).order_by(JobRow.id).with_for_update()).all()
            for row in rows:
                died = f"its worker died {row.attempts} times over it"
                if row.cancelled_by is not None:
                    row.state, row.ended = CANCELLED, now()
                elif row.attempts >= MAX_ATTEMPTS:
                    row.state, row.ended = FAILED, now()
                    row.error = f"{died}. Is there enough memory? Look at the last lines of its log and the system's"
                else:
                    row.state, row.worker, row.heartbeat = QUEUED, None, None
                _write_lines(session, row.id, [f"{died}; it is {row.state}"])
            return tuple(row.id for row in rows)

    def _end(self, id: int, worker: str, values: Mapping[str, Any]) -> bool:
        mine = update(JobRow).where(JobRow.id == id, JobRow.worker == worker, JobRow.state == RUNNING)
        with self._database.writing() as session:
            found = session.execute(mine.values({**values, "ended": now()}).returning(JobRow.id))
            return found.first() is not None


def _write_lines(session: Session, id: int, lines: Sequence[str]) -> None:
    if not lines:
        return
    rows = [{"job_id": id, "text": text.replace("\0", "?")[:MAX_TEXT], "created": now()} for text in lines]
    session.execute(insert(JobLineRow), rows)
    kept = select(JobLineRow.id).where(JobLineRow.job_id == id).order_by(JobLineRow.id.desc()).limit(MAX_LINES)
    oldest = session.scalar(select(func.min(kept.subquery().c.id)))
    session.execute(delete(JobLineRow).where(JobLineRow.job_id == id, JobLineRow.id < oldest))


def _find(session: Session, id: int, lock: bool = False) -> JobRow:
    row = session.get(JobRow, id, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"there is no job {id}. Look it up again")
    return row


def _job(row: JobRow) -> Job:
    return Job(**{name: getattr(row, name) for name in FIELDS})
