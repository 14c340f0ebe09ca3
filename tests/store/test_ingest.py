"""Samples into the store: nothing twice, nothing lost, whatever fails."""

import errno
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

from sightline.core.errors import InputError, StoreError
from sightline.core.region import Rectangle, Region, Runs
from sightline.core.sample import Sample
from sightline.store import blobs
from sightline.store.images import Images
from sightline.store.store import Store
from sightline.store.tables.labels import SampleRow


def same(given, found):
    """A sample as it went in, but for where its file lies."""
    assert found.path.read_bytes() == given.path.read_bytes()
    assert (found.mask is None) == (given.mask is None)
    if given.mask is not None:
        assert found.mask.read_bytes() == given.mask.read_bytes()
    assert replace(found, path=given.path, mask=given.mask, metadata={}) == replace(given, metadata={})
    assert dict(found.metadata) == dict(given.metadata)


def test_samples_come_back_as_they_went_in(database, place, make_parts, tmp_path):
    samples = make_parts(tmp_path / "parts", 12)
    mask = tmp_path / "mask.png"
    mask.write_bytes(cv2.imencode(".png", np.eye(32, 48, dtype=np.uint8) * 255)[1].tobytes())
    samples[4] = replace(samples[4], regions=(), mask=mask, grade=3, group="g")
    samples[5] = replace(samples[5], defective=None, split=None, lot=None)
    samples[9] = replace(samples[9], regions=(Region("crack", Runs.of(np.eye(32, 48) > 0)),))
    seen = []
    with Store.open(database("open"), place) as store:
        result = store.add(samples, "plates", progress=lambda *step: seen.append(step))
        assert (result.added, result.present, result.refused, seen[-1]) == (12, 0, 0, ("adding", 12, 12))
        found = sorted(store.samples("plates"), key=lambda sample: int(sample.metadata["serial"][1:]))
        for one, other in zip(samples, found, strict=True):
            same(one, other)
        with store.reading() as session:
            row = session.query(SampleRow).filter_by(name="part-4.png").one()
        assert (row.width, row.height, row.media_type, row.serial, row.exposure_us) == (
            48,
            32,
            "image/png",
            "S4",
            350.5,
        )


def test_a_second_run_adds_what_is_new(store, add):
    assert add(store, 8).added == 8
    again = add(store, 10)
    assert (again.added, again.present) == (2, 8)
    assert store.catalogue.products() == {"plates": 10}


def test_an_image_that_was_lost_comes_back_with_a_second_run(store, add):
    add(store, 2)
    lost = next(store.samples("plates")).path
    lost.unlink()
    add(store, 2)
    assert lost.is_file()
    assert store.catalogue.products() == {"plates": 2}


def test_names_are_relative_to_the_root(store, make_parts, tmp_path):
    samples = make_parts(tmp_path / "line" / "good", 1) + make_parts(tmp_path / "line" / "bad", 1)
    store.add(samples, "plates", root=tmp_path / "line")
    with store.reading() as session:
        assert {name for (name,) in session.query(SampleRow.name)} == {"good/part-0.png", "bad/part-0.png"}
    assert len({sample.path for sample in store.samples("plates")}) == 1  # one image, kept once
    named = {sample.path for sample in store.samples("plates", folder=tmp_path / "out")}
    assert named == {tmp_path / "out/good/part-0.png", tmp_path / "out/bad/part-0.png"}


def test_what_cannot_be_read_is_named_and_the_rest_goes_in(store, make_parts, tmp_path):
    samples = make_parts(tmp_path, 6)
    samples[1].path.write_bytes(b"")
    samples[2].path.unlink()
    samples[3].path.write_bytes(b"no image")
    samples.append(Sample(tmp_path, defective=False))
    result = store.add(samples, "plates")
    assert (result.added, result.refused) == (3, 4)
    for name in ("part-1.png", "part-2.png", "part-3.png", str(tmp_path)):
        assert any(name in error for error in result.errors)


