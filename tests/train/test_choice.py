"""Choosing by held-out synthetic defects: what helps is taken, and the usual setting wins ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sightline.models.discriminator import Discriminator
from sightline.models.memory import DISCRIMINATOR, PLACE, ImageScore, Level, MemoryReader, gaussian, smooth
from sightline.models.place import Place
from sightline.train.choice import ALIGNED_PLACE, COARSE_WEIGHTS, DISCRIMINATOR_WEIGHTS, choose
from sightline.train.drawn import Drawn
from sightline.train.held_out import DIVISORS, Known, of_bank
from sightline.train.settings import TrainSettings

PARTS, DRAWINGS, HIGH, WIDE = 30, 24, 16, 24


def _random(*shape: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def _reader() -> MemoryReader:
    def level() -> Level:
        made = Level(("a",), (2,), True, torch.zeros(2), torch.eye(2), torch.zeros(1, 2))
        made.centre, made.spread = torch.tensor(10.0), torch.tensor(1.0)
        return made

    return MemoryReader({"fine": level(), "coarse": level()}, 0.7, (0.003, 0.03, 0.3)).eval()


def _world(fine: float, coarse: float, uneven: float = 0.0) -> tuple[Known, Drawn]:
    """Good parts and defects; how far defects stand out on each level, and how much good parts vary by place."""
    place = uneven * torch.sin(torch.arange(WIDE) / 3.0).expand(1, 1, HIGH, WIDE)
    mask = np.zeros((DRAWINGS, HIGH, WIDE), bool)
    for index in range(DRAWINGS):
        mask[index, 2 + index % 10 : 6 + index % 10, 3 + index % 15 : 8 + index % 15] = True
    marked = torch.from_numpy(mask)[:, None].float()
    halved = torch.nn.functional.avg_pool2d(marked, 2)
    half = torch.nn.functional.avg_pool2d(place, 2)
    small = HIGH // 2, WIDE // 2
    good = {
        "fine": 10 + place + _random(PARTS, 1, HIGH, WIDE, seed=0),
        "coarse": 10 + half + _random(PARTS, 1, *small, seed=1),
    }
    bad = {
        "fine": 10 + place + fine * marked + _random(DRAWINGS, 1, HIGH, WIDE, seed=2),
        "coarse": 10 + half + coarse * halved + _random(DRAWINGS, 1, *small, seed=3),
    }  # fmt: skip
    # The smaller banks see the same, unless a test says otherwise.
    for found in (good, bad):
        found |= {of_bank(name, divisor): values for name, values in list(found.items()) for divisor in DIVISORS}
    known = Known((None,) * PARTS, good, torch.arange(PARTS), [1] * PARTS, True)  # type: ignore[arg-type]
    return known, Drawn(bad, mask, ~mask, tuple(range(DRAWINGS)))


def _settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**changes)


def test_the_coarse_level_is_never_given_up_for_small_defects() -> None:
    """Drawn defects are small; large ones are seen on the coarse level. Only a person may leave it out."""
    reader = _reader()
    chosen = choose(reader, *_world(fine=1.0, coarse=0.0), _settings())
    assert reader.levels["coarse"].weight == COARSE_WEIGHTS[0]
    assert chosen.reasons["coarse level"].startswith("weight 0.5 ")
    without = _reader()
    choose(without, *_world(fine=1.0, coarse=0.0), _settings(coarse_weight=0.0))
    assert set(without.levels) == {"fine"}
    assert 0.5 < chosen.merit <= 1


def test_a_level_that_sees_more_gets_more_weight() -> None:
    reader = _reader()
    choose(reader, *_world(fine=0.0, coarse=1.5), _settings())
    assert reader.levels["coarse"].weight == max(COARSE_WEIGHTS)


def test_the_usual_setting_stays_where_nothing_is_better() -> None:
    reader = _reader()
    chosen = choose(reader, *_world(fine=8.0, coarse=8.0), _settings())
    assert reader.levels["coarse"].weight == COARSE_WEIGHTS[0]
    assert reader.levels["fine"].centre.ndim == 0
    assert chosen.merit > 0.95


def test_a_centre_by_place_is_taken_where_good_parts_differ_by_place() -> None:
    reader = _reader()
    known, drawn = _world(fine=1.5, coarse=1.0, uneven=3.0)
    choose(reader, known, drawn, _settings())
    centre = reader.levels["fine"].centre
    assert centre.shape == (HIGH, WIDE)
    expected = smooth(known.distances["fine"].mean(0, keepdim=True), gaussian(2.0))[0, 0]
    assert torch.allclose(centre, expected, atol=0.2)


def test_held_out_heat_does_not_know_its_own_part() -> None:
    """A part's own oddity must not become the centre that it is judged by."""
    known, drawn = _world(fine=1.0, coarse=1.0)
    known.distances["fine"][0] += 20.0
    together = Known(known.parts, known.distances, torch.zeros(PARTS, dtype=torch.long), known.counts, True)
    together.units[1:] = torch.arange(1, PARTS)
    heat = choose(_reader(), together, drawn, _settings(local_centre=1.0, coarse_weight=0.0)).heat
    spread = float(known.distances["fine"].std())
    assert float(heat[0].mean()) > 0.98 * 20 / spread  # its own share in the mean of 30 parts would take 3 %


