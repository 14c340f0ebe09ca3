"""Records that people sign: each is whole in itself and never changed, and their signatures are a chain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.store.audit import FIRST
from sightline.store.audit import note as audit
from sightline.store.audit_log import Chain
from sightline.store.database import Database
from sightline.store.tables.base import now, to_us
from sightline.store.tables.line import AuditRow
from sightline.store.tables.studies import RecordRow, SignatureRow
from sightline.store.users import User

Kind = Literal["study", "pilot", "audit", "qualification"]
Meaning = Literal["performed", "reviewed", "approved"]


@dataclass(frozen=True, slots=True)
class Record:
    """What was concluded about a subject, with its content; `hash` is over all of it."""

    id: int
    kind: str
    subject: str
    title: str
    content: Mapping[str, Any]
    hash: str
    author: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Signature:
    """Somebody's signature under a record: what it means, when, in which role, and the record's hash as signed."""

    id: int
    record_id: int
    record_hash: str
    meaning: str
    author: str
    role: str
    comment: str
    created: datetime
    hash: str


RECORD, SIGNATURE = tuple(Record.__dataclass_fields__), tuple(Signature.__dataclass_fields__)


class Records:
    """The records of a store, and their signatures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: Kind, subject: str, title: str, content: Mapping[str, Any], author: str) -> Record:
        """Keep what was concluded. Raises InputError for content that is no JSON."""
        with self._database.writing() as session:
            return record_of(write_record(session, kind, subject, title, content, author))

    def get(self, id: int) -> Record:
        """One record. Raises NotFoundError."""
        with self._database.reading() as session:
            return record_of(_find(session, id))

    def page(
        self, kind: str | None = None, subject: str | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[Record, ...]:
        """The newest records, of one kind, about one subject, or older than the id `before`."""
        query = select(RecordRow).order_by(RecordRow.id.desc()).limit(limit)
        for column, value in ((RecordRow.kind, kind), (RecordRow.subject, subject)):
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(RecordRow.id < before)
        with self._database.reading() as session:
            return tuple(record_of(row) for row in session.scalars(query))

    def sign(self, id: int, user: User, meaning: Meaning, comment: str = "", hash: str | None = None) -> Signature:
        """Sign a record in the name of a user who has just proven to be it; `hash` is that of what was shown.

        Raises ConflictError for a record that is not what was shown or was altered, and for a second signature of the
        same person and meaning.
        """
        if meaning not in get_args(Meaning):
            raise InputError(f"'{meaning}' is no meaning of a signature. Use one of: {', '.join(get_args(Meaning))}")
        with self._database.writing() as session:
            row = _find(session, id)
            if row.hash != record_hash(row) or hash not in {None, row.hash}:
                raise ConflictError(f"record {id} is not what was shown. Look at it again, and check the store")
            mine = SignatureRow.record_id == id, SignatureRow.author == user.name, SignatureRow.meaning == meaning
            if session.scalar(select(SignatureRow.id).where(*mine)) is not None:
                raise ConflictError(f"{user.name} has signed record {id} as {meaning} already")
            last = session.scalar(select(SignatureRow.hash).order_by(SignatureRow.id.desc()).limit(1))
            signed = SignatureRow(
                record_id=id, record_hash=row.hash, meaning=meaning, author=user.name, role=user.role,
                comment=comment, created=now(), previous=last or FIRST,
            )  # fmt: skip
            signed.hash = _signature_hash(signed)
            session.add(signed)
            try:
                session.flush()
            except IntegrityError as error:
                raise ConflictError("somebody else signed at this moment. Sign again") from error
            told = {"record_hash": row.hash, "signature": signed.hash, "meaning": meaning}
            audit(session, user.name, "sign record", f"record {id}", comment, **told)
            return _signature(signed)

    def signatures(self, id: int) -> tuple[Signature, ...]:
        """The signatures under a record, the first one first."""
        query = select(SignatureRow).where(SignatureRow.record_id == id).order_by(SignatureRow.id)
        with self._database.reading() as session:
            return tuple(_signature(row) for row in session.scalars(query))

    def verify(self) -> Chain:
        """Compute every record's and signature's hash anew; the audit knows each of them, those cut off, too."""
        with self._database.reading() as session:
            records = {}
            for record in session.scalars(select(RecordRow).order_by(RecordRow.id)):
                if record.hash != record_hash(record):
                    return Chain(0, "", f"record {record.id} ({record.title}) was altered")
                records[record.id] = record.hash
            rows = session.scalars(select(SignatureRow).order_by(SignatureRow.id)).all()
            query = select(AuditRow.action, AuditRow.details).order_by(AuditRow.id)
            noted = session.execute(query.where(AuditRow.action.in_(("record", "sign record")))).all()
        kept = {details["record"]: details["record_hash"] for action, details in noted if action == "record"}
        if broken := _check_kept(records, kept):
            return Chain(0, "", broken)
        signed = [details["signature"] for action, details in noted if action == "sign record"]
        return _check_chain(rows, records, signed)


def _check_kept(records: Mapping[int, str], kept: Mapping[int, str]) -> str:
    """What is wrong with the first record that is not there as the audit noted its hash; empty where all are."""
    for id in sorted({*records, *kept}):
        if records.get(id) != kept.get(id):
            what = "taken out" if id not in records else "added" if id not in kept else "altered"
            return f"record {id} was {what}: the audit knows it otherwise"
    return ""


def _check_chain(rows: Sequence[SignatureRow], records: Mapping[int, str], noted: Sequence[str]) -> Chain:
    previous = FIRST
    for count, row in enumerate(rows):
        told = f"signature {row.id} ({row.author}, {row.meaning}, record {row.record_id})"
        if row.previous != previous:
            return Chain(count, previous, f"{told} does not follow the one before it: one was taken out")
        if row.hash != _signature_hash(row):
            return Chain(count, previous, f"{told} was altered")
        if records.get(row.record_id) != row.record_hash:
            return Chain(count, previous, f"{told} is of another content than its record has now")
        previous = row.hash
    if noted != [row.hash for row in rows]:
        return Chain(len(rows), previous, "the audit knows other signatures than there are: one was taken out or added")
    return Chain(len(rows), previous)


def write_record(
    session: Session, kind: Kind, subject: str, title: str, content: Mapping[str, Any], author: str
) -> RecordRow:
    """Keep what was concluded, within a transaction."""
    try:
        plain = json.loads(json.dumps(content, ensure_ascii=False, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{title}: cannot be kept as a record ({error}). Give finite numbers, texts and lists"
        ) from error
    row = RecordRow(kind=kind, subject=subject, title=title, content=plain, author=author, created=now())
    row.hash = record_hash(row)
    session.add(row)
    session.flush()
    audit(session, author, "record", subject, title, record=row.id, record_hash=row.hash)
    return row


def record_hash(row: RecordRow | Record) -> str:
    """SHA-256 over the JSON list of kind, subject, title, content, author and moment (us since 1970), keys sorted."""
    return _digest([row.kind, row.subject, row.title, row.content, row.author, to_us(row.created)])


def record_of(row: RecordRow) -> Record:
    """A row as a value."""
    return Record(**{name: getattr(row, name) for name in RECORD})


def _signature_hash(row: SignatureRow) -> str:
    said = [row.record_id, row.record_hash, row.meaning, row.author, row.role, row.comment]
    return _digest([row.previous, *said, to_us(row.created)])


def _digest(content: list[Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _signature(row: SignatureRow) -> Signature:
    return Signature(**{name: getattr(row, name) for name in SIGNATURE})


def _find(session: Session, id: int) -> RecordRow:
    row = session.get(RecordRow, id)
    if row is None:
        raise NotFoundError(f"there is no record {id}. Look it up again")
    return row
