"""Training on tiles: a part scores as its worst tile, held out as a whole, and memory does not grow with pixels."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import sightline
from sightline.core.result import Verdict
from sightline.core.sample import Sample
from sightline.models.backbone import backbone
from sightline.models.memory_bank import level_features
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.anomaly import fitting as reading
from sightline.train.anomaly import held_out_maps
from sightline.train.anomaly.fitting import HeldOut, fit_anomaly_head
from sightline.train.anomaly.memory_bank import Maps, sample_patches
from sightline.train.anomaly.selection import Chosen
from sightline.train.images.loader import ImageLoader, InputSize, accept
from sightline.train.settings import TrainSettings

WHOLE = (0.0, 0.0, 1.0, 1.0)
SIZE = InputSize(128, 128, 1.0, overlap=32)
SETTINGS = TrainSettings(
    tile_px=128, bank_size=256, sample_patches=4000, brightness=0, threads=1, synthetic=0, coarse_weight=1.0
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Two cores are shared: torch threads that wait for each other would take most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, write: Any, draw: Any) -> list[Sample]:
    """Eight trays of 300 x 230 px, good, and two with a flaw."""
    folder = tmp_path_factory.mktemp("trays")
    return [
        Sample(write(folder / f"{i}.png", draw(i, flawed=i >= 8, height=230, width=300)[0]), defective=i >= 8)
        for i in range(10)
    ]


def _loader(samples: list[Sample]) -> ImageLoader:
    return ImageLoader(accept([sample for sample in samples if not sample.defective]), SIZE, WHOLE)


def _fit(extractor: Any, loader: ImageLoader, progress: Any = lambda stage, done, of: None) -> tuple[Any, HeldOut]:
    found = fit_anomaly_head(Maps(extractor, backbone("lite0")), loader, SETTINGS, progress)
    return found.head, found.held_out


@pytest.fixture(scope="module")
def full(onnx_backbone: Any, samples: list[Sample]) -> tuple[Any, HeldOut]:
    """Fitted with all maps kept, in one pass."""
    return _fit(onnx_backbone, _loader(samples))


def test_a_held_out_part_scores_as_its_worst_tile(onnx_backbone: Any, samples: list[Sample], full: Any) -> None:
    loader = _loader(samples)
    head, held_out = full
    first = loader(loader.parts[0])
    assert first is not None and len(first) == 3 * 3
    assert len(held_out.scores) == len(held_out.peaks) == len(held_out.parts) == 8
    assert np.isfinite(held_out.scores).all()
    all_known = []
    for part in held_out.parts:
        tiles = loader(part).images  # type: ignore[union-attr]
        known = max(float(head(onnx_backbone(image[None]))[1][0]) for image in tiles)
        assert known == pytest.approx(float(head(onnx_backbone(tiles))[1].max()), abs=1e-3)
        all_known.append(known)
    assert held_out.scores.mean() > np.mean(all_known)  # their own patches would have vouched for them


def test_few_kept_maps_change_the_scales_a_little_and_nothing_else(
    onnx_backbone: Any, samples: list[Sample], full: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (head, held_out), stages = full, []
    monkeypatch.setattr("sightline.train.anomaly.held_out_distances.FITTED_MAPS", 17)
    few_head, few = _fit(onnx_backbone, _loader(samples), lambda *stage: stages.append(stage))
    assert ("scoring every tile", 7, 8) in stages
    for name, level in few_head.levels.items():
        assert np.array_equal(level.bank, head.levels[name].bank)
        assert float(level.centre) == pytest.approx(float(head.levels[name].centre), rel=0.1)
    assert len(few.scores) == len(held_out.scores)
    assert np.corrcoef(few.peaks, held_out.peaks)[0, 1] > 0.9
    assert np.corrcoef(few.scores, held_out.scores)[0, 1] > 0.9


def test_two_passes_equal_one(
    onnx_backbone: Any, samples: list[Sample], full: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the scales held fixed, scoring tile by tile is the same as scoring from maps that were kept."""
    head, one = full

    def keep(other: Any, distances: Any) -> None:
        for name, level in other.levels.items():
            same = head.levels[name]
            level.centre, level.floor, level.scale = same.centre, same.floor, same.scale
        other.score = head.score

    monkeypatch.setattr(held_out_maps, "fit_scales", keep)
    monkeypatch.setattr(reading, "choose", lambda other, known, *_, **__: Chosen(other.fuse(known.distances), {}, 0.0))
    monkeypatch.setattr(head.score, "fit", lambda heat: None)
    monkeypatch.setattr("sightline.train.anomaly.held_out_distances.FITTED_MAPS", 8)
    _, two = _fit(onnx_backbone, _loader(samples))
    assert two.scores == pytest.approx(one.scores, abs=1e-3)
    assert two.peaks == pytest.approx(one.peaks, abs=1e-3)


