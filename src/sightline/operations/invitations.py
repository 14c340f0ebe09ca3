"""Invitations: a link that logs a phone in once, within two minutes, as the person who made it. They are not kept."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass

from sightline.core.errors import BusyError, ForbiddenError, MissingExtraError
from sightline.operations.people import Identity, Opened, csrf_of, digest_of
from sightline.store.store import Store
from sightline.store.users import OPERATOR, User

VALID_S = 120.0
MOST = 100  # that are open at once, of all people together


@dataclass(frozen=True, slots=True)
class Invitation:
    """Who is let in, as `revision` knows the person, where the link leads, and until when, on the monotonic clock."""

    name: str
    revision: str
    to: str
    until_s: float


class Invitations:
    """The links that are open now, by the SHA-256 of their secret. They end with the server."""

    def __init__(self, valid_s: float = VALID_S) -> None:
        self.valid_s = valid_s
        self._open: dict[str, Invitation] = {}
        self._lock = threading.Lock()

    def make(self, store: Store, identity: Identity, to: str) -> str:
        """The secret of a new link; an earlier one of the same person ends. Raises ForbiddenError, BusyError."""
        if identity.scopes is not None:
            raise ForbiddenError("a token cannot invite. Log in to make a link")
        if identity.by_pin:  # else a phone could let itself in again for ever
            raise ForbiddenError("only who logged in with the password can invite. Log in with it to make a link")
        secret, now = secrets.token_urlsafe(32), time.monotonic()
        with self._lock:
            still = self._open.items()
            self._open = {key: one for key, one in still if one.until_s > now and one.name != identity.name}
            if len(self._open) >= MOST:
                raise BusyError("too many links are open. Try again in two minutes", self.valid_s)
            self._open[digest_of(secret)] = Invitation(identity.name, identity.user.revision, to, now + self.valid_s)
        store.audit.note(identity.name, "make link", f"user {identity.name}", seconds=self.valid_s)
        return secret

    def take(self, store: Store, secret: str, instead_of: str | None = None) -> tuple[Opened, str]:
        """Log in by a link, which is used up: the session, as an operator's, and where to go.

        Raises ForbiddenError where it was used, has run out, or its person may not log in any more or was changed.
        """
        with self._lock:
            found = self._open.pop(digest_of(secret), None)
        user = _valid(store, found)
        assert found is not None
        cookie = secrets.token_urlsafe(32)
        store.access.open_session(digest_of(cookie), user, by_pin=True, instead_of=instead_of)
        identity = Identity(user, OPERATOR, None, digest_of(cookie), csrf_of(cookie), by_pin=True)
        return Opened(cookie, identity), found.to

    def whose(self, store: Store, secret: str) -> str:
        """Name of whom a link would log in; it stays unused. Raises ForbiddenError as `take`."""
        with self._lock:
            found = self._open.get(digest_of(secret))
        return _valid(store, found).name


def _valid(store: Store, found: Invitation | None) -> User:
    if found is not None and found.until_s > time.monotonic():
        known = store.users.credentials(found.name)
        if known is not None and known.user.revision == found.revision:
            return known.user
    raise ForbiddenError("this link was used already, or has run out. Have a new one shown", known=False)


def qr_code(address: str) -> str:
    """The QR code of an address as a data URI of an SVG. Raises MissingExtraError."""
    try:
        import segno
    except ModuleNotFoundError as error:
        raise MissingExtraError("segno", "web") from error
    return str(segno.make(address, error="m", micro=False).svg_data_uri(scale=8, border=3, dark="#000", light="#fff"))
