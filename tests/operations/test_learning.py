"""A station learns from its own records and from people's answers, and gives back what was wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.errors import ConflictError, InputError, NotFoundError, StoreError
from sightline.core.result import Verdict
from sightline.operations import learning
from sightline.runtime.adaptation import Adaptation
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.store.alarms import NewAlarm
from sightline.store.annotations import Annotation
from sightline.store.inspections import Record
from sightline.store.retention import Origin, collect
from sightline.store.review_queue import Mixed
from sightline.store.reviews import Answer
from sightline.store.store import Store

START = datetime(2026, 11, 1, tzinfo=UTC)
Draw = Callable[..., tuple[NDArray[np.uint8], Any]]


def striped(picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """How parts look since the new supplier."""
    changed = picture.astype(np.int16)
    changed[40 + number % 3 : 46 + number % 3] += 14
    return np.clip(changed, 0, 255).astype(np.uint8)


class Line:
    """Records what a station has inspected, as it would."""

    def __init__(self, store: Store, recipe: Recipe) -> None:
        self.store, self.recipe, self.count = store, recipe, 0

    def inspect(self, picture: NDArray[np.uint8], verdict: Verdict) -> int:
        self.count += 1
        image = self.store.images.put(cv2.imencode(".png", picture[..., ::-1])[1].tobytes(), f"part {self.count}")
        view = {"view": "view", "verdict": str(verdict), "score": 1.0, "recipe_hash": self.recipe.hash}
        record = Record(
            station="press", verdict=verdict, triggered=START + timedelta(seconds=self.count), product="plates",
            recipe_hash=self.recipe.hash, image_hash=image.hash, key=f"k{self.count}",
            details={"purpose": "production", "views": [view]},
        )  # fmt: skip
        self.store.inspections.record_many([record])
        return self.store.inspections.newest_id()

    def know(self, picture: NDArray[np.uint8], name: str) -> None:
        """A picture that people have labelled defective."""
        image = self.store.images.put(cv2.imencode(".png", picture[..., ::-1])[1].tobytes(), name)
        origin = Origin(product="plates", name=name, reason="review", verdict="NG", station="press")
        collect(self.store.database, image, origin)
        (sample,) = self.store.parts.pictures("plates", [name], image.hash)
        self.store.annotations.add(sample.id, Annotation(label="defective", author="eva"))

    def answer(self, inspection: int, label: str, author: str = "eva") -> None:
        mine = [one for one in self.store.reviews.claim(author, 50) if one.inspection_id == inspection]
        if not mine:  # the station's own question was answered: somebody asks once more
            self.store.reviews.add("line", "once more", inspection_id=inspection)
            mine = [one for one in self.store.reviews.claim(author, 50) if one.inspection_id == inspection]
        self.store.reviews.answer(mine[0].id, author, Answer(label=label))


@pytest.fixture
def store(tmp_path: Path, recipe: Recipe) -> Iterator[Store]:
    with Store.open(tmp_path / "line.db") as made:
        made.recipes.register(recipe.data, "plates", "plates", card=recipe.card.model_dump())
        yield made


@pytest.fixture
def line(store: Store, recipe: Recipe) -> Line:
    return Line(store, recipe)


def test_parts_that_people_called_good_are_learned_and_taken_back(line: Line, store: Store, draw: Draw) -> None:
    for number in range(60, 72):
        line.answer(line.inspect(striped(draw(number)[0], number), Verdict.REVIEW), "good")
    line.inspect(draw(1)[0], Verdict.OK)
    (found,) = learning.learn(store, "press", "eva")
    assert found.change is not None and found.change.state == "suggested", found.round.reason
    assert store.adaptations.active("press", line.recipe.hash) is None  # off: a person has to admit it
    learning.decide(store, found.change.id, True, "eva", "new supplier")
    active = store.adaptations.active("press", line.recipe.hash)
    assert active is not None
    inspector, part = Inspector(line.recipe, threads=1), striped(draw(90)[0], 90)
    before = inspector.inspect(part).score
    inspector.adapt(Adaptation.of(store.adaptations.file(active.id)))
    assert inspector.inspect(part).score < before
    # What has taught once teaches no second time.
    (again,) = learning.learn(store, "press", "eva")
    assert again.change is None and again.round.parts == 0
    undone = learning.undo(store, found.change.id, "eva", "it was a bad lot")
    inspector.adapt(Adaptation.of(store.adaptations.file(undone.id)))
    assert inspector.inspect(part).score == pytest.approx(before, abs=1e-4)
    with pytest.raises(ConflictError, match="not in effect"):
        learning.undo(store, found.change.id, "eva")
    assert [one.kind for one in learning.changes(store, "press")] == ["undo", "learned"]


def test_a_station_that_is_switched_on_needs_nobody(line: Line, store: Store, draw: Draw) -> None:
    assert learning.mode(store, "press", "on", "eva") == "on"
    for number in range(60, 72):
        line.answer(line.inspect(striped(draw(number)[0], number), Verdict.REVIEW), "good")
    # Where no defect is known, nothing guards: then a person is needed all the same.
    assert learning.learn_once(store, "press", line.recipe.hash, "x").change.state == "suggested"  # type: ignore[union-attr]
    line.know(draw(100, flawed=True)[0], "scratch.png")
    found = learning.learn_once(store, "press", line.recipe.hash, "station press")
    active = store.adaptations.active("press", line.recipe.hash)
    assert found.change is not None and active is not None and active.id == found.change.id


def test_contradicting_answers_and_doubtful_reviewers_teach_nothing(line: Line, store: Store, draw: Draw) -> None:
    for number in range(60, 72):
        inspection = line.inspect(striped(draw(number)[0], number), Verdict.REVIEW)
        line.answer(inspection, "good")
        line.answer(inspection, "defective", "tom")
    found = learning.learn_once(store, "press", line.recipe.hash, "eva")
    assert found.change is None and found.round.parts == 0
    # Somebody who misses the challenges: their word alone makes no part good.
    for number in range(72, 84):
        line.answer(line.inspect(striped(draw(number)[0], number), Verdict.REVIEW), "good", "sleepy")
    for number in range(84, 90):
        inspection = line.inspect(draw(number, flawed=True)[0], Verdict.REVIEW)
        store.reviews.add("line", "REVIEW", inspection_id=inspection, purpose="challenge", expected="defective")
        for review in store.reviews.claim("sleepy", 50):
            store.reviews.answer(review.id, "sleepy", Answer(label="good"))
    assert learning.learn_once(store, "press", line.recipe.hash, "eva").round.parts == 0


def test_who_answers_at_random_is_found_within_a_hundred_answers(store: Store) -> None:
    """By blind repeats alone, with the server's usual shares; who errs in three of a hundred is trusted."""
    for name, errs in (("dice", 0.5), ("ann", 0.03)):
        rng, truth = np.random.default_rng(3), {}
        moment = datetime(2026, 3, 1, tzinfo=UTC)
        batch = [Record(station=name, verdict=Verdict.REVIEW, triggered=moment, key=f"{name}{n}") for n in range(100)]
        store.inspections.record_many(batch)
        while waiting := store.reviews.claim(name, 50):
            for one in waiting:
                good = truth.setdefault(one.inspection_id, bool(rng.random() < 0.7)) != bool(rng.random() < errs)
                label = Answer(label="good" if good else "defective")
                store.reviews.answer(one.id, name, label, mixed=Mixed(25, 25))
    assert learning._trusted(store) == {"dice": False, "ann": True}


