"""The audit is a chain: nobody alters or removes a row unseen, and many writers make one chain."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from sightline.core.errors import InputError
from sightline.store.audit import note as write
from sightline.store.audit import row_hash
from sightline.store.store import Store
from sightline.store.tables.line import AuditRow

Database = Callable[[str], str]


@contextmanager
def unguarded(store: Store) -> Iterator[Callable[[str], object]]:
    """What somebody can do who owns the database: the guard is taken away, rows are changed."""
    with store.database.engine.begin() as connection:
        if store.database.is_sqlite:
            for action in ("UPDATE", "DELETE"):
                connection.execute(text(f"DROP TRIGGER guard_audit_{action}"))
            yield lambda statement: connection.execute(text(statement))
            return
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER guard_audit"))
        yield lambda statement: connection.execute(text(statement))
        connection.execute(text("ALTER TABLE audit ENABLE TRIGGER guard_audit"))  # tests share these databases


def note(store: Store, count: int, author: str = "ann") -> None:
    for number in range(count):
        store.audit.note(author, "test", f"thing {number}", "because", number=number, share=0.1 * number)


def test_a_whole_chain_is_whole_and_told_with_its_head(store: Store) -> None:
    note(store, 5)
    chain = store.audit.verify()
    assert (chain.rows, chain.broken) == (5, "")
    assert chain.head == store.audit.page(limit=1)[0].hash
    assert store.check().to_json()["audit"] == {"rows": 5, "head": chain.head, "broken": ""}


@pytest.mark.parametrize("change", ["author = 'eve'", "reason = 'none'", "details = '{\"number\": 7}'", "created = 1"])
def test_an_altered_row_is_named(store: Store, change: str) -> None:
    note(store, 5)
    with unguarded(store) as execute:
        execute(f"UPDATE audit SET {change} WHERE id = 3")
    found = store.check()
    assert not found.ok
    assert "row 3 of the audit" in found.audit.broken
    assert "altered" in found.audit.broken
    assert found.audit.rows == 2


def test_a_row_that_was_taken_out_is_noticed_at_the_next(store: Store) -> None:
    note(store, 5)
    with unguarded(store) as execute:
        execute("DELETE FROM audit WHERE id = 2")
    assert "row 3 of the audit" in store.audit.verify().broken
    assert "taken out" in store.audit.verify().broken


def test_a_row_with_a_new_hash_breaks_the_next_one(store: Store) -> None:
    note(store, 3)
    with store.reading() as session:
        row = session.get(AuditRow, 2)
        assert row is not None
        row.author = "eve"
        forged = row_hash(row.previous, row)
        session.rollback()
    with unguarded(store) as execute:
        execute(f"UPDATE audit SET author = 'eve', hash = '{forged}' WHERE id = 2")
    assert "row 3" in store.audit.verify().broken


def test_what_is_undone_leaves_no_row_and_no_gap(store: Store) -> None:
    note(store, 1)
    with pytest.raises(InputError), store.writing() as session:
        write(session, "ann", "test", "thing")
        raise InputError("changed my mind")
    note(store, 1)
    assert (store.audit.verify().rows, store.audit.verify().broken) == (2, "")


def fill(url: str, images: str, author: str) -> None:
    with Store.open(url, images, create=False) as store, ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda number: note(store, 10, f"{author}{number}"), range(3)))


def test_many_writers_make_one_chain(database: Database, tmp_path: Path) -> None:
    url = database("open")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=fill, args=(url, str(tmp_path), name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    with Store.open(url, tmp_path, create=False) as store:
        chain = store.audit.verify()
    assert (chain.rows, chain.broken) == (90, "")


def test_pages_follow_each_other_and_can_be_of_one_author_or_subject(store: Store) -> None:
    note(store, 5)
    note(store, 2, "bob")
    first = store.audit.page(limit=3)
    assert [entry.subject for entry in first] == ["thing 1", "thing 0", "thing 4"]
    assert [entry.subject for entry in store.audit.page(before=first[-1].id, limit=1)] == ["thing 3"]
    assert {entry.author for entry in store.audit.page(author="bob")} == {"bob"}
    last = store.audit.last("thing 1")
    assert last is not None
    assert (last.author, last.reason, dict(last.details)) == ("bob", "because", {"number": 1, "share": 0.1})
    with pytest.raises(InputError, match="1 to 1000"):
        store.audit.page(limit=0)
