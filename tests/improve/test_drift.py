"""From records to alarms: what counts, what does not, and what a person's word changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from tests.drifting import RECIPE, Part

from sightline.core.card import Card
from sightline.core.result import Verdict
from sightline.improve import drift as module
from sightline.improve.charts import FIRST, LEARNED, SIZE, Charts, Usual
from sightline.improve.drift import HANDLED, SETTLING, Watch, read_part
from sightline.store.alarms import Alarm, Key
from sightline.store.inspections import Record

KEY: Key = ("press", "top", RECIPE)
OTHER = "b" * 64


@pytest.fixture
def watch(usual: Usual, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a watch whose recipes all have the card of `usual`."""

    def make(*alarms: Alarm, card: bool = True) -> Watch:
        made = Watch({}, alarms, lambda hash: None)
        if card:
            made._cards |= {RECIPE: usual, OTHER: usual}
        return made

    return make


def acknowledged(cause: str, at: int, accepted: bool = False) -> Alarm:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    return Alarm(1, *KEY, cause, 1, 2, 2, {}, None, None, "acknowledged", accepted, "anna", "", moment, moment, at)


def test_a_record_is_read_by_view() -> None:
    views = [
        {"view": "top", "recipe_hash": RECIPE, "verdict": "OK", "score": 1.5, "ood_distance": 0.5, "p_value": 0.3},
        {"view": "side", "recipe_hash": OTHER, "verdict": "NG", "score": None, "appearance": {"measures": [1, 2]}},
    ]
    record = Record(station="press", verdict=Verdict.NG, triggered=datetime.now(UTC), id=7, details={"views": views})
    (top, seen), (side, other) = read_part(record)
    assert (top, side) == (KEY, ("press", "side", OTHER))
    assert (seen.number, seen.ok, seen.p_value, seen.values[10], seen.values[11]) == (7, True, 0.3, 1.5, 0.5)
    assert np.count_nonzero(np.isfinite(seen.values)) == 2
    assert not np.isfinite(other.values).any()
    assert not other.ok


@pytest.mark.parametrize("change", [
    {"shadow": True}, {"error": "3: camera lost"}, {"id": None}, {"details": {}},
    {"details": {"purpose": "check", "views": [{"recipe_hash": RECIPE}]}}, {"details": {"views": "none"}},
    {"details": {"views": [None, 3, {"view": "top"}]}},
])  # fmt: skip
def test_what_does_not_count_is_not_read(part: Part, change: dict[str, Any]) -> None:
    assert list(read_part(replace(part(1), **change))) == []


@pytest.mark.parametrize("appearance", [
    None, 3, {}, {"measures": [float("nan")] * 10, "places": "%%%"}, {"measures": "long", "places": "AAAA"},
    {"measures": [None] * 10, "places": None}, {"measures": [True] * 10, "places": 7},
])  # fmt: skip
def test_measures_that_are_no_numbers_are_none(part: Part, watch: Any, appearance: Any) -> None:
    def damaged(number: int) -> Record:
        record = part(number)
        view = {**record.details["views"][0], "appearance": appearance}
        return replace(record, details={**record.details, "views": [view]})

    watching = watch()
    watching.see([part(number) for number in range(1, 100)])
    watching.see([damaged(number) for number in range(100, 400)])
    assert watching.raised == []
    assert np.all(np.isfinite(watching.charts[KEY].now))


@pytest.mark.parametrize("cause, moved, dark", [
    ("light", {"brightness": -4.0}, None), ("lens", {"sharpness": -5.0, "noise": -4.0}, None),
    ("colour", {"red": 4.0, "blue": -4.0}, None), ("camera", {"turn": 5.0}, None), ("dirt", None, {44: 20, 45: 14}),
])  # fmt: skip
def test_a_change_raises_one_alarm_with_its_cause(
    part: Part, watch: Any, cause: str, moved: dict[str, float] | None, dark: dict[int, int] | None
) -> None:
    watching = watch()
    watching.see([part(number) for number in range(1, 301)])
    assert watching.raised == []
    watching.see([part(number, moved, dark) for number in range(301, 451)])
    (alarm,) = watching.raised
    assert (alarm.key, alarm.cause) == (KEY, cause)
    assert 295 < alarm.since < 330 < alarm.number < 420
    assert alarm.figures["reference"] == "training"
    if dark:
        assert (alarm.figures["place"]["row"], alarm.figures["place"]["column"]) == (4, 4)
    else:
        assert set(alarm.figures["crossed"]) <= set(moved or ())


