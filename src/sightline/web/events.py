"""Events: what happens in the store, seen by looking into it while somebody listens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool

from sightline.core.errors import StoreError
from sightline.store.audit_log import Entry
from sightline.store.inspections import Record
from sightline.store.jobs import Job
from sightline.store.store import Store
from sightline.store.tables.base import now

POLL_S = 0.5
RETRY_S = 2.0  # where the store cannot be used
MAX_WAITING = 200  # events of one subscriber; the oldest give way, which is told
MAX_INSPECTIONS = 50  # told one by one at each look; more are only counted
OVERLAP = timedelta(seconds=2)  # a writer's clock and commit may lie so far behind
ABOUT = ("review ", "job ", "recipe ", "version ", "finding ", "station ", "sample")  # what concerns everybody


class Events:
    """Looks into the store while somebody listens, and tells everybody who does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: set[asyncio.Queue[dict[str, Any]]] = set()
        self._task: asyncio.Task[None] | None = None
        self._told: dict[int, tuple[str, datetime | None]] = {}  # of jobs: what was said last

    @contextmanager
    def heard(self) -> Iterator[asyncio.Queue[dict[str, Any]]]:
        """A listener's queue."""
        mine: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_WAITING)
        self._listeners.add(mine)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            yield mine
        finally:
            self._listeners.discard(mine)

    async def _look(self) -> None:
        while self._listeners:
            try:
                await self._follow()
            except StoreError as error:
                self._tell({"kind": "trouble", "detail": str(error)})
                await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        """Tell what comes from now on. Raises StoreError."""
        store = self._store
        inspection = await run_in_threadpool(store.inspections.newest_id)
        entry = next((one.id for one in await run_in_threadpool(store.audit.page, limit=1)), 0)
        since = now()
        while self._listeners:
            await asyncio.sleep(POLL_S)
            began = now()
            records = await run_in_threadpool(store.inspections.recorded_after, inspection, MAX_INSPECTIONS + 1)
            if len(records) > MAX_INSPECTIONS:
                newest = await run_in_threadpool(store.inspections.newest_id)
                self._tell({"kind": "inspections", "count": newest - inspection})
                inspection, records = newest, ()
            for record in records:
                inspection = record.id or inspection
                self._tell(_of_inspection(record))
            for one in await run_in_threadpool(store.audit.written_after, entry):
                entry = one.id
                if one.subject.startswith(ABOUT):
                    self._tell(_of_entry(one))
            self._tell_jobs(await run_in_threadpool(store.jobs.changed, since - OVERLAP))
            since = began

    def _tell_jobs(self, jobs: tuple[Job, ...]) -> None:
        for job in jobs:
            state = job.state, job.ended or job.heartbeat
            if self._told.get(job.id) != state:
                self._told[job.id] = state
                self._tell(_of_job(job))
        ended = [id for id in self._told if id not in {job.id for job in jobs}]
        for id in ended[:-MAX_WAITING]:
            del self._told[id]

    def _tell(self, event: dict[str, Any]) -> None:
        for listener in self._listeners:
            if listener.full():
                with suppress(asyncio.QueueEmpty):
                    listener.get_nowait()
                    listener.get_nowait()
                listener.put_nowait({"kind": "lost"})
            listener.put_nowait(event)


def _of_inspection(record: Record) -> dict[str, Any]:
    names = ("id", "station", "product", "lot", "serial", "score", "image_hash", "late", "shadow")
    told = {name: getattr(record, name) for name in names}
    return {"kind": "inspection", **told, "verdict": str(record.verdict), "triggered": record.triggered.isoformat()}


def _of_entry(entry: Entry) -> dict[str, Any]:
    told = {"author": entry.author, "action": entry.action, "subject": entry.subject}
    return {"kind": "change", **told, "created": entry.created.isoformat()}


def _of_job(job: Job) -> dict[str, Any]:
    return {"kind": "job", "id": job.id, "job": job.kind, "state": job.state, "progress": dict(job.progress)}
