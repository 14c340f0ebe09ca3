"""Functions over many tasks: in this machine's processes, and in a Ray cluster of two nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightline.core.errors import InputError, SettingError, SightlineError
from sightline.runtime.cluster import AHEAD, Cluster, Lost


def add(shared: int, task: int) -> int:
    return shared + task


def refuse(shared: int, task: int) -> int:
    raise InputError(f"task {task} is wrong")


def die_on_three(shared: str, task: int) -> int:
    """Ends its process on 3 always, and on 5 the first time."""
    if task == 3 or (task == 5 and not Path(shared, "died").exists()):
        Path(shared, "died").touch()
        os._exit(1)
    return task


@pytest.mark.parametrize("processes", [1, 2])
def test_every_task_is_answered_once(processes: int) -> None:
    answers = dict(Cluster(processes=processes).map(add, 100, range(20)))
    assert answers == {task: task + 100 for task in range(20)}


def test_tasks_are_read_as_room_gets_free() -> None:
    read = []

    def tasks() -> Iterator[int]:
        for task in range(30):
            read.append(task)
            yield task

    answers = Cluster(processes=2).map(add, 0, tasks())
    next(answers)
    assert len(read) <= 2 * AHEAD
    assert len(list(answers)) == 29


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_a_task_reaches_the_caller_as_it_is(processes: int) -> None:
    with pytest.raises(InputError, match="is wrong"):
        list(Cluster(processes=processes).map(refuse, 0, range(4)))


def test_a_task_that_kills_its_process_is_lost_and_no_other_with_it(tmp_path: Path) -> None:
    answers = dict(Cluster(processes=2).map(die_on_three, str(tmp_path), range(8)))
    assert isinstance(answers.pop(3), Lost)
    assert answers == {task: task for task in range(8) if task != 3}


@pytest.mark.parametrize("on", ["here", "ray:", "host:port", "ray://somewhere", ":6379"])
def test_what_is_no_place_is_refused(on: str) -> None:
    with pytest.raises(SettingError, match="no place to work"):
        Cluster(on)


def test_a_cluster_that_is_not_there_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_NUM_REDIS_GET_RETRIES", "1")
    with pytest.raises(SightlineError, match="ray start --head"):
        list(Cluster("127.0.0.1:1").map(add, 0, range(2)))
