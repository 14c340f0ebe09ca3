"""Archives of strangers stay in their folder and within their limits."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from sightline.core.errors import InputError
from sightline.operations.archive import Limits, unpack


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_whole_archive_is_unpacked(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {"good/1.png": b"one", "crack/ü.png": b"two", "empty/": b""})
    assert unpack(archive, tmp_path / "out") == 2
    assert (tmp_path / "out" / "crack" / "ü.png").read_bytes() == b"two"


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil", "a\nb"])
def test_names_that_lead_elsewhere_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / "a.zip", {"good.png": b"x", name: b"evil"})
    with pytest.raises(InputError, match="leads elsewhere"):
        unpack(archive, tmp_path / "deep" / "out")
    assert {path.name for path in tmp_path.rglob("*")} == {"a.zip"}


def test_links_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(InputError, match="holds a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_bomb_ends_before_it_fills_the_disk(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {"bomb.png": bytes(300 * 10**6)})
    assert archive.stat().st_size < 400_000
    with pytest.raises(InputError, match="which no picture does"):
        unpack(archive, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) < 100 * 10**6


def test_all_files_together_have_a_limit_and_so_has_their_number(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {f"{number}.bin": bytes(range(256)) * 40 for number in range(10)})
    with pytest.raises(InputError, match="unpacks to more"):
        unpack(archive, tmp_path / "out", Limits(total_bytes=50_000))
    with pytest.raises(InputError, match="10 files, and 9 may be"):
        unpack(archive, tmp_path / "out", Limits(files=9))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match="Send a zip archive"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    """The stream is broken and no directory says so: the decompressor finds it."""
    archive = pack(tmp_path / "a.zip", {"1.png": bytes(range(256)) * 40})
    content = bytearray(archive.read_bytes())
    content[30 + len("1.png")] |= 0b110  # the first block's kind, one that there is not
    archive.write_bytes(content)
    with pytest.raises(InputError, match="Send a zip archive"):
        unpack(archive, tmp_path / "out")
