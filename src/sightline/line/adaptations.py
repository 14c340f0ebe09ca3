"""What the station has learned since its recipes were made, as the store has it: looked for every few seconds, kept
beside the recipes' copies, and taken over between two parts.

The file is there whole or not at all, so a station that loses its power, or its database, starts with the newest one
that it had.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from sightline.core.errors import RecipeError, SightlineError
from sightline.runtime.adaptation import Adaptation, digest_of
from sightline.runtime.recipe import write_atomically
from sightline.store.store import Store

EVERY_S = 2.0  # between two looks at the store
LOG = logging.getLogger("sightline.line.adaptations")


class Adaptations:
    """The files of adaptations by the hash of their recipe, and whoever brings them up to date.

    `open_store` gives a store of the caller's own. `files` is never changed, but replaced: any thread may read it.
    """

    def __init__(
        self, station: str, folder: Path, recipes: Iterable[str], open_store: Callable[[], Store], on: bool = True
    ) -> None:
        self._station, self._folder, self._open = station, folder / "adaptations", open_store
        self._recipes = sorted(set(recipes))
        self.files: dict[str, tuple[Path, str]] = {}  # by recipe: the file and its digest
        self.fault = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        if not on:
            return
        with suppress(OSError):
            there = {recipe: path for recipe in self._recipes if (path := self._path(recipe)).is_file()}
            self.files = {recipe: (path, digest_of(path.read_bytes())) for recipe, path in there.items()}
        self._thread = threading.Thread(target=self._follow, name="adaptations", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=3.0)

    def _path(self, recipe: str) -> Path:
        return self._folder / f"{recipe[:16]}.npz"

    def _follow(self) -> None:
        store: Store | None = None
        try:
            while not self._stopping.is_set():
                try:
                    store = store or self._open()
                    self._look(store)
                except Exception as error:  # noqa: BLE001  # whatever it is: the thread looks again
                    if str(error) != self.fault:
                        LOG.error("what was learned cannot be read: %s", error, extra={"cause": str(error)})
                    self.fault = str(error)
                self._stopping.wait(EVERY_S)
        finally:
            if store is not None:
                store.close()

    def _look(self, store: Store) -> None:
        """Bring the files to what is active now."""
        wanted = store.adaptations.digests(self._station, self._recipes)
        fault = ""
        for recipe in self._recipes:
            try:
                self._bring(store, recipe, wanted.get(recipe))
            except (SightlineError, OSError) as error:  # the others are looked at all the same
                fault = str(error)
        if fault and fault != self.fault:
            LOG.error("what was learned cannot be read: %s", fault, extra={"cause": fault})
        self.fault = fault

    def _bring(self, store: Store, recipe: str, wanted: tuple[int, str] | None) -> None:
        """Bring one recipe's file to what is active now."""
        path = self._path(recipe)
        if wanted is None:
            if recipe in self.files:
                self.files = {other: file for other, file in self.files.items() if other != recipe}
                path.unlink(missing_ok=True)
            return
        number, digest = wanted
        if self.files.get(recipe, (path, ""))[1] == digest:
            return
        data = store.adaptations.file(number)
        if digest_of(data) != digest or Adaptation.of(data).recipe != recipe:
            raise RecipeError(f"change {number} of what was learned is damaged in the store. Undo it")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
        self.files = {**self.files, recipe: (path, digest)}
        LOG.info("recipe %s: took over what was learned, change %d", recipe[:12], number)