def test_settings_overrule_the_choice() -> None:
    reader = _reader()
    known, drawn = _world(fine=1.0, coarse=0.0, uneven=3.0)
    choose(reader, known, drawn, _settings(coarse_weight=2.0, local_centre=0.0))
    assert reader.levels["coarse"].weight == 2.0
    assert reader.levels["fine"].centre.ndim == 0


def test_without_drawings_everything_is_usual() -> None:
    reader = _reader()
    known, _ = _world(fine=1.0, coarse=0.0)
    chosen = choose(reader, known, None, _settings())
    assert reader.levels["coarse"].weight == COARSE_WEIGHTS[0]
    assert chosen.merit == 0
    assert "no synthetic defects were drawn" in chosen.reasons["coarse level"]


def test_the_held_out_heat_is_the_readers() -> None:
    """With one centre for all places, the heat that calibrates is what the finished reader computes."""
    reader = _reader()
    known, drawn = _world(fine=8.0, coarse=8.0)
    chosen = choose(reader, known, drawn, _settings())
    assert torch.allclose(chosen.heat, reader.fuse(known.distances), atol=1e-4)
    fresh = ImageScore(reader.score.fractions)
    fresh.fit(chosen.heat)
    assert torch.allclose(reader.score(chosen.heat), fresh(chosen.heat))
    assert float(reader.score(chosen.heat).mean()) == pytest.approx(0, abs=1e-3)


# Places and the bank


def _with_place(known: Known, drawn: Drawn, seen: float) -> MemoryReader:
    """A reader that knows places too, on which defects stand out by `seen`."""
    reader = _reader()
    reader.place = Place(torch.zeros(HIGH * WIDE, 2), torch.eye(2).expand(HIGH * WIDE, 2, 2))
    known.distances[PLACE] = 5 + _random(PARTS, 1, HIGH, WIDE, seed=4)
    marked = torch.from_numpy(drawn.cells)[:, None].float()
    drawn.distances[PLACE] = 5 + seen * marked + _random(DRAWINGS, 1, HIGH, WIDE, seed=5)
    return reader


def test_places_are_used_where_they_tell_more() -> None:
    known, drawn = _world(fine=1.0, coarse=1.0)
    reader = _with_place(known, drawn, seen=4.0)
    chosen = choose(reader, known, drawn, _settings())
    assert reader.place is not None and reader.place.weight > 0
    assert float(reader.place.centre) == pytest.approx(5, abs=0.1)
    assert torch.allclose(chosen.heat, reader.fuse(known.distances), atol=1e-4)
    assert chosen.reasons["what is usual at a place"].startswith("weight ")


def test_places_are_dropped_where_they_tell_nothing() -> None:
    known, drawn = _world(fine=1.5, coarse=1.0)
    reader = _with_place(known, drawn, seen=0.0)
    choose(reader, known, drawn, _settings())
    assert reader.place is None


def test_aligned_parts_are_judged_by_place_unless_that_is_worse() -> None:
    known, drawn = _world(fine=8.0, coarse=8.0)
    reader = _with_place(known, drawn, seen=8.0)
    choose(reader, known, drawn, _settings(), aligned=True)
    assert reader.place is not None and reader.place.weight == ALIGNED_PLACE
    known, drawn = _world(fine=1.5, coarse=1.0)
    reader = _with_place(known, drawn, seen=0.0)
    choose(reader, known, drawn, _settings(), aligned=True)
    assert reader.place is None


