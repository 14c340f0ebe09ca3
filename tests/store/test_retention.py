"""Old pictures go, the least valuable first; what people or versions need stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightline.core.band import Verdict
from sightline.store.annotations import Annotation
from sightline.store.collected import Origin, collect
from sightline.store.record import Record
from sightline.store.retention import Cleared, clear, collected_bytes
from sightline.store.store import Store
from sightline.store.tables.samples import SampleRow

TODAY = datetime.now(UTC)


def picture(number: int) -> bytes:
    image = np.random.default_rng(number).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    return bytes(cv2.imencode(".png", image)[1].tobytes())


def keep(store: Store, number: int, verdict: Verdict, days_old: float) -> int:
    image = store.images.put(picture(number), str(number))
    origin = Origin(
        product="cap", name=f"{number}.png", reason="every", verdict=str(verdict), station="s",
        triggered=TODAY - timedelta(days=days_old),
    )  # fmt: skip
    collect(store.database, image, origin)
    collect(store.database, image, origin)  # delivered twice
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
    store.inspections.record(Record(station="s", verdict=Verdict.OK, triggered=TODAY, image_hash=digest))
    clear(store.database, store.images)
    assert store.inspections.page()[0].image_hash is None


@pytest.mark.parametrize("verdict", list(Verdict))
def test_nothing_goes_before_its_time(store: Store, verdict: Verdict) -> None:
    keep(store, 0, verdict, 29)
    assert clear(store.database, store.images) == Cleared()
