"""A qualification as values and as a document: each check with what was expected and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sightline.core.figures import Figures
from sightline.improve.documents.document import Document, Rows, Section
from sightline.improve.documents.signed import signed_by
from sightline.store.records import Record, Signature

Stage = Literal["IQ", "OQ", "PQ"]
STAGES: dict[str, str] = {
    "IQ": "Installation qualification",
    "OQ": "Operational qualification",
    "PQ": "Performance qualification",
}


@dataclass(frozen=True, slots=True)
class QualificationCheck(Figures):
    """One check: what was expected, what was found, and whether that will do."""

    stage: Stage
    name: str
    expected: str
    found: str
    passed: bool


def answer(checks: Sequence[QualificationCheck]) -> str:
    """ "passed" or "failed"."""
    return "passed" if all(one.passed for one in checks) else "failed"


def qualification_document(record: Record, signatures: tuple[Signature, ...]) -> Document:
    """The report of a qualification."""
    content: Any = record.content
    checks = content["checks"]
    machine = tuple((key, str(value)) for key, value in content["machine"].items())
    sections = [Section("Machine and subject", (Rows(("", ""), machine, (1, 3)),))]
    for stage, title in STAGES.items():
        rows = tuple(
            (one["name"], one["expected"], one["found"], "passed" if one["passed"] else "FAILED")
            for one in checks
            if one["stage"] == stage
        )
        if rows:
            sections.append(Section(title, (Rows(("Check", "Expected", "Found", "Result"), rows, (1.4, 1.6, 2, 0.6)),)))
    sections += signed_by(record, signatures)
    failed = [one["name"] for one in checks if not one["passed"]]
    told = f"{len(checks)} checks, {len(failed)} failed" + (f": {', '.join(failed)}." if failed else ".")
    footer = f"record {record.id}, SHA-256 {record.hash}, Sightline {content['machine']['Sightline']}"
    return Document(
        record.title, f"Result: {content['answer']}", content["answer"] == "passed", told, tuple(sections), footer
    )
