"""What a reviewer sees of a part, and what an answer leaves behind for the next training."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.web.conftest import Served

from sightline.core.errors import ConflictError, NotFoundError
from sightline.core.result import Verdict
from sightline.runtime.recipe import Recipe
from sightline.store.annotations import Annotation
from sightline.store.inspections import Record
from sightline.store.retention import Origin, collect
from sightline.web.client import ApiError, Client

TRIGGERED = datetime(2026, 3, 1, tzinfo=UTC)
VIEWS = ("top", "side")


def judged(served: Served, recipe: str, key: str, files: dict[str, Path], **more: object) -> int:
    """A part of the line with a picture of each view, as a station records it; the inspection's id."""
    views, last = [], None
    for view, file in files.items():
        image = served.store.images.put(file.read_bytes(), key)
        origin = Origin(
            product="plates", name=f"press/{key}-{view}.png", reason="review", verdict="REVIEW", station="press",
            triggered=TRIGGERED, details={"view": view, "part": key},
        )  # fmt: skip
        collect(served.store.database, image, origin)
        score, last = 1.0 + len(views), image.hash
        views.append({"view": view, "verdict": "REVIEW", "score": score, "recipe_hash": recipe, "defects": []})
    part = Record(
        station="press", verdict=Verdict.REVIEW, triggered=TRIGGERED, product="plates", score=1.0, key=key,
        recipe_hash=recipe, image_hash=last, details={"views": views, "mode": "pilot"},
    )  # fmt: skip
    return served.store.inspections.record(replace(part, **more))


@pytest.fixture
def asked(served: Served, recipe: Recipe, parts_folder: Path) -> tuple[Served, str, int]:
    """A server with a part of two views in its queue: server, the recipe's hash and the inspection's id."""
    card = recipe.card.model_dump(mode="json")
    kept = served.store.recipes.register(recipe.data, "plates", "plates.onnx", "ann", card=card).hash
    files = {"top": parts_folder / "images/stain/100.png", "side": parts_folder / "images/good/00.png"}
    return served, kept, judged(served, kept, "k1", files)


def take(client: Client) -> int:
    return int(client.post("/reviews/claim", {"count": 1})[0]["id"])


def test_a_reviewer_sees_pictures_heat_and_thresholds(asked: tuple[Served, str, int]) -> None:
    served, recipe, part = asked
    with served.client("reviewer") as client:
        shown = client.get(f"/reviews/{take(client)}/part")
        assert (shown["inspection"], shown["pilot"], shown["recipe"], shown["missing"]) == (part, True, recipe, "")
        band = client.get(f"/recipes/{recipe}")["card"]["band"]
        assert shown["thresholds"] == {"ok": band["low"], "ng": band["high"]}
        assert [view["view"] for view in shown["views"]] == list(VIEWS)
        for view in shown["views"]:
            answer = client.http.get(view["picture"].removeprefix("/api/v1"))
            assert hashlib.sha256(answer.content).hexdigest() == view["picture"].rpartition("/")[2]
            assert "immutable" in answer.headers["cache-control"]
        found = client.http.get(shown["views"][0]["heat"].removeprefix("/api/v1"))
        assert (found.headers["content-type"], "immutable" in found.headers["cache-control"]) == ("image/png", True)
        heats = [found.content, client.get(shown["views"][1]["heat"].removeprefix("/api/v1"))]
        stained, good = (cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_UNCHANGED) for one in heats)
        assert stained.ndim == 2 and stained.dtype == np.uint8
        assert stained.max() > 128 > good.max()  # outlines begin at 128
        again = client.http.get(
            shown["views"][0]["heat"].removeprefix("/api/v1"), headers={"If-None-Match": found.headers["etag"]}
        )
        assert again.status_code == 304
        with pytest.raises(NotFoundError, match="no picture of a view"):
            client.get(f"/inspections/{part}/heat/bottom")


