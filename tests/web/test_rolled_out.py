"""Recipes that reach a station over HTTP: fetched whole or not at all, proven, run, told, and gone when taken back."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.line.test_assigned import STATION
from tests.sending import join, until
from tests.web.conftest import Serve, Served

from sightline.core.errors import StoreError
from sightline.line import assigned, site
from sightline.line.settings import StationSettings, read_station
from sightline.line.supervisor import Supervisor
from sightline.operations.store import register_recipe
from sightline.runtime.recipe import Recipe
from sightline.store.rollouts import ROLLED_BACK, Assignment, Wanted
from sightline.store.store import Store


@pytest.fixture
def other(recipe: Recipe, tmp_path: Path) -> Path:
    """Another recipe of the same product."""
    card = recipe.card
    return recipe.with_card(card.model_copy(update={"promises": (*card.promises, "another")})).save(tmp_path / "b.onnx")


@pytest.fixture
def settings(serve: Serve, tmp_path: Path, recipe_file: Path, recipe: Recipe) -> tuple[Served, StationSettings]:
    """A server, and a station of its own folder that sends there."""
    served = serve()
    (tmp_path / "token").write_text(join(served.store))
    told = f'site = {{ url = "{served.url}", token = {{ file = "token" }}, every_s = 0.2 }}\n'
    path = tmp_path / "desk.toml"
    told += STATION.format(folder=tmp_path / "desk", recipe=recipe_file, product=recipe.card.product)
    path.write_text(told)
    return served, read_station(path)


def begin(store: Store, file: Path) -> tuple[int, str]:
    """A rollout's number, and its recipe's hash."""
    found = register_recipe(store, file, None, "eva")
    return store.rollouts.begin(found.product, found.hash, ["desk"], 1, "eva").id, found.hash


def said(store: Store) -> Assignment:
    (found,) = store.rollouts.assignments()
    return found


def test_a_station_runs_what_its_site_rolls_out_and_its_own_again_when_that_is_taken_back(
    settings: tuple[Served, StationSettings], tmp_path: Path, recipe: Recipe, other: Path
) -> None:
    store, stopping = settings[0].store, threading.Event()
    supervisor = Supervisor([tmp_path / "desk.toml"], stopping)
    watching = threading.Thread(target=supervisor.run, daemon=True)
    watching.start()
    try:
        number, hash = begin(store, other)
        until(lambda: said(store).runs, 90)
        assert (said(store).running_hash, said(store).ran_hash) == (hash, recipe.hash)
        store.rollouts.move(number, ROLLED_BACK, "worse", "eva")
        until(lambda: said(store).running_hash == recipe.hash, 90)
        assert said(store).fault == "" and store.senders.all()[0].running == {recipe.card.product: recipe.hash}
        notes = [row.details["text"] for row in store.audit.page() if row.action == "rollout"]
        assert any("was taken back" in text for text in notes)
    finally:
        stopping.set()
        watching.join(30)


@contextmanager
def looking(
    served: Served, settings: StationSettings, hash: str
) -> Iterator[tuple[assigned.Assigned, assigned.Source, list[str]]]:
    """A station that is told to run a recipe, and what it says of that."""
    assert settings.site is not None
    product = settings.recipes[0].product or ""
    told: list[str] = []
    source = site.SiteRecipes(
        site.Site(settings.site, "desk"), settings.folder / "assigned", lambda: {product: Wanted(hash, 1)},
        lambda product, running, fault: told.append(fault),
    )  # fmt: skip
    found = assigned.Assigned(settings, lambda: source)
    found._ran = {product: "a" * 64}
    yield found, source, told
    source.close()


def test_a_half_download_is_resumed_and_two_halves_that_do_not_fit_are_thrown_away(
    settings: tuple[Served, StationSettings], other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, own = settings
    _, hash = begin(served.store, other)
    data, real, asked = other.read_bytes(), site._save, list[int]()

    def breaks_off(response: http.client.HTTPResponse, path: Path, append: bool) -> None:
        asked.append(response.length or 0)
        if len(asked) == 1:
            path.write_bytes(response.read(len(data) // 2))
            raise http.client.IncompleteRead(b"")
        real(response, path, append)

    monkeypatch.setattr(site, "_save", breaks_off)
    with looking(served, own, hash) as (found, source, told):
        with pytest.raises(StoreError, match="cannot be reached"):
            found._look(source)
        assert not found.renew.is_set() and told == []
        found._look(source)
        assert found.renew.is_set() and told == [""]
        assert asked == [len(data), len(data) - len(data) // 2]
        (file,) = (own.folder / "assigned").glob("*.onnx")
        assert file.read_bytes() == data
        file.unlink()
        (own.folder / "assigned" / f"{hash[:16]}.part").write_bytes(b"\0" * 100)
        with pytest.raises(StoreError, match="damaged on its way and is fetched anew"):
            found._look(source)
        found._look(source)
        assert file.read_bytes() == data


def test_what_is_damaged_at_the_site_or_not_rolled_out_to_this_station_is_not_run(
    settings: tuple[Served, StationSettings], other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, own = settings
    _, hash = begin(served.store, other)
    with looking(served, own, "b" * 64) as (found, source, _), pytest.raises(StoreError, match="not rolled out"):
        found._look(source)
    monkeypatch.setattr(type(served.store.recipes), "file", lambda self, hash: other.read_bytes()[:-1])
    with looking(served, own, hash) as (found, source, told):
        found._look(source)
        assert "is damaged as" in told[0] and not found.renew.is_set()
    assert list((own.folder / "assigned").glob("*")) == []
