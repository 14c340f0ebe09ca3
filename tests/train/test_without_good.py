"""A training set without any good part: types are learned, strangers go to a person, and nothing is ever OK."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

import sightline
from sightline.core.card import Card
from sightline.core.errors import InputError, RecipeError
from sightline.core.region import Rectangle, Region
from sightline.core.result import Band, Verdict
from sightline.core.sample import Sample
from sightline.runtime.cascade import Cascade
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.images.loader import TrainingWarning

SETTINGS = {"side_px": 112, "bank_size": 256, "sample_patches": 4000, "threads": 1, "synthetic": 0}
COLOURS = {"paint": (40, 60, 235), "stain": (230, 230, 20)}

Make = Callable[[str, int], Sample]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, draw: Any, write: Any) -> Make:
    folder = tmp_path_factory.mktemp("known_only")

    def one(kind: str, seed: int) -> Sample:
        image, _ = draw(seed)
        rng = np.random.default_rng(seed)
        x, y = int(rng.integers(20, 108)), int(rng.integers(20, 76))
        cv2.circle(image, (x, y), 9, COLOURS[kind], -1)
        path = write(folder / f"{kind}{seed}.png", image)
        return Sample(path, True, (kind,), regions=(Region(kind, Rectangle(x - 9, y - 9, 18, 18)),))

    return one


@pytest.fixture(scope="module")
def recipe(make: Make) -> Recipe:
    samples = [make(kind, 4000 + number) for number in range(14) for kind in COLOURS]
    with pytest.warns(TrainingWarning, match="never says OK"):
        return sightline.train(samples, **SETTINGS)


@pytest.fixture(scope="module")
def inspector(recipe: Recipe) -> Inspector:
    return Inspector(recipe, threads=1)


def test_the_card_says_what_cannot_be_promised(recipe: Recipe) -> None:
    card = recipe.card
    assert card.without_good and card.types == ("paint", "stain")
    assert (card.calibration.good, card.calibration.known) == (0, 28)
    assert card.calibration.overkill.of == 0 and card.calibration.overkill.upper == 1.0
    assert "never says OK" in card.calibration.promises[0]
    assert card.recognition is not None and card.recognition.band is None


def test_known_parts_are_ng_and_named_with_their_place(inspector: Inspector, make: Make) -> None:
    right = 0
    for seed in range(5000, 5006):
        for kind in COLOURS:
            sample = make(kind, seed)
            found = inspector.inspect(sample.path)
            assert found.verdict is not Verdict.OK
            right += found.verdict is Verdict.NG and max(found.types, key=lambda name: found.types[name]) == kind
    assert right >= 10  # of 12; one in twenty may look unlike the others


def test_a_stranger_goes_to_a_person_and_never_to_ok(inspector: Inspector, draw: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    assert inspector.inspect(noise).verdict is Verdict.REVIEW
    for seed in range(6):
        assert inspector.inspect(draw(7000 + seed)[0]).verdict is not Verdict.OK


def test_what_reads_the_band_alone_says_no_ok_either(recipe: Recipe) -> None:
    for score in (-1e6, 0.0, recipe.card.band.high, 1e6):
        assert recipe.card.band.decide(score) is not Verdict.OK
    with pytest.raises(ValidationError, match="nothing OK"):
        Card.model_validate(recipe.card.model_dump() | {"band": Band(low=0.0, high=5.0)})
    with pytest.raises(RecipeError, match="never says OK"):
        Cascade(recipe, recipe, threads=1)


def test_evaluate_and_explain_say_so(recipe: Recipe, make: Make, tmp_path: Path) -> None:
    from sightline.evaluate.report.report import write_report

    found = sightline.evaluate(recipe, [make(kind, 5100 + n) for n in range(4) for kind in COLOURS], threads=1)
    assert found.escape == 0 and found.overkills is None
    assert any(note.startswith("This recipe was made without good parts") for note in found.notes)
    assert found.recognition is not None and found.recognition.boxes is not None
    assert found.recognition.boxes.map50 is not None
    page = write_report(found, tmp_path / "report.html").read_text()
    assert "none were there" in page and "1e+30" not in page
    message = sightline.explain(recipe, make("paint", 5200).path, threads=1).sentences
    assert "never says OK" in message[0] and "held-out known parts" in message[1]


def test_without_types_or_with_the_recogniser_off_there_is_nothing_to_learn(make: Make) -> None:
    samples = [make("paint", 4000 + number) for number in range(6)]
    with pytest.raises(InputError, match="no good parts"):
        sightline.train([replace(sample, types=(), regions=()) for sample in samples], **SETTINGS)
    with pytest.raises(InputError, match="recognise is off"):
        sightline.train([*samples, make("stain", 4000)], **SETTINGS, classify=False)
    with warnings.catch_warnings(), pytest.raises(InputError, match="at least 5 are needed"):
        warnings.simplefilter("ignore")
        sightline.train([*samples[:3], make("stain", 4000)], **SETTINGS)
