"""Each kind of job does what it says with what lies in the store, and leaves its files in its own folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import Cancelled, InputError, NotFoundError, SettingError
from sightline.core.progress import unwatched
from sightline.data.dataset import Dataset
from sightline.evaluate.prices import Prices
from sightline.operations.deciding import preview, scored
from sightline.operations.jobs import Desk, Train, check_arguments, do
from sightline.operations.recipes import revise
from sightline.runtime.recipe import Recipe
from sightline.store.store import Store

MakeDesk = Callable[..., Desk]


@pytest.fixture
def store(tmp_path: Path, parts_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with the plates, which the environment names as a worker's child has it."""
    monkeypatch.setenv("SIGHTLINE_DB", str(tmp_path / "store.db"))
    monkeypatch.delenv("SIGHTLINE_STORE", raising=False)
    with Store.open() as made:
        made.add(Dataset.open(parts_folder).samples, "plates", parts_folder)
        yield made


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> MakeDesk:
    def make(progress: Any = unwatched) -> Desk:
        return Desk(store, tmp_path / "job", tmp_path / "uploads", "ann", progress, lambda text: None)

    return make


@pytest.fixture
def kept(store: Store, recipe: Recipe) -> str:
    card = recipe.card.model_dump(mode="json")
    return store.recipes.register(recipe.data, "plates", "plates.onnx", "ann", card=card).hash


def test_a_recipe_is_measured_with_a_report(desk: MakeDesk, kept: str) -> None:
    result = do(desk(), {"kind": "evaluate", "recipe": kept, "data": "plates"})
    assert result["files"] == ["report.html"]
    assert result["evaluation"]["n_good"] + result["evaluation"]["n_defective"] > 0


def test_an_evaluation_leaves_what_other_thresholds_are_weighed_by(desk: MakeDesk, kept: str, store: Store) -> None:
    result = do(desk(), {"kind": "evaluate", "recipe": kept[:12], "data": "plates"})
    found = scored(store, kept)
    assert (found.evaluation.id, found.evaluation.data) == (result["number"], "plates")
    assert found.evaluation.figures["escape"] == result["evaluation"]["escape"]
    judged, band = found.judged, found.recipe.card["band"]
    assert all(number is not None for number in judged.sample)
    labels = {number: word.label for number, word in store.annotations.current([n or 0 for n in judged.sample]).items()}
    assert [labels[number or 0] for number in judged.sample] == list(judged.label)
    told = preview(store, kept, band["low"], band["high"], Prices())[1]
    # With the thresholds that it has, the same rates come out.
    for name, figure in (("escape", told.escape), ("overkill", told.overkill)):
        assert figure.value == result["evaluation"][name]
        assert figure.upper == result["evaluation"][f"{name}_upper"]
    counts = Counter(zip(judged.label, judged.verdict, strict=True))
    assert {(a, b): n for a, row in told.matrix.items() for b, n in row.items() if n} == counts
    # Other thresholds by hand: the pictures score alike, so the evaluation of the parent speaks for the revision.
    revision = revise(store, kept, band["low"] - 0.1, None, "an escape", "ann")
    assert scored(store, revision.hash).evaluation.id == found.evaluation.id
    with pytest.raises(NotFoundError, match="no such evaluation"):
        scored(store, kept, 99)


def test_samples_are_explained_with_a_picture_each(desk: MakeDesk, kept: str, store: Store) -> None:
    numbers = [sample.id for sample in store.catalogue.page("plates", limit=2)]
    result = do(desk(), {"kind": "explain", "recipe": kept, "samples": numbers})
    assert [one["sample_id"] for one in result["explanations"]] == numbers
    assert sorted(one["picture"] for one in result["explanations"]) == result["files"]
    with pytest.raises(NotFoundError):
        do(desk(), {"kind": "explain", "recipe": kept, "samples": [10**6]})


