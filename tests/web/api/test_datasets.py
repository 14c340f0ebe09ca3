"""Products, samples, versions and images over the API."""

from __future__ import annotations

import hashlib
import io
import resource
import signal
import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.web.conftest import Serve, Served

from sightline.core.errors import NotFoundError
from sightline.data.dataset import Dataset
from sightline.web.client import ApiError

SCRIPT = "<script>alert(1)</script>"


def png(seed: int = 0, side: int = 64) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture
def filled(served: Served, parts_folder: Path) -> Served:
    """A server whose store has the plates."""
    served.store.add(Dataset.open(parts_folder).samples, "plates", parts_folder)
    return served


def test_samples_are_listed_page_by_page_and_moved(filled: Served) -> None:
    with filled.client("engineer") as client:
        assert client.get("/products")["items"] == [{"product": "plates", "samples": 20}]
        every = list(client.items("/samples", product="plates", limit=7))
        assert [sample["id"] for sample in every] == sorted(sample["id"] for sample in every)
        assert len(every) == 20
        first, second = every[0]["id"], every[1]["id"]
        moved = client.patch("/samples", {"samples": [first, second], "split": "test"})
        assert {sample["split"] for sample in moved} == {"test"}
        client.patch("/samples", {"samples": [first], "deleted": True})
        assert first not in [sample["id"] for sample in client.items("/samples", product="plates")]
        assert [sample["id"] for sample in client.items("/samples", deleted=True)] == [first]
        client.patch("/samples", {"samples": [first], "deleted": False})
        assert client.patch("/samples", {"samples": [first], "group": "pair"})[0]["group"] == "pair"
        for wrong in ({"samples": [first]}, {"samples": [first], "split": "test", "group": "x"}):
            with pytest.raises(ApiError, match="one change at a time"):
                client.patch("/samples", wrong)
        with pytest.raises(NotFoundError):
            client.patch("/samples", {"samples": [first, 10**6], "split": None})
        assert client.get(f"/samples/{first}")["split"] == "test"  # all or none


def test_versions_are_taken_compared_and_brought_back(filled: Served) -> None:
    with filled.client("engineer") as client:
        one = client.post("/versions", {"product": "plates", "note": "first"})
        assert (one["product"], one["number"], one["author"]) == ("plates", 1, "engineer")
        number = client.get("/samples", product="plates", limit=1)["items"][0]["id"]
        client.patch("/samples", {"samples": [number], "deleted": True})
        client.post("/versions", {"product": "plates"})
        assert len(client.get("/versions/diff", old="plates@1", new="plates@2")["removed"]) == 1
        assert [version["number"] for version in client.items("/versions", product="plates", limit=1)] == [2, 1]
        assert client.post("/versions/restore", version="plates@1")["number"] == 1
        assert len(list(client.items("/samples", product="plates"))) == 20
        assert len(list(client.items("/samples", version="plates@2"))) == 19
        with pytest.raises(NotFoundError):
            client.get("/samples", version="plates@9")


def test_images_are_kept_by_browsers_for_ever_and_run_nothing(filled: Served) -> None:
    with filled.client("operator") as client:
        digest = client.get("/samples", limit=1)["items"][0]["hash"]
        answer = client.http.get(f"/images/{digest}")
        assert hashlib.sha256(answer.content).hexdigest() == digest
        assert answer.headers["content-type"] == "image/png"
        assert "immutable" in answer.headers["cache-control"]
        assert "sandbox" in answer.headers["content-security-policy"]
        again = client.http.get(f"/images/{digest}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        small = client.http.get(f"/images/{digest}/thumbnail")
        assert (small.headers["content-type"], small.content[:2]) == ("image/jpeg", b"\xff\xd8")
        assert client.http.get(f"/images/{'0' * 64}").status_code == 404
        for path in ("/images/..%2F..%2Fstore.db", "/images/../../store.db", f"/images/{digest}%00", "/images/%2e%2e"):
            assert client.http.get(path).status_code in {404, 422}, path


def test_an_image_is_added_under_its_name(served: Served) -> None:
    with served.client("engineer") as client:
        name = f"{SCRIPT.replace('/', '')}.png"
        made = client.send("/samples", png(), product=SCRIPT, name=name)
        assert (made["product"], made["name"], made["width"]) == (SCRIPT, name, 64)
        answer = client.http.get("/samples", params={"product": SCRIPT})
        assert answer.headers["content-type"] == "application/json"  # what was stored comes back as JSON alone
        assert answer.json()["items"][0]["name"] == name
        for evil in ("../evil.png", "a/b.png", "..\\evil.png", "a\0b.png", ""):
            with pytest.raises(ApiError):
                client.send("/samples", png(1), product="plates", name=evil)


def bomb() -> bytes:
    """A PNG of a few kB that says it is 60,000 x 60,000 px."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"<svg onload=alert(1)>", png()[:500], bomb()])
def test_what_is_no_whole_image_is_refused_with_its_name(served: Served, content: bytes) -> None:
    with served.client("engineer") as client, pytest.raises(ApiError, match=r"odd\.png") as caught:
        client.send("/samples", content, product="plates", name="odd.png")
    assert caught.value.status == 422


def test_an_archive_waits_for_the_worker(served: Served, parts_folder: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted((parts_folder / "images" / "good").iterdir()):
            archive.write(file, f"good/{file.name}")
    with served.client("engineer") as client:
        job = client.send("/imports", packed.getvalue(), product="plates")
        assert (job["kind"], job["state"]) == ("import", "queued")
        kept = served.folder / "work" / "uploads" / f"{job['arguments']['upload']}.zip"
        assert kept.read_bytes() == packed.getvalue()
        with pytest.raises(ApiError):
            client.send("/imports", b"", product="../evil")


def test_an_archive_that_is_too_large_leaves_nothing(serve: Serve) -> None:
    served = serve(import_mb=0.1)
    with served.client("engineer") as client, pytest.raises(ApiError, match=r"larger than the 0.1 MB"):
        client.call("POST", "/imports", {"product": "x"}, content=iter([b"x" * 50_000] * 10))
    assert not list((served.folder / "work" / "uploads").iterdir())


def test_a_full_disk_says_so_and_leaves_nothing(served: Served) -> None:
    before, handled = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with served.client("engineer") as client:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, before[1]))
            with pytest.raises(ApiError, match=r"disk is full.*send it again") as caught:
                client.send("/imports", b"x" * 6_000_000, product="plates")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handled)
        assert caught.value.status == 507
        assert not list((served.folder / "work" / "uploads").iterdir())
        assert client.get("/jobs")["items"] == []
        assert client.send("/imports", b"x" * 6_000_000, product="plates")["state"] == "queued"
