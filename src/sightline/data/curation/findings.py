"""A finding: something in a dataset that a person should look at, with a reason, a remedy and an action.

What people decide about findings is kept in a decision log, in memory or in a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from sightline.core.errors import InputError
from sightline.runtime.recipe import write_atomically

VERSION = 1  # of the file that decisions are kept in


class Kind(StrEnum):
    """What a finding is about, in the order of a report: what spoils figures first, what is only seen second later."""

    UNREADABLE = "unreadable"
    MASK = "mask"
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
    Kind.MASK: "Masks that cannot be used",
    Kind.LEAKAGE: "Training and test share parts",
    Kind.LABEL: "Labels that may be wrong",
    Kind.CONTRADICTION: "The same picture with two labels",
    Kind.COPY: "Exact copies",
    Kind.NEAR: "Near-duplicates",
    Kind.LIGHTING: "Light that gives away the label",
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
ORDER = {kind: rank for rank, kind in enumerate(Kind)}


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

    @classmethod
    def of_json(cls, row: Mapping[str, Any]) -> Action:
        """An action that was kept as a JSON object. Raises KeyError or ValueError where it is none."""
        return cls(Verb(row["verb"]), tuple(row["targets"]), row["value"])

    def __str__(self) -> str:
        count = "1 image" if len(self.targets) == 1 else f"{len(self.targets)} images"
        return {
            Verb.REMOVE: f"leave out {count}",
            Verb.RELABEL: f"label {count} '{self.value}'",
            Verb.SPLIT: f"move {count} to {self.value}",
            Verb.GROUP: f"put {count} into one group",
            Verb.NONE: "nothing to apply: follow the remedy",
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
        names = [self.about] if self.about else sorted(self.subjects)
        return f"{self.kind}-{hashlib.sha256(chr(0).join(names).encode()).hexdigest()[:10]}"

    def to_json(self) -> dict[str, Any]:
        """The finding as plain JSON values, its key included."""
        return {"key": self.key, **asdict(self)}


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by severity, then by kind, the strongest first; the same order for the same findings."""
    return sorted(findings, key=lambda f: (RANK[f.severity], ORDER[f.kind], -f.strength, f.key))


class State(StrEnum):
    """What was decided about a finding."""

    APPLIED = "applied"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision about the finding called `key`; `when` is UTC in ISO 8601, `action` what was applied."""

    key: str
    state: State
    when: str
    note: str = ""
    action: Action = NO_ACTION


class DecisionLog(Protocol):
    """Remembers decisions from one check to the next."""

    def decisions(self) -> Mapping[str, Decision]:
        """All decisions by key, in the order in which they were made."""
        ...

    def keep(self, decision: Decision) -> None:
        """Remember a decision, in place of an earlier one about the same finding."""
        ...

    def forget(self, key: str) -> None:
        """Forget the decision about a finding, so that it is open again; nothing happens where there is none."""
        ...

    def last(self) -> Mapping[str, Any] | None:
        """The last check's result as JSON values, None where none was kept or it is damaged."""
        ...

    def keep_last(self, result: Mapping[str, Any]) -> None:
        """Remember a check's result in place of the one before. Nothing happens where it cannot be kept."""
        ...


class FileDecisionLog:
    """Keeps decisions in a JSON file, which is whole at any time, and the last result in another beside it. One process
    at a time writes them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._result = path.with_suffix(".last-check.json")

    def decisions(self) -> Mapping[str, Decision]:
        """All decisions. Raises InputError where the file is damaged or of a newer version."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path}: cannot be read ({error}). Check the file, or name another one") from error
        try:
            content = json.loads(text)
            if content["version"] > VERSION:
                raise InputError(f"{self.path}: is of a newer version of Sightline. Update Sightline")
            return {
                row["key"]: Decision(
                    row["key"], State(row["state"]), row["when"], row["note"], Action.of_json(row["action"])
                )
                for row in content["decisions"]
            }
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path}: is damaged, so decisions about findings are not known. Restore it from a backup, or "
                "move it away to begin anew"
            ) from error

    def keep(self, decision: Decision) -> None:
        self._write({key: earlier for key, earlier in self.decisions().items() if key != decision.key}, decision)

    def forget(self, key: str) -> None:
        decisions = self.decisions()
        if key in decisions:
            self._write({other: decision for other, decision in decisions.items() if other != key})

    def last(self) -> Mapping[str, Any] | None:
        """The last check's result, None where none was kept or it is damaged."""
        try:
            result = json.loads(self._result.read_bytes())
        except (OSError, ValueError):
            return None
        return result if isinstance(result, dict) else None

    def keep_last(self, result: Mapping[str, Any]) -> None:
        """Remember a check's result in place of the one before; not in a folder that may only be read."""
        with suppress(OSError):
            write_atomically(self._result, json.dumps(result, ensure_ascii=False).encode())

    def _write(self, decisions: Mapping[str, Decision], *more: Decision) -> None:
        rows = [asdict(decision) for decision in (*decisions.values(), *more)]
        data = json.dumps({"version": VERSION, "decisions": rows}, ensure_ascii=False, indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, (data + "\n").encode("utf-8"))
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}). Name another file") from error
