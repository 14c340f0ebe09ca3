"""Cut points of grades: where kappa is highest, and what the network then says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sightline.models.recogniser import Recogniser
from sightline.train.grade_cuts import grade_cuts, weighted_kappa


def test_kappa_of_a_known_table() -> None:
    true = np.array([0, 0, 1, 1, 2, 2])
    assert weighted_kappa(true, true, 3) == 1
    assert weighted_kappa(np.zeros(6, int), true, 3) == 0
    # By hand: squared differences 2, of which chance would leave 6.
    assert weighted_kappa(np.array([0, 1, 1, 1, 2, 1]), true, 3) == pytest.approx(1 - 2 / 6)


def test_cuts_lie_where_the_grades_change() -> None:
    rng = np.random.default_rng(0)
    grades = np.repeat([0, 1, 2], [120, 20, 60])
    quality = np.array([0.0, 4.0, 7.0])[grades] + rng.normal(0, 0.3, len(grades))
    cuts = grade_cuts(quality, grades, 3)
    assert cuts is not None and 0.5 < cuts[0] < 3.6 and 4.4 < cuts[1] < 6.6
    assert weighted_kappa(np.searchsorted(cuts, quality), grades, 3) > 0.98


def test_too_few_parts_or_a_missing_grade_give_none() -> None:
    assert grade_cuts(np.arange(10.0), np.arange(10) % 2, 2) is None
    assert grade_cuts(np.arange(60.0), np.zeros(60, int), 2) is None


@pytest.mark.parametrize("cuts", [[-1.0, 0.5, 3.0], [0.2, 0.3, 0.31]])
def test_the_network_rounds_at_the_cuts(cuts: list[float]) -> None:
    net = Recogniser(("a",), (3,), 0, 4, True, 4)
    assert net.quality is not None
    before = net.quality.weight.detach().clone()
    net.cut(torch.tensor(cuts))
    steep = float((net.quality.weight.detach() / before).mean())
    quality = torch.linspace(-3, 5, 4001)
    said = net.grade(steep * quality).detach()
    assert bool((said.diff() >= -1e-6).all())
    expected = torch.bucketize(quality, torch.tensor(cuts))
    near = (quality[:, None] - torch.tensor(cuts)).abs().amin(1) < 0.01
    assert bool((said.round().long() == expected)[~near].all())
