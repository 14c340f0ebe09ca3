"""Pixels reach a backbone in the range and order it was trained on."""

from __future__ import annotations

import torch

from sightline.models.standardise import Scaling, Standardise


def test_pixels_are_scaled_then_standardised() -> None:
    image = torch.tensor([0.0, 127.5, 255.0]).view(1, 3, 1, 1)
    done = Standardise(Scaling(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0)))(image)
    assert torch.allclose(done.flatten(), torch.tensor([-0.2, 1.2, 0.35]), atol=1e-6)


def test_another_factor_counts() -> None:
    image = torch.full((1, 3, 1, 1), 200.0)
    done = Standardise(Scaling(mean=(100.0,) * 3, std=(50.0,) * 3, factor=1.0))(image)
    assert torch.allclose(done, torch.full((1, 3, 1, 1), 2.0))


def test_colours_can_be_reversed() -> None:
    image = torch.tensor([255.0, 0.0, 51.0]).view(1, 3, 1, 1)
    plain = Scaling(mean=(0.0,) * 3, std=(1.0,) * 3, reversed=True)
    assert torch.allclose(Standardise(plain)(image).flatten(), torch.tensor([0.2, 0.0, 1.0]))