def test_every_tile_may_give_patches_and_none_more_than_its_share(
    onnx_backbone: Any, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def count(maps: Any, pooled: bool) -> Any:
        calls.append(1)
        return level_features(maps, pooled)

    monkeypatch.setattr("sightline.train.anomaly.memory_bank.level_features", count)
    monkeypatch.setattr("sightline.train.anomaly.memory_bank.SAMPLED_TILES", 2)
    maps_of = Maps(onnx_backbone, backbone("lite0"))
    found, _ = sample_patches(maps_of, _loader(samples), 4000, 0.2, np.random.default_rng(0), lambda *_: None)
    assert len(calls) == 8 * 3 * 2 * 2  # parts, lights, tiles, levels
    features, units = found["fine"].take()
    assert len(features) == len(units) == 8 * 3 * 2 * -(-(4000 // 24) // 2)
    assert np.bincount(units).tolist() == [len(units) // 8] * 8


@pytest.fixture(scope="module")
def recipe(samples: list[Sample]) -> Recipe:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sightline.train(samples, **SETTINGS.model_dump())


def test_a_recipe_of_tiles_says_so_and_works(recipe: Recipe, samples: list[Sample], draw: Any) -> None:
    card = recipe.card
    assert (card.width, card.height, card.scale) == (128, 128, 1.0)
    assert card.tiles is not None
    assert (card.tiles.overlap_px, card.tiles.least, card.tiles.most) == (32, 9, 9)
    assert card.parity is not None and card.parity.images >= 2 * 8
    inspector = Inspector(recipe, threads=1)
    good = [inspector.inspect(draw(50 + i, height=230, width=300)[0]) for i in range(4)]
    image, mask = draw(60, flawed=True, height=230, width=300)
    flawed = inspector.inspect(image)
    assert max(result.score for result in good) < flawed.score
    assert flawed.verdict is not Verdict.OK
    assert flawed.warnings == ()
    row, column = np.unravel_index(int(flawed.heatmap.argmax()), mask.shape)
    flaw = np.argwhere(mask > 0).mean(axis=0)
    assert np.hypot(row - flaw[0], column - flaw[1]) <= 16


def test_known_defects_are_scored_as_on_the_line(recipe: Recipe, samples: list[Sample]) -> None:
    """The thresholds rest on scores that the line would give: no labelled defect is OK."""
    inspector = Inspector(recipe, threads=1)
    assert recipe.card.calibration.defective == 2
    assert all(inspector.inspect(sample.path).verdict is not Verdict.OK for sample in samples if sample.defective)


def test_a_recipe_of_tiles_is_evaluated(recipe: Recipe, tmp_path: Path, write: Any, draw: Any) -> None:
    tests = []
    for i in range(8):
        image, mask = draw(70 + i, flawed=i >= 4, height=230, width=300)
        path = write(tmp_path / f"{i}.png", image)
        marked = write(tmp_path / f"{i}-mask.png", mask) if i >= 4 else None
        tests.append(Sample(path, i >= 4, mask=marked))
    evaluation = sightline.evaluate(recipe, tests)
    assert evaluation.image_auroc == 1.0
    assert evaluation.aupro is not None and evaluation.aupro > 0.7


# Not ru_maxrss: that counts what the forking test run had, too.
MEMORY = """
import sys, warnings
warnings.simplefilter("ignore")
import sightline
from sightline.core.sample import Sample
samples = [Sample(path, False) for path in sys.argv[1:]]
card = sightline.train(samples, tile_px=512, threads=1, brightness=0, calibration_images=5).card
peak_kb = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak_kb // 1024, card.tiles.most)
"""


@pytest.mark.slow
def test_training_on_large_images_is_bounded(tmp_path: Path, write: Any) -> None:
    """Six images of 4,000 x 3,000 px, in a process of its own."""
    paths = []
    for seed in range(6):
        coarse = np.random.default_rng(seed).integers(70, 180, (375, 500, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (4000, 3000), interpolation=cv2.INTER_CUBIC)
        paths.append(str(write(tmp_path / f"{seed}.jpg", image)))
    done = subprocess.run([sys.executable, "-c", MEMORY, *paths], capture_output=True, text=True, check=True)
    peak_mb, tiles = map(int, done.stdout.split())
    assert tiles == 9 * 7
    assert peak_mb < 1200
