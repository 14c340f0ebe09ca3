"""What a station delivers twice is recorded once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sightline.core.band import Verdict
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
