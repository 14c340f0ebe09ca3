"""Images by content, in a folder and on S3."""

import errno
import hashlib
import io
import os
import struct

import cv2
import numpy as np
import pytest

from sightline.core.errors import InputError, SettingError, StoreError
from sightline.store import blobs
from sightline.store import blobs as shelf_module
from sightline.store.images import SUFFIXES, Images, image_key, locate_images, thumbnail_key


def picture(seed=0, height=40, width=60, suffix=".png"):
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


@pytest.fixture
def images(place):
    return Images(place)


def test_an_image_comes_back_as_it_was(images, tmp_path):
    data = picture()
    kept = images.put(data)
    assert (kept.hash, kept.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (kept.media_type, kept.width, kept.height) == ("image/png", 60, 40)
    assert images.read(kept.hash, kept.media_type) == data
    assert images.path(kept.hash, kept.media_type).read_bytes() == data
    assert images.path(kept.hash, kept.media_type).suffix == ".png"
    jpeg = images.put(picture(1, suffix=".jpg"))
    assert images.path(jpeg.hash).suffix == ".jpg"  # its kind is not known beforehand
    assert images.read(jpeg.hash) == images.path(jpeg.hash).read_bytes() == picture(1, suffix=".jpg")
    with pytest.raises(StoreError, match="missing"):
        images.read("ab" * 32)


def test_the_same_image_is_kept_once(images):
    first, second = images.put(picture(1)), images.put(picture(1))
    assert first == second
    assert len(list(images.blobs.listed(f"images/{first.hash[:2]}"))) == 1
    assert list(images.blobs.listed(shelf_module.INCOMING)) == []


def test_the_thumbnail_is_small_and_made_again_when_it_is_gone(images):
    kept = images.put(picture(2, 600, 900))
    before = images.thumbnail(kept.hash, kept.media_type)
    assert cv2.imdecode(np.frombuffer(before, np.uint8), cv2.IMREAD_COLOR).shape == (171, 256, 3)
    images.blobs.remove(thumbnail_key(kept.hash))
    assert images.thumbnail(kept.hash, kept.media_type) == before


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp", ".ppm"])
def test_every_kind_is_known_with_its_size(tmp_path, suffix):
    kept = Images(tmp_path).put(picture(3, 1200, 1100, suffix))
    assert SUFFIXES[kept.media_type] == suffix
    assert (kept.width, kept.height) == (1100, 1200)


def test_a_turned_jpeg_has_the_size_that_is_shown(tmp_path):
    data = picture(4, 1100, 1300, ".jpg")
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    kept = Images(tmp_path).put(turned)
    assert (kept.width, kept.height) == (1100, 1300)


def test_deep_images_have_a_thumbnail(tmp_path):
    deep = (np.random.default_rng(0).integers(0, 65535, (50, 50), np.uint16), np.full((50, 50), 0.5, np.float32))
    for pixels in deep:
        data = cv2.imencode(".tif", pixels)[1].tobytes()
        kept = Images(tmp_path).put(data)
        assert Images(tmp_path).thumbnail(kept.hash, kept.media_type).startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"hello", "not a readable image"),
        (picture()[:-40], "its end is missing"),
        (picture(0, 40, 60, ".jpg")[:-40], "its end is missing"),
        (picture()[:200] + b"\0" + picture()[201:], "damaged"),
        (cv2.imencode(".jp2", np.zeros((40, 60, 3), np.uint8))[1].tobytes(), "JPEG 2000"),
        (picture()[:60] + b"\0" * 400 + picture()[460:], "damaged"),
        (b"II*\0" + b"\0" * 100, "its end is missing"),
    ],
)
def test_what_is_no_image_is_refused_by_name(images, tmp_path, data, words):
    (tmp_path / "part.png").write_bytes(data)
    with pytest.raises(InputError, match=rf"part\.png: .*{words}"):
        images.put(tmp_path / "part.png")
    assert list(images.blobs.listed(f"images/{hashlib.sha256(data).hexdigest()[:2]}")) == []


