"""Images by the hash of their bytes, each proven to decode, with a thumbnail beside it."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sightline.core.errors import InputError, SettingError, StoreError
from sightline.core.files import cache_folder
from sightline.imaging.decoding import decode, read_header
from sightline.imaging.image import read_bytes
from sightline.store.blobs import BlobStore

SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/bmp": ".bmp",
    "image/tiff": ".tif",
    "image/webp": ".webp",
    "image/jp2": ".jp2",  # taken by earlier versions
    "image/x-portable-anymap": ".ppm",
}
VARIABLE, LIMIT = "SIGHTLINE_STORE", "SIGHTLINE_IMAGE_MB"
LIMIT_MB = 256  # of one image file, unless SIGHTLINE_IMAGE_MB says otherwise
SIDE_PX = 256
QUALITY = 85  # of the JPEG
LARGE_PIXELS = 25_000_000  # of these, one at a time is decoded
_LARGE = threading.Lock()


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image that is kept: SHA-256 of its bytes, kind, file size, width and height in px as it is shown."""

    hash: str
    media_type: str
    bytes: int
    width: int
    height: int


def locate_images(location: str | Path | None, database: Path | None) -> str:
    """Where the images are: the argument, else SIGHTLINE_STORE, else beside an SQLite file.

    Raises SettingError where a server's database is given without a place for its images.
    """
    location = location or os.environ.get(VARIABLE)
    if location:
        return str(location)
    if database is None:
        raise SettingError(f"where are the images? Give a folder or s3://BUCKET/FOLDER, or set {VARIABLE}")
    return str(database.with_name(f"{database.stem}-images"))


def image_key(hash: str, media_type: str) -> str:
    """Name of an image in the blob store."""
    return f"images/{hash[:2]}/{hash}{SUFFIXES[media_type]}"


def thumbnail_key(hash: str) -> str:
    """Name of its thumbnail."""
    return f"thumbnails/{hash[:2]}/{hash}.jpg"


