"""Recipes over the API: judged with, promoted by one person at a time, revised by hand, compared."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from tests.web.conftest import Served

from sightline.core.errors import NotFoundError
from sightline.web.client import ApiError


def test_a_picture_is_judged_with_a_recipe_of_the_store(served: Served, kept: str, parts_folder: Path) -> None:
    with served.client("operator") as client:
        good = client.send(f"/recipes/{kept}/inspect", (parts_folder / "images/good/00.png").read_bytes())
        bad = (parts_folder / "images/stain/100.png").read_bytes()
        stained = client.send(f"/recipes/{kept[:12]}/inspect", bad, overlay=True)
        assert (good["verdict"], stained["verdict"], stained["recipe"]) == ("OK", "NG", kept)
        assert "overlay" not in good
        assert stained["overlay"].startswith("data:image/jpeg;base64,")
        assert stained["defects"]
        for wrong in (b"", b"no picture", bad[:200]):
            with pytest.raises(ApiError) as caught:
                client.send(f"/recipes/{kept}/inspect", wrong)
            assert caught.value.status == 422
        with pytest.raises(NotFoundError):
            client.send("/recipes/00000000/inspect", bad)


def test_of_several_pictures_each_gets_its_own_answer(served: Served, kept: str, parts_folder: Path) -> None:
    good, bad = ((parts_folder / f"images/{name}.png").read_bytes() for name in ("good/00", "stain/100"))
    with served.client("operator") as client:
        sent = [base64.b64encode(data).decode() for data in (good, b"no picture", bad)]
        told = client.http.post(f"/recipes/{kept}/inspect-many", json={"images": sent}).json()
        assert [one["verdict"] for one in told] == ["OK", "NG", "NG"]
        assert told[1]["inspection"] is None and "image" in told[1]["problem"]
        alone = client.send(f"/recipes/{kept}/inspect", good)
        assert told[0]["inspection"]["score"] == pytest.approx(alone["score"], abs=1e-4)


def test_a_missed_deadline_is_never_a_verdict(served: Served, kept: str, parts_folder: Path) -> None:
    good, late = (parts_folder / "images/good/00.png").read_bytes(), {"X-Deadline-Ms": "0.01"}
    with served.client("operator") as client:
        answer = client.http.post(f"/recipes/{kept}/inspect", content=good, headers=late)
        assert answer.status_code == 504 and "not inspected" in answer.json()["detail"]
        sent = {"images": [base64.b64encode(good).decode()]}
        (told,) = client.http.post(f"/recipes/{kept}/inspect-many", json=sent, headers=late).json()
        assert told["verdict"] == "NG" and "not inspected" in told["problem"]


def test_a_recipe_can_be_listed_read_and_fetched(served: Served, kept: str) -> None:
    with served.client("operator") as client:
        (found,) = client.items("/recipes", product="plates")
        assert found["hash"] == kept
        assert "card" not in found
        assert client.get(f"/recipes/{kept}")["card"]["product"]
        file = client.http.get(f"/recipes/{kept}/file")
        assert hashlib.sha256(file.content).hexdigest() == kept
        assert "attachment" in file.headers["content-disposition"]


def test_of_two_who_promote_at_once_the_second_is_told_who_was_first(served: Served, kept: str) -> None:
    with served.client("engineer") as one, served.client("administrator") as two:
        etag = {"If-Match": one.http.get(f"/recipes/{kept}").headers["etag"]}
        promote = {"state": "promoted", "reason": "a week of shadow"}
        assert one.http.post(f"/recipes/{kept}/state", json=promote, headers=etag).json()["state"] == "promoted"
        late = two.http.post(f"/recipes/{kept}/state", json={**promote, "state": "retired"}, headers=etag)
        assert late.status_code == 412
        assert "by engineer" in late.json()["detail"]
        assert one.get(f"/recipes/{kept}")["state"] == "promoted"
        with pytest.raises(ApiError, match="reason"):
            one.post(f"/recipes/{kept}/state", {"state": "retired", "reason": ""})
        entry = two.get("/audit", subject=f"recipe {kept}", limit=1)["items"][0]
        assert (entry["action"], entry["reason"]) == ("promoted", "a week of shadow")


def test_thresholds_by_hand_make_a_new_recipe_beside_the_old_one(served: Served, kept: str) -> None:
    with served.client("engineer") as client:
        band = client.get(f"/recipes/{kept}")["card"]["band"]
        form = {"ok": band["low"] - 0.5, "reason": "an escape on Monday"}
        made = client.post(f"/recipes/{kept}/thresholds", form)
        assert (made["parent"], made["author"], made["state"]) == (kept, "engineer", "candidate")
        paths = {one["path"]: one for one in client.get(f"/recipes/{kept}/diff", other=made["hash"])}
        assert paths["band.low"]["second"] == pytest.approx(band["low"] - 0.5)
        assert "band.high" not in paths
        lineage = client.get(f"/recipes/{made['hash']}/lineage")
        assert [one["hash"] for one in lineage["parents"]] == [kept]
        assert [one["hash"] for one in client.get(f"/recipes/{kept}/lineage")["children"]] == [made["hash"]]
        with pytest.raises(ApiError, match="no threshold was given"):
            client.post(f"/recipes/{kept}/thresholds", {"reason": "nothing"})
        with pytest.raises(ApiError, match=r"above|threshold"):
            client.post(f"/recipes/{kept}/thresholds", {"ok": 9.0, "ng": 1.0, "reason": "upside down"})
