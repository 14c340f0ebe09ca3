"""Suspects: good parts that look like no other are named, in order; nobody is named among equals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.core.sample import Sample
from sightline.models.memory import Level, MemoryReader
from sightline.train.held_out import Known
from sightline.train.intake import Part
from sightline.train.suspects import MOST, find_suspects


def _reader() -> MemoryReader:
    level = Level(("a",), (2,), True, torch.zeros(2), torch.eye(2), torch.zeros(1, 2))
    level.centre = torch.tensor(10.0)
    return MemoryReader({"fine": level}, 0.7, (0.03, 0.3)).eval()


def _known(offsets: list[float], seed: int = 0) -> Known:
    rng = np.random.default_rng(seed)
    maps = rng.normal(10, 1, (len(offsets), 1, 12, 16)) + rng.normal(0, 0.1, (len(offsets), 1, 1, 1))
    maps += np.array(offsets)[:, None, None, None]
    parts = tuple(Part(Sample(Path(f"{i}.png"), False), f"{i:016}", i) for i in range(len(offsets)))
    distances = {"fine": torch.from_numpy(maps.astype(np.float32))}
    return Known(parts, distances, torch.arange(len(offsets)), [1] * len(offsets), True)


def test_strangers_are_named_farthest_first() -> None:
    found = find_suspects(_reader(), _known([0.0] * 20 + [3.0, 6.0]))
    assert [suspect.part.sample.path.name for suspect in found] == ["21.png", "20.png"]
    assert found[0].spreads > found[1].spreads > 4.5
    assert str(found[0]).startswith("21.png (")


@pytest.mark.parametrize("seed", range(5))
def test_nobody_is_named_among_equals(seed: int) -> None:
    assert find_suspects(_reader(), _known([0.0] * 30, seed)) == ()


def test_a_fifth_of_strangers_does_not_hide_itself() -> None:
    found = find_suspects(_reader(), _known([0.0] * 24 + [4.0] * 6))
    assert {suspect.part.unit for suspect in found} == set(range(24, 30))


def test_never_more_than_a_share_is_named() -> None:
    found = find_suspects(_reader(), _known([0.0] * 11 + [float(9 + i) for i in range(9)]))
    assert len(found) <= MOST * 20


def test_few_parts_do_not_judge_each_other() -> None:
    assert find_suspects(_reader(), _known([0.0] * 8 + [9.0])) == ()
