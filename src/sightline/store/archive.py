"""Archives from outside, unpacked with care: nothing leads out of the folder, nothing grows without bound."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from sightline.core.errors import InputError

CHUNK = 1 << 20
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
MOST_ENTRIES = 1_000_000  # of a tar, whose folders cost memory, too
HEADER = 4 << 20  # bytes that the names and notes before a file may have
PACKERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
SMALL = 1 << 20  # bytes below which a high ratio harms nobody


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold: files, MB in all when unpacked, and how many times its own size."""

    members: int = 200_000
    total_mb: int = 50_000
    ratio: float = 200.0


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    file: IO[bytes]


class _Sparing:
    """A stream that is read in small pieces only: tarfile reads names and headers at whatever size they claim."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= HEADER:
            raise InputError(f"the archive has a header of {size:,} bytes. Do not trust it; pack it again")
        data: bytes = self._stream.read(size)
        return data


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> int:
    """Unpack the files of a zip or tar archive below the new or empty folder; returns how many there were.

    Sizes are counted while unpacking, whatever the archive says of itself. Links and devices are refused, as are names
    that lead out. Raises InputError with the reason; nothing is left behind then.
    """
    limits = limits or Limits()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is in use. Name a new or an empty folder")
    try:
        room = min(limits.total_mb * 1_000_000, max(SMALL, int(archive.stat().st_size * limits.ratio)))
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        desk = tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.absolute().parent)
        with desk as place, closing(_members(archive)) as members:
            draft = Path(place) / "draft"
            draft.mkdir()
            count = _unpack(archive, members, draft, room, limits.members)
            if folder.exists():
                folder.rmdir()
            draft.rename(folder)
            return count
    except (*DAMAGED, OSError) as error:
        raise InputError(f"{archive}: cannot be unpacked ({error}). Pack it again as zip or tar.gz") from error


def _unpack(archive: Path, members: Iterator[_Member], draft: Path, room: int, most: int) -> int:
    count = 0
    for count, member in enumerate(members, start=1):
        if count > most:
            raise InputError(f"{archive}: holds more than {most} files. Split it")
        target = draft / _safe(archive, member.name)
        if target.exists():
            raise InputError(f"{archive}: holds '{member.name}' twice. Pack it again")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            while chunk := member.file.read(CHUNK):
                room -= len(chunk)
                if room < 0:
                    raise InputError(f"{archive}: unpacks to far more than its size allows. Split it, if it is honest")
                file.write(chunk)
    return count


def _members(archive: Path) -> Generator[_Member, None, None]:
    return _of_zip(archive) if zipfile.is_zipfile(archive) else _of_tar(archive)


def _of_zip(archive: Path) -> Generator[_Member, None, None]:
    with zipfile.ZipFile(archive) as package:
        for entry in package.infolist():
            if (entry.external_attr >> 16) & 0o170000 == 0o120000:
                raise InputError(f"{archive}: '{entry.filename}' is a link. Pack the file itself")
            if not entry.is_dir():
                with package.open(entry) as file:
                    yield _Member(entry.filename, file)


def _of_tar(archive: Path) -> Generator[_Member, None, None]:
    with archive.open("rb") as head:
        first = head.read(6)
    way = next((way for sign, way in PACKERS.items() if first.startswith(sign)), open)
    with way(archive, "rb") as stream, tarfile.TarFile(fileobj=cast(Any, _Sparing(stream))) as package:
        for number, entry in enumerate(package):
            if number >= MOST_ENTRIES:
                raise InputError(f"{archive}: holds more than {MOST_ENTRIES} files and folders. Split it")
            if entry.isdir():
                continue
            file = package.extractfile(entry) if entry.isfile() else None
            if file is None:
                raise InputError(f"{archive}: '{entry.name}' is a link or a device. Pack the file itself")
            with file:
                yield _Member(entry.name, file)


def _safe(archive: Path, name: str) -> Path:
    """The name as a path that stays inside, whatever system it was made for."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0] or "\0" in name:
        raise InputError(f"{archive}: '{name}' leads out of the folder. Do not trust this archive; pack it again")
    return Path(*path.parts)
