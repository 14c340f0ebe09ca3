"""Which pictures are kept, and which have to go."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from sightline.core.result import Verdict
from sightline.line import recorder
from sightline.line.collection import Collector, Keep
from sightline.line.decision import Decision, ViewResult
from sightline.line.journal import Ledger
from sightline.store import retention
from sightline.store.store import Store

OK, NG, REVIEW = Verdict.OK, Verdict.NG, Verdict.REVIEW


def decision(verdict: Verdict = OK, margin: float = 3.0, p_value: float = 0.5) -> Decision:
    return Decision(verdict, (ViewResult("v", verdict, 1.0, p_value, "hash", margin=margin),))


def collector(**policies: object) -> Collector:
    return Collector(Keep.model_validate({"ng": False, "review": False, **policies}))


def test_by_verdict() -> None:
    one = collector(ng=True, review=True)
    assert [one.wants(decision(verdict), None) for verdict in (OK, NG, REVIEW)] == ["", "ng", "review"]
    assert [collector().wants(decision(verdict), None) for verdict in (OK, NG, REVIEW)] == ["", "", ""]


def test_every_nth() -> None:
    one = collector(every=3)
    assert [one.wants(decision(), None) for _ in range(7)] == ["", "", "every", "", "", "every", ""]


def test_doubtful_and_novel_parts() -> None:
    one = collector(doubtful=0.2, novel_p=0.05)
    assert one.wants(decision(margin=0.1), None) == "doubtful"
    assert one.wants(decision(p_value=0.01), None) == "novel"
    assert one.wants(decision(), None) == ""


def test_a_quota_for_every_lot() -> None:
    one = collector(lot_quota=2)
    assert [one.wants(decision(), lot) for lot in ("a", "a", "a", "b", None)] == ["lot", "lot", "", "lot", ""]


def test_a_pause_after_a_kept_part_which_ng_does_not_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    one = collector(ng=True, every=1, cool_down_s=10)
    assert one.wants(decision(), None) == "every"
    now[0] = 5
    assert one.wants(decision(), None) == "" and one.wants(decision(NG), None) == "ng"
    now[0] = 20
    assert one.wants(decision(), None) == "every"


def test_the_disk_is_not_filled() -> None:
    one = collector(every=1, disk_mb=1)
    one.took(2_000_000)
    assert one.wants(decision(), None) == ""
    one.cleared()
    assert one.wants(decision(), None) == "every"


def test_lot_and_serial_are_read_from_the_part_id() -> None:
    keep = Keep(part_id=r"(?P<lot>L\d+)-(?P<serial>\d+)")
    assert keep.names("L17-0042") == {"lot": "L17", "serial": "0042"}
    assert keep.names("odd") == {"serial": "odd"}
    with pytest.raises(ValidationError, match="not a valid pattern"):
        Keep(part_id="(")


def test_a_station_keeps_samples_that_know_where_they_come_from(bench: Callable[..., Any]) -> None:
    keep = {"every": 2, "part_id": r"(?P<lot>L\d+)-(?P<serial>\d+)"}
    with bench(keep=keep, line="A") as one:
        for number in range(5):
            one.inspect(f"L17-{number}")
        one.until(lambda: len([r for r in one.records() if r.image_hash]) == 3)
        with Store.open(one.settings.folder / "sightline.db") as store:
            samples = sorted(store.samples("plates"), key=lambda sample: sample.metadata["serial"])
            assert [sample.metadata["serial"] for sample in samples] == ["1", "3", "4"]
            assert [sample.metadata["collected"] for sample in samples] == ["every", "every", "ng"]
            first = samples[0]
            assert first.lot == "L17" and first.defective is None and first.path.exists()
            assert first.metadata["station"] == "desk" and first.metadata["line"] == "A"
            assert store.check().ok


def test_margins_are_in_widths_of_the_band() -> None:
    result = decision().results[0]
    assert replace(result, margin=0.5).margin == 0.5


def test_a_station_whose_disk_is_full_clears_and_goes_on(
    bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "LOOK_S", 0.05)
    with bench(keep={"every": 1, "disk_mb": 0.000001}) as one:
        kept = lambda: len([r for r in one.records() if r.image_hash])  # noqa: E731 - asked again and again
        one.inspect("1")
        one.until(lambda: kept() == 1)
        one.inspect("2")
        monkeypatch.setattr(recorder, "CLEAR_S", 0.0)
        time.sleep(0.3)
        one.inspect("3")
        one.until(lambda: kept() == 2)
        assert [bool(record.image_hash) for record in one.records()] == [True, False, True]


def test_pictures_in_all_are_bounded(bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention.clear, "__defaults__", (*retention.clear.__defaults__[:-1], 0.0))  # type: ignore[index]
    with bench(keep={"every": 1, "most_mb": 0.000001}) as one:
        one.inspect("1")
        one.until(lambda: len([r for r in one.records() if r.image_hash]) == 1)
        ledger = Ledger(one.settings)
        ledger.clear()
        ledger.close()
        assert not [r for r in one.records() if r.image_hash]
