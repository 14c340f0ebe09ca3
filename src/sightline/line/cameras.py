"""The cameras of a station: frames of the part that was triggered, and of no other."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sightline.core.errors import CameraError
from sightline.core.sample import Frame
from sightline.core.signals import Command, CommandKind
from sightline.devices.cameras.camera import Camera
from sightline.line.part import Part

GRAB_SHARE = 0.9  # of the time that is left: a picture that comes in its last tenth leaves none to inspect it
TRIGGERS = (CommandKind.TRIGGER, CommandKind.REFUSED)


class Cameras:
    """One camera per view. `lead_ms` is how much sooner than its trigger a picture by hardware trigger may come."""

    def __init__(self, cameras: Sequence[Camera], lead_ms: float) -> None:
        self._cameras, self._lead_s = cameras, lead_ms / 1e3

    def grab(self, part: Part, answered_s: float) -> list[Frame]:
        """A fresh frame of every view; the part before was answered at `answered_s` (monotonic). Raises CameraError."""
        start = time.perf_counter()
        frames = []
        for number, camera in enumerate(self._cameras, 1):
            # Before the deadline, so that what is told is the camera's cause.
            left_ms = max(1.0, (part.until - time.monotonic()) * 1e3 * GRAB_SHARE)
            # Picture and trigger come by two ways: a picture that came long before, or before the part before was done,
            # is another part's.
            lead_s = min(self._lead(camera), max(0.0, part.started - answered_s))
            try:
                frames.append(camera.grab(left_ms, part.started, lead_s, part.id))
            except CameraError:
                self.skip(part.started, number)
                raise
        part.captured = max(frame.captured for frame in frames)
        part.frames = tuple(frame.id for frame in frames)
        part.source = str(frames[0].metadata.get("file", ""))
        part.stages_ms["grab"] = (time.perf_counter() - start) * 1e3
        return frames

    def skip(self, triggered_s: float, first: int = 0) -> None:
        """Pictures of a trigger that nobody grabs, from view `first` on, may still come: no other part gets them."""
        for camera in self._cameras[first:]:
            camera.skip(triggered_s)

    def check(self, part: Part, frames: Sequence[Frame], waiting: Sequence[Command]) -> None:
        """Raise CameraError where a frame may show another part, whose trigger came before all of the frame was there.

        `waiting` are the commands that came while this part was under way. A picture that names its part is its own.
        """
        for command in waiting:
            another = command.part_id != part.id or not command.part_id
            if command.kind not in TRIGGERS or command.monotonic_s <= part.started or not another:
                continue
            for camera, frame in zip(self._cameras, frames, strict=True):
                if "part_id" in frame.metadata or frame.complete_s < command.monotonic_s - self._lead(camera):
                    continue
                raise CameraError(
                    f"camera {frame.camera}: the picture came after the trigger of part {command.part_id!r}, sent "
                    f"while part {part.id!r} was under way: nobody knows which part it shows. Trigger one part "
                    "at a time",
                    "other_part",
                )

    def _lead(self, camera: Camera) -> float:
        return self._lead_s if camera.settings.trigger == "hardware" else 0.0
