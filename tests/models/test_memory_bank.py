"""The memory bank, piece by piece against what each piece says it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sightline.models.arrays import pool, smooth
from sightline.models.memory_bank import (
    AnomalyHead,
    ImageScore,
    Level,
    gaussian,
    level_features,
    nearest,
    top_count,
)

LEVELS = {"fine": ("stride_8", "stride_16"), "coarse": ("stride_16", "stride_32")}
CHANNELS = {"stride_8": 5, "stride_16": 7, "stride_32": 9}
STRIDES = {"stride_8": 8, "stride_16": 16, "stride_32": 32}


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def _maps(count: int = 2, height: int = 64, width: int = 96, seed: int = 0) -> dict[str, Tensor]:
    return {
        name: _random(count, c, height // STRIDES[name], width // STRIDES[name], seed=seed + STRIDES[name])
        for name, c in CHANNELS.items()
    }


def _level(name: str, entries: int = 20, size: int = 4) -> Level:
    channels = tuple(CHANNELS[source] for source in LEVELS[name])
    total = sum(channels)
    numbers = _random(total), _random(total, size, seed=1) / total, _random(entries, size, seed=2)
    return Level(LEVELS[name], channels, True, *numbers)


@pytest.fixture
def head() -> AnomalyHead:
    return AnomalyHead({name: _level(name) for name in LEVELS}, sigma=0.7, fractions=(0.01, 0.3))


# Distances


def test_nearest_is_what_brute_force_finds() -> None:
    keys, bank = _random(300, 16), _random(70, 16, seed=1)
    assert torch.allclose(nearest(keys, bank), torch.cdist(keys, bank).amin(1), atol=1e-4)


def test_banned_entries_are_not_used() -> None:
    keys, bank = _random(300, 16), _random(70, 16, seed=1)
    banned = torch.arange(70) % 3 == 0
    expected = torch.cdist(keys, bank[~banned]).amin(1)
    assert torch.allclose(nearest(keys, bank, banned), expected, atol=1e-4)
    assert not torch.allclose(nearest(keys, bank), expected, atol=1e-4)


def test_an_entry_of_the_bank_is_at_no_distance() -> None:
    bank = _random(70, 16)
    assert nearest(bank, bank).max() < 0.01
    assert not nearest(bank, bank).isnan().any()


def test_with_every_entry_banned_the_distance_is_infinite() -> None:
    bank = _random(10, 4)
    assert nearest(bank, bank, torch.ones(10, dtype=torch.bool)).isinf().all()


def test_a_level_measures_in_the_plane_of_its_directions() -> None:
    level, maps = _level("fine"), _maps()
    features = level.features(maps)
    flat = features.permute(0, 2, 3, 1).reshape(-1, 12)
    expected = torch.cdist((flat - level.mean) @ level.directions, level.bank).amin(1).view(2, 1, 8, 12)
    assert torch.allclose(nearest(level.keys(maps)[0], level.bank).view(2, 1, 8, 12), expected, atol=1e-4)


def test_standardised_distances_are_in_units_of_their_spread() -> None:
    level = _level("fine")
    level.centre, level.scale = 3.0, 2.0
    assert level.standardise(torch.tensor([3.0, 5.0, 1.0])).tolist() == [0.0, 1.0, -1.0]


def test_distances_below_the_floor_are_not_told_apart() -> None:
    level = _level("fine")
    level.floor = 0.5
    assert level.standardise(torch.tensor([0.0, 0.1, 0.5, 0.6])).tolist() == pytest.approx([0.5, 0.5, 0.5, 0.6])
    assert level.standardise(torch.tensor([torch.nan])).isnan()


# Features


@pytest.mark.parametrize(("name", "channels", "grid"), [("fine", 12, (8, 12)), ("coarse", 16, (4, 6))])
def test_a_level_joins_two_strides_on_the_finer_grid(name: str, channels: int, grid: tuple[int, int]) -> None:
    assert level_features([_maps()[source] for source in LEVELS[name]], pooled=True).shape == (2, channels, *grid)


def test_the_average_over_3x3_counts_cells_beyond_the_border_as_zero() -> None:
    values = _random(1, 1, 5, 6)[0, 0]
    pooled = pool(values[None, None])[0, 0]
    for y in range(5):
        for x in range(6):
            around = values[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            assert float(pooled[y, x]) == pytest.approx(float(around.sum()) / 9, abs=1e-5)


def test_flat_maps_make_flat_features() -> None:
    maps = [torch.full((1, CHANNELS[n], 64 // s, 96 // s), float(s)) for n, s in list(STRIDES.items())[:2]]
    features = level_features(maps, pooled=True)[..., 3:-3, 3:-3]  # away from the border, where zeros are counted
    assert torch.allclose(features[:, :5], torch.tensor(8.0))
    assert torch.allclose(features[:, 5:], torch.tensor(16.0))


def test_without_averaging_the_maps_come_as_they_are() -> None:
    maps = [_random(1, 5, 8, 12), _random(1, 7, 8, 12)]
    assert torch.equal(level_features(maps, pooled=False), torch.cat(maps, dim=1))


# Scores


@pytest.mark.parametrize(
    ("fraction", "cells", "count"), [(0.003, 192, 1), (0.03, 192, 6), (0.3, 192, 58), (1.0, 192, 192), (1e-9, 5, 1)]
)
def test_a_fraction_means_at_least_one_cell(fraction: float, cells: int, count: int) -> None:
    assert top_count(fraction, cells) == count


def test_the_score_is_the_mean_of_the_hottest_cells() -> None:
    heat = torch.arange(100.0).view(1, 1, 10, 10)
    means = ImageScore((0.01, 0.1, 1.0)).top_means(heat)
    assert means.tolist() == [[99.0, 94.5, 49.5]]


def test_held_out_parts_score_zero_on_average() -> None:
    heat, score = _random(50, 1, 8, 12), ImageScore((0.01, 0.3))
    score.fit(heat)
    standard = (score.top_means(heat) - score.centres) / score.scales
    assert torch.allclose(standard.mean(0), torch.zeros(2), atol=1e-4)
    assert torch.allclose(standard.std(0, correction=0), torch.ones(2), atol=1e-4)
    assert float(score(heat).mean()) == pytest.approx(0, abs=1e-4)


def test_equal_parts_do_not_divide_by_zero() -> None:
    score = ImageScore((0.1,))
    score.fit(torch.ones(5, 1, 8, 12))
    assert torch.isfinite(score(torch.full((1, 1, 8, 12), 1.5))).all()


def test_more_heat_never_scores_lower() -> None:
    heat, score = _random(20, 1, 8, 12), ImageScore((0.01, 0.3))
    score.fit(heat)
    hotter = heat.clone()
    hotter[:, 0, 3, 4] += 2
    assert (score(hotter) >= score(heat)).all()
    assert (score(heat + 1) > score(heat)).all()


# Smoothing


@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.5, 4.0])
def test_the_kernel_is_a_symmetric_bell_that_sums_to_one(sigma: float) -> None:
    kernel = gaussian(sigma)
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(kernel, kernel[::-1])
    radius = len(kernel) // 2
    assert radius >= 3 * sigma
    assert float(kernel[radius + 1] / kernel[radius]) == pytest.approx(np.exp(-0.5 / sigma**2), rel=1e-4)


def test_smoothing_keeps_flat_heat_and_spreads_a_spot() -> None:
    kernel = gaussian(0.7)
    assert torch.allclose(smooth(torch.full((1, 1, 8, 12), 2.5), kernel), torch.tensor(2.5))
    spot = torch.zeros(1, 1, 9, 13)
    spot[0, 0, 4, 6] = 1
    blurred = smooth(spot, kernel)
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-5)
    assert int(blurred.argmax()) == 4 * 13 + 6
    assert float(blurred.max()) < 1
    assert torch.allclose(blurred, blurred.flip(2)) and torch.allclose(blurred, blurred.flip(3))


# The whole head


def test_heat_and_score_have_their_shapes(head: AnomalyHead) -> None:
    with torch.inference_mode():
        heat, score = head(_maps(3))
    assert heat.shape == (3, 8, 12)
    assert score.shape == (3,)


def test_a_batch_is_read_like_single_images(head: AnomalyHead) -> None:
    maps = _maps(3)
    with torch.inference_mode():
        heat, score = head(maps)
        for i in range(3):
            alone = head({stride: values[i : i + 1] for stride, values in maps.items()})
            assert torch.allclose(alone[0][0], heat[i], atol=1e-4)
            assert torch.allclose(alone[1][0], score[i], atol=1e-4)


def test_both_levels_count(head: AnomalyHead) -> None:
    maps = _maps(1)
    with torch.inference_mode():
        before = head(maps)[0]
        for name in LEVELS:
            level = head.levels[name]
            kept, level.centre = level.centre, level.centre - 1  # one level's heat rises by one everywhere
            assert torch.allclose(head(maps)[0], before + 1, atol=1e-4), name
            level.centre = kept


def test_a_weight_scales_a_levels_heat(head: AnomalyHead) -> None:
    maps = _maps(1)
    with torch.inference_mode():
        both = head(maps)[0]
        head.levels["coarse"].weight = 0.25
        quarter = head(maps)[0]
        del head.levels["coarse"]
        fine = head(maps)[0]
    assert torch.allclose(quarter - fine, 0.25 * (both - fine), atol=1e-4)


def test_numbers_of_numpy_and_of_torch_give_the_same(head: AnomalyHead) -> None:
    maps = _maps(3)
    heat, score = head(maps)
    there, scored = head.on_cpu()({name: values.numpy() for name, values in maps.items()})
    assert isinstance(there, np.ndarray)
    assert there == pytest.approx(heat.numpy(), abs=1e-4)
    assert scored == pytest.approx(score.numpy(), abs=1e-4)