def test_a_type_is_taught_into_a_new_recipe(
    desk: MakeDesk, store: Store, train_tiny: Callable[..., Recipe], parts: Dataset
) -> None:
    known = train_tiny(parts, classify=True)
    card = known.card.model_dump(mode="json")
    first = store.recipes.register(known.data, "plates", "plates.onnx", "ann", card=card).hash
    stained = [one.id for one in store.catalogue.page("plates", limit=100) if "stain" in one.name][:5]
    wanted = {"kind": "teach", "recipe": first, "type": "chip", "samples": stained, "name": "plates-2"}
    try:
        result = do(desk(), wanted)
    except InputError as error:  # what a recipe of so few parts cannot learn is told, and nothing is kept
        assert str(error)
        assert [one.hash for one in store.recipes.list("plates")] == [first]
        return
    made = store.recipes.find(result["recipe"])
    assert (made.parent, made.name, made.author) == (first, "plates-2.onnx", "ann")


def test_a_check_is_kept_for_the_findings(desk: MakeDesk) -> None:
    result = do(desk(), {"kind": "check", "product": "plates", "backbone": "none"})
    assert result["files"] == ["report.html"]
    assert isinstance(result["open"], dict)


def test_a_job_ends_where_its_progress_says_so(desk: MakeDesk, store: Store) -> None:
    def cancel(stage: str, done: int, of: int) -> None:
        raise Cancelled

    settings = {"effort": "quick", "side_px": 112, "threads": 1}
    with pytest.raises(Cancelled):
        do(desk(cancel), {"kind": "train", "data": "plates", "name": "plates", "settings": settings})
    assert store.recipes.list() == ()
    assert store.versions.find("plates").author == "ann"  # what it was to learn from was taken before


def test_settings_that_are_none_are_refused_before_the_job_waits() -> None:
    with pytest.raises(SettingError, match="sied_px"):
        check_arguments(Train(data="plates", name="plates", settings={"sied_px": 1}))
    for folder in ("hf:/etc", "hf:../models", "hf:models", "hf:a/../../b"):
        with pytest.raises(SettingError, match="no folder of the server"):
            check_arguments(Train(data="plates", name="plates", settings={"backbone": folder}))
    check_arguments(Train(data="plates", name="plates", settings={"backbone": "hf:facebook/dinov2-small"}))


@pytest.mark.slow
def test_a_search_tells_the_chosen_settings_and_why(desk: MakeDesk, store: Store) -> None:
    settings = {"effort": "quick", "side_px": 112, "bank_size": 256, "classify": False, "synthetic": 0, "threads": 1}
    result = do(desk(), {"kind": "search", "data": "plates", "name": "best", "trials": 2, "settings": settings})
    assert "report.html" in result["files"]
    assert store.recipes.find(result["recipe"]).product == "plates"
    assert result["search"]["trials"] == 2 and result["search"]["why"]
    assert set(result["search"]["settings"]) - set(settings)


def test_two_recipes_are_compared_part_by_part(desk: MakeDesk, kept: str, store: Store) -> None:
    # The same scores, but all parts are NG to the second recipe and none by its score to the first.
    lenient = revise(store, kept, 1000.0, 2000.0, "a test", "ann").hash
    strict = revise(store, kept, -2000.0, -1000.0, "a test", "ann").hash
    result = do(desk(), {"kind": "compare", "first": lenient[:12], "second": strict, "data": "plates"})
    found = result["comparison"]
    assert (found["first"], found["second"], result["files"]) == (lenient, strict, ["report.html"])
    assert (found["worse"], found["better"]) == (found["n_good"], found["n_defective"])
    assert [part["better"] for part in found["changed"]] == [False] * found["worse"] + [True] * found["better"]
    for part in found["changed"]:
        assert store.catalogue.get(part["sample_id"]).hash == part["image_hash"]
        assert (part["first"]["verdict"] != "NG", part["second"]["verdict"]) == (True, "NG")
        assert part["first"]["score"] == part["second"]["score"]
        assert part["better"] == part["defective"]
    with pytest.raises(InputError, match="the same recipe"):
        do(desk(), {"kind": "compare", "first": strict, "second": strict[:8], "data": "plates"})
