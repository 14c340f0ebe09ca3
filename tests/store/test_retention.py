"""Old pictures go, the least valuable first; what people or versions need stays."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sightline.core.result import Verdict
from sightline.store import retention
from sightline.store.annotations import Annotation
from sightline.store.book import Page
from sightline.store.inspections import Record
from sightline.store.retention import Cleared, Origin, clear, collect, collected_bytes
from sightline.store.store import Store
from sightline.store.tables.labels import SampleRow
from sightline.store.tables.line import ReviewRow

TODAY = datetime.now(UTC)


def picture(number: int) -> bytes:
    image = np.random.default_rng(number).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    return bytes(cv2.imencode(".png", image)[1].tobytes())


def age(store: Store, digest: str) -> None:
    """As if the file had been on the shelf for two hours."""
    then = TODAY.timestamp() - 7200
    os.utime(store.images.path(digest), (then, then))


def keep(store: Store, number: int, verdict: Verdict, days_old: float) -> int:
    image = store.images.put(picture(number), str(number))
    origin = Origin(
        product="cap", name=f"{number}.png", reason="every", verdict=str(verdict), station="s",
        triggered=TODAY - timedelta(days=days_old),
    )  # fmt: skip
    collect(store.database, image, origin)
    collect(store.database, image, origin)  # delivered twice
    age(store, image.hash)
    with store.reading() as session:
        return int(session.query(SampleRow.id).filter_by(name=f"{number}.png").one()[0])


def count(store: Store) -> int:
    return len(list(store.samples("cap")))


def test_pictures_go_by_age_and_verdict(store: Store) -> None:
    for number, (verdict, days) in enumerate(
        [(Verdict.OK, 1), (Verdict.OK, 40), (Verdict.REVIEW, 40), (Verdict.NG, 400), (Verdict.NG, 800)]
    ):
        keep(store, number, verdict, days)
    before = collected_bytes(store.database)
    done = clear(store.database, store.images)
    assert done.pictures == 2 and before - collected_bytes(store.database) == done.bytes
    assert count(store) == 3 and store.check().ok


def test_where_the_disk_is_short_ok_goes_first_and_the_oldest_of_them(store: Store) -> None:
    keep(store, 0, Verdict.NG, 20)
    keep(store, 1, Verdict.OK, 3)
    keep(store, 2, Verdict.OK, 9)
    sizes = collected_bytes(store.database)
    done = clear(store.database, store.images, most_bytes=sizes - 10)
    assert done.pictures == 1
    with store.reading() as session:
        assert {row.name for row in session.query(SampleRow).filter_by(product="cap")} == {"0.png", "1.png"}
    assert clear(store.database, store.images, most_bytes=0).pictures == 2
    assert store.check().ok


def test_what_people_or_versions_need_stays(store: Store) -> None:
    labelled = keep(store, 0, Verdict.OK, 999)
    store.annotations.add(labelled, Annotation(label="good", author="ann"))
    assert clear(store.database, store.images, most_bytes=0) == Cleared()
    keep(store, 1, Verdict.OK, 999)
    store.versions.snapshot("cap", author="ann")
    keep(store, 2, Verdict.OK, 999)
    assert clear(store.database, store.images, most_bytes=0).pictures == 1
    assert count(store) == 2


def test_imported_images_are_never_cleared(store: Store, tmp_path: Path) -> None:
    from sightline.core.sample import Sample

    (tmp_path / "a.png").write_bytes(picture(7))
    store.add([Sample(tmp_path / "a.png", False)], "cap")
    assert clear(store.database, store.images, dict.fromkeys(Verdict, 0.0), most_bytes=0) == Cleared()


def test_an_inspection_forgets_a_picture_that_is_gone(store: Store) -> None:
    keep(store, 0, Verdict.OK, 999)
    digest = store.images.put(picture(0), "0").hash
    age(store, digest)
    store.inspections.record(Record(station="s", verdict=Verdict.OK, triggered=TODAY, image_hash=digest))
    clear(store.database, store.images)
    assert store.inspections.page()[0].image_hash is None


@pytest.mark.parametrize("verdict", list(Verdict))
def test_nothing_goes_before_its_time(store: Store, verdict: Verdict) -> None:
    keep(store, 0, verdict, 29)
    assert clear(store.database, store.images) == Cleared()


def test_what_a_person_is_asked_about_stays_by_its_inspection_too(store: Store) -> None:
    numbers = [keep(store, number, Verdict.OK, 999) for number in range(3)]
    with store.reading() as session:
        digest = session.get_one(SampleRow, numbers[0]).hash
    seen = Record(station="s", verdict=Verdict.OK, triggered=TODAY, image_hash=digest)
    inspection = store.inspections.record(seen)
    with store.writing() as session:
        session.add(ReviewRow(inspection_id=inspection, reason="doubtful", created=TODAY))
    assert clear(store.database, store.images, most_bytes=0).pictures == 2
    assert count(store) == 1


def test_what_the_defect_book_shows_stays(store: Store) -> None:
    numbers = [keep(store, number, Verdict.OK, 999) for number in range(2)]
    store.book.write(Page(product="cap", name="crack", borderline=(numbers[1],)), "ann")
    assert clear(store.database, store.images, most_bytes=0).pictures == 1
    assert store.catalogue.products() == {"cap": 1}


def test_what_is_labelled_at_the_last_moment_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    number = keep(store, 0, Verdict.OK, 999)
    remove = retention._remove

    def late(*given: Any) -> Any:
        store.annotations.add(number, Annotation(label="good", author="ann"))
        return remove(*given)

    monkeypatch.setattr(retention, "_remove", late)
    assert clear(store.database, store.images) == Cleared()
    assert count(store) == 1 and store.check().ok


def test_a_file_that_somebody_adds_again_just_now_stays(store: Store) -> None:
    keep(store, 0, Verdict.OK, 999)
    store.images.put(picture(0), "0")  # its row is on its way
    assert clear(store.database, store.images) == Cleared()


def test_a_collected_sample_that_a_person_adds_is_not_cleared(store: Store, tmp_path: Path) -> None:
    keep(store, 0, Verdict.OK, 999)
    store.add(list(store.samples("cap", folder=tmp_path / "out")), "lab")
    assert next(store.samples("lab")).metadata["once collected"] == "every"
    clear(store.database, store.images, dict.fromkeys(Verdict, 0.0), most_bytes=0, grace_s=0)
    assert store.catalogue.products() == {"lab": 1}
