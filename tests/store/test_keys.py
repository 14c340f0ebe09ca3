"""What a station delivers twice is recorded once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sightline.core.band import Verdict
from sightline.core.errors import InputError
from sightline.store.record import Record
from sightline.store.store import Store

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def record(number: int) -> Record:
    return Record(station="s", verdict=Verdict.NG, triggered=NOON + timedelta(seconds=number), key=f"s-{number}")


def test_a_batch_that_comes_twice_is_there_once(store: Store) -> None:
    batch = [record(number) for number in range(5)]
    store.inspections.record_many(batch[:3])
    store.inspections.record_many([*batch, batch[0]])
    assert [one.key for one in store.inspections.page()] == ["s-4", "s-3", "s-2", "s-1", "s-0"]
    assert store.inspections.hourly_yield(NOON, NOON + timedelta(hours=1))[0].ng == 5


def test_records_without_a_key_are_all_kept(store: Store) -> None:
    store.inspections.record_many([replace(record(0), key=None)] * 3)
    assert len(store.inspections.page()) == 3


def test_a_picture_finds_its_inspection(store: Store) -> None:
    store.inspections.record_many([record(0), record(1)])
    store.inspections.set_image("s-1", "a" * 64)
    store.inspections.set_image("nobody", "b" * 64)
    assert [one.image_hash for one in store.inspections.page()] == ["a" * 64, None]


def test_a_correction_changes_the_verdict_once_and_the_hour_with_it(store: Store) -> None:
    store.inspections.record_many([replace(record(0), verdict=Verdict.OK), replace(record(1), verdict=Verdict.OK)])
    for _ in range(2):
        store.inspections.correct("s-0", Verdict.NG, "10: too late")
    store.inspections.correct("nobody", Verdict.NG, "10: too late")
    kept = {one.key: one for one in store.inspections.page()}
    assert (kept["s-0"].verdict, kept["s-0"].late, kept["s-0"].error) == (Verdict.NG, True, "10: too late")
    assert kept["s-1"].verdict is Verdict.OK
    start = kept["s-0"].triggered.replace(minute=0, second=0, microsecond=0)
    hours = store.inspections.hourly_yield(start, start + timedelta(hours=1))
    assert [(hour.ok, hour.ng) for hour in hours] == [(1, 1)]


def test_one_that_comes_twice_has_the_first_ones_number(store: Store) -> None:
    first = store.inspections.record(record(0))
    assert store.inspections.record(record(0)) == first
    assert store.inspections.hourly_yield(NOON, NOON + timedelta(hours=1))[0].ng == 1


def test_a_batch_has_its_keys_looked_up_in_several_queries(store: Store) -> None:
    store.inspections.record_many([record(number) for number in range(1_200)])
    store.inspections.record_many([record(number) for number in range(1_201)])
    assert store.inspections.page(limit=1)[0].key == "s-1200"
    assert sum(hour.ng for hour in store.inspections.hourly_yield(NOON, NOON + timedelta(days=1))) == 1_201


@pytest.mark.parametrize("serial", ["A12\0\0", "A12\udcff"])
def test_a_text_that_no_database_keeps_is_said_at_once(store: Store, serial: str) -> None:
    # Not a StoreError: whoever waits for a database to come back would wait for ever.
    with pytest.raises(InputError, match="cannot"):
        store.inspections.record_many([replace(record(0), serial=serial)])
