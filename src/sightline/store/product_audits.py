"""Product audits: plans with steps, what a person found at each step with a photo, and deviations to follow up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.records import Record, record_of, write_record
from sightline.store.tables.base import now, to_us
from sightline.store.tables.studies import AuditAnswerRow, AuditPlanRow, DeviationRow, KeptImageRow, ProductAuditRow

OK, NG = "OK", "NG"
OPEN, CLOSED, DONE = "open", "closed", "done"
MAX_STEPS = 100


@dataclass(frozen=True, slots=True)
class Step:
    """What to look at. `limit_sample` is the hash of a picture of what is just acceptable; `photo`: one is needed;
    `lower` and `upper` are limits of a value in `unit`, which is measured where a unit is named.
    """

    title: str
    about: str = ""
    limit_sample: str | None = None
    photo: bool = True
    unit: str = ""
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """The steps of a product's audit; `blind`: the person answers before the model does."""

    product: str
    name: str
    steps: tuple[Step, ...]
    blind: bool = True
    recipe_hash: str | None = None
    id: int = 0
    author: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at a step (from 1). `opinion` is the model's, plain JSON, {} without one."""

    step: int
    answer: str
    reason: str
    value: float | None
    photo: str | None
    opinion: Mapping[str, Any]
    author: str
    created: datetime


@dataclass(frozen=True, slots=True)
class ProductAudit:
    """A part that is audited, and what was found so far."""

    id: int
    plan: AuditPlan
    serial: str
    lot: str
    state: str
    record_id: int | None
    author: str
    created: datetime
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Deviation:
    """Something to follow up; `note` says what was done."""

    id: int
    audit_id: int
    step: int
    text: str
    state: str
    note: str
    done_by: str | None
    created: datetime
    done: datetime | None


