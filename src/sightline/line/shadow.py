"""Shadow: what a second recipe says of the same parts, and how often it agrees."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from typing import Any

from sightline.line.decision import Decision, Seen
from sightline.line.judge import Reply
from sightline.line.part import Part

WAITING = 64  # views whose shadow has not answered yet
KEPT = 1000  # differences that are remembered for people; all of them are in the records


class Shadow:
    """Pairs of verdicts of the active recipe and its shadow."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, tuple[Part, Seen]] = OrderedDict()
        self.agreement: Counter[tuple[str, str]] = Counter()
        self.differences: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def watch(self, part: Part, decision: Decision, numbers: Sequence[int]) -> None:
        """Expect the shadow's replies `numbers` on the views of a part that was judged."""
        self._waiting.update(zip(numbers, ((part, seen) for seen in decision.seen), strict=True))
        while len(self._waiting) > WAITING:
            self._waiting.popitem(last=False)

    def compare(self, reply: Reply) -> tuple[Part, Seen, Seen] | None:
        """The part, the active recipe's word on the view, and the shadow's; None where that had to give way."""
        expected = self._waiting.pop(reply.number, None)
        if expected is None or reply.seen is None:
            return None
        part, seen = expected
        said = reply.seen
        self.agreement[str(seen.verdict), str(said.verdict)] += 1
        if seen.verdict is not said.verdict:
            self.differences.append(
                {"part": part.id, "view": said.view, "active": str(seen.verdict), "shadow": str(said.verdict)}
            )
        return part, seen, said
