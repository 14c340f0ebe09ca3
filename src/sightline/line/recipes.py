"""The recipes of a station: which one is active, and what the machine calls the others."""

from __future__ import annotations

from sightline.line.judge import RecipeKey
from sightline.line.settings import SHADOW, RecipeEntry, StationSettings


class Recipes:
    """The active recipe, and changeover by name, number or barcode. None is active after a wrong wish."""

    def __init__(self, settings: StationSettings) -> None:
        self._views = [view.name for view in settings.views]
        self._entries = settings.recipes
        self.active: RecipeEntry | None = settings.recipes[0]

    @property
    def name(self) -> str:
        """Of the active recipe; "" where none is."""
        return "" if self.active is None else self.active.name

    def find(self, wish: str) -> RecipeEntry | None:
        """The recipe of that name, number or barcode."""
        for entry in self._entries:
            if wish in (entry.name, str(entry.id)) or wish in entry.barcodes:
                return entry
        return None

    def change(self, wish: str) -> bool:
        """Make the wished recipe the active one; with an unknown wish none is, and no part is judged by the old one."""
        self.active = self.find(wish)
        return self.active is not None

    def keys(self) -> list[RecipeKey]:
        """What the judge calls the active recipe, by view."""
        assert self.active is not None
        return [(self.active.name, view) for view in self._views]

    def shadow_keys(self) -> list[RecipeKey]:
        """What the judge calls the active recipe's shadow, by view; none where there is none."""
        if self.active is None or self.active.shadow is None:
            return []
        return [(shadow_name(self.active.name), view) for view in self._views]

    def files(self) -> dict[RecipeKey, str]:
        """All recipe files that the judge has to load."""
        found: dict[RecipeKey, str] = {}
        for entry in self._entries:
            for view in self._views:
                found[entry.name, view] = str(entry.of(view))
                if entry.shadow is not None:
                    found[shadow_name(entry.name), view] = str(entry.shadow)
        return found


def shadow_name(recipe: str) -> str:
    """What the judge calls the shadow of a recipe."""
    return f"{recipe}{SHADOW}"
