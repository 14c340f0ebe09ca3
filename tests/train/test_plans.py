"""The input shrinks until an inspection fits into the time."""

from __future__ import annotations

from typing import Any

import pytest

from sightline.core.errors import SettingError
from sightline.train import plans
from sightline.train.images.loader import InputSize, TrainingWarning
from sightline.train.plans import SIDES_PX, WHOLE, area_for_detail, area_in_time, median_ms
from sightline.train.settings import TrainSettings
from sightline.train.training import train

MS_PER_PX = 1e-4


@pytest.fixture(autouse=True)
def by_pixels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backbone whose time goes with the pixels, whatever else the machine does."""
    if "parts" not in request.fixturenames:
        monkeypatch.setattr(plans, "_backbone_ms", lambda extractor, size: size.height * size.width * MS_PER_PX)


def _square(area: int) -> InputSize:
    side = round(area**0.5)
    return InputSize(side, side, 1.0)


def test_the_largest_input_in_time_is_taken() -> None:
    allowed = WHOLE * 300**2 * MS_PER_PX
    area, why = area_in_time(None, _square, 512**2, allowed)  # type: ignore[arg-type]
    assert area == 256**2
    assert f"of the {allowed:g} ms allowed" in why


def test_enough_time_leaves_the_size_alone() -> None:
    area, _ = area_in_time(None, _square, 96**2, 1000.0)  # type: ignore[arg-type]
    assert area == 96**2


def test_too_little_time_is_said() -> None:
    with pytest.warns(TrainingWarning, match="no input is inspected within 0.001 ms"):
        area, why = area_in_time(None, _square, 256**2, 0.001)  # type: ignore[arg-type]
    assert area == SIDES_PX[-1] ** 2
    assert why.startswith("the smallest there is")


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [(224, 224, 384), (600, 600, 384), (1000, 1000, 550), (1067, 1600, 719), (3000, 4000, 768)],
)
def test_large_images_are_read_with_more_pixels(height: int, width: int, side: int) -> None:
    assert round(area_for_detail([(height, width)] * 3, 384**2) ** 0.5) == side


def test_only_the_region_of_interest_counts() -> None:
    assert area_for_detail([(1000, 1000)], 384**2, (0.0, 0.0, 0.5, 0.5)) == 384**2


def test_the_time_is_the_medians() -> None:
    assert 0 <= median_ms(lambda: None) < 50


def test_a_size_and_a_time_contradict_each_other() -> None:
    with pytest.raises(SettingError, match="budget_ms chooses the input's size"):
        TrainSettings.parse({"budget_ms": "20", "side_px": "256"})


def test_a_training_within_a_time_says_what_it_took(parts: Any) -> None:
    recipe = train(parts, effort="quick", synthetic=0, budget_ms=500.0, threads=1, classify=False)
    assert "of the 500 ms allowed" in recipe.card.choices["time"]
