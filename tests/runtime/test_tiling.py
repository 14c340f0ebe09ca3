"""Tiles: they cover every pixel, their heat has no seam, and no tile can hide what it saw."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.card import Bounded, Calibration, Card, Provenance, Tiles
from sightline.core.card import OutOfDistribution as OutOfDistributionCard
from sightline.core.result import Band, Verdict
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.runtime.tiling import (
    MAX_HEAT_CELLS,
    HeatMerger,
    at_once,
    cut,
    lay_tiles,
    onto_canvas,
    read_tiles,
    worst,
)

TILE = (64, 96)
SIZES = [(64, 96), (65, 97), (101, 203), (640, 96), (64, 961), (333, 777), (1001, 130)]
WHOLE = (0.0, 0.0, 1.0, 1.0)
Image = NDArray[np.uint8]


def _noise(high: int, wide: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (high, wide, 3), dtype=np.uint8)


# Where tiles lie


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("overlap", [0, 1, 8, 31, 32])
def test_tiles_cover_everything_with_the_overlap(size: tuple[int, int], overlap: int) -> None:
    tiling = lay_tiles(size, TILE, overlap)
    for starts, length, tile in zip((tiling.tops, tiling.lefts), size, TILE, strict=True):
        assert starts[0] == 0
        assert starts[-1] + tile == length
        steps = np.diff(starts)
        assert (steps <= tile - overlap).all()
        assert steps.size == 0 or steps.max() - steps.min() <= 1
    fewest = [max(1, math.ceil((side - overlap) / (tile - overlap))) for side, tile in zip(size, TILE, strict=True)]
    assert len(tiling) == fewest[0] * fewest[1]
    assert tiling.whole.padded == 0


def test_every_tile_is_full_of_image() -> None:
    image = _noise(333, 777)
    tiling = lay_tiles(image.shape[:2], TILE, 16)
    tiles = cut(onto_canvas(image, tiling), tiling, range(len(tiling)))
    assert tiles.shape == (len(tiling), *TILE, 3)
    for index, tile in enumerate(tiles):
        letterbox = tiling.letterbox(index)
        x, y, w, h = letterbox.crop
        assert letterbox.inner == (0, 0, 96, 64)
        assert np.array_equal(tile, image[y : y + h, x : x + w])


def test_an_image_at_scale_one_is_not_copied() -> None:
    image = _noise(333, 777)
    assert np.shares_memory(onto_canvas(image, lay_tiles((333, 777), TILE, 16)), image)
    part = onto_canvas(image, lay_tiles((333, 777), TILE, 16, roi=(0.25, 0.25, 0.5, 0.5)))
    assert np.shares_memory(part, image)
    assert np.array_equal(part, image[83 : 83 + 166, 194 : 194 + 388])


def test_a_scaled_image_is_filtered_by_area() -> None:
    image = _noise(400, 600)
    tiling = lay_tiles((400, 600), TILE, 16, scale=0.5)
    canvas = onto_canvas(image, tiling)
    assert tiling.whole.inner == (0, 0, 300, 200)
    assert np.array_equal(canvas, cv2.resize(image, (300, 200), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("size", [(40, 50), (40, 777), (333, 50)])
def test_an_image_smaller_than_a_tile_gets_a_border(size: tuple[int, int]) -> None:
    image = _noise(*size)
    tiling = lay_tiles(size, TILE, 16)
    canvas = onto_canvas(image, tiling)
    left, top, wide, high = tiling.whole.inner
    assert (high, wide) == size
    assert np.array_equal(canvas[top : top + high, left : left + wide], image)
    assert tiling.whole.padded > 0
    outside = np.ones(canvas.shape[:2], bool)
    outside[top : top + high, left : left + wide] = False
    assert (canvas[outside] == 127).all()
    for index in range(len(tiling)):
        (tile,) = cut(canvas, tiling, [index])
        x, y, w, h = tiling.letterbox(index).inner
        assert (tile[:y] == 127).all() and (tile[y + h :] == 127).all()
        assert (tile[:, :x] == 127).all() and (tile[:, x + w :] == 127).all()


def test_what_nearly_fills_a_tile_is_stretched() -> None:
    assert lay_tiles((60, 90), TILE, 16).whole.inner == (0, 0, 96, 64)
    assert lay_tiles((50, 90), TILE, 16).whole.inner == (0, 7, 96, 50)


# Merging


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("overlap", [0, 7, 32])
def test_what_is_cut_and_merged_is_what_it_was(size: tuple[int, int], overlap: int) -> None:
    """With one heat cell per px, any field comes back: wherever tiles overlap, their weights sum to 1."""
    tiling = lay_tiles(size, TILE, overlap)
    for field in (np.full(size, 3.25, np.float32), np.random.default_rng(0).normal(size=size).astype(np.float32)):
        merger = HeatMerger(tiling, TILE, stride=1)
        for index in range(len(tiling)):
            merger.add(index, cut(field, tiling, [index])[0])  # type: ignore[arg-type]
        assert merger.merged().shape == size
        assert np.abs(merger.merged() - field).max() <= 1e-5


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1.0, 0.61])
def test_a_smooth_field_has_no_seam(size: tuple[int, int], scale: float) -> None:
    """A slope seen in cells of 8 px comes back as that slope, but for the last half cell at the image's edge."""
    tiling = lay_tiles(size, TILE, 24, scale=scale)
    merger = HeatMerger(tiling, (8, 12))
    left, top, wide, high = tiling.whole.inner
    for index in range(len(tiling)):
        y, x = tiling.corner(index)
        rows, columns = y + 4 + 8 * np.arange(8) - top, x + 4 + 8 * np.arange(12) - left
        merger.add(index, (0.01 * rows[:, None] + 0.02 * columns).astype(np.float32))
    heat = merger.merged()
    rows = (np.arange(heat.shape[0]) + 0.5) * high / heat.shape[0]
    columns = (np.arange(heat.shape[1]) + 0.5) * wide / heat.shape[1]
    expected = 0.01 * rows[:, None] + 0.02 * columns
    inner = np.ix_((rows > 4) & (rows < high - 4), (columns > 4) & (columns < wide - 4))
    assert np.abs(heat - expected)[inner].max() <= 1e-5


