"""Improvement without anybody asking for it: after so many labels, so many days, or an alarm."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

from sightline.core.errors import InputError
from sightline.operations.opening import author as whoever
from sightline.operations.opening import opened_store
from sightline.operations.repeating import repeat
from sightline.store.jobs import QUEUED, RUNNING, Job
from sightline.store.schedules import News, Schedule
from sightline.store.store import Store, StoreLocation

EVERY_S = 60.0  # between two looks
KIND = "improve"
LOG = logging.getLogger("sightline.schedules")


def schedule(
    where: Store | StoreLocation,
    product: str | None = None,
    labels: int | None = None,
    days: float | None = None,
    drift: bool = False,
    off: bool = False,
    author: str = "",
) -> tuple[Schedule, ...]:
    """All schedules, after that of a product was set, or with `off` removed. Raises InputError, NotFoundError."""
    with opened_store(where) as store:
        if product is not None and off:
            store.schedules.remove(product, author or whoever())
        elif product is not None and (labels is not None or days is not None or drift):
            if product not in store.catalogue.products():
                raise InputError(f"there is no product {product} in the store. Write its name as the app shows it")
            store.schedules.put(product, labels, days, drift, author or whoever())
        return store.schedules.page()


def follow(store: Store, stopping: threading.Event) -> None:
    """Ask for what is due until `stopping` is set. A store that cannot be used is waited for."""
    repeat(ask, store, EVERY_S, stopping, LOG, "schedules are not looked at")


def ask(store: Store, now: datetime | None = None) -> tuple[Job, ...]:
    """Add a job for each product whose improvement is due and not under way."""
    busy = {
        job.arguments.get("product") for state in (QUEUED, RUNNING) for job in store.jobs.page(state, KIND, limit=500)
    }
    added = []
    for one in store.schedules.page():
        why = due(one, store.schedules.news(one), now or datetime.now(UTC))
        if not why or one.product in busy or not store.schedules.begin(one.product, one.begun):
            continue
        added.append(store.jobs.add(KIND, {"kind": KIND, "product": one.product}, one.author, why))
        LOG.info("%s is improved: %s", one.product, why)
    return tuple(added)


def due(one: Schedule, news: News, now: datetime) -> str:
    """Why a product's recipe is to be improved now; "" where it is not. Without a new label nothing can be learned."""
    if not news.labelled:
        return ""
    if one.labels is not None and news.labelled >= one.labels:
        return f"{news.labelled} parts were labelled"
    if one.drift and news.alarms:
        return f"an alarm was raised ({', '.join(dict.fromkeys(news.alarms))}), and {news.labelled} parts were labelled"
    if one.days is not None and now - one.begun >= timedelta(days=one.days):
        return f"{one.days:g} days are over, and {news.labelled} parts were labelled"
    return ""
