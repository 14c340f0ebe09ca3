"""Choosing by held-out synthetic defects: what helps is taken, and the usual setting wins ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sightline.models.anomaly import Discriminator
from sightline.models.memory_bank import DISCRIMINATOR, AnomalyHead, ImageScore, Level
from sightline.train.anomaly.held_out_distances import HeldOutDistances
from sightline.train.anomaly.selection import (
    COARSE_WEIGHTS,
    DISCRIMINATOR_WEIGHTS,
    MARKED_WEIGHTS,
    MIN_TO_CHOOSE,
    choose,
)
from sightline.train.anomaly.synthetic import DefectMaps
from sightline.train.settings import TrainSettings

PARTS, DRAWINGS, HIGH, WIDE = 30, 24, 16, 24


def _random(*shape: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def _head() -> AnomalyHead:
    def level() -> Level:
        made = Level(("a",), (2,), True, torch.zeros(2), torch.eye(2), torch.zeros(1, 2))
        made.centre, made.scale = 10.0, 1.0
        return made

    return AnomalyHead({"fine": level(), "coarse": level()}, 0.7, (0.003, 0.03, 0.3))


def _world(fine: float, coarse: float) -> tuple[HeldOutDistances, DefectMaps]:
    """Good parts and defects; how far defects stand out on each level."""
    mask = np.zeros((DRAWINGS, HIGH, WIDE), bool)
    for index in range(DRAWINGS):
        mask[index, 2 + index % 10 : 6 + index % 10, 3 + index % 15 : 8 + index % 15] = True
    marked = torch.from_numpy(mask)[:, None].float()
    halved = torch.nn.functional.avg_pool2d(marked, 2)
    small = HIGH // 2, WIDE // 2
    good = {
        "fine": 10 + _random(PARTS, 1, HIGH, WIDE, seed=0),
        "coarse": 10 + _random(PARTS, 1, *small, seed=1),
    }
    bad = {
        "fine": 10 + fine * marked + _random(DRAWINGS, 1, HIGH, WIDE, seed=2),
        "coarse": 10 + coarse * halved + _random(DRAWINGS, 1, *small, seed=3),
    }  # fmt: skip
    held_out = HeldOutDistances((None,) * PARTS, good, torch.arange(PARTS), [1] * PARTS, True)  # type: ignore[arg-type]
    return held_out, DefectMaps(bad, mask, ~mask, tuple(range(DRAWINGS)))


def _settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**changes)


def test_the_coarse_level_is_never_given_up_for_small_defects() -> None:
    """Synthetic defects are small; large ones are seen on the coarse level. Only a person may leave it out."""
    head = _head()
    chosen = choose(head, *_world(fine=1.0, coarse=0.0), _settings())
    assert head.levels["coarse"].weight == COARSE_WEIGHTS[0]
    assert chosen.reasons["coarse level"].startswith("weight 0.5 ")
    without = _head()
    choose(without, *_world(fine=1.0, coarse=0.0), _settings(coarse_weight=0.0))
    assert set(without.levels) == {"fine"}
    assert 0.5 < chosen.validation_score <= 1


def test_a_level_that_sees_more_gets_more_weight() -> None:
    head = _head()
    choose(head, *_world(fine=0.0, coarse=1.5), _settings())
    assert head.levels["coarse"].weight == max(COARSE_WEIGHTS)


def test_the_usual_setting_stays_where_nothing_is_better() -> None:
    head = _head()
    chosen = choose(head, *_world(fine=8.0, coarse=8.0), _settings())
    assert head.levels["coarse"].weight == COARSE_WEIGHTS[0]
    assert chosen.validation_score > 0.95


def test_settings_overrule_the_choice() -> None:
    head = _head()
    choose(head, *_world(fine=1.0, coarse=0.0), _settings(coarse_weight=2.0))
    assert head.levels["coarse"].weight == 2.0


def test_without_drawings_everything_is_usual() -> None:
    head = _head()
    held_out, _ = _world(fine=1.0, coarse=0.0)
    chosen = choose(head, held_out, None, _settings())
    assert head.levels["coarse"].weight == COARSE_WEIGHTS[0]
    assert chosen.validation_score == 0
    assert "no synthetic defects were drawn" in chosen.reasons["coarse level"]


def test_the_held_out_heat_is_the_readers() -> None:
    """The heat that calibrates is what the finished head computes."""
    head = _head()
    held_out, synthetic = _world(fine=8.0, coarse=8.0)
    chosen = choose(head, held_out, synthetic, _settings())
    assert torch.allclose(chosen.heat, head.fuse(held_out.distances), atol=1e-4)
    fresh = ImageScore(head.score.fractions)
    fresh.fit(chosen.heat)
    assert torch.allclose(head.score(chosen.heat), fresh(chosen.heat))
    assert float(head.score(chosen.heat).mean()) == pytest.approx(0, abs=1e-3)


# The discriminator


def _with_discriminator(held_out: HeldOutDistances, synthetic: DefectMaps, seen: float) -> AnomalyHead:
    """A head with a discriminator as well, for which defects stand out by `seen`; its evidence is below zero."""
    head = _head()
    head.discriminator = Discriminator(torch.zeros(4, 2), torch.zeros(4), torch.zeros(4))
    held_out.distances[DISCRIMINATOR] = -5 + _random(PARTS, 1, HIGH, WIDE, seed=6)
    marked = torch.from_numpy(synthetic.cells)[:, None].float()
    synthetic.distances[DISCRIMINATOR] = -5 + seen * marked + _random(DRAWINGS, 1, HIGH, WIDE, seed=7)
    return head


def test_a_discriminator_is_used_where_it_tells_more() -> None:
    held_out, synthetic = _world(fine=1.0, coarse=1.0)
    head = _with_discriminator(held_out, synthetic, seen=4.0)
    chosen = choose(head, held_out, synthetic, _settings())
    assert head.discriminator is not None and head.discriminator.weight > 0
    assert float(head.discriminator.centre) == pytest.approx(-5, abs=0.1)
    assert float(head.discriminator.floor) == float(held_out.distances[DISCRIMINATOR].min())
    assert torch.allclose(chosen.heat, head.fuse(held_out.distances), atol=1e-4)
    assert "without it" in chosen.reasons["what sets defects apart"]


def test_a_discriminator_that_tells_nothing_new_is_dropped() -> None:
    held_out, synthetic = _world(fine=1.5, coarse=1.0)
    head = _with_discriminator(held_out, synthetic, seen=0.0)
    chosen = choose(head, held_out, synthetic, _settings())
    assert head.discriminator is None
    assert chosen.reasons["what sets defects apart"].startswith("not used")


def test_no_more_weight_than_enough_is_taken() -> None:
    """Where half the weight tells nearly as much as the whole, half is taken."""
    held_out, synthetic = _world(fine=1.0, coarse=1.0)
    head = _with_discriminator(held_out, synthetic, seen=30.0)
    choose(head, held_out, synthetic, _settings())
    assert head.discriminator is not None and head.discriminator.weight == DISCRIMINATOR_WEIGHTS[1]


def test_a_discriminator_has_the_weight_that_is_set() -> None:
    held_out, synthetic = _world(fine=1.5, coarse=1.0)
    head = _with_discriminator(held_out, synthetic, seen=0.0)
    choose(head, held_out, synthetic, _settings(discriminator_weight=3.0))
    assert head.discriminator is not None and head.discriminator.weight == 3.0


@pytest.mark.parametrize(("count", "weight"), [(MIN_TO_CHOOSE - 1, MARKED_WEIGHTS[0]), (DRAWINGS, 0.0)])
def test_marked_defects_choose_where_they_are_enough(count: int, weight: float) -> None:
    """A discriminator that is wrong about held-out marked defects is dropped, but not on the word of a few."""
    held_out, marked = _world(fine=1.5, coarse=1.0)
    head = _with_discriminator(held_out, marked, seen=-6.0)
    few = DefectMaps(
        {name: values[:count] for name, values in marked.distances.items()},
        marked.cells[:count],
        marked.clear[:count],
        marked.units[:count],
        marked=True,
    )
    chosen = choose(head, held_out, None, _settings(), few)
    assert (0.0 if head.discriminator is None else head.discriminator.weight) == weight
    said = "no synthetic defects were drawn" if count < MIN_TO_CHOOSE else f"on {count} held-out marked defects"
    assert said in chosen.reasons["what sets defects apart"]
