"""What is written is what is read: types, labels, boxes and masks, in every layout that can say them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.region import Polygons, Rectangle, Region, Runs, signed_area
from sightline.core.sample import Sample
from sightline.data.dataset import Dataset, DatasetWarning
from sightline.data.export import export
from sightline.data.formats import FORMATS, read

DATA = Path(os.environ.get("SIGHTLINE_DATA", Path(__file__).parents[3] / "shared" / "data"))
PLACED = ("coco", "yolo", "labelme", "cvat")
HEIGHT, WIDTH = 60, 80


def _whole(sample: Sample, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.bool_]:
    whole = np.zeros((height, width), bool)
    for region in sample.regions:
        whole |= region.mask(height, width)
    return whole


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def _ring() -> NDArray[np.bool_]:
    """A ring with a hole, a thin diagonal, and a single pixel."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (30, 25), 12, 1, -1)
    cv2.circle(mask, (30, 25), 5, 0, -1)
    cv2.line(mask, (50, 10), (70, 40), 1, 1)
    mask[55, 2] = 1
    return mask.astype(bool)


def _lot(folder: Path, write: Any, split: bool = True) -> list[Sample]:
    """Good parts, boxes, a polygon, holes, several types on one part, and equal file names."""
    triangle = Polygons.united([np.array([(5.5, 5.25), (40.0, 8.0), (20.0, 50.5)])])
    hole = Polygons(
        (np.array([(2.0, 2), (30, 2), (30, 30), (2, 30)]), np.array([(8.0, 8), (8, 20), (20, 20), (20, 8)]))
    )
    regions: list[tuple[Region, ...]] = [
        (),
        (),
        (Region("dent", Rectangle(10.0, 20.0, 30.0, 15.0)),),
        (Region("crack", triangle), Region("dent", Rectangle(50.0, 30.0, 20.0, 25.0))),
        (Region("Dellen & <部品>", hole),),
        (Region("crack", Runs.of(_ring())), Region("dent", Rectangle(0.0, 0.0, 80.0, 60.0))),
    ]
    samples = []
    for number, marked in enumerate(regions):
        image = np.full((HEIGHT, WIDTH), 40 * number, np.uint8)
        path = write(folder / ("good" if not marked else "bad") / f"{number % 4}.png", image)
        types = tuple(sorted({region.type for region in marked}))
        side = ("train" if number % 2 == 0 else "test") if split else None
        samples.append(Sample(path, bool(marked), types, split=side, regions=marked))
    return samples


def _back(samples: Sequence[Sample], folder: Path, layout: str) -> dict[bytes, Sample]:
    """Written and read again, by the image's content."""
    found, again = read(export(samples, folder, layout))
    assert found == layout
    return {sample.path.read_bytes(): sample for sample in again}


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("layout", PLACED)
def test_places_come_back(layout: str, split: bool, tmp_path: Path, write: Any) -> None:
    lot = _lot(tmp_path / "in", write, split)
    again = _back(lot, tmp_path / "out", layout)
    assert len(again) == len(lot)
    for sample in lot:
        other = again[sample.path.read_bytes()]
        assert (other.defective, other.types, other.split) == (sample.defective, sample.types, sample.split)
        assert [region.type for region in other.regions] == [region.type for region in sample.regions]
        for mine, theirs in zip(sample.regions, other.regions, strict=True):
            assert theirs.box == pytest.approx(mine.box, abs=0.01)
            assert _iou(mine.mask(HEIGHT, WIDTH), theirs.mask(HEIGHT, WIDTH)) == 1.0


def test_voc_keeps_the_boxes(tmp_path: Path, write: Any) -> None:
    lot = _lot(tmp_path / "in", write)
    again = _back(lot, tmp_path / "out", "voc")
    for sample in lot:
        other = again[sample.path.read_bytes()]
        assert (other.defective, other.types, other.split) == (sample.defective, sample.types, sample.split)
        boxes = [(region.type, region.box) for region in other.regions]
        for (name, box), region in zip(boxes, sample.regions, strict=True):
            assert name == region.type
            assert box == pytest.approx(region.box, abs=1.0)


