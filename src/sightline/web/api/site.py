"""What all routes work with: the store, the settings, and what the server keeps in memory."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from datetime import timedelta
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends
from starlette.requests import HTTPConnection

from sightline.core.errors import BusyError, ForbiddenError
from sightline.operations.batching import Limits
from sightline.operations.bench import Bench
from sightline.operations.invitations import Invitations
from sightline.operations.judges import Judges
from sightline.store.store import Store
from sightline.store.tables.base import now
from sightline.web.events import Events
from sightline.web.settings import WebSettings
from sightline.web.stations import Feeds

MINUTE_S = 60.0
MAX_ADDRESSES = 10_000
SENDING_AT_ONCE = 24  # batches of stations; those that wait for each other are kept in one transaction


class Attempts:
    """How often each address has tried to log in within the last minute."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute, self._lock = per_minute, threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def count(self, address: str) -> None:
        """Note an attempt. Raises BusyError for one too many."""
        now = time.monotonic()
        with self._lock:
            if len(self._times) >= MAX_ADDRESSES:
                self._times = {key: times for key, times in self._times.items() if times[-1] > now - MINUTE_S}
            if len(self._times) >= MAX_ADDRESSES and address not in self._times:
                raise BusyError("too many attempts to log in. Try again in a minute", MINUTE_S)
            times = self._times.setdefault(address, deque(maxlen=self._per_minute))
            if len(times) == self._per_minute and times[0] > now - MINUTE_S:
                wait_s = times[0] + MINUTE_S - now
                raise BusyError(f"too many attempts to log in from here. Try again in {wait_s:.0f} s", wait_s)
            times.append(now)


class Site:
    """One server: its store and settings. `setup_token` lets the first user in; it is empty once there is one."""

    def __init__(self, store: Store, settings: WebSettings) -> None:
        self.store, self.settings = store, settings
        self.attempts = Attempts(settings.logins_per_minute)
        limits = Limits(settings.batch, settings.batch_wait_ms / 1e3, settings.waiting)
        self.invitations = Invitations()
        self.judges = Judges(store, settings.recipes_open, settings.inspect_at_once, settings.threads, limits)
        self.bench = Bench(store, self.judges)
        self.feeds = Feeds(settings.live_per_second)
        self.events = Events(store)
        self.sending = CapacityLimiter(SENDING_AT_ONCE)
        store.access.clear(unused_since=now() - timedelta(hours=settings.session_hours))
        self.setup_token = "" if store.users.count() else secrets.token_urlsafe(24)

    def check_setup(self, token: str) -> None:
        """Raises ForbiddenError for anything but the token that the console shows."""
        if not self.setup_token or not secrets.compare_digest(token.encode(), self.setup_token.encode()):
            raise ForbiddenError("this is not the set-up token. The console shows it where the server was started")


def _site(connection: HTTPConnection) -> Site:
    site = connection.app.state.site
    assert isinstance(site, Site)
    return site


Here = Annotated[Site, Depends(_site)]
