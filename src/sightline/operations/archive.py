"""Archives of strangers: unpacked into a folder, within limits, and never beside it."""

from __future__ import annotations

import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sightline.core.errors import InputError
from sightline.core.progress import Progress, unwatched

CHUNK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Most files, most bytes of all of them together, and how many times larger than packed a file may be."""

    files: int = 200_000
    total_bytes: int = 64 * 10**9
    ratio: float = 200.0


def unpack(archive: Path, folder: Path, limits: Limits | None = None, progress: Progress = unwatched) -> int:
    """Unpack a zip archive; how many files. What its directory claims is not believed: bytes are counted as they come.

    Raises InputError for what is not a zip archive, is damaged or encrypted, names a place outside of `folder`, holds
    links, or is larger than `limits`. What was unpacked until then stays.
    """
    limits = limits or Limits()
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            if len(entries) > limits.files:
                raise InputError(f"the archive holds {len(entries)} files, and {limits.files} may be. Split it")
            targets = [_target(folder, entry) for entry in entries]
            left = limits.total_bytes
            for number, (entry, target) in enumerate(zip(entries, targets, strict=True), start=1):
                left -= _write(opened, entry, target, left, limits)
                progress("unpacking", number, len(entries))
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeError, NotImplementedError, RuntimeError) as error:
        # zipfile's own ways to say: no archive, damaged, cut off, names of no encoding, a method it lacks, a password.
        raise InputError(f"the archive cannot be read ({error}). Send a zip archive without a password") from error
    return len(entries)


def _target(folder: Path, entry: zipfile.ZipInfo) -> Path:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in entry.filename or not entry.filename.isprintable():
        raise InputError(f"the archive names {entry.filename!r}, which leads elsewhere. Pack it anew, from its folder")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise InputError(f"the archive holds a link, {entry.filename!r}. Pack the files themselves")
    return folder / name


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int, limits: Limits) -> int:
    most = min(left, int(limits.ratio * max(entry.compress_size, 1024)))
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(entry) as source, target.open("wb") as file:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > most:
                raise InputError(
                    f"{entry.filename}: unpacks to more than {most / 1e6:.0f} MB, which no picture does. Leave it out, "
                    "or split the archive"
                )
            file.write(chunk)
    return written