class Images:
    """The images of a store, at `root`: a folder, or an s3:// address with fsspec's `options`.

    `limit_mb` is the largest file that is taken, by default SIGHTLINE_IMAGE_MB, else 256.
    """

    def __init__(self, root: str | Path, options: dict[str, Any] | None = None, limit_mb: float | None = None) -> None:
        self.blobs = BlobStore(root, options)
        self.limit_mb = _limit() if limit_mb is None else limit_mb

    def put(self, source: Path | bytes, name: str = "") -> StoredImage:
        """Keep an image and its thumbnail; one that is there already is not written again.

        When this returns, the image is on the disk (or on S3). `name` is what errors call it. Raises InputError for
        what is not an image, damaged or too large, StoreError where it cannot be written.
        """
        if isinstance(source, Path):
            return self._put(source, name or str(source))
        with tempfile.NamedTemporaryFile(prefix="sightline-") as file:
            file.write(source)
            file.flush()
            return self._put(Path(file.name), name or "image bytes")

    def _put(self, path: Path, name: str) -> StoredImage:
        try:
            length = path.stat().st_size
            self._check_size(length, name)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            small, kind, width, height = thumbnail(path, name)
            key = image_key(digest, kind)
            if not self.blobs.renew(key):
                with path.open("rb") as file:
                    if self.blobs.write(key, file) != digest:
                        self.blobs.remove(key)
                        raise InputError(f"{name}: was changed while it was read. Add it again")
        except OSError as error:
            raise InputError(
                f"{name}: cannot be read ({error.strerror}). Check the path and its permissions"
            ) from error
        if not self.blobs.holds(thumbnail_key(digest)):
            self.blobs.write(thumbnail_key(digest), io.BytesIO(small), durable=False)  # it can be made again
        return StoredImage(digest, kind, length, width, height)

    def _check_size(self, length: int, name: str) -> None:
        if length > self.limit_mb * 1e6:
            raise InputError(
                f"{name}: {length / 1e6:.1f} MB is more than the {self.limit_mb:g} MB that one image may have. "
                f"Tile or compress it, or raise the limit in the environment: {LIMIT}={length // 1_000_000 + 1}"
            )

    def path(self, hash: str, media_type: str | None = None) -> Path:
        """The image as a local file; from S3 it is fetched once into the cache folder.

        Where its kind is known, it is found faster. Raises StoreError where it is missing, or has other bytes than its
        name says: whoever trains on it or exports it would never know.
        """
        if self.blobs.folder is not None:
            key = self._key(self.blobs, hash, media_type)
            if key is None or not (self.blobs.folder / key).is_file():
                raise _missing(hash, self.blobs.name)
            if self.blobs.digest(key) != hash:
                raise _altered(hash, self.blobs.name)
            return self.blobs.folder / key
        cache = BlobStore(cache_folder())
        assert cache.folder is not None
        key = self._key(cache, hash, media_type)
        if key is None or not cache.holds(key):
            key = self._key(self.blobs, hash, media_type)
            with io.BytesIO(self.read(hash, media_type)) as file:
                cache.write(str(key), file, durable=False)
        return cache.folder / str(key)

    def _key(self, blobs: BlobStore, hash: str, media_type: str | None) -> str | None:
        """Its name; where its kind is not known, whatever name is there, or None."""
        if media_type is not None:
            return image_key(hash, media_type)
        return next((key for kind in SUFFIXES if blobs.holds(key := image_key(hash, kind))), None)

    def holds(self, hash: str, media_type: str | None = None) -> bool:
        """Whether the image is there; what its bytes are is not looked at."""
        if media_type is not None:
            return self.blobs.holds(image_key(hash, media_type))
        return self._key(self.blobs, hash, None) is not None

    def read(self, hash: str, media_type: str | None = None) -> bytes:
        """The image's bytes. Raises StoreError where it is missing or altered."""
        key = self._key(self.blobs, hash, media_type)
        try:
            if key is None:
                raise FileNotFoundError(hash)
            with self.blobs.open(key) as file:
                data = file.read()
        except FileNotFoundError as error:
            raise _missing(hash, self.blobs.name) from error
        if hashlib.sha256(data).hexdigest() != hash:
            raise _altered(hash, self.blobs.name)
        return data

    def thumbnail(self, hash: str, media_type: str | None = None) -> bytes:
        """JPEG of at most 256 x 256 px; made again where it is gone. Raises StoreError where the image is, too."""
        try:
            with self.blobs.open(thumbnail_key(hash)) as file:
                return file.read()
        except FileNotFoundError:
            small = thumbnail(self.path(hash, media_type), hash)[0]
            self.blobs.write(thumbnail_key(hash), io.BytesIO(small), durable=False)
            return small


def _altered(hash: str, name: str) -> StoreError:
    return StoreError(f"{name}: image {hash} was altered. Restore it from a backup; sightline store check lists all")


def _missing(hash: str, name: str) -> StoreError:
    return StoreError(f"{name}: image {hash} is missing. Restore it from a backup; sightline store check lists all")


def _limit() -> float:
    text = os.environ.get(LIMIT) or str(LIMIT_MB)
    try:
        return float(text)
    except ValueError as error:
        raise SettingError(f"{LIMIT}={text}: is not a number. Give the megabytes that one image may have") from error


def thumbnail(path: Path, name: str) -> tuple[bytes, str, int, int]:
    """JPEG of at most 256 x 256 px, and the image's media type, width and height (EXIF rotation applied).

    `name` is what errors call it. Raises InputError for what is not an image, is cut off, damaged or too large.
    """
    data = read_bytes(path)
    header = read_header(data, name)
    header.check(name)
    with _LARGE if header.height * header.width > LARGE_PIXELS else nullcontext():
        pixels, _ = decode(data, name)
        shrink = min(1.0, SIDE_PX / max(pixels.shape[:2]))
        sides = max(1, round(pixels.shape[1] * shrink)), max(1, round(pixels.shape[0] * shrink))
        small = cv2.resize(pixels, sides, interpolation=cv2.INTER_AREA) if shrink < 1 else pixels
    if small.dtype != np.uint8:  # the scale of its depth is the product's, and not known here
        small = cv2.normalize(small, np.empty_like(small), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    if small.ndim == 3 and small.shape[2] == 3:
        small = small[..., ::-1]
    done, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise InputError(f"{name}: no thumbnail could be made of it. Save it again as 8-bit PNG")
    high, wide = pixels.shape[:2]
    return encoded.tobytes(), header.kind, wide, high