def _with_discriminator(known: Known, drawn: Drawn, seen: float) -> MemoryReader:
    """A reader with a discriminator as well, for which defects stand out by `seen`; its evidence is below zero."""
    reader = _reader()
    reader.discriminator = Discriminator(torch.zeros(4, 2), torch.zeros(4), torch.zeros(4))
    known.distances[DISCRIMINATOR] = -5 + _random(PARTS, 1, HIGH, WIDE, seed=6)
    marked = torch.from_numpy(drawn.cells)[:, None].float()
    drawn.distances[DISCRIMINATOR] = -5 + seen * marked + _random(DRAWINGS, 1, HIGH, WIDE, seed=7)
    return reader


def test_a_discriminator_is_used_where_it_tells_more() -> None:
    known, drawn = _world(fine=1.0, coarse=1.0)
    reader = _with_discriminator(known, drawn, seen=4.0)
    chosen = choose(reader, known, drawn, _settings())
    assert reader.discriminator is not None and reader.discriminator.weight > 0
    assert float(reader.discriminator.centre) == pytest.approx(-5, abs=0.1)
    assert float(reader.discriminator.floor) == float(known.distances[DISCRIMINATOR].min())
    assert torch.allclose(chosen.heat, reader.fuse(known.distances), atol=1e-4)
    assert "without it" in chosen.reasons["what sets drawn defects apart"]


def test_a_discriminator_that_tells_nothing_new_is_dropped() -> None:
    known, drawn = _world(fine=1.5, coarse=1.0)
    reader = _with_discriminator(known, drawn, seen=0.0)
    chosen = choose(reader, known, drawn, _settings())
    assert reader.discriminator is None
    assert chosen.reasons["what sets drawn defects apart"].startswith("not used")


def test_no_more_weight_than_enough_is_taken() -> None:
    """Where half the weight tells nearly as much as the whole, half is taken."""
    known, drawn = _world(fine=1.0, coarse=1.0)
    reader = _with_discriminator(known, drawn, seen=30.0)
    choose(reader, known, drawn, _settings())
    assert reader.discriminator is not None and reader.discriminator.weight == DISCRIMINATOR_WEIGHTS[1]


def test_a_discriminator_has_the_weight_that_is_set() -> None:
    known, drawn = _world(fine=1.5, coarse=1.0)
    reader = _with_discriminator(known, drawn, seen=0.0)
    choose(reader, known, drawn, _settings(discriminator_weight=3.0))
    assert reader.discriminator is not None and reader.discriminator.weight == 3.0


def test_the_smallest_bank_that_sees_as_much_is_kept() -> None:
    known, drawn = _world(fine=1.5, coarse=1.0)
    reader = _with_place(known, drawn, seen=1.5)
    reader.levels["fine"].bank = torch.arange(16.0).view(8, 2)
    choose(reader, known, drawn, _settings(place_weight=1.0))
    assert torch.equal(reader.levels["fine"].bank, torch.arange(4.0).view(2, 2))


def test_a_smaller_bank_that_sees_less_is_not_taken() -> None:
    known, drawn = _world(fine=1.5, coarse=1.0)
    for name in ("fine/2", "fine/4", "coarse/2", "coarse/4"):
        drawn.distances[name] = known.distances[name][:DRAWINGS]
    reader = _with_place(known, drawn, seen=1.5)
    reader.levels["fine"].bank = torch.arange(16.0).view(8, 2)
    chosen = choose(reader, known, drawn, _settings(place_weight=1.0))
    assert len(reader.levels["fine"].bank) == 8
    assert chosen.reasons["bank"].startswith("all ")


def test_a_bank_of_a_set_size_is_kept_whole() -> None:
    known, drawn = _world(fine=1.5, coarse=1.0)
    reader = _with_place(known, drawn, seen=1.5)
    reader.levels["fine"].bank = torch.arange(16.0).view(8, 2)
    choose(reader, known, drawn, _settings(bank_size=64, place_weight=1.0))
    assert len(reader.levels["fine"].bank) == 8


def test_without_places_the_bank_stays_whole() -> None:
    known, drawn = _world(fine=1.5, coarse=1.0)
    reader = _reader()
    reader.levels["fine"].bank = torch.arange(16.0).view(8, 2)
    choose(reader, known, drawn, _settings())
    assert len(reader.levels["fine"].bank) == 8