def test_a_tiff_of_300_mb_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "large.tif"
    with path.open("wb") as file:
        file.write(b"II*\0\x08\0\0\0")
        file.truncate(300_000_000)
    with pytest.raises(InputError, match=r"large\.tif: 300\.0 MB is more than the 256 MB .*SIGHTLINE_IMAGE_MB=301"):
        Images(tmp_path / "images").put(path)


def test_the_limit_is_a_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_IMAGE_MB", "0.001")
    with pytest.raises(InputError, match=r"0\.001 MB"):
        Images(tmp_path).put(picture())
    monkeypatch.setenv("SIGHTLINE_IMAGE_MB", "much")
    with pytest.raises(SettingError, match="not a number"):
        Images(tmp_path)


def test_a_small_file_that_decodes_to_gigabytes_is_refused(tmp_path):
    bomb = bytearray(picture())
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    with pytest.raises(InputError, match="Tile or shrink"):
        Images(tmp_path).put(bytes(bomb))


def test_an_altered_or_missing_image_is_noticed(images):
    kept = images.put(picture(5))
    key = image_key(kept.hash, kept.media_type)
    images.blobs.write(key, io.BytesIO(picture(6)))
    with pytest.raises(StoreError, match="altered"):
        images.read(kept.hash, kept.media_type)
    images.blobs.remove(key)
    with pytest.raises(StoreError, match="missing"):
        images.path(kept.hash, kept.media_type)
    images.blobs.remove(key)


def test_a_full_disk_is_said_and_leaves_no_half_file(tmp_path, monkeypatch):
    images = Images(tmp_path)

    def full(source, target):
        target.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shelf_module, "_copy", full)
    with pytest.raises(StoreError, match=r"No space left on device.*Free space"):
        images.put(picture())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_lost_connection_is_tried_again_and_then_said(bucket, monkeypatch):
    monkeypatch.setattr("sightline.store.blobs.FIRST_WAIT_S", 0.001)
    images = Images(bucket)
    write, failures = images.blobs._remote.open, [ConnectionError("reset"), TimeoutError("slow")]

    def unsteady(*args, **options):
        if failures:
            raise failures.pop()
        return write(*args, **options)

    monkeypatch.setattr(images.blobs._remote, "open", unsteady)
    kept = images.put(picture())
    assert images.read(kept.hash, kept.media_type) == picture()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StoreError, match=r"failed 5 times.*check the network"):
        Images(bucket, {"skip_instance_cache": True}).put(picture(1))


def test_where_the_images_are(monkeypatch, tmp_path):
    monkeypatch.delenv("SIGHTLINE_STORE", raising=False)
    assert locate_images(None, tmp_path / "parts.db") == str(tmp_path / "parts-images")
    with pytest.raises(SettingError, match="SIGHTLINE_STORE"):
        locate_images(None, None)
    monkeypatch.setenv("SIGHTLINE_STORE", "s3://parts/images")
    assert locate_images(None, None) == "s3://parts/images"


def test_new_folders_are_synced_up_to_one_that_was_there(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(shelf_module, "sync", synced.append)
    made = shelf_module.BlobStore(tmp_path / "a" / "b")
    made.write("images/00/x.png", io.BytesIO(b"x"))
    folder = tmp_path / "a" / "b" / "images" / "00"
    assert {*folder.parents[:4], folder} <= set(synced) and tmp_path in synced
    synced.clear()
    made.write("images/00/y.png", io.BytesIO(b"y"))
    assert synced == [folder]


def test_a_file_of_another_user_is_written_anew(tmp_path, monkeypatch):
    images = Images(tmp_path / "images")
    first = images.put(picture(1))

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    assert images.put(picture(1)) == first


class Torn(io.BytesIO):
    """A source that gives some bytes, and then its disk fails."""

    def read(self, size=-1):
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().read(8)


def test_a_source_that_fails_half_way_leaves_nothing_under_its_name(place, monkeypatch):
    monkeypatch.setattr(blobs, "FIRST_WAIT_S", 0.0)
    made = shelf_module.BlobStore(place)
    with pytest.raises(StoreError):
        made.write("images/00/x.png", Torn(b"x" * 100))
    assert not made.holds("images/00/x.png")
