"""The canary: before a change of a recipe's memory takes effect, every known part is judged with it.

No known defective part may become OK that was not, and no good part lose its OK. Where one does, the change is not
made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sightline.core.errors import InputError
from sightline.core.progress import Progress, unwatched
from sightline.core.result import SEVERITY, Verdict
from sightline.imaging.image import Source
from sightline.runtime.inspector import Inspector

CHANGES = ("lost", "weakened", "golden", "unread")


@dataclass(frozen=True)
class KnownPart:
    """A part whose truth people know. `name` is what they call it; `here`: it was photographed at the place that
    learns, so its light is that of the place.
    """

    name: str
    source: Source
    defective: bool
    here: bool = False


@dataclass(frozen=True)
class Canary:
    """What a change would do to the known parts.

    `lost`: defective ones that are OK with it and were not; `weakened`: NG before, REVIEW now; `golden`: good ones that
    were OK and are not. `unread`: defective ones that could not be judged, so nobody knows.
    """

    defective: int
    good: int
    lost: tuple[str, ...]
    weakened: tuple[str, ...]
    golden: tuple[str, ...]
    unread: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the change may be made."""
        return not (self.lost or self.golden or self.unread)

    @property
    def reason(self) -> str:
        """Why it may not, in words; "" where it may."""
        if self.lost:
            return f"{len(self.lost)} known defective parts would be OK ({_few(self.lost)})"
        if self.golden:
            return f"{len(self.golden)} good parts would no longer be OK ({_few(self.golden)})"
        return f"{len(self.unread)} known defective parts cannot be read ({_few(self.unread)})" if self.unread else ""

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "defective": self.defective,
            "good": self.good,
            "passed": self.passed,
            "reason": self.reason,
            **{name: list(getattr(self, name))[:50] for name in CHANGES},
        }


def judge_known(inspector: Inspector, known: Sequence[KnownPart], progress: Progress = unwatched) -> dict[str, Verdict]:
    """The verdict of every known part that can be read, by name, as `inspector` is adapted now."""
    found: dict[str, Verdict] = {}
    for number, part in enumerate(known, start=1):
        with suppress(InputError, OSError):  # it is missing from the answer, and `compare` says so
            found[part.name] = inspector.inspect(part.source).verdict
        progress("judging known parts", number, len(known))
    return found


def in_question(known: Sequence[KnownPart], after: Mapping[str, Verdict]) -> list[KnownPart]:
    """The parts about which a change may have spoilt something: defective ones that are not NG with it, good ones that
    are not OK. Only of these it matters what they were before.
    """
    right = {True: Verdict.NG, False: Verdict.OK}
    return [part for part in known if after.get(part.name, right[part.defective]) is not right[part.defective]]


def compare(known: Sequence[KnownPart], before: Mapping[str, Verdict], after: Mapping[str, Verdict]) -> Canary:
    """What changed between two judgements: `after` of all known parts, `before` of those in question."""
    found: dict[str, list[str]] = {name: [] for name in CHANGES}
    found["unread"] = [part.name for part in known if part.defective and part.name not in after]
    for part in in_question(known, after):
        old, new = before.get(part.name), after[part.name]
        if part.defective and old is None:
            found["unread"].append(part.name)
        elif part.defective and old is not None and SEVERITY[new] < SEVERITY[old]:
            found["lost" if new is Verdict.OK else "weakened"].append(part.name)
        elif not part.defective and old is Verdict.OK:
            found["golden"].append(part.name)
    defective = sum(part.defective for part in known)
    return Canary(defective, len(known) - defective, **{name: tuple(names) for name, names in found.items()})


def _few(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
