"""Findings about a product in the store: decisions are kept beside its samples, and what is applied is done there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.curation.check import relabelled
from sightline.data.curation.findings import NO_ACTION, Action, Decision, State, Verb
from sightline.store.annotations import DEFECTIVE, GOOD, Annotation
from sightline.store.store import Store
from sightline.store.tables.base import now
from sightline.store.tables.labels import FindingRow, SampleRow

OPEN = "open"
LAST = "last-check"  # key of the row that has the result of the last check; nothing is decided about it


class StoreDecisionLog:
    """Keeps decisions about a product's findings in the store, under the name of whoever decides."""

    def __init__(self, store: Store, product: str, author: str) -> None:
        self._store, self._product, self._author = store, product, author

    def decisions(self) -> Mapping[str, Decision]:
        """All decisions by key, in the order in which they were made."""
        query = (
            select(FindingRow)
            .where(FindingRow.product == self._product, FindingRow.state != OPEN)
            .order_by(FindingRow.updated, FindingRow.id)
        )
        with self._store.reading() as session:
            return {row.key: _decision(row) for row in session.scalars(query)}

    def keep(self, decision: Decision) -> None:
        """Remember a decision, in place of an earlier one about the same finding."""
        self._write(decision.key, str(decision.state), decision.note, decision.action)

    def forget(self, key: str) -> None:
        """Make a finding open again. What was applied stays applied: the store is changed back by hand or rollback."""
        if key in self.decisions():
            self._write(key, OPEN, "", NO_ACTION)

    def last(self) -> Mapping[str, Any] | None:
        """The last check's result, None where none was kept."""
        query = select(FindingRow.details).where(FindingRow.product == self._product, FindingRow.key == LAST)
        with self._store.reading() as session:
            return session.scalars(query).one_or_none()

    def keep_last(self, result: Mapping[str, Any]) -> None:
        """Remember a check's result in place of the one before; not in a store that may only be read."""
        query = select(FindingRow).where(FindingRow.product == self._product, FindingRow.key == LAST)
        with suppress(SQLAlchemyError), self._store.writing() as session:
            row = session.scalars(query).one_or_none()
            if row is None:
                row = FindingRow(product=self._product, key=LAST, kind="check", subjects=[], state=OPEN, created=now())
            row.details, row.updated = dict(result), now()
            session.add(row)

    def _write(self, key: str, state: str, note: str, action: Action) -> None:
        query = select(FindingRow).where(FindingRow.product == self._product, FindingRow.key == key)
        with self._store.writing() as session:
            row = session.scalars(query).one_or_none()
            if row is None:
                row = FindingRow(product=self._product, key=key, kind=key.partition("-")[0], created=now())
            row.state, row.note, row.updated, row.decided_by = state, note, now(), self._author
            row.subjects = list(action.targets)
            row.details = {"action": asdict(action)}
            session.add(row)


def names_in_store(store: Store, product: str, version: bool) -> dict[str, str]:
    """The name of each sample of a product by the id that a check gives it without the ending: hash, or hash#2.

    A version may have samples that were deleted since.
    """
    query = select(SampleRow.hash, SampleRow.name).where(SampleRow.product == product).order_by(SampleRow.id)
    if not version:
        query = query.where(SampleRow.deleted_at.is_(None))
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    with store.reading() as session:
        for digest, name in session.execute(query):
            counts[digest] += 1
            names[digest if counts[digest] == 1 else f"{digest}#{counts[digest]}"] = name
    return names


def apply_all(store: Store, product: str, actions: Sequence[Action], author: str) -> None:
    """Do what findings suggest to the samples they name. Raises InputError where those are not there any more.

    Nothing is lost: labels are added, samples hidden, and a snapshot made before brings all of it back. All samples are
    looked up before the first is changed: of two copies, the second is no longer the second when the first is hidden.
    What is hidden takes no label: it goes last.
    """
    found = [(action, [_sample(store, product, target) for target in action.targets]) for action in actions]
    for action, ids in sorted(found, key=lambda one: one[0].verb is Verb.REMOVE):
        _apply(store, action, list(dict.fromkeys(ids)), author)


def _apply(store: Store, action: Action, ids: list[int], author: str) -> None:
    if action.verb is Verb.REMOVE:
        store.catalogue.delete(ids, author)
    elif action.verb is Verb.SPLIT:
        store.catalogue.assign(ids, action.value, author)
    elif action.verb is Verb.GROUP:
        store.catalogue.group(ids, action.value, author)
    elif action.verb is Verb.RELABEL:
        # What a label means is said in one place, whatever the label is kept in.
        sample = relabelled(Sample(Path(), None), action.value)
        label = DEFECTIVE if sample.defective else GOOD
        for number in ids:
            annotation = Annotation(
                label=label, types=sample.types, grade=sample.grade, author=author, note="after a check"
            )
            store.annotations.add(number, annotation)


def _sample(store: Store, product: str, target: str) -> int:
    """Id of the sample of an image, which a check calls by its file in the store; the file's name is its hash."""
    name, _, number = target.partition("#")
    digest, index = PurePosixPath(name).stem, int(number or 1) - 1
    query = (
        select(SampleRow.id)
        .where(SampleRow.product == product, SampleRow.hash == digest, SampleRow.deleted_at.is_(None))
        .order_by(SampleRow.id)
    )
    with store.reading() as session:
        found = list(session.scalars(query))
    # Copies of one image have one hash: the n-th of them is the n-th sample.
    if index >= len(found):
        raise InputError(f"{product}: image {digest[:12]} is not there any more. Run the check again")
    return found[index]


def _decision(row: FindingRow) -> Decision:
    action = row.details.get("action")
    return Decision(
        key=row.key,
        state=State(row.state),
        when=row.updated.isoformat(timespec="seconds"),
        note=row.note,
        action=Action.of_json(action) if action else NO_ACTION,
    )
