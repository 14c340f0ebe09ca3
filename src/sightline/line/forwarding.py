"""Forwarding: what a station records goes to its site server as well, in order, once each, whenever it can be reached.

It reads the station's journal from where it left off, in a thread of its own: no part ever waits for it.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from sightline import __version__
from sightline.core.errors import ConflictError, InputError, SightlineError, StoreError
from sightline.core.files import make_private
from sightline.line.settings import StationSettings
from sightline.line.site import Site
from sightline.store.entries import FORMAT
from sightline.store.rollouts import Wanted
from sightline.store.store import Store

BATCH, BATCH_BYTES = 500, 4_000_000  # entries, and bytes of them, in one request
ALIVE = 4  # times `every_s`: so often a station without anything to send says that it lives
LOG_S = 60.0  # between two different reasons for the same trouble in the log
LEVEL = 1  # of gzip: a quarter of the size; more costs the line's processor and gains little
LOG = logging.getLogger("sightline.line.forwarding")


class Entries(Protocol):
    """Where entries wait: `sightline.line.journal.Journal`."""

    @property
    def name(self) -> str:
        """Which journal it is: another one counts from 1 again."""

    @property
    def to_forward(self) -> int:
        """How many."""

    @property
    def opened(self) -> int:
        """The last number when it was opened."""

    def rename(self) -> None:
        """Be another one from now on."""

    def peek(self, count: int, most_bytes: int) -> list[tuple[int, str]]:
        """The next ones: numbers and JSON."""

    def forwarded(self, number: int) -> None:
        """Everything up to that one is at the site."""

    def wait(self, timeout_s: float, enough: int) -> None:
        """Wait until so many are there, at most for a time."""


class Forwarder:
    """Sends entries until it is closed. `wanted` is what the site says that is to be run, None before it said so."""

    def __init__(self, settings: StationSettings, entries: Entries, open_images: Callable[[], Store]) -> None:
        assert settings.site is not None
        self._settings, self._server, self._entries = settings, settings.site, entries
        self._instance = instance_of(settings.folder)
        self._site = Site(self._server, settings.name)
        self._open_images = open_images
        self._images: Store | None = None  # where pictures are, once the first was sent
        self._stopping = threading.Event()
        self._heard, self._logged = 0.0, -LOG_S
        self.running: Mapping[str, str] = {}
        self.wanted: Mapping[str, Wanted] | None = None
        self.fault, self.refused, self.pictures_lost = "", 0, 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send, in a thread."""
        self._thread = threading.Thread(target=self._run, name="forwarding", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send no more; what was not sent waits for the next start."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=3.0)
        self._site.close()
        if self._images is not None:
            self._images.close()

    @property
    def waiting(self) -> int:
        """Entries that are not at the site yet."""
        return self._entries.to_forward

    def send_some(self) -> bool:
        """Send the next batch, or say that the station lives; whether more waits. Raises StoreError, ConflictError."""
        if not self._heard:
            # A power cut may have taken entries that the site has, and their numbers are given again.
            if int(self._post([], self.waiting).get("through", 0)) > self._entries.opened:
                LOG.warning("the site has entries that a power cut took from this journal: it goes on under a new name")
                self._entries.rename()
            self._heard = time.monotonic()
        batch = self._entries.peek(BATCH, BATCH_BYTES)
        pictures = [body for _, body in batch if body.startswith('{"kind": "picture"')]
        answer = self._post(batch, self._entries.to_forward - len(batch))
        for number, why in answer.get("refused", []):
            self.refused += 1
            LOG.error("the site cannot record entry %s: %s", number, why, extra={"cause": why})
        if self._server.pictures:
            for body in pictures:
                self._send_picture(json.loads(body))
        if batch:
            self._entries.forwarded(batch[-1][0])
        self._heard = time.monotonic()
        return self._entries.to_forward >= BATCH

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                more = self.send_some()
            except Exception as error:  # whatever it was: what waits is not lost, and the line goes on
                if not isinstance(error, SightlineError):
                    LOG.exception("sending to the site failed")
                self._note(str(error) or type(error).__name__)
                self._stopping.wait(max(self._pause_s(failures), self._site.retry_after_s))
                failures += 1
                continue
            failures = 0
            self._note("")
            if not more:
                self._rest()

    def _rest(self) -> None:
        """Until enough waits, or the time for a smaller batch, or for a sign of life, has come."""
        pause_s = self._server.every_s * random.uniform(0.8, 1.2)  # so that many stations do not send in step
        until = time.monotonic() + pause_s
        while not self._stopping.is_set():
            left_s = until - time.monotonic()
            if left_s > 0:
                self._entries.wait(min(left_s, 0.5), BATCH)
            waiting = self._entries.to_forward
            if waiting >= BATCH or (
                left_s <= 0 and (waiting or time.monotonic() - self._heard > ALIVE * self._server.every_s)
            ):
                return
            if left_s <= 0:
                self._stopping.wait(min(0.5, self._server.every_s))

    def _pause_s(self, failures: int) -> float:
        """Full jitter upon half: many stations that lost one server do not come back in step."""
        return self._server.backoff.pause_s(failures) * random.uniform(0.5, 1.0)

    def _post(self, batch: list[tuple[int, str]], waiting: int) -> dict[str, Any]:
        head: dict[str, Any] = {
            "format": FORMAT,
            "instance": self._instance,
            "journal": self._entries.name,
            "version": __version__,
            "sent": time.time(),
            "waiting": waiting,
            "running": dict(self.running),
            "review_ng": self._settings.review_ng,
            "review_ok": self._settings.review_ok,
        }
        if batch:
            head |= {"first": batch[0][0], "through": batch[-1][0]}
        # The entries are JSON already; pictures go by themselves, after the parts that they are of.
        entries = ",".join(f"[{number},{body}]" for number, body in batch if not body.startswith('{"kind": "picture"'))
        text = f'{json.dumps(head)[:-1]}, "entries": [{entries}]}}'
        try:
            answer = self._site.post("ingest", gzip.compress(text.encode(), LEVEL))
        except InputError as error:
            raise StoreError(str(error)) from error  # no entry is lost over it: a person has to look
        try:
            self.wanted = {str(product): Wanted(**one) for product, one in answer["wanted"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{self._server.url} is not a Sightline server ({error}). Correct its address") from error
        return answer

    def _send_picture(self, entry: dict[str, Any]) -> None:
        """Send one picture, unless it has been cleared away here, or the site will never take it."""
        origin = entry.get("origin")
        if origin is None:
            return  # it was kept before the station had a site
        self._images = self._images or self._open_images()
        try:
            data = self._images.images.read(str(entry["image_hash"]), str(entry["media_type"]))
        except SightlineError as error:
            self.pictures_lost += 1
            LOG.warning("a picture of part %s is not sent: %s", entry["key"], error)
            return
        told = {"format": FORMAT, "version": __version__, "entry": entry, "image": base64.b64encode(data).decode()}
        try:
            self._site.post("pictures", gzip.compress(json.dumps(told).encode(), LEVEL))
        except InputError as error:
            self.pictures_lost += 1
            LOG.error("the site does not take a picture of part %s: %s", entry["key"], error)

    def _note(self, fault: str) -> None:
        if fault and fault != self.fault and time.monotonic() - self._logged > LOG_S:
            self._logged = time.monotonic()
            LOG.error("records wait for the site: %s", fault, extra={"cause": fault})
        elif self.fault and not fault:
            self._logged = -LOG_S
            LOG.info("records reach the site again")
        self.fault = fault


def instance_of(folder: Path) -> str:
    """What tells this station's computer from another one of the same name: made once, kept in its folder."""
    path = folder / "instance"
    try:
        if path.is_file() and (found := path.read_text(encoding="utf-8").strip()):
            return found
        made = uuid4().hex
        folder.mkdir(parents=True, exist_ok=True)
        make_private(path)
        path.write_text(made, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConflictError(f"{path}: cannot be read or written ({error}). Check the disk") from error
    return made
