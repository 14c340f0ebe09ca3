"""The loader: every usable picture once, at the recipe's size, and a warning that names each other one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.imaging.image import content_hash, read_image
from sightline.runtime.letterbox import fit_letterbox
from sightline.runtime.tiling import cut, lay_tiles
from sightline.train.backbone.extractor import OnnxExtractor
from sightline.train.images.loader import (
    ImageLoader,
    InputSize,
    Part,
    TrainingWarning,
    accept,
    brightened,
    choose_size,
    image_shapes,
    release_memory,
)

WHOLE = (0.0, 0.0, 1.0, 1.0)
SIZE = InputSize(96, 128, 1.0)
Lot = Callable[..., list[Sample]]


@pytest.fixture
def lot(tmp_path: Path, write: Any, draw: Any) -> Lot:
    """Write parts of given sizes and return their samples."""

    def make(*sizes: tuple[int, int], **fields: Any) -> list[Sample]:
        return [
            Sample(write(tmp_path / f"{i}.png", draw(i, height=high, width=wide)[0]), False, **fields)
            for i, (high, wide) in enumerate(sizes)
        ]

    return make


# The input's size


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (1000, 1000), (300, 1200), (2048, 5120)])
@pytest.mark.parametrize("side", [256, 384, 512])
def test_the_input_has_the_images_aspect_and_the_wanted_area(shape: tuple[int, int], side: int) -> None:
    size = choose_size([shape] * 5, side**2, WHOLE)
    assert size.height % 32 == size.width % 32 == 0
    assert size.height * size.width == pytest.approx(side**2, rel=0.15)
    assert size.width / size.height == pytest.approx(shape[1] / shape[0], rel=0.2)
    assert size.scale == pytest.approx(min(size.height / shape[0], size.width / shape[1]))


def test_the_region_of_interest_counts_not_the_image() -> None:
    size = choose_size([(400, 800)], 256**2, (0.25, 0.0, 0.5, 1.0))
    assert (size.height, size.width) == (256, 256)


@pytest.mark.parametrize("side", [200, 400, 2000])
def test_small_images_are_enlarged_and_large_ones_shrunk(side: int) -> None:
    size = choose_size([(side, side)], 512**2, WHOLE)
    assert (size.width, size.scale) == (512, 512 / side)


def test_a_thin_image_has_the_smallest_possible_side() -> None:
    assert choose_size([(20, 4000)], 128**2, WHOLE).height == 32


def test_the_larger_images_decide_where_sizes_are_mixed() -> None:
    mixed = choose_size([(100, 100)] * 50 + [(200, 200)] * 50, 256**2, WHOLE)
    assert mixed == choose_size([(200, 200)], 256**2, WHOLE)


@pytest.mark.parametrize("count", [5, 15, 40])
def test_a_stray_does_not_decide(count: int) -> None:
    default = [(96, 128)] * count
    assert choose_size([*default, (40, 20_000)], 112**2, WHOLE) == choose_size(default, 112**2, WHOLE)


# Which parts


def test_each_picture_counts_once(lot: Lot, tmp_path: Path) -> None:
    samples = lot(*[(96, 128)] * 3)
    copy = tmp_path / "copy of 1.png"
    shutil.copy(samples[1].path, copy)
    with pytest.warns(TrainingWarning, match="left out: .*copy of 1.png is the same picture as .*1.png") as caught:
        parts = accept([*samples, Sample(copy, False)])
    assert len(caught) == 1
    assert [part.sample for part in parts] == samples
    assert [part.hash for part in parts] == [content_hash(sample.path) for sample in samples]


@pytest.mark.parametrize("content", [None, b""])
def test_a_file_that_cannot_be_opened_is_left_out(content: bytes | None, lot: Lot, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    if content is not None:
        bad.write_bytes(content)
    with pytest.warns(TrainingWarning, match=r"left out: .*bad.png"):
        parts = accept([Sample(bad, False), *lot((96, 128))])
    assert len(parts) == 1


def test_parts_are_held_out_alone_or_with_their_group(lot: Lot) -> None:
    one, two, three = lot(*[(96, 128)] * 3, group="tray")
    other = Sample(three.path, False, group="box")
    assert [part.unit for part in accept([one, two, other], ["a", "a", None])] == [0, 0, 1]
    assert [part.unit for part in accept([one, two, other])] == [0, 1, 2]


# Prepared images


def _loader(samples: list[Sample], size: InputSize = SIZE) -> ImageLoader:
    return ImageLoader(accept(samples), size, WHOLE)


def test_an_image_is_prepared_as_an_inspector_does_it(lot: Lot) -> None:
    loader = _loader(lot((192, 256), (96, 128)))
    for part in list(loader.parts):
        prepared = loader(part) or pytest.fail("left out")
        (image,), (letterbox,) = prepared.images, prepared.letterboxes
        original, _ = read_image(part.sample.path)
        assert image.shape == (96, 128, 3)
        assert letterbox == fit_letterbox(original.shape[:2], (96, 128), WHOLE, 1.0)
    assert np.array_equal(image, original)


def test_an_image_is_decoded_once(lot: Lot) -> None:
    loader = _loader(lot((96, 128)))
    (part,) = loader.parts
    prepared = loader(part)
    assert prepared is not None
    part.sample.path.unlink()
    assert loader(part) is prepared


def test_a_file_that_is_no_image_is_left_out(lot: Lot, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no image")
    loader = _loader([*lot((96, 128)), Sample(tmp_path / "notes.png", False)])
    good, bad = loader.parts
    with pytest.warns(TrainingWarning, match=r"left out: .*notes.png: not a readable image"):
        assert loader(bad) is None
    assert loader.parts == [good]


def test_a_stray_is_left_out(lot: Lot) -> None:
    loader = _loader(lot((96, 128), (40, 20_000), (300, 400)))
    good, stray, larger = loader.parts
    with pytest.warns(TrainingWarning, match=r"1.png: 20000 x 40 px is far larger than the other images.* Crop it"):
        assert loader(stray) is None
    assert loader(good) is not None
    assert loader(larger) is not None
    assert loader.parts == [good, larger]


def test_what_reading_lost_is_warned_about(tmp_path: Path, write: Any, draw: Any) -> None:
    path = write(tmp_path / "float.tif", (draw(0)[0] / 255).astype(np.float32))
    loader = _loader([Sample(path, False)])
    with pytest.warns(TrainingWarning, match=r"float.tif: float values 0..1"):
        prepared = loader(loader.parts[0]) or pytest.fail("left out")
    assert np.array_equal(prepared.images[0], draw(0)[0])


def test_the_depth_of_16_bit_images_is_found_and_said_once_for_all(tmp_path: Path, write: Any, draw: Any) -> None:
    files = [write(tmp_path / f"{i}.png", draw(i)[0].astype(np.uint16) * 16) for i in range(3)]
    with pytest.warns(TrainingWarning) as told:
        loader = _loader([Sample(path, False) for path in files])
        prepared = loader(loader.parts[0]) or pytest.fail("left out")
    (line,) = (str(one.message) for one in told if "bits" in str(one.message))
    assert line.startswith("3 of 3 images have 16 bits per channel, with values up to ")
    assert line.endswith(": 4,095 (12 bits) counts as white, in this recipe and on its line")
    assert np.abs(prepared.images[0].astype(int) - draw(0)[0]).max() <= 1


def test_the_widest_border_is_remembered(lot: Lot) -> None:
    loader = _loader(lot((96, 128), (48, 64), (72, 96)))
    for part in list(loader.parts):
        loader(part)
    assert loader.border == pytest.approx(0.75)


def test_sizes_are_read_from_those_that_can_be(lot: Lot, tmp_path: Path) -> None:
    samples = lot((96, 128), (50, 60))
    (tmp_path / "notes.png").write_text("no image")
    parts = accept([*samples, Sample(tmp_path / "notes.png", False)])
    assert sorted(image_shapes(parts, np.random.default_rng(0))) == [(50, 60), (96, 128)]


def test_no_readable_image_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no image")
    part = Part(Sample(tmp_path / "notes.png", False), "0" * 16, 0)
    with pytest.raises(InputError, match=r"none of the training images can be read. Check the files"):
        image_shapes([part], np.random.default_rng(0))


# Tiles

TILES = InputSize(96, 128, 1.0, overlap=32)


def test_a_large_image_becomes_its_tiles(lot: Lot) -> None:
    loader = _loader(lot((300, 400), (96, 128), (60, 400)), TILES)
    large, single, flat = (loader(part) or pytest.fail("left out") for part in list(loader.parts))
    image, _ = read_image(loader.parts[0].sample.path)
    tiling = lay_tiles((300, 400), (96, 128), 32)
    assert np.array_equal(large.images, cut(image, tiling, range(len(tiling))))
    assert large.letterboxes == tuple(tiling.letterbox(index) for index in range(len(tiling)))
    assert (len(large), len(single), len(flat)) == (5 * 4, 1, 4)
    assert loader.counts == {1, 4, 20}
    assert loader.border == pytest.approx(1 - 60 / 96)
    assert all(letterbox.inner == (0, 18, 128, 60) for letterbox in flat.letterboxes)


def test_tiles_are_dealt_out_evenly(lot: Lot) -> None:
    loader = _loader(lot((300, 400)), TILES)
    prepared = loader(loader.parts[0]) or pytest.fail("left out")
    places = {letterbox.crop: index for index, letterbox in enumerate(prepared.letterboxes)}
    turns = [[places[letterbox.crop] for _, letterbox in prepared.some(5, turn)] for turn in range(8)]
    assert [len(set(turn)) for turn in turns] == [5] * 8
    observed = np.bincount(np.concatenate(turns), minlength=20)
    assert (observed == 2).all()
    assert len(list(prepared.some(100, 3))) == 20


def test_another_light_leaves_a_tiles_border_alone(lot: Lot) -> None:
    loader = _loader(lot((60, 400)), TILES)
    prepared = loader(loader.parts[0]) or pytest.fail("left out")
    copy = brightened(prepared.images[1], prepared.letterboxes[1], 0.5)
    assert (copy[:18] == 127).all() and (copy[78:] == 127).all()
    assert (copy[18:78] < 127).any()


# Another light


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_another_light_leaves_the_border_alone(factor: float, draw: Any, lot: Lot) -> None:
    loader = _loader(lot((48, 64)))
    prepared = loader(loader.parts[0]) or pytest.fail("left out")
    (image,), (letterbox,) = prepared.images, prepared.letterboxes
    kept = image.copy()
    copy = brightened(image, letterbox, factor)
    left, top, wide, high = letterbox.inner
    inside = (slice(top, top + high), slice(left, left + wide))
    expected = np.clip(np.rint(image[inside] * factor), 0, 255)
    assert np.abs(copy[inside] - expected).max() <= 1
    copy[inside] = image[inside]
    assert np.array_equal(copy, image)
    assert np.array_equal(image, kept)


# Memory between the stages of a training: what was freed goes back, and what rests comes again the same.

BLOCK, BLOCKS = 100_000, 2000  # below glibc's threshold, so from the heap


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's heap keeps what is freed")
def test_freed_blocks_go_back_to_the_system() -> None:
    blocks = [bytearray(b"x" * BLOCK) for _ in range(BLOCKS)]
    held = blocks[-1:]  # at the heap's end: what lies below would stay
    full = resident_mb()
    blocks.clear()
    release_memory()
    assert held and resident_mb() < full - 0.8 * BLOCK * BLOCKS / 2**20


def test_a_backbone_that_rested_gives_the_same_maps() -> None:
    extractor = OnnxExtractor("lite0", threads=1)
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    before = extractor(images)
    extractor.rest()
    after = extractor(images)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_an_intake_that_rested_decodes_again(tmp_path: Path, write: object, draw: object) -> None:
    paths = [write(tmp_path / f"{i}.png", draw(i, height=96, width=128)[0]) for i in range(3)]  # type: ignore[operator]
    loader = ImageLoader(accept([Sample(path, False) for path in paths]), InputSize(96, 128, 1.0), (0, 0, 1, 1))
    first = loader(loader.parts[0])
    assert first is not None and loader(loader.parts[0]) is first
    loader.rest()
    again = loader(loader.parts[0])
    assert again is not None and again is not first and np.array_equal(again.images, first.images)