def test_another_product_is_called_one(part: Part, watch: Any) -> None:
    watching = watch()
    watching.see([part(number) for number in range(1, 301)])
    watching.see([part(number, score=4.0) for number in range(301, 451)])
    (alarm,) = watching.raised
    assert alarm.cause == "product"


def test_every_second_part_otherwise_is_the_product(part: Part, watch: Any) -> None:
    watching = watch()
    watching.see([part(number) for number in range(1, 301)])
    broken = {"scale": 9.0, "shift_y": -6.0, "contrast": 5.0}
    watching.see([part(number, broken if number % 2 else None, score=number % 2 * 6.0) for number in range(301, 501)])
    assert [alarm.cause for alarm in watching.raised] == ["product"]


def test_a_changeover_mixes_no_charts_and_its_first_parts_do_not_count(part: Part, watch: Any) -> None:
    """The other recipe's parts look quite different, and the first ones after each changeover lie askew."""
    watching, number = watch(), 0
    watching._cards[OTHER] = replace(watching._cards[RECIPE], mean=watching._cards[RECIPE].mean + 50)
    for _ in range(20):
        for recipe in (RECIPE, OTHER):
            for place in range(40):
                number += 1
                askew = {"turn": 6.0, "shift_x": 6.0} if place < SETTLING - 1 else {}
                one = part(number, askew, recipe=recipe)
                if recipe == OTHER:
                    view = one.details["views"][0]
                    measures = [value + 50 for value in view["appearance"]["measures"]]
                    told = {**view, "score": view["score"] + 50, "ood_distance": view["ood_distance"] + 50}
                    told["appearance"] = {**view["appearance"], "measures": measures}
                    told["appearance"]["places"] = ""
                    one = replace(one, details={**one.details, "views": [told]})
                watching.see([one])
    assert watching.raised == []
    assert set(watching.charts) == {KEY, ("press", "top", OTHER)}


def test_a_drift_during_a_changeover_is_charged_to_the_recipe_that_drifts(part: Part, watch: Any) -> None:
    """The lamp fades for one recipe while the line changes to and fro: one alarm, with its cause, for that one."""
    watching, number = watch(), 0
    watching._cards[OTHER] = watching._cards[RECIPE]
    for _ in range(8):
        for recipe in (RECIPE, OTHER):
            for _ in range(30):
                number += 1
                watching.see([part(number, {"brightness": -6.0} if recipe == RECIPE else {}, recipe=recipe)])
    assert [(alarm.key[2], alarm.cause) for alarm in watching.raised] == [(RECIPE, "light")]


def test_a_clock_that_jumps_changes_nothing(part: Part, watch: Any) -> None:
    records = [part(number, {"brightness": -4.0} if number > 300 else None) for number in range(1, 451)]
    jumped = [replace(one, triggered=datetime(1990 + one.id % 60, 1, 1, tzinfo=UTC)) for one in records if one.id]
    straight, askew = watch(), watch()
    straight.see(records)
    askew.see(jumped)
    assert straight.raised == askew.raised
    assert len(straight.raised) == 1


def test_two_stations_and_views_do_not_share_charts(part: Part, watch: Any) -> None:
    watching = watch()
    for number in range(1, 1201, 3):
        moved = {"brightness": -5.0} if number > 600 else None
        watching.see([part(number, moved), part(number + 1, view="side"), part(number + 2, station="saw")])
    assert [alarm.key for alarm in watching.raised][:1] == [KEY]
    assert {alarm.key for alarm in watching.raised} == {KEY}
    assert len(watching.charts) == 3


