"""A review load becomes limits that send so many parts to people, and an audit that bounds what is shipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import SettingError
from sightline.core.result import Band
from sightline.evaluate.prices import Prices
from sightline.evaluate.review_plan import Workload, parts_needed, plan_reviews
from sightline.runtime.recipe import Recipe

LOAD = Workload(parts=60, takt_s=2)
GOOD = np.random.default_rng(0).exponential(1.0, 400)
BAND = Band(low=2.0, high=9.0)


def test_people_get_as_many_parts_as_they_can_look_at() -> None:
    """On parts that come later, which the plan has not seen."""
    plan = plan_reviews(GOOD, BAND, LOAD, Prices(review=0.5))
    assert LOAD.made == 14_400
    later = np.random.default_rng(1).exponential(1.0, 2_000_000)
    seen = ((later > plan.ok) & (later <= plan.ng)).mean() * LOAD.made
    assert 0.2 * plan.reviews < seen < 2 * plan.reviews  # 400 parts know their tail badly
    assert plan.reviews + plan.audits == pytest.approx(60, rel=0.15)
    assert plan.cost_per_1000 == pytest.approx(0.5 * 1000 * (plan.reviews + plan.audits) / LOAD.made)


def test_the_audit_bounds_what_is_shipped_or_says_how_long_that_takes() -> None:
    """2,995 parts without a defect bound 0.1 % at 95 %: 30 of 60 a shift for 4 weeks of 15 shifts are not enough."""
    assert parts_needed(0.001) == 2995
    assert (1 - 0.001) ** 2995 <= 0.05 < (1 - 0.001) ** 2994
    plan = plan_reviews(GOOD, BAND, LOAD, Prices())
    assert (plan.audits, plan.audited) == (30, 1800)
    assert plan.shipped == pytest.approx(1 - 0.05 ** (1 / 1800))
    assert plan.weeks_needed == pytest.approx(2995 / 450)
    assert any("takes 7 weeks" in note for note in plan.notes) and plan.cost_per_1000 is None
    easy = plan_reviews(GOOD, BAND, replace(LOAD, shipped=0.005), Prices())
    assert easy.audits < 15 and easy.shipped <= 0.0051 and easy.ok < plan.ok


def test_few_good_parts_promise_little_and_it_is_said() -> None:
    plan = plan_reviews(GOOD[:30], BAND, LOAD, Prices())
    assert plan.reviews_upper > 1000
    assert any("30 held-out good parts promise no more" in note for note in plan.notes)
    assert any("the promise on escapes ends" in note for note in plan.notes) == (plan.ok > BAND.low)


@pytest.mark.parametrize("wrong", [{"parts": 0}, {"takt_s": float("nan")}, {"shipped": 1.0}, {"parts": 20_000}])
def test_a_load_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingError):
        replace(LOAD, **wrong)


def test_the_command_writes_a_revision(recipe_file: Path, tmp_path: Path) -> None:
    wanted = ["review-plan", str(recipe_file), "--parts", "600", "--takt-s", "10", "-o", str(tmp_path / "plan.onnx")]
    done = CliRunner().invoke(app, wanted)
    assert done.exit_code == 0, done.output
    assert "review_ok = " in done.output
    card = Recipe.load(tmp_path / "plan.onnx").card
    assert card.revision is not None and card.revision.reason == "people can look at 600 parts a shift"
    assert card.band.high == Recipe.load(recipe_file).card.band.high