def test_the_edge_of_a_tile_does_not_show_where_a_neighbour_sees_more() -> None:
    tiling = lay_tiles((256, 256), (128, 128), 32)
    merger = HeatMerger(tiling, (16, 16))
    heat = np.zeros((16, 16), np.float32)
    heat[[0, -1]] = heat[:, [0, -1]] = 100.0  # what padding does to the outermost cells
    for index in range(len(tiling)):
        merger.add(index, heat)
    merged = merger.merged()
    assert merged[0, 0] == pytest.approx(100)  # at the image's edge there is no neighbour
    assert np.abs(merged[4:-4, 4:-4]).max() < 25


def test_the_region_of_interest_is_put_back_at_its_place() -> None:
    tiling = lay_tiles((400, 800), TILE, 16, roi=(0.25, 0.5, 0.5, 0.5))
    merger = HeatMerger(tiling, (8, 12))
    for index in range(len(tiling)):
        merger.add(index, np.ones((8, 12), np.float32))
    heat = merger.merged()
    assert heat.shape == (100, 200)
    assert heat[50:, 50:150] == pytest.approx(1)
    assert heat.sum() == pytest.approx(50 * 100)


@pytest.mark.parametrize("size", [(6000, 8000), (20_000, 30_000), (200, 100_000)])
@pytest.mark.parametrize("roi", [WHOLE, (0.4, 0.4, 0.05, 0.05)])
def test_the_heat_grid_is_bounded(size: tuple[int, int], roi: tuple[float, float, float, float]) -> None:
    tiling = lay_tiles(size, (512, 512), 64, roi)
    heat = HeatMerger(tiling, (64, 64)).merged()
    assert 0.5 * MAX_HEAT_CELLS < heat.size <= 1.1 * MAX_HEAT_CELLS
    assert heat.shape[1] / heat.shape[0] == pytest.approx(size[1] / size[0], rel=0.2)  # a thin region: few cells


