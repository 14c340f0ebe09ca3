"""The real sets in one store: imported, versioned, and exported without loss."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sightline.core.sample import Sample
from sightline.data.dataset import Dataset
from sightline.data.export import export
from sightline.imaging.image import read_image
from sightline.imaging.mask import read_mask
from sightline.store.store import Store

DATA = Path(os.environ.get("SIGHTLINE_DATA", Path(__file__).parents[3] / "shared" / "data"))
SETS = ("cookies", "cubes", "magnetic_tile", "solar_cells", "steel_voc")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not DATA.is_dir() and os.environ.get("CI") != "true", reason="no real images here; see SIGHTLINE_DATA"
    ),
]


def told(sample: Sample) -> tuple[object, ...]:
    """All that a dataset says of an image, its name aside."""
    boxes = tuple(sorted((region.type, *np.round(region.box, 3)) for region in sample.regions))
    return sample.defective, sample.types, sample.grade, sample.mask is not None, boxes


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("sets")
    with Store.open(folder / "parts.db") as one:
        for name in SETS:
            done = one.add(Dataset.open(DATA / name, split=False), name, root=DATA / name)
            assert not done.refused
        yield one


@pytest.mark.parametrize("name", SETS)
def test_a_set_comes_back_as_it_was(store: Store, name: str) -> None:
    before = Dataset.open(DATA / name, split=False)
    after = list(store.samples(name))
    assert Counter(map(told, before)) == Counter(map(told, after))
    version = store.versions.snapshot(name, author="test")
    assert store.versions.snapshot(name, author="test").hash == version.hash  # the same content, the same version
    assert Counter(map(told, store.samples(f"{name}@1"))) == Counter(map(told, before))


def test_all_images_are_there_and_whole(store: Store) -> None:
    found = store.check()
    assert found.ok, found


def test_boxes_go_through_coco_without_loss(store: Store, tmp_path: Path) -> None:
    parts = list(store.samples("steel_voc"))[:200]
    again = Dataset.open(export(parts, tmp_path / "coco", "coco"), split=False)
    assert Counter(map(told, again)) == Counter(map(told, parts))


def test_masks_go_through_coco_without_loss(store: Store, tmp_path: Path) -> None:
    marked = [sample for sample in store.samples("magnetic_tile") if sample.mask is not None][:40]
    good = [sample for sample in store.samples("magnetic_tile") if sample.defective is False][:20]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = list(Dataset.open(export([*marked, *good], tmp_path / "coco", "coco"), split=False))
    assert len(again) == 60
    by_pixels = {read_image(sample.path)[0].tobytes(): sample for sample in again}
    for sample in marked:
        image = read_image(sample.path)[0]
        found = by_pixels[image.tobytes()]
        mask = np.zeros(image.shape[:2], bool)
        for region in found.regions:
            mask |= region.mask(*mask.shape)
        assert found.types == sample.types and np.array_equal(mask, read_mask(sample.mask))
