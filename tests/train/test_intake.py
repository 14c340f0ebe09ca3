"""The intake: every usable picture once, at the recipe's size, and a warning that names each other one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.runtime.image import content_hash, read_image
from sightline.runtime.placement import place
from sightline.runtime.tiling import cut, lay_tiles
from sightline.train.intake import (
    InputSize,
    Intake,
    Part,
    TrainingWarning,
    accept,
    brightened,
    choose_size,
    image_shapes,
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
    size = choose_size([shape] * 5, side**2, WHOLE, capped=False)
    assert size.height % 32 == size.width % 32 == 0
    assert size.height * size.width == pytest.approx(side**2, rel=0.15)
    assert size.width / size.height == pytest.approx(shape[1] / shape[0], rel=0.2)
    assert size.scale == pytest.approx(min(size.height / shape[0], size.width / shape[1]))


def test_the_region_of_interest_counts_not_the_image() -> None:
    size = choose_size([(400, 800)], 256**2, (0.25, 0.0, 0.5, 1.0), capped=False)
    assert (size.height, size.width) == (256, 256)


def test_a_small_image_is_not_blown_up_unless_asked_for() -> None:
    assert choose_size([(400, 400)], 512**2, WHOLE).width == 288
    assert choose_size([(200, 200)], 512**2, WHOLE).width == 256
    assert choose_size([(200, 200)], 512**2, WHOLE, capped=False).width == 512
    assert choose_size([(2000, 2000)], 512**2, WHOLE).width == 512


def test_a_thin_image_has_the_smallest_possible_side() -> None:
    assert choose_size([(20, 4000)], 128**2, WHOLE, capped=False).height == 32


def test_the_larger_images_decide_where_sizes_are_mixed() -> None:
    mixed = choose_size([(100, 100)] * 50 + [(200, 200)] * 50, 256**2, WHOLE, capped=False)
    assert mixed == choose_size([(200, 200)], 256**2, WHOLE, capped=False)


@pytest.mark.parametrize("count", [5, 15, 40])
def test_a_stray_does_not_decide(count: int) -> None:
    usual = [(96, 128)] * count
    assert choose_size([*usual, (40, 20_000)], 112**2, WHOLE) == choose_size(usual, 112**2, WHOLE)


# Which parts


def test_each_picture_counts_once(lot: Lot, tmp_path: Path) -> None:
    samples = lot(*[(96, 128)] * 3)
    copy = tmp_path / "copy of 1.png"
    shutil.copy(samples[1].path, copy)
    with pytest.warns(TrainingWarning, match="left out: .*copy of 1.png is the same picture as .*1.png") as caught:
        parts = accept([*samples, Sample(copy, False)], by_unit=False)
    assert len(caught) == 1
    assert [part.sample for part in parts] == samples
    assert [part.hash for part in parts] == [content_hash(sample.path) for sample in samples]


@pytest.mark.parametrize("content", [None, b""])
def test_a_file_that_cannot_be_opened_is_left_out(content: bytes | None, lot: Lot, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    if content is not None:
        bad.write_bytes(content)
    with pytest.warns(TrainingWarning, match=r"left out: .*bad.png"):
        parts = accept([Sample(bad, False), *lot((96, 128))], by_unit=False)
    assert len(parts) == 1


def test_parts_are_held_out_alone_or_with_their_group(lot: Lot) -> None:
    one, two, three = lot(*[(96, 128)] * 3, group="tray")
    other = Sample(three.path, False, group="box")
    assert [part.unit for part in accept([one, two, other], by_unit=True)] == [0, 0, 1]
    assert [part.unit for part in accept([one, two, other], by_unit=False)] == [0, 1, 2]


# Prepared images


def _intake(samples: list[Sample], size: InputSize = SIZE) -> Intake:
    return Intake(accept(samples, by_unit=False), size, WHOLE)


def test_an_image_is_prepared_as_an_inspector_does_it(lot: Lot) -> None:
    intake = _intake(lot((192, 256), (96, 128)))
    for part in list(intake.parts):
        prepared = intake(part) or pytest.fail("left out")
        (image,), (placement,) = prepared.images, prepared.placements
        original, _ = read_image(part.sample.path)
        assert image.shape == (96, 128, 3)
        assert placement == place(original.shape[:2], (96, 128), WHOLE, 1.0)
    assert np.array_equal(image, original)


def test_an_image_is_decoded_once(lot: Lot) -> None:
    intake = _intake(lot((96, 128)))
    (part,) = intake.parts
    prepared = intake(part)
    assert prepared is not None
    part.sample.path.unlink()
    assert intake(part) is prepared


def test_a_file_that_is_no_image_is_left_out(lot: Lot, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no image")
    intake = _intake([*lot((96, 128)), Sample(tmp_path / "notes.png", False)])
    good, bad = intake.parts
    with pytest.warns(TrainingWarning, match=r"left out: .*notes.png: not a readable image"):
        assert intake(bad) is None
    assert intake.parts == [good]


def test_a_stray_is_left_out(lot: Lot) -> None:
    intake = _intake(lot((96, 128), (40, 20_000), (300, 400)))
    good, stray, larger = intake.parts
    with pytest.warns(TrainingWarning, match=r"1.png: 20000 x 40 px is far larger than the other images.* Crop it"):
        assert intake(stray) is None
    assert intake(good) is not None
    assert intake(larger) is not None
    assert intake.parts == [good, larger]


def test_what_reading_lost_is_warned_about(tmp_path: Path, write: Any, draw: Any) -> None:
    path = write(tmp_path / "deep.png", draw(0)[0].astype(np.uint16) * 257)
    intake = _intake([Sample(path, False)])
    with pytest.warns(TrainingWarning, match=r"deep.png: 16 bits per channel"):
        prepared = intake(intake.parts[0]) or pytest.fail("left out")
    assert np.array_equal(prepared.images[0], draw(0)[0])


def test_the_widest_border_is_remembered(lot: Lot) -> None:
    intake = _intake(lot((96, 128), (48, 64), (72, 96)))
    for part in list(intake.parts):
        intake(part)
    assert intake.border == pytest.approx(0.75)


def test_sizes_are_read_from_those_that_can_be(lot: Lot, tmp_path: Path) -> None:
    samples = lot((96, 128), (50, 60))
    (tmp_path / "notes.png").write_text("no image")
    parts = accept([*samples, Sample(tmp_path / "notes.png", False)], by_unit=False)
    assert sorted(image_shapes(parts, np.random.default_rng(0))) == [(50, 60), (96, 128)]


def test_no_readable_image_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no image")
    part = Part(Sample(tmp_path / "notes.png", False), "0" * 16, 0)
    with pytest.raises(InputError, match=r"none of the training images can be read. Check the files"):
        image_shapes([part], np.random.default_rng(0))


# Tiles

TILES = InputSize(96, 128, 1.0, overlap=32)


def test_a_large_image_becomes_its_tiles(lot: Lot) -> None:
    intake = _intake(lot((300, 400), (96, 128), (60, 400)), TILES)
    large, single, flat = (intake(part) or pytest.fail("left out") for part in list(intake.parts))
    image, _ = read_image(intake.parts[0].sample.path)
    tiling = lay_tiles((300, 400), (96, 128), 32)
    assert np.array_equal(large.images, cut(image, tiling, range(len(tiling))))
    assert large.placements == tuple(tiling.placement(index) for index in range(len(tiling)))
    assert (len(large), len(single), len(flat)) == (5 * 4, 1, 4)
    assert intake.counts == {1, 4, 20}
    assert intake.border == pytest.approx(1 - 60 / 96)
    assert all(placement.inner == (0, 18, 128, 60) for placement in flat.placements)


def test_tiles_are_dealt_out_evenly(lot: Lot) -> None:
    intake = _intake(lot((300, 400)), TILES)
    prepared = intake(intake.parts[0]) or pytest.fail("left out")
    places = {placement.crop: index for index, placement in enumerate(prepared.placements)}
    turns = [[places[placement.crop] for _, placement in prepared.some(5, turn)] for turn in range(8)]
    assert [len(set(turn)) for turn in turns] == [5] * 8
    seen = np.bincount(np.concatenate(turns), minlength=20)
    assert (seen == 2).all()
    assert len(list(prepared.some(100, 3))) == 20


def test_another_light_leaves_a_tiles_border_alone(lot: Lot) -> None:
    intake = _intake(lot((60, 400)), TILES)
    prepared = intake(intake.parts[0]) or pytest.fail("left out")
    copy = brightened(prepared.images[1], prepared.placements[1], 0.5)
    assert (copy[:18] == 127).all() and (copy[78:] == 127).all()
    assert (copy[18:78] < 127).any()


# Another light


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_another_light_leaves_the_border_alone(factor: float, draw: Any, lot: Lot) -> None:
    intake = _intake(lot((48, 64)))
    prepared = intake(intake.parts[0]) or pytest.fail("left out")
    (image,), (placement,) = prepared.images, prepared.placements
    kept = image.copy()
    copy = brightened(image, placement, factor)
    left, top, wide, high = placement.inner
    inside = (slice(top, top + high), slice(left, left + wide))
    expected = np.clip(np.rint(image[inside] * factor), 0, 255)
    assert np.abs(copy[inside] - expected).max() <= 1
    copy[inside] = image[inside]
    assert np.array_equal(copy, image)
    assert np.array_equal(image, kept)
