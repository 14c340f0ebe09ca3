"""Marked defects: what the discriminator learns from, and scores that are held out from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.data.dataset import Dataset
from sightline.models.backbone import backbone
from sightline.train.anomaly import marked as module
from sightline.train.anomaly.discriminator import FOLDS, deal_units
from sightline.train.anomaly.fitting import Fitted, fit_anomaly_head
from sightline.train.anomaly.held_out_distances import Comparer, Owners
from sightline.train.anomaly.marked import MIN_MARKED, deal_marked, read_marked_defects
from sightline.train.anomaly.memory_bank import Maps
from sightline.train.anomaly.synthetic import DefectMaps
from sightline.train.images.loader import ImageLoader, InputSize, Part, TrainingWarning, accept
from sightline.train.settings import TrainSettings

SIZE, ROI = InputSize(96, 128, 1.0), (0.0, 0.0, 1.0, 1.0)


def _quiet(stage: str, done: int, of: int) -> None:
    pass


@pytest.fixture(scope="module")
def defective(parts: Dataset) -> list[Part]:
    return [replace(part, unit=100 + part.unit) for part in accept([s for s in parts if s.defective])]


@pytest.fixture(scope="module")
def compare(fitted: Any) -> Comparer:
    owners = {}
    for name, level in fitted.head.levels.items():
        nobody = np.full(len(level.bank), -1)
        owners[name] = Owners(nobody, level.bank, nobody)
    return Comparer(Maps(fitted.extractor, backbone("lite0")), fitted.head, owners)


def test_marked_cells_lie_under_the_mask(compare: Comparer, defective: list[Part]) -> None:
    read = read_marked_defects(compare, ImageLoader(defective, SIZE, ROI), 0, _quiet)
    assert read is not None
    found, parts = read
    assert found.marked and parts == tuple(defective)
    assert found.cells.any(axis=(1, 2)).all() and not (found.cells & found.clear).any()
    near = found.distances["fine"][:, 0]
    assert near[found.cells].mean() > near[found.clear].mean() + near[found.clear].std()


@pytest.mark.parametrize("lacking", ["parts", "marks"])
def test_too_few_marks_teach_nothing(compare: Comparer, defective: list[Part], lacking: str) -> None:
    few = defective[: MIN_MARKED - 1]
    if lacking == "marks":
        few = [*few, *(replace(part, sample=replace(part.sample, mask=None)) for part in defective[MIN_MARKED - 1 :])]
    assert read_marked_defects(compare, ImageLoader(few, SIZE, ROI), 0, _quiet) is None


def test_marks_outside_of_the_region_of_interest_teach_nothing(
    compare: Comparer, defective: list[Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = np.concatenate([np.ones((1, 12, 16), np.float32), np.zeros((1, 12, 16), np.float32)])
    monkeypatch.setattr(module, "segmentation_target", lambda *given: nothing)
    assert read_marked_defects(compare, ImageLoader(defective, SIZE, ROI), 0, _quiet) is None


def test_a_defect_on_a_known_part_is_held_out_with_it() -> None:
    folds = deal_units(list(range(9)), seed=0)
    cells = np.zeros((4, 2, 2), bool)
    marked = DefectMaps({}, cells, ~cells, (3, 50, 51, 52), marked=True)
    dealt = deal_marked(marked, folds, seed=0)
    assert {unit: dealt[unit] for unit in folds} == folds
    assert sorted(dealt[unit] for unit in (50, 51, 52)) == list(range(FOLDS))


@pytest.fixture(scope="module")
def learned(fitted: Any, good_parts: list[Part], defective: list[Part]) -> Fitted:
    settings = TrainSettings(side_px=112, bank_size=256, sample_patches=4000, threads=1, synthetic=8)
    loaders = [ImageLoader(some, SIZE, ROI) for some in (good_parts, defective)]
    return fit_anomaly_head(Maps(fitted.extractor, backbone("lite0")), loaders[0], settings, _quiet, defects=loaders[1])


def test_five_marked_defects_are_enough_to_learn_from(learned: Fitted) -> None:
    assert learned.head.discriminator is not None
    assert learned.reasons["what sets defects apart"].startswith("weight 0.5 ")


def test_scores_of_marked_defects_are_held_out(learned: Fitted, fitted: Any, defective: list[Part]) -> None:
    """The finished head has learned from all of them; a threshold must rest on what it would say of the next one."""
    assert set(learned.marked) == {part.hash for part in defective}
    loader = ImageLoader(defective, SIZE, ROI)
    prepared = [loader(part) for part in defective]
    images = [x.images for x in prepared if x is not None]
    finished = [float(learned.head(fitted.extractor(image))[1][0]) for image in images]
    held_out = [learned.marked[part.hash] for part in defective]
    assert np.mean(held_out) < np.mean(finished)
    assert min(held_out) > float(np.median(learned.held_out.scores))


def test_marks_that_cannot_be_read_leave_drawings_too_few_to_learn_from(
    fitted: Any, good_parts: list[Part], defective: list[Part], tmp_path: Path
) -> None:
    broken = tmp_path / "mask.png"
    broken.write_bytes(b"no picture")
    unusable = [replace(part, sample=replace(part.sample, mask=broken)) for part in defective]
    settings = TrainSettings(side_px=112, bank_size=256, sample_patches=4000, threads=1, synthetic=8)
    loaders = [ImageLoader(some, SIZE, ROI) for some in (good_parts, unusable)]
    maps_of = Maps(fitted.extractor, backbone("lite0"))
    with pytest.warns(TrainingWarning, match="not used"):
        found = fit_anomaly_head(maps_of, loaders[0], settings, _quiet, defects=loaders[1])
    assert found.head.discriminator is None and not found.marked
