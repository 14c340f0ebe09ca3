"""The report of a check: findings with pictures as one HTML file that needs no network and no JavaScript."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.curation.finding import TITLES, Finding, Kind, Severity, Verb
from sightline.evaluate.pictures import data_uri, thumbnail
from sightline.evaluate.report import save_page, templates

if TYPE_CHECKING:
    from sightline.command.curating import Checked

TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 24  # findings of a kind with pictures; the others are listed
LISTED = 500
PICTURES, PICTURE_PX = 6, 200
COLOURS = {Severity.HIGH: "ng", Severity.MEDIUM: "review", Severity.LOW: "ok"}


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of a finding: `plain` is a data URI, "" where the file cannot be read."""

    name: str
    label: str
    plain: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One finding with its pictures; `more` counts subjects that are not shown, `colour` is its severity's."""

    finding: Finding
    colour: str
    action: str
    shots: tuple[Shot, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Section:
    """Findings of one kind, the worst first: some with pictures, `listed` by name, `left` not even so."""

    kind: str
    title: str
    colour: str
    remedy: str
    entries: tuple[Entry, ...]
    listed: tuple[Finding, ...]
    left: int
    single: bool

    @property
    def count(self) -> int:
        """All findings of the kind."""
        return len(self.entries) + len(self.listed) + self.left


def write_curation_report(checked: Checked, path: Path, *, created: datetime | None = None) -> Path:
    """Write the check as one self-contained HTML file and return its path; whole or not at all.

    `created` is the time printed on it (now, in UTC). Raises InputError where it cannot be written.
    """
    page = templates(TEMPLATES).get_template("curation.html")
    return save_page(path, page.render(_context(checked, created or datetime.now(UTC))))


def _context(checked: Checked, created: datetime) -> dict[str, Any]:
    files = dict(zip(checked.signs.names, checked.signs.samples, strict=True))
    labels = dict(zip(checked.signs.names, checked.signs.labels, strict=True))

    @lru_cache(maxsize=256)
    def shot(name: str) -> Shot:
        image = thumbnail(files[name].path, PICTURE_PX) if name in files else None
        side = files[name].split if name in files else None
        words = " · ".join(filter(None, (labels.get(name, ""), side)))
        return Shot(name, words, "" if image is None else data_uri(image))

    findings = checked.open
    severities = Counter(finding.severity for finding in findings)
    return {
        "checked": checked,
        "created": created.strftime("%Y-%m-%d %H:%M %Z").strip(),
        "severities": [(severity, COLOURS[severity], severities[severity]) for severity in Severity],
        "sections": [_section(kind, findings, shot) for kind in dict.fromkeys(finding.kind for finding in findings)],
        "labels": sorted(Counter(filter(None, checked.signs.labels)).items(), key=lambda pair: -pair[1]),
        "decisions": list(checked.decisions.values()),
    }


def _section(kind: Kind, findings: list[Finding], shot: Any) -> Section:
    rows = [finding for finding in findings if finding.kind is kind]
    shown, others = rows[:SHOWN], rows[SHOWN:]
    entries = tuple(
        Entry(
            finding,
            COLOURS[finding.severity],
            "" if finding.action.verb is Verb.NONE else str(finding.action),
            tuple(shot(name) for name in finding.subjects[:PICTURES]),
            max(0, len(finding.subjects) - PICTURES),
        )
        for finding in shown
    )
    return Section(
        kind=str(kind),
        title=TITLES[kind],
        colour=COLOURS[rows[0].severity],
        remedy=rows[0].remedy if len({finding.remedy for finding in rows}) == 1 else "",
        entries=entries,
        listed=tuple(others[:LISTED]),
        left=max(0, len(others) - LISTED),
        single=all(len(finding.subjects) == 1 for finding in rows),
    )