def test_a_view_may_have_a_slash_in_its_name(asked: tuple[Served, str, int], parts_folder: Path) -> None:
    served, recipe, _ = asked
    part = judged(served, recipe, "k2", {"top/left": parts_folder / "images/stain/100.png"})
    with served.client("engineer") as client:
        number = client.post("/reviews", {"reason": "asked", "inspection_id": part, "priority": 9})["id"]
        heat = client.get(f"/reviews/{number}/part")["views"][0]["heat"]
        answer = client.http.get(heat.removeprefix("/api/v1"))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")


def test_a_good_part_and_earlier_answers_are_shown_beside(asked: tuple[Served, str, int], parts_folder: Path) -> None:
    served, recipe, _ = asked
    for number, score in enumerate((5.0, 1.1, 9.0), start=1):
        file = parts_folder / f"images/good/0{number}.png"
        judged(served, recipe, f"old {number}", {"top": file, "side": file}, score=score)
    with served.client("reviewer") as client:
        mine = client.post("/reviews/claim", {"count": 4})
        assert client.get(f"/reviews/{mine[0]['id']}/part")["nearest_good"] is None
        for review in mine[1:]:
            client.post(f"/reviews/{review['id']}/answer", {"answer": "good"})
        shown = client.get(f"/reviews/{mine[0]['id']}/part")
        assert [one["score"] for one in shown["similar"]] == [1.1, 5.0, 9.0]
        assert {one["answer"] for one in shown["similar"]} == {"good"}
        assert {one["similarity"] for one in shown["similar"]} == {None}
        assert shown["nearest_good"]["picture"] != shown["views"][0]["picture"]
        view = served.store.catalogue.get(shown["nearest_good"]["sample"]).details["view"]
        assert view == "top"


def test_an_answer_labels_the_view_that_shows_the_defect(asked: tuple[Served, str, int]) -> None:
    served, _, _ = asked
    with served.client("reviewer") as client:
        number = take(client)
        samples = {v["view"]: v["sample"] for v in client.get(f"/reviews/{number}/part")["views"]}
        region = {"view": "top", "type": "stain", "box": [10, 10, 20, 20]}
        for wrong in ({**region, "view": "bottom"}, {**region, "box": [900, 900, 5, 5]}, {"type": "stain"}):
            with pytest.raises(ApiError):
                client.post(f"/reviews/{number}/answer", {"answer": "defective", "regions": [wrong]})
        answer = {"answer": "defective", "regions": [region], "grade": 2, "note": "clearly"}
        done = client.post(f"/reviews/{number}/answer", answer)
        (word,) = client.get(f"/samples/{samples['top']}/annotations")["items"]
        assert done["annotations"] == [word["id"]]
        assert (word["label"], word["types"], word["grade"], word["author"]) == ("defective", ["stain"], 2, "reviewer")
        assert word["regions"][0]["box"] == [10, 10, 20, 20]
        assert client.get(f"/samples/{samples['side']}/annotations")["items"] == []
        assert client.post(f"/reviews/{number}/undo")["annotations"] == []
        assert client.get(f"/samples/{samples['top']}/annotations")["items"][-1]["label"] == "unknown"
        done = client.post(f"/reviews/{number}/answer", {"answer": "good"})
        assert len(done["annotations"]) == 2  # both views of a good part are good
        labels = [sample.defective for sample in served.store.samples("plates")]
        assert labels == [False, False]


def test_the_worst_view_is_labelled_where_nothing_is_marked(asked: tuple[Served, str, int]) -> None:
    served, _, _ = asked
    with served.client("reviewer") as client:
        number = take(client)
        side = client.get(f"/reviews/{number}/part")["views"][1]["sample"]
        client.post(f"/reviews/{number}/answer", {"answer": "defective", "types": ["dent"]})
        assert client.get(f"/samples/{side}/annotations")["items"][0]["types"] == ["dent"]


