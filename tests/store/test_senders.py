"""What stations send is kept once on both databases, however many send at the same moment."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from tests.sending import HASH, part

from sightline.core.errors import ConflictError
from sightline.store.senders import Head
from sightline.store.store import Store


def head(station: str, first: int, through: int, instance: str = "one") -> Head:
    return Head(station=station, instance=instance, journal="j", sent=datetime.now(UTC), version="1", first=first,
                through=through)  # fmt: skip


def test_many_stations_at_once_each_entry_once(store: Store) -> None:
    errors: list[BaseException] = []

    def send(station: str) -> None:
        try:
            for _ in range(2):  # all of it twice
                for first in range(1, 61, 20):
                    entries = [(n, part(n, "NG" if n % 10 == 0 else "OK", station)) for n in range(first, first + 20)]
                    store.senders.take(head(station, first, first + 19), entries)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=send, args=(f"s{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = store.inspections.recorded_after(0, 1000)
    assert len(found) == len({one.key for one in found}) == 480
    for name in ("s0", "s7"):
        assert [one.key for one in found if one.station == name] == [f"{name}-{n}" for n in range(1, 61)]
    rows = store.senders.received(datetime.now(UTC) - timedelta(hours=1))
    assert {(row.product, row.recipe_hash) for row in rows} == {("plates", HASH)}
    assert sum(row.count for row in rows) == 480
    assert sum(row.count for row in rows if row.verdict == "NG") == 48
    assert [(one.sequence, one.missing) for one in store.senders.all()] == [(60, 0)] * 8


def test_what_a_correction_changes_is_counted_anew_and_another_journal_begins_at_one(store: Store) -> None:
    store.senders.take(head("s", 1, 1), [(1, part(1, name="s"))])
    correction = {"kind": "correction", "key": "s-1", "verdict": "NG", "error": "20: late"}
    store.senders.take(head("s", 2, 2), [(2, correction)])
    rows = store.senders.received(datetime.now(UTC) - timedelta(hours=1))
    assert {row.verdict: row.count for row in rows} == {"OK": 0, "NG": 1}
    with pytest.raises(ConflictError, match="another computer"):
        store.senders.take(head("s", 3, 3, "two"), [(3, part(3, name="s"))])
    anew = Head(station="s", instance="one", journal="k", sent=datetime.now(UTC), version="1", first=1, through=2)
    done = store.senders.take(anew, [(1, part(1, name="s")), (2, part(2, name="s"))])
    assert done.through == 2 and store.inspections.newest_id() >= 2
    assert [one.key for one in store.inspections.recorded_after(0)] == ["s-1", "s-2"]