def test_a_tile_that_gives_no_number_marks_its_place() -> None:
    tiling = lay_tiles((64, 300), TILE, 16)
    merger = HeatMerger(tiling, (8, 12))
    for index in range(len(tiling)):
        merger.add(index, np.full((8, 12), np.nan if index == 1 else 1.0, np.float32))
    heat = merger.merged()
    assert np.isnan(heat).any() and np.isfinite(heat).any()


@pytest.mark.parametrize(
    ("tile", "bank", "expected"), [(512, 4096, 2), (1024, 4096, 1), (128, 4096, 4), (512, 65536, 1)]
)
def test_the_engine_gets_a_bounded_number_of_tiles(tile: int, bank: int, expected: int) -> None:
    assert at_once((tile, tile), bank) == expected


# Scores


def _fake(scores: list[float]) -> Any:
    left = list(scores)

    def run(images: Image) -> dict[str, NDArray[Any]]:
        mine = [left.pop(0) for _ in images]
        return {
            "score": np.array(mine, np.float32),
            "p_value": np.array([0.5 - 0.1 * value for value in mine], np.float32),
            "heatmap": np.array(mine, np.float32)[:, None, None] * np.ones((1, 8, 12), np.float32),
            "embedding": np.array(mine, np.float32)[:, None] * np.ones((1, 3), np.float32),
            "ood": np.array(mine, np.float32)[:, None] * np.array([[0.6, -0.8]], np.float32),
        }

    return run


@pytest.mark.parametrize("together", [1, 2, 3, 100])
def test_the_worst_tile_scores_for_the_image(together: int) -> None:
    tiling = lay_tiles((64, 400), TILE, 16)
    scores = [1.0, 2.0, 4.0, -1.0, 0.0]
    reading = read_tiles(_fake(scores), _noise(64, 400), tiling, together)
    assert len(tiling) == 5
    assert reading.score == 4.0
    assert reading.p_value == pytest.approx(0.1)
    assert reading.embedding == pytest.approx(np.full(3, 1.2))
    assert reading.heat.shape == (16, 100)
    assert reading.distance == pytest.approx(1.2)  # of the tiles' mean deviation, (.72, -.96)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(3))
def test_a_score_that_is_no_number_is_not_swallowed(bad: float, place: int) -> None:
    scores = np.zeros(3, np.float32)
    scores[place] = bad
    assert not math.isfinite(worst([scores[:2], scores[2:]]))


# The inspector. Its recipe is the shared one, said to be made of tiles: its images are 128 x 96 px.


def _tiled(recipe: Recipe, **changes: Any) -> Recipe:
    import onnx

    from sightline.train.export.graph import with_card

    tiles = Tiles(overlap_px=32, least=1, most=200)
    card = recipe.card.model_copy(update={"tiles": tiles, "scale": 1.0, **changes})
    return Recipe(with_card(onnx.load_from_string(recipe.data), card), card)


@pytest.fixture(scope="module")
def tiled(recipe: Recipe) -> Inspector:
    return Inspector(_tiled(recipe), threads=1)


def _field(draw: Any, rows: int, columns: int) -> Image:
    """A tray of good parts."""
    return np.vstack([np.hstack([draw(800 + r * columns + c)[0] for c in range(columns)]) for r in range(rows)])


