"""Fitting likeness: what no straight line tells apart, the same every time, and nothing without grades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightline.core.sample import Sample
from sightline.models.recogniser import Recogniser
from sightline.train import likeness as module
from sightline.train.intake import Part
from sightline.train.labelled import Labelled
from sightline.train.likeness import fit_likeness

CHANNELS = 6


class FakeMaps:
    """Maps that are the image itself."""

    names = ("a",)

    def __call__(self, key: str, image: Any, mirrored: bool) -> dict[str, torch.Tensor]:
        return {"a": torch.from_numpy(image)[None].half()}


def parts(count: int, seed: int) -> list[Labelled]:
    """Parts whose grade is how far their means are from the middle, whichever way."""
    rng, found = np.random.default_rng(seed), []
    for index in range(count):
        grade = index % 3
        way = rng.normal(size=(CHANNELS, 1, 1))
        image = 2.0 * grade * way / np.linalg.norm(way) + 0.1 * rng.normal(size=(CHANNELS, 4, 4))
        part = Part(Sample(Path(f"{seed}-{index}.png"), grade > 0, grade=grade), f"{seed}-{index}", index)
        found.append(Labelled(part, image.astype(np.float32), None, None, grade))
    return found


def recogniser(labelled: list[Labelled], grades: int = 3) -> Recogniser:
    net = Recogniser(("a",), (CHANNELS,), 1, grades, True, 8).eval()
    with torch.no_grad():
        net.pooled.fit(torch.cat([net.describe(FakeMaps()("", x.image, False)).float() for x in labelled]))
    return net


@torch.no_grad()
def right(net: Recogniser, labelled: list[Labelled]) -> float:
    said = [net({"a": torch.from_numpy(x.image)[None]}).quality for x in labelled]
    grades = net.grade(torch.cat([one for one in said if one is not None])).round()
    return float((grades == torch.tensor([x.grade for x in labelled])).float().mean())


def test_grades_that_lie_around_the_best_one_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    learning, others = parts(150, 0), parts(60, 1)
    net = recogniser(learning)
    net.likeness = fit_likeness(net, FakeMaps(), learning, 0)  # type: ignore[arg-type]
    assert net.likeness is not None and right(net, others) > 0.9
    monkeypatch.setattr(module, "MOST_CENTRES", 60)
    net.likeness = fit_likeness(net, FakeMaps(), learning, 0)  # type: ignore[arg-type]
    assert net.likeness is not None and len(net.likeness.centres) == 60 and right(net, others) > 0.85


def test_it_is_the_same_every_time_and_its_thresholds_are_in_order() -> None:
    learning = parts(45, 2)
    net = recogniser(learning)
    first, second = (fit_likeness(net, FakeMaps(), learning, 0) for _ in range(2))  # type: ignore[arg-type]
    assert first is not None and second is not None
    assert torch.equal(first.weights, second.weights) and bool((first.thresholds.diff() > 0).all())


def test_without_grades_there_is_none() -> None:
    learning = parts(45, 3)
    assert fit_likeness(recogniser(learning, 0), FakeMaps(), learning, 0) is None  # type: ignore[arg-type]
    alone = [x for x in learning if x.grade == 1]
    assert fit_likeness(recogniser(alone), FakeMaps(), alone, 0) is None  # type: ignore[arg-type]
