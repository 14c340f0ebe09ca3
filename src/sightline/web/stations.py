"""Stations as the web app sees them: asked over their HTTP ports, and their live pictures for everybody who watches."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from sightline.core.errors import ConflictError, InputError, SightlineError
from sightline.store.stations import Station

TIMEOUT_S = 3.0
RETRY_S = 1.0
LENGTH_BYTES = 4
MAX_BYTES = 20_000_000  # of a message: what claims to be a station must not fill the memory


class StationError(SightlineError):
    """A station whose port does not answer, or answers something else."""


def port_of(station: Station) -> dict[str, Any]:
    """How to reach a station: httpx's arguments. Raises StationError where its token is not in the environment."""
    headers = {}
    if station.token_env:
        token = os.environ.get(station.token_env, "").strip()
        if not token:
            raise StationError(f"{station.name}: the variable {station.token_env} is not set where the server runs")
        headers = {"Authorization": f"Bearer {token}"}
    return {"base_url": station.url, "headers": headers, "timeout": TIMEOUT_S, "follow_redirects": False}


def status(station: Station) -> dict[str, Any]:
    """What a station says of itself, and `reachable`; where it cannot be reached, `why` not."""
    try:
        with httpx.Client(**port_of(station)) as port:
            answer = port.get("/status")
            told = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError, StationError) as error:
        return {"reachable": False, "why": f"{station.name} does not answer ({error or type(error).__name__})"}
    if not isinstance(told, dict):
        return {"reachable": False, "why": f"{station.url} is not a station's port. Correct its address"}
    return {"reachable": True, "why": "", **told}


def command(station: Station, path: str, values: dict[str, Any]) -> dict[str, Any]:
    """Ask a station for something. Raises StationError, ConflictError where it cannot now, InputError."""
    try:
        with httpx.Client(**port_of(station)) as port:
            answer = port.post(path, json=values)
            told = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise StationError(
            f"{station.name} does not answer ({error}). Is it running, and is its address right?"
        ) from error
    said = str(told.get("error", "")) if isinstance(told, dict) else ""
    if answer.status_code in {404, 409}:
        raise ConflictError(f"{station.name}: {said}")
    if answer.status_code >= 400:
        raise InputError(f"{station.name}: {said}. Check token_env, and the token in the station's file")
    return dict(told)


@dataclass(frozen=True, slots=True)
class Picture:
    """The newest part of a station: what is told of it, its pictures, and when it came, on the monotonic clock."""

    told: dict[str, Any]
    pictures: bytes
    came_s: float

    def message(self, whole: bool) -> bytes:
        """As the station's port has it (`line.live`), with the age of now; not `whole`: without the pictures."""
        told = {**self.told, "age_ms": self.told.get("age_ms", 0) + round((time.monotonic() - self.came_s) * 1e3)}
        if not whole:
            told |= {"views": []}
        head = json.dumps({**told, "still": not whole}).encode()
        return len(head).to_bytes(LENGTH_BYTES, "big") + head + (self.pictures if whole else b"")


def read_message(data: bytes) -> Picture:
    """What a station's port has sent. Raises StationError for anything else."""
    length = int.from_bytes(data[:LENGTH_BYTES], "big")
    try:
        told = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length])
        if not isinstance(told, dict) or len(data) > MAX_BYTES:
            raise ValueError("no object")
        int(told["number"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StationError(f"the answer is not a live picture ({error}). Is it a station of this version?") from error
    return Picture(told, data[LENGTH_BYTES + length :], time.monotonic())


class Feed:
    """One station's pictures for all who watch it: asked for once, and only while somebody does.

    Each viewer has room for one picture: whoever is slow gets the newest one when it is ready, and holds up nobody.
    """

    def __init__(self, station: Station, per_second: float) -> None:
        self._station, self._pause_s = station, 1 / per_second
        self._viewers: set[asyncio.Queue[Picture]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._viewers)

    @contextmanager
    def watched(self) -> Iterator[asyncio.Queue[Picture]]:
        """A viewer's place, which holds the newest picture that the viewer has not seen."""
        mine: asyncio.Queue[Picture] = asyncio.Queue(1)
        self._viewers.add(mine)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._ask())
        try:
            yield mine
        finally:
            self._viewers.discard(mine)

    async def _ask(self) -> None:
        number = 0
        try:
            async with httpx.AsyncClient(**port_of(self._station)) as port:
                while self._viewers:
                    number = await self._ask_once(port, number)
        except StationError as error:
            self._give(Picture({"number": 0, "error": str(error)}, b"", time.monotonic()))
            await asyncio.sleep(RETRY_S)

    async def _ask_once(self, port: httpx.AsyncClient, number: int) -> int:
        try:
            answer = await port.get("/live", params={"after": number})
            if answer.status_code == 200:
                picture = read_message(answer.content)
                self._give(picture)
                number = int(picture.told["number"])
            elif answer.status_code != 204:
                raise StationError(f"{self._station.name} refuses its picture ({answer.status_code}). Check its token")
            await asyncio.sleep(self._pause_s)
        except (httpx.HTTPError, StationError) as error:
            told = str(error) if isinstance(error, StationError) else f"{self._station.name} does not answer ({error})"
            self._give(Picture({"number": 0, "error": told}, b"", time.monotonic()))
            await asyncio.sleep(RETRY_S)
            return 0  # a station that was started again counts from 1
        return number

    def _give(self, picture: Picture) -> None:
        for viewer in self._viewers:
            with suppress(asyncio.QueueEmpty):
                viewer.get_nowait()
            viewer.put_nowait(picture)


class Feeds:
    """The feeds of all stations that somebody watches."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._feeds: dict[str, Feed] = {}

    def of(self, station: Station) -> Feed:
        """The one feed of a station at its present address."""
        known = {key: feed for key, feed in self._feeds.items() if feed.is_watched}
        self._feeds = known
        return self._feeds.setdefault(f"{station.name} {station.revision}", Feed(station, self._per_second))
