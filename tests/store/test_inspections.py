"""The line's record: kept as given and once, in pages without gaps, and counted by the hour."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import event, text

from sightline.core.errors import InputError, StoreError
from sightline.core.result import Defect, Result, Verdict
from sightline.store.inspections import Filter, Hour, Record, _query
from sightline.store.store import Store
from sightline.store.tables.line import InspectionRow

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
VERDICTS = (Verdict.OK, Verdict.OK, Verdict.OK, Verdict.NG, Verdict.OK, Verdict.REVIEW)


def record(number, **changes):
    bad = VERDICTS[number % 6] is Verdict.NG
    values = {
        "station": f"station {number % 2}",
        "verdict": VERDICTS[number % 6],
        "triggered": START + timedelta(minutes=number // 2),  # two at the same moment
        "score": number / 7,
        "lot": f"lot {number // 10}",
        "serial": f"S{number}",
        "product": "plates",
        "types": {"crack": 0.75} if bad else {},
    }
    return Record(**{**values, **changes})


@pytest.fixture
def filled(store):
    store.inspections.record_many([record(number) for number in range(120)])
    return store.inspections


FULL = Record(
    station="s1",
    verdict=Verdict.NG,
    triggered=START,
    score=1.25,
    p_value=0.004,
    line="line 1",
    product="plates",
    lot="12",
    serial="A7",
    types={"crack": 0.75},
    grade=2,
    recipe_hash="a" * 64,
    image_hash="b" * 64,
    details={"defects": [{"type": "crack", "box": [1, 2, 3, 4]}]},
    captured=START + timedelta(milliseconds=12),
    inferred=START + timedelta(milliseconds=30),
    signalled=START + timedelta(milliseconds=31, microseconds=7),
    late=True,
    error="camera lost",
    shadow=True,
)


def test_a_record_comes_back_as_it_was(store):
    before = datetime.now(UTC)
    number = store.inspections.record(FULL)
    found = store.inspections.get(number)
    assert found == replace(FULL, id=number, received=found.received)
    assert before <= found.received <= datetime.now(UTC)
    with pytest.raises(InputError, match="no inspection 99"):
        store.inspections.get(99)


def test_a_result_becomes_a_record(store):
    defect = Defect("crack", 2.5, (1, 2, 3, 4), np.array([[1, 2], [4, 6]], np.int32), 7.5)
    result = Result(verdict=Verdict.NG, score=3.5, p_value=0.01, defects=(defect,), types={"crack": 0.75})
    number = store.inspections.record(Record.of(result, station="s1", triggered=START, lot="12"))
    kept = store.inspections.get(number)
    assert (kept.verdict, kept.score, kept.types, kept.lot) == (Verdict.NG, 3.5, {"crack": 0.75}, "12")
    assert kept.details == {"defects": [defect.to_json()]}


def test_a_score_that_is_no_number_is_kept_as_none(store):
    number = store.inspections.record(record(0, score=float("nan"), p_value=np.float32(0.5), types={"a": float("inf")}))
    kept = store.inspections.get(number)
    assert (kept.score, kept.p_value, kept.types) == (None, 0.5, {"a": None})


@pytest.mark.parametrize("changes", [{"station": ""}, {"triggered": START.replace(tzinfo=None)}])
def test_a_record_without_station_or_zone_is_refused(store, changes):
    with pytest.raises(InputError):
        store.inspections.record(record(0, **changes))
    with pytest.raises(InputError):
        store.inspections.record_many([record(1), record(0, **changes)])
    assert store.inspections.page() == ()


FILTERS = {
    "all": (Filter(), lambda r: True),
    "station": (Filter(station="station 1"), lambda r: r.station == "station 1"),
    "verdict": (Filter(verdicts=(Verdict.NG,)), lambda r: r.verdict is Verdict.NG),
    "two verdicts": (Filter(verdicts=(Verdict.REVIEW, Verdict.NG)), lambda r: r.verdict is not Verdict.OK),
    "station and verdicts": (
        Filter(station="station 1", verdicts=(Verdict.OK, Verdict.NG)),
        lambda r: r.station == "station 1" and r.verdict is not Verdict.REVIEW,
    ),
    "time": (
        Filter(since=START + timedelta(minutes=10), until=START + timedelta(minutes=20)),
        lambda r: 10 <= (r.triggered - START).total_seconds() / 60 < 20,
    ),
    "lot": (Filter(lot="lot 3", verdicts=(Verdict.OK,)), lambda r: r.lot == "lot 3" and r.verdict is Verdict.OK),
    "serial": (Filter(serial="S77"), lambda r: r.serial == "S77"),
    "type": (Filter(type="crack"), lambda r: "crack" in r.types),
    "a type that is none": (Filter(type="cr%"), lambda r: False),
    "product": (Filter(product="cups"), lambda r: False),
    "late": (Filter(late=True), lambda r: False),
}


@pytest.mark.parametrize(("wanted", "passes"), FILTERS.values(), ids=FILTERS)
def test_pages_have_all_that_pass_and_nothing_twice(filled, wanted, passes):
    expected = [record(number) for number in range(120) if passes(record(number))]
    found, before = [], None
    while page := filled.page(wanted, before, limit=7):
        found += page
        before = page[-1].cursor
    assert [r.cursor for r in found] == sorted((r.cursor for r in found), reverse=True)
    assert sorted(r.serial for r in found) == sorted(r.serial for r in expected)


def test_new_inspections_shift_no_page(filled):
    first = filled.page(limit=5)
    filled.record(record(500))
    second = filled.page(before=first[-1].cursor, limit=5)
    assert {r.serial for r in first}.isdisjoint(r.serial for r in second)
    assert [r.serial for r in second] == ["S114", "S113", "S112", "S111", "S110"]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_bounds(filled, limit):
    with pytest.raises(InputError, match="1 to 1000"):
        filled.page(limit=limit)


def test_shadows_are_told_apart(filled):
    filled.record(record(0, serial="shadow", shadow=True))
    assert [r.serial for r in filled.page(Filter(shadow=True))] == ["shadow"]
    assert len(filled.page(Filter(shadow=None), limit=500)) == 121
    assert len(filled.page(limit=500)) == 120


def test_hours_count_what_was_recorded(filled):
    hours = filled.hourly_yield(START, START + timedelta(hours=2))
    assert hours == (Hour(START, 80, 20, 20),)
    assert hours[0].ok_share == pytest.approx(2 / 3)
    filled.record(record(0, triggered=START + timedelta(hours=1)))
    filled.record(record(3, triggered=START + timedelta(hours=1), shadow=True))  # decided nothing: not counted
    assert filled.hourly_yield(START, START + timedelta(hours=2))[1] == Hour(START + timedelta(hours=1), 1, 0, 0)
    (one,) = filled.hourly_yield(START, START + timedelta(hours=1), station="station 1")
    assert (one.ok, one.ng, one.review) == (20, 20, 20)
    assert filled.hourly_yield(START + timedelta(minutes=1), START + timedelta(hours=1)) == ()


def test_hours_agree_with_the_rows_when_many_record_at_once(database, tmp_path):
    url = database("open")

    def work(station):
        with Store.open(url, tmp_path) as store:
            for number in range(30):
                store.inspections.record(record(number, station=station))
            store.inspections.record_many([record(number) for number in range(30)])

    threads = [threading.Thread(target=work, args=(f"station {i % 2}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Store.open(url, tmp_path) as store:
        (hour,) = store.inspections.hourly_yield(START, START + timedelta(hours=1))
        rows = store.inspections.page(limit=1000)
        assert len(rows) == hour.parts == 240
        assert hour.ng == sum(row.verdict is Verdict.NG for row in rows)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(), "ix_inspections_triggered_id"),
        (Filter(station="a"), "ix_inspections_station_triggered_id"),
        (Filter(station="a", verdicts=(Verdict.NG,)), "ix_inspections_station_verdict_triggered_id"),
        (Filter(verdicts=(Verdict.NG,)), "ix_inspections_verdict_triggered_id"),
        (Filter(lot="a", station="b", verdicts=(Verdict.NG,)), "ix_inspections_lot_triggered_id"),
        (Filter(serial="a", verdicts=(Verdict.NG,)), "ix_inspections_serial_triggered_id"),
        (Filter(product="a"), "ix_inspections_product_triggered_id"),
        (Filter(late=True), "ix_inspections_late"),
        (Filter(shadow=True), "ix_inspections_shadow"),
    ],
)
def test_every_page_reads_along_an_index_and_sorts_nothing(sqlite, tmp_path, wanted, index):
    with Store.open(sqlite("open"), tmp_path) as store, store.reading() as session:
        query = _query(wanted, wanted.verdicts[0] if wanted.verdicts else None, (START, 1)).limit(50)
        sql = str(query.compile(session.connection(), compile_kwargs={"literal_binds": True}))
        plan = " ".join(row[-1] for row in session.execute(text("EXPLAIN QUERY PLAN " + sql)))
    assert f"USING INDEX {index} " in plan
    assert "TEMP B-TREE" not in plan


def test_a_full_disk_is_said_and_what_was_acknowledged_is_there(sqlite, tmp_path):
    with Store.open(sqlite("open"), tmp_path) as store:

        @event.listens_for(store.database.engine, "begin")
        def small(connection):
            connection.exec_driver_sql("PRAGMA max_page_count = 80")

        kept = []
        with pytest.raises(StoreError, match=r"disk is full.*everything acknowledged is still there"):
            for number in range(10_000):
                kept.append(store.inspections.record(record(number, details={"text": "x" * 200})))
        assert [store.inspections.get(number).id for number in kept] == kept
        with store.reading() as session:
            assert session.query(InspectionRow).count() == len(kept) > 0


def test_settling_empties_the_log_while_the_line_goes_on(store):
    store.inspections.record_many([record(number) for number in range(50)])
    with store.reading() as session:  # somebody reads meanwhile
        assert session.query(InspectionRow).count() == 50
        store.settle()
    store.settle()
    if store.database.is_sqlite:
        with store.database.engine.connect() as connection:
            _, pages, moved = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
        assert pages == moved
    store.inspections.record(record(50))
    assert len(store.inspections.page(limit=100)) == 51


def test_a_type_is_found_by_its_exact_name(store):
    for name in ("crack", "Crack", 'a "b"', "ä_c", "aXc"):
        seen = Record(station="s", verdict=Verdict.NG, triggered=datetime.now(UTC), types={name: 0.5, "other": 0.1})
        store.inspections.record(seen)
    for name in ("crack", "Crack", 'a "b"', "ä_c"):
        (found,) = store.inspections.page(Filter(type=name))
        assert name in found.types
    assert store.inspections.page(Filter(type="rack")) == ()


def keyed(number: int) -> Record:
    return Record(station="s", verdict=Verdict.NG, triggered=NOON + timedelta(seconds=number), key=f"s-{number}")


def test_a_batch_that_comes_twice_is_there_once(store: Store) -> None:
    batch = [keyed(number) for number in range(5)]
    store.inspections.record_many(batch[:3])
    store.inspections.record_many([*batch, batch[0]])
    assert [one.key for one in store.inspections.page()] == ["s-4", "s-3", "s-2", "s-1", "s-0"]
    assert store.inspections.hourly_yield(NOON, NOON + timedelta(hours=1))[0].ng == 5


def test_records_without_a_key_are_all_kept(store: Store) -> None:
    store.inspections.record_many([replace(keyed(0), key=None)] * 3)
    assert len(store.inspections.page()) == 3


def test_a_picture_finds_its_inspection(store: Store) -> None:
    store.inspections.record_many([keyed(0), keyed(1)])
    store.inspections.set_image("s-1", "a" * 64)
    store.inspections.set_image("nobody", "b" * 64)
    assert [one.image_hash for one in store.inspections.page()] == ["a" * 64, None]


def test_a_correction_changes_the_verdict_once_and_the_hour_with_it(store: Store) -> None:
    store.inspections.record_many([replace(keyed(0), verdict=Verdict.OK), replace(keyed(1), verdict=Verdict.OK)])
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
    first = store.inspections.record(keyed(0))
    assert store.inspections.record(keyed(0)) == first
    assert store.inspections.hourly_yield(NOON, NOON + timedelta(hours=1))[0].ng == 1


def test_a_batch_has_its_keys_looked_up_in_several_queries(store: Store) -> None:
    store.inspections.record_many([keyed(number) for number in range(1_200)])
    store.inspections.record_many([keyed(number) for number in range(1_201)])
    assert store.inspections.page(limit=1)[0].key == "s-1200"
    assert sum(hour.ng for hour in store.inspections.hourly_yield(NOON, NOON + timedelta(days=1))) == 1_201


@pytest.mark.parametrize("serial", ["A12\0\0", "A12\udcff"])
def test_a_text_that_no_database_keeps_is_said_at_once(store: Store, serial: str) -> None:
    # Not a StoreError: whoever waits for a database to come back would wait for ever.
    with pytest.raises(InputError, match="cannot"):
        store.inspections.record_many([replace(keyed(0), serial=serial)])


def test_a_batch_without_a_new_part_is_nothing(store: Store) -> None:
    """Pictures come after their parts, alone, where the next part is a long time coming."""
    store.inspections.record_many([], ok_share=0.5)
    part = record(0, key="one")
    for _ in range(2):
        store.inspections.record_many([part], ok_share=0.5)
    assert len(store.inspections.page(Filter())) == 1