def test_nothing_is_learned_while_a_drift_alarm_is_open(line: Line, store: Store, draw: Draw) -> None:
    for number in range(60, 72):
        line.answer(line.inspect(striped(draw(number)[0], number), Verdict.REVIEW), "good")
    key = ("press", "view", line.recipe.hash)
    assert store.alarms.advance(None, 12, {}, [NewAlarm(key, "light", 1, 12)])
    held = learning.learn_once(store, "press", line.recipe.hash, "eva")
    assert held.change is None and "drift alarm" in held.round.reason
    (alarm,) = store.alarms.page("open")
    store.alarms.acknowledge(alarm.id, "eva", "lamp changed")
    assert learning.learn_once(store, "press", line.recipe.hash, "eva").change is not None


def test_harmless_is_shown_first_and_known_parts_come_from_labels(line: Line, store: Store, draw: Draw) -> None:
    spotted = draw(60)[0].copy()
    spotted[20:24, 30:34] = 255
    first = line.inspect(spotted, Verdict.NG)
    twin = spotted.copy()
    twin[0, 0] = 7
    line.inspect(twin, Verdict.NG)
    shown = learning.harmless(store, first, "view", "eva")
    assert shown.change is None and shown.round.adaptation is not None and shown.looked_at == 2
    assert store.adaptations.page() == ()
    done = learning.harmless(store, first, "view", "eva", "a sticker", dry_run=False)
    assert done.change is not None and done.change.state == "active" and done.change.note == "a sticker"
    with pytest.raises(NotFoundError, match="no picture of a view 'side'"):
        learning.harmless(store, first, "side", "eva")
    # What people labelled defective is what the canary judges.
    line.know(draw(70)[0], "known.png")
    known = learning.known_parts(store, "plates", "press")
    assert [(part.defective, part.here, "known.png" in part.name) for part in known] == [(True, True, True)]


