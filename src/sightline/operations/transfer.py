"""Taking a recipe to another station: tried with good parts of that place, and recalibrated where that is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core.errors import ConflictError, InputError
from sightline.core.progress import Progress, unwatched
from sightline.imaging.decoding import SUFFIXES
from sightline.improve.transfer import Transfer
from sightline.improve.transfer import transfer as find_out
from sightline.operations.learning import known_parts, stored_recipe
from sightline.store.adaptations import StoredAdaptation
from sightline.store.store import Store, StoreLocation


@dataclass(frozen=True, slots=True)
class Transferred:
    """What a recipe needs at a station, and the change that was stored for it, None where none was."""

    station: str
    recipe_hash: str
    found: Transfer
    change: StoredAdaptation | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        change = None if self.change is None else {"id": self.change.id, "state": self.change.state}
        return {"station": self.station, "recipe": self.recipe_hash, **self.found.to_json(), "change": change}


def transfer(
    location: StoreLocation,
    recipe: str,
    station: str,
    good: Sequence[Path],
    author: str = "",
    dry_run: bool = False,
    progress: Progress = unwatched,
) -> Transferred:
    """Try a stored recipe on good parts of another station (files, or folders of them), and recalibrate it there.

    A recalibration takes effect at that station alone, unless `dry_run`; the recipe's file stays as it is. Raises
    InputError for too few or unreadable pictures, ConflictError where the station has learned something of this recipe
    already, RecipeError for a recipe that cannot learn.
    """
    with Store.open(*location, create=False) as store:
        stored = store.recipes.find(recipe)
        if store.adaptations.active(station, stored.hash) is not None:
            raise ConflictError(
                f"{station} has learned something of recipe {stored.hash[:12]} already: it runs there. Look at it: "
                f"sightline learning changes {station}"
            )
        number = store.adaptations.next_number(station, stored.hash)
        known = known_parts(store, stored.product, station)
        found = find_out(stored_recipe(store, stored.hash), _files(good), known, number, progress)
        change = None
        if found.adaptation is not None and not dry_run:
            change = store.adaptations.add(
                station, stored.hash, number, "transfer", found.adaptation.to_bytes(), found.to_json(), author
            )
        return Transferred(station, stored.hash, found, change)


def _files(given: Sequence[Path]) -> list[Path]:
    """The pictures that are meant. Raises InputError for a path that is not there."""
    found: list[Path] = []
    for path in given:
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder. Check the path")
        inside = sorted(one for one in path.iterdir() if one.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        found += inside
    return found
