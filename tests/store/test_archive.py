"""Archives from outside: unpacked as they are, or refused with nothing left behind."""

import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest

from sightline.core.errors import InputError
from sightline.store import archive as archive_module
from sightline.store.archive import Limits, unpack


def make_zip(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in entries:
            package.writestr(name, data)
    return path


def make_tar(path, entries):
    with tarfile.open(path, "w:gz") as package:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            package.addfile(info, io.BytesIO(data))
    return path


MAKE = {"zip": make_zip, "tar": make_tar}


@pytest.fixture(params=MAKE)
def pack(request, tmp_path):
    return lambda entries: MAKE[request.param](tmp_path / f"upload.{request.param}", entries)


def left(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("upload"))


def test_files_come_out_as_they_went_in(pack, tmp_path):
    entries = [("good/1.png", b"one"), ("bad/crack/2.png", b"two" * 1000)]
    assert unpack(pack(entries), tmp_path / "out") == 2
    for name, data in entries:
        assert (tmp_path / "out" / name).read_bytes() == data


@pytest.mark.parametrize(
    "name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png", "a\\..\\..\\evil.png"]
)
def test_a_name_that_leads_out_is_refused(pack, tmp_path, name):
    with pytest.raises(InputError, match="leads out"):
        unpack(pack([("1.png", b"one"), (name, b"evil")]), tmp_path / "out")
    assert left(tmp_path) == []


def test_a_bomb_is_stopped_while_it_unpacks(pack, tmp_path):
    bomb = pack([(f"{number}.png", b"\0" * 40_000_000) for number in range(2)])
    assert bomb.stat().st_size < 200_000
    with pytest.raises(InputError, match="far more than its size"):
        unpack(bomb, tmp_path / "out")
    assert left(tmp_path) == []


def test_there_are_limits_for_size_and_number(pack, tmp_path):
    archive = pack([(f"{number}.png", bytes(range(256)) * 4000) for number in range(4)])
    with pytest.raises(InputError, match="more than 3 files"):
        unpack(archive, tmp_path / "out", Limits(members=3))
    with pytest.raises(InputError, match="far more"):
        unpack(archive, tmp_path / "out", Limits(total_mb=2))
    assert left(tmp_path) == []
    assert unpack(archive, tmp_path / "out", Limits(members=4, total_mb=5, ratio=2000)) == 4


def test_a_size_that_lies_does_not_help_a_bomb(tmp_path):
    archive = make_zip(tmp_path / "upload.zip", [("1.png", b"\0" * 30_000_000)])
    data = archive.read_bytes()
    archive.write_bytes(data.replace((30_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(InputError):
        unpack(archive, tmp_path / "out")
    assert left(tmp_path) == []


def test_links_are_refused(tmp_path):
    with tarfile.open(tmp_path / "upload.tar", "w") as package:
        info = tarfile.TarInfo("link.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        package.addfile(info)
    with pytest.raises(InputError, match="is a link"):
        unpack(tmp_path / "upload.tar", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "upload.zip", "w") as package:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        package.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="is a link"):
        unpack(tmp_path / "upload.zip", tmp_path / "out")
    assert left(tmp_path) == []


@pytest.mark.parametrize("damage", [lambda d: b"", lambda d: b"hello", lambda d: d[:-30], lambda d: d[:60] + d[90:]])
def test_what_is_damaged_is_refused(pack, tmp_path, damage):
    archive = pack([("1.png", bytes(range(256)) * 50), ("2.png", b"two" * 999)])
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(InputError):
        unpack(archive, tmp_path / "out")
    assert left(tmp_path) == []


def test_a_folder_in_use_is_left_alone(pack, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="in use"):
        unpack(pack([("1.png", b"one")]), tmp_path / "out")
    assert left(tmp_path / "out") == ["mine.txt"]


def test_a_tar_header_that_claims_to_be_large_takes_no_memory(tmp_path):
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 64 << 20
    archive = tmp_path / "bomb.tar.gz"
    with gzip.open(archive, "wb") as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(64):
            file.write(bytes(1 << 20))
    with pytest.raises(InputError, match="header of"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("packing", ["", "gz", "bz2", "xz"])
def test_every_packing_of_tar(tmp_path, packing):
    archive = tmp_path / f"a.tar.{packing}"
    with tarfile.open(archive, f"w:{packing}") as package:
        for name, size in (("a.bin", 3 << 20), ("n" * 300 + ".bin", 10)):
            entry = tarfile.TarInfo(name[:200] + "/" + name[200:] if len(name) > 200 else name)
            entry.size = size
            package.addfile(entry, io.BytesIO(os.urandom(size)))
    assert unpack(archive, tmp_path / "out") == 2
    assert (tmp_path / "out" / "a.bin").stat().st_size == 3 << 20


def test_a_tar_of_folders_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "MOST_ENTRIES", 10)
    path = tmp_path / "folders.tar"
    with tarfile.open(path, "w") as package:
        for number in range(11):
            entry = tarfile.TarInfo(str(number))
            entry.type = tarfile.DIRTYPE
            package.addfile(entry)
    with pytest.raises(InputError, match="more than 10 files and folders"):
        unpack(path, tmp_path / "out")
