"""The review queue fills itself: once for each part, whatever is delivered twice, and measures whoever answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.result import Verdict
from sightline.store.annotations import DEFECTIVE, GOOD, UNKNOWN, Annotation
from sightline.store.inspections import Record
from sightline.store.retention import Origin, clear, collect
from sightline.store.review_queue import Mixed, sampled
from sightline.store.reviews import Answer
from sightline.store.store import Store

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
ALWAYS = Mixed(1, 1)
FINE, BAD = Answer(label=GOOD), Answer(label=DEFECTIVE, types=("crack",))


def record(number: int, verdict: Verdict = Verdict.REVIEW, **more: object) -> Record:
    values = {"station": "s", "product": "plates", "score": 1.0, "key": f"k{number}", **more}
    return Record(verdict=verdict, triggered=START + timedelta(minutes=number), **values)


def keep(store: Store, number: int) -> int:
    """Picture and record of a part; the sample's id."""
    pixels = np.full((8, 8), number, np.uint8)
    image = store.images.put(cv2.imencode(".png", pixels)[1].tobytes(), f"part {number}")
    origin = Origin(product="plates", name=f"s/k{number}-view.png", reason="review", verdict="REVIEW", station="s")
    collect(store.database, image, origin)
    store.inspections.record(record(number, image_hash=image.hash))
    return store.catalogue.numbers("plates", image.hash)[0]


def test_each_part_in_review_is_asked_about_once(store: Store) -> None:
    batch = [record(0), record(1, Verdict.OK), record(2, Verdict.NG), record(3, details={"mode": "pilot"})]
    strange = [record(4, shadow=True), record(5, details={"purpose": "check"})]
    store.inspections.record_many([*batch, *strange])
    store.inspections.record_many([*batch, record(6)])  # delivered again, with a new one
    store.inspections.record(record(6))
    asked = store.reviews.page()
    by_key = {store.inspections.get(one.inspection_id or 0).key: one for one in asked}
    assert sorted(by_key) == ["k0", "k3", "k6"]
    assert len(asked) == 3
    assert [by_key[key].pilot for key in ("k0", "k3", "k6")] == [False, True, False]
    assert by_key["k0"].automatic and by_key["k0"].state == "open"


def test_records_and_their_reviews_come_in_one_order(store: Store) -> None:
    verdicts = [Verdict.OK, Verdict.REVIEW, Verdict.NG]
    store.inspections.record_many([record(number, verdicts[number % 3]) for number in range(250)], ng_share=1.0)
    kept = store.inspections.recorded_after(0, 1000)
    assert [one.key for one in kept] == [f"k{number}" for number in range(250)]
    asked = {one.inspection_id for one in store.reviews.page(limit=500)}
    assert asked == {one.id for one in kept if one.verdict is not Verdict.OK}


def test_a_share_of_what_was_judged_ng_is_asked_about(store: Store) -> None:
    store.inspections.record_many([record(number, Verdict.NG) for number in range(400)], ng_share=0.25)
    store.inspections.record_many([record(500, Verdict.NG, score=None, error="60: no image")], ng_share=1.0)
    asked = store.reviews.page(limit=500)
    assert 60 < len(asked) < 140
    assert {store.inspections.get(one.inspection_id or 0).error for one in asked} == {None}
    assert not sampled("x", 0.0)
    assert sampled("x", 1.0)


def test_an_answer_brings_a_repeat_for_the_same_person_alone(store: Store) -> None:
    keep(store, 1)
    (first,) = store.reviews.claim("ann")
    store.reviews.answer(first.id, "ann", FINE, mixed=ALWAYS)
    assert store.reviews.claim("bob", 5) == ()
    (again,) = store.reviews.claim("ann", 5)
    assert (again.purpose, again.first_id, again.inspection_id) == ("repeat", first.id, first.inspection_id)
    assert again.reason == first.reason
    store.reviews.skip(again.id, "ann")
    store.reviews.undo(first.id, "ann")
    store.reviews.answer(first.id, "ann", BAD, mixed=ALWAYS)
    assert len([one for one in store.reviews.page() if one.purpose == "repeat"]) == 1
    store.reviews.answer(store.reviews.claim("ann", 5)[0].id, "ann", FINE, mixed=ALWAYS)
    assert len(store.reviews.page()) == 2  # a repeat brings nothing more


