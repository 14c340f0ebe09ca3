"""The fleet: tokens by which stations send to this site, and computers that take the place of others."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError, NotFoundError
from sightline.core.files import make_private
from sightline.operations.opening import author as whoever
from sightline.operations.opening import opened_store
from sightline.operations.people import STATION, TOKEN_PREFIX, digest_of
from sightline.store.senders import Sender
from sightline.store.stations import NAME
from sightline.store.store import Store, StoreLocation
from sightline.store.users import OPERATOR

USER = "stations"  # whose the tokens are: nobody can log in under it


def token(where: Store | StoreLocation, station: str, file: Path | None = None, author: str = "") -> dict[str, Any]:
    """Make a token by which one station sends, and nothing else; its earlier ones are valid until they are revoked.

    The secret, `token`, is told this once, or written to a new file that its owner alone may read. Raises InputError.
    """
    if file is not None and file.exists():
        raise InputError(f"{file}: is there already. Name another file")
    if not NAME.match(station):
        raise InputError(f"{station!r} is not a station's name. Use the one in its file: letters, digits, dots, dashes")
    who, secret = author or whoever(), TOKEN_PREFIX + secrets.token_urlsafe(32)
    with opened_store(where) as store:
        try:
            user = store.users.get(USER)
        except NotFoundError:
            user = store.users.add(USER, OPERATOR, None, who)
        made = store.access.add_token(digest_of(secret), user, station, [f"{STATION}:{station}"], None, who)
    if file is None:
        return {"id": made.id, "station": station, "token": secret}
    file.parent.mkdir(parents=True, exist_ok=True)
    make_private(file)
    file.write_text(f"{secret}\n", encoding="utf-8")
    return {"id": made.id, "station": station, "file": str(file)}


def revoke(where: Store | StoreLocation, station: str, author: str = "") -> int:
    """Make all tokens of a station worthless; how many there were. Raises NotFoundError where there is none."""
    with opened_store(where) as store:
        mine = store.access.of_scope(f"{STATION}:{station}")
        for one in mine:
            store.access.revoke(one.id, author or whoever())
    if not mine:
        raise NotFoundError(f"station {station} has no token. Look its name up")
    return len(mine)


def replace(where: Store | StoreLocation, station: str, reason: str = "", author: str = "") -> Sender:
    """Take what the next computer sends as this station, and no more of the one before. Raises NotFoundError."""
    with opened_store(where) as store:
        return store.senders.replace(station, author or whoever(), reason)