def test_the_second_who_answers_is_told_and_labels_nothing(asked: tuple[Served, str, int]) -> None:
    served, _, _ = asked
    with served.client("reviewer") as one, served.client("engineer") as two:
        number = take(one)
        with pytest.raises(ConflictError, match="reviewer has it"):
            two.post(f"/reviews/{number}/answer", {"answer": "defective"})
        one.post(f"/reviews/{number}/answer", {"answer": "good"})
        with pytest.raises(ConflictError, match="answered by reviewer already"):
            two.post(f"/reviews/{number}/answer", {"answer": "defective"})
        for view in one.get(f"/reviews/{number}/part")["views"]:
            words = one.get(f"/samples/{view['sample']}/annotations")["items"]
            assert [word["author"] for word in words] == ["reviewer"]


def test_a_second_opinion_is_a_blind_word_and_counts_as_none(asked: tuple[Served, str, int]) -> None:
    served, _, _ = asked
    with served.client("reviewer") as one, served.client("engineer") as two:
        number = take(one)
        sample = one.get(f"/reviews/{number}/part")["views"][0]["sample"]
        one.post(f"/reviews/{number}/answer", {"answer": "good"})
        two.post(f"/reviews/{number}/second-opinion", {})
        two.post(f"/reviews/{take(two)}/answer", {"answer": "defective", "views": ["top"]})
        words = two.get(f"/samples/{sample}/annotations")["items"]
        assert [(word["author"], word["blind"]) for word in words] == [("reviewer", False), ("engineer", True)]


def test_a_picture_that_went_is_said_and_its_review_closed(asked: tuple[Served, str, int]) -> None:
    served, _, part = asked
    with served.client("reviewer") as client:
        number = take(client)
        before = client.get(f"/reviews/{number}/part")
        samples = [view["sample"] for view in before["views"]]
        served.store.catalogue.delete(samples, "ann")
        for file in (served.folder / "store-images" / "images").rglob("*.png"):
            file.unlink()
        shown = client.get(f"/reviews/{number}/part")
        assert "Skip it" in shown["missing"]
        assert [view["picture"] for view in shown["views"]] == [None, None]
        with pytest.raises(NotFoundError):
            client.get(f"/inspections/{part}/heat/top")
        mark = {"view": "top", "type": "stain", "box": [1, 1, 5, 5]}
        with pytest.raises(ApiError, match="without marks"):
            client.post(f"/reviews/{number}/answer", {"answer": "defective", "regions": [mark]})
        assert client.post(f"/reviews/{number}/skip", {})["state"] == "skipped"
        assert client.post("/reviews/claim", {"count": 5}) == []


def test_a_picture_without_a_sample_becomes_one(served: Served, parts_folder: Path) -> None:
    image = served.store.images.put((parts_folder / "images/good/00.png").read_bytes(), "x")
    part = Record(station="s", verdict=Verdict.REVIEW, triggered=TRIGGERED, product="caps", image_hash=image.hash)
    served.store.inspections.record(part)
    with served.client("reviewer") as client:
        number = take(client)
        assert client.get(f"/reviews/{number}/part")["views"][0]["picture"].endswith(image.hash)
        done = client.post(f"/reviews/{number}/answer", {"answer": "defective", "types": ["dent"]})
        (sample,) = client.get("/samples", product="caps")["items"]
        assert served.store.annotations.current([sample["id"]])[sample["id"]].id == done["annotations"][0]
        assert sample["hash"] == image.hash


def test_a_review_of_a_sample_shows_the_sample(served: Served, parts_folder: Path) -> None:
    image = served.store.images.put((parts_folder / "images/good/00.png").read_bytes(), "x")
    collect(served.store.database, image, Origin(product="caps", name="a.png", reason="x", verdict="OK", station="s"))
    (number,) = served.store.catalogue.numbers("caps", image.hash)
    served.store.annotations.add(number, Annotation(label="good", author="eve"))
    with served.client("engineer") as client:
        review = client.post("/reviews", {"reason": "look", "sample_id": number})["id"]
        shown = client.get(f"/reviews/{review}/part")
        assert (shown["inspection"], shown["product"], shown["views"][0]["sample"]) == (None, "caps", number)
        assert shown["views"][0]["heat"] is None