class ProductAudits:
    """The product audits of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_plan(self, plan: AuditPlan, author: str) -> AuditPlan:
        """Keep a plan. Raises InputError for one without steps or with limits in the wrong order."""
        if not 1 <= len(plan.steps) <= MAX_STEPS or not plan.name.strip() or not plan.product.strip():
            raise InputError(f"an audit plan needs a product, a name and 1 to {MAX_STEPS} steps. Give them")
        for one in plan.steps:
            if not one.title.strip():
                raise InputError("every step needs a title: what to look at. Give one")
            if one.lower is not None and one.upper is not None and one.lower > one.upper:
                raise InputError(f"{one.title}: the lower limit lies above the upper one. Swap them")
        with self._database.writing() as session:
            row = AuditPlanRow(product=plan.product, name=plan.name, blind=plan.blind, recipe_hash=plan.recipe_hash)
            row.steps, row.author, row.created = [asdict(one) for one in plan.steps], author, now()
            session.add(row)
            session.flush()
            for hash in sorted({one.limit_sample for one in plan.steps if one.limit_sample}):
                session.add(KeptImageRow(hash=hash, subject=f"audit plan {row.id}"))
            audit(session, author, "audit plan", f"product {plan.product}", plan.name, plan=row.id)
            return _plan(row)

    def plans(self, limit: int = 100) -> tuple[AuditPlan, ...]:
        """The newest plans."""
        with self._database.reading() as session:
            query = select(AuditPlanRow).order_by(AuditPlanRow.id.desc()).limit(limit)
            return tuple(_plan(row) for row in session.scalars(query))

    def begin(self, plan_id: int, serial: str, lot: str, author: str) -> ProductAudit:
        """Begin to audit a part. Raises NotFoundError."""
        with self._database.writing() as session:
            if session.get(AuditPlanRow, plan_id) is None:
                raise NotFoundError(f"there is no audit plan {plan_id}. Look it up again")
            row = ProductAuditRow(plan_id=plan_id, serial=serial, lot=lot, state=OPEN, author=author, created=now())
            session.add(row)
            session.flush()
            audit(session, author, "begin audit", f"audit {row.id}", serial, plan=plan_id)
            return _audit(session, row)

    def get(self, id: int) -> ProductAudit:
        """One audit. Raises NotFoundError."""
        with self._database.reading() as session:
            return _audit(session, _find(session, id))

    def page(self, before: int | None = None, limit: int = 50) -> tuple[ProductAudit, ...]:
        """The newest audits, or those older than the id `before`."""
        query = select(ProductAuditRow).order_by(ProductAuditRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(ProductAuditRow.id < before)
        with self._database.reading() as session:
            return tuple(_audit(session, row) for row in session.scalars(query))

    def keep_photo(self, id: int, hash: str) -> None:
        """Keep an image for an audit that is open. Raises ConflictError."""
        with self._database.writing() as session:
            _open(session, id)
            if session.get(KeptImageRow, (hash, f"audit {id}")) is None:
                session.add(KeptImageRow(hash=hash, subject=f"audit {id}"))

    def check_photo(self, id: int, hash: str) -> None:
        """Raises InputError for an image that was not sent for this audit."""
        with self._database.reading() as session:
            _check_photo(session, id, hash)

    def answer(self, id: int, finding: Finding) -> ProductAudit:
        """Keep what was found at a step. Raises InputError for an answer that lacks what its step asks for,
        ConflictError for a step that has its answer, and after the audit was closed.
        """
        with self._database.writing() as session:
            row = _open(session, id)
            found = _audit(session, row)
            if any(one.step == finding.step for one in found.findings):
                raise ConflictError(f"step {finding.step} has its answer, and no answer is changed")
            _check_finding(session, id, found.plan.steps, finding)
            values = {one.name: getattr(finding, one.name) for one in fields(Finding)}
            session.add(AuditAnswerRow(audit_id=id, **{**values, "opinion": dict(finding.opinion)}))
            session.flush()
            return _audit(session, row)

    def close(self, id: int, software: str, author: str) -> Record:
        """Close an audit all of whose steps are answered: its record, and a deviation for each step that is NG.

        Raises ConflictError.
        """
        with self._database.writing() as session:
            row = _open(session, id)
            found = _audit(session, row)
            if missing := sorted({*range(1, len(found.plan.steps) + 1)} - {one.step for one in found.findings}):
                raise ConflictError(f"audit {id}: step {missing[0]} has no answer yet. Answer it first")
            findings = [{**asdict(one), "created": to_us(one.created)} for one in found.findings]
            content = {
                "plan": asdict(found.plan), "serial": found.serial, "lot": found.lot, "findings": findings,
                "software": software,
            }  # fmt: skip
            title = f"Audit of {found.plan.product} {found.serial}".strip()
            record = write_record(session, "audit", f"audit {id}", title, content, author)
            row.state, row.record_id = CLOSED, record.id
            for one in found.findings:
                if one.answer == NG:
                    told = f"{found.plan.steps[one.step - 1].title}: {one.reason}"
                    session.add(DeviationRow(audit_id=id, step=one.step, text=told, state=OPEN, note="", created=now()))
            return record_of(record)

    def deviations(self, state: str | None = None, limit: int = 200) -> tuple[Deviation, ...]:
        """What is to be followed up, the newest first."""
        query = select(DeviationRow).order_by(DeviationRow.id.desc()).limit(limit)
        if state is not None:
            query = query.where(DeviationRow.state == state)
        with self._database.reading() as session:
            return tuple(_deviation(row) for row in session.scalars(query))

    def follow_up(self, id: int, note: str, author: str) -> Deviation:
        """Say what was done about a deviation. Raises InputError without a note, ConflictError where it is done."""
        if not note.strip():
            raise InputError("say what was done about the deviation")
        with self._database.writing() as session:
            row = session.get(DeviationRow, id, with_for_update=True)
            if row is None:
                raise NotFoundError(f"there is no deviation {id}. Look it up again")
            if row.state == DONE:
                raise ConflictError(f"deviation {id} is done already, by {row.done_by}")
            row.state, row.note, row.done_by, row.done = DONE, note, author, now()
            audit(session, author, "follow up", f"audit {row.audit_id}", note, deviation=id)
            return _deviation(row)


def _check_finding(session: Session, id: int, steps: Sequence[Step], finding: Finding) -> None:
    if not 1 <= finding.step <= len(steps):
        raise InputError(f"audit {id} has no step {finding.step}. It has {len(steps)}")
    step = steps[finding.step - 1]
    if finding.answer not in (OK, NG):
        raise InputError(f"'{finding.answer}' is no answer. Say OK or NG")
    if finding.answer == NG and not finding.reason.strip():
        raise InputError(f"{step.title}: say why it is NG")
    if step.photo and finding.photo is None:
        raise InputError(f"{step.title}: needs a photo. Take one")
    if finding.photo is not None:
        _check_photo(session, id, finding.photo)
    if step.unit and finding.value is None:
        raise InputError(f"{step.title}: needs a value in {step.unit}. Measure it")
    outside = finding.value is not None and (
        (step.lower is not None and finding.value < step.lower)
        or (step.upper is not None and finding.value > step.upper)
    )
    if step.unit and outside and finding.answer == OK:
        raise InputError(f"{step.title}: {finding.value:g} {step.unit} is outside its limits, so it is not OK")


def _check_photo(session: Session, id: int, hash: str) -> None:
    if session.get(KeptImageRow, (hash, f"audit {id}")) is None:
        raise InputError(f"the photo {hash[:16]} is none of audit {id}. Send it first")


def _open(session: Session, id: int) -> ProductAuditRow:
    row = _find(session, id, lock=True)
    if row.state != OPEN:
        raise ConflictError(f"audit {id} is closed: nothing is added. Begin a new one")
    return row


def _find(session: Session, id: int, lock: bool = False) -> ProductAuditRow:
    row = session.get(ProductAuditRow, id, with_for_update=lock)
    if row is None:
        raise NotFoundError(f"there is no audit {id}. Look it up again")
    return row


def _plan(row: AuditPlanRow) -> AuditPlan:
    steps = tuple(Step(**one) for one in row.steps)
    return AuditPlan(row.product, row.name, steps, row.blind, row.recipe_hash, row.id, row.author)


def _audit(session: Session, row: ProductAuditRow) -> ProductAudit:
    plan = session.get(AuditPlanRow, row.plan_id)
    assert plan is not None
    query = select(AuditAnswerRow).where(AuditAnswerRow.audit_id == row.id).order_by(AuditAnswerRow.step)
    names = [one.name for one in fields(Finding)]
    found = tuple(Finding(**{name: getattr(one, name) for name in names}) for one in session.scalars(query))
    told = row.serial, row.lot, row.state, row.record_id, row.author, row.created
    return ProductAudit(row.id, _plan(plan), *told, found)


def _deviation(row: DeviationRow) -> Deviation:
    return Deviation(**{one.name: getattr(row, one.name) for one in fields(Deviation)})
