"""A rollout from the canary to the last station, and back by itself where the canary does worse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sightline.core.errors import InputError
from sightline.core.result import Verdict
from sightline.operations import rollouts
from sightline.operations.store import register_recipe
from sightline.runtime.recipe import Recipe
from sightline.store.alarms import NewAlarm
from sightline.store.inspections import Record
from sightline.store.rollouts import DONE, ROLLED_BACK, ROLLING
from sightline.store.store import Store

OLD = "a" * 64


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store whose stations press and saw have judged a hundred parts each."""
    with Store.open(tmp_path / "store.db") as made:
        for station in ("press", "saw"):
            work(made, station, OLD, 100)
        yield made


@pytest.fixture
def new(store: Store, recipe_file: Path) -> str:
    """The hash of a promoted recipe."""
    hash = register_recipe(store, recipe_file, None, "eva").hash
    return store.recipes.set_state(hash, "promoted", "eva", "better").hash


def work(store: Store, station: str, hash: str, parts: int, not_ok: int = 2) -> None:
    """A station judges parts, some of them NG."""
    verdicts = [Verdict.NG] * not_ok + [Verdict.OK] * (parts - not_ok)
    store.inspections.record_many(
        [Record(station=station, verdict=one, triggered=datetime.now(UTC), recipe_hash=hash) for one in verdicts]
    )


def take_over(store: Store, station: str, product: str, hash: str) -> None:
    """A station says what it ran and runs."""
    store.rollouts.report(station, product, OLD)
    store.rollouts.report(station, product, hash)


def test_it_goes_on_when_the_canary_has_done_its_parts(store: Store, new: str, recipe: Recipe) -> None:
    begun = rollouts.start(store, new[:12], ["press", "saw"], 50, "eva")
    assert rollouts.advance(store) == ()
    take_over(store, "press", begun.product, new)
    work(store, "press", new, 49, 1)
    assert rollouts.advance(store) == ()
    work(store, "press", new, 1, 0)
    (moved,) = rollouts.advance(store)
    assert (moved.state, moved.reason) == (ROLLING, "press: 1 of 50 parts not OK, 2 of 100 before")
    take_over(store, "saw", begun.product, new)
    assert rollouts.advance(store) == ()
    work(store, "saw", new, 50, 1)
    assert [one.state for one in rollouts.advance(store)] == [DONE]
    ((found, assigned),) = rollouts.list_rollouts(store)
    assert found.state == DONE
    assert [(one.station, one.runs) for one in assigned] == [("press", True), ("saw", True)]


def test_it_is_taken_back_where_the_canary_does_worse(store: Store, new: str) -> None:
    begun = rollouts.start(store, new, ["press", "saw"], 50, "eva")
    take_over(store, "press", begun.product, new)
    work(store, "press", new, 20, 9)
    (moved,) = rollouts.advance(store)
    assert moved.state == ROLLED_BACK
    assert "9 of 20 parts were not OK, 2 of 100 before" in moved.reason
    assert store.rollouts.wanted("press")[begun.product].recipe_hash is None
    assert store.rollouts.wanted("saw") == {}


def test_an_alarm_of_the_new_recipe_takes_it_back_and_one_of_the_old_does_not(store: Store, new: str) -> None:
    begun = rollouts.start(store, new, ["press"], 50, "eva")
    take_over(store, "press", begun.product, new)
    store.alarms.advance(None, 1, {}, [NewAlarm(("press", "top", OLD), "light", 1, 1)])
    assert rollouts.advance(store) == ()
    store.alarms.advance(1, 2, {}, [NewAlarm(("press", "top", new), "defects", 1, 1)])
    assert [one.reason for one in rollouts.advance(store)] == ["press: an alarm is open (defects)"]


def test_a_station_that_cannot_run_it_takes_it_back_for_all(store: Store, new: str) -> None:
    begun = rollouts.start(store, new, ["press", "saw"], 1, "eva")
    take_over(store, "press", begun.product, new)
    work(store, "press", new, 1, 0)
    rollouts.advance(store)
    store.rollouts.report("saw", begun.product, OLD, "it is not signed")
    (moved,) = rollouts.advance(store)
    assert "saw cannot run it: it is not signed" in moved.reason
    assert store.rollouts.wanted("press")[begun.product].recipe_hash is None


def test_what_cannot_be_rolled_out_is_said(store: Store, new: str) -> None:
    for stations, parts, what in ((["mill"], 50, "mill has recorded nothing"), (["press"], 0, "give 1 to")):
        with pytest.raises(InputError, match=what):
            rollouts.start(store, new, stations, parts, "eva")
    store.recipes.set_state(new, "retired", "eva")
    with pytest.raises(InputError, match="is retired"):
        rollouts.start(store, new, ["press"], 50, "eva")


def test_a_person_takes_it_back_with_a_reason(store: Store, new: str) -> None:
    begun = rollouts.start(store, new, ["press"], 50, "eva")
    with pytest.raises(InputError, match="say why"):
        rollouts.back(store, begun.id, " ", "eva")
    assert rollouts.back(store, begun.id, "wrong lot", "eva").state == ROLLED_BACK
