"""Charts over the API: what they show agrees with the record, and a table has every inspection once."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
import pytest
from tests.web.conftest import Served

from sightline.core.result import Verdict
from sightline.store.inspections import Record
from sightline.store.retention import Origin, collect
from sightline.web.client import ApiError

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
DAY = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"}
RECIPE = "ab" * 32


def part(number: int, verdict: Verdict = Verdict.OK, hour: int = 0, **more: Any) -> Record:
    triggered = START + timedelta(hours=hour, seconds=number)
    signalled = triggered + timedelta(milliseconds=more.pop("ms", 40))
    values = {"station": "s", "lot": f"lot {hour}", "key": f"{hour}-{number}", "serial": f"S{number}", **more}
    return Record(verdict=verdict, triggered=triggered, signalled=signalled, **values)


def test_a_p_chart_by_hour_and_by_lot(served: Served) -> None:
    for hour in range(6):
        bad = 2 if hour < 5 else 30
        records = [part(n, Verdict.NG if n < bad else Verdict.OK, hour) for n in range(100)]
        served.store.inspections.record_many(records)
    with served.client("operator") as client:
        chart = client.get("/statistics/p-chart", **DAY)
        assert [point["label"] for point in chart["points"]] == [f"2026-03-01T{8 + n:02}:00:00Z" for n in range(6)]
        assert (chart["parts"], chart["ng"], chart["center"]) == (600, 40, pytest.approx(40 / 600))
        assert [point["ng"] for point in chart["points"]] == [2, 2, 2, 2, 2, 30]
        assert 1 in chart["points"][-1]["rules"]
        assert chart["rules"]["1"] == "a point beyond 3 sigma"
        assert "Nelson" in chart["source"]
        lots = client.get("/statistics/p-chart", subgroup="lot", **DAY)
        assert [point["label"] for point in lots["points"]] == [f"lot {n}" for n in range(6)]
        assert [point["p"] for point in lots["points"]] == [point["p"] for point in chart["points"]]
        assert client.get("/statistics/p-chart", station="other", **DAY)["center"] is None


def test_places_count_each_defect_in_the_cells_that_it_touches(served: Served) -> None:
    def views(box: list[int], size: list[int] | None) -> dict[str, Any]:
        return {"views": [{"view": "top", "defects": [{"type": "crack", "box": box}], "size": size}]}

    pixels = cv2.imencode(".png", np.zeros((320, 640), np.uint8))[1].tobytes()
    image = served.store.images.put(pixels, "x")
    collect(served.store.database, image, Origin(product="p", name="x.png", reason="ng", verdict="NG", station="s"))
    served.store.inspections.record_many(
        [
            part(1, Verdict.NG, details=views([0, 0, 20, 10], [640, 320]), recipe_hash=RECIPE),
            part(2, Verdict.REVIEW, details=views([600, 300, 400, 400], [640, 320]), recipe_hash=RECIPE),
            part(3, Verdict.NG, details=views([0, 0, 21, 11], None), image_hash=image.hash),  # size from the picture
            part(4, Verdict.NG, details=views([0, 0, 20, 10], None)),  # size unknown
            part(5, Verdict.OK, details=views([0, 0, 20, 10], [640, 320])),
        ]
    )
    with served.client("operator") as client:
        found = client.get("/statistics/places", **DAY)
        assert (found["size"], found["parts"], found["complete"], found["without_size"]) == (32, 4, True, 1)
        (view,) = found["views"]
        grid = np.array(view["grid"])
        assert (view["view"], view["defects"], view["most"]) == ("top", 3, 2)
        assert (grid[0, 0], grid[1, 1], grid[0, 1], grid[0, 2]) == (2, 1, 1, 0)
        assert (grid[30:, 30:] == 1).all()
        assert grid.sum() == 1 + 4 + 4
        assert client.get("/statistics/places", recipe=RECIPE[:10], **DAY)["views"][0]["defects"] == 2
        assert client.get("/statistics/places", verdict="REVIEW", **DAY)["parts"] == 1


def test_latency_by_hour(served: Served) -> None:
    served.store.inspections.record_many([part(n, hour=0, ms=n, late=n > 98) for n in range(101)])
    served.store.inspections.record_many([part(n, hour=1, ms=7, station="t") for n in range(3)])
    with served.client("operator") as client:
        first, second = client.get("/statistics/latency", **DAY)
        assert first == {
            "start": "2026-03-01T08:00:00Z", "parts": 101, "late": 2, "p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0,
            "worst_ms": 100.0,
        }  # fmt: skip
        assert (second["parts"], second["p99_ms"]) == (3, 7.0)
        assert len(client.get("/statistics/latency", station="t", **DAY)) == 1
        assert client.get("/statistics/latency") == []
        with pytest.raises(ApiError, match="2 days"):
            client.get("/statistics/latency", since="2026-03-01T00:00:00Z", until="2026-03-09T00:00:00Z")


def test_a_table_has_every_inspection_once_and_computes_nothing(served: Served) -> None:
    served.store.inspections.record_many([part(n, Verdict.NG if n % 2 else Verdict.OK) for n in range(2500)])
    evil = part(9999, types={"crack": 0.5}, serial="=cmd|'/c calc'!A1")
    served.store.inspections.record(evil)
    with served.client("operator") as client:
        answer = client.http.get("/inspections.csv")
        assert answer.headers["content-type"].startswith("text/csv")
        assert "attachment" in answer.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == len({row["id"] for row in rows}) == 2501
        assert (rows[0]["serial"][0], rows[0]["types"]) == ("'", '{"crack": 0.5}')
        assert [row["triggered"] for row in rows] == sorted((row["triggered"] for row in rows), reverse=True)
        ng = list(csv.DictReader(io.StringIO(client.get("/inspections.csv", verdict="NG").decode())))
        assert {row["verdict"] for row in ng} == {"NG"}
        assert len(ng) == 1250


def test_a_view_records_the_size_of_its_picture() -> None:
    from sightline.line.decision import ViewResult
    from sightline.line.recorder import _view

    told = _view(ViewResult("top", Verdict.NG, 1.0, 0.1, RECIPE, size=(640, 320)))
    assert told["size"] == (640, 320)
