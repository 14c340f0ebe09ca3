"""The recorder: pictures never hold anything up, and go on being kept."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.result import Verdict
from sightline.core.sample import Frame
from sightline.core.signals import Command, CommandKind
from sightline.line import recorder as module
from sightline.line.collection import Keep
from sightline.line.decision import Decision, ViewResult
from sightline.line.part import Part
from sightline.line.recorder import Recorder
from sightline.line.settings import StationSettings
from sightline.store.store import Store


@pytest.fixture
def settings(tmp_path: Path, recipe_file: Path) -> StationSettings:
    values: dict[str, Any] = {
        "name": "desk",
        "views": [{"camera": {"kind": "fake"}}],
        "recipes": [{"name": "plates", "id": 7, "file": recipe_file}],
        "controller": {"kind": "fake"},
        "folder": tmp_path / "station",
        "keep": {"disk_mb": 0.000001},
    }
    (tmp_path / "station").mkdir()
    return StationSettings.model_validate(values)


def record(recorder: Recorder, number: int, embedding: np.ndarray | None = None, pilot: bool = False) -> None:
    part = Part.from_trigger(Command(kind=CommandKind.TRIGGER), number, "desk", ("plates", 7), 1.0)
    part.pilot = pilot
    seen = ViewResult("view", Verdict.NG, 2.0, 0.1, "a" * 64, embedding=embedding)
    image = np.full((8, 8, 3), number, np.uint8)
    now = time.monotonic()
    frame = Frame(image=image, id=number, captured=time.time(), monotonic_s=now, complete_s=now, camera="view")
    recorder.record(part, Decision(Verdict.NG, (seen,)), time.time(), [frame])


def until(holds: Any, timeout_s: float = 10) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def test_a_full_disk_budget_is_freed_by_the_next_clearing(
    settings: StationSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.1)
    recorder = Recorder(settings)
    record(recorder, 1)
    until(lambda: recorder._collector._bytes > 0)
    record(recorder, 2)
    assert recorder._collector.reasons["ng"] == 1  # no room
    monkeypatch.setattr(module, "CLEAR_S", 0.1)
    until(lambda: recorder._collector._bytes == 0)
    monkeypatch.setattr(module, "CLEAR_S", 3600.0)
    record(recorder, 3)
    assert recorder._collector.reasons["ng"] == 2
    recorder.close()


def test_pictures_go_on_after_whatever_one_of_them_has_raised(
    settings: StationSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(settings)
    with monkeypatch.context() as patch:
        patch.setattr(recorder._ledger, "keep", lambda *_: 1 / 0)
        record(recorder, 1)
        until(lambda: recorder.pictures_dropped == 1)
    record(recorder, 2)
    until(lambda: recorder._collector._bytes > 0)
    assert recorder.pictures_dropped == 1
    recorder.close()


def test_a_store_that_hangs_does_not_hold_up_the_end(
    settings: StationSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.model_copy(update={"keep": settings.keep.model_copy(update={"disk_mb": 1.0})})
    recorder = Recorder(settings)
    free = threading.Event()
    monkeypatch.setattr(recorder._ledger, "keep", lambda *_: free.wait(30) and "a" * 64)
    for number in range(module.PICTURES_WAITING + 2):
        record(recorder, number)
    closing = threading.Thread(target=recorder.close, daemon=True)
    closing.start()
    closing.join(9)
    ended = not closing.is_alive()
    free.set()
    closing.join(20)
    assert ended


def test_why_a_view_could_not_be_judged_is_recorded() -> None:
    told = module._view(
        ViewResult("top", Verdict.REVIEW, 2.0, 0.1, "a" * 64, reason="another product", ood_distance=1.5)
    )
    assert (told["reason"], told["ood_distance"]) == ("another product", 1.5)
    assert module._view(ViewResult("top", Verdict.OK, 0.0, 0.9, "a" * 64))["ood_distance"] is None


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_people_are_asked_about_the_share_of_ng_parts_that_the_station_names(
    settings: StationSettings, share: float
) -> None:
    recorder = Recorder(settings.model_copy(update={"review_ng": share}))
    record(recorder, 1, pilot=True)
    until(lambda: recorder.waiting == 0)
    recorder.close()
    with Store.open(settings.folder / "sightline.db", create=False) as store:
        (part,) = store.inspections.page()
        assert [(one.inspection_id, one.pilot) for one in store.reviews.page()] == [(part.id, True)] * int(share)


def test_a_kept_picture_comes_with_its_embedding(settings: StationSettings) -> None:
    recorder = Recorder(settings.model_copy(update={"keep": Keep.model_validate({})}))
    for number in range(3):
        record(recorder, number, np.eye(16, dtype=np.float32)[number % 2])
    record(recorder, 3, np.full(16, np.nan, np.float32))
    recorder.close()
    with Store.open(settings.folder / "sightline.db") as store:
        last, alike, other, first = (part.image_hash or "" for part in store.inspections.page())
        assert [one.hash for one in store.embeddings.similar(first)] == [alike, other]
        assert store.embeddings.similar(last) == ()
