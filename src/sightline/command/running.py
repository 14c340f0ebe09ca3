"""Stations at work until they are stopped."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from sightline.line.settings import StationSettings, read_station
from sightline.line.supervisor import Supervisor, check_apart
from sightline.store.database import locate


def run(paths: Sequence[Path]) -> bool:
    """Run stations until Ctrl-C or SIGTERM; whether all of them ended in order."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    supervisor = Supervisor(paths)

    def stop(number: int, frame: FrameType | None) -> None:
        supervisor.stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return supervisor.run()


def check(paths: Sequence[Path]) -> list[StationSettings]:
    """The settings of stations, without starting them. Raises SettingError."""
    stations = [read_station(path) for path in paths]
    check_apart(stations)
    return stations


def to_json(settings: StationSettings) -> str:
    """A station's settings as JSON; a password in the database's address is left out."""
    address = settings.database
    shown = address if not address or "://" not in address else locate(address).render_as_string(hide_password=True)
    return settings.model_copy(update={"database": shown}).model_dump_json()


def describe(settings: StationSettings) -> str:
    """A station's settings in a line."""
    recipes = ", ".join(f"{recipe.name} ({recipe.id})" for recipe in settings.recipes)
    views = ", ".join(f"{view.name} ({view.camera.get('kind')})" for view in settings.views)
    return (
        f"{settings.name}: views {views}; recipes {recipes}; controller {settings.controller.get('kind')}; "
        f"deadline {settings.deadline_ms:g} ms; {settings.mode}"
    )
