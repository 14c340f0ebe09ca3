"""What stations have learned: one active change per recipe, each with its author, and none made over another's head."""

from __future__ import annotations

import pytest

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.store import adaptations
from sightline.store.adaptations import ACTIVE, REFUSED, REPLACED, SUGGESTED
from sightline.store.store import Store

RECIPE = "a" * 64


def test_the_newest_active_change_takes_the_place_of_the_one_before(store: Store) -> None:
    found = store.adaptations
    assert found.active("press", RECIPE) is None
    first = found.add("press", RECIPE, found.next_number("press", RECIPE), "learned", b"1", {"parts": 24}, "station")
    number = found.next_number("press", RECIPE)
    second = found.add("press", RECIPE, number, "harmless", b"2", {}, "eva", "glare", based_on=first.id)
    assert (first.number, second.number) == (1, 2)
    active = found.active("press", RECIPE)
    assert active is not None and active.id == second.id
    assert found.get(first.id).state == REPLACED and found.get(second.id).state == ACTIVE
    assert found.file(second.id) == b"2"
    assert found.digests("press", [RECIPE, "b" * 64]) == {RECIPE: (second.id, second.digest)}
    assert found.digests("lathe", [RECIPE]) == {}
    assert [one.id for one in found.page("press")] == [second.id, first.id]


def test_a_change_that_was_made_meanwhile_is_not_overwritten(store: Store) -> None:
    found = store.adaptations
    number = found.next_number("press", RECIPE)
    found.add("press", RECIPE, number, "learned", b"1", {}, "station")
    with pytest.raises(ConflictError, match="changed meanwhile"):
        found.add("press", RECIPE, number, "harmless", b"2", {}, "eva")
    # Nor one of which the maker did not know, whatever its number.
    with pytest.raises(ConflictError, match="changed meanwhile"):
        found.add("press", RECIPE, 2, "harmless", b"2", {}, "eva")
    active = found.active("press", RECIPE)
    assert active is not None and active.kind == "learned"


def test_a_suggestion_waits_for_a_person(store: Store) -> None:
    found = store.adaptations
    one = found.add("press", RECIPE, 1, "learned", b"1", {}, "station", state=SUGGESTED)
    assert found.active("press", RECIPE) is None
    assert found.decide(one.id, True, "eva").state == ACTIVE
    with pytest.raises(ConflictError, match="is active"):
        found.decide(one.id, False, "eva")
    two = found.add("press", RECIPE, 2, "learned", b"2", {}, "station", state=SUGGESTED, based_on=one.id)
    three = found.add("press", RECIPE, 3, "learned", b"3", {}, "station", state=SUGGESTED, based_on=one.id)
    with pytest.raises(ConflictError, match="older"):
        found.decide(two.id, True, "eva")
    assert found.decide(three.id, False, "eva").state == REFUSED
    active = found.active("press", RECIPE)
    assert active is not None and active.id == one.id


def test_self_learning_is_off_until_somebody_switches_it(store: Store) -> None:
    assert store.adaptations.mode("press") == "off"
    store.adaptations.set_mode("press", "suggest", "eva", "trial")
    assert store.adaptations.mode("press") == "suggest" and store.adaptations.modes() == {"press": "suggest"}
    assert any(entry.action == "self-learning" for entry in store.audit.page())
    with pytest.raises(InputError, match="no mode"):
        store.adaptations.set_mode("press", "always", "eva")  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        store.adaptations.get(99)


def test_of_two_at_the_same_moment_the_second_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read the same newest number; the database's own rule lets one of them write."""
    first = store.adaptations.add("press", RECIPE, 1, "learned", b"1", {}, "eva")
    monkeypatch.setattr(adaptations, "_newest", lambda *_: 0)
    with pytest.raises(ConflictError, match="press"):
        store.adaptations.add("press", RECIPE, 1, "learned", b"2", {}, "ben", based_on=first.id)
    assert store.adaptations.file(first.id) == b"1"


def test_an_update_that_is_broken_off_leaves_the_change_before(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the power goes before the change is whole: all of it or nothing, and the next one finds its number."""
    found = store.adaptations
    first = found.add("press", RECIPE, 1, "learned", b"1", {}, "station")

    def power_lost(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as lost:
        lost.setattr(adaptations, "audit", power_lost)
        with pytest.raises(KeyboardInterrupt):
            found.add("press", RECIPE, 2, "learned", b"2", {}, "station", based_on=first.id)
    active = found.active("press", RECIPE)
    assert active is not None and (active.id, active.state, found.file(active.id)) == (first.id, ACTIVE, b"1")
    assert found.digests("press", [RECIPE]) == {RECIPE: (first.id, first.digest)}
    again = found.add("press", RECIPE, found.next_number("press", RECIPE), "learned", b"3", {}, "s", based_on=first.id)
    assert (again.number, again.state) == (2, ACTIVE)
