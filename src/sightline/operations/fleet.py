"""The fleet: how all stations are, products compared over them, tokens by which they send, and computers replaced."""

from __future__ import annotations

import dataclasses
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError, NotFoundError
from sightline.core.files import make_private
from sightline.evaluate.statistics.homogeneity import same_share
from sightline.evaluate.statistics.intervals import Rate, exact_rate
from sightline.operations.opening import author as whoever
from sightline.operations.opening import opened_store
from sightline.operations.people import STATION, TOKEN_PREFIX, digest_of
from sightline.runtime.signature import unsigned
from sightline.store.alarms import OPEN
from sightline.store.rollouts import Assignment
from sightline.store.senders import Received, Sender
from sightline.store.stations import NAME
from sightline.store.store import Store, StoreLocation
from sightline.store.tables.base import now
from sightline.store.users import OPERATOR

MAX_HOURS = 24 * 90
_SIGNED: dict[str, bool] = {}  # by hash
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


@dataclass(frozen=True, slots=True)
class Running:
    """A recipe that a station runs: `signed` None where the store does not have it; `behind` what is rolled out."""

    product: str
    hash: str
    signed: bool | None
    behind: bool
    fault: str


@dataclass(frozen=True, slots=True)
class StationFigures:
    """A station: its parts within the hours asked for, with exact 95 % intervals, and how it is.

    `heard` is when the server last had anything of it. The rest is known of stations that send: `waiting` records are
    still there, `missing` ones never came, `offset_s` is of its clock from the server's, `other` a second computer that
    tried to send as this station.
    """

    station: str
    parts: int
    ok: Rate
    ng: Rate
    review: Rate
    alarms: tuple[str, ...]
    recipes: tuple[Running, ...]
    heard: datetime | None
    sends: bool = False
    waiting: int = 0
    missing: int = 0
    refused: int = 0
    offset_s: float | None = None
    version: str = ""
    other: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """One product at several stations: the share of NG at each, and how likely so different ones are by chance."""

    product: str
    shares: tuple[tuple[str, Rate], ...]
    p_value: float | None


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """All stations, and the products that more than one of them has inspected."""

    hours: float
    stations: tuple[StationFigures, ...]
    products: tuple[Compared, ...]


def stations(where: Store | StoreLocation, hours: float = 24.0) -> FleetFigures:
    """How all stations of this site are, and products compared over them. Raises InputError."""
    if not 1 <= hours <= MAX_HOURS:
        raise InputError(f"{hours:g} hours: give 1 to {MAX_HOURS}")
    with opened_store(where) as store:
        rows = store.senders.received(now() - timedelta(hours=hours))
        assigned = store.rollouts.assignments()
        senders = {one.station: one for one in store.senders.all()}
        alarms: dict[str, list[str]] = defaultdict(list)
        for alarm in store.alarms.page(OPEN):
            alarms[alarm.station].append(alarm.cause)
        names = {row.station for row in rows} | {one.station for one in assigned} | senders.keys()
        names |= {one.name for one in store.stations.page(limit=1000)}
        by_station: dict[str, list[Received]] = defaultdict(list)
        for row in rows:
            by_station[row.station].append(row)
        known = _Known(store, by_station, assigned, senders, alarms)
        return FleetFigures(hours, tuple(known.figures(name) for name in sorted(names)), _compare(rows))


@dataclass(frozen=True)
class _Known:
    store: Store
    rows: Mapping[str, Sequence[Received]]  # by station
    assigned: Sequence[Assignment]
    senders: Mapping[str, Sender]
    alarms: Mapping[str, Sequence[str]]

    def figures(self, name: str) -> StationFigures:
        """One station's."""
        counts = Counter[str]()
        for row in self.rows.get(name, ()):
            counts[row.verdict] += row.count
        parts, sender = counts.total(), self.senders.get(name)
        heard = sender.heard if sender else None
        if heard is None and (ends := self.store.inspections.ends(name)):
            heard = ends[-1].received or ends[-1].triggered
        ok, ng, review = (exact_rate(counts[verdict], parts) for verdict in ("OK", "NG", "REVIEW"))
        alarms = tuple(self.alarms.get(name, ()))
        found = StationFigures(name, parts, ok, ng, review, alarms, self._recipes(name), heard)
        if sender is None:
            return found
        return dataclasses.replace(
            found, sends=True, waiting=sender.waiting, missing=sender.missing, refused=sender.refused,
            offset_s=sender.offset_s, version=sender.version, other=str(sender.other.get("at", "")),
        )  # fmt: skip

    def _recipes(self, name: str) -> tuple[Running, ...]:
        """What the station says that it runs; else what its last parts were inspected by."""
        mine = {one.product: one for one in self.assigned if one.station == name}
        sender = self.senders.get(name)
        running = dict(sender.running) if sender else {}
        if not running:
            running = {row.product: row.recipe_hash for row in self.rows.get(name, ()) if row.recipe_hash}
            running |= {product: one.running_hash for product, one in mine.items() if one.running_hash}
        found = []
        for product, hash in sorted(running.items()):
            one = mine.get(product)
            behind = one is not None and one.recipe_hash is not None and one.recipe_hash != hash
            found.append(Running(product, hash, _signed(self.store, hash), behind, one.fault if one else ""))
        return tuple(found)


def _compare(rows: Sequence[Received]) -> tuple[Compared, ...]:
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for row in rows:
        counts[row.product][row.station][row.verdict] += row.count
    found = []
    for product, by_station in sorted(counts.items()):
        if product and len(by_station) > 1:
            shares = {name: (one["NG"], one.total()) for name, one in sorted(by_station.items())}
            p_value = same_share([ng for ng, _ in shares.values()], [of for _, of in shares.values()])
            rates = tuple((name, exact_rate(*share)) for name, share in shares.items())
            found.append(Compared(product, rates, p_value))
    return tuple(found)


def _signed(store: Store, hash: str) -> bool | None:
    """Whether a recipe carries a signature, whoever's; None where the store does not have it. A hash never changes."""
    if hash not in _SIGNED:
        try:
            data = store.recipes.file(hash)
        except NotFoundError:
            return None
        _SIGNED[hash] = len(unsigned(data)) < len(data)
    return _SIGNED[hash]
