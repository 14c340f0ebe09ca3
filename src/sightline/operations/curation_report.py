"""What a check found, and its report: findings with pictures in one HTML file without network and JavaScript."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.curation.findings import TITLES, Finding, Kind, Severity, Verb
from sightline.data.curation.image_statistics import label_of
from sightline.evaluate.report.gallery import data_uri, thumbnail
from sightline.evaluate.report.report import save_page, templates

if TYPE_CHECKING:
    from sightline.core.sample import Sample
    from sightline.data.curation.findings import Decision
    from sightline.data.curation.result import Result
    from sightline.data.dataset import Dataset

TEMPLATES = Path(__file__).parent / "templates"
MAX_SHOTS = 24  # findings of a kind with pictures; the others are listed
LISTED = 500
PICTURES, PICTURE_PX = 6, 200
_IMAGE = re.compile(r"[^\s'\"]*images/\w\w/([0-9a-f]{16,})\.\w+(#\d+)?")  # a file in the store, whose name is its hash
COLOURS = {Severity.HIGH: "ng", Severity.MEDIUM: "review", Severity.LOW: "ok"}


@dataclass(frozen=True)
class Checked:
    """A checked dataset: what was found, worst first, and what was decided about it, before or now.

    `samples` are those that could be read, by the names of their images. `names` are those of the store's samples by
    the hashes of their images.
    """

    dataset: Dataset
    result: Result
    samples: dict[str, Sample]
    decisions: dict[str, Decision]
    table: Path | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def told(self, text: str) -> str:
        """A name of an image, or a text with some, for a person."""
        if not self.names:
            return text
        return _IMAGE.sub(lambda found: self.names.get(found[1] + (found[2] or ""), found[0]), text)

    @property
    def open(self) -> list[Finding]:
        """Findings about which nothing is decided."""
        return [finding for finding in self.result.findings if finding.key not in self.decisions]

    def to_json(self) -> dict[str, Any]:
        """The check as plain JSON values."""
        return {
            "dataset": self.dataset.name,
            "images": len(self.samples),
            "contents": self.dataset.summary().splitlines(),
            "unreadable": [unread.name for unread in self.result.unread],
            "findings": [finding.to_json() for finding in self.open],
            "counts": dict(Counter(str(finding.kind) for finding in self.open)),
            "decisions": [asdict(decision) for decision in self.decisions.values()],
            "names": dict(self.names),
            "table": None if self.table is None else str(self.table),
        }


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of a finding: `plain` is a data URI, "" where the file cannot be read; `file` the picture itself."""

    name: str
    label: str
    plain: str
    file: str = ""


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
    files = checked.samples
    labels = {name: label_of(sample) for name, sample in files.items()}

    @lru_cache(maxsize=256)
    def shot(name: str) -> Shot:
        image = thumbnail(files[name].path, PICTURE_PX) if name in files else None
        side = files[name].split if name in files else None
        caption = " · ".join(filter(None, (labels.get(name, ""), side)))
        link = files[name].path.resolve().as_uri() if name in files else ""
        return Shot(checked.told(name), caption, "" if image is None else data_uri(image), link)

    findings = checked.open
    severities = Counter(finding.severity for finding in findings)
    return {
        "checked": checked,
        "created": created.strftime("%Y-%m-%d %H:%M %Z").strip(),
        "severities": [(severity, COLOURS[severity], severities[severity]) for severity in Severity],
        "sections": [_section(kind, findings, shot) for kind in dict.fromkeys(finding.kind for finding in findings)],
        "labels": sorted(Counter(filter(None, labels.values())).items(), key=lambda pair: -pair[1]),
        "decisions": list(checked.decisions.values()),
    }


def _section(kind: Kind, findings: list[Finding], shot: Any) -> Section:
    rows = [finding for finding in findings if finding.kind is kind]
    shown, others = rows[:MAX_SHOTS], rows[MAX_SHOTS:]
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
