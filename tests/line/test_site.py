"""A station at work whose records and pictures go to a site: what the site has is what the station has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.sending import join, until
from tests.web.conftest import running

from sightline.core.result import Verdict
from sightline.store.inspections import Filter, Record
from sightline.store.store import Store


def told(store: Store) -> list[Record]:
    """All records, but for the store's own number and clock; the oldest first."""
    found = store.inspections.recorded_after(0, 1000)
    return [replace(one, id=None, received=None) for one in found]


def test_what_a_station_records_and_keeps_is_at_the_site(
    tmp_path: Path, bench: Callable[..., Any], monkeypatch: Any
) -> None:
    with Store.open(tmp_path / "site.db") as store, running(store, tmp_path) as served:
        monkeypatch.setenv("SITE_TOKEN", join(store))
        site = {"url": served.url, "token": {"env": "SITE_TOKEN"}, "every_s": 0.1}
        with bench(site=site, repeat_s=0, review_ng=1.0) as one:
            assert one.devices.faults() == []
            verdicts = [one.inspect(f"p{number}").verdict for number in range(6)]
            assert Verdict.NG in verdicts
            one.until(lambda: one.devices.recorder.waiting == 0 and one.devices.forwarder.waiting == 0)
            until(lambda: any(part.image_hash for part in store.inspections.page(Filter(verdicts=(Verdict.NG,)))))
            with Store.open(one.settings.folder / "sightline.db") as own:
                one.until(lambda: told(own) == told(store))
                (part,) = own.inspections.page(Filter(verdicts=(Verdict.NG,)), limit=1)
                assert store.images.read(part.image_hash) == own.images.read(part.image_hash)
                name = [f"desk/{part.key}-view0.png"]
                mine, theirs = (one.parts.pictures("plates", name, None)[0] for one in (own, store))
                assert (mine.hash, mine.details) == (theirs.hash, theirs.details)
            assert store.embeddings.similar(part.image_hash) == ()  # it is known, and like no other
            assert len(store.reviews.page("open")) >= 1
            hashes = set(one.devices.worker.hashes.values())
        (sender,) = store.senders.all()
        assert set(sender.running.values()) == hashes and abs(sender.offset_s) < 60
