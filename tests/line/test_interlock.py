"""Golden and challenge parts: without their verdicts, no other part is judged."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from pydantic import ValidationError

from sightline.core.result import Verdict
from sightline.line.interlock import Gate
from sightline.line.settings import CheckPart, Interlock

PARTS = (CheckPart(part_id="golden", verdict=Verdict.OK), CheckPart(part_id="scratched", verdict=Verdict.NG))
NOON = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)


def gate(**more: object) -> Gate:
    return Gate(Interlock(parts=PARTS, **more), NOON)  # type: ignore[arg-type]


def test_both_check_parts_open_the_gate() -> None:
    one = gate()
    assert one.blocked and "golden, scratched" in one.reason
    assert one.verify("golden", Verdict.OK, True) and one.blocked
    assert one.verify("scratched", Verdict.NG, True) and not one.blocked and not one.reason


@pytest.mark.parametrize(
    ("part", "verdict", "valid"),
    [("scratched", Verdict.OK, True), ("scratched", Verdict.REVIEW, True), ("golden", Verdict.NG, True),
     ("golden", Verdict.OK, False), ("scratched", Verdict.NG, False)],
)  # fmt: skip
def test_a_wrong_verdict_blocks_until_all_have_passed_again(part: str, verdict: Verdict, valid: bool) -> None:
    one = gate(at_start=False)
    assert not one.blocked
    assert not one.verify(part, verdict, valid)
    assert one.blocked and part in one.reason
    assert one.verify("golden", Verdict.OK, True) and one.blocked
    assert one.verify("scratched", Verdict.NG, True) and not one.blocked


def test_due_again_after_so_many_parts() -> None:
    one = gate(at_start=False, every_parts=3)
    one.count_part()
    one.count_part()
    assert not one.blocked
    one.count_part()
    assert one.blocked


def test_due_at_the_begin_of_a_shift_and_once() -> None:
    one = gate(at_start=False, shifts=("14:00",))
    one.tick(NOON.replace(hour=13, minute=59))
    assert not one.blocked
    one.tick(NOON.replace(hour=14))
    assert one.blocked
    one.verify("golden", Verdict.OK, True)
    one.verify("scratched", Verdict.NG, True)
    one.tick(NOON.replace(hour=14, minute=1))
    assert not one.blocked
    one.tick(NOON.replace(hour=13, minute=30))  # the clock was set back over the shift's begin
    assert one.blocked


def test_without_check_parts_nothing_is_ever_due() -> None:
    one = Gate(Interlock(shifts=("14:00",), every_parts=1), NOON)
    one.count_part()
    one.tick(NOON.replace(hour=15))
    assert not one.blocked and one.checks("golden") is None


def test_a_shift_that_is_no_time_of_day() -> None:
    with pytest.raises(ValidationError, match="HH:MM"):
        Interlock(shifts=("25:00",))


def test_one_check_part_that_is_shown_between_puts_the_others_off_by_nothing() -> None:
    one = gate(at_start=False, every_parts=3)
    one.count_part()
    one.count_part()
    assert one.verify("golden", Verdict.OK, True)
    one.count_part()
    assert one.blocked


def test_a_clock_that_jumps_over_midnight_makes_the_shift_between_due() -> None:
    one = gate(at_start=False, shifts=("22:00",))
    one.tick(NOON.replace(day=5, hour=5))
    assert one.blocked
    back = gate(at_start=False, shifts=("22:00",))
    back.tick(NOON.replace(day=3, hour=5))
    assert back.blocked


def test_check_parts_of_a_recipe_are_due_when_it_is_active() -> None:
    """What was shown to one recipe says nothing about another."""
    parts = (
        CheckPart(part_id="cap-golden", verdict=Verdict.OK, recipe="cap"),
        CheckPart(part_id="lid-golden", verdict=Verdict.OK, recipe="lid"),
    )
    one = Gate(Interlock(parts=parts), NOON)
    one.recipe = "cap"
    assert one.blocked and "lid" not in one.reason and one.checks("lid-golden") is None
    assert one.verify("cap-golden", Verdict.OK, True) and not one.blocked and not one.reason
    one.recipe = "lid"
    assert one.blocked and one.checks("cap-golden") is None
    assert one.verify("lid-golden", Verdict.OK, True) and not one.blocked
    one.recipe = "cap"
    assert not one.blocked


@pytest.mark.parametrize(("day", "times"), [("2026-03-28", 1), ("2026-06-10", 1), ("2026-10-24", 2)])
def test_a_shift_in_the_hour_of_the_clock_change_is_due_every_night(
    monkeypatch: pytest.MonkeyPatch, day: str, times: int
) -> None:
    """In spring 02:30 does not exist and the shift begins at 03:00; in autumn it comes twice."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        noon = dt.datetime.fromisoformat(f"{day}T12:00:00").timestamp()
        one = Gate(
            Interlock(parts=PARTS, at_start=False, shifts=("02:30",)), dt.datetime.fromtimestamp(noon).astimezone()
        )
        due = 0
        for minute in range(24 * 60):
            one.tick(dt.datetime.fromtimestamp(noon + 60 * minute).astimezone())
            due += one.blocked
            if one.blocked:
                one.verify("golden", Verdict.OK, True)
                one.verify("scratched", Verdict.NG, True)
        assert due == times
    finally:
        monkeypatch.undo()
        time.tzset()
