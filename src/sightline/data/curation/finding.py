"""A finding: something in a dataset that a person should look at, with a reason, a remedy and an action."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a finding is about, in the order of a report: what spoils figures first, what is only seen second later."""

    UNREADABLE = "unreadable"
    LEAKAGE = "leakage"
    LABEL = "label"
    CONTRADICTION = "contradiction"
    COPY = "copy"
    NEAR = "near"
    LIGHTING = "lighting"
    LOT = "lot"
    TINY = "tiny"
    OUTLIER = "outlier"
    BLUR = "blur"
    MOTION = "motion"
    CLIPPING = "clipping"
    GLARE = "glare"
    SIZE = "size"


TITLES: dict[Kind, str] = {
    Kind.UNREADABLE: "Images that cannot be read",
    Kind.LEAKAGE: "Training and test share parts",
    Kind.LABEL: "Labels that may be wrong",
    Kind.CONTRADICTION: "The same picture with two labels",
    Kind.COPY: "Exact copies",
    Kind.NEAR: "Near-duplicates",
    Kind.LIGHTING: "Light that tells the label",
    Kind.LOT: "Lots in only one class",
    Kind.TINY: "Classes with too few images",
    Kind.OUTLIER: "Images that look like no other",
    Kind.BLUR: "Out of focus",
    Kind.MOTION: "Blurred by motion",
    Kind.CLIPPING: "Wrong exposure",
    Kind.GLARE: "Glare",
    Kind.SIZE: "Wrong size",
}


class Severity(StrEnum):
    """How much a finding can spoil: figures that cannot be trusted, a worse recipe, or only worth a look."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


RANK = {Severity.HIGH: 0, Severity.MEDIUM: 1, Severity.LOW: 2}
ORDER = {kind: place for place, kind in enumerate(Kind)}


class Verb(StrEnum):
    """What can be done to images of a dataset; NONE where a person has to take pictures or decide."""

    REMOVE = "remove"
    RELABEL = "relabel"
    SPLIT = "split"
    GROUP = "group"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Action:
    """What is suggested: `verb` on the images called `targets`.

    `value` is the new label ("good", or a type) of RELABEL, the part ("train" or "test") of SPLIT, the name of GROUP.
    """

    verb: Verb = Verb.NONE
    targets: tuple[str, ...] = ()
    value: str = ""

    def __str__(self) -> str:
        count = f"{len(self.targets)} image" + "s" * (len(self.targets) != 1)
        return {
            Verb.REMOVE: f"leave out {count}",
            Verb.RELABEL: f"label {count} '{self.value}'",
            Verb.SPLIT: f"move {count} to {self.value}",
            Verb.GROUP: f"put {count} into one group",
            Verb.NONE: "nothing to apply: take the remedy",
        }[self.verb]


NO_ACTION = Action()


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `key` is the same every time the same thing is found in the same images.

    `subjects` are names of images, the one to look at first; `strength` orders findings of one kind, larger = worse.
    `about` names what a finding without single images is about: a type, a lot, a measure.
    """

    kind: Kind
    severity: Severity
    subjects: tuple[str, ...]
    reason: str
    remedy: str
    action: Action = NO_ACTION
    strength: float = 0.0
    about: str = ""

    @property
    def key(self) -> str:
        """A stable name: the kind and 10 hex digits of what it is about."""
        # Of a whole set's finding, the images shown may change from one check to the next; what it is about does not.
        words = [self.about] if self.about else sorted(self.subjects)
        return f"{self.kind}-{hashlib.sha256(chr(0).join(words).encode()).hexdigest()[:10]}"

    def to_json(self) -> dict[str, Any]:
        """The finding as plain JSON values, its key included."""
        return {"key": self.key, **asdict(self)}


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by severity, then by kind, the strongest first; the same order for the same findings."""
    return sorted(findings, key=lambda f: (RANK[f.severity], ORDER[f.kind], -f.strength, f.key))
