"""The coverage meter names what is thin, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.curation.coverage import cover, in_order, pick, shift_of
from sightline.data.curation.image_statistics import read_statistics


def test_thin_types_lots_shifts_and_gaps_are_named(plant: Any, embed: Any) -> None:
    samples = plant()
    samples = [replace(s, lot="A" if s.defective else s.lot, metadata={"time": "2025-03-01T09:30:00"}) for s in samples]
    samples[0] = replace(samples[0], lot="D")
    coverage = cover(read_statistics(samples, embed))
    advice = "\n".join(coverage.advice)
    assert "18 or more further parts with 'stain': 12 images so far" in advice
    assert "Photograph 'stain' in other lots, such as B, C, D: 1 of 4 lots show it." in advice
    assert "lot 'D': 1 images" in advice
    assert "Photograph in the night shift" in advice
    assert {share.name: share.count for share in coverage.axes["label"]} == {"good": 24, "stain": 12}
    assert sum(share.count for share in coverage.axes["look"]) == 36
    assert coverage.to_json()["images"] == 36


def test_without_lots_and_times_it_says_what_is_missing(plant: Any) -> None:
    samples = [replace(s, lot=None) for s in plant()]
    coverage = cover(read_statistics(samples))
    assert set(coverage.axes) <= {"label", "brightness"}
    assert "Name the lot" in coverage.advice[-1]


def test_shifts(tmp_path: Any) -> None:
    def at(text: str) -> str:
        return shift_of(Sample(tmp_path, None, metadata={"timestamp": text}))

    assert [at(f"2025-01-01T{hour:02}:00").split()[0] for hour in (5, 6, 13, 14, 21, 22)] == [
        *("night", "early", "early", "late", "late", "night")
    ]
    assert at("soon") == ""


def test_bands_of_light_are_in_the_order_of_light(tmp_path: Any, write: Any) -> None:
    samples = [
        Sample(write(tmp_path / f"{grey}-{n}.png", np.full((64, 64, 3), grey, np.uint8)), False)
        for grey in (5, 40, 90, 120, 170, 240)
        for n in range(4)
    ]
    bands = [share.name for share in cover(read_statistics(samples)).axes["brightness"]]
    starts = [float(name.removeprefix("mean grey ").split()[0]) for name in bands]
    assert len(starts) == 4 and starts == sorted(starts) != sorted(starts, key=str)
    assert sorted(["lot 10", "lot 9", "A", "10", "9b"], key=in_order) == ["9b", "10", "A", "lot 9", "lot 10"]


# The subset covers every cluster before it returns to any, and goes on from what is given.

POINTS = (np.repeat(np.eye(5) * 50, 20, axis=0) + np.random.default_rng(0).normal(size=(100, 5))).astype(np.float32)


def test_every_cluster_is_seen_before_any_twice() -> None:
    chosen = pick(POINTS, 5).indices
    assert {index // 20 for index in chosen} == set(range(5))


def test_what_is_given_counts_as_chosen() -> None:
    chosen = pick(POINTS, 3, given=(0, 21)).indices
    assert {index // 20 for index in chosen} == {2, 3, 4}


def test_the_radius_shrinks() -> None:
    radii = [pick(POINTS, count).radius for count in (1, 5, 20, 100)]
    assert radii == sorted(radii, reverse=True) and radii[-1] == 0


def test_equal_images_can_all_be_picked_once() -> None:
    assert sorted(pick(np.ones((4, 3), np.float32), 4).indices) == [0, 1, 2, 3]


@pytest.mark.parametrize(("count", "given"), [(0, ()), (101, ()), (100, (3,)), (1, (100,))])
def test_what_cannot_be_picked_is_an_error(count: int, given: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        pick(POINTS, count, given)
