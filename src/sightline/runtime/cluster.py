"""A function over many tasks in several processes: of this machine, or of a Ray cluster.

Memory is bounded: only as many tasks are under way as twice fill the processes, and the rest is asked for later. A task
whose process or machine dies is run again; one that kills its process every time is handed back as `Lost`.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.process import parent_process
from typing import Any, TypeVar

from sightline.core.errors import MissingExtraError, SettingError, SightlineError

LOCAL, RAY = "local", "ray"
_LOG = logging.getLogger(__name__)
RETRIES = 3  # of a task whose process died
AHEAD = 2
REACHED_S = 5.0  # within which a cluster answers
COUNTED_S = 1.0  # between two looks at how large the cluster is

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Lost:
    """What a task has come to whose process died each time it ran."""

    reason: str


@dataclass(frozen=True)
class Cluster:
    """Where work runs: `local` processes, `ray` (the running cluster of this machine, or one of its own), or an address
    of a cluster (`ray://HOST:PORT` from outside, `HOST:PORT` from one of its machines).

    Ray has no passwords: whoever reaches its ports runs code. Raises SettingError for any other word.
    """

    on: str = LOCAL
    processes: int = 1  # of the local ones; a cluster has as many as its cores allow
    cores: int = 1  # that one task may use
    ahead: int = AHEAD  # tasks under way per process: with more than one, the next is there when one ends

    def __post_init__(self) -> None:
        host, colon, port = self.on.removeprefix("ray://").rpartition(":")
        if self.on not in {LOCAL, RAY} and not (host and colon and port.isdigit()):
            raise SettingError(f"'{self.on}' is no place to work. Give local, ray, ray://HOST:PORT or HOST:PORT")

    def map(
        self, work: Callable[[Shared, Task], Answer], shared: Shared, tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Answer | Lost]]:
        """Each task with `work(shared, task)`, as soon as it is there, in no order; `tasks` is read as room gets free.

        `work` is a function of a module that every process can import, and may run twice for one task. What it raises
        ends everything. Raises SightlineError where the cluster cannot be reached.
        """
        if self.on != LOCAL:
            yield from _on_ray(self, work, shared, tasks)
        elif self.processes == 1:
            yield from ((task, work(shared, task)) for task in tasks)
        else:
            yield from _locally(self, work, shared, tasks)


# This machine's processes.

_shared: Any = None


def _take(shared: Any) -> None:
    global _shared  # noqa: PLW0603 - what the tasks of a process share is sent to it once
    _shared = shared
    # An interrupt at the terminal reaches every process of its group; only the first one answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()  # one that is killed cannot end its pool
        os._exit(1)


def _call(work: Callable[[Any, Any], Any], task: Any) -> Any:
    return work(_shared, task)


@contextmanager
def _pool(processes: int, shared: Any) -> Iterator[ProcessPoolExecutor]:
    # Spawned, not forked: onnxruntime holds threads, which a fork would leave half alive.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _take, (shared,))
    try:
        yield pool
    finally:
        members = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for member in members:  # one that still computes would be waited for
            member.terminate()


def _locally(
    cluster: Cluster, work: Callable[[Any, Any], Any], shared: Any, tasks: Iterable[Any]
) -> Iterator[tuple[Any, Any]]:
    """Nobody knows which task killed its process: those under way run again alone, and the one that kills is known."""
    waiting, alone = iter(tasks), deque[Any]()
    died = 0
    while True:
        with _pool(cluster.processes, shared) as pool:
            running: dict[Future[Any], Any] = {}
            try:
                while True:
                    room = (1 if alone else cluster.processes * cluster.ahead) - len(running)
                    source = alone if alone else waiting
                    for task in list(islice(source, max(room, 0))):
                        running[pool.submit(_call, work, task)] = task
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        answer = future.result()
                        task = running.pop(future)
                        if alone:
                            alone.popleft()
                            died = 0
                        yield task, answer
            except BrokenExecutor:
                died += 1
                if not alone:
                    alone, died = deque(running.values()), 0
                elif died >= RETRIES:
                    yield alone.popleft(), Lost(f"its process died {RETRIES} times")
                    died = 0


# A cluster's processes.


def _on_ray(
    cluster: Cluster, work: Callable[[Any, Any], Any], shared: Any, tasks: Iterable[Any]
) -> Iterator[tuple[Any, Any]]:
    ray = _ray()
    with _connection(ray, cluster):
        run = ray.remote(work).options(num_cpus=cluster.cores, max_retries=RETRIES)
        handed = ray.put(shared)
        waiting = iter(tasks)
        running: dict[Any, Any] = {}
        room = counted = 0.0
        while True:
            if time.monotonic() - counted >= COUNTED_S:  # machines join and leave
                room = cluster.ahead * max(1.0, ray.cluster_resources().get("CPU", 1.0) // cluster.cores)
                counted = time.monotonic()
            for task in islice(waiting, max(int(room) - len(running), 0)):
                running[run.remote(handed, task)] = task
            if not running:
                return
            ready, _ = ray.wait(list(running), timeout=COUNTED_S)
            for reference in ready:
                task = running.pop(reference)
                try:
                    answer = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise (error.cause if isinstance(error.cause, SightlineError) else error) from None
                except (ray.exceptions.WorkerCrashedError, ray.exceptions.ObjectLostError) as error:
                    answer = Lost(f"its process died {RETRIES + 1} times ({type(error).__name__})")
                yield task, answer


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the plant
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError("ray", "ray") from error
    # What Ray says of a dead node it prints on stdout, which may be JSON for a program, and there is no setting for it.
    ray._private.worker.print_to_stdstream = lambda data, *_, **__: _LOG.warning("%s", "\n".join(data["lines"]))
    return ray


@contextmanager
def _connection(ray: Any, cluster: Cluster) -> Iterator[None]:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if cluster.on != RAY:
            host, _, port = cluster.on.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), REACHED_S).close()  # Ray itself tries for most of a minute
            ray.init(cluster.on, **quiet)
        else:
            try:
                ray.init("auto", **quiet)
            except ConnectionError:  # no cluster runs here: one of this machine alone, on loopback
                ray.init(include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
    except (ConnectionError, RuntimeError, OSError, ImportError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise SightlineError(
            f"{cluster.on}: the Ray cluster cannot be used ({first}). Check that `ray start --head` runs there, with "
            "the same versions of Python, Ray and Sightline as here"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
