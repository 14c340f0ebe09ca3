"""What the line lets escape and rejects now, from what people have said of parts that were drawn at random."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sightline.core.errors import InputError
from sightline.improve.rates import LiveRates, live_rates
from sightline.operations.opening import opened_store
from sightline.store.store import Store, StoreLocation

MAX_DAYS = 366.0


def rates(where: Store | StoreLocation, station: str | None = None, days: float = 30.0) -> LiveRates:
    """Escape, overkill and defects shipped over the last `days`, of all stations or of one. Raises InputError."""
    if not 0 < days <= MAX_DAYS:
        raise InputError(f"{days:g} days are not possible. Ask for more than 0 and up to {MAX_DAYS:g}")
    until = datetime.now(UTC) + timedelta(minutes=1)
    with opened_store(where) as store:
        return live_rates(store.review_figures.strata(until - timedelta(days=days), until, station))
