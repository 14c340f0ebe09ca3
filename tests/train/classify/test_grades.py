"""Fitting likeness: what no straight line tells apart, the same every time, and nothing without grades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightline.core.sample import Sample
from sightline.models.classifier import Classifier
from sightline.train.classify import grades as module
from sightline.train.classify.grades import fit_kernel_ordinal
from sightline.train.images.loader import Part
from sightline.train.labels.targets import Labelled

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


def classifier(labelled: list[Labelled], grades: int = 3) -> Classifier:
    net = Classifier(("a",), (CHANNELS,), 1, grades, True, 8).eval()
    with torch.no_grad():
        net.pooled.fit(torch.cat([net.describe(FakeMaps()("", x.image, False)).float() for x in labelled]))
    return net


@torch.no_grad()
def right(net: Classifier, labelled: list[Labelled]) -> float:
    predicted = [net({"a": torch.from_numpy(x.image)[None]}).quality for x in labelled]
    grades = net.grade(torch.cat([one for one in predicted if one is not None])).round()
    return float((grades == torch.tensor([x.grade for x in labelled])).float().mean())


def test_grades_that_lie_around_the_best_one_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    learning, others = parts(150, 0), parts(60, 1)
    net = classifier(learning)
    fit_kernel_ordinal(net, FakeMaps(), learning, 0)  # type: ignore[arg-type]
    assert net.kernel_ordinal is not None and right(net, others) > 0.9
    monkeypatch.setattr(module, "MAX_CENTRES", 60)
    fit_kernel_ordinal(net, FakeMaps(), learning, 0)  # type: ignore[arg-type]
    assert net.kernel_ordinal is not None and len(net.kernel_ordinal.centres) == 60 and right(net, others) > 0.85


def test_it_is_the_same_every_time_and_its_thresholds_are_in_order() -> None:
    learning = parts(45, 2)
    net = classifier(learning)
    found = []
    for _ in range(2):
        fit_kernel_ordinal(net, FakeMaps(), learning, 0)  # type: ignore[arg-type]
        found.append(net.kernel_ordinal)
    first, second = found
    assert first is not None and second is not None and first is not second
    assert torch.equal(first.weights, second.weights) and bool((first.thresholds.diff() > 0).all())


def test_without_grades_there_is_none() -> None:
    learning = parts(45, 3)
    for net, some in (
        (classifier(learning, 0), learning),
        (classifier(learning), [x for x in learning if x.grade == 1]),
    ):
        fit_kernel_ordinal(net, FakeMaps(), some, 0)  # type: ignore[arg-type]
        assert net.kernel_ordinal is None


def test_fine_tuning_starts_from_the_best_straight_line() -> None:
    learning = [x for x in parts(90, 4) if x.grade < 2]
    for x in learning:
        x.image[0] += 3 * x.grade  # one direction tells
    net = classifier(learning, 2)
    fit_kernel_ordinal(net, FakeMaps(), learning, 0)  # type: ignore[arg-type]
    net.kernel_ordinal = None
    assert right(net, learning) > 0.95
