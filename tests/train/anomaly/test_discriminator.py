"""Discriminators learn what sets defects apart, and each knows neither the parts nor the kinds it is judged on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sightline.train.anomaly.discriminator import FOLDS, MIN_UNITS, Discriminators, deal_units, teach_discriminators

SIZE, UNITS = 12, 9


def _cells(count: int, shift: float, seed: int) -> tuple[Tensor, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, SIZE)).astype(np.float32) * 3 + 5
    features[:, 0] += shift
    return torch.from_numpy(features), rng.integers(0, UNITS, count)


def _taught(seed: int = 0) -> Discriminators:
    return teach_discriminators(
        _cells(900, 0, 1), _cells(300, 12, 2), _cells(300, 0, 3), deal_units(range(UNITS), 0), seed
    )


def test_units_are_dealt_evenly() -> None:
    folds = deal_units([7, 7, 3, 1, 9, 4, 8], seed=0)
    assert set(folds) == {1, 3, 4, 7, 8, 9}
    assert sorted(folds.values()) == [0, 0, 1, 1, 2, 2]


def test_too_few_units_have_no_folds() -> None:
    assert deal_units(range(MIN_UNITS - 1), seed=0) == {}
    assert len(deal_units(range(MIN_UNITS), seed=0)) == MIN_UNITS


def test_defects_get_more_evidence_than_good_cells() -> None:
    taught = _taught()
    good, _ = _cells(400, 0, 4)
    bad, _ = _cells(400, 12, 5)
    for unit in range(UNITS):
        apart = taught.distances(bad, unit)[:, None] > taught.distances(good, unit)[None]
        assert float(apart.float().mean()) > 0.95


def test_the_recipe_gets_the_mean_of_the_networks() -> None:
    taught, folds = _taught(), deal_units(range(UNITS), 0)
    rows, _ = _cells(50, 6, 6)
    one_of_each = [next(unit for unit, fold in folds.items() if fold == turn) for turn in range(FOLDS)]
    mean = torch.stack([taught.distances(rows, unit) for unit in one_of_each]).mean(0)
    assert torch.allclose(taught.joined().logits(rows), mean, atol=1e-3)


def test_equal_seeds_give_equal_networks() -> None:
    rows, _ = _cells(50, 6, 6)
    assert torch.equal(_taught(3).distances(rows, 0), _taught(3).distances(rows, 0))
    assert not torch.equal(_taught(3).distances(rows, 0), _taught(4).distances(rows, 0))


def test_a_network_has_not_seen_its_own_fold() -> None:
    """Defects that only one fold shows are news to that fold's network, and to no other's."""
    folds = deal_units(range(UNITS), 0)
    good, beside = _cells(900, 0, 1), _cells(300, 0, 3)
    own = [unit for unit, fold in folds.items() if fold == 0]
    defects, units = _cells(300, 12, 2)
    strange = defects.clone()
    strange[:, 0] -= 12
    strange[:, 1] += 12
    mixed = torch.where(torch.from_numpy(np.isin(units, own))[:, None], strange, defects)
    taught = teach_discriminators(good, (mixed, units), beside, folds, 0)
    plain, _ = _cells(300, 0, 8)
    held_out_maps, _ = _cells(300, 0, 9)
    held_out_maps[:, 1] += 12

    def told(unit: int) -> float:
        return float(
            (taught.distances(held_out_maps, unit)[:, None] > taught.distances(plain, unit)[None]).float().mean()
        )

    others = [unit for unit, fold in folds.items() if fold != 0]
    assert told(int(own[0])) < 0.75 < 0.9 < told(others[0])
