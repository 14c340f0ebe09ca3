"""Records that people sign: listed, written as reports, signed with the password, checked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from sightline.core.errors import ForbiddenError
from sightline.operations import signing as work
from sightline.web.api.identity import Administering, Reading
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.session import Form, Password
from sightline.web.api.site import Here

router = APIRouter(tags=["records"], responses=responses(401, 403, 404, 422))
# Signing has no Idempotency-Key: nothing of a password is kept, and a second signature is refused anyway.
signing = APIRouter(tags=["records"], responses=responses(401, 403, 404, 409, 422, 429))
TYPES = {"pdf": "application/pdf", "html": "text/html; charset=utf-8", "json": "application/json"}
REPORT: dict[int | str, dict[str, Any]] = {
    200: {"content": {name.split(";", maxsplit=1)[0]: {} for name in TYPES.values()}, "description": "the report"}
}


class RecordSummary(BaseModel):
    """A record: what it is about, and the SHA-256 that signatures are for."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    kind: str
    subject: str
    title: str
    hash: str
    author: str
    created: datetime


class RecordSignature(BaseModel):
    """Somebody's signature under a record."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    record_id: int
    record_hash: str
    meaning: str
    author: str
    role: str
    comment: str
    created: datetime
    hash: str


class SignedRecord(RecordSummary):
    """A record and the signatures under it."""

    signatures: list[RecordSignature]


class NewSignature(Form):
    """`password` proves once more who signs; `hash` is that of the record as it was shown."""

    password: Password
    meaning: Literal["performed", "reviewed", "approved"]
    comment: str = Field("", max_length=1000)
    hash: str = Field(pattern="^[0-9a-f]{64}$")


class Soundness(BaseModel):
    """Empty where no record, signature, study or row of the audit was altered or taken out; else the first that was."""

    broken: str


@router.get("/records")
def records(
    site: Here, identity: Reading, kind: str | None = None, after: After = None, limit: Limit = 50
) -> Listed[RecordSummary]:
    """Records, the newest first."""
    found = site.store.records.page(kind, None, place(after, int), limit)
    return listed([RecordSummary.model_validate(one) for one in found], limit, lambda one: one.id)


@router.get("/records/{number}/signatures")
def signatures(number: int, site: Here, identity: Reading) -> SignedRecord:
    """A record, without its content, and the signatures under it."""
    record, found = site.store.records.get(number), site.store.records.signatures(number)
    summary = RecordSummary.model_validate(record).model_dump()
    return SignedRecord(**summary, signatures=[RecordSignature.model_validate(one) for one in found])


@router.get("/records/soundness")
def soundness(site: Here, identity: Administering) -> Soundness:
    """Compute all hashes anew: was anything altered or taken out?"""
    return Soundness(broken=work.tampered(site.store))


@router.get("/records/{number}/report", response_class=Response, responses=REPORT)
def report(
    number: int, site: Here, identity: Reading, form: Annotated[Literal["pdf", "html", "json"], Query()] = "pdf"
) -> Response:
    """A record with its signatures as a file. PDF needs the extra [studies]."""
    data = work.write(site.store, number, form)
    headers = {"Content-Disposition": f'attachment; filename="record-{number}.{form}"', "Cache-Control": "no-store"}
    return Response(data, media_type=TYPES[form], headers=headers)


@signing.post("/records/{number}/signatures", status_code=201)
def sign(number: int, form: NewSignature, request: Request, site: Here, identity: Reading) -> RecordSignature:
    """Sign a record. People sign, with their password; tokens and sessions by PIN do not."""
    if identity.means != "password":
        raise ForbiddenError("a token or a PIN cannot sign. Log in with the password to sign")
    site.attempts.count(request.client.host if request.client is not None else "")
    how = form.meaning, form.comment, form.hash
    return RecordSignature.model_validate(work.sign(site.store, number, identity.name, form.password, *how))
