"""A writer that overwrites one file name: no part is judged by the picture of the next, whose trigger was refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.result import Verdict
from sightline.core.signals import ErrorCode

Start = Callable[..., Any]
Pictures = Sequence[NDArray[np.uint8]]
NO_PICTURE = (ErrorCode.CAMERA_TIMEOUT, ErrorCode.LATE)
FLAWED = 4  # of `pictures`


@pytest.fixture
def overwrite(tmp_path: Path, pictures: Pictures) -> Callable[[int], None]:
    """Rename a finished picture over the one file's name, whatever is there."""
    (tmp_path / "in").mkdir()
    encoded = [cv2.imencode(".png", picture[..., ::-1])[1].tobytes() for picture in pictures]

    def write(number: int) -> None:
        (tmp_path / "in/current.tmp").write_bytes(encoded[number])
        (tmp_path / "in/current.tmp").rename(tmp_path / "in/current.png")

    return write


@pytest.fixture
def station(bench: Start, tmp_path: Path) -> Callable[..., Any]:
    def start(camera: dict[str, Any] | None = None, **more: Any) -> Any:
        values = {"kind": "folder", "name": "v", "path": str(tmp_path / "in"), "after": "delete", **(camera or {})}
        settings = {"deadline_ms": 600, "margin_ms": 50, "picture_lead_ms": 10}
        return bench(views=[{"name": "v", "camera": values}], **settings | more)

    return start


def busy_with(one: Any, part_id: str) -> None:
    one.ask(part_id=part_id)
    one.until(lambda: one.machine.statuses and one.machine.statuses[-1].part_id == part_id)


def answers(one: Any, count: int) -> list[Any]:
    one.until(lambda: len(one.machine.signals) == count)
    return list(one.machine.signals)


def test_a_file_that_is_overwritten_before_it_is_read_is_not_the_part_in_works(
    station: Start, overwrite: Callable[[int], None]
) -> None:
    with station() as one:
        busy_with(one, "A")
        time.sleep(0.015)
        overwrite(FLAWED)
        one.ask(part_id="B")  # refused: A is under way
        time.sleep(0.015)
        overwrite(0)  # B's picture, over A's that nobody has read yet
        first, second = answers(one, 2)
        assert first.part_id == "A" and first.verdict is Verdict.NG and first.error == ErrorCode.CAMERA_OTHER_PART
        assert second.part_id == "B" and second.error == ErrorCode.TRIGGER_OVERRUN
        assert one.inspect("C").error in NO_PICTURE  # nothing is left for it
        busy_with(one, "D")
        time.sleep(0.015)
        overwrite(1)
        assert answers(one, 4)[-1].verdict is Verdict.OK
        assert [record.verdict for record in one.records()] == [Verdict.NG] * 3 + [Verdict.OK]
        assert "trigger of part 'B'" in one.records()[0].error


def test_the_picture_of_a_refused_part_is_not_the_part_in_works(
    station: Start, overwrite: Callable[[int], None]
) -> None:
    with station() as one:
        busy_with(one, "A")  # its picture does not come
        one.ask(part_id="B")
        time.sleep(0.015)
        overwrite(0)  # B's
        first, second = answers(one, 2)
        assert (first.part_id, first.error) == ("A", ErrorCode.CAMERA_OTHER_PART)
        assert (second.part_id, second.error) == ("B", ErrorCode.TRIGGER_OVERRUN)
        overwrite(1)  # A's, too late
        assert one.inspect("C").error in NO_PICTURE


def test_a_picture_that_came_before_the_refused_trigger_is_the_part_in_works(
    station: Start, overwrite: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with station(picture_lead_ms=0) as one:
        inspect = one.devices.worker.inspect

        def slow(*given: Any) -> Any:
            time.sleep(0.05)
            if len(one.machine.signals) == 0:
                one.ask(part_id="B")
            return inspect(*given)

        monkeypatch.setattr(one.devices.worker, "inspect", slow)
        busy_with(one, "A")
        time.sleep(0.015)
        overwrite(0)
        first, second = answers(one, 2)
        assert (first.part_id, first.verdict) == ("A", Verdict.OK)
        assert (second.part_id, second.error) == ("B", ErrorCode.TRIGGER_OVERRUN)
        overwrite(FLAWED)  # B's stays, and is nobody's
        time.sleep(0.2)
        assert one.inspect("C").error in NO_PICTURE


def test_a_trigger_that_comes_twice_takes_nothing_from_its_part(
    station: Start, overwrite: Callable[[int], None]
) -> None:
    with station() as one:
        busy_with(one, "A")
        one.ask(part_id="A")  # as a broker may deliver it
        time.sleep(0.015)
        overwrite(0)
        assert answers(one, 2)[0].verdict is Verdict.OK


def test_the_parts_id_in_the_files_name_settles_whose_it_is(station: Start, pictures: Pictures, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with station({"part_id": "(?P<part>.+)"}) as one:
        busy_with(one, "A")
        one.ask(part_id="B")
        time.sleep(0.015)
        cv2.imwrite(str(tmp_path / "in/A.png"), pictures[0][..., ::-1])
        assert answers(one, 2)[0].verdict is Verdict.OK


def test_a_name_that_was_deleted_may_come_again_at_once(station: Start, overwrite: Callable[[int], None]) -> None:
    with station() as one:
        for number in range(4):
            busy_with(one, f"P{number}")
            time.sleep(0.015)
            overwrite(number)
            assert answers(one, number + 1)[-1].verdict is Verdict.OK
