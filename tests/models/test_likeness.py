"""Likeness to known parts: the kernel, written out, and its limits."""

from __future__ import annotations

import pytest
import torch

from sightline.models.likeness import Likeness, alike


def test_the_kernel_is_that_of_the_distances() -> None:
    generator = torch.Generator().manual_seed(0)
    values, centres = torch.randn(5, 7, generator=generator), torch.randn(4, 7, generator=generator)
    expected = torch.exp(-0.3 * torch.cdist(values, centres).square())
    assert torch.allclose(alike(values, centres, 0.3), expected, atol=1e-6)
    assert torch.allclose(alike(centres, centres, 0.3).diagonal(), torch.ones(4), atol=1e-6)


def test_a_part_that_is_like_a_known_one_gets_what_that_says_and_a_stranger_nothing() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    reader = Likeness(centres, torch.tensor([-2.0, 3.0]), torch.tensor([0.0]), 1.0)
    said = reader(torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 50.0]]))
    assert said.tolist() == pytest.approx([-2.0, 3.0, 0.0], abs=1e-6)
