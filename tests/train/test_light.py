"""What light does to features is found, and left out of keys and discriminators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sightline.models.backbone import backbone
from sightline.train.bank import principal_directions
from sightline.train.discriminate import deal_units, teach_discriminators
from sightline.train.intake import InputSize, Intake, brightened
from sightline.train.light import light_directions, without
from sightline.train.patches import Maps

SIZE = InputSize(96, 128, 1.0)


def _found(fitted: Any, count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    intake = Intake(fitted.parts, SIZE, (0.0, 0.0, 1.0, 1.0))
    maps_of = Maps(fitted.trunk, backbone("lite0"))
    return light_directions(maps_of, intake, count, torch.Generator().manual_seed(seed))


def test_directions_are_orthonormal(fitted: Any) -> None:
    found = _found(fitted, 3)
    assert set(found) == {"fine", "coarse"}
    for name, directions in found.items():
        assert directions.shape == (sum(fitted.reader.levels[name].channels), 3)
        assert torch.allclose(directions.T @ directions, torch.eye(3), atol=1e-5)


def test_no_directions_cost_nothing(fitted: Any) -> None:
    assert _found(fitted, 0) == {}
    rows = torch.ones(2, 3)
    assert without(rows, None) is rows


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_keys_move_less_in_another_light(fitted: Any, factor: float) -> None:
    """In a light that the directions were not found with, and on a part that they were not found on."""
    ignored = _found(fitted, 3)["fine"]
    intake = Intake(fitted.parts, SIZE, (0.0, 0.0, 1.0, 1.0))
    level = fitted.reader.levels["fine"]
    image, placement = next(intake(fitted.parts[-1]).some(1))  # type: ignore[union-attr]
    plain, _ = level.rows(fitted.trunk(image[None]))
    lit, _ = level.rows(fitted.trunk(brightened(image, placement, factor)[None]))
    moved = (lit - plain).norm(dim=1).mean()
    assert float(without(lit - plain, ignored).norm(dim=1).mean()) < 0.75 * float(moved)


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

    def cells(shift: float) -> tuple[torch.Tensor, torch.Tensor]:
        features = rng.normal(size=(300, 8)).astype(np.float32)
        features[:, 0] += shift
        return torch.from_numpy(features), torch.from_numpy(rng.integers(0, 6, 300))

    ignored = torch.eye(8)[:, 2:4]
    made = teach_discriminators(cells(0), cells(6), cells(0), deal_units(range(6), 0), 0, ignored).joined()
    rows, _ = cells(0)
    assert torch.allclose(made.evidence(rows), made.evidence(rows + 50 * ignored.sum(1)), atol=1e-2)
    assert float(made.evidence(rows + 6 * torch.eye(8)[0]).mean()) > float(made.evidence(rows).mean()) + 1
