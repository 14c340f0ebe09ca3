"""A small test set with a known answer, and inspectors that measure brightness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import pytest

from sightline.core.card import Calibration, Card, OutOfDistribution, Parity, Provenance
from sightline.core.result import Band
from sightline.core.sample import Sample
from sightline.evaluate.statistics.intervals import rate
from sightline.imaging.image import read_image
from sightline.runtime.inspection import Inspection

HEIGHT, WIDTH, CELL = 48, 64, 4
BAND = Band(low=3.0, high=6.0)
PATCH = (slice(8, 24), slice(16, 40))

Shoot = Callable[..., Sample]


@pytest.fixture
def card() -> Card:
    return Card(
        product="caps <b>A&B</b>",
        backbone="lite0",
        width=WIDTH,
        height=HEIGHT,
        scale=1.0,
        band=BAND,
        calibration=Calibration(
            method="leave-one-image-out",
            good=20,
            defective=0,
            overkill=rate(0, 20),
            review=rate(1, 20),
            escape=None,
            heat_threshold=4.0,
            promises=("20 good parts: overkill at most 13.9 % at 95 %.",),
        ),
        ood=OutOfDistribution(parts=20, median=0.4, outside=rate(0, 20), lowest_score=-9.0),
        trained_on=(),
        choices={"score": "top 1 %"},
        provenance=Provenance(
            created="2026-01-01T00:00:00Z",
            dataset="0123456789abcdef",
            settings={"effort": "quick", "lr": None},
            seed=5,
            versions={"torch": "2.13.0"},
        ),
        parity=Parity(
            images=4, max_relative_difference=1e-6, verdict_flips=0, reference="torch 2.13", engine="ort 1.32"
        ),
    )


class BrightInspector:
    """Score = the brightest cell, 1 per 10 grey levels above 100; a defect is a bright patch."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.calls = 0

    def inspect(self, source: Path, /) -> Inspection:
        image, warnings = read_image(source)
        self.calls += 1
        grid = (image.shape[1] // CELL, image.shape[0] // CELL)
        heat = cv2.resize((image[..., 0] - np.float32(100)) / 10, grid, interpolation=cv2.INTER_AREA)
        score = float(heat.max())
        return Inspection(
            verdict=self.card.band.decide(score),
            score=score,
            p_value=1 / (1 + max(score, 0.0)),
            source=str(source),
            warnings=warnings,
            # The first call is slow, as a cold engine is.
            times_ms=MappingProxyType({"total": 900.0 if self.calls == 1 else 10.0 + self.calls}),
            image=image,
            heat=np.asarray(heat, np.float32),
            heat_threshold=4.0,
            embedding=np.zeros(2, np.float32),
        )


@pytest.fixture
def inspector(card: Card) -> BrightInspector:
    return BrightInspector(card)


@pytest.fixture
def shoot(tmp_path: Path) -> Shoot:
    """Make an image whose patch scores about `level`, and its Sample."""

    def make(name: str, level: float, defective: bool | None, kind: str = "", mask: bool = False) -> Sample:
        seed = sum(map(ord, name))
        image = 100 + np.random.default_rng(seed).normal(0, 1.5, (HEIGHT, WIDTH))
        image[PATCH] += 10 * level
        path = tmp_path / name
        cv2.imwrite(str(path), np.clip(image, 0, 255).astype(np.uint8))
        sample = Sample(path, defective, types=(kind,) if kind else ())
        if not mask:
            return sample
        marked = np.zeros((HEIGHT, WIDTH), np.uint8)
        marked[PATCH] = 255
        cv2.imwrite(str(path.with_suffix(".mask.png")), marked)
        return replace(sample, mask=path.with_suffix(".mask.png"))

    return make


@pytest.fixture
def lot(shoot: Shoot) -> list[Sample]:
    """Good: 4 OK, 1 REVIEW, 1 NG. Defective: 3 NG, 1 REVIEW with masks, 1 OK without. One is unlabelled."""
    good = [shoot(f"good{i}.png", 0, False) for i in range(4)]
    good += [shoot("good_review.png", 4, False), shoot("good_ng.png", 7, False)]
    found = [shoot(f"scratch{i}.png", 11 + i, True, "scratch", mask=True) for i in range(3)]
    found.append(shoot("dent_review.png", 5, True, "dent", mask=True))
    return [*good, *found, shoot("dent_ok.png", 1, True, "dent"), shoot("unknown.png", 0, None)]
