"""The status: what the station tells the machine about itself, between parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`ready`: a trigger is taken now; `busy`: a part is under way; `error`: an `ErrorCode` number, 0 for none.

    `recipe` and `recipe_id` are the active recipe's; `pilot` says that verdicts are shown and not acted on.
    """

    ready: bool = False
    busy: bool = False
    recipe: str = ""
    recipe_id: int = 0
    error: int = 0
    pilot: bool = False