@pytest.mark.parametrize("layout", ["csv", "mvtec"])
def test_one_mask_keeps_all_pixels(layout: str, tmp_path: Path, write: Any) -> None:
    lot = [sample for sample in _lot(tmp_path / "in", write, split=False) if len(sample.types) < 2]
    again = _back(lot, tmp_path / "out", layout)
    for sample in lot:
        other = again[sample.path.read_bytes()]
        assert (other.defective, other.types) == (sample.defective, sample.types)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        if other.mask:
            mask = cv2.imdecode(np.fromfile(other.mask, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(mask > 0, _whole(sample))


@pytest.mark.parametrize("layout", [*PLACED, "voc", "csv"])
def test_a_mask_file_becomes_its_parts(layout: str, tmp_path: Path, write: Any) -> None:
    mask = _ring()
    image = write(tmp_path / "in/1.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    drawn = write(tmp_path / "in/m.png", mask.astype(np.uint8) * 255)
    (other,) = _back([Sample(image, True, ("crack",), drawn)], tmp_path / "out", layout).values()
    assert other.types == ("crack",)
    if layout == "csv":
        assert other.mask
        return
    assert len(other.regions) == 3
    if layout != "voc":
        assert _iou(_whole(other), mask) == 1.0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("layout", PLACED)
def test_any_regions_come_back(layout: str, seed: int, tmp_path: Path, write: Any) -> None:
    rng = np.random.default_rng(seed)
    marked = []
    for _ in range(int(rng.integers(1, 7))):
        name = str(rng.choice(["a", "b b", "ü"]))
        x, y = rng.uniform(0, WIDTH - 12), rng.uniform(0, HEIGHT - 12)
        ring = rng.uniform(0, 11, (int(rng.integers(3, 9)), 2)) + np.array([x, y])
        noise = rng.random((HEIGHT, WIDTH)) < rng.uniform(0.02, 0.9)
        shape = [Rectangle(x, y, *rng.uniform(1, 11, 2)), Polygons.united([ring]), Runs.of(noise)][rng.integers(3)]
        assert signed_area(ring)
        marked.append(Region(name, shape))
    image = write(tmp_path / "in/1.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    sample = Sample(image, True, tuple(sorted({region.type for region in marked})), regions=tuple(marked))
    (other,) = _back([sample], tmp_path / "out", layout).values()
    assert other.types == sample.types
    for mine, theirs in zip(marked, other.regions, strict=True):
        assert theirs.type == mine.type
        assert theirs.box == pytest.approx(mine.box, abs=0.01)
        assert _iou(mine.mask(HEIGHT, WIDTH), theirs.mask(HEIGHT, WIDTH)) >= 0.99


def test_what_nobody_has_marked_is_told_or_kept(tmp_path: Path, write: Any) -> None:
    image, other = (write(tmp_path / f"{i}.png", np.full((20, 20), i, np.uint8)) for i in range(2))
    lot = [Sample(image, True, ("scratch",)), Sample(other, False)]
    for layout in ("labelme", "cvat", "csv", "mvtec"):
        again = _back(lot, tmp_path / layout, layout)
        assert (again[image.read_bytes()].defective, again[image.read_bytes()].types) == (True, ("scratch",))
    for layout in ("coco", "voc", "yolo"):
        with pytest.warns(DatasetWarning, match=r"1 images are defective and nobody has marked where"):
            assert [s.defective for s in read(export(lot, tmp_path / layout, layout))[1]] == [False]


@pytest.mark.parametrize("layout", ["voc", "yolo", "labelme", "csv"])
@pytest.mark.filterwarnings("ignore:.*pictures without annotations")
def test_an_image_without_a_label_stays_one(layout: str, tmp_path: Path, write: Any) -> None:
    image, other = (write(tmp_path / f"{i}.png", np.full((20, 20), i, np.uint8)) for i in range(2))
    again = _back([Sample(image, None), Sample(other, False)], tmp_path / "out", layout)
    assert [again[path.read_bytes()].defective for path in (image, other)] == [None, False]


@pytest.mark.parametrize("layout", ["coco", "cvat", "mvtec"])
def test_an_image_without_a_label_is_never_written_as_good(layout: str, tmp_path: Path, write: Any) -> None:
    image, other = (write(tmp_path / f"{i}.png", np.full((20, 20), i, np.uint8)) for i in range(2))
    with pytest.warns(DatasetWarning, match=r"1 images have no label"):
        again = _back([Sample(image, None), Sample(other, False)], tmp_path / "out", layout)
    assert list(again) == [other.read_bytes()]


@pytest.mark.parametrize("layout", [*PLACED, "voc", "csv", "mvtec"])
@pytest.mark.parametrize("kind", ["OK", "../ok", "good "])
def test_a_type_that_is_called_good_stays_a_defect(kind: str, layout: str, tmp_path: Path, write: Any) -> None:
    one, two = (write(tmp_path / f"{i}.png", np.full((20, 20), i, np.uint8)) for i in range(2))
    bad = Sample(one, True, (kind,), regions=(Region(kind, Rectangle(2, 2, 9, 9)),))
    again = _back([bad, Sample(two, False)], tmp_path / "out", layout)
    assert [again[path.read_bytes()].defective for path in (one, two)] == [True, False]
    assert all(path.is_relative_to(tmp_path / "out") for path in (sample.path for sample in again.values()))


def test_a_layout_that_needs_good_parts_says_so(tmp_path: Path, write: Any) -> None:
    with pytest.raises(InputError, match=r"needs good parts for training, and there is none"):
        export([Sample(write(tmp_path / "1.png", np.zeros((20, 20), np.uint8)), True)], tmp_path / "out", "mvtec")
    assert [entry.name for entry in tmp_path.iterdir()] == ["1.png"]


def test_images_without_a_side_are_left_out_where_others_have_one(tmp_path: Path, write: Any) -> None:
    one, two = (write(tmp_path / f"{i}.png", np.full((20, 20), i, np.uint8)) for i in range(2))
    with pytest.warns(DatasetWarning, match=r"1 images belong to neither train nor test"):
        again = _back([Sample(one, False, split="train"), Sample(two, False)], tmp_path / "out", "coco")
    assert list(again) == [one.read_bytes()]


def test_several_types_are_combined_in_mvtec_and_it_is_said(tmp_path: Path, write: Any) -> None:
    good, bad = (write(tmp_path / f"{i}.png", np.full((20, 20), i, np.uint8)) for i in range(2))
    with pytest.warns(DatasetWarning, match=r"have several types"):
        again = _back([Sample(good, False), Sample(bad, True, ("a", "b"))], tmp_path / "out", "mvtec")
    assert again[bad.read_bytes()].types == ("combined",)


def test_broken_images_and_masks_do_not_stop_an_export(tmp_path: Path, write: Any) -> None:
    good = write(tmp_path / "1.png", np.zeros((20, 20), np.uint8))
    broken, mask = tmp_path / "2.png", write(tmp_path / "m.png", np.ones((30, 20), np.uint8))
    broken.write_bytes(b"no image")
    with pytest.warns(DatasetWarning) as told:
        folder = export(
            [Sample(good, False), Sample(broken, False), Sample(good, True, ("a",), mask)], tmp_path / "out", "labelme"
        )
    said = " ".join(str(warning.message) for warning in told)
    assert "cannot be read and were left out" in said
    assert "has another size" in said
    assert sorted(sample.types for sample in read(folder)[1]) == [(), ("a",)]


def test_a_format_or_folder_that_cannot_be_used_is_named(tmp_path: Path, write: Any) -> None:
    lot = [Sample(write(tmp_path / "1.png", np.zeros((20, 20), np.uint8)), False)]
    with pytest.raises(InputError, match=r"'folders' cannot be written. Use one of: csv, coco, "):
        export(lot, tmp_path / "out", "folders")
    with pytest.raises(InputError, match=r"is in use. Name a new or an empty folder"):
        export(lot, tmp_path, "coco")
    with pytest.raises(InputError, match=r"no image to export"):
        export([], tmp_path / "out", "coco")
    assert [entry.name for entry in tmp_path.iterdir()] == ["1.png"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sightline.data.formats.picture.shutil.copyfile", fail)
    lot = [Sample(write(tmp_path / "in/1.png", np.zeros((20, 20), np.uint8)), False)]
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        export(lot, tmp_path / "out", "coco")
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


def test_every_layout_but_plain_folders_can_be_written() -> None:
    assert [name for name, layout in FORMATS.items() if layout.write is None] == ["folders", "flat"]


def _real(name: str) -> Path:
    if not (DATA / name).is_dir():
        reason = f"no real images at {DATA / name}; set SIGHTLINE_DATA to their folder"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return DATA / name


def test_real_steel_is_read_as_it_was_marked() -> None:
    layout, samples = read(_real("steel_voc"))
    assert layout == "voc"
    assert len(samples) == 1800
    assert sum(len(sample.regions) for sample in samples) == 4189
    types = {"crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"}
    assert {name for sample in samples for name in sample.types} == types
    assert all(sample.defective and sample.path.is_file() for sample in samples)


@pytest.mark.parametrize("layout", PLACED)
def test_real_tiles_go_out_and_come_back(layout: str, tmp_path: Path) -> None:
    _, samples = read(_real("magnetic_tile"))
    marked = [sample for sample in samples if sample.mask]
    lot = [*marked[:: len(marked) // 16][:16], *[sample for sample in samples if sample.defective is False][:4]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = _back(lot, tmp_path / "out", layout)
    assert len(again) == len(lot) == 20
    for sample in lot:
        other = again[sample.path.read_bytes()]
        assert (other.defective, other.types) == (sample.defective, sample.types)
        if sample.mask:
            mask = cv2.imdecode(np.fromfile(sample.mask, np.uint8), cv2.IMREAD_GRAYSCALE) > 0
            assert _iou(_whole(other, *mask.shape), mask) == 1.0


def test_a_dataset_opens_what_was_exported(tmp_path: Path, write: Any) -> None:
    parts = Dataset.open(export(_lot(tmp_path / "in", write), tmp_path / "out", "coco"))
    assert parts.layout == "coco"
    assert (len(parts.train), len(parts.test)) == (3, 3)
