"""Records that people sign: shown, signed with the password, written for auditors, and checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np

from sightline.core.errors import ForbiddenError, InputError, StoreError
from sightline.improve.audit_report import audit_document
from sightline.improve.documents.document import Document
from sightline.improve.documents.html import write_html
from sightline.improve.documents.pdf import write_pdf
from sightline.improve.pilot_report import pilot_document
from sightline.improve.qualification import qualification_document
from sightline.improve.studies.report import study_document
from sightline.operations import people
from sightline.operations.opening import opened_store
from sightline.store.records import Meaning, Record, Signature
from sightline.store.store import Store, StoreLocation
from sightline.store.tables.base import to_us
from sightline.store.users import ENGINEER, OPERATOR, RANK, REVIEWER

Form = Literal["pdf", "html", "json"]
MAX_COMMENT = 1000
REPORT_SIDE = 900  # px of a photo in a report
# The least role that a signature of this meaning needs.
MAY: dict[str, str] = {"performed": OPERATOR, "reviewed": REVIEWER, "approved": ENGINEER}
DOCUMENTS: dict[str, Callable[[Record, tuple[Signature, ...]], Document]] = {
    "study": study_document,
    "pilot": pilot_document,
    "qualification": qualification_document,
}


def sign(
    where: Store | StoreLocation,
    id: int,
    name: str,
    password: str,
    meaning: Meaning,
    comment: str = "",
    shown: str | None = None,
) -> Signature:
    """Sign a record: the password proves who signs, whoever is logged in. `shown` is the hash of what was looked at.

    Raises ForbiddenError for a wrong password or a role that may not sign with this meaning, ConflictError where the
    record is not what was shown or was signed by this person already.
    """
    if len(comment) > MAX_COMMENT:
        raise InputError(f"the comment has {len(comment)} characters. Say it in {MAX_COMMENT}")
    with opened_store(where) as store:
        user = people.prove(store, name, password)
        if meaning in MAY and RANK[user.role] < RANK[MAY[meaning]]:
            raise ForbiddenError(
                f"'{meaning}' needs the role {MAY[meaning]}, and {name} is {user.role}. Ask one of them"
            )
        return store.records.sign(id, user, meaning, comment, shown)


def show(where: Store | StoreLocation, kind: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """The newest records with their signatures, without their content; of one kind, or all."""
    with opened_store(where) as store:
        found = [to_json(one, store.records.signatures(one.id)) for one in store.records.page(kind, limit=limit)]
        return [{key: value for key, value in one.items() if key != "content"} for one in found]


def export(where: Store | StoreLocation, id: int, output: Path) -> Path:
    """Write a record with its signatures: .pdf, .html or .json. Raises as `write`."""
    with opened_store(where) as store:
        form: Any = output.suffix.removeprefix(".").lower()
        output.write_bytes(write(store, id, form))
        return output


def write(store: Store, id: int, form: Form) -> bytes:
    """A record with its signatures as a file: "pdf" and "html" for people, "json" whole.

    Raises NotFoundError, InputError, MissingExtraError.
    """
    record, signatures = store.records.get(id), store.records.signatures(id)
    if form not in get_args(Form):
        raise InputError(f"'{form}' is no form of a report. Use one of: {', '.join(get_args(Form))}")
    if form == "json":
        return json.dumps(to_json(record, signatures), ensure_ascii=False, indent=1).encode()
    if record.kind == "audit":
        document = audit_document(record, signatures, _photos(store, record))
    else:
        document = DOCUMENTS[record.kind](record, signatures)
    return write_pdf(document) if form == "pdf" else write_html(document).encode()


def _photos(store: Store, record: Record) -> dict[str, bytes]:
    """The pictures that an audit's record names, as JPEGs small enough for a report; those that are gone left out."""
    wanted = {one["photo"] for one in record.content["findings"]}
    wanted |= {one["limit_sample"] for one in record.content["plan"]["steps"]}
    found = {}
    for hash in wanted - {None}:
        try:
            pixels = cv2.imdecode(np.frombuffer(store.images.read(hash), np.uint8), cv2.IMREAD_COLOR)
        except StoreError:
            continue
        if pixels is None:
            continue
        shrink = min(1.0, REPORT_SIDE / max(pixels.shape[:2]))
        small = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        found[hash] = cv2.imencode(".jpg", small)[1].tobytes()
    return found


def to_json(record: Record, signatures: tuple[Signature, ...]) -> dict[str, Any]:
    """A record with its signatures as plain JSON; moments as ISO 8601, and that which is hashed in microseconds."""
    told = {**asdict(record), "created": record.created.isoformat(), "created_us": to_us(record.created)}
    return {**told, "signatures": [{**asdict(one), "created": one.created.isoformat()} for one in signatures]}


def tampered(store: Store) -> str:
    """What is wrong with any record, signature, concluded study or row of the audit; empty where all are whole."""
    for chain in (store.records.verify(), store.audit.verify()):
        if chain.broken:
            return chain.broken
    before: int | None = None
    while page := store.studies.page(before):
        for study in page:
            if wrong := store.studies.tampered(study.id):
                return wrong
        before = page[-1].id
    return ""
