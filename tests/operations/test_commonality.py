"""Parts that an alarm is about: found with what they share, and named all at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.drifting import Part, record_burst

from sightline.core.errors import InputError, NotFoundError
from sightline.operations import drift
from sightline.operations.commonality import concerned, name_type
from sightline.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as made:
        yield made


@pytest.fixture
def burst(store: Store, part: Part) -> list[int]:
    """A station that makes more defects than usual, watched; their numbers."""
    bad = record_burst(store, part, "press")
    drift.watch(store)
    return bad


def test_a_burst_is_an_alarm_with_its_parts_and_what_they_share(store: Store, burst: list[int]) -> None:
    (told,) = drift.open_alarms(store, "press")
    assert told.alarm.cause == "defects"
    assert "parts were not OK, usually at most" in told.figures[-1]
    found = concerned(store, told.alarm.id)
    numbers = [part.id for part, _ in found.parts]
    assert numbers == sorted(numbers, reverse=True)  # type: ignore[type-var]
    assert set(numbers) <= set(burst)
    assert len(numbers) == found.not_ok >= len(burst) - 1
    assert {(one.kind, one.value) for one in found.common} >= {("lot", "L7")}
    assert all(view.hash for _, view in found.parts)
    with pytest.raises(NotFoundError, match="no alarm 99"):
        concerned(store, 99)


def test_a_name_labels_all_chosen_parts_and_keeps_their_pictures(store: Store, burst: list[int]) -> None:
    samples = name_type(store, burst[:5], " corner chip ", "anna")
    assert len(set(samples)) == 5
    for sample in samples:
        said = store.annotations.history(sample)[-1]
        assert (said.label, said.types, said.author) == ("defective", ("corner chip",), "anna")
    assert name_type(store, burst[:5], "chip", "ben") == samples, "the same pictures, named anew"


def test_nothing_is_named_where_one_part_cannot_be(store: Store, burst: list[int]) -> None:
    for numbers, type, what in (
        ([*burst[:2], 1], "chip", "part 1 was OK"),
        ([*burst[:2], 99_999], "chip", "no part 99999"),
        (burst[:2], "  ", "needs a name"),
        ([], "chip", "0 parts"),
    ):
        with pytest.raises(InputError, match=what):
            name_type(store, numbers, type, "anna")
    assert store.catalogue.products() == {}
