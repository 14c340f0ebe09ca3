"""What people have decided about findings, and where that is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from sightline.core.errors import InputError
from sightline.data.curation.finding import NO_ACTION, Action, Verb
from sightline.runtime.recipe import write_atomically

VERSION = 1


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


class Keeper(Protocol):
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


class MemoryKeeper:
    """Keeps decisions as long as it lives."""

    def __init__(self) -> None:
        self._kept: dict[str, Decision] = {}

    def decisions(self) -> Mapping[str, Decision]:
        return dict(self._kept)

    def keep(self, decision: Decision) -> None:
        self._kept.pop(decision.key, None)
        self._kept[decision.key] = decision

    def forget(self, key: str) -> None:
        self._kept.pop(key, None)


class FileKeeper:
    """Keeps decisions in a JSON file, which is whole at any time. One process at a time writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path

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
            return {row["key"]: _decision(row) for row in content["decisions"]}
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path}: is damaged, so decisions about findings are not known. Restore it from a backup, or "
                "move it away to begin anew"
            ) from error

    def keep(self, decision: Decision) -> None:
        self._write({key: kept for key, kept in self.decisions().items() if key != decision.key}, decision)

    def forget(self, key: str) -> None:
        kept = self.decisions()
        if key in kept:
            self._write({other: decision for other, decision in kept.items() if other != key})

    def _write(self, kept: Mapping[str, Decision], *more: Decision) -> None:
        rows = [asdict(decision) for decision in (*kept.values(), *more)]
        data = json.dumps({"version": VERSION, "decisions": rows}, ensure_ascii=False, indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, (data + "\n").encode("utf-8"))
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}). Name another place") from error


def _decision(row: Mapping[str, Any]) -> Decision:
    action = row["action"]
    return Decision(
        key=row["key"],
        state=State(row["state"]),
        when=row["when"],
        note=row["note"],
        action=Action(Verb(action["verb"]), tuple(action["targets"]), action["value"]),
    )
