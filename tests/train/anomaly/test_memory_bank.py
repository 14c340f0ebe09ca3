"""The bank: few patches that cover all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sightline.models.backbone import backbone
from sightline.train.anomaly.discriminator import deal_units, teach_discriminators
from sightline.train.anomaly.memory_bank import Maps, farthest_points, light_directions, principal_directions, without
from sightline.train.images.loader import ImageLoader, InputSize, brightened


def _keys(count: int = 2000, size: int = 8, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 3, (12, size))
    return torch.from_numpy((centres[rng.integers(0, 12, count)] + rng.normal(0, 1, (count, size))).astype(np.float32))


def _choose(keys: Tensor, size: int, seed: int = 0) -> np.ndarray:
    return farthest_points(keys, size, np.random.default_rng(seed))


def _radius(keys: Tensor, chosen: Tensor) -> float:
    return float(torch.cdist(keys, keys[chosen]).amin(1).max())


def _exact_greedy(keys: Tensor, size: int, first: int) -> Tensor:
    chosen = [first]
    distance = (keys - keys[first]).square().sum(1)
    while len(chosen) < size:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (keys - keys[chosen[-1]]).square().sum(1))
    return torch.tensor(chosen)


@pytest.mark.parametrize("size", [64, 150, 400])
@pytest.mark.parametrize("seed", range(3))
def test_rounds_cover_as_closely_as_one_by_one(size: int, seed: int) -> None:
    keys = _keys(seed=seed)
    chosen = _choose(keys, size, seed)
    exact = _exact_greedy(keys, size, int(chosen[0]))
    assert _radius(keys, chosen) <= 1.05 * _radius(keys, exact)


def test_chosen_points_cover_better_than_random_ones() -> None:
    keys = _keys()
    random = np.random.default_rng(0).permutation(len(keys))[:150]
    assert _radius(keys, _choose(keys, 150)) < 0.85 * _radius(keys, random)


@pytest.mark.parametrize("size", [1, 31, 32, 33, 500])
def test_as_many_as_asked_for_and_each_once(size: int) -> None:
    chosen = _choose(_keys(), size)
    assert len(chosen) == size == len(set(chosen.tolist()))


@pytest.mark.parametrize("size", [10, 11, 1000])
def test_a_bank_that_holds_all_holds_all(size: int) -> None:
    assert _choose(_keys(10), size).tolist() == list(range(10))


def test_equal_seeds_give_equal_banks() -> None:
    keys = _keys()
    assert np.array_equal(_choose(keys, 100, seed=1), _choose(keys, 100, seed=1))
    assert not np.array_equal(_choose(keys, 100, seed=1), _choose(keys, 100, seed=2))


def test_points_that_are_all_equal_are_no_problem() -> None:
    chosen = _choose(torch.ones(500, 8), 64)
    assert len(chosen) == 64
    assert int(chosen.min()) >= 0 and int(chosen.max()) < 500


def test_directions_are_those_of_the_singular_value_decomposition() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(500, 20)) * np.linspace(5, 0.5, 20)) @ rng.normal(size=(20, 20)) + 7
    mean, directions = principal_directions(torch.from_numpy(features), 6)
    assert np.allclose(mean, features.mean(0))
    _, _, expected = np.linalg.svd(features - features.mean(0), full_matrices=False)
    assert directions.shape == (20, 6)
    alignment = np.abs(expected[:6] @ directions.numpy())
    assert alignment == pytest.approx(np.eye(6), abs=1e-6)


def test_directions_keep_lengths_and_come_by_strength() -> None:
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 20)) * np.linspace(5, 0.5, 20)).float()
    mean, directions = principal_directions(features, 8)
    assert torch.allclose(directions.T @ directions, torch.eye(8), atol=1e-5)
    variances = ((features - mean) @ directions).var(0)
    assert torch.equal(variances, variances.sort(descending=True).values)
    assert float(variances[0] / variances[-1]) > 1.5  # not whitened


def test_there_are_no_more_directions_than_channels() -> None:
    mean, directions = principal_directions(np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32), 64)
    assert (mean.shape, directions.shape) == ((5,), (5, 5))


# What light does to features is found, and left out of keys and discriminators.

SIZE = InputSize(96, 128, 1.0)


def _found(fitted: Any, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    loader = ImageLoader(fitted.parts, SIZE, (0.0, 0.0, 1.0, 1.0))
    maps_of = Maps(fitted.extractor, backbone("lite0"))
    return light_directions(maps_of, loader, count, np.random.default_rng(seed))


def test_directions_are_orthonormal(fitted: Any) -> None:
    found = _found(fitted, 3)
    assert set(found) == {"fine", "coarse"}
    for name, directions in found.items():
        assert directions.shape == (sum(fitted.head.levels[name].channels), 3)
        assert np.allclose(directions.T @ directions, np.eye(3), atol=1e-5)


def test_no_directions_cost_nothing(fitted: Any) -> None:
    assert _found(fitted, 0) == {}
    rows = torch.ones(2, 3)
    assert without(rows, None) is rows


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_keys_move_less_in_another_light(fitted: Any, factor: float) -> None:
    """In a light that the directions were not found with, and on a part that they were not found on."""
    ignored = _found(fitted, 3)["fine"]
    loader = ImageLoader(fitted.parts, SIZE, (0.0, 0.0, 1.0, 1.0))
    level = fitted.head.levels["fine"]
    image, letterbox = next(loader(fitted.parts[-1]).some(1))  # type: ignore[union-attr]
    plain, _ = level.rows(fitted.extractor(image[None]))
    lit, _ = level.rows(fitted.extractor(brightened(image, letterbox, factor)[None]))
    moved = np.linalg.norm(lit - plain, axis=1).mean()
    assert np.linalg.norm(without(lit - plain, ignored), axis=1).mean() < 0.75 * float(moved)


def test_the_keys_know_nothing_of_what_is_ignored() -> None:
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(500, 10)).astype(np.float32)) * torch.arange(1, 11)
    ignored = torch.linalg.qr(torch.from_numpy(rng.normal(size=(10, 2)).astype(np.float32)))[0]
    mean, directions = principal_directions(features, 6, ignored)
    assert directions.shape == (10, 6)
    assert torch.allclose(ignored.T @ directions, torch.zeros(2, 6), atol=1e-5)
    assert torch.allclose(directions.T @ directions, torch.eye(6), atol=1e-4)
    moved = features[:50] + 100 * ignored[:, 0]
    assert torch.allclose((moved - mean) @ directions, (features[:50] - mean) @ directions, atol=1e-2)


def test_a_discriminator_knows_nothing_of_what_is_ignored() -> None:
    rng = np.random.default_rng(1)

    def cells(shift: float) -> tuple[torch.Tensor, np.ndarray]:
        features = rng.normal(size=(300, 8)).astype(np.float32)
        features[:, 0] += shift
        return torch.from_numpy(features), rng.integers(0, 6, 300)

    ignored = torch.eye(8)[:, 2:4]
    made = teach_discriminators(cells(0), cells(6), cells(0), deal_units(range(6), 0), 0, ignored).joined()
    rows, _ = cells(0)
    assert torch.allclose(made.logits(rows), made.logits(rows + 50 * ignored.sum(1)), atol=1e-2)
    assert float(made.logits(rows + 6 * torch.eye(8)[0]).mean()) > float(made.logits(rows).mean()) + 1
