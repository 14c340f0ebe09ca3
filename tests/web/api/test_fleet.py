"""All stations side by side: their figures, what is wrong with them, and products compared."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

from tests.sending import part
from tests.web.conftest import Served

from sightline.cli import text_fleet
from sightline.core.result import Verdict
from sightline.operations import fleet
from sightline.runtime.recipe import Recipe
from sightline.store.entries import Entry
from sightline.store.inspections import Record
from sightline.store.senders import Head
from sightline.store.store import Store


def sent(store: Store, station: str, first: int, entries: list[Entry], **more: object) -> None:
    """A station that sends entries, from this number on."""
    head = Head(station=station, instance="one", journal="j", sent=datetime.now(UTC), version="0.1", first=first,
                through=first + len(entries) - 1)  # fmt: skip
    store.senders.take(dataclasses.replace(head, **more), list(enumerate(entries, first)))  # type: ignore[arg-type]


def plant(store: Store, hash: str, name: str = "plates") -> None:
    """Press-1 and press-2 send, press-2 with ten times as many NG parts and all its troubles; saw writes itself."""
    for station, ng in (("press-1", 4), ("press-2", 40)):
        entries = [part(n, "NG" if n < ng else "OK", station, hash) for n in range(400)]
        sent(store, station, 1, entries, running={name: hash})
    off = datetime.now(UTC) - timedelta(days=1)
    sent(store, "press-2", 451, [part(400, "REVIEW", "press-2", hash)], sent=off, waiting=12, running={name: hash})
    try:
        sent(store, "press-2", 1, [part(1)], instance="two")
    except Exception as error:
        assert "another computer" in str(error)
    records = [Record(station="saw", verdict=Verdict.OK, triggered=datetime.now(UTC), product="lids")] * 5
    store.inspections.record_many(records)


def test_every_station_is_shown_with_what_is_wrong_with_it(served: Served, recipe: Recipe, kept: str) -> None:
    store = served.store
    plant(store, kept, "plates")
    store.rollouts.begin("plates", "c" * 64, ["press-2"], 10, "eva")
    with served.client("operator") as client:
        found = client.get("/fleet")
    first, second, saw = found["stations"]
    assert [one["station"] for one in found["stations"]] == ["press-1", "press-2", "saw"]
    assert (first["parts"], first["ng"]["count"], first["waiting"], first["sends"]) == (400, 4, 0, True)
    assert first["recipes"] == [{"product": "plates", "hash": kept, "signed": False, "behind": False, "fault": ""}]
    assert second["recipes"][0]["behind"] and second["missing"] == 50 and second["waiting"] == 12 and second["other"]
    assert -86_500 < second["offset_s"] < -86_300 and second["review"]["count"] == 1
    assert (saw["parts"], saw["sends"], saw["offset_s"], saw["recipes"]) == (5, False, None, [])
    assert saw["heard"] is not None
    (product,) = found["products"]  # only what several stations have inspected
    assert product["product"] == "plates" and product["p_value"] == 1 / 2000
    assert [one["ng"]["of"] for one in product["stations"]] == [400, 401]
    text = text_fleet.stations(fleet.stations(store))
    for said in (
        "clock is 24.0 h behind",
        "50 records never came",
        "another computer tried",
        "(behind)",
        "p below 0.001",
    ):
        assert said in text


def test_an_engineer_says_that_a_computer_replaces_another(served: Served, kept: str) -> None:
    plant(served.store, kept)
    with served.client("engineer") as client:
        client.post("/stations/press-2/replace?reason=new+computer", {})
    sent(served.store, "press-2", 1, [part(900, name="press-2")], instance="two")
    assert next(one for one in served.store.senders.all() if one.station == "press-2").instance == "two"
