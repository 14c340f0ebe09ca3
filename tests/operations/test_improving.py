"""A recipe improved from people's answers, in a real store with quick settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sightline.core.errors import InputError
from sightline.core.progress import unwatched
from sightline.data.dataset import Dataset
from sightline.operations.improving import find_champion, improve_in
from sightline.operations.jobs import Desk, do
from sightline.operations.recipes import revise
from sightline.runtime.recipe import Recipe
from sightline.store.annotations import GOOD, UNKNOWN, Annotation
from sightline.store.reviews import Answer
from sightline.store.store import Store


@pytest.fixture
def store(tmp_path: Path, parts_folder: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as made:
        # Without defective parts to learn from: what is tried here is not the learning of types.
        samples = [one for one in Dataset.open(parts_folder).samples if one.split == "test" or not one.defective]
        made.add(samples, "plates", parts_folder)
        yield made


def keep(store: Store, recipe: Recipe, version: str | None) -> str:
    """A champion made of the version's training part, with the tiny settings."""
    card = recipe.card.model_dump(mode="json")
    return store.recipes.register(recipe.data, "plates", "plates.onnx", "ann", version, card=card).hash


def test_the_champion_is_the_promoted_recipe_else_the_newest_that_waits(store: Store, recipe: Recipe) -> None:
    assert find_champion(store, "plates") is None
    first = keep(store, recipe, None)
    second = revise(store, first, -2000.0, -1000.0, "a test", "ann").hash
    for hash, state, champion in (
        (first, "candidate", second),
        (first, "promoted", first),
        (first, "retired", second),
        (second, "retired", None),
    ):
        store.recipes.set_state(hash, state, "ann", "a test")
        found = find_champion(store, "plates")
        assert (None if found is None else found.hash) == champion


def test_what_was_labelled_since_makes_a_challenger_and_nothing_new_makes_none(
    store: Store, train_tiny: object, tmp_path: Path
) -> None:
    good = [one.id for one in store.catalogue.page("plates", limit=100) if one.split == "train" and "good" in one.name]
    asked = good[0]
    store.annotations.add(asked, Annotation(label=UNKNOWN, author="ann"))
    version = store.versions.snapshot("plates", "ann").name
    made = train_tiny(tuple(store.samples(version, split="train")))  # type: ignore[operator]
    kept = keep(store, made, version)
    # It rejects every part, so whoever judges with thresholds of their own does better on good parts.
    champion = revise(store, kept, -2000.0, -1000.0, "a test", "ann").hash
    store.recipes.set_state(champion, "promoted", "ann", "a test")
    file = tmp_path / "job" / "plates.onnx"
    desk = Desk(store, file.parent, tmp_path / "uploads", "ann", unwatched, lambda text: None)
    with pytest.raises(InputError, match=f"nothing was labelled since {version}"):
        do(desk, {"kind": "improve", "product": "plates"})
    assert not file.exists()

    review = store.reviews.add("ann", "unsure", sample_id=asked)
    store.reviews.claim("ann")
    store.reviews.answer(review.id, "ann", Answer(label=GOOD), [(asked, Annotation(label=GOOD, author="ann"))])
    result = do(desk, {"kind": "improve", "product": "plates"})
    told, challenger = result["improved"], store.recipes.find(result["recipe"])
    assert (told["champion"], told["learned"], told["settings"]) == (champion, 1, "the champion's")
    assert (challenger.parent, challenger.version) == (champion, told["version"])
    assert challenger.card["provenance"]["settings"]["side_px"] == 112
    assert store.catalogue.get(asked).hash[:16] in challenger.card["trained_on"]
    test = list(store.samples(told["version"], split="test"))
    assert told["test_part"]["n_good"] + told["test_part"]["n_defective"] == len(test)
    assert not {one.path.stem[:16] for one in test} & set(challenger.card["trained_on"])
    decision = told["decision"]
    assert decision["champion"]["overkills"]["count"] == told["test_part"]["n_good"]
    shadow = decision["answer"] == "promote to shadow"
    again = [one.sample_id for one in store.reviews.page("open") if one.priority == 1.0]
    assert sorted(store.catalogue.get(one or 0).name for one in again) == sorted(decision["lost"])
    assert shadow == (not decision["lost"])  # the only thing that can speak for such a champion
    assert challenger.state == told["state"] == ("shadow" if shadow else "candidate")
    assert store.recipes.find(champion).state == "promoted"


def test_the_first_recipe_of_a_product_is_a_candidate(store: Store, tmp_path: Path) -> None:
    done = improve_in(store, "plates", tmp_path / "plates.onnx", "ann", "quick")
    assert (done.champion, done.decision, done.state, done.settings) == (None, None, "candidate", "defaults")
    assert store.recipes.find(done.challenger).parent is None
    assert done.to_json()["test_part"] is None