def test_an_ok_part_that_a_person_called_defective_does_not_teach(line: Line, store: Store, draw: Draw) -> None:
    numbers = [line.inspect(striped(draw(number)[0], number), Verdict.OK) for number in range(60, 72)]
    store.reviews.add("line", "drawn at random", inspection_id=numbers[3])
    (review,) = store.reviews.claim("eva")
    store.reviews.answer(review.id, "eva", Answer(label="defective"))
    assert len(learning._parts(store, "press", line.recipe.hash, {}).sure) == 11


def test_an_answer_that_comes_after_a_round_still_teaches(line: Line, store: Store, draw: Draw) -> None:
    early = line.inspect(striped(draw(60)[0], 60), Verdict.REVIEW)
    line.inspect(draw(61)[0], Verdict.OK)
    marks = learning._parts(store, "press", line.recipe.hash, {}).marks
    assert marks["until"] > early
    line.answer(early, "good")
    later = learning._parts(store, "press", line.recipe.hash, marks)
    assert (len(later.sure), len(later.confirmed)) == (0, 1)


def test_a_suggestion_is_judged_again_when_it_is_admitted(line: Line, store: Store, draw: Draw) -> None:
    pictures = [striped(draw(number)[0], number) for number in range(60, 72)]
    for picture in pictures:
        line.answer(line.inspect(picture, Verdict.REVIEW), "good")
    found = learning.learn_once(store, "press", line.recipe.hash, "eva")
    assert found.change is not None and found.change.state == "suggested"
    # Since then somebody has labelled a part defective, and its picture was damaged: nobody knows what becomes of it.
    line.know(draw(100, flawed=True)[0], "late.png")
    (part,) = learning.known_parts(store, "plates", "press")
    path = Path(str(part.source))
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    with pytest.raises(StoreError, match="altered"):
        learning.decide(store, found.change.id, True, "eva")
    assert learning.decide(store, found.change.id, False, "eva").state == "refused"


def test_what_cannot_be_learned_is_said(line: Line, store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"keep\.every"):
        learning.learn((str(tmp_path / "line.db"), None), "press", "eva")
    with pytest.raises(InputError, match="no mode"):
        learning.mode(store, "press", "sometimes")  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        learning.undo(store, 77)
    assert learning.mode(store, "press") == "off"
