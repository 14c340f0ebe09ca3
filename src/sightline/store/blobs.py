"""Files by name in a folder or on S3: a name holds a whole file or nothing, whatever is killed when."""

from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from uuid import uuid4

from sightline.core.errors import MissingExtraError, StoreError

CHUNK = 1 << 20
INCOMING = "incoming"
TIMEOUTS = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 1}}
TRIES = 5
FIRST_WAIT_S = 0.2  # doubled after each try
HOPELESS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it lies there: its name below the root, its size in bytes, and when it was written, in s since 1970."""

    key: str
    bytes: int
    written_s: float

    @property
    def age_s(self) -> float:
        """How long ago it was written, in s."""
        return time.time() - self.written_s


class BlobStore:
    """A place for files: a folder, or an s3:// address. `options` go to fsspec, for instance `endpoint_url`.

    Raises MissingExtraError where s3fs is not installed.
    """

    def __init__(self, root: str | Path, options: dict[str, Any] | None = None) -> None:
        self.folder: Path | None = None
        if "://" not in str(root):
            self.folder = Path(root).expanduser().absolute()
            self.name = str(self.folder)
            return
        import fsspec

        options = {"config_kwargs": TIMEOUTS, "use_listings_cache": False, **(options or {})}
        try:
            self._remote, path = fsspec.core.url_to_fs(str(root), **options)
        except ImportError as error:
            raise MissingExtraError("s3fs", "s3") from error
        self.name, self._root = str(root), str(path).rstrip("/")

    def write(self, key: str, source: BinaryIO, durable: bool = True) -> str:
        """Copy a file to `key` in chunks; returns the SHA-256 of what was written. Raises StoreError.

        With `durable`, it is on the disk when this returns.
        """
        if self.folder is None:
            return patiently(lambda: self._upload(key, source), self.name)
        try:
            return self._write(self.folder, key, source, durable)
        except OSError as error:
            remedy = "Check the permissions of the folder"
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                remedy = "Free space on its disk and run the same command again; what was acknowledged is still there"
            raise StoreError(f"{self.name}: cannot be written ({error.strerror}). {remedy}") from error

    def _write(self, root: Path, key: str, source: BinaryIO, durable: bool) -> str:
        target, draft = root / key, root / INCOMING / uuid4().hex
        created = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
        for folder in (target.parent, draft.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("wb") as file:
                digest = _copy(source, file)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        if durable:
            for folder in (target.parent, *(folder.parent for folder in created)):
                sync(folder)  # the new folders' own names, too
        return digest

    def _upload(self, key: str, source: BinaryIO) -> str:
        source.seek(0)
        file = self._remote.open(f"{self._root}/{key}", "wb")  # S3 shows it once it is closed
        try:
            digest = _copy(source, file)
        except BaseException:
            file.discard()
            file.closed = True  # closing it would keep the part that was copied, under the name of the whole
            raise
        file.close()
        return digest

    def holds(self, key: str) -> bool:
        """Whether there is a file."""
        if self.folder is not None:
            return (self.folder / key).is_file()
        return bool(patiently(lambda: self._remote.exists(f"{self._root}/{key}"), self.name))

    def open(self, key: str) -> BinaryIO:
        """A file to read, closed by the caller. Raises FileNotFoundError."""
        if self.folder is not None:
            return (self.folder / key).open("rb")
        path = f"{self._root}/{key}"
        return io.BytesIO(patiently(lambda: self._remote.cat_file(path), self.name))

    def digest(self, key: str) -> str:
        """SHA-256 of a file. Raises FileNotFoundError."""
        found = hashlib.sha256()
        with self.open(key) as file:
            while chunk := file.read(CHUNK):
                found.update(chunk)
        return found.hexdigest()

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders in one folder, sorted."""
        if self.folder is not None:
            parent = self.folder / prefix
            return sorted(entry.name for entry in parent.iterdir() if entry.is_dir()) if parent.is_dir() else []
        return sorted(entry["name"].rsplit("/", 1)[-1] for entry in self._ls(prefix) if entry["type"] == "directory")

    def listed(self, prefix: str) -> Iterator[StoredFile]:
        """The files of one folder, in no order."""
        if self.folder is None:
            for entry in self._ls(prefix):
                name = entry["name"].rsplit("/", 1)[-1]
                if entry["type"] == "file" and name:
                    yield StoredFile(f"{prefix}/{name}".lstrip("/"), entry["size"], entry["LastModified"].timestamp())
        elif (self.folder / prefix).is_dir():
            for file in os.scandir(self.folder / prefix):
                if file.is_file():
                    yield StoredFile(f"{prefix}/{file.name}".lstrip("/"), file.stat().st_size, file.stat().st_mtime)

    def _ls(self, prefix: str) -> list[dict[str, Any]]:
        try:
            found = patiently(lambda: self._remote.ls(f"{self._root}/{prefix}", detail=True), self.name)
        except FileNotFoundError:
            return []
        return list(found)

    def remove(self, key: str) -> None:
        """Take a file away; one that is gone already is not an error."""
        if self.folder is not None:
            (self.folder / key).unlink(missing_ok=True)
        elif self.holds(key):
            patiently(lambda: self._remote.rm_file(f"{self._root}/{key}"), self.name)

    def age_s(self, key: str) -> float:
        """How long ago a file was written or renewed, in s; infinite where there is none."""
        try:
            if self.folder is not None:
                return time.time() - (self.folder / key).stat().st_mtime
            found = patiently(lambda: self._remote.info(f"{self._root}/{key}"), self.name)
        except FileNotFoundError:
            return math.inf
        return float(time.time() - found["LastModified"].timestamp())

    def renew(self, key: str) -> bool:
        """Whether the file is there; if so, its age begins anew, so that a check does not take it for forgotten."""
        if self.folder is None:
            path = f"{self._root}/{key}"
            if self.holds(key):
                patiently(lambda: self._remote.cp_file(path, path, MetadataDirective="REPLACE"), self.name)
                return True
            return False
        try:
            os.utime(self.folder / key)
        except (FileNotFoundError, PermissionError):  # another user's file: it is written anew
            return False
        return True


def _copy(source: BinaryIO, target: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Have a file or a folder on the disk: a new name is safe once its folder is."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def patiently(action: Callable[[], Answer], what: str) -> Answer:
    """The action's answer; a connection that fails is tried again up to five times over about 3 s.

    Raises StoreError after that, and whatever is not the connection's fault at once.
    """
    for tried in range(1, TRIES + 1):
        try:
            return action()
        except HOPELESS:
            raise
        except _connection_errors() as error:
            if tried == TRIES:
                raise StoreError(
                    f"{what}: the connection failed {TRIES} times ({error or type(error).__name__}). "
                    "What was acknowledged is kept; check the network and run the same command again"
                ) from error
            time.sleep(FIRST_WAIT_S * 2 ** (tried - 1))
    raise AssertionError("unreachable")


def _connection_errors() -> tuple[type[Exception], ...]:
    try:
        from botocore.exceptions import BotoCoreError
    except ModuleNotFoundError:
        return (OSError,)
    return (OSError, BotoCoreError)
