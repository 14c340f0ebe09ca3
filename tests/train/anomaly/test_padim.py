"""Held-out places: taking a unit off a factor equals fitting without it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sightline.train.anomaly.padim import MAX_BYTES, MAX_PARTS, SHRINKAGE, SIZE, HeldOutPositions, parts_that_fit

PARTS, PLACES, DIMS = 14, 5, 4


@pytest.fixture
def keys() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    spread = torch.tensor([3.0, 2.0, 1.0, 0.3])
    return torch.randn(PARTS, PLACES, DIMS, generator=generator) * spread + torch.arange(PLACES)[:, None]


def _direct(kept: Tensor, every: Tensor, part: Tensor) -> Tensor:
    """Distance by definition, with the shrinkage target of all parts as the fit has it."""
    offsets = every - every.mean(0)
    overall = torch.einsum("npd,npe->de", offsets, offsets) / PLACES / (len(every) - 1)
    own = kept - kept.mean(0)
    covariance = torch.einsum("npd,npe->pde", own, own) / (len(kept) - 1)
    mixed = (1 - SHRINKAGE) * covariance + SHRINKAGE * overall
    offset = part - kept.mean(0)
    return torch.einsum("pd,pde,pe->p", offset, torch.linalg.inv(mixed), offset).sqrt()


@pytest.mark.parametrize("units", [torch.arange(PARTS), torch.arange(PARTS) // 3])
def test_holding_a_unit_out_equals_fitting_without_it(keys: Tensor, units: Tensor) -> None:
    positions = HeldOutPositions(keys, units)
    for index in (0, 5, PARTS - 1):
        unit = int(units[index])
        expected = _direct(keys[units != unit], keys, keys[index])
        assert torch.allclose(positions.distances(keys[index], unit), expected, rtol=2e-3)


def test_a_stranger_of_a_unit_is_compared_without_the_unit(keys: Tensor) -> None:
    """A synthetic defect stands on a part that the fit has seen."""
    positions, stranger = HeldOutPositions(keys, torch.arange(PARTS)), keys[3] + 1.5
    assert torch.allclose(
        positions.distances(stranger, 3), _direct(keys[torch.arange(PARTS) != 3], keys, stranger), rtol=2e-3
    )


def test_a_part_outside_the_fit_is_compared_with_all(keys: Tensor) -> None:
    positions = HeldOutPositions(keys, torch.arange(PARTS))
    found = positions.distances(keys[0] + 1, PARTS + 7)
    assert torch.allclose(found, _direct(keys, keys, keys[0] + 1), rtol=2e-3)
    assert torch.allclose(found, positions.position().distances(keys[0] + 1, (1, PLACES)).flatten(), rtol=1e-4)


def test_its_own_unit_in_the_fit_would_flatter_a_part(keys: Tensor) -> None:
    positions = HeldOutPositions(keys, torch.arange(PARTS))
    fitted = positions.position().distances(keys.flatten(0, 1), (1, PLACES))
    held_out = torch.stack([positions.distances(keys[i], i) for i in range(PARTS)])
    assert float(held_out.mean()) > 1.2 * float(fitted.mean())


def test_identical_parts_do_not_divide_by_zero() -> None:
    positions = HeldOutPositions(torch.ones(PARTS, PLACES, DIMS), torch.arange(PARTS))
    assert positions.distances(torch.ones(PLACES, DIMS), 0).isfinite().all()
    assert positions.distances(torch.full((PLACES, DIMS), 2.0), 0).gt(1).all()


def test_the_keys_that_are_kept_are_bounded() -> None:
    assert parts_that_fit(100) == MAX_PARTS
    assert parts_that_fit(80 * 80) * 80 * 80 * SIZE * 4 <= MAX_BYTES
