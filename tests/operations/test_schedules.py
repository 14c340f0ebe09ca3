"""Improvement without being asked: when it is due, once, and only where something was labelled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightline.core.errors import InputError, NotFoundError
from sightline.operations import schedules
from sightline.operations.store import add_image, register_recipe
from sightline.store.alarms import NewAlarm
from sightline.store.annotations import Annotation
from sightline.store.schedules import News, Schedule
from sightline.store.store import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SET = Schedule("plates", 50, 7.0, True, "eva", NOW, NOW)


@pytest.mark.parametrize(("news", "days", "why"), [
    (News(0, ("light",)), 30.0, ""), (News(49, ()), 6.9, ""), (News(50, ()), 0.0, "50 parts were labelled"),
    (News(1, ()), 7.0, "7 days are over"),
    (News(2, ("light", "light", "defects")), 0.1, "an alarm was raised (light, defects)"),
])  # fmt: skip
def test_when_it_is_due(news: News, days: float, why: str) -> None:
    found = schedules.due(SET, news, NOW + timedelta(days=days))
    assert found.startswith(why) if why else found == ""
    assert schedules.due(replace(SET, labels=None, days=None, drift=False), news, NOW + timedelta(days=days)) == ""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with three samples of the product plates."""
    with Store.open(tmp_path / "store.db") as made:
        for number in range(3):
            picture = cv2.imencode(".png", np.full((32, 40, 3), 40 * number, np.uint8))[1]
            add_image(made, "plates", f"{number}.png", picture.tobytes(), "eva")
        yield made


def label(store: Store, number: int) -> None:
    store.annotations.add(number, Annotation(label="good", author="ben"))


def test_a_job_is_added_once_for_what_was_labelled_since(store: Store) -> None:
    numbers = [one.id for one in store.catalogue.page("plates")]
    label(store, numbers[0])
    schedules.schedule(store, "plates", labels=2, author="eva")
    assert schedules.ask(store) == (), "what was labelled before the schedule was set does not count"
    label(store, numbers[1])
    label(store, numbers[1])
    assert schedules.ask(store) == (), "one sample counts once"
    label(store, numbers[2])
    (job,) = schedules.ask(store)
    assert (job.kind, job.arguments, job.author) == ("improve", {"kind": "improve", "product": "plates"}, "eva")
    label(store, numbers[0])
    label(store, numbers[1])
    assert schedules.ask(store) == (), "it is under way"
    store.jobs.cancel(job.id, "eva")
    assert len(schedules.ask(store)) == 1
    assert schedules.ask(store) == ()


def test_an_alarm_of_one_of_the_products_recipes_counts(store: Store, recipe_file: Path) -> None:
    recipe = register_recipe(store, recipe_file, None, "eva")
    schedules.schedule(store, "plates", drift=True, author="eva")
    label(store, store.catalogue.page("plates")[0].id)
    store.alarms.advance(None, 1, {}, [NewAlarm(("press", "top", "a" * 64), "light", 1, 1)])
    assert schedules.ask(store) == ()
    store.alarms.advance(1, 2, {}, [NewAlarm(("press", "top", recipe.hash), "lens", 1, 1)])
    assert len(schedules.ask(store)) == (1 if recipe.product == "plates" else 0)


def test_it_is_set_listed_and_ended(store: Store) -> None:
    for given, what in (({"labels": 0}, "0 labels"), ({"days": 400.0}, "400 days")):
        with pytest.raises(InputError, match=what):
            schedules.schedule(store, "plates", author="eva", **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no product cookies"):
        schedules.schedule(store, "cookies", labels=5, author="eva")
    with pytest.raises(InputError, match="say after how many"):
        store.schedules.put("plates", None, None, False, "eva")
    (one,) = schedules.schedule(store, "plates", labels=5, author="eva")
    (again,) = schedules.schedule(store, "plates", days=3, author="ben")
    assert (again.labels, again.days, again.author, again.begun) == (None, 3, "ben", one.begun)
    assert schedules.schedule(store) == (again,)
    assert schedules.schedule(store, "plates", off=True, author="eva") == ()
    with pytest.raises(NotFoundError, match="no schedule"):
        schedules.schedule(store, "plates", off=True, author="eva")
