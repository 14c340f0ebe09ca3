"""The worker: takes jobs from the store and does each in a process of its own, which it can end at any time.

Beside that it watches the line for drift, has stations learn that are switched to it, watches rollouts, and
asks for improvements when they are due.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from sightline.core.errors import Cancelled, SightlineError, StoreError
from sightline.core.progress import Tell
from sightline.operations import drift, learning, rollouts, schedules
from sightline.store.database import VARIABLE as DATABASE
from sightline.store.images import VARIABLE as IMAGES
from sightline.store.jobs import GO_ON, LOST, QUEUED, RUNNING, Job
from sightline.store.store import Store, StoreLocation

POLL_S = 1.0  # between two looks for a job
BEAT_S = 1.0  # between two signs of life
GRACE_S = 5.0  # for a job to end by itself once it shall
LOOK_FOR_LOST_S = 10.0
TELL_EVERY_S = 0.2  # of progress
TIDY_S = 3600.0
UPLOAD_DAYS, JOB_DAYS = 1.0, 90.0  # so long files stay that nothing waits for
MAX_WAITING = 1000  # lines of a job between two signs of life
LOG = logging.getLogger("sightline.worker")


def worker(location: StoreLocation, folder: Path, *, tell: Tell, with_parent: bool = False) -> None:
    """Work until SIGTERM or Ctrl-C; with `with_parent`, at most as long as the process that started this one.

    A job that is under way then goes back to the queue.
    """
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if with_parent:
        threading.Thread(target=_follow, args=(os.getppid(), stopping), daemon=True).start()
    with Store.open(*location) as store:
        tell(f"working on jobs of {store.database.name}")
        # Threads of their own: a job may take hours, and the line's drift is seen and slow change followed meanwhile.
        beside = {"drift": drift.follow, "learning": learning.follow}
        beside |= {"rollouts": rollouts.follow, "schedules": schedules.follow}
        watching = [
            threading.Thread(target=follow, args=(store, stopping), name=name, daemon=True)
            for name, follow in beside.items()
        ]
        for thread in watching:
            thread.start()
        try:
            work(store, folder, stopping)
        finally:
            stopping.set()
            for thread in watching:
                thread.join()


def _follow(parent: int, stopping: threading.Event) -> None:
    while os.getppid() == parent and not stopping.wait(POLL_S):
        pass
    stopping.set()


def work(store: Store, folder: Path, stopping: threading.Event) -> None:
    """Do one job after the other until `stopping` is set. A store that cannot be used is waited for."""
    name, looked, tidied = f"{socket.gethostname()}:{os.getpid()}", -TIDY_S, -TIDY_S
    while not stopping.is_set():
        job = None
        try:
            if time.monotonic() - looked > LOOK_FOR_LOST_S:
                looked = time.monotonic()
                for lost in store.jobs.requeue_lost():
                    LOG.warning("job %d: its worker died", lost)
            if time.monotonic() - tidied > TIDY_S:
                tidied = time.monotonic()
                tidy(store, folder)
            job = store.jobs.claim(name)
            if job is not None:
                _attend(store, folder, job, name, stopping)
        except StoreError as error:
            LOG.error("%s", error)
            job = None
        if job is None:
            stopping.wait(POLL_S)


def tidy(store: Store, folder: Path, upload_days: float = UPLOAD_DAYS, job_days: float = JOB_DAYS) -> int:
    """Remove archives that no job waits for, and folders of jobs that ended long ago; how many. Rows stay."""
    removed = 0
    waiting = {job.arguments.get("upload") for state in (QUEUED, RUNNING) for job in store.jobs.page(state, limit=500)}
    for path in (folder / "uploads").glob("*.zip"):
        if path.stem not in waiting and _age_days(path) > upload_days:
            path.unlink(missing_ok=True)
            removed += 1
    for path in (folder / "jobs").glob("[0-9]*"):
        if _age_days(path) > job_days:
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed


def _age_days(path: Path) -> float:
    try:
        return (time.time() - path.stat().st_mtime) / 86_400
    except FileNotFoundError:
        return 0.0


def _attend(store: Store, folder: Path, job: Job, name: str, stopping: threading.Event) -> None:
    """Watch one job to its end."""
    child = Child(store, folder, job)
    try:
        while child.listen(BEAT_S):
            if stopping.is_set():
                child.end()
                store.jobs.release(job.id, name)
                return
            wanted = store.jobs.beat(job.id, name, child.progress, child.take_lines())
            if wanted != GO_ON:
                child.end()
                if wanted != LOST:
                    store.jobs.stop(job.id, name)
                return
        store.jobs.beat(job.id, name, child.progress, child.take_lines())
        if child.result is not None:
            store.jobs.finish(job.id, name, child.result)
        else:
            store.jobs.fail(job.id, name, child.error)
    finally:
        child.end()


class Child:
    """The process that does one job; what it says is kept until it is taken."""

    def __init__(self, store: Store, folder: Path, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_do, args=(theirs, store.location, folder, job.id, dict(job.arguments), job.author)
        )
        self._process.start()
        theirs.close()
        self.progress: dict[str, Any] | None = None
        self.result: dict[str, Any] | None = None
        self.error = ""
        self._lines: deque[str] = deque(maxlen=MAX_WAITING)

    def listen(self, seconds: float) -> bool:
        """Hear what it says for so long; whether it is still at work."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                if self._pipe.poll(left):
                    self._hear(self._pipe.recv())
            except (EOFError, OSError):
                self._process.join(GRACE_S)
                if self.result is None and not self.error:
                    self.error = _why(self._process.exitcode)
                return False
        return True

    def take_lines(self) -> list[str]:
        """What it said since the last time."""
        lines = list(self._lines)
        self._lines.clear()
        return lines

    def end(self) -> None:
        """Have it end by itself, or by force after `GRACE_S`, with all processes that it has started."""
        with suppress(OSError):
            self._pipe.send("end")
        until = time.monotonic() + GRACE_S
        while self._process.is_alive() and time.monotonic() < until:
            self.listen(0.05)
        if self._process.is_alive():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid or 0, signal.SIGKILL)
            self._process.kill()
        self._process.join(GRACE_S)
        self._pipe.close()

    def _hear(self, message: Mapping[str, Any]) -> None:
        self.progress = message.get("progress", self.progress)
        self.result = message.get("result", self.result)
        self.error = message.get("error", self.error)
        if "line" in message:
            self._lines.append(message["line"])


