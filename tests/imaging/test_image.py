"""Reading images: every file that a camera or a colleague may produce, or an error that says what to do."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

import sightline as sl
from sightline.core.errors import InputError
from sightline.core.sample import TRAIN, Sample
from sightline.devices.cameras.table import open_camera
from sightline.imaging.decoding import SUFFIXES
from sightline.imaging.image import content_hash, find_full_scale, read_image, to_8_bit
from sightline.imaging.mask import read_mask

Picture = NDArray[np.uint8]
ROTATED_RIGHT = 6  # EXIF orientation: turn by 90 degrees clockwise to see the picture upright


@pytest.fixture(scope="module")
def picture(draw: Any) -> Picture:
    return draw(0, flawed=True)[0]


def _difference(path: Path | bytes, expected: Picture) -> float:
    image, _ = read_image(path)
    assert (image.shape, image.dtype) == (expected.shape, np.uint8)
    return float(np.abs(image.astype(int) - expected).mean())


def _save(picture: Picture, path: Path, mode: str = "RGB", **options: Any) -> Path:
    Pillow.fromarray(picture).convert(mode).save(path, **options)
    return path


# Formats


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".ppm"])
def test_lossless_formats_come_back_bit_for_bit(suffix: str, picture: Picture, tmp_path: Path) -> None:
    assert suffix in SUFFIXES
    path = _save(picture, tmp_path / f"part{suffix}")
    image, warnings = read_image(path)
    assert np.array_equal(image, picture)
    assert warnings == ()


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_come_back_nearly(suffix: str, picture: Picture, tmp_path: Path) -> None:
    assert _difference(_save(picture, tmp_path / f"part{suffix}", quality=95), picture) < 3


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".pgm"])
def test_grey_is_spread_over_three_channels(suffix: str, picture: Picture, tmp_path: Path) -> None:
    grey = np.asarray(Pillow.fromarray(picture).convert("L"))
    assert _difference(_save(picture, tmp_path / f"grey{suffix}", "L"), np.repeat(grey[..., None], 3, 2)) < 4


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_palette_is_looked_up(suffix: str, picture: Picture, tmp_path: Path) -> None:
    path = _save(picture, tmp_path / f"palette{suffix}", "P")
    assert _difference(path, np.asarray(Pillow.open(path).convert("RGB"))) == 0


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_alpha_is_dropped_and_colours_stay(suffix: str, picture: Picture, tmp_path: Path) -> None:
    transparent = np.dstack([picture, np.full(picture.shape[:2], 100, np.uint8)])
    assert _difference(_save(transparent, tmp_path / f"alpha{suffix}", "RGBA", lossless=True), picture) == 0


@pytest.mark.parametrize(
    ("suffix", "channels"), [(".png", 1), (".png", 3), (".tif", 1), (".tif", 3), (".pgm", 1), (".ppm", 3)]
)
def test_16_bits_are_reduced_with_a_warning(
    suffix: str, channels: int, picture: Picture, tmp_path: Path, write: Any
) -> None:
    shown = picture if channels == 3 else picture[..., 0]
    path = write(tmp_path / f"deep{suffix}", shown.astype(np.uint16) * 257)
    image, (warning,) = read_image(path)
    assert np.array_equal(image, picture if channels == 3 else np.repeat(shown[..., None], 3, 2))
    assert str(path) in warning
    assert "16 bits per channel, reduced to 8" in warning


def test_full_scale_is_65535_whatever_the_image_shows(tmp_path: Path, write: Any) -> None:
    levels = np.array([0, 256, 257, 12_800, 32_767, 65_535], np.uint16).repeat(200).reshape(-1, 20)
    image, _ = read_image(write(tmp_path / "deep.png", levels))
    assert np.unique(image).tolist() == [0, 1, 49, 127, 255]


def test_16_bits_with_alpha_keep_their_colours(picture: Picture, tmp_path: Path) -> None:
    deep = np.dstack([picture[..., ::-1], picture[..., 0]]).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert _difference(tmp_path / "deep.png", picture) == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_float_values_from_0_to_1_are_scaled_with_a_warning(
    channels: int, picture: Picture, tmp_path: Path, write: Any
) -> None:
    shown = picture if channels == 3 else picture[..., 0]
    image, (warning,) = read_image(write(tmp_path / "float.tif", (shown / 255).astype(np.float32)))
    assert np.array_equal(image, picture if channels == 3 else np.repeat(shown[..., None], 3, 2))
    assert "float values 0..1" in warning


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), float("inf")])
def test_other_float_values_are_refused(value: float, tmp_path: Path, write: Any) -> None:
    array = np.full((32, 32), 0.5, np.float32)
    array[3, 4] = value
    path = write(tmp_path / "float.tif", array)
    with pytest.raises(InputError, match=r"float values .* Save it as 8-bit, or scale it to 0..1") as error:
        read_image(path)
    assert str(path) in str(error.value)


def test_a_cmyk_jpeg_shows_its_colours(picture: Picture, tmp_path: Path) -> None:
    assert _difference(_save(picture, tmp_path / "cmyk.jpg", "CMYK", quality=95), picture) < 3


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_orientation_is_applied(suffix: str, picture: Picture, tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x112] = ROTATED_RIGHT
    path = _save(picture, tmp_path / f"turned{suffix}", exif=exif)
    assert _difference(path, np.rot90(picture, -1)) < 4


@pytest.mark.parametrize("name", ["with space.png", "Gehäuse für 部品 (1) é.png", "semi;colon & 'quote'.png"])
def test_any_file_name_is_read(name: str, picture: Picture, tmp_path: Path) -> None:
    folder = tmp_path / "Ordner mit Ümlaut"
    folder.mkdir()
    assert _difference(_save(picture, folder / name), picture) == 0


def test_a_very_wide_image_is_read(tmp_path: Path, write: Any) -> None:
    wide = np.full((40, 20_000, 3), 90, np.uint8)
    wide[:, 19_990:] = 200
    assert np.array_equal(read_image(write(tmp_path / "wide.png", wide))[0], wide)


# Sources


def test_path_bytes_array_and_pillow_give_the_same_image(picture: Picture, tmp_path: Path) -> None:
    path = _save(picture, tmp_path / "part.png")
    data = path.read_bytes()
    for source in (str(path), path, data, bytearray(data), memoryview(data), picture, Pillow.open(path)):
        image, warnings = read_image(source)
        assert np.array_equal(image, picture), type(source)
        assert warnings == ()


def test_arrays_of_every_shape_are_taken(picture: Picture) -> None:
    grey = picture[..., 0]
    expected = np.repeat(grey[..., None], 3, 2)
    assert np.array_equal(read_image(grey)[0], expected)
    assert np.array_equal(read_image(grey[..., None])[0], expected)
    image, (warning,) = read_image(np.dstack([picture, grey]))
    assert np.array_equal(image, picture)
    assert "alpha channel was dropped" in warning
    flipped, _ = read_image(picture[::-1, ::-1])
    assert flipped.flags.c_contiguous
    assert np.array_equal(flipped, picture[::-1, ::-1])


@pytest.mark.parametrize(
    ("scale", "dtype", "message"),
    [(257.0, np.uint16, "16 bits"), (1 / 255, np.float32, "float"), (1 / 255, np.float64, "float")],
)
def test_arrays_of_other_depths_are_reduced_with_a_warning(
    scale: float, dtype: type, message: str, picture: Picture
) -> None:
    image, (warning,) = read_image((picture * scale).astype(dtype))
    assert np.array_equal(image, picture)
    assert message in warning


def test_a_bool_array_is_black_and_white(picture: Picture) -> None:
    image, (warning,) = read_image(picture[..., 0] > 100)
    assert np.array_equal(image[..., 1], np.where(picture[..., 0] > 100, 255, 0))
    assert "black and white only" in warning


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA", "CMYK", "LA"])
def test_a_pillow_image_of_any_mode_is_taken(mode: str, picture: Picture) -> None:
    image = Pillow.fromarray(picture).convert(mode)
    assert np.array_equal(read_image(image)[0], np.asarray(image.convert("RGB")))


def test_a_deep_pillow_image_is_reduced_and_not_cut_off(picture: Picture, tmp_path: Path, write: Any) -> None:
    path = write(tmp_path / "deep.png", picture[..., 0].astype(np.uint16) * 257)
    opened = Pillow.open(path)
    assert opened.mode == "I;16"
    assert np.array_equal(read_image(opened)[0], read_image(path)[0])
    with pytest.raises(InputError, match=r"PIL image: .*Save it as 8-bit"):
        read_image(Pillow.fromarray(picture[..., 0].astype(np.int32)))


def test_a_pillow_image_is_turned_as_its_file_is(picture: Picture, tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x112] = ROTATED_RIGHT
    path = _save(picture, tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_image(Pillow.open(path))[0], read_image(path)[0])


@pytest.mark.parametrize("source", [None, 7, ["a.png"], {"image": 1}])
def test_what_is_no_image_is_refused(source: object) -> None:
    with pytest.raises(InputError, match="give a path, bytes, a PIL image or an array"):
        read_image(source)


@pytest.mark.parametrize("shape", [(3,), (32, 32, 2), (1, 32, 32, 3), (3, 32, 32)])
def test_an_array_of_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"is not an image. Expected \(H, W\)"):
        read_image(np.zeros(shape, np.uint8))


def test_an_array_of_a_wrong_type_is_refused() -> None:
    with pytest.raises(InputError, match=r"type int64 are not supported. Save it as 8-bit"):
        read_image(np.zeros((32, 32, 3), np.int64))


# Hashes and masks


def test_the_hash_is_of_the_bytes(tmp_path: Path) -> None:
    one, copy, other = tmp_path / "one.bin", tmp_path / "copy.bin", tmp_path / "other.bin"
    one.write_bytes(b"part")
    copy.write_bytes(b"part")
    other.write_bytes(b"Part")
    assert content_hash(one) == content_hash(str(copy)) == hashlib.sha256(b"part").hexdigest()[:16]
    assert content_hash(other) != content_hash(one)


def test_no_hash_of_a_missing_or_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match="the file is empty"):
        content_hash(tmp_path / "empty.png")
    with pytest.raises(InputError, match="cannot be read"):
        content_hash(tmp_path / "gone.png")


@pytest.mark.parametrize(("value", "dtype"), [(255, np.uint8), (1, np.uint8), (1, np.uint16), (65535, np.uint16)])
def test_a_mask_is_true_where_it_is_not_zero(value: int, dtype: type, tmp_path: Path, write: Any) -> None:
    expected = np.zeros((20, 30), bool)
    expected[4:9, 5:20] = True
    mask = read_mask(write(tmp_path / "mask.png", expected.astype(dtype) * dtype(value)))
    assert mask.dtype == np.bool_
    assert np.array_equal(mask, expected)


def test_a_palette_mask_is_true_where_it_is_coloured(tmp_path: Path) -> None:
    numbered = np.zeros((20, 30), np.uint8)
    numbered[4:9, 5:20] = 1
    image = Pillow.fromarray(numbered, "P")
    image.putpalette([0, 0, 0, 128, 0, 0])
    image.save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png"), numbered > 0)


def _half(path: Path) -> bytes:
    return path.read_bytes()[: path.stat().st_size // 2]


@pytest.mark.parametrize("content", [b"", b"no mask", None])
def test_a_bad_mask_is_named(content: bytes | None, tmp_path: Path, write: Any) -> None:
    path = tmp_path / "mask.png"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path.write_bytes(_half(write(tmp_path / "whole.png", noise)) if content is None else content)
    with pytest.raises(InputError) as error:
        read_mask(path)
    assert str(path) in str(error.value)


# One scale for all pictures of a product: from the training part to the card, and from there to the line.


@pytest.mark.parametrize(("bits", "full"), [(9, 1023), (10, 1023), (12, 4095), (14, 16383), (16, 65535)])
def test_white_is_what_the_fewest_bits_of_a_camera_hold(bits: int, full: int, tmp_path: Path, write: Any) -> None:
    values = np.linspace(0, (1 << bits) - 1, 40 * 40).reshape(40, 40).astype(np.uint16)
    files = [write(tmp_path / "dark.png", values // 4), write(tmp_path / "bright.png", values)]
    files.append(write(tmp_path / "8.png", np.zeros((40, 40), np.uint8)))
    assert find_full_scale([*files, tmp_path / "gone.png"]) == (full, 2, (1 << bits) - 1)


def test_a_picture_brighter_than_white_is_refused() -> None:
    image = np.full((20, 20, 3), 3000, np.uint16)
    assert to_8_bit(image, "part", 4095)[0].max() == 3000 * 255 // 4095
    with pytest.raises(InputError, match=r"part: values up to 3,000, and white is 1,023 .* train again"):
        to_8_bit(image, "part", 1023)


@pytest.mark.parametrize("white", [100, 1000, 4095])
def test_the_white_that_a_pgm_names_is_white(white: int, tmp_path: Path) -> None:
    values = np.linspace(0, white, 40 * 40).reshape(40, 40)
    raster = values.astype(">u2" if white > 255 else np.uint8).tobytes()
    (tmp_path / "1.pgm").write_bytes(b"P5 40 40 %d\n" % white + raster)
    image, notes = read_image(tmp_path / "1.pgm")
    assert (image.min(), image.max(), notes) == (0, 255, ())
    assert find_full_scale([tmp_path / "1.pgm"]) == (None, 0, 0)


def test_twelve_bits_are_learned_and_judged_as_eight(tmp_path: Path, draw: Any, train_tiny: Any) -> None:
    def saved(name: str, image: Any) -> Path:
        cv2.imwrite(str(tmp_path / f"{name}.png"), image[..., ::-1])
        return tmp_path / f"{name}.png"

    pictures = [draw(seed)[0] for seed in range(8)]
    samples = [
        Sample(saved(f"12_{i}", picture.astype(np.uint16) * 16), False, TRAIN) for i, picture in enumerate(pictures)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twelve = train_tiny(samples)
    assert twelve.card.full_scale == 4095
    part = draw(20, flawed=True)[0]
    inspector = sl.Inspector(twelve)
    deep = inspector.inspect(saved("deep", part.astype(np.uint16) * 16))
    assert deep.warnings == ()
    assert deep.score == pytest.approx(inspector.inspect(part).score, abs=0.3)
    # The folder camera gives what the file holds; the recipe knows its scale.
    (tmp_path / "line").mkdir()
    camera = open_camera({"kind": "folder", "path": str(tmp_path / "line"), "existing": True, "max_age_ms": 60_000})
    (tmp_path / "line" / "1.png").write_bytes((tmp_path / "deep.png").read_bytes())
    frame = camera.grab(5000)
    camera.close()
    assert frame.image.dtype == np.uint16
    assert inspector.inspect(frame.image).score == deep.score
