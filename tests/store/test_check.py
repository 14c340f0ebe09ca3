"""A check finds what is missing, altered or orphaned, and repairs only what nobody needs."""

import io
import os
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from sightline.core.result import Verdict
from sightline.store.blobs import INCOMING
from sightline.store.images import image_key
from sightline.store.inspections import Record
from sightline.store.store import Store
from sightline.store.tables.base import now


@pytest.fixture
def placed(database, place, add):
    with Store.open(database("open"), place) as store:
        add(store, 4)
        yield store


def test_a_whole_store_is_whole(placed):
    found = placed.check(grace_s=0)
    assert (found.ok, found.images, found.orphaned) == (True, 4, ())


def test_missing_altered_and_orphaned_images_are_named(placed):
    blobs = placed.images.blobs
    first, second = [sample.path.stem for sample in placed.samples("plates")][:2]
    blobs.remove(image_key(first, "image/png"))
    blobs.write(image_key(second, "image/png"), io.BytesIO(b"other bytes"))
    orphan = image_key("ab" * 32, "image/png")
    blobs.write(orphan, io.BytesIO(b"nobody's"))
    repaired = placed.check(repair=True, grace_s=-1)
    assert (repaired.ok, repaired.orphaned) == (False, (orphan,))
    assert (repaired.missing, repaired.altered) == ((first,), (second,))
    assert not blobs.holds(orphan)
    assert blobs.holds(image_key(second, "image/png"))  # a row names it: never removed


def test_a_check_without_repair_changes_nothing(store):
    orphan = image_key("ab" * 32, "image/png")
    store.images.blobs.write(orphan, io.BytesIO(b"nobody's"))
    assert store.check(grace_s=0).to_json()["orphaned"] == [orphan]
    assert store.images.blobs.holds(orphan)
    assert store.check(repair=True, grace_s=0).ok
    assert store.check(grace_s=0).orphaned == ()


def test_masks_and_images_of_inspections_are_no_orphans(store, make_parts, tmp_path):
    sample = make_parts(tmp_path / "parts", 5)[4]
    mask = tmp_path / "mask.png"
    mask.write_bytes(cv2.imencode(".png", np.eye(32, 48, dtype=np.uint8))[1].tobytes())
    store.add([replace(sample, mask=mask)], "plates")
    kept = store.images.put(make_parts(tmp_path / "parts", 1)[0].path)
    store.inspections.record(Record(station="a", verdict=Verdict.NG, triggered=now(), image_hash=kept.hash))
    found = store.check(grace_s=0)
    assert (found.ok, found.images, found.orphaned) == (True, 3, ())


def test_a_young_image_is_left_since_its_row_may_be_on_its_way(store, make_parts, tmp_path):
    kept = store.images.put(make_parts(tmp_path / "parts", 1)[0].path)
    assert store.check(repair=True).orphaned == ()
    path = store.images.path(kept.hash, kept.media_type)
    hours_ago = time.time() - 7200
    os.utime(path, (hours_ago, hours_ago))
    assert store.check().orphaned == (image_key(kept.hash, kept.media_type),)
    store.images.put(tmp_path / "parts" / "part-0.png")  # added anew: young again
    assert store.check(repair=True).orphaned == ()
    assert path.is_file()


def test_what_a_kill_has_left_half_written_is_removed(store):
    draft = store.images.blobs.folder / INCOMING / "half"
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b"half an ima")
    assert store.check(repair=True, grace_s=0).orphaned == (f"{INCOMING}/half",)
    assert not draft.exists()
