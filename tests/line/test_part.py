"""The deadline answers for a station that does not."""

from __future__ import annotations

import threading
import time

from sightline.core.signals import Command, CommandKind
from sightline.line.part import Deadline, Part


def part(number: int, in_s: float) -> Part:
    return Part.from_trigger(Command(kind=CommandKind.TRIGGER), number, "s", ("r", 1), in_s)


def test_a_part_that_takes_too_long_is_answered_by_the_deadline() -> None:
    late: list[tuple[str, float]] = []
    deadline = Deadline(lambda one: late.append((one.id, time.monotonic() - one.started)))
    with deadline.over(part(1, 0.05)):
        time.sleep(0.2)
    deadline.close()
    assert [name for name, _ in late] == ["1"]
    assert 0.05 <= late[0][1] < 0.1


def test_a_part_that_is_answered_is_left_alone() -> None:
    late: list[str] = []
    deadline = Deadline(lambda one: late.append(one.id))
    for number in range(20):
        one = part(number, 0.02)
        with deadline.over(one):
            assert one.claim_answer()
            time.sleep(0.03 if number % 5 == 0 else 0)
    deadline.close()
    assert late == []


def test_exactly_one_answer_whoever_is_first() -> None:
    late: list[str] = []
    mine: list[str] = []
    deadline = Deadline(lambda one: late.append(one.id))
    for number in range(60):
        one = part(number, 0.004)
        with deadline.over(one):
            time.sleep(0.0035 + 0.001 * (number % 2))
            if one.claim_answer():
                mine.append(one.id)
    deadline.close()
    assert sorted([*late, *mine], key=int) == [str(number) for number in range(60)]


def test_the_next_part_waits_for_an_answer_that_is_being_given() -> None:
    order: list[str] = []
    going = threading.Event()

    def slowly(one: Part) -> None:
        going.set()
        time.sleep(0.1)
        order.append(one.id)

    deadline = Deadline(slowly)
    with deadline.over(part(1, 0.01)):
        going.wait(1)
    order.append("next")
    deadline.close()
    assert order == ["1", "next"]


def test_an_answer_that_fails_leaves_the_next_part_its_deadline() -> None:
    late: list[str] = []

    def fails(one: Part) -> None:
        late.append(one.id)
        raise RuntimeError("a sink's own mistake")

    deadline = Deadline(fails)
    for number in range(2):
        with deadline.over(part(number, 0.02)):
            time.sleep(0.1)
    deadline.close()
    assert late == ["0", "1"]
