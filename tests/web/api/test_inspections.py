"""The line's record over the API: pages that stay in order, filters, and figures."""

from __future__ import annotations

import csv
import io
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
from pyarrow import parquet
from tests.web.conftest import Served

from sightline.core.errors import NotFoundError
from sightline.core.result import Verdict
from sightline.operations.parquet import ROWS, parquet_chunks
from sightline.operations.records import BATCH, COLUMNS, FIRST, csv_lines
from sightline.store.inspections import Filter, Record
from sightline.web.client import ApiError

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
DAY = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"}


def record(number: int) -> Record:
    verdict = (Verdict.OK, Verdict.OK, Verdict.NG, Verdict.REVIEW)[number % 4]
    types = {"crack": 0.9, "dent": 0.1} if number % 8 == 2 else {"dent": 0.8} if verdict is Verdict.NG else {}
    return Record(
        station=f"s{number % 2}", verdict=verdict, triggered=START + timedelta(minutes=number), score=number / 10,
        lot=f"lot {number // 20}", serial=f"S{number}", types=types, product="plates",
    )  # fmt: skip


@pytest.fixture
def filled(served: Served) -> Served:
    served.store.inspections.record_many([record(number) for number in range(40)])
    return served


def test_pages_hold_while_new_parts_come(filled: Served) -> None:
    with filled.client("operator") as client:
        page = client.get("/inspections", limit=15)
        filled.store.inspections.record(record(100))
        numbers = [one["serial"] for one in page["items"]]
        while page["next"]:
            page = client.get("/inspections", limit=15, after=page["next"])
            numbers += [one["serial"] for one in page["items"]]
        assert numbers == [f"S{number}" for number in range(39, -1, -1)]
        one = client.get("/inspections", serial="S7")["items"][0]
        assert client.get(f"/inspections/{one['id']}")["triggered"] == "2026-03-01T08:07:00Z"
        with pytest.raises(NotFoundError):
            client.get("/inspections/999")


def test_conditions_hold_together(filled: Served) -> None:
    with filled.client("operator") as client:

        def count(**query: object) -> int:
            return len(client.get("/inspections", limit=500, **query)["items"])

        assert count(verdict="NG") == 10
        assert count(verdict=["NG", "REVIEW"]) == 20
        assert count(station="s0", verdict="NG") == 10
        assert count(lot="lot 1", type="crack") == 2
        assert count(since="2026-03-01T08:10:00Z", until="2026-03-01T08:12:00Z") == 2
        assert count(late=True) == 0
        for wrong in ({"since": "2026-03-01T08:00:00"}, {"verdict": "BAD"}, {"limit": 0}, {"after": "x"}):
            with pytest.raises(ApiError) as caught:
                client.get("/inspections", **wrong)
            assert caught.value.status == 422


def test_figures_agree_with_the_record(filled: Served) -> None:
    with filled.client("operator") as client:
        (hour,) = client.get("/statistics/hours", **DAY)
        assert (hour["ok"], hour["ng"], hour["review"]) == (20, 10, 10)
        assert (hour["parts"], hour["ok_share"]) == (40, 0.5)
        stations = {one["name"]: one for one in client.get("/statistics/stations", **DAY)}
        assert (stations["s0"]["ng"], stations["s1"]["ng"], stations["s1"]["parts"]) == (10, 0, 20)
        lots = client.get("/statistics/lots", **DAY)
        assert {one["name"]: one["parts"] for one in lots} == {"lot 0": 20, "lot 1": 20}
        pareto = client.get("/statistics/types", **DAY)
        assert pareto["types"] == [
            {"type": "unknown", "count": 10}, {"type": "crack", "count": 5}, {"type": "dent", "count": 5},
        ]  # fmt: skip
        assert (pareto["parts"], pareto["complete"]) == (20, True)
        assert client.get("/statistics/hours") == []
        with pytest.raises(ApiError, match="7 days"):
            client.get("/statistics/lots", since="2026-01-01T00:00:00Z", until="2026-03-01T00:00:00Z")


def test_a_parquet_file_says_the_same_as_the_csv(filled: Served) -> None:
    more = {"grade": 2, "late": True, "error": "no picture", "signalled": START + timedelta(microseconds=7)}
    odd = Record(station="s0", verdict=Verdict.NG, triggered=START - timedelta(days=1), serial="=1+1", **more)
    filled.store.inspections.record(odd)
    with filled.client("operator") as client:
        answer = client.http.get("/inspections.parquet", params={"verdict": "NG"})
        assert answer.headers["content-type"] == "application/vnd.apache.parquet"
        assert "inspections.parquet" in answer.headers["content-disposition"]
        found = parquet.read_table(io.BytesIO(answer.content)).to_pylist()
        told = list(csv.DictReader(io.StringIO(client.get("/inspections.csv", verdict="NG").decode())))
    assert [tuple(row) for row in found] == [COLUMNS] * 11
    text = {datetime: datetime.isoformat, bool: str, type(None): lambda _: ""}
    assert found[-1].pop("serial") == "=1+1"  # no spreadsheet computes in it
    assert told[-1].pop("serial") == "'=1+1"
    assert [{key: text.get(type(one), str)(one) for key, one in row.items()} for row in found] == told
    assert found[-1]["triggered"] == START - timedelta(days=1)
    assert json.loads(found[0]["types"]) == {"dent": 0.8}


def test_a_parquet_file_is_written_in_groups_and_is_none_when_cut_off(filled: Served) -> None:
    many = [record(number) for number in range(100, 100 + ROWS)]
    filled.store.inspections.record_many(many)
    chunks = list(parquet_chunks(filled.store, Filter()))
    with parquet.ParquetFile(io.BytesIO(b"".join(chunks))) as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        assert (groups, file.metadata.num_rows) == ([ROWS, 40], ROWS + 40)
    with pytest.raises(ValueError, match="magic bytes not found"):
        parquet.ParquetFile(io.BytesIO(b"".join(chunks[:-1])))
    nothing = parquet.read_table(io.BytesIO(b"".join(parquet_chunks(filled.store, Filter(lot="none")))))
    assert (nothing.num_rows, tuple(nothing.column_names)) == (0, COLUMNS)


def test_the_first_lines_of_a_csv_come_before_the_others_are_read(filled: Served) -> None:
    filled.store.inspections.record_many([record(number) for number in range(100, 100 + BATCH)])
    counts = [len(lines.splitlines()) for lines in csv_lines(filled.store, Filter())]
    assert counts == [1, FIRST, BATCH + 40 - FIRST]
    exact = [len(lines.splitlines()) for lines in csv_lines(filled.store, Filter(until=START + timedelta(hours=1)))]
    assert exact == [1, 40]


def test_without_its_package_a_parquet_file_is_refused_with_the_remedy(
    filled: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with filled.client("operator") as client:
        answer = client.http.get("/inspections.parquet")
    assert (answer.status_code, answer.headers["content-type"]) == (501, "application/problem+json")
    assert "pip install 'sightline[parquet]'" in answer.json()["detail"]
