"""Figures of reviewers: what waits, and how often answers are right or the same again, for engineers alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import update
from tests.web.conftest import Served

from sightline.core.result import Verdict
from sightline.evaluate.statistics.intervals import clopper_pearson
from sightline.store.inspections import Record
from sightline.store.reviews import Answer
from sightline.store.tables.line import ReviewRow

FINE, BAD = Answer(label="good"), Answer(label="defective")


def test_figures_of_the_queue_and_of_each_reviewer(served: Served) -> None:
    store, start = served.store, datetime.now(UTC) - timedelta(hours=1)
    for number in range(8):
        store.inspections.record(Record(station="s", verdict=Verdict.REVIEW, triggered=start, key=f"k{number}"))
    for number in (1, 2, 3):
        more = {"purpose": "challenge", "expected": "defective"} if number > 1 else {"purpose": "repeat", "first_id": 1}
        store.reviews.add("eve", "look", inspection_id=number, priority=-1.0, **more)
    mine = store.reviews.claim("ann", 6)
    for review in mine[:5]:
        store.reviews.answer(review.id, "ann", FINE)
    for review in store.reviews.claim("bob", 2):
        store.reviews.answer(review.id, "bob", FINE)
    store.reviews.skip(mine[5].id, "ann")
    measured = [one for one in store.reviews.page() if one.purpose != "review"]
    for review in store.reviews.claim("ann", 50):
        if review.id in {one.id for one in measured}:
            store.reviews.answer(review.id, "ann", BAD if review.id == measured[0].id else FINE)
    with store.database.recording() as connection:  # ten seconds for each
        for number, one in enumerate(one for one in store.reviews.page(limit=50)[::-1] if one.author == "ann"):
            when = start + timedelta(seconds=10 * number)
            connection.execute(update(ReviewRow).where(ReviewRow.id == one.id).values(answered=when))
    with served.client("engineer") as engineer, served.client("reviewer") as reviewer:
        told = engineer.get("/reviews/summary")
        assert (told["open"], told["claimed"], told["answered"], told["claimed_by"]) == (0, 1, 10, {"ann": 1})
        ann, bob = told["reviewers"]
        assert (ann["name"], ann["answered"], round(ann["parts_per_minute"], 3)) == ("ann", 8, 6.0)
        assert (ann["repeats"]["count"], ann["repeats"]["of"]) == (1, 1)
        challenges = ann["challenges"]
        assert (challenges["count"], challenges["of"], challenges["value"]) == (1, 2, 0.5)
        assert (challenges["lower"], challenges["upper"]) == clopper_pearson(1, 2)
        assert (bob["parts_per_minute"], bob["challenges"]["value"], bob["challenges"]["upper"]) == (None, None, 1.0)
        assert reviewer.get("/reviews/summary")["reviewers"] is None
        past = engineer.get("/reviews/summary", until="2020-01-01T00:00:00Z")
        assert (past["answered"], past["reviewers"], past["claimed"]) == (0, [], 1)
        store.inspections.record(Record(station="s", verdict=Verdict.REVIEW, triggered=start))
        told = reviewer.get("/reviews/summary")
        assert told["open"] == 1
        assert 0 <= told["oldest_s"] < 60
