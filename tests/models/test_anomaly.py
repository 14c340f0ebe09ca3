"""The place reader is a Mahalanobis distance at every place."""

from __future__ import annotations

import torch

from sightline.models.anomaly import PositionGaussian


def test_distances_are_mahalanobis_at_their_own_place() -> None:
    torch.manual_seed(0)
    places, size, grid = 6, 4, (2, 3)
    mean = torch.randn(places, size)
    root = torch.randn(places, size, size)
    covariance = root @ root.mT + 0.1 * torch.eye(size)
    whiten = torch.linalg.inv(torch.linalg.cholesky(covariance))
    keys = torch.randn(2 * places, size + 3)  # further key values are the memory's alone
    found = PositionGaussian(mean, whiten).distances(keys, grid)
    offset = keys.view(2, places, -1)[..., :size] - mean
    squared = torch.einsum("npd,pde,npe->np", offset, torch.linalg.inv(covariance), offset)
    assert found.shape == (2, 1, 2, 3)
    assert torch.allclose(found.view(2, places), squared.sqrt(), rtol=1e-3)


def test_a_part_at_the_mean_is_at_no_distance() -> None:
    mean = torch.randn(6, 4)
    assert PositionGaussian(mean, torch.eye(4).expand(6, 4, 4)).distances(mean.clone(), (2, 3)).eq(0).all()