def test_a_challenge_is_a_part_whose_answer_others_know(store: Store) -> None:
    known, single, other = (keep(store, number) for number in (1, 2, 3))
    people = {"eve": "engineer", "ann": "reviewer", "bob": "reviewer"}
    for name, role in people.items():
        store.users.add(name, role, "hash", "eve")
    store.annotations.add(known, Annotation(label=DEFECTIVE, author="eve", types=("crack",)))
    store.annotations.add(single, Annotation(label=GOOD, author="bob"))  # nobody but a reviewer says so
    asked = {store.catalogue.numbers("plates", store.inspections.get(one.inspection_id or 0).image_hash or "")[0]: one
             for one in store.reviews.claim("ann", 3)}  # fmt: skip
    store.reviews.skip(asked[known].id, "ann")
    store.reviews.answer(asked[other].id, "ann", FINE, mixed=Mixed(0, 1))
    (challenge,) = [one for one in store.reviews.page() if one.purpose == "challenge"]
    assert (challenge.expected, challenge.inspection_id) == (DEFECTIVE, asked[known].inspection_id)
    assert challenge.addressee == "ann"
    store.annotations.add(single, Annotation(label=GOOD, author="carl", blind=True))
    store.reviews.answer(asked[single].id, "ann", FINE, mixed=Mixed(0, 1))
    assert len([one for one in store.reviews.page() if one.purpose == "challenge"]) == 1  # no second one is new to ann


def test_an_answer_that_is_taken_back_takes_its_word_back(store: Store) -> None:
    sample = keep(store, 1)
    (review,) = store.reviews.claim("ann")
    word = Annotation(label=DEFECTIVE, author="ann", types=("crack",))
    done = store.reviews.answer(review.id, "ann", BAD, [(sample, word)])
    assert store.annotations.current([sample])[sample].id == done.annotations[0]
    assert store.reviews.undo(review.id, "ann").annotations == ()
    assert store.annotations.current([sample])[sample].label == UNKNOWN
    earlier = store.annotations.add(sample, Annotation(label=GOOD, author="eve", note="by eve"))
    store.reviews.answer(review.id, "ann", BAD, [(sample, word)])
    store.reviews.undo(review.id, "ann")
    counts = store.annotations.current([sample])[sample]
    assert (counts.label, counts.note.startswith("restored from")) == (GOOD, True)
    assert counts.id != earlier.id
    store.reviews.answer(review.id, "ann", BAD, [(sample, word)])
    store.annotations.add(sample, Annotation(label=GOOD, author="eve"))
    store.reviews.undo(review.id, "ann")
    assert store.annotations.current([sample])[sample].author == "eve"  # who has looked since then is right


def test_what_the_line_asks_keeps_no_picture_for_ever(store: Store) -> None:
    sample = keep(store, 1)
    cleared = clear(store.database, store.images, dict.fromkeys(Verdict, 0.0), grace_s=0.0)
    assert cleared.pictures == 1
    assert sample not in [one.id for one in store.catalogue.page("plates")]
    assert store.reviews.page()[0].state == "open"


def test_a_review_about_a_part_in_pilot_is_marked_whoever_asks(store: Store) -> None:
    part = store.inspections.record(record(1, Verdict.OK, details={"mode": "pilot"}))
    assert store.reviews.add("eve", "look", inspection_id=part).pilot


@pytest.mark.parametrize("wrong", [{"label": "fine"}, {"label": GOOD, "types": ("crack",)}])
def test_an_answer_that_contradicts_itself_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"not an answer|good part"):
        Answer(**wrong)
