"""Drift as an operation: records in the store to charts and alarms, a little at a time, by one program or several."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.drifting import Part
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import InputError, StoreError
from sightline.improve.charts import LEARNED
from sightline.operations import drift
from sightline.runtime.recipe import Recipe
from sightline.store.inspections import Record
from sightline.store.store import Store

BEFORE = LEARNED + 210


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store.open(tmp_path / "store.db") as found:
        yield found


def fill(store: Store, part: Part, count: int, **moved: float) -> None:
    first = store.inspections.newest_id() + 1
    records = [replace(part(number, moved), id=None) for number in range(first, first + count)]
    store.inspections.record_many(records)


def test_nothing_recorded_is_nothing_to_do(store: Store) -> None:
    assert drift.watch(store) == 0
    assert drift.state(store) == drift.State((), ())


def test_a_drift_becomes_an_alarm_with_what_to_do(store: Store, part: Part) -> None:
    fill(store, part, BEFORE)
    assert drift.watch(store) == BEFORE
    assert drift.watch(store) == 0, "each record is taken once"
    (view,) = drift.state(store).views
    assert (view.station, view.view, view.reference, view.parts) == ("press", "top", "production", BEFORE)
    assert drift.open_alarms(store) == ()
    fill(store, part, 150, brightness=-6.0)
    drift.watch(store)
    (told,) = drift.open_alarms(store, "press")
    assert told.alarm.cause == "light"
    assert "lamp" in told.remedy
    assert told.figures[0].startswith("brightness -")
    assert drift.open_alarms(store, "saw") == ()
    chart = next(one for one in drift.state(store).views[0].charts if one.name == "brightness")
    assert chart.unit == "%"
    assert chart.change is not None
    assert chart.change < -8
    assert len(chart.points) > 15


def test_what_is_usual_comes_from_the_recipe_where_the_store_has_it(store: Store, part: Part, recipe: Recipe) -> None:
    stored = store.recipes.register(
        recipe.data, "plate", "plate", "anna", card=json.loads(recipe.card.model_dump_json())
    )
    records = [replace(part(number, recipe=stored.hash), id=None) for number in range(1, 30)]
    store.inspections.record_many(records)
    drift.watch(store)
    assert drift.state(store).views[0].reference == "training"


def test_a_card_that_cannot_be_read_is_as_none(store: Store, part: Part, recipe: Recipe) -> None:
    stored = store.recipes.register(recipe.data, "plate", "plate", "anna", card={"appearance": {"surprise": 1}})
    store.inspections.record_many([replace(part(number, recipe=stored.hash), id=None) for number in range(1, 30)])
    assert drift.watch(store) == 29
    assert drift.state(store).views[0].reference == "learning"


def test_many_records_are_taken_piece_by_piece(store: Store, part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "AT_ONCE", 40)
    monkeypatch.setattr(drift, "MOST", 80)
    fill(store, part, 200)
    assert [drift.watch(store) for _ in range(4)] == [80, 80, 40, 0]
    assert store.alarms.mark() == 200


def test_of_an_old_store_only_the_newest_records_are_taken(
    store: Store, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "FIRST", 50)
    fill(store, part, 200)
    assert drift.watch(store) == 50


def test_two_programs_that_watch_count_nothing_twice(store: Store, part: Part) -> None:
    fill(store, part, BEFORE)
    fill(store, part, 150, red=8.0)
    failures: list[BaseException] = []

    def watch() -> None:
        try:
            drift.watch(store)
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=watch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    drift.watch(store)
    assert drift.state(store).views[0].parts == BEFORE + 150
    assert [told.alarm.cause for told in drift.open_alarms(store)] == ["colour"]


def test_a_fault_does_not_end_the_watch(store: Store, part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "EVERY_S", 0.01)
    fill(store, part, 20)
    healthy, asked = store.inspections.recorded_after, 0

    def fails_twice(id: int, limit: int = 100) -> tuple[Record, ...]:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise ValueError("a fault of ours") if asked == 1 else StoreError("the store is away")
        return healthy(id, limit)

    monkeypatch.setattr(store.inspections, "recorded_after", fails_twice)
    stopping = threading.Event()
    thread = threading.Thread(target=drift.follow, args=(store, stopping))
    thread.start()
    for _ in range(400):
        if store.alarms.mark() == 20:
            break
        stopping.wait(0.05)
    stopping.set()
    thread.join(10)
    assert store.alarms.mark() == 20


def test_who_follows_sees_what_comes_until_told_to_stop(
    store: Store, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "EVERY_S", 0.05)
    fill(store, part, 20)
    stopping = threading.Event()
    thread = threading.Thread(target=drift.follow, args=(store, stopping))
    thread.start()
    for _ in range(200):
        if store.alarms.mark() == 20:
            break
        stopping.wait(0.05)
    fill(store, part, 5)
    for _ in range(200):
        if store.alarms.mark() == 25:
            break
        stopping.wait(0.05)
    stopping.set()
    thread.join(10)
    assert store.alarms.mark() == 25


def test_the_command_says_what_to_do_and_knows_its_stations(store: Store, part: Part, tmp_path: Path) -> None:
    fill(store, part, BEFORE)
    fill(store, part, 150, sharpness=-7.0)
    address = ["--db", str(tmp_path / "store.db")]
    said = CliRunner().invoke(app, ["drift", "press", *address])
    assert said.exit_code == 0, said.output
    assert "Focus the lens" in said.output
    assert "% of its limit" in said.output
    told = json.loads(CliRunner().invoke(app, ["drift", "--json", *address]).stdout)
    assert told["alarms"][0]["alarm"]["cause"] == "lens"
    assert len(told["views"][0]["charts"]) == 14
    with pytest.raises(InputError, match="Stations with charts: press"):
        drift.drift((str(tmp_path / "store.db"), None), "saw")
