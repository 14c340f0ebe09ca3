"""The rule by which a challenger runs beside the champion: escapes first, then cost, then chance."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.core.errors import InputError, SettingError
from sightline.core.result import Verdict
from sightline.data.dataset import Dataset
from sightline.evaluate.prices import Prices
from sightline.improve.promotion import PRICES, Judged, decide
from sightline.runtime.recipe import Recipe
from sightline.store.store import Store

OK, NG, REVIEW = Verdict.OK, Verdict.NG, Verdict.REVIEW


def parts(defective: bool, champion: Verdict, challenger: Verdict, count: int, name: str = "part") -> list[Judged]:
    return [Judged(f"{name}-{number}", defective, champion, challenger) for number in range(count)]


def test_fewer_overkills_and_no_escape_more_is_a_shadow_and_never_more() -> None:
    found = decide(parts(True, NG, NG, 10) + parts(False, OK, OK, 30) + parts(False, NG, OK, 5))
    assert found.answer == "promote to shadow"
    assert (found.champion.overkills.count, found.challenger.overkills.count, found.challenger.overkills.of) == (
        5,
        0,
        35,
    )
    assert found.challenger.escapes.lower == 0 and 0.3 < found.challenger.escapes.upper < 0.31  # 10 parts prove little
    assert found.champion.cost == pytest.approx(1000 * 0.99 * 2 * 5 / 35)
    assert found.challenger.cost == 0


@pytest.mark.parametrize("before", [NG, REVIEW])
def test_a_defective_part_lost_keeps_the_champion_whatever_is_gained(before: Verdict) -> None:
    gained = parts(True, OK, NG, 9) + parts(False, NG, OK, 50)
    found = decide(parts(True, before, OK, 1, "crack") + gained)
    assert found.answer == "keep the champion"
    assert found.lost == ("crack-0",) and "crack-0" in found.reasons[0]
    assert found.challenger.escapes.count < found.champion.escapes.count
    assert decide(gained).answer == "promote to shadow"


def test_more_escapes_are_named_as_such() -> None:
    found = decide(parts(True, NG, OK, 2) + parts(True, OK, NG, 1) + parts(False, NG, OK, 9))
    assert any("escapes rise from 1 to 2" in reason for reason in found.reasons)


def test_no_fall_of_cost_keeps_the_champion() -> None:
    same = decide(parts(True, NG, NG, 5) + parts(False, OK, OK, 5))
    asking = decide(parts(True, NG, NG, 5) + parts(False, OK, REVIEW, 5))
    for found in (same, asking):
        assert found.answer == "keep the champion"
        assert "cost does not fall" in found.reasons[0]


def test_a_paired_test_for_the_champion_speaks_against_a_lower_cost() -> None:
    # One escape less is worth more than twelve overkills among many good parts, but twelve to one is no chance.
    found = decide(parts(True, OK, NG, 1) + parts(False, OK, NG, 12) + parts(False, OK, OK, 988))
    assert found.champion.cost is not None and found.challenger.cost is not None
    assert found.challenger.cost < found.champion.cost and found.p_value < 0.05
    assert found.answer == "keep the champion" and "the champion is right more often" in found.reasons[0]


@pytest.mark.parametrize("tested", [[], parts(False, NG, OK, 20), parts(True, OK, NG, 20)])
def test_without_both_kinds_of_parts_nothing_is_promoted(tested: list[Judged]) -> None:
    found = decide(tested)
    assert found.answer == "keep the champion" and "one kind is missing" in found.reasons[0]
    assert found.to_json()["champion"]["cost"] is None


def test_a_recipe_that_learned_the_frozen_test_part_is_refused(
    tmp_path: Path, parts_folder: Path, recipe: Recipe
) -> None:
    with Store.open(tmp_path / "store.db") as store:
        store.add(Dataset.open(parts_folder).samples, "plates", parts_folder)
        version = store.versions.snapshot("plates", "ann", frozen=True).name
        frozen = next(iter(store.samples(version, split="test"))).path.stem[:16]
        card = {"trained_on": [frozen]}
        with pytest.raises(InputError, match="frozen test part"):
            store.recipes.register(recipe.data, "plates", "plates.onnx", "ann", version, card=card)


def test_a_change_that_is_not_paid_back_in_time_waits() -> None:
    """5 of 35 good parts no longer thrown away save 283 per 1,000 parts: 4,000 are paid back after 14,141 parts."""
    better = parts(True, NG, NG, 10) + parts(False, OK, OK, 30) + parts(False, NG, OK, 5)
    prices = Prices.parse(["stop=3600", "retraining=400"], PRICES)
    assert (prices.review, prices.change) == (PRICES.review, 4000.0)
    wait = decide(better, prices, ahead=14_000)
    assert wait.answer == "keep the champion" and "paid back after 14,141 parts" in wait.reasons[0]
    assert decide(better, prices, ahead=15_000).answer == decide(better, prices).answer == "promote to shadow"
    # Escapes come first: what is lost is not weighed at all.
    lost = decide([*better, *parts(True, NG, OK, 1, "crack")], prices, ahead=1)
    assert "crack-0" in lost.reasons[0]
    for wrong in ("stop=-1", "stop=much", "taxi=3"):
        with pytest.raises(SettingError):
            Prices.parse([wrong])
