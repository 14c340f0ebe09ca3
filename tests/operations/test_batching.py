"""Batches of several callers' pictures: together, in time or not at all, and each with its own error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import BusyError, InputError, LateError
from sightline.operations.batching import Batcher, Limits


class Judge:
    """Says of each picture its first pixel, after `takes_s`; of a batch that holds a 13, that it cannot be judged."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.takes_s = 0.0
        self.go = threading.Event()
        self.go.set()

    def __call__(self, images: Sequence[Any]) -> list[Any]:
        assert self.go.wait(5)
        time.sleep(self.takes_s)
        numbers = [int(image[0, 0, 0]) for image in images]
        self.batches.append(numbers)
        if 13 in numbers:
            raise InputError("no 13")
        return numbers


def picture(number: int) -> Any:
    return np.full((2, 2, 3), number, np.uint8)


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def batcher(judge: Judge) -> Iterator[Batcher]:
    made = Batcher(judge, Limits(most=4, wait_s=0.2, waiting=6))
    yield made
    judge.go.set()
    made.close()


def test_pictures_that_come_together_are_judged_together(batcher: Batcher, judge: Judge) -> None:
    answers = [batcher.submit(picture(n), soon()) for n in (1, 2, 3, 4)]
    assert [answer.result(5) for answer in answers] == [1, 2, 3, 4]
    assert judge.batches == [[1, 2, 3, 4]]


def test_one_alone_waits_no_longer_than_allowed(batcher: Batcher, judge: Judge) -> None:
    start = time.monotonic()
    assert batcher.submit(picture(7), soon()).result(5) == 7
    assert 0.15 < time.monotonic() - start < 2
    assert judge.batches == [[7]]


def test_a_deadline_ends_the_waiting_for_others(batcher: Batcher, judge: Judge) -> None:
    judge.takes_s = 0.01
    batcher.submit(picture(1), soon()).result(5)  # from here on it knows how long a picture takes
    start = time.monotonic()
    assert batcher.submit(picture(2), soon(0.12)).result(5) == 2
    assert time.monotonic() - start < 0.12


def test_a_late_verdict_is_an_error_and_never_given(batcher: Batcher, judge: Judge) -> None:
    judge.takes_s = 0.3
    with pytest.raises(LateError, match="never as OK"):
        batcher.submit(picture(1), soon(0.25)).result(5)
    assert judge.batches == [[1]], "it was judged, but too late"
    ahead = batcher.submit(picture(2), soon())
    with pytest.raises(LateError):  # known to be too late before it is taken
        batcher.submit(picture(3), soon(0.25))
    assert ahead.result(5) == 2


def test_a_picture_whose_time_is_up_is_not_judged(batcher: Batcher, judge: Judge) -> None:
    judge.go.clear()
    first = batcher.submit(picture(1), soon())
    time.sleep(0.3)
    late = batcher.submit(picture(2), soon(0.05))
    time.sleep(0.1)
    judge.go.set()
    assert first.result(5) == 1
    with pytest.raises(LateError):
        late.result(5)
    assert judge.batches == [[1]]


def test_too_many_are_refused_with_a_time_to_wait(batcher: Batcher, judge: Judge) -> None:
    judge.go.clear()
    batcher.submit(picture(0), soon())
    time.sleep(0.3)  # its batch is under way
    waiting = [batcher.submit(picture(n), soon()) for n in range(6)]
    with pytest.raises(BusyError, match="6 pictures are already waiting") as caught:
        batcher.submit(picture(9), soon())
    assert caught.value.wait_s >= 1
    judge.go.set()
    assert [answer.result(5) for answer in waiting] == list(range(6))


def test_one_that_cannot_be_judged_spoils_no_other(batcher: Batcher) -> None:
    answers = [batcher.submit(picture(n), soon()) for n in (1, 13, 3, 4)]
    assert [answers[i].result(5) for i in (0, 2, 3)] == [1, 3, 4]
    with pytest.raises(InputError, match="no 13"):
        answers[1].result(5)


def test_closing_answers_what_waits_and_takes_no_more(judge: Judge) -> None:
    batcher = Batcher(judge, Limits(most=4, wait_s=5.0, waiting=6))
    answer = batcher.submit(picture(5), soon(10))
    batcher.close()
    assert answer.result(0) == 5
    with pytest.raises(BusyError):
        batcher.submit(picture(6), soon())


def test_one_slow_picture_does_not_have_all_that_follow_refused(batcher: Batcher, judge: Judge) -> None:
    judge.takes_s = 0.5
    assert batcher.submit(picture(1), soon()).result(5) == 1
    judge.takes_s = 0.0
    for number in range(2, 6):
        assert batcher.submit(picture(number), soon(0.4)).result(5) == number


def test_a_judge_that_forgets_a_picture_leaves_nobody_without_an_answer(judge: Judge) -> None:
    forgetful = Batcher(lambda images: [], Limits())
    with pytest.raises(RuntimeError, match="0 verdicts on 1 pictures"):
        forgetful.submit(picture(1), soon()).result(5)
    with pytest.raises(RuntimeError):
        forgetful.submit(picture(2), soon()).result(5)
    forgetful.close()
