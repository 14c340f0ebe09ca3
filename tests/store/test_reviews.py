"""Reviews, stations, statistics and states of recipes, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.core.result import Verdict
from sightline.store.inspections import Record
from sightline.store.reviews import Answer
from sightline.store.store import Store

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def ask(store: Store, count: int) -> None:
    for number in range(count):
        part = store.inspections.record(Record(station="s", verdict=Verdict.NG, triggered=START))
        store.reviews.add("ann", "near", inspection_id=part, priority=number % 2)


def test_many_people_never_get_the_same_review(database: Callable[[str], str], tmp_path: Path) -> None:
    url = database("open")
    with Store.open(url, tmp_path) as store:
        ask(store, 20)

    def take(name: str) -> list[int]:
        with Store.open(url, tmp_path) as mine:
            return [review.id for review in mine.reviews.claim(name, 6)]

    with ThreadPoolExecutor(4) as pool:
        taken = [number for numbers in pool.map(take, "abcd") for number in numbers]
    assert sorted(taken) == sorted(set(taken))
    assert len(taken) >= 18  # whoever comes second may find rows that are being taken


def test_a_second_opinion_goes_to_somebody_else(store: Store) -> None:
    ask(store, 1)
    (review,) = store.reviews.claim("ann")
    store.reviews.answer(review.id, "ann", Answer(label="good"))
    store.reviews.ask_again(review.id, "ann", "not sure")
    assert store.reviews.claim("ann") == ()
    (second,) = store.reviews.claim("bob")
    assert (second.purpose, second.first_id) == ("second", review.id)
    assert [one.id for one in store.reviews.page(state="answered", author="ann")] == [review.id]
    with pytest.raises(InputError):
        store.reviews.claim("ann", 0)
    with pytest.raises(NotFoundError):
        store.reviews.add("ann", "x", inspection_id=999)


def test_stations_are_kept_by_name(store: Store) -> None:
    first = store.stations.put("press-3", "http://host:9108/", "", "ann")
    assert first.url == "http://host:9108"
    changed = store.stations.put("press-3", "https://host:9109", "SIGHTLINE_STATION_P3", "bob", first.revision)
    with pytest.raises(ConflictError, match="changed by bob"):
        store.stations.put("press-3", "http://host:1", "", "ann", first.revision)
    assert store.stations.page() == (changed,)
    store.stations.remove("press-3", "ann")
    with pytest.raises(NotFoundError):
        store.stations.get("press-3")


def test_statistics_leave_out_what_is_no_production(store: Store) -> None:
    def record(number: int, verdict: Verdict, purpose: str = "production") -> Record:
        return Record(
            station=f"s{number % 2}", verdict=verdict, triggered=START + timedelta(minutes=number), lot="L",
            types={"crack": 0.9, "dent": 0.2} if verdict is Verdict.NG else {}, details={"purpose": purpose},
        )  # fmt: skip

    store.inspections.record_many([record(number, Verdict.OK) for number in range(6)])
    store.inspections.record_many([record(6, Verdict.NG), record(7, Verdict.REVIEW), record(8, Verdict.NG, "check")])
    span = START, START + timedelta(hours=1)
    (lot,) = store.statistics.lots(*span)
    assert (lot.name, lot.ok, lot.ng, lot.review, lot.ok_share) == ("L", 6, 1, 1, 0.75)
    assert [one.parts for one in store.statistics.stations(*span)] == [4, 4]
    assert {one.type: one.count for one in store.statistics.pareto(*span).types} == {"crack": 2, "unknown": 1}
    assert store.statistics.pareto(*span, station="s1").parts == 1
    assert store.statistics.lots(*span, station="s0")[0].parts == 4
    with pytest.raises(InputError, match="days long"):
        store.statistics.hours(START, START)


def test_a_recipe_changes_state_from_the_state_that_was_meant(store: Store) -> None:
    first = store.recipes.register(b"one", "plates", "one.onnx", "ann")
    second = store.recipes.register(b"two", "plates", "two.onnx", "ann", parent=first.hash)
    shadow = store.recipes.set_state(first.hash, "shadow", "ann", "a look", first.revision)
    with pytest.raises(ConflictError, match=r"is shadow since .* by ann"):
        store.recipes.set_state(first.hash, "promoted", "bob", "now", first.revision)
    assert store.recipes.set_state(first.hash, "promoted", "bob", "now", shadow.revision).state == "promoted"
    assert [one.hash for one in store.recipes.page("plates", "promoted")] == [first.hash]
    assert [one.hash for one in store.recipes.page(before=second.id)] == [first.hash]
    parents, children = store.recipes.lineage(first.hash)
    assert (parents, [one.hash for one in children]) == ([], [second.hash])
    assert [one.hash for one in store.recipes.lineage(second.hash)[0]] == [first.hash]
