"""Annotations, findings and the defect book over the API: nothing that two people say at once is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.web.conftest import Served

from sightline.core.errors import ConflictError, ForbiddenError, NotFoundError
from sightline.data.dataset import Dataset
from sightline.operations.datasets import Decide, Looks, check
from sightline.web.client import ApiError

BOX = {"type": "stain", "box": [10, 20, 30, 40]}


@pytest.fixture
def filled(served: Served, parts_folder: Path) -> Served:
    served.store.add(Dataset.open(parts_folder).samples, "plates", parts_folder)
    return served


def test_what_people_say_is_kept_under_their_name(filled: Served) -> None:
    with filled.client("reviewer") as client:
        word = client.post("/samples/1/annotations", {"label": "defective", "types": ["stain"], "regions": [BOX]})
        assert (word["author"], word["regions"]) == ("reviewer", [BOX])
        history = list(client.items("/samples/1/annotations", limit=1))
        assert [one["author"] for one in history] == ["import", "reviewer"]
        client.post("/samples/1/annotations", {"label": "unknown", "blind": True, "note": "<b>?</b>"})
        assert client.http.get("/samples/1/annotations").headers["etag"] == f'"{word["id"]}"'  # blind ones do not count


def test_of_two_who_label_at_once_the_second_sees_the_first(filled: Served) -> None:
    with filled.client("reviewer") as one, filled.client("engineer") as two:
        etag = one.http.get("/samples/1/annotations").headers["etag"]
        headers = {"If-Match": etag}
        answer = one.http.post("/samples/1/annotations", json={"label": "defective"}, headers=headers)
        assert answer.status_code == 201
        second = two.http.post("/samples/1/annotations", json={"label": "good"}, headers=headers)
        assert second.status_code == 412
        assert "labelled defective by reviewer" in second.json()["detail"]
        headers = {"If-Match": answer.headers["etag"]}
        assert two.http.post("/samples/1/annotations", json={"label": "good"}, headers=headers).status_code == 201


@pytest.mark.parametrize(
    ("form", "match"),
    [
        ({"label": "good", "types": ["stain"]}, "good part carries no defects"),
        ({"label": "defective", "regions": [{"type": "x"}]}, "a region is not valid"),
        ({"label": "defective", "regions": [{"type": "x", "box": [0, 0, 1e9, 1]}]}, "does not lie in the image"),
        ({"label": "defective", "regions": [{"type": "x", "box": [500, 0, 5, 5]}]}, "does not lie in the image"),
        (
            {
                "label": "defective",
                "regions": [{"type": "x", "runs": {"height": 10**6, "width": 10**6, "counts": [1]}}],
            },
            "image|valid",
        ),
        ({"label": "defective", "author": "eve"}, "author"),
        ({"label": "perfect"}, "label"),
    ],
)
def test_what_contradicts_itself_or_lies_outside_is_refused(filled: Served, form: object, match: str) -> None:
    with filled.client("reviewer") as client, pytest.raises(ApiError, match=match) as caught:
        client.call("POST", "/samples/1/annotations", json=form)
    assert caught.value.status == 422


def test_second_labels_are_drawn_for_whoever_has_not_seen_the_sample(filled: Served) -> None:
    with filled.client("reviewer") as client:
        numbers = client.get("/labels/blind", product="plates", count=5)
        assert len(numbers) == 5
        client.post(f"/samples/{numbers[0]}/annotations", {"label": "good", "blind": True})
        assert numbers[0] not in client.get("/labels/blind", product="plates", count=100)
    with filled.client("operator") as client, pytest.raises(ForbiddenError):
        client.post("/samples/1/annotations", {"label": "good"})


def test_pages_of_the_defect_book_are_written_one_after_the_other(filled: Served) -> None:
    with filled.client("engineer") as client:
        page = {"guideline": "dark, round", "examples": [20], "min_mm": 0.2}
        first = client.http.put("/book/stain", params={"product": "plates"}, json=page, headers={"If-Match": '"none"'})
        assert first.status_code == 200
        stale = client.http.put("/book/stain", params={"product": "plates"}, json=page, headers={"If-Match": '"none"'})
        assert stale.status_code == 412
        assert "written by engineer" in stale.json()["detail"]
        assert [one["name"] for one in client.items("/book", product="plates")] == ["stain"]
        with pytest.raises(NotFoundError):
            client.get("/book/stain/missing", product="plates")


def test_findings_are_decided_once_and_done_to_the_samples(
    filled: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled.client("engineer") as client:
        with pytest.raises(NotFoundError, match="Ask for a job of the kind check"):
            client.get("/findings", product="plates")
        image = filled.store.images.path(client.get("/samples/1")["hash"])
        copy = client.send("/samples", image.read_bytes(), product="plates", name="copy.png")["id"]
        client.patch("/samples", {"samples": [copy], "split": client.get("/samples/1")["split"]})
        client.post(f"/samples/{copy}/annotations", {"label": "good"})
        monkeypatch.setenv("SIGHTLINE_DB", str(filled.store.database.file))
        check(Path("store:plates"), Looks(backbone="none"), Decide())
        found = next(one for one in client.items("/findings", product="plates", limit=1) if one["kind"] == "copy")
        assert "copy.png" in found["names"]
        etag = client.http.get(f"/findings/{found['key']}", params={"product": "plates"}).headers["etag"]
        before = client.get("/products")["items"][0]["samples"]
        done = client.post(f"/findings/{found['key']}", {"state": "applied", "note": "sent twice"}, product="plates")
        assert (done["state"], done["note"]) == ("applied", "sent twice")
        assert client.get("/products")["items"][0]["samples"] == before - 1
        late = client.http.post(
            f"/findings/{found['key']}",
            params={"product": "plates"},
            json={"state": "dismissed"},
            headers={"If-Match": etag},
        )
        assert late.status_code == 412
        with pytest.raises(ConflictError, match="applied already"):
            client.post(f"/findings/{found['key']}", {"state": "applied"}, product="plates")
        with pytest.raises(NotFoundError):
            client.post("/findings/copy-0000000000", {"state": "applied"}, product="plates")