def test_a_cause_that_was_acknowledged_is_silent_for_a_while_and_others_are_not(part: Part, watch: Any) -> None:
    watching = watch(acknowledged("light", 300))
    watching.see([part(number, {"brightness": -4.0}) for number in range(301, 301 + HANDLED)])
    assert watching.raised == []
    watching.see([part(number, {"brightness": -4.0}) for number in range(301 + HANDLED, 901 + HANDLED)])
    assert {alarm.cause for alarm in watching.raised} == {"light"}
    other = watch(acknowledged("dirt", 300))
    other.see([part(number, {"brightness": -4.0}) for number in range(301, 501)])
    assert [alarm.cause for alarm in other.raised] == ["light"]


def test_after_somebody_accepts_how_it_is_that_is_what_is_usual(part: Part, watch: Any) -> None:
    dark = {"brightness": -5.0}
    watching = watch(acknowledged("light", 300, accepted=True))
    watching.see([part(number, dark) for number in range(301, 2001 + HANDLED)])
    assert watching.raised == []
    assert watching.usual(KEY).source == "production"
    watching.see([part(number) for number in range(2001 + HANDLED, 2201 + HANDLED)])
    assert [alarm.cause for alarm in watching.raised] == ["light"], "back to how it was: that is a drift, too"


def test_a_recipe_without_the_section_learns_from_the_line_first(part: Part, watch: Any) -> None:
    watching = watch(card=False)
    watching.see([part(number) for number in range(1, LEARNED)])
    assert watching.usual(KEY) is None
    watching.see([part(number) for number in range(LEARNED, LEARNED + 300)])
    assert watching.usual(KEY).source == "production"
    assert watching.raised == []
    watching.see([part(number, {"red": 6.0}) for number in range(LEARNED + 300, LEARNED + 450)])
    (alarm,) = watching.raised
    assert (alarm.cause, alarm.figures["reference"]) == ("colour", "production")


def test_charts_from_the_store_go_on_where_they_stood(part: Part, watch: Any, usual: Usual) -> None:
    records = [part(number, {"blue": 3.0} if number > 200 else None) for number in range(1, 401)]
    whole = watch()
    whole.see(records)
    first = watch()
    first.see(records[:230])
    kept = {key: module.Charts.of_json(chart.to_json()) for key, chart in first.charts.items()}
    second = Watch(kept, (), lambda hash: None)
    second._cards[RECIPE] = usual
    second.see(records[230:])
    assert first.raised + second.raised == whole.raised
    assert second.charts[KEY].to_json() == whole.charts[KEY].to_json()


def test_a_recipe_of_the_store_is_asked_once(part: Part, recipe: Any) -> None:
    asked: list[str] = []

    def card_of(hash: str) -> Card:
        asked.append(hash)
        return recipe.card

    watching = Watch({}, (), card_of)
    watching.see([part(number) for number in range(1, 50)])
    assert asked == [RECIPE]
    usual = watching.usual(KEY)
    assert usual is not None
    assert usual.mean.shape == (SIZE,)


def bad(part: Part, number: int, **more: Any) -> Record:
    """A part that was judged NG, though it looks as all do."""
    made = part(number)
    return replace(made, verdict=Verdict.NG, details={"views": [{**made.details["views"][0], "verdict": "NG"}]}, **more)


def test_more_defects_than_usual_are_an_alarm_unless_drift_explains_them(watch: Any, part: Part) -> None:
    watching = watch()
    watching.see([part(number) for number in range(1, SETTLING + FIRST + 1)])
    assert watching.raised == []
    after = SETTLING + FIRST + 1
    later = [bad(part, n) if n % 8 == 0 else part(n) for n in range(after, after + 100)]
    state = {key: Charts.of_json(chart.to_json()) for key, chart in watching.charts.items()}
    watching.see(later)
    (alarm,) = [one for one in watching.raised if one.cause == "defects"]
    assert alarm.key == KEY
    assert after <= alarm.since < alarm.number
    assert set(alarm.figures) == {"surplus"}
    drifting = replace(acknowledged("light", 0), state="open", at=None)
    explained = Watch(state, [drifting], lambda hash: None)
    explained._cards |= watching._cards
    explained.see(later)
    assert [one for one in explained.raised if one.cause == "defects"] == []
