"""Reviews: no two people answer the same one, and nobody can tell a challenge from the others."""

from __future__ import annotations

from datetime import UTC, datetime

import cv2
import numpy as np
import pytest
from tests.web.conftest import PASSWORD, Served

from sightline.core.errors import ConflictError, NotFoundError
from sightline.core.result import Verdict
from sightline.operations import people
from sightline.store.inspections import Record
from sightline.web.client import ApiError


@pytest.fixture
def asked(served: Served) -> Served:
    """A server with six questions about parts with a picture, the last of them the most urgent."""
    picture = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    image = served.store.images.put(picture, "part").hash
    people.add_user(served.store, "second", "reviewer", PASSWORD, "administrator")
    with served.client("engineer") as client:
        for number in range(6):
            triggered = datetime(2026, 3, 1, tzinfo=UTC)
            seen = Record(station="s", verdict=Verdict.NG, triggered=triggered, image_hash=image)
            part = served.store.inspections.record(seen)
            client.post("/reviews", {"reason": "near", "inspection_id": part, "priority": number})
    return served


def test_two_people_never_have_the_same_part(asked: Served) -> None:
    with asked.client("reviewer") as one, asked.client("second") as two:
        mine = [review["id"] for review in one.post("/reviews/claim", {"count": 4})]
        assert mine == [6, 5, 4, 3]  # the most urgent first
        assert [review["id"] for review in one.post("/reviews/claim", {"count": 4})] == mine  # the same, asked again
        theirs = [review["id"] for review in two.post("/reviews/claim", {"count": 4})]
        assert theirs == [2, 1]
        with pytest.raises(ConflictError, match="reviewer has it"):
            two.post(f"/reviews/{mine[0]}/answer", {"answer": "good"})
        done = one.post(f"/reviews/{mine[0]}/answer", {"answer": "defective", "types": ["crack"], "note": "<i>"})
        assert (done["state"], done["author"], done["types"]) == ("answered", "reviewer", ["crack"])
        with pytest.raises(ConflictError, match="answered by reviewer already"):
            one.post(f"/reviews/{mine[0]}/answer", {"answer": "good"})
        with pytest.raises(ApiError, match="good part has no defect types"):
            one.post(f"/reviews/{mine[1]}/answer", {"answer": "good", "types": ["crack"]})


def test_answers_are_taken_back_skipped_and_asked_for_again(asked: Served) -> None:
    with asked.client("reviewer") as one, asked.client("second") as two:
        number = one.post("/reviews/claim", {"count": 1})[0]["id"]
        one.post(f"/reviews/{number}/answer", {"answer": "good"})
        with pytest.raises(ConflictError, match="only your own answer"):
            two.post(f"/reviews/{number}/undo")
        assert one.post(f"/reviews/{number}/undo")["state"] == "claimed"
        assert one.post(f"/reviews/{number}/skip", {"note": "blurred"})["state"] == "open"
        number = two.post("/reviews/claim", {"count": 1})[0]["id"]
        two.post(f"/reviews/{number}/answer", {"answer": "defective"})
        again = two.post(f"/reviews/{number}/second-opinion", {"note": "not sure"})["id"]
        assert again not in [review["id"] for review in two.post("/reviews/claim", {"count": 50})]
        for review in two.get("/reviews", state="claimed")["items"]:
            two.post(f"/reviews/{review['id']}/skip", {})
        assert one.post("/reviews/claim", {"count": 1})[0]["id"] == again
        with pytest.raises(NotFoundError):
            one.post("/reviews/99/skip", {})
    actions = [entry.action for entry in asked.store.audit.page(limit=50)]
    assert {"answer review", "undo review", "skip review"} <= set(actions)


def test_a_challenge_looks_like_any_other_to_whoever_answers(asked: Served) -> None:
    with asked.client("engineer") as engineer, asked.client("reviewer") as reviewer:
        part = {"reason": "near", "inspection_id": 1, "priority": 99}
        made = engineer.post("/reviews", {**part, "purpose": "challenge", "expected": "defective"})
        repeat = engineer.post("/reviews", {**part, "purpose": "repeat", "first_id": 1})
        assert (made["purpose"], made["expected"], repeat["first_id"]) == ("challenge", "defective", 1)
        for review in reviewer.post("/reviews/claim", {"count": 3}):
            assert (review["purpose"], review["expected"], review["first_id"]) == (None, None, None)
        told = reviewer.post(f"/reviews/{made['id']}/answer", {"answer": "good"})
        assert told["expected"] is None  # it could be taken back
        assert engineer.get(f"/reviews/{made['id']}")["expected"] == "defective"
        for wrong in ({**part, "purpose": "challenge"}, {**part, "expected": "good"}, {"reason": "none"}):
            with pytest.raises(ApiError):
                engineer.post("/reviews", wrong)
        with pytest.raises(NotFoundError):
            engineer.post("/reviews", {"reason": "x", "sample_id": 99})


def test_whoever_leaves_gives_the_parts_back_after_a_while(asked: Served) -> None:
    asked.store.reviews.claim("gone", 6)
    assert asked.store.reviews.claim("here", 6) == ()
    assert len(asked.store.reviews.claim("here", 6, held_s=-1)) == 6
