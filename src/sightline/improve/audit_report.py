"""A product audit's record as a document: every step with its photo, what was found, and what the model said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sightline.improve.documents.document import Block, Document, Photo, Rows, Section
from sightline.improve.documents.signed import signed_by
from sightline.store.records import Record, Signature


def audit_document(record: Record, signatures: tuple[Signature, ...], photos: Mapping[str, bytes]) -> Document:
    """The report of an audit; `photos` are JPEG or PNG bytes by hash, those that are gone left out."""
    content: Any = record.content
    plan, findings = content["plan"], content["findings"]
    bad = [one for one in findings if one["answer"] == "NG"]
    facts = (
        ("Product", plan["product"]), ("Part", content["serial"] or "–"), ("Lot", content["lot"] or "–"),
        ("Plan", f"{plan['name']} ({plan['id']})"),
        ("Audited by", ", ".join(sorted({one["author"] for one in findings}))),
        ("The model's opinion", "shown after the person's answer" if plan["blind"] else "shown before the answer"),
    )  # fmt: skip
    sections = [Section("What was audited", (Rows(("", ""), facts, (1, 3)),))]
    for one in findings:
        step = plan["steps"][one["step"] - 1]
        sections.append(Section(f"{one['step']}. {step['title']}: {one['answer']}", tuple(_step(step, one, photos))))
    if bad:
        rows = tuple((plan["steps"][one["step"] - 1]["title"], one["reason"]) for one in bad)
        sections.append(Section("Deviations to follow up", (Rows(("Step", "What was found"), rows, (1, 2)),)))
    sections += signed_by(record, signatures)
    told = f"{len(findings)} steps, {len(bad)} not in order." if bad else f"All {len(findings)} steps are in order."
    footer = f"record {record.id}, SHA-256 {record.hash}, Sightline {content['software']}"
    answer = f"Result: {len(bad) or 'no'} deviation{'s' if len(bad) > 1 else ''}"
    return Document(record.title, answer, not bad, told, tuple(sections), footer)


def _step(step: Any, found: Any, photos: Mapping[str, bytes]) -> list[Block]:
    moment = datetime.fromtimestamp(found["created"] / 1e6, UTC)
    facts = [("Found", found["answer"] + (f": {found['reason']}" if found["reason"] else ""))]
    if step["about"]:
        facts.insert(0, ("To look at", step["about"]))
    if found["value"] is not None:
        limits = " to ".join("–" if one is None else f"{one:g}" for one in (step["lower"], step["upper"]))
        facts.append(("Measured", f"{found['value']:g} {step['unit']} (limits {limits})"))
    if found["opinion"]:
        opinion = found["opinion"]
        facts.append(("The model", f"{opinion['verdict']}, score {opinion['score']}, recipe {opinion['recipe'][:12]}"))
    facts.append(("Answered", f"{found['author']}, {moment:%Y-%m-%d %H:%M} UTC"))
    blocks: list[Block] = [Rows(("", ""), tuple(facts), (1, 3))]
    for hash, caption in ((found["photo"], "Photo of this part"), (step["limit_sample"], "Limit sample")):
        if hash and hash in photos:
            blocks.append(Photo(photos[hash], f"{caption}, SHA-256 {hash[:16]}"))
        elif hash:
            blocks.append(f"{caption}: the picture {hash[:16]} is not in the store any more.")
    return blocks
