"""A command: what the machine wants from the station."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum


class CommandKind(StrEnum):
    """TRIGGER: judge a part. RECIPE: change over. UNPREPARE: give up the recipe. RESET: clear the error."""

    TRIGGER = "trigger"
    RECIPE = "recipe"
    UNPREPARE = "unprepare"
    RESET = "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    `part_id` names the part of a TRIGGER ("" lets the station number it); `recipe` is the wanted recipe's name or
    number as text; `at` is when it came, in seconds since 1970, `monotonic_s` the same on the monotonic clock, from
    which a deadline counts.
    """

    kind: CommandKind
    part_id: str = ""
    recipe: str = ""
    at: float = field(default_factory=time.time)
    monotonic_s: float = field(default_factory=time.monotonic)
