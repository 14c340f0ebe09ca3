"""`sightline store`: the work of its commands. Each opens the store, does one thing, and gives plain JSON values."""

from __future__ import annotations

import getpass
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from sightline.command.console import progress
from sightline.core.sample import Sample
from sightline.store.store import Store
from sightline.store.tables import Base

Place = tuple[str | None, str | None]  # the database and the images, as the options give them


def init(place: Place) -> dict[str, Any]:
    """Make a store, or bring an older one up to date."""
    with Store.open(*place) as store:
        return {"database": store.database.name, "images": store.images.shelf.name}


def add(
    place: Place, data: Path, product: str | None, split: bool, test_fraction: float, quiet: bool
) -> dict[str, Any]:
    """Add a dataset of any layout that training reads. Samples are called by their path below `data`."""
    from sightline.data.dataset import Dataset

    dataset = Dataset.open(data, test_fraction, split=split)
    root = data if data.is_dir() else data.parent
    with Store.open(*place) as store, progress(quiet) as bar:
        name = product or dataset.name
        samples = dataset.samples if dataset.given_split else _with_their_own(dataset.samples, store, name)
        done = store.add(samples, name, root=root, author=author(), progress=bar)
    figures = {"product": name, "added": done.added, "present": done.present, "refused": done.refused}
    return {**figures, "hidden": done.hidden, "errors": list(done.errors)}


def _with_their_own(samples: Sequence[Sample], store: Store, product: str) -> list[Sample]:
    """Samples whose split was made here: those of a group or lot that the store has already go where that is."""
    sides = store.catalogue.sides(product)
    keys = [("lot", s.lot or "") if s.group is None else ("group", s.group) for s in samples]
    return [
        replace(sample, split=sides.get(key, sample.split) if sample.split else None)
        for sample, key in zip(samples, keys, strict=True)
    ]


def check(place: Place, repair: bool, grace_minutes: float, quiet: bool) -> dict[str, Any]:
    """Compare every image with its name and its rows."""
    with Store.open(*place, create=False) as store, progress(quiet) as bar:
        return store.check(repair, grace_minutes * 60, bar).to_json()


def backup(place: Place, folder: Path, quiet: bool) -> dict[str, Any]:
    """Copy the store into a folder."""
    with Store.open(*place, create=False) as store, progress(quiet) as bar:
        return store.backup(folder, bar).to_json()


def restore(place: Place, folder: Path, quiet: bool) -> dict[str, Any]:
    """Make a new store from a backup."""
    with progress(quiet) as bar:
        return Store.restore(folder, *place, progress=bar).to_json()


def versions(place: Place, product: str | None) -> list[dict[str, Any]]:
    """All versions, with the recipes that learned from each."""
    with Store.open(*place, create=False) as store:
        return [
            {
                **version.to_json(),
                "recipes": [
                    {"name": recipe.name, "hash": recipe.hash} for recipe in store.recipes.list(version=version.name)
                ],
            }
            for version in store.versions.list(product)
        ]


def snapshot(place: Place, product: str, note: str, frozen: bool) -> dict[str, Any]:
    """Keep a product as it is now."""
    with Store.open(*place, create=False) as store:
        return store.versions.snapshot(product, author(), note, frozen).to_json()


def diff(place: Place, old: str, new: str) -> dict[str, Any]:
    """What changed between two versions."""
    with Store.open(*place, create=False) as store:
        return store.versions.diff(old, new).to_json()


def rollback(place: Place, version: str) -> dict[str, Any]:
    """Bring a version back."""
    with Store.open(*place, create=False) as store:
        return store.versions.restore(version, author()).to_json()


def export(place: Place, name: str, folder: Path, layout: str) -> dict[str, Any]:
    """Write a version, or a product as it is now, into another layout."""
    from sightline.data.export import export as write

    with Store.open(*place, create=False) as store, tempfile.TemporaryDirectory(prefix="sightline-") as desk:
        samples = list(store.samples(name, folder=Path(desk)))
        write(samples, folder, layout)
    return {"version": name, "folder": str(folder), "format": layout, "samples": len(samples)}


def register(place: Place, file: Path, version: str) -> dict[str, Any]:
    """Keep a recipe, and note the version that it was learned from."""
    from sightline.runtime.recipe import Recipe

    recipe = Recipe.load(file)
    with Store.open(*place, create=False) as store:
        kept = store.recipes.register(
            recipe.data,
            store.versions.find(version).product,
            file.name,
            author(),
            version,
            recipe.card.provenance.parent,
            recipe.card.model_dump(mode="json"),
        )
    return {"recipe": kept.name, "hash": kept.hash, "product": kept.product, "version": kept.version}


def info(place: Place) -> dict[str, Any]:
    """Where the store is, and how much is in it."""
    with Store.open(*place, create=False) as store, store.reading() as session:
        rows = {
            name: session.scalar(select(func.count()).select_from(table))
            for name, table in Base.metadata.tables.items()
        }
        where = {"database": store.database.name, "images": store.images.shelf.name}
        return {**where, "products": store.catalogue.products(), "rows": rows}


def author() -> str:
    """Who works here, by the name that the machine knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
