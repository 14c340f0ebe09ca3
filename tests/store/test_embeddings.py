"""Parts that look alike are found by the embeddings of their kept pictures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.store.test_retention import keep, picture

from sightline.core.result import Verdict
from sightline.store.embeddings import pack
from sightline.store.inspections import Record
from sightline.store.retention import clear
from sightline.store.reviews import Answer
from sightline.store.store import Store

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
SHARED = np.linspace(1, 2, 8)  # what all pictures of a product have in common


def add(store: Store, number: int, direction: int, hash: str = "", recipe: str = "a", view: str = "top") -> int:
    """A part that leans into one of eight directions."""
    digest = hash or f"{number:064x}"
    part = Record(
        station="press", verdict=Verdict.REVIEW, triggered=FIRST + timedelta(seconds=number), key=f"k{number}",
        product="plates", recipe_hash=recipe * 64, image_hash=digest,
    )  # fmt: skip
    vector = pack(20 * SHARED + np.eye(8)[direction] + 0.01 * number)
    id = store.inspections.record(part)
    store.embeddings.keep(f"k{number}", view, digest, recipe * 64, vector)
    return id


def found(store: Store, number: int, **more: bool) -> list[int]:
    return [int(one.part.key[1:]) for one in store.embeddings.similar(f"{number:064x}", most=2, **more) if one.part.key]


def test_those_that_differ_from_the_rest_in_the_same_way_come_first(store: Store) -> None:
    for number in range(16):
        add(store, number, number % 8)
    for number in range(8):
        assert found(store, number)[0] == number + 8
    best = store.embeddings.similar(f"{0:064x}")
    assert best[0].similarity > 0.9 > best[1].similarity
    assert [one.similarity for one in best] == sorted((one.similarity for one in best), reverse=True)


def test_only_pictures_of_the_same_recipe_and_view_and_never_the_same_picture(store: Store) -> None:
    add(store, 0, 0)
    add(store, 1, 0, recipe="b")
    add(store, 2, 0, view="side")
    add(store, 3, 0, hash=f"{0:064x}")  # the line was shown the same file again
    assert found(store, 0) == []
    add(store, 4, 5)
    add(store, 5, 0, hash=f"{4:064x}")
    assert found(store, 0) == [5], "of one picture the newest part"
    assert store.embeddings.similar(f"{99:064x}") == ()


def test_answered_parts_come_with_their_answer(store: Store) -> None:
    for number in range(4):
        add(store, number, 0)
    assert found(store, 0, answered=True) == []
    claimed = store.reviews.claim("ann", 3)
    for review, label in zip(claimed[1:], ("good", "defective"), strict=True):
        store.reviews.answer(review.id, "ann", Answer(label=label))
    alike = store.embeddings.similar(f"{0:064x}", answered=True)
    assert {one.review.answer: one.review.author for one in alike if one.review} == {"good": "ann", "defective": "ann"}
    reviews = [one.review is not None for one in store.embeddings.similar(f"{0:064x}")]
    assert sorted(reviews) == [False, True, True]


def test_an_embedding_is_kept_once_small_and_goes_with_its_picture(store: Store) -> None:
    image = store.images.put(picture(1), "1")
    keep(store, 1, Verdict.OK, days_old=40)
    add(store, 1, 0, hash=image.hash)
    add(store, 2, 0)
    store.embeddings.keep("k2", "top", f"{3:064x}", "a" * 64, pack(SHARED))  # delivered twice
    assert [one.part.key for one in store.embeddings.similar(image.hash)] == ["k2"]
    assert store.embeddings.similar(f"{3:064x}") == ()
    assert len(pack(np.ones(320))) == 640
    clear(store.database, store.images)
    assert store.embeddings.similar(image.hash) == ()
    assert store.embeddings.similar(f"{2:064x}") == ()


@pytest.mark.parametrize("broken", [np.zeros(8), np.full(8, np.nan), np.full(8, np.inf), np.zeros(0), np.ones(5000)])
def test_what_is_no_direction_is_not_kept(store: Store, broken: np.ndarray) -> None:
    add(store, 1, 0)
    store.embeddings.keep("k2", "top", f"{2:064x}", "a" * 64, pack(broken))
    assert store.embeddings.similar(f"{2:064x}") == ()
