"""The golden-part interlock: known parts must get their verdicts, or the station inspects no others."""

from __future__ import annotations

import datetime
import logging

from sightline.core.result import Verdict
from sightline.line.settings import CheckPart, Interlock

LOG = logging.getLogger("sightline.line.interlock")


class Gate:
    """Which check parts are due, and whether the station is blocked until they have passed."""

    def __init__(self, settings: Interlock, now: datetime.datetime | None = None) -> None:
        self._settings = settings
        self._parts = {part.part_id: part for part in settings.parts}
        self._due = set(self._parts) if settings.at_start else set()
        self.recipe = ""  # the active one; parts of other recipes are due when theirs is
        self._since = 0
        self._last_tick = now or datetime.datetime.now().astimezone()
        self.failed: str = ""

    @property
    def parts(self) -> list[str]:
        """Ids of the check parts of the active recipe."""
        return sorted(part_id for part_id in self._parts if self.checks(part_id) is not None)

    def is_check(self, part_id: str) -> bool:
        """Whether this is the id of a check part, of whichever recipe: those come again and again."""
        return part_id in self._parts

    def require(self, why: str) -> None:
        """Make all check parts due: something has changed that every verdict rests on."""
        if self._parts:
            self._make_due(why)

    @property
    def blocked(self) -> bool:
        """Whether any check part is due, or had a wrong verdict last."""
        return bool(self._due_now())

    @property
    def reason(self) -> str:
        """What must happen before other parts are inspected; "" where nothing must."""
        now = self._due_now()
        if not now:
            return ""
        due = ", ".join(sorted(now))
        return f"{self.failed}; due: {due}" if self.failed else f"check parts are due: {due}"

    def checks(self, part_id: str) -> CheckPart | None:
        """The check part of this id, None for parts of the production and check parts of another recipe."""
        part = self._parts.get(part_id)
        return part if part is not None and part.recipe in ("", self.recipe) else None

    def count_part(self) -> None:
        """Count a part of the production."""
        self._since += 1
        if self._parts and self._settings.every_parts and self._since >= self._settings.every_parts:
            self._make_due(f"{self._since} parts since the last check")

    def tick(self, now: datetime.datetime) -> None:
        """Look at the clock: at the begin of a shift the check parts are due."""
        # A clock that is set back makes a check due twice rather than never.
        first, last = sorted((self._last_tick, now))
        self._last_tick = now
        if _offset(last) > _offset(first):
            # The clock was put forward: a shift that begins in the hour that is left out begins at its end.
            first, last = first.replace(tzinfo=None), last.replace(tzinfo=None)
        for shift in self._settings.shifts if self._parts else ():
            hour, minute = map(int, shift.split(":"))
            begin = last.replace(hour=hour, minute=minute, second=0, microsecond=0)
            # The latest begin up to the later moment may lie on the day before: a clock may jump over midnight.
            latest = begin if begin <= last else begin - datetime.timedelta(days=1)
            if first < latest:
                self._make_due(f"the shift of {shift} has begun")

    def verify(self, part_id: str, verdict: Verdict, valid: bool) -> bool:
        """Note the verdict of a check part; whether it is the right one."""
        part = self._parts[part_id]
        right = valid and verdict is part.verdict
        if right:
            # One that is shown while none is due opens nothing and puts nothing off: the others were not shown.
            if self._due_now() == {part_id}:
                self._since, self.failed = 0, ""
            self._due.discard(part_id)
            return True
        # One wrong verdict, and all have to be shown again: whatever is wrong may touch any of them.
        self.failed = f"check part {part_id} got {verdict if valid else 'no verdict'} instead of {part.verdict}"
        LOG.error("%s: the station is blocked", self.failed)
        self._due = set(self._parts)
        return False

    def _due_now(self) -> set[str]:
        return {part_id for part_id in tuple(self._due) if self.checks(part_id) is not None}

    def _make_due(self, why: str) -> None:
        LOG.warning("check parts are due: %s", why)
        self._due, self._since = set(self._parts), 0


def _offset(moment: datetime.datetime) -> datetime.timedelta:
    return moment.utcoffset() or datetime.timedelta()