def test_the_score_is_that_of_the_worst_tile_alone(
    tiled: Inspector, recipe: Recipe, judge: Inspector, draw: Any
) -> None:
    image = _field(draw, 2, 3)
    result = tiled.inspect(image)
    size = (recipe.card.height, recipe.card.width)
    tiling = lay_tiles(image.shape[:2], size, 32)
    assert len(tiling) == 3 * 4
    single = [judge.inspect(tile) for tile in cut(image, tiling, range(len(tiling)))]
    assert result.score == pytest.approx(max(one.score for one in single), abs=1e-4)
    assert result.p_value == min(one.p_value for one in single)
    assert result.embedding == pytest.approx(np.mean([one.embedding for one in single], axis=0), abs=1e-4)
    assert result.heat.shape == (image.shape[0] // 4, image.shape[1] // 4)
    assert set(result.times_ms) == {"decode", "prepare", "infer", "regions", "total"}


def test_an_image_of_one_tile_scores_as_without_tiles(tiled: Inspector, judge: Inspector, draw: Any) -> None:
    image, _ = draw(703, flawed=True)
    with_tiles, without = tiled.inspect(image), judge.inspect(image)
    assert with_tiles.score == pytest.approx(without.score, abs=1e-4)
    assert with_tiles.verdict is without.verdict
    assert np.allclose(with_tiles.heat, without.heat, atol=2e-2 * np.abs(without.heat).max())


@pytest.mark.parametrize("shift", [(0, 0), (24, 0), (0, 40), (17, 23)])
def test_a_flaw_on_a_seam_is_one_region_at_its_place(shift: tuple[int, int], recipe: Recipe, draw: Any) -> None:
    image = _field(draw, 4, 4)
    tiling = lay_tiles(image.shape[:2], (recipe.card.height, recipe.card.width), 32)
    # The middle of the overlap of two rows and two columns of tiles, then off it.
    y = (tiling.tops[1] + tiling.tops[0] + 96) // 2 + shift[0]
    x = (tiling.lefts[1] + tiling.lefts[0] + 128) // 2 + shift[1]
    clean = Inspector(_tiled(recipe), threads=1).inspect(image)
    cv2.circle(image, (x, y), 9, (250, 250, 10), -1)
    hot = float(clean.heat.max()) * 1.05  # such trays are not what the recipe knows: only what is new counts
    calibration = recipe.card.calibration.model_copy(update={"heat_threshold": hot})
    result = Inspector(_tiled(recipe, calibration=calibration), threads=1).inspect(image)
    assert result.verdict is Verdict.NG
    assert result.heat.max() > hot
    (defect,) = result.defects
    left, top, wide, high = defect.box
    assert abs(left + wide / 2 - x) <= 12 and abs(top + high / 2 - y) <= 12


def test_the_region_of_interest_is_tiled_alone(recipe: Recipe, draw: Any, tiled: Inspector) -> None:
    image = _field(draw, 2, 3)
    inspector = Inspector(_tiled(recipe, roi=(1 / 3, 0.5, 2 / 3, 0.5)), threads=1)
    result, alone = inspector.inspect(image), tiled.inspect(image[96:, 128:])
    assert result.score == pytest.approx(alone.score, abs=1e-4)
    assert result.heat.shape == (48, 96)
    assert np.allclose(result.heat[24:, 32:], alone.heat, atol=1e-4)
    assert not result.heat[:24].any() and not result.heat[:, :32].any()


def test_many_and_one_agree(tiled: Inspector, draw: Any) -> None:
    images = [_field(draw, 1, 2), _field(draw, 2, 1), draw(5)[0]]
    for one, image in zip(tiled.inspect_many(images), images, strict=True):
        assert one.score == pytest.approx(tiled.inspect(image).score, abs=1e-5)


@pytest.mark.parametrize("output", ["score", "heatmap"])
@pytest.mark.parametrize("index", [0, 2, 5])
def test_one_tile_without_a_number_is_never_ok(
    output: str, index: int, tiled: Inspector, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, observed = tiled._session.run, [0]

    def spoil(arrays: dict[str, Any]) -> dict[str, Any]:
        outputs = {name: np.array(array) for name, array in run(arrays).items()}
        if 0 <= index - observed[0] < len(arrays["image"]):
            outputs["score"][index - observed[0]] = np.nan
            outputs[output][index - observed[0]] = np.nan
        observed[0] += len(arrays["image"])
        return outputs

    monkeypatch.setattr(tiled._session, "run", spoil)
    result = tiled.inspect(_field(draw, 2, 2))
    assert not math.isfinite(result.score)
    assert result.verdict is Verdict.NG
    assert result.overlay().image.shape == result.image.shape


def test_far_more_or_fewer_tiles_than_in_training_are_warned_about(recipe: Recipe, draw: Any) -> None:
    inspector = Inspector(_tiled(recipe, tiles=Tiles(overlap_px=32, least=6, most=6)), threads=1)
    assert inspector.inspect(_field(draw, 2, 2)).warnings == ()
    (many,) = inspector.inspect(_field(draw, 3, 4)).warnings
    assert "512 x 288 px" in many and "those of the training made 6" in many and many.endswith("for this view")
    (one,) = inspector.inspect(draw(0)[0]).warnings
    assert "makes 1 tile, " in one


def test_a_mostly_empty_tile_is_warned_about(tiled: Inspector, draw: Any) -> None:
    (warning,) = tiled.inspect(draw(0, height=40, width=600)[0]).warnings
    assert "600 x 40 px" in warning and "border" in warning


# Overlays and memory


def test_an_overlay_in_bands_is_the_overlay(judge: Inspector, draw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result = judge.inspect(draw(701, flawed=True)[0])
    whole = result.overlay().image
    monkeypatch.setattr("sightline.runtime.drawing.BAND_ROWS", 7)
    assert np.array_equal(replace(result).overlay().image, whole)


# Not ru_maxrss: that counts what the forking test run had, too.
MEMORY = """
import sys
from pathlib import Path
from sightline.runtime.inspector import Inspector
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
result = Inspector(sys.argv[1], threads=2).inspect(sys.argv[2])
inspected = peak()
result.overlay().save(sys.argv[3])
drawn = peak()
print(inspected // 1024, drawn // 1024, result.verdict, result.image.shape[1], result.heat.size)
"""


@pytest.mark.slow
def test_an_image_of_8000_by_6000_px_stays_below_2_gb(recipe: Recipe, tmp_path: Path, write: Any) -> None:
    """With a bank of the default size and tiles of 512 px, in a process of its own."""
    path = write(tmp_path / "large.jpg", _texture(99, 6000, 8000))
    recipe_path = _large_recipe(tmp_path)
    command = [sys.executable, "-c", MEMORY, str(recipe_path), str(path), str(tmp_path / "overlay.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    inspected, drawn, _, wide, cells = done.stdout.split()
    assert int(wide) == 8000
    assert int(inspected) < 1600 and int(drawn) < 2000
    assert int(cells) <= MAX_HEAT_CELLS


def _texture(seed: int, high: int, wide: int) -> Image:
    coarse = np.random.default_rng(seed).integers(70, 180, (high // 8, wide // 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (wide, high), interpolation=cv2.INTER_CUBIC), np.uint8)


def _large_recipe(folder: Path) -> Path:
    """A graph of the default size with random numbers in it: memory does not ask what a recipe knows."""
    from sightline.models.anomaly import OutOfDistribution
    from sightline.models.memory_bank import AnomalyHead, Level
    from sightline.train.backbone.extractor import backbone_onnx
    from sightline.train.export.graph import recipe_model, with_card

    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    sizes = {"fine": (4096, (40, 112)), "coarse": (2048, (112, 320))}
    names = {"fine": ("stride_8", "stride_16"), "coarse": ("stride_16", "stride_32")}
    levels = {
        name: Level(
            names[name], channels, True, np.zeros(sum(channels), np.float32), numbers(sum(channels), 64),
            numbers(entries, 64),
        )
        for name, (entries, channels) in sizes.items()
    }  # fmt: skip
    head = AnomalyHead(levels, 0.7, (0.003, 0.03, 0.3))
    head.score.centres, head.score.scales = np.zeros(3, np.float32), np.ones(3, np.float32)
    head.ood = OutOfDistribution(names["coarse"], np.zeros((864, 864), np.float32), np.zeros(864, np.float32))
    none = Bounded(count=0, of=9, upper=0.3, confidence=0.95)
    calibration = Calibration(
        method="leave-one-image-out", good=9, defective=0, overkill=none, review=none, escape=None,
        heat_threshold=1e9, promises=(),
    )  # fmt: skip
    card = Card(
        product="plate", backbone="lite0", width=512, height=512, scale=1.0, bank=4096,
        tiles=Tiles(overlap_px=64, least=252, most=252), band=Band(low=1e9, high=2e9), calibration=calibration,
        ood=OutOfDistributionCard(parts=9, median=0.4, outside=none, lowest_score=-1e9),
        trained_on=(), provenance=Provenance(created="", dataset="", settings={}, seed=0, versions={}),
    )  # fmt: skip
    model = recipe_model(backbone_onnx("lite0"), head, np.zeros(9, np.float32), (512, 512), "stride_32")
    path = folder / "large.onnx"
    path.write_bytes(with_card(model, card))
    return path
