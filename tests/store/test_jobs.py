"""The queue: each job is done by one worker at a time, and by none for ever."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from sightline.core.errors import ConflictError, NotFoundError
from sightline.store.jobs import GO_ON, LOST, MAX_ATTEMPTS, MAX_LINES, STOP
from sightline.store.store import Store
from sightline.store.tables.base import now


def add(store: Store, count: int = 1) -> list[int]:
    return [store.jobs.add("train", {"data": f"cookies@{n}"}, "ann", "a try").id for n in range(count)]


def test_jobs_are_claimed_in_order_and_end_once(store: Store) -> None:
    first, second = add(store, 2)
    job = store.jobs.claim("w1")
    assert job is not None
    assert (job.id, job.state, job.attempts, job.worker) == (first, "running", 1, "w1")
    other = store.jobs.claim("w2")
    assert other is not None
    assert other.id == second
    assert store.jobs.claim("w3") is None
    assert not store.jobs.finish(first, "w2", {})  # not this worker's
    assert store.jobs.finish(first, "w1", {"recipe": "abc"})
    assert not store.jobs.fail(first, "w1", "too late")
    done = store.jobs.get(first)
    assert (done.state, dict(done.result), done.error) == ("done", {"recipe": "abc"}, None)
    assert store.jobs.beat(first, "w1") == LOST


def test_many_workers_never_get_the_same_job(database: Callable[[str], str], tmp_path: Path) -> None:
    url = database("open")
    with Store.open(url, tmp_path) as store:
        add(store, 20)

    def take(name: str) -> list[int]:
        with Store.open(url, tmp_path) as mine:
            found = []
            while (job := mine.jobs.claim(name)) is not None:
                found.append(job.id)
            return found

    with ThreadPoolExecutor(4) as pool:
        taken = [number for numbers in pool.map(take, "abcd") for number in numbers]
    assert sorted(taken) == sorted(set(taken))
    assert len(taken) == 20


def test_progress_and_lines_are_kept_and_old_lines_go(store: Store) -> None:
    (number,) = add(store)
    store.jobs.claim("w")
    assert store.jobs.beat(number, "w", {"stage": "training", "done": 1, "of": 3}, ["one", "two\0"]) == GO_ON
    assert dict(store.jobs.get(number).progress) == {"stage": "training", "done": 1, "of": 3}
    lines = store.jobs.lines(number)
    assert [line.text for line in lines] == ["one", "two?"]
    assert store.jobs.lines(number, after=lines[0].id)[0].text == "two?"
    store.jobs.beat(number, "w", lines=[f"line {n}" for n in range(MAX_LINES)])
    assert store.jobs.lines(number, limit=1)[0].text == "line 0"
    with pytest.raises(NotFoundError):
        store.jobs.lines(number + 1)


def test_a_job_that_waits_is_cancelled_at_once_and_one_at_work_is_told(store: Store) -> None:
    first, second = add(store, 2)
    store.jobs.claim("w")
    assert store.jobs.cancel(second, "bob").state == "cancelled"
    assert store.jobs.cancel(first, "bob", "not needed").state == "running"
    assert store.jobs.beat(first, "w") == STOP
    assert store.jobs.stop(first, "w")
    assert store.jobs.get(first).cancelled_by == "bob"
    with pytest.raises(ConflictError, match="nothing to cancel"):
        store.jobs.cancel(first, "bob")
    entry = store.audit.last(f"job {first}")
    assert entry is not None
    assert (entry.author, entry.action, entry.reason) == ("bob", "cancel job", "not needed")


def test_a_job_whose_worker_died_is_taken_up_again_but_not_for_ever(store: Store) -> None:
    (number,) = add(store)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        job = store.jobs.claim(f"w{attempt}")
        assert job is not None
        assert job.attempts == attempt
        assert store.jobs.requeue_lost(lost_s=60) == ()  # it is alive
        assert store.jobs.requeue_lost(lost_s=-1) == (number,)
        assert store.jobs.beat(number, f"w{attempt}") == LOST  # it comes back from the dead: too late
    job = store.jobs.get(number)
    assert job.state == "failed"
    assert "died 3 times" in str(job.error)
    assert "memory" in str(job.error)


def test_a_job_that_shall_end_does_not_begin_anew_when_its_worker_dies(store: Store) -> None:
    (number,) = add(store)
    store.jobs.claim("w")
    store.jobs.cancel(number, "bob")
    store.jobs.requeue_lost(lost_s=-1)
    assert store.jobs.get(number).state == "cancelled"


def test_a_worker_that_ends_gives_its_job_back_and_the_attempt_does_not_count(store: Store) -> None:
    (number,) = add(store)
    store.jobs.claim("w")
    store.jobs.release(number, "w")
    job = store.jobs.get(number)
    assert (job.state, job.attempts, job.worker) == ("queued", 0, None)


def test_lists_go_back_in_time_and_what_changed_is_found(store: Store) -> None:
    numbers = add(store, 4)
    start = now()
    page = store.jobs.page(limit=3)
    assert [job.id for job in page] == numbers[:0:-1]
    assert [job.id for job in store.jobs.page(before=page[-1].id)] == numbers[:1]
    assert store.jobs.page(state="running") == ()
    assert store.jobs.changed(start) == ()
    store.jobs.claim("w")
    assert [job.id for job in store.jobs.changed(start)] == numbers[:1]
    assert len(store.jobs.changed(start - timedelta(hours=1))) == 4
