"""Images by the hash of their bytes, each with a thumbnail beside it."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError, SettingError, StoreError
from sightline.store.header import SUFFIXES
from sightline.store.shelf import Shelf
from sightline.store.thumbnail import thumbnail

VARIABLE, CACHE, LIMIT = "SIGHTLINE_STORE", "SIGHTLINE_CACHE", "SIGHTLINE_IMAGE_MB"
LIMIT_MB = 256  # of one image file, unless SIGHTLINE_IMAGE_MB says otherwise


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image that is kept: SHA-256 of its bytes, kind, file size, width and height in px as it is shown."""

    hash: str
    media_type: str
    bytes: int
    width: int
    height: int


def locate_images(place: str | Path | None, database: Path | None) -> str:
    """Where the images are: the argument, else SIGHTLINE_STORE, else beside an SQLite file.

    Raises SettingError where a server's database is given without a place for its images.
    """
    place = place or os.environ.get(VARIABLE)
    if place:
        return str(place)
    if database is None:
        raise SettingError(f"where are the images? Give a folder or s3://BUCKET/FOLDER, or set {VARIABLE}")
    return str(database.with_name(f"{database.stem}-images"))


def image_key(hash: str, media_type: str) -> str:
    """Name of an image on the shelf."""
    return f"images/{hash[:2]}/{hash}{SUFFIXES[media_type]}"


def thumbnail_key(hash: str) -> str:
    """Name of its thumbnail."""
    return f"thumbnails/{hash[:2]}/{hash}.jpg"


class Images:
    """The images of a store, at `root`: a folder, or an s3:// address with fsspec's `options`.

    `limit_mb` is the largest file that is taken, by default SIGHTLINE_IMAGE_MB, else 256.
    """

    def __init__(self, root: str | Path, options: dict[str, Any] | None = None, limit_mb: float | None = None) -> None:
        self.shelf = Shelf(root, options)
        self.limit_mb = _limit() if limit_mb is None else limit_mb

    def put(self, source: Path | bytes, name: str = "") -> StoredImage:
        """Keep an image and its thumbnail; one that is there already is not written again.

        When this returns, the image is on the disk (or on S3). `name` is what errors call it. Raises InputError for
        what is no image, damaged or too large, StoreError where it cannot be written.
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
            if not self.shelf.renew(key):
                with path.open("rb") as file:
                    if self.shelf.write(key, file) != digest:
                        self.shelf.remove(key)
                        raise InputError(f"{name}: was changed while it was read. Add it again")
        except OSError as error:
            raise InputError(
                f"{name}: cannot be read ({error.strerror}). Check the path and its permissions"
            ) from error
        if not self.shelf.holds(thumbnail_key(digest)):
            self.shelf.write(thumbnail_key(digest), io.BytesIO(small), durable=False)  # it can be made again
        return StoredImage(digest, kind, length, width, height)

    def _check_size(self, length: int, name: str) -> None:
        if length > self.limit_mb * 1e6:
            raise InputError(
                f"{name}: {length / 1e6:.1f} MB are more than the {self.limit_mb:g} MB that one image may have. "
                f"Tile or compress it, or raise the limit in the environment: {LIMIT}={length // 1_000_000 + 1}"
            )

    def path(self, hash: str, media_type: str | None = None) -> Path:
        """The image as a local file; from S3 it is fetched once into a cache (SIGHTLINE_CACHE, else ~/.cache).

        Where its kind is known, it is found faster. Raises StoreError where it is missing, or where S3 gives other
        bytes than its name says.
        """
        if self.shelf.folder is not None:
            key = self._key(self.shelf, hash, media_type)
            if key is None or not (self.shelf.folder / key).is_file():
                raise _missing(hash, self.shelf.name)
            return self.shelf.folder / key
        cache = Shelf(os.environ.get(CACHE) or Path.home() / ".cache" / "sightline")
        assert cache.folder is not None
        key = self._key(cache, hash, media_type)
        if key is None or not cache.holds(key):
            key = self._key(self.shelf, hash, media_type)
            with io.BytesIO(self.read(hash, media_type)) as file:
                cache.write(str(key), file, durable=False)
        return cache.folder / str(key)

    def _key(self, shelf: Shelf, hash: str, media_type: str | None) -> str | None:
        """Its name; where its kind is not known, whatever name is there, or None."""
        if media_type is not None:
            return image_key(hash, media_type)
        return next((key for kind in SUFFIXES if shelf.holds(key := image_key(hash, kind))), None)

    def read(self, hash: str, media_type: str | None = None) -> bytes:
        """The image's bytes. Raises StoreError where it is missing or altered."""
        key = self._key(self.shelf, hash, media_type)
        try:
            if key is None:
                raise FileNotFoundError(hash)
            with self.shelf.open(key) as file:
                data = file.read()
        except FileNotFoundError as error:
            raise _missing(hash, self.shelf.name) from error
        if hashlib.sha256(data).hexdigest() != hash:
            raise StoreError(f"{self.shelf.name}: image {hash} was altered. Restore it from a backup")
        return data

    def thumbnail(self, hash: str, media_type: str | None = None) -> bytes:
        """JPEG of at most 256 x 256 px; made again where it is gone. Raises StoreError where the image is, too."""
        try:
            with self.shelf.open(thumbnail_key(hash)) as file:
                return file.read()
        except FileNotFoundError:
            small = thumbnail(self.path(hash, media_type), hash)[0]
            self.shelf.write(thumbnail_key(hash), io.BytesIO(small), durable=False)
            return small


def _missing(hash: str, name: str) -> StoreError:
    return StoreError(f"{name}: image {hash} is missing. Restore it from a backup; sightline store check lists all")


def _limit() -> float:
    text = os.environ.get(LIMIT) or str(LIMIT_MB)
    try:
        return float(text)
    except ValueError as error:
        raise SettingError(f"{LIMIT}={text}: is no number. Give the megabytes that one image may have") from error
