"""A bench of drawn parts, and trials that take no time: scores that follow the settings by a known rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import sightline
from sightline.data.dataset import Dataset
from sightline.runtime.recipe import Recipe
from sightline.train.search.folds import Bench, make_bench
from sightline.train.search.result import SearchResult
from sightline.train.search.trial import Outcome
from sightline.train.settings import TrainSettings

FAST = {"trials": 4, "folds": 2, "backbones": ("lite0", "lite1"), "threads": 1}

Judge = Callable[[Bench, TrainSettings, int], Outcome]
Search = Callable[..., SearchResult]


def _judged(bench: Bench, settings: TrainSettings, fold: int) -> Outcome:
    """Small keys tell defects worse; the time follows the pixels."""
    pictures = bench.held_out(fold)
    noise = np.random.default_rng([fold, settings.key_size]).normal(0, 0.3, len(pictures))
    scores = [
        picture.defective * settings.key_size / 64 + float(own) for picture, own in zip(pictures, noise, strict=True)
    ]
    real = [picture for picture in pictures if picture.drawing is None]
    return Outcome(tuple(scores), tuple(10.0 + (settings.side_px or 0) / 10 for _ in real))


@pytest.fixture(scope="session")
def bench(parts: Dataset) -> Bench:
    return make_bench(parts, folds=2, seed=0)


@pytest.fixture
def judged() -> Judge:
    return _judged


@pytest.fixture
def judge_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Judge], None]:
    """Replace the work of a fold."""
    return lambda judge: monkeypatch.setattr("sightline.train.search.trial.judge_fold", judge)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, recipe: Recipe) -> list[TrainSettings]:
    """No training at the end; the settings it would have had, in order."""
    observed: list[TrainSettings] = []

    def train(samples: Dataset, settings: TrainSettings, **_: object) -> Recipe:
        observed.append(settings)
        return recipe

    monkeypatch.setattr("sightline.train.search.searching.train", train)
    return observed


@pytest.fixture
def find(parts: Dataset, judge_by: Callable[[Judge], None], trained: list[TrainSettings]) -> Search:
    """A search of no time on the drawn parts."""
    judge_by(_judged)
    return lambda samples=parts, **options: sightline.search(samples, **{**FAST, **options})
