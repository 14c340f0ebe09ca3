"""The result of a check, kept beside the decisions: whoever decides about a finding need not wait for it once more."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sightline import __version__
from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.curation.findings import Action, Finding, Kind, Severity
from sightline.data.curation.image_statistics import Unread
from sightline.imaging.image import content_hash


@dataclass(frozen=True)
class Result:
    """What a check found, worst first, the `names` of the images that it read, and those that it could not read."""

    findings: list[Finding]
    names: tuple[str, ...]
    unread: tuple[Unread, ...]

    def to_json(self, fingerprint: str) -> dict[str, Any]:
        """The result of the check of what has this fingerprint, as plain JSON values."""
        rows = [asdict(finding) for finding in self.findings]
        unread = [[one.name, one.message] for one in self.unread]
        return {"fingerprint": fingerprint, "findings": rows, "names": list(self.names), "unread": unread}

    @classmethod
    def of_json(cls, row: Mapping[str, Any] | None, fingerprint: str | None) -> Result | None:
        """A result that was kept; None where there is none of what has this fingerprint (None: of whatever it is)."""
        try:
            if row is None or fingerprint not in {None, row["fingerprint"]}:
                return None
            findings = [_finding(one) for one in row["findings"]]
            return cls(findings, tuple(row["names"]), tuple(Unread(name, message) for name, message in row["unread"]))
        except (KeyError, TypeError, ValueError):
            return None  # damaged: it can be found out again


def fingerprint_of(samples: Sequence[Sample], names: Sequence[str], settings: Mapping[str, str | None]) -> str:
    """What a check rests on: images and masks by content, what is said of them, settings and Sightline's version."""
    digest = hashlib.sha256(repr((__version__, sorted(settings.items()))).encode())
    for sample, name in zip(samples, names, strict=True):
        contents = [_content(path) for path in (sample.path, sample.mask) if path is not None]
        facts = (sample.defective, sample.types, sample.grade, sample.group, sample.lot, sample.split)
        digest.update(repr((name, contents, facts)).encode())
    return digest.hexdigest()


def _content(path: Path) -> str:
    try:
        return content_hash(path)
    except InputError as error:
        return str(error)


def _finding(row: Mapping[str, Any]) -> Finding:
    return Finding(
        kind=Kind(row["kind"]),
        severity=Severity(row["severity"]),
        subjects=tuple(row["subjects"]),
        reason=row["reason"],
        remedy=row["remedy"],
        action=Action.of_json(row["action"]),
        strength=row["strength"],
        about=row["about"],
    )