def _why(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return (
            "the system has killed it, most likely since memory ran out. Give it less to do, or the machine more memory"
        )
    return f"its process has ended without a word (exit code {code}). Look at its log and the worker's"


def _do(
    pipe: Connection, location: tuple[str, str], folder: Path, number: int, arguments: dict[str, Any], author: str
) -> None:
    """The child's whole life."""
    from sightline.operations.jobs import Desk, do

    with suppress(OSError):
        os.setsid()  # a group of its own, which is ended as one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update({DATABASE: location[0], IMAGES: location[1]})
    ended, sending = threading.Event(), threading.Lock()
    threading.Thread(target=_hear_the_end, args=(pipe, ended), daemon=True).start()
    reported = 0.0

    def say(message: dict[str, Any]) -> None:
        with sending:  # operations have threads of their own
            pipe.send(message)

    def progress(stage: str, done: int, of: int) -> None:
        nonlocal reported
        if ended.is_set():
            raise Cancelled
        if time.monotonic() - reported > TELL_EVERY_S or done == of:
            reported = time.monotonic()
            say({"progress": {"stage": stage, "done": done, "of": of}})

    def tell(text: str) -> None:
        say({"line": text})

    _show_warnings(tell)
    try:
        with Store.open(*location, create=False) as store:
            desk = Desk(store, folder / "jobs" / str(number), folder / "uploads", author, progress, tell, number)
            say({"result": do(desk, arguments)})
    except Cancelled:
        tell("stopped")
    except SightlineError as error:
        say({"error": str(error)})
    except Exception as error:  # whatever it was: the worker goes on, and the log has the place
        LOG.exception("job %d", number)
        say({"error": f"{type(error).__name__}: {error}. This is a fault of Sightline: report it with the log"})


def _show_warnings(tell: Tell) -> None:
    import warnings

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        tell(f"warning: {message}")

    warnings.showwarning = show


def _hear_the_end(pipe: Connection, ended: threading.Event) -> None:
    """Cancelled, or the worker has gone: what is at work may not look at `ended` for long."""
    gone = False
    try:
        pipe.recv()
    except (EOFError, OSError):
        gone = True
    ended.set()
    if gone:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(os.getpid(), signal.SIGKILL)
