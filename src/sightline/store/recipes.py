"""Recipe files with where they come from: the version they learned, the recipe they were made from."""

from __future__ import annotations

import builtins
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.snapshot import Version, version_of
from sightline.store.tables.base import now
from sightline.store.tables.labels import EntryRow, SampleRow, VersionRow
from sightline.store.tables.line import AuditRow, RecipeRow
from sightline.store.versions import find_version, frozen_hashes

STATES = ("candidate", "shadow", "promoted", "retired")
MAX_LINEAGE = 100


@dataclass(frozen=True, slots=True)
class StoredRecipe:
    """A recipe in the store; `version` is the name of the dataset version it learned from."""

    hash: str
    product: str
    name: str
    state: str
    version: str | None
    parent: str | None
    card: dict[str, Any]
    author: str
    created: datetime
    id: int

    @property
    def revision(self) -> str:
        """Changes with every change: of a recipe, only the state can."""
        return f"{self.hash[:16]}-{self.state}"


class Recipes:
    """The recipes of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self,
        data: bytes,
        product: str,
        name: str,
        author: str = "",
        version: str | None = None,
        parent: str | None = None,
        card: dict[str, Any] | None = None,
    ) -> StoredRecipe:
        """Keep a recipe file; one that is there already is given back as it is.

        `version` is the dataset version it was learned from; where `card` lists the images it learned (`trained_on`),
        they have to be in that version. Raises InputError where they are not, and for a recipe that has learned
        images of a frozen test part.
        """
        digest = hashlib.sha256(data).hexdigest()
        with self._database.writing() as session:
            row = session.scalar(select(RecipeRow).where(RecipeRow.hash == digest))
            if row is None:
                source = None if version is None else find_version(session, version)
                _check_lineage(session, name, set((card or {}).get("trained_on", ())), source)
                row = RecipeRow(
                    hash=digest,
                    product=product,
                    name=name,
                    file=data,
                    card=card or {},
                    parent_hash=parent,
                    version_id=None if source is None else source.id,
                    state="candidate",
                    author=author,
                    created=now(),
                )
                session.add(row)
                audit(session, author, "register", f"recipe {digest}", product=product, version=version)
                session.flush()
            return _stored(session, row)

    def file(self, hash: str) -> bytes:
        """A recipe's file. Raises InputError where there is none."""
        with self._database.reading() as session:
            return _find(session, hash).file

    def find(self, hash: str) -> StoredRecipe:
        """A recipe by its hash, or the hash's first digits. Raises InputError."""
        with self._database.reading() as session:
            return _stored(session, _find(session, hash))

    def list(self, product: str | None = None, version: str | None = None) -> tuple[StoredRecipe, ...]:
        """All recipes, of one product, or learned from one version, the oldest first."""
        query = select(RecipeRow).order_by(RecipeRow.id)
        with self._database.reading() as session:
            if product is not None:
                query = query.where(RecipeRow.product == product)
            if version is not None:
                query = query.where(RecipeRow.version_id == find_version(session, version).id)
            return tuple(_stored(session, row) for row in session.scalars(query))

    def version_of(self, hash: str) -> Version | None:
        """The dataset version that a recipe learned from; None where it was not said."""
        with self._database.reading() as session:
            row = session.get(VersionRow, _find(session, hash).version_id or 0)
            return None if row is None else version_of(row)

    def page(
        self, product: str | None = None, state: str | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[StoredRecipe, ...]:
        """The newest recipes, of one product, in one state, or older than the id `before`."""
        query = select(RecipeRow).order_by(RecipeRow.id.desc()).limit(limit)
        for column, value in ((RecipeRow.product, product), (RecipeRow.state, state)):
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(RecipeRow.id < before)
        with self._database.reading() as session:
            return tuple(_stored(session, row) for row in session.scalars(query))

    def lineage(self, hash: str) -> tuple[builtins.list[StoredRecipe], builtins.list[StoredRecipe]]:
        """The recipes that a recipe comes from, its parent first, and those that were made from it."""
        with self._database.reading() as session:
            row: RecipeRow | None = _find(session, hash)
            assert row is not None
            children = session.scalars(
                select(RecipeRow).where(RecipeRow.parent_hash == row.hash).order_by(RecipeRow.id)
            )
            found = [_stored(session, child) for child in children]
            above: builtins.list[StoredRecipe] = []
            while row is not None and row.parent_hash is not None and len(above) < MAX_LINEAGE:
                row = session.scalar(select(RecipeRow).where(RecipeRow.hash == row.parent_hash))
                if row is not None:
                    above.append(_stored(session, row))
            return above, found

    def set_state(
        self, hash: str, state: str, author: str, reason: str = "", revision: str | None = None
    ) -> StoredRecipe:
        """Make a recipe candidate, shadow, promoted or retired.

        Raises InputError, and ConflictError where it is no longer at `revision`, with who changed it.
        """
        if state not in STATES:
            raise InputError(f"'{state}' is not a state of a recipe. Use one of: {', '.join(STATES)}")
        with self._database.writing() as session:
            row = session.get(RecipeRow, _find(session, hash).id, with_for_update=True)
            assert row is not None
            if revision is not None and revision != _stored(session, row).revision:
                raise ConflictError(
                    f"{row.name} {_last_change(session, row)}. Read it again, then change it", stale=True
                )
            audit(session, author, state, f"recipe {row.hash}", reason, before=row.state)
            row.state = state
            session.flush()
            return _stored(session, row)


def _last_change(session: Session, row: RecipeRow) -> str:
    query = select(AuditRow).where(AuditRow.subject == f"recipe {row.hash}").order_by(AuditRow.id.desc()).limit(1)
    last = session.scalar(query)
    return f"is {row.state}" + (f" since {last.created:%Y-%m-%d %H:%M} UTC, by {last.author}" if last else "")


def _find(session: Session, hash: str) -> RecipeRow:
    row = session.scalar(select(RecipeRow).where(RecipeRow.hash.startswith(hash, autoescape=True)).limit(1))
    if row is None or len(hash) < 8:
        raise NotFoundError(f"there is no recipe '{hash}' in the store. Give at least 8 digits of its hash")
    return row


def _stored(session: Session, row: RecipeRow) -> StoredRecipe:
    version = session.get(VersionRow, row.version_id) if row.version_id is not None else None
    name = None if version is None else f"{version.product}@{version.number}"
    return StoredRecipe(
        row.hash, row.product, row.name, row.state, name, row.parent_hash, row.card, row.author, row.created, row.id
    )


def _check_lineage(session: Session, name: str, learned: set[str], version: VersionRow | None) -> None:
    """`learned` are the first digits of hashes, as a card lists them."""
    if not learned:
        return
    digits = len(next(iter(learned)))
    stolen = learned & {digest[:digits] for digest in frozen_hashes(session)}
    if stolen:
        raise InputError(
            f"{name}: was trained on {len(stolen)} images of a frozen test part, so none of its figures "
            "can be trusted. "
            "Train it again from a version of the store"
        )
    if version is None:
        return
    hashes = session.scalars(
        select(SampleRow.hash)
        .join(EntryRow, EntryRow.sample_id == SampleRow.id)
        .where(EntryRow.version_id == version.id)
    )
    strange = learned - {digest[:digits] for digest in hashes}
    if strange:
        raise InputError(
            f"{name}: was trained on {len(strange)} images that are not in {version.product}@{version.number}. "
            "Name the version that it was trained from"
        )
