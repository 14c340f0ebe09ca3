"""Rollouts: one at a time of a product, and every station knows what it is to run, forth and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.core.result import Verdict
from sightline.store.inspections import Record
from sightline.store.rollouts import CANARY, DONE, ROLLED_BACK, ROLLING, Tally, Wanted
from sightline.store.store import Store

OLD, NEW, NEWER = "a" * 64, "b" * 64, "c" * 64


def part(**more: Any) -> Record:
    made = Record(station="press", verdict=Verdict.OK, triggered=datetime.now(UTC), recipe_hash=NEW, score=0.0)
    return replace(made, **more)


def test_the_canary_is_first_and_the_others_follow(store: Store) -> None:
    found = store.rollouts
    rollout = found.begin("caps", NEW, ["press", "saw"], 100, "eva", "less overkill")
    assert (rollout.state, rollout.stations, rollout.before) == (CANARY, ("press", "saw"), {"press": None, "saw": None})
    assert found.wanted("press") == {"caps": Wanted(NEW, rollout.id)}
    assert found.wanted("saw") == {}
    moved = found.move(rollout.id, ROLLING, "100 parts", "sightline")
    assert (moved.state, moved.reason, moved.ended) == (ROLLING, "100 parts", None)
    assert found.wanted("saw") == {"caps": Wanted(NEW, rollout.id)}
    done = found.move(rollout.id, DONE, "all", "sightline")
    assert done.ended is not None
    with pytest.raises(ConflictError, match="is done"):
        found.move(rollout.id, ROLLING, "", "eva")
    with pytest.raises(NotFoundError, match="no rollout 99"):
        found.move(99, DONE, "", "eva")
    assert store.audit.page(subject=f"recipe {NEW}")[0].action == "move rollout"


def test_of_a_product_one_rollout_is_under_way(store: Store) -> None:
    found = store.rollouts
    first = found.begin("caps", NEW, ["press"], 100, "eva")
    with pytest.raises(ConflictError, match="another rollout of caps is under way"):
        found.begin("caps", NEWER, ["saw"], 100, "eva")
    found.begin("lids", NEWER, ["press"], 100, "eva")
    found.move(first.id, ROLLED_BACK, "worse", "eva")
    assert found.begin("caps", NEWER, ["press"], 100, "eva").before == {"press": None}
    for stations in ([], ["press", "press"]):
        with pytest.raises(InputError, match="each named once"):
            found.begin("nuts", NEW, stations, 100, "eva")


def test_taking_back_gives_each_station_what_it_had_and_leaves_what_came_later(store: Store) -> None:
    found = store.rollouts
    first = found.begin("caps", OLD, ["press", "saw"], 1, "eva")
    found.move(first.id, ROLLING, "", "sightline")
    found.move(first.id, DONE, "", "sightline")
    second = found.begin("caps", NEW, ["press"], 1, "eva")
    found.move(second.id, ROLLED_BACK, "worse", "sightline")
    assert found.wanted("press") == {"caps": Wanted(OLD, second.id, urgent=True)}
    third = found.begin("caps", NEWER, ["saw"], 1, "eva")
    found.move(first.id, ROLLED_BACK, "after all", "eva")
    assert found.wanted("press")["caps"].recipe_hash == OLD, "the second rollout has said so since"
    assert found.wanted("saw") == {"caps": Wanted(NEWER, third.id)}
    found.move(third.id, ROLLED_BACK, "worse, too", "eva")
    assert found.wanted("saw")["caps"].recipe_hash is None, "what was taken back does not come back"
    with pytest.raises(ConflictError, match="rolled back"):
        found.move(second.id, ROLLED_BACK, "twice", "eva")
    assert found.page((CANARY,)) == ()


def test_a_station_says_what_it_runs_and_its_parts_are_counted_from_then_on(store: Store) -> None:
    found = store.rollouts
    found.report("press", "caps", OLD)
    assert found.assignments() == ()
    found.begin("caps", NEW, ["press"], 1, "eva")
    found.report("press", "caps", OLD)
    store.inspections.record_many([part(recipe_hash=OLD, verdict=one) for one in (Verdict.OK, Verdict.NG, Verdict.OK)])
    found.report("press", "caps", NEW)
    found.report("press", "caps", NEW)
    (said,) = found.assignments("caps")
    assert said.runs and (said.running_hash, said.ran_hash, said.since) == (NEW, OLD, store.inspections.newest_id())
    store.inspections.record_many([
        part(), part(verdict=Verdict.REVIEW), part(shadow=True), part(error="3: late"), part(station="saw"),
        part(details={"purpose": "check"}), part(details={"source": "bench"}),
        part(details={"purpose": "production"}, verdict=Verdict.NG),
    ])  # fmt: skip
    assert found.tally("press", NEW, after=said.since) == Tally(3, 2, 1)
    assert found.tally("press", OLD, until=said.since) == Tally(3, 1, 0)
    assert found.tally("press", NEW, newest=1).parts + found.tally("press", NEW, newest=1).errors <= 1
    found.report("press", "caps", OLD, "no signature")
    assert not found.assignments("caps")[0].runs
