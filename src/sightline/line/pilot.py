"""Pilot mode: everything runs, and the machine gets no verdicts; by the station's file, or as a person asked since."""

from __future__ import annotations

import logging

from sightline.line.settings import StationSettings

LOG = logging.getLogger("sightline.line.pilot")


class Pilot:
    """Whether the station is in pilot mode.

    What a person has switched on lasts over a restart, by a file in the station's folder: no restart has a machine act
    on verdicts. What a person has switched off lasts until the next start where the station's own file says pilot.
    """

    def __init__(self, settings: StationSettings) -> None:
        self._marker = settings.folder / "pilot"
        self.on = settings.mode == "pilot" or self._marker.exists()

    def switch(self, on: bool) -> str:
        """Switch it on or off for the parts to come; what was done, in words. Where its file cannot go, it stays on."""
        try:
            if on:
                self.on = True
                self._marker.touch()
            else:
                self._marker.unlink(missing_ok=True)
                self.on = False
        except OSError as error:
            LOG.error("pilot mode: %s", error, extra={"cause": str(error)})
            trouble = "it does not last over a restart" if on else "it stays on"
            return f"pilot mode is {'on' if self.on else 'off'}, and {trouble}: {error}"
        return f"pilot mode is {'on' if on else 'off'}"
