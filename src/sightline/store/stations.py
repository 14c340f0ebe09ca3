"""The stations that the web app looks after, by the address of their HTTP port."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.web import StationRow

VARIABLE = re.compile(r"^SIGHTLINE_STATION_[A-Z0-9_]{1,64}$")
NAME = re.compile(r"^[\w.-]{1,64}$")  # as a station's own file has it


@dataclass(frozen=True, slots=True)
class Station:
    """A station. `token_env` names the variable of the server's environment with its port's token, or is empty."""

    name: str
    url: str
    token_env: str
    author: str
    updated: datetime
    revision: str


class Stations:
    """The stations of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, after: str = "", limit: int = 50) -> tuple[Station, ...]:
        """Stations by name, those after a name."""
        query = select(StationRow).where(StationRow.name > after).order_by(StationRow.name).limit(limit)
        with self._database.reading() as session:
            return tuple(_station(row) for row in session.scalars(query))

    def get(self, name: str) -> Station:
        """One station. Raises NotFoundError."""
        with self._database.reading() as session:
            return _station(_find(session, name))

    def put(self, name: str, url: str, token_env: str, author: str, revision: str | None = None) -> Station:
        """Keep a station, a new one or in place of the one of that name. Raises InputError, ConflictError."""
        _check(name, url, token_env)
        query = select(StationRow).where(StationRow.name == name).with_for_update()
        with self._database.writing() as session:
            row = session.scalar(query)
            if revision is not None and (row is None or _station(row).revision != revision):
                told = (
                    "was removed" if row is None else f"was changed by {row.author} at {row.updated:%Y-%m-%d %H:%M} UTC"
                )
                raise ConflictError(f"station {name} {told}. Read it again, then change it", stale=True)
            row = row or StationRow(name=name)
            row.url, row.token_env, row.author, row.updated = url.rstrip("/"), token_env, author, now()
            session.add(row)
            audit(session, author, "set station", f"station {name}", url=row.url, token_env=token_env)
            session.flush()
            return _station(row)

    def remove(self, name: str, author: str, reason: str = "") -> None:
        """Forget a station; its records stay. Raises NotFoundError."""
        with self._database.writing() as session:
            row = _find(session, name)
            session.execute(delete(StationRow).where(StationRow.id == row.id))
            audit(session, author, "remove station", f"station {name}", reason, url=row.url)


def _check(name: str, url: str, token_env: str) -> None:
    if not NAME.match(name):
        raise InputError(f"{name!r} is not a station name. Use the one in its file: letters, digits, dots, dashes")
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or parts.username or parts.query or parts.fragment or parts.path.strip("/"):
        raise InputError(f"{url!r} is not the address of a station's port. Write it as http://192.168.1.20:9100")
    if token_env and not VARIABLE.match(token_env):
        raise InputError("token_env: name a variable SIGHTLINE_STATION_..., which only the server's environment sets")


def _find(session: Session, name: str) -> StationRow:
    row = session.scalar(select(StationRow).where(StationRow.name == name))
    if row is None:
        raise NotFoundError(f"there is no station {name}. Look the name up again")
    return row


def _station(row: StationRow) -> Station:
    revision = f"{row.id}-{row.updated.timestamp():.6f}"
    return Station(row.name, row.url, row.token_env, row.author, row.updated, revision)
