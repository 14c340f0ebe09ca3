"""Studies and signed records: refused readings, what stays, and tampering that is noticed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from sightline.core.errors import ConflictError, ForbiddenError, InputError, StoreError
from sightline.operations.signing import tampered
from sightline.store.records import record_hash
from sightline.store.store import Store
from sightline.store.studies import Appraiser, Reading, Study, StudyPart, order

PARTS = [StudyPart(0, f"part {n}", "NG" if n % 2 else "OK") for n in range(4)]


def design(store: Store, **changes: object) -> Study:
    people = (Appraiser("ann"), Appraiser("bob"), Appraiser("machine", "machine"))
    values: dict[str, object] = {"trials": 2, "seed": 5, **changes}
    return store.studies.add(Study("MSA", "attribute", "plates", people, **values), PARTS, "eve")  # type: ignore[arg-type]


@contextmanager
def unguarded(store: Store, table: str) -> Iterator[Callable[[str], object]]:
    """What somebody can do who owns the database."""
    with store.database.engine.begin() as connection:
        if store.database.is_sqlite:
            for action in ("UPDATE", "DELETE"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS guard_{table}_{action}"))
            yield lambda statement: connection.execute(text(statement))
            return
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER guard_{table}"))
        yield lambda statement: connection.execute(text(statement))
        connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER guard_{table}"))


def test_orders_are_random_differ_and_do_not_change() -> None:
    assert order(1, "ann", 1, 6) == [4, 5, 1, 3, 2, 6]
    assert order(1, "ann", 2, 30) != order(1, "ann", 1, 30) != order(1, "bob", 1, 30)
    assert sorted(order(1, "ann", 1, 30)) == list(range(1, 31))


def test_each_appraiser_reads_the_next_part_of_their_own_order_only(store: Store) -> None:
    study = design(store)
    first = store.studies.turn(study.id, "ann")
    assert first is not None and (first.trial, first.place, first.of) == (1, 1, 4)
    assert first.part.number == order(5, "ann", 1, 4)[0]
    store.studies.read(study.id, "ann", Reading("OK"), "ann", trial=1, place=1)
    for answer in ("OK", "NG"):  # twice, and contradicting
        with pytest.raises(ConflictError, match="read already"):
            store.studies.read(study.id, "ann", Reading(answer), "ann", trial=1, place=1)
    with pytest.raises(ConflictError, match="is not the next one"):
        store.studies.read(study.id, "ann", Reading("OK"), "ann", trial=1, place=4)
    with pytest.raises(ForbiddenError, match="no appraiser"):
        store.studies.read(study.id, "eve", Reading("OK"), "eve")
    with pytest.raises(InputError, match="no answer"):
        store.studies.read(study.id, "ann", Reading("perhaps"), "ann")
    with pytest.raises(ConflictError, match="has read part"):
        store.studies.read_all(study.id, "ann", [(1, first.part.number, Reading("NG"))], "eve")
    assert store.studies.done(study.id) == {"ann": 1, "bob": 0, "machine": 0}
    store.studies.close(study.id, "eve", "bob has left")
    with pytest.raises(ConflictError, match="closed"):
        store.studies.read(study.id, "ann", Reading("OK"), "ann", trial=1, place=2)


def test_what_was_read_and_signed_is_never_changed(store: Store) -> None:
    study = design(store)
    store.studies.read(study.id, "ann", Reading("OK"), "ann")
    store.studies.close(study.id, "eve")
    record = store.studies.conclude(study.id, {**store.studies.content(study.id), "result": {}}, "eve")
    ann = store.users.add("ann", "operator", None, "eve")
    store.records.sign(record.id, ann, "performed", hash=record.hash)
    with pytest.raises(ConflictError, match="already"):
        store.records.sign(record.id, ann, "performed")
    with pytest.raises(ConflictError, match="not what was shown"):
        store.records.sign(record.id, ann, "reviewed", hash="0" * 64)
    with pytest.raises(InputError, match="no meaning"):
        store.records.sign(record.id, ann, "liked")  # type: ignore[arg-type]
    with pytest.raises(ConflictError, match="has its record"):
        store.studies.conclude(study.id, {}, "eve")
    assert store.studies.tampered(study.id) == "" and store.records.verify().broken == ""
    for table in ("study_readings", "records", "signatures"):
        with pytest.raises(StoreError, match="never changed"), store.writing() as session:
            session.execute(text(f"UPDATE {table} SET author = 'mallory'"))


@pytest.mark.parametrize(
    ("table", "statement", "told"),
    [
        ("records", "UPDATE records SET title = 'better'", "record 1 .* was altered"),
        ("signatures", "UPDATE signatures SET author = 'mallory' WHERE id = 1", "signature 1 .* was altered"),
        ("signatures", "DELETE FROM signatures WHERE id = 1", "signature 2 .* taken out"),
        ("signatures", "DELETE FROM signatures WHERE id = 2", "the audit knows other signatures"),
        ("study_readings", "UPDATE study_readings SET answer = 'NG' WHERE id = 1", "differs .* in: readings"),
    ],
)
def test_tampering_is_noticed(store: Store, table: str, statement: str, told: str) -> None:
    study = design(store)
    store.studies.read(study.id, "ann", Reading("OK"), "ann")
    store.studies.close(study.id, "eve")
    record = store.studies.conclude(study.id, store.studies.content(study.id), "eve")
    for name in ("ann", "bob"):
        store.records.sign(record.id, store.users.add(name, "operator", None, "eve"), "performed")
    assert store.records.verify().rows == 2
    with unguarded(store, table) as execute:
        execute(statement)
    assert re.search(told, store.records.verify().broken or store.studies.tampered(study.id))


def test_records_that_nobody_has_signed_are_compared_with_the_audit(store: Store) -> None:
    for title in ("first", "second"):
        store.records.add("pilot", "line 1", title, {"escapes": 3}, "eve")
    assert tampered(store) == ""
    better = replace(store.records.get(1), content={"escapes": 0})
    forged = f"UPDATE records SET content = '{json.dumps(better.content)}', hash = '{record_hash(better)}' WHERE id = 1"
    columns = "kind, subject, title, content, hash, author, created"
    copied = f"INSERT INTO records (id, {columns}) SELECT 9, {columns} FROM records WHERE id = 1"
    restored = f"UPDATE records SET content = '{{\"escapes\": 3}}', hash = '{store.records.get(1).hash}' WHERE id = 1"
    for statement, told in (
        (forged, "record 1 was altered"),
        (restored, ""),
        (copied, "record 9 was added"),
        ("DELETE FROM records WHERE id = 9", ""),
        ("DELETE FROM records WHERE id = 2", "record 2 was taken out"),
    ):
        with unguarded(store, "records") as execute:
            execute(statement.replace(":", "\\:"))
        found = tampered(store)
        assert found.startswith(told) and bool(found) == bool(told), (statement, found)


def test_a_design_that_cannot_be_read_is_refused(store: Store) -> None:
    for wrong in ({"trials": 0}, {"kind": "poll"}, {"name": " "}, {"appraisers": (Appraiser("a"), Appraiser("a"))}):
        values = {"name": "x", "kind": "attribute", "product": "p", "appraisers": (Appraiser("a"),), **wrong}
        with pytest.raises(InputError):
            store.studies.add(Study(**values), PARTS, "eve")  # type: ignore[arg-type]
