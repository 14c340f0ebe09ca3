"""A plan for a plant: its figures beside a small run that was really made."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import InputError
from sightline.operations import planning
from sightline.operations.sending import ingest
from sightline.store.store import Store


def test_rows_and_bytes_are_those_of_a_run(tmp_path: Path) -> None:
    costs = planning.measured()
    asked = planning.Asked(lines=1, takt_s=1.8, hours=1, days=1, ng=0, review=0)  # 2,000 parts
    found = planning._reckon(asked, planning.COSTS | costs)
    assert found.rows_a_year == 2000
    rng = random.Random(7)
    with Store.open(tmp_path / "site.db") as store:
        empty = planning._size(store)
        for first in range(0, 2000, 500):
            ingest(store, "plan", planning._batch(first, 500, rng))
        assert store.inspections.newest_id() == 2000
        grown = planning._size(store) - empty
    assert found.server.records_gb_a_year * 1e9 == pytest.approx(grown, rel=0.25)
    committed = planning._reckon(asked, planning.COSTS)
    assert committed.server.records_gb_a_year * 1e9 == pytest.approx(grown, rel=0.35)
    wire = len(planning._batch(0, planning.SENT, rng)) / planning.SENT
    assert planning.COSTS["wire_bytes"].value == pytest.approx(wire, rel=0.2)
    assert {one.source.split(",")[0] for one in costs.values()} == {"measured here"}


def test_a_plan_grows_with_lines_and_with_the_takt() -> None:
    small, large = (planning.plan(planning.Asked(lines=n, takt_s=2.0)) for n in (1, 100))
    assert large.rows_a_year == 100 * small.rows_a_year == 100 * 16 * 3600 * 250 // 2
    assert large.station == small.station
    assert large.server.network_mbit_s == pytest.approx(100 * small.server.network_mbit_s)
    assert (small.database, large.database) == ("SQLite", "PostgreSQL")
    fast = planning.plan(planning.Asked(lines=1, takt_s=0.02))
    assert fast.station.cores == 4 and fast.station.busy == pytest.approx(1.92)


def test_the_command_prints_each_cost_with_its_source() -> None:
    said = CliRunner().invoke(app, ["plan", "--lines", "100", "--takt", "0.5"]).output
    for cost in planning.COSTS.values():
        assert cost.source in said
    told = json.loads(CliRunner().invoke(app, ["plan", "--lines", "100", "--takt", "0.5", "--json"]).output)
    assert told["rows_a_year"] == 2_880_000_000 and told["costs"]["row_us"]["source"] == "benchmarks/site.md"


def test_what_cannot_be_is_said() -> None:
    for wrong in ({"lines": 0}, {"takt_s": 0}, {"hours": 25}, {"ng": 2}):
        with pytest.raises(InputError):
            planning.plan(planning.Asked(**({"lines": 1, "takt_s": 1.0} | wrong)))
