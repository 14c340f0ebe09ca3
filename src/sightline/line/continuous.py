"""Continuous execution: the station's own triggers, between the machine's StartContinuous and its Stop."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from sightline.core.signals import Command, CommandKind
from sightline.devices.cameras.camera import Camera

PAUSE_S = 0.1  # after a part without a frame: what keeps frames away is not asked about without end


class Continuous:
    """One run at a time: `job` names it, "" while there is none; its parts are the job's name and a number.

    `every_ms` lies between two triggers; where a part takes longer, the moments that it missed are left out.
    `why_not` says what keeps the station from it, "" where nothing does; `not_begun` is the latest job, where it could
    not begin.
    """

    def __init__(self, every_ms: float, cameras: Sequence[Camera]) -> None:
        self._every_s = every_ms / 1e3
        self.why_not = ""
        if name := next((camera.settings.name for camera in cameras if camera.settings.trigger == "hardware"), ""):
            self.why_not = (
                f"camera {name} is triggered by hardware: without a trigger from the machine, nobody knows when a "
                'picture is due. Set its trigger to "free" or "software", where it can be'
            )
        self.job = self.not_begun = ""
        self._recipe, self._count, self._due_s = "", 0, 0.0

    def start(self, command: Command) -> None:
        """Begin a run; the first part is due now."""
        self.job, self._recipe = command.part_id or uuid.uuid4().hex[:12], command.recipe
        self._count, self._due_s, self.not_begun = 0, time.monotonic(), ""

    def stop(self) -> None:
        """End the run."""
        self.job = ""

    def trigger(self) -> Command | None:
        """The trigger that is due; None where there is no run, or its next part has time."""
        if not self.job or time.monotonic() < self._due_s:
            return None
        return Command(kind=CommandKind.TRIGGER, part_id=f"{self.job}-{self._count + 1}", recipe=self._recipe)

    def wait_s(self, longest_s: float) -> float:
        """How long the station may wait for commands until the next part is due."""
        return max(0.0, min(longest_s, self._due_s - time.monotonic())) if self.job else longest_s

    def done(self, inspected: bool) -> None:
        """The part that was due has its answer; `inspected`: from frames."""
        self._count += 1
        self._due_s = max(time.monotonic() + (0.0 if inspected else PAUSE_S), self._due_s + self._every_s)
