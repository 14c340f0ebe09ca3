"""What is rolled out to a station: proven before it is kept, run after the next pause, gone when it is taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.line.test_supervisor import until

from sightline.core.errors import RecipeError
from sightline.line import assigned
from sightline.line.devices import open_devices
from sightline.line.settings import StationSettings, read_station
from sightline.line.supervisor import Supervisor
from sightline.operations.store import register_recipe
from sightline.runtime.recipe import Recipe
from sightline.runtime.signature import make_keys, sign
from sightline.store.rollouts import ROLLED_BACK, Assignment
from sightline.store.store import Store

STATION = """
name = "desk"
folder = "{folder}"
threads = 1
frame_mb = 1
rollouts = true
views = [{{ name = "top", camera = {{ kind = "fake" }} }}]
recipes = [{{ name = "plates", id = 1, file = "{recipe}", product = "{product}" }}]
controller = {{ kind = "fake" }}
"""


@pytest.fixture
def other(recipe: Recipe, tmp_path: Path) -> Path:
    """Another recipe of the same product."""
    card = recipe.card
    return recipe.with_card(card.model_copy(update={"promises": (*card.promises, "another")})).save(tmp_path / "b.onnx")


@pytest.fixture
def settings(tmp_path: Path, recipe_file: Path, recipe: Recipe) -> StationSettings:
    path = tmp_path / "desk.toml"
    product = recipe.card.product
    path.write_text(STATION.format(folder=tmp_path / "desk", recipe=recipe_file, product=product))
    return read_station(path)


def roll_out(settings: StationSettings, file: Path, **more: Any) -> tuple[Store, int, str]:
    """A store of the station, the rollout's number and the recipe's hash."""
    settings.folder.mkdir(exist_ok=True)
    store = Store.open(settings.folder / "sightline.db")
    found = register_recipe(store, file, None, "eva")
    product = more.get("product", found.product)
    return store, store.rollouts.begin(product, found.hash, ["desk"], 1, "eva").id, found.hash


def said(store: Store) -> Assignment:
    (found,) = store.rollouts.assignments()
    return found


def test_a_station_starts_anew_with_what_was_rolled_out_and_with_its_own_when_it_is_taken_back(
    tmp_path: Path, settings: StationSettings, recipe: Recipe, other: Path
) -> None:
    stopping = threading.Event()
    supervisor = Supervisor([tmp_path / "desk.toml"], stopping)
    watching = threading.Thread(target=supervisor.run, daemon=True)
    watching.start()
    try:
        one = supervisor.stations[0]
        until(lambda: one.heartbeat.last_s > 0)
        store, number, hash = roll_out(settings, other)
        with store:
            until(lambda: said(store).runs, 90)
            assert (said(store).running_hash, said(store).ran_hash) == (hash, recipe.hash)
            store.rollouts.move(number, ROLLED_BACK, "worse", "eva")
            until(lambda: said(store).running_hash == recipe.hash, 90)
            assert said(store).fault == ""
        assert not one.given_up
    finally:
        stopping.set()
        watching.join(30)


def looked(settings: StationSettings) -> assigned.Assigned:
    """One look at the store by a station that runs its own recipe."""
    found = assigned.Assigned(settings, lambda: source)
    found._ran = {entry.product or entry.name: "a" * 64 for entry in settings.recipes}
    with Store.open(settings.folder / "sightline.db") as store:
        source = assigned.StoreRecipes(store, settings.name)
        found._look(source)
    return found


@pytest.mark.parametrize(("change", "what"), [
    ("damaged", "damaged in the store"), ("product", "no recipe of this station is for"), ("unsigned", "is not signed"),
    ("withdrawn", "withdrawn"),
])  # fmt: skip
def test_what_may_not_run_here_never_gets_near_the_line(
    settings: StationSettings, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, what: str
) -> None:
    make_keys(tmp_path / "key", tmp_path / "key.pub")
    more = {"product": "nuts"} if change == "product" else {}
    store, _, hash = roll_out(settings, other, **more)
    with store:
        if change == "damaged":
            monkeypatch.setattr(type(store.recipes), "file", lambda self, hash: b"another")
        elif change == "unsigned":
            settings = settings.model_copy(update={"public_key": tmp_path / "key.pub"})
        elif change == "withdrawn":
            settings = settings.model_copy(update={"withdrawn": (hash[:12],)})
        found = looked(settings)
        assert what in said(store).fault
        assert not said(store).runs
    assert not found.renew.is_set()
    own = {("plates", "top"): "own.onnx"}
    assert found.files(own) == own
    assert list((settings.folder / "assigned").glob("*.onnx")) == []


def test_a_signed_recipe_is_kept_and_run_from_the_next_start_on(
    settings: StationSettings, other: Path, tmp_path: Path
) -> None:
    make_keys(tmp_path / "key", tmp_path / "key.pub")
    other.write_bytes(sign(other.read_bytes(), tmp_path / "key"))
    settings = settings.model_copy(update={"public_key": tmp_path / "key.pub"})
    store, _, _ = roll_out(settings, other)
    store.close()
    found = looked(settings)
    assert found.renew.is_set()
    (file,) = found.files({("plates", "top"): "own.onnx"}).values()
    assert Path(file).read_bytes() == other.read_bytes()
    off = settings.model_copy(update={"rollouts": False})
    assert assigned.Assigned(off, lambda: assigned.StoreRecipes(store, "desk")).files(
        {("plates", "top"): "own.onnx"}
    ) == {("plates", "top"): "own.onnx"}


def test_one_that_cannot_be_loaded_is_given_up_and_the_station_has_its_own_again(
    settings: StationSettings, recipe: Recipe, other: Path
) -> None:
    store, _, _ = roll_out(settings, other)
    found = looked(settings)
    path = found._path(recipe.card.product)
    path.write_bytes(b"\0" * 1000)  # a disk that has lost it
    with pytest.raises(RecipeError):
        open_devices(settings)
    assert not path.exists()
    devices = open_devices(settings)
    try:
        assert set(devices.worker.hashes.values()) == {recipe.hash}
    finally:
        devices.close()
        store.close()


def test_without_the_switch_nothing_is_looked_for(bench: Callable[..., Any], other: Path, recipe: Recipe) -> None:
    with bench(repeat_s=0) as one:
        store, _, _ = roll_out(one.settings, other)
        with store:
            assert one.devices.assigned._thread is None
            assert one.inspect("p1").verdict is not None
            assert said(store).running_hash is None