def test_two_writers_at_once_lose_and_double_nothing(database, make_parts, tmp_path):
    url, samples, errors = database("open"), make_parts(tmp_path / "parts", 150), []

    def work(order):
        try:
            with Store.open(url, tmp_path / "images") as store:
                store.add(order, "plates")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(order,)) for order in (samples, samples[::-1], samples[40:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with Store.open(url, tmp_path / "images") as store:
        assert store.catalogue.products() == {"plates": 150}
        found = sorted(store.samples("plates"), key=lambda sample: int(sample.metadata["serial"][1:]))
        for one, other in zip(samples, found, strict=True):
            same(one, other)


def test_a_full_disk_loses_nothing_that_was_acknowledged(store, add, monkeypatch):
    add(store, 100)
    copy, left = blobs._copy, [70]

    def filling(source, target):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return copy(source, target)

    monkeypatch.setattr(blobs, "_copy", filling)
    with pytest.raises(StoreError, match="Free space"):
        add(store, 300)
    assert store.catalogue.products()["plates"] >= 100
    for sample in store.samples("plates"):
        assert sample.path.is_file()
    monkeypatch.setattr(blobs, "_copy", copy)
    add(store, 300)
    assert store.catalogue.products() == {"plates": 300}


def test_a_connection_lost_on_the_way_goes_on_with_a_second_run(database, bucket, make_parts, tmp_path, monkeypatch):
    monkeypatch.setattr("sightline.store.blobs.FIRST_WAIT_S", 0.001)
    with Store.open(database("open"), bucket) as store:
        remote, left = store.images.blobs._remote, [25]
        write = remote.open

        def lost(*args, **options):
            left[0] -= 1
            if left[0] < 0:
                raise ConnectionError("reset by peer")
            return write(*args, **options)

        monkeypatch.setattr(remote, "open", lost)
        with pytest.raises(StoreError, match="run the same command again"):
            store.add(make_parts(tmp_path / "parts", 30), "plates")
        monkeypatch.setattr(remote, "open", write)
        assert store.add(make_parts(tmp_path / "parts", 30), "plates").refused == 0
        assert sum(1 for sample in store.samples("plates") if sample.path.is_file()) == 30


def test_memory_is_bounded(store, make_parts, tmp_path, monkeypatch):
    """The samples are taken as they are needed: a few batches ahead, not all."""
    monkeypatch.setattr("sightline.store.ingest.BATCH", 4)
    taken, ahead = 0, 0

    def endless():
        nonlocal taken
        for sample in make_parts(tmp_path, 40):
            taken += 1
            yield sample

    def watch(stage, done, of):
        nonlocal ahead
        ahead = max(ahead, taken - done)

    store.add(endless(), "plates", progress=watch)
    assert ahead <= 12


def test_a_product_needs_a_name(store):
    with pytest.raises(InputError, match="need a product"):
        store.add([], " ")


def test_a_mask_of_another_kind_is_kept_as_png(tmp_path, store, make_parts):
    sample = make_parts(tmp_path, 5)[4]
    mask = tmp_path / "mask.bmp"
    pixels = np.eye(32, 48, dtype=np.uint8) * 255
    mask.write_bytes(cv2.imencode(".bmp", pixels)[1].tobytes())
    store.add([replace(sample, mask=mask, regions=())], "plates")
    (found,) = store.samples("plates")
    assert np.array_equal(cv2.imread(str(found.mask), cv2.IMREAD_UNCHANGED), pixels)


def test_marks_of_a_good_part_are_not_kept(tmp_path, store, make_parts):
    sample = replace(make_parts(tmp_path, 1)[0], regions=(Region("crack", Rectangle(0, 0, 2, 2)),))
    store.add([sample], "plates")
    (found,) = store.samples("plates")
    assert (found.defective, found.regions) == (False, ())


def test_images_are_there_before_their_rows(store, add, monkeypatch):
    """Whatever stops an ingest, no row names an image that is not there."""
    put, seen = Images._put, []

    def checked(self, path, name):
        kept = put(self, path, name)
        with store.reading() as session:
            seen.append(session.query(SampleRow).filter_by(hash=kept.hash).count())
        return kept

    monkeypatch.setattr(Images, "_put", checked)
    add(store, 5)
    assert seen == [0] * 5


def test_a_mask_that_was_lost_comes_back_with_a_second_run(tmp_path, store, make_parts):
    mask = tmp_path / "mask.png"
    mask.write_bytes(cv2.imencode(".png", np.full((32, 48), 255, np.uint8))[1].tobytes())
    part = replace(make_parts(tmp_path / "parts", 1)[0], defective=True, types=("crack",), mask=mask)
    store.add([part], "plates")
    store.images.path(store.annotations.history(1)[-1].mask_hash).unlink()
    assert store.add([part], "plates").added == 0
    assert store.check(grace_s=0).ok


def test_a_mark_without_area_is_refused_and_the_product_stays_readable(tmp_path, store, make_parts):
    parts = make_parts(tmp_path / "parts", 2)
    flat = replace(parts[0], defective=True, regions=(Region("crack", Rectangle(1, 2, 0, 5)),))
    done = store.add([flat, parts[1]], "plates")
    assert (done.added, done.refused) == (1, 1) and "has no area" in done.errors[0]
    assert len(list(store.samples("plates"))) == 1


def test_a_product_cannot_be_called_like_a_version(store, add, make_parts, tmp_path):
    add(store, 4)
    store.versions.snapshot("plates")
    with pytest.raises(InputError, match="the name of a version"):
        store.add(make_parts(tmp_path / "more", 1, first=9), "plates@1")


def test_samples_that_are_hidden_are_said_to_be(store, add):
    add(store, 4)
    store.catalogue.delete([1, 2], "ann")
    done = add(store, 4)
    assert (done.added, done.present, done.hidden) == (0, 4, 2)
    assert store.catalogue.products() == {"plates": 2}
