"""A picture whose decoder complained is never judged OK, whoever reads it; nor is one whose end is missing."""

from __future__ import annotations

import io
import struct
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from sightline.core.errors import CameraError, ImageError
from sightline.devices.cameras.table import open_camera
from sightline.imaging.decoding import decode, is_cut_off
from sightline.imaging.image import read_image
from sightline.imaging.tiff import unpacked_length
from sightline.store.images import Images

Scene = NDArray[np.uint8]
# Kinds whose data carry a check sum, or a structure that damage breaks: of 60 pictures with a flipped byte, how many
# may decode to one that looks otherwise. What no decoder can see in a JPEG: docs/decisions/0032.
SEEN = {
    "PNG": ({}, 0),
    "ZIP": ({"format": "TIFF", "compression": "tiff_adobe_deflate"}, 0),
    "LZW": ({"format": "TIFF", "compression": "tiff_lzw"}, 20),
    "JPEG": ({"quality": 92}, 5),
    "progressive": ({"format": "JPEG", "quality": 92, "progressive": True}, 3),
    "JPEG in TIFF": ({"format": "TIFF", "compression": "jpeg", "quality": 92}, 3),
}


def _damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One other byte in the coded pixels."""
    start = data.find(b"\xff\xda") + 20 if b"\xff\xda" in data else len(data) // 4
    broken = bytearray(data)
    broken[int(rng.integers(start, int(len(data) * 0.95)))] ^= int(rng.integers(1, 255))
    return bytes(broken)


@pytest.fixture(scope="module")
def broken(scene: Scene, encode: Any) -> bytes:
    """A JPEG of which a sixth was lost and filled with zeros, its end whole: other decoders give a picture."""
    data = encode(scene, "JPEG", quality=92)
    spoilt = data[: len(data) // 2] + bytes(len(data) // 6) + data[len(data) // 2 + len(data) // 6 :]
    assert cv2.imdecode(np.frombuffer(spoilt, np.uint8), cv2.IMREAD_COLOR) is not None
    return spoilt


@pytest.mark.parametrize("kind", SEEN)
def test_a_flipped_byte_is_an_error_or_changes_little(kind: str, scene: Scene, encode: Any) -> None:
    options, most = SEEN[kind]
    data = encode(scene, options.get("format", kind), **{key: options[key] for key in options if key != "format"})
    whole, rng, unseen = decode(data, kind)[0], np.random.default_rng(0), 0
    for _ in range(60):
        try:
            pixels = decode(_damaged(data, rng), kind)[0]
        except ImageError as error:
            assert error.reason in ("unreadable", "incomplete")
            assert str(error).startswith(kind)
        else:
            unseen += (np.abs(pixels.astype(int) - whole).max(2) > 20).mean() > 0.01
    assert unseen <= most


@pytest.mark.parametrize("sampling", [0, 2])
@pytest.mark.parametrize("row", [2, 7])
def test_a_shift_that_no_decoder_sees_is_seen(sampling: int, row: int, scene: Scene, encode: Any) -> None:
    block = 16 if sampling else 8
    shifted = np.clip(scene, 0, 215)
    assert decode(encode(shifted, "JPEG", quality=92, subsampling=sampling), "part")[0].shape == scene.shape
    # As a wrong difference of brightness leaves it: from one block on, in the order of coding.
    shifted[block * row :, block * 7 :] += 40
    shifted[block * (row + 1) :, : block * 7] += 40
    with pytest.raises(ImageError, match="from one block on"):
        decode(encode(shifted, "JPEG", quality=92, subsampling=sampling), "part")


@pytest.mark.parametrize("column", [1, 2, -2])
@pytest.mark.parametrize("kind", ["brighter", "darker", "colour", "on white", "on cloth"])
def test_a_shift_near_a_side_in_colour_beside_white_or_on_cloth_is_seen(
    kind: str, column: int, scene: Scene, encode: Any
) -> None:
    block = 16 if kind == "colour" else 8
    shifted = np.clip(scene, 60, 200)
    if kind == "on white":
        shifted[:, 96:176] = 255
    if kind == "on cloth":
        shifted = np.clip(shifted.astype(int) + np.random.default_rng(1).normal(0, 15, scene.shape), 0, 200).astype(
            np.uint8
        )
    whole = encode(shifted, "JPEG", quality=90, subsampling=2 if block == 16 else 0)
    assert decode(whole, "part")[0].shape == scene.shape
    by = {"darker": (-30, -30, -30), "colour": (0, -12, 40)}.get(kind, (34, 34, 34))
    at, moved = column * block % (scene.shape[1] // block * block), shifted.astype(int)
    moved[3 * block : 4 * block, at:] += by
    moved[4 * block :] += by
    moved = np.clip(moved, 0, 255).astype(np.uint8)
    with pytest.raises(ImageError, match="from one block on"):
        decode(encode(moved, "JPEG", quality=90, subsampling=2 if block == 16 else 0), "part")


@pytest.mark.parametrize("row", [2, 5])
@pytest.mark.parametrize("inks", [range(3), [3]])
def test_a_shift_of_inks_is_seen(row: int, inks: Any, scene: Scene) -> None:
    def encoded(planes: Any) -> bytes:
        stream = io.BytesIO()
        Pillow.merge("CMYK", [Pillow.fromarray(np.ascontiguousarray(plane)) for plane in planes]).save(
            stream, "JPEG", quality=92
        )
        return stream.getvalue()

    planes = np.clip(np.stack([*np.moveaxis(scene, 2, 0), scene[..., 1] // 2]), 0, 215)
    assert decode(encoded(planes), "part")[0].shape == scene.shape
    for ink in inks:
        planes[ink, 8 * row :, 56:] += 40
        planes[ink, 8 * (row + 1) :, :56] += 40
    with pytest.raises(ImageError, match="damaged JPEG file: from one block on"):
        decode(encoded(planes), "part")


@pytest.mark.parametrize("grey", [False, True])
def test_a_shift_within_a_strip_of_a_tiff_is_seen(grey: bool, scene: Scene, encode: Any) -> None:
    shifted = np.clip(scene[..., 0] if grey else scene, 0, 215)
    assert decode(encode(shifted, "TIFF", compression="jpeg", quality=92), "part")[0].shape[:2] == scene.shape[:2]
    shifted[16:, 56:] += 40
    shifted[24:, :56] += 40
    with pytest.raises(ImageError, match="damaged TIFF file: from one block on"):
        decode(encode(shifted, "TIFF", compression="jpeg", quality=92), "part")


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg"])
def test_tags_that_are_empty_or_gone_are_an_error_of_ours(compression: str, scene: Scene, encode: Any) -> None:
    data, refused = encode(scene, "TIFF", compression=compression), 0
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        # A kind that there is not, no values, another tag: offsets of tiles among them, which have no size then.
        for at, form, value in ((2, "<H", 99), (4, "<I", 0), (0, "<H", 324), (0, "<H", 65000), (2, "<H", 16)):
            broken = bytearray(data)
            struct.pack_into(form, broken, place + at, value)
            try:
                decode(bytes(broken), "part")
            except ImageError:
                refused += 1
    assert refused >= 15


def test_edges_along_the_blocks_are_no_damage(scene: Scene, encode: Any) -> None:
    for picture in (scene.copy(), scene // 2, np.full_like(scene, 90)):
        picture[64:, :] = 255 - picture[64:, :]  # across the whole picture
        picture[112:160, 96:] = 200  # a corner on the blocks' corner
        assert decode(encode(picture, "JPEG", quality=92), "part")[0].shape == scene.shape


@pytest.mark.parametrize("quality", [50, 75, 90, 95])
@pytest.mark.parametrize("sampling", [0, 2])
def test_labels_fixtures_and_cloth_on_the_blocks_are_no_damage(quality: int, sampling: int, encode: Any) -> None:
    rng, pictures = np.random.default_rng(0), []
    for high in (8, 16, 24):  # two tones: stairs that are a block high, and edges across the picture
        stairs = np.full((200, 240, 3), 90, np.uint8)
        for step in range(4):
            stairs[64 + high * step :, 48 * step : 48 * step + 48] = 190
        edge = np.full((200, 240, 3), 60, np.uint8)
        edge[high * 4 :] = 220
        edge[high * 4 :, :8] = 60  # a fixture along the side
        bars = np.full((200, 240, 3), 200, np.uint8)
        bars[np.arange(200) // high % 2 == 0] = 40
        pictures += [stairs, edge, bars]
    weave = 120 + 50 * np.sin(np.arange(200) / 8 * np.pi)[:, None] * np.sin(np.arange(240) / 8 * np.pi)
    pictures += [np.repeat(weave[..., None], 3, axis=2), rng.normal(128, 60, (200, 240, 3))]
    pictures += [cv2.GaussianBlur(rng.normal(128, 400, (200, 240, 3)), (0, 0), 6)]
    for picture in pictures:
        data = encode(np.clip(picture, 0, 255).astype(np.uint8), "JPEG", quality=quality, subsampling=sampling)
        assert decode(data, "part")[0].shape == (200, 240, 3)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("options", [{"compression": name} for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits")])
def test_a_tiff_whose_end_is_missing_is_cut_off(
    options: dict[str, str], kept: float, scene: Scene, encode: Any
) -> None:
    data = encode(scene, "TIFF", **options)
    assert not is_cut_off(data)
    with pytest.raises(ImageError, match="its end is missing") as error:
        decode(data[: int(len(data) * kept)], "part.tif")
    assert error.value.reason == "incomplete"


def test_the_inspector_gives_no_verdict_on_a_damaged_picture(recipe: Any, scene: Scene, broken: bytes) -> None:
    import sightline as sl

    inspector = sl.Inspector(recipe)
    with pytest.raises(ImageError, match=r"image bytes: not a readable image \(a damaged JPEG file: Corrupt JPEG data"):
        inspector.inspect(broken)
    assert inspector.inspect(scene).score > 0  # the next part is judged


def test_pillow_hides_nothing(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "part.jpg").write_bytes(broken)
    with Pillow.open(tmp_path / "part.jpg") as picture, pytest.raises(ImageError, match="Corrupt JPEG data"):
        read_image(picture)


def test_the_folder_camera_gives_no_frame_of_a_damaged_picture(tmp_path: Path, scene: Scene, broken: bytes) -> None:
    camera = open_camera({"kind": "folder", "path": str(tmp_path), "fixed_size": False, "settle_ms": 100})
    with pytest.raises(CameraError):
        camera.grab(10)  # it watches from here on
    (tmp_path / "1.jpg").write_bytes(broken)
    with pytest.raises(CameraError, match=r"1\.jpg: .*damaged JPEG file") as error:
        camera.grab(5000)
    assert error.value.reason == "unreadable"
    (tmp_path / "2.png").write_bytes(cv2.imencode(".png", scene[..., ::-1])[1].tobytes())
    assert np.array_equal(camera.grab(5000).image, scene)
    camera.close()


def test_a_damaged_picture_that_is_pushed_is_refused(broken: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_TOKEN", "open sesame")
    camera = open_camera({"kind": "push", "port": 0, "token": {"env": "PUSH_TOKEN"}})
    with pytest.raises(CameraError):
        camera.grab(10)
    told = {"Authorization": "Bearer open sesame", "Content-Type": "image/jpeg"}
    address = f"http://127.0.0.1:{camera._link.get(1).port}"
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(urllib.request.Request(address, broken, told, method="POST"), timeout=5)
    assert error.value.code == 415
    assert b"damaged JPEG file" in error.value.read()
    error.value.close()
    with pytest.raises(CameraError):
        camera.grab(50)
    camera.close()


def test_the_store_takes_no_damaged_picture(tmp_path: Path, broken: bytes) -> None:
    with pytest.raises(ImageError, match="damaged JPEG file"):
        Images(tmp_path).put(broken, "part.jpg")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "PPM"])
def test_bytes_after_the_end_are_no_damage(format: str, scene: Scene, encode: Any) -> None:
    data = encode(scene, format)
    for trailer in (b"serial 0815", bytes(6000), b"\xff" * 50):
        assert not is_cut_off(data + trailer)
        assert np.array_equal(decode(data + trailer, "part")[0], decode(data, "part")[0])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_comes_as_other_decoders_give_it(mode: str, scene: Scene, encode: Any) -> None:
    stream = io.BytesIO()
    Pillow.fromarray(scene).convert(mode).save(stream, "JPEG", quality=95)
    expected = cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    given = decode(stream.getvalue(), "part")[0]
    assert np.abs(given.astype(int) - expected).max() <= (2 if mode == "CMYK" else 0)


def test_a_sum_of_lzw_codes_is_the_length_that_comes_out(encode: Any) -> None:
    rng = np.random.default_rng(0)
    for pixels in (rng.integers(0, 256, (90, 700)), rng.integers(0, 2, (90, 700)), np.zeros((90, 700))):
        data = encode(pixels.astype(np.uint8), "TIFF", compression="tiff_lzw")
        assert not is_cut_off(data)
        assert np.array_equal(decode(data, "part")[0][..., 0], pixels)
    with pytest.raises(ValueError, match="does not have"):
        unpacked_length(b"\x80\x3f\xff\xff", 100)  # the clear code, then one that no table has yet


def test_looking_for_the_end_costs_little(scene: Scene, encode: Any) -> None:
    data = encode(np.tile(scene, (10, 10, 1)), "JPEG", quality=92)
    start = time.perf_counter()
    assert not is_cut_off(data)
    looked = time.perf_counter() - start
    start = time.perf_counter()
    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert looked < time.perf_counter() - start


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("where", ["directory", "values", "strip"])
def test_a_bigtiff_that_names_places_no_file_has_is_damaged(order: str, where: str) -> None:
    far = 2**63 + 8
    tags = [(256, 4, 1, 32), (257, 4, 1, 32), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 16, 1, far if where == "strip" else 200), (279, 4, 1, 1024), (700, 16, 2, far)]
    head = struct.pack(order + "2sHHHQ", b"II" if order == "<" else b"MM", 43, 8, 0, 16)
    rows = b"".join(
        struct.pack(order + "HHQ", tag, kind, count) + struct.pack(order + {3: "HHHH", 4: "II", 16: "Q"}[kind], value,
                                                                  *[0] * {3: 3, 4: 1, 16: 0}[kind])
        for tag, kind, count, value in tags[: 8 if where == "values" else 7]
    )  # fmt: skip
    count = struct.pack(order + "Q", len(rows) // 20)
    data = head + count + rows + struct.pack(order + "Q", far if where == "directory" else 0) + bytes(2048)
    with pytest.raises(ImageError):
        read_image(data)
