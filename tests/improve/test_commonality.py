"""What parts have in common: named where it is beyond doubt, silent where it is not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from sightline.core.result import Verdict
from sightline.improve.commonality import find_common
from sightline.store.inspections import Record


def part(
    verdict: Verdict = Verdict.NG, lot: str | None = None, at: tuple[float, float] = (0.5, 0.5), **more: Any
) -> Record:
    """A part of 300 x 200 px with one defect, whose middle lies at shares of its sides."""
    box = [300 * at[0] - 5, 200 * at[1] - 5, 10, 10]
    view = {"view": "top", "verdict": str(verdict), "size": [300, 200], "defects": [{"box": box, **more}]}
    return Record(station="press", verdict=verdict, triggered=datetime.now(UTC), lot=lot, details={"views": [view]})


def scattered(count: int, seed: int) -> list[Record]:
    """Parts with a defect anywhere."""
    rng = np.random.default_rng(seed)
    return [part(at=(float(x), float(y)), type="scratch") for x, y in rng.random((count, 2))]


def test_a_place_a_type_and_a_lot_are_named_with_their_counts() -> None:
    same = [part(lot="L7", at=(0.9, 0.1), type="unknown") for _ in range(7)]
    beside = [part(Verdict.OK, lot=f"L{n % 8}") for n in range(400)]
    found = {one.kind: one for one in find_common(same, beside, scattered(60, 1))}
    assert (found["place"].value, found["place"].count, found["place"].of) == ("top: top right", 7, 7)
    assert found["type"].value == "unknown"
    assert found["lot"].value == "L7"
    assert found["lot"].usual < 0.2


def test_a_lot_that_is_all_that_ran_is_nothing_in_common() -> None:
    same = [part(lot="L1") for _ in range(7)]
    assert [
        one for one in find_common(same, [*same, *(part(Verdict.OK, lot="L1") for _ in range(50))], ()) if one
    ] == []


def test_chance_is_named_in_at_most_as_many_cases_as_stated() -> None:
    named = [find_common(scattered(8, seed), (), scattered(60, 1000 + seed)) for seed in range(300)]
    assert sum(bool(one) for one in named) <= 0.02 * 300


def test_damaged_and_other_records_say_nothing() -> None:
    none = Record(station="press", verdict=Verdict.NG, triggered=datetime.now(UTC), details={"views": [None, 3]})
    ok = part(Verdict.OK, at=(0.9, 0.1))
    assert find_common([none] * 5, [none] * 5, [none] * 5) == ()
    assert find_common([ok] * 5, (), [part()] * 60) == ()
    assert find_common((), (), ()) == ()
