"""The store: filled, checked, copied, versioned. Each opens it, does one thing, and gives plain JSON values."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from sightline.core.errors import InputError
from sightline.core.progress import Progress, Tell, unwatched
from sightline.core.sample import Sample
from sightline.operations.opening import author, open_dataset
from sightline.store.recipes import StoredRecipe
from sightline.store.samples import StoredSample
from sightline.store.store import Store, StoreLocation
from sightline.store.tables import Base


def init(location: StoreLocation) -> dict[str, Any]:
    """Make a store, or bring an older one up to date."""
    with Store.open(*location) as store:
        return {"database": store.database.name, "images": store.images.blobs.name}


def add(
    location: StoreLocation,
    data: Path,
    product: str | None = None,
    split: bool = True,
    test_fraction: float = 0.3,
    outside: bool = False,
    *,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Add a dataset of any layout that training reads. Samples are called by their path below `data`."""
    with Store.open(*location) as store:
        how = product, split, test_fraction, outside
        return add_samples(store, data, *how, author=author(), progress=progress, tell=tell)


def add_samples(
    store: Store,
    data: Path,
    product: str | None = None,
    split: bool = True,
    test_fraction: float = 0.3,
    outside: bool = False,
    *,
    author: str,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """As `add`, into a store that is open, in the name of `author`."""
    dataset = open_dataset(data, tell, outside=outside, split=split, test_fraction=test_fraction)
    root, name = data if data.is_dir() else data.parent, product or dataset.name
    samples = dataset.samples if dataset.given_split else _with_their_own(dataset.samples, store, name)
    done = store.add(samples, name, root=root, author=author, progress=progress or unwatched)
    store.audit.note(author, "add samples", f"product {name}", added=done.added, refused=done.refused)
    figures = {"product": name, "added": done.added, "present": done.present, "refused": done.refused}
    return {**figures, "hidden": done.hidden, "errors": list(done.errors)}


def add_image(store: Store, product: str, name: str, data: bytes, author: str) -> StoredSample:
    """Keep one image as a sample called `name`. Raises InputError for what is not an image, StoreError."""
    with tempfile.TemporaryDirectory(prefix="sightline-") as desk:
        path = Path(desk) / Path(name).name
        path.write_bytes(data)
        done = store.add([Sample(path, None)], product, author=author)
    if done.refused:
        raise InputError(done.errors[0].replace(str(path), name))
    numbers = store.catalogue.numbers(product, hashlib.sha256(data).hexdigest())
    mine = [sample for sample in map(store.catalogue.get, numbers) if sample.name == name]
    if not mine:
        raise InputError(f"{name}: this sample of {product} was deleted. Bring it back instead")
    store.audit.note(author, "add samples", f"product {product}", added=done.added, sample=mine[0].id)
    return mine[0]


def _with_their_own(samples: Sequence[Sample], store: Store, product: str) -> list[Sample]:
    """Samples whose split was made here: those of a group or lot that the store has already go where that is."""
    sides = store.catalogue.sides(product)
    keys = [("lot", s.lot or "") if s.group is None else ("group", s.group) for s in samples]
    return [
        replace(sample, split=sides.get(key, sample.split) if sample.split else None)
        for sample, key in zip(samples, keys, strict=True)
    ]


def check(
    location: StoreLocation, *, repair: bool = False, grace_minutes: float = 60, progress: Progress | None = None
) -> dict[str, Any]:
    """Compare every image with its name and its rows."""
    with Store.open(*location, create=False) as store:
        return store.check(repair, grace_minutes * 60, progress or unwatched).to_json()


def backup(location: StoreLocation, folder: Path, *, keep: int = 7, progress: Progress | None = None) -> dict[str, Any]:
    """Copy the store into a folder."""
    with Store.open(*location, create=False) as store:
        return store.backup(folder, progress or unwatched, keep).to_json()


def restore(
    location: StoreLocation, folder: Path, *, generation: str | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Make a new store from a backup."""
    return Store.restore(folder, *location, progress=progress or unwatched, generation=generation).to_json()


def versions(location: StoreLocation, product: str | None) -> list[dict[str, Any]]:
    """All versions, with the recipes that learned from each."""
    with Store.open(*location, create=False) as store:
        return [
            {
                **version.to_json(),
                "recipes": [
                    {"name": recipe.name, "hash": recipe.hash} for recipe in store.recipes.list(version=version.name)
                ],
            }
            for version in store.versions.list(product)
        ]


def snapshot(location: StoreLocation, product: str, note: str, frozen: bool) -> dict[str, Any]:
    """Keep a product as it is now."""
    with Store.open(*location, create=False) as store:
        return store.versions.snapshot(product, author(), note, frozen).to_json()


def diff(location: StoreLocation, old: str, new: str) -> dict[str, Any]:
    """What changed between two versions."""
    with Store.open(*location, create=False) as store:
        return store.versions.diff(old, new).to_json()


def rollback(location: StoreLocation, version: str) -> dict[str, Any]:
    """Bring a version back."""
    with Store.open(*location, create=False) as store:
        return store.versions.restore(version, author()).to_json()


def export(location: StoreLocation, name: str, folder: Path, layout: str) -> dict[str, Any]:
    """Write a version, or a product as it is now, into another layout."""
    from sightline.data.export import export as write

    with Store.open(*location, create=False) as store, tempfile.TemporaryDirectory(prefix="sightline-") as desk:
        samples = list(store.samples(name, folder=Path(desk)))
        write(samples, folder, layout)
    return {"version": name, "folder": str(folder), "format": layout, "samples": len(samples)}


def register(location: StoreLocation, file: Path, version: str) -> dict[str, Any]:
    """Keep a recipe, and note the version that it was learned from."""
    with Store.open(*location, create=False) as store:
        found = register_recipe(store, file, version, author())
    return {"recipe": found.name, "hash": found.hash, "product": found.product, "version": found.version}


def register_recipe(
    store: Store, file: Path, version: str | None, author: str, parent: str | None = None
) -> StoredRecipe:
    """As `register`, into a store that is open; without a version, for the product that the recipe names itself."""
    from sightline.runtime.recipe import Recipe

    recipe = Recipe.load(file)
    product = recipe.card.product if version is None else store.versions.find(version).product
    parent, card = parent or recipe.card.provenance.parent, recipe.card.model_dump(mode="json")
    return store.recipes.register(recipe.data, product, file.name, author, version, parent, card)


def info(location: StoreLocation) -> dict[str, Any]:
    """Where the store is, and how much is in it."""
    with Store.open(*location, create=False) as store, store.reading() as session:
        rows = {
            name: session.scalar(select(func.count()).select_from(table))
            for name, table in Base.metadata.tables.items()
        }
        where = {"database": store.database.name, "images": store.images.blobs.name}
        return {**where, "products": store.catalogue.products(), "rows": rows}
