"""Alarms of drift: one open of each kind, acknowledged once, and charts that two programs do not move on twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.core.result import Verdict
from sightline.store.alarms import NewAlarm
from sightline.store.embeddings import pack
from sightline.store.inspections import Record
from sightline.store.store import Store

KEY = ("press", "top", "a" * 64)
FIRST = datetime(2026, 3, 1, tzinfo=UTC)


def new(number: int = 50, cause: str = "light", key: tuple[str, str, str] = KEY) -> NewAlarm:
    return NewAlarm(key, cause, number - 20, number, {"crossed": ["brightness"]})


def test_an_alarm_is_raised_once_while_it_is_open(store: Store) -> None:
    assert store.alarms.advance(None, 100, {}, [new(50), new(80), new(80, "dirt")])
    dirt, light = store.alarms.page()
    assert (light.cause, light.since, light.number, light.again, light.state) == ("light", 30, 50, 80, "open")
    assert dirt.cause == "dirt"
    store.alarms.acknowledge(light.id, "anna", "lamp changed")
    assert store.alarms.advance(100, 200, {}, [new(150)])
    assert [one.cause for one in store.alarms.page("open")] == ["light", "dirt"]
    assert [one.id for one in store.alarms.page("acknowledged")] == [light.id]
    assert store.alarms.page(station="saw") == ()


def test_who_acknowledges_says_so_once_and_it_is_in_the_audit(store: Store) -> None:
    store.inspections.record(Record(station="press", verdict=Verdict.OK, triggered=FIRST))
    store.alarms.advance(None, 1, {}, [new()])
    (alarm,) = store.alarms.page()
    done = store.alarms.acknowledge(alarm.id, "anna", "new lamp ordered", accept=True)
    assert (done.state, done.author, done.note, done.accepted, done.at) == (
        "acknowledged", "anna", "new lamp ordered", True, 1,
    )  # fmt: skip
    assert done.acknowledged is not None
    (entry, *_) = store.audit.page()
    assert (entry.author, entry.action, entry.subject, entry.reason) == (
        "anna", "acknowledge", f"alarm {alarm.id}", "new lamp ordered",
    )  # fmt: skip
    with pytest.raises(ConflictError, match="acknowledged by anna already"):
        store.alarms.acknowledge(alarm.id, "bert")
    with pytest.raises(NotFoundError):
        store.alarms.acknowledge(999, "bert")
    with pytest.raises(InputError, match="too long"):
        store.alarms.acknowledge(alarm.id, "bert", "x" * 1001)
    assert store.alarms.get(alarm.id) == done


def test_charts_move_on_once_however_many_programs_watch(store: Store) -> None:
    alarms = store.alarms
    assert alarms.mark() is None
    assert alarms.advance(None, 10, {KEY: {"parts": 10}}, [])
    assert not alarms.advance(None, 12, {KEY: {"parts": 12}}, [new()]), "another program has begun already"
    assert not alarms.advance(5, 12, {KEY: {"parts": 7}}, [new()]), "another program has gone on from 5"
    assert alarms.advance(10, 20, {KEY: {"parts": 20}, ("saw", "", "b" * 64): {"parts": 1}}, [])
    assert alarms.mark() == 20
    assert {one.key: one.state["parts"] for one in alarms.charts()} == {KEY: 20, ("saw", "", "b" * 64): 1}
    assert [one.key for one in alarms.charts("press")] == [KEY]
    assert alarms.page() == ()


def test_pictures_before_and_after_are_those_of_the_view_and_recipe(store: Store) -> None:
    def part(number: int, view: str = "top", recipe: str = "a", station: str = "press") -> None:
        one = Record(station=station, verdict=Verdict.NG, triggered=FIRST + timedelta(seconds=number), key=f"k{number}")
        assert store.inspections.record(one) == number
        digest = f"{number:064x}"
        store.embeddings.keep(f"k{number}", view, digest, recipe * 64, pack(np.ones(4)))

    for number, more in enumerate(({}, {"view": "side"}, {"recipe": "b"}, {"station": "saw"}, {}, {}), start=1):
        part(number, **more)
    store.alarms.advance(None, 6, {}, [NewAlarm(KEY, "light", 5, 6), NewAlarm(KEY, "dirt", 1, 7)])
    store.alarms.find_pictures()
    dirt, light = store.alarms.page()
    assert (light.before_hash, light.after_hash) == (f"{1:064x}", f"{6:064x}")
    assert (dirt.before_hash, dirt.after_hash) == (None, None)
    part(7)
    store.alarms.find_pictures()
    assert store.alarms.page()[0].after_hash == f"{7:064x}", "a picture is kept after its record"
