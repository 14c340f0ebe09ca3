"""Recipes that are rolled out to the station, as the store has them: fetched, proven, kept beside the recipes' copies,
and run in place of those of the station's file from its next start on, which comes in the next pause.

The files are there whole or not at all, and outlive the store: a station that starts without it runs what it ran.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from sightline.core.errors import RecipeError, SightlineError
from sightline.line.inspection_worker import RecipeKey
from sightline.line.settings import RecipeEntry, StationSettings
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import write_atomically
from sightline.runtime.signature import Release
from sightline.store.rollouts import Wanted
from sightline.store.store import Store

EVERY_S = 2.0  # between two looks at the store
PAUSE_S = 10.0  # without a part, before a station starts anew to take over what was rolled out
LOG = logging.getLogger("sightline.line.assigned")


class Assigned:
    """What is rolled out to a station. `renew` is set once something else is to be run than at the start, and `urgent`
    where what is run was taken back.
    """

    def __init__(self, settings: StationSettings, open_store: Callable[[], Store]) -> None:
        self._settings, self._open = settings, open_store
        self._folder = settings.folder / "assigned"
        self._entries = {entry.product or entry.name: entry for entry in settings.recipes}
        self._refused = self._read_refused()
        self._ran: dict[str, str] = {}
        self._reported: dict[str, tuple[Wanted, str | None, str]] = {}
        self.fault = ""
        self.urgent = False
        self.renew = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def files(self, own: Mapping[RecipeKey, str]) -> dict[RecipeKey, str]:
        """The files to be run: those of the station's file, or what was rolled out in their place."""
        found = dict(own)
        if self._settings.rollouts:
            for product, entry in self._entries.items():
                if (path := self._path(product)).is_file():
                    found |= {key: str(path) for key in own if key[0] == entry.name}
        return found

    def follow(self, running: Mapping[RecipeKey, str]) -> None:
        """Look at the store from now on. `running`: hashes of what is run, by recipe and view."""
        if not self._settings.rollouts:
            return
        views = [view.name for view in self._settings.views]
        self._ran = {product: running[entry.name, views[0]] for product, entry in self._entries.items()}
        self._thread = threading.Thread(target=self._follow, name="assigned", daemon=True)
        self._thread.start()

    def give_up(self, why: str) -> bool:
        """Run the station's own recipes again, since what was rolled out cannot be loaded; whether there was any."""
        there = [product for product in self._entries if self._path(product).is_file()]
        for product in there:
            digest = hashlib.sha256(self._path(product).read_bytes()).hexdigest()
            self._refused[digest] = why
            LOG.error("recipe %s was rolled out and cannot be used: %s", digest[:12], why, extra={"cause": why})
            self._path(product).unlink(missing_ok=True)
        if there:
            self._keep_refused()
        return bool(there)

    def close(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=3.0)

    def _path(self, product: str) -> Path:
        return self._folder / f"{hashlib.sha256(product.encode()).hexdigest()[:16]}.onnx"

    def _keep_refused(self) -> None:
        with suppress(OSError):
            write_atomically(self._folder / "refused.json", json.dumps(self._refused).encode())

    def _read_refused(self) -> dict[str, str]:
        with suppress(OSError, ValueError):
            found = json.loads((self._folder / "refused.json").read_text(encoding="utf-8"))
            return {str(digest): str(why) for digest, why in found.items()}
        return {}

    def _follow(self) -> None:
        store: Store | None = None
        try:
            while not self._stopping.is_set():
                try:
                    store = store or self._open()
                    self._look(store)
                    self.fault = ""
                except Exception as error:  # noqa: BLE001  # whatever it is: the thread looks again
                    if str(error) != self.fault:
                        LOG.error("what is rolled out cannot be read: %s", error, extra={"cause": str(error)})
                    self.fault = str(error)
                self._stopping.wait(EVERY_S)
        finally:
            if store is not None:
                store.close()

    def _look(self, store: Store) -> None:
        """Bring the files to what is wanted, and say what is run."""
        all_wanted = store.rollouts.wanted(self._settings.name)
        if gone := set(self._refused) - {one.recipe_hash for one in all_wanted.values()}:
            for digest in gone:  # asked for once more, it is tried once more
                del self._refused[str(digest)]
            self._keep_refused()
        for product, wanted in all_wanted.items():
            fault, running = "", self._ran.get(product)
            entry = self._entries.get(product)
            if entry is None:
                fault = f"no recipe of this station is for {product}"
            elif wanted.recipe_hash in self._refused:
                fault = self._refused[str(wanted.recipe_hash)]
            else:
                try:
                    self._bring(store, product, entry, wanted.recipe_hash)
                except (SightlineError, OSError) as error:
                    fault = str(error)
            self.urgent = self.urgent or (wanted.urgent and self.renew.is_set())
            if self._reported.get(product) != (wanted, running, fault):
                store.rollouts.report(self._settings.name, product, running, fault)
                self._reported[product] = wanted, running, fault

    def _bring(self, store: Store, product: str, entry: RecipeEntry, wanted: str | None) -> None:
        """Bring one product's file to what is wanted. Raises RecipeError for a recipe that may not be run here."""
        path = self._path(product)
        if wanted is None:
            if path.is_file():
                path.unlink()
                self.renew.set()
            return
        if self._ran.get(product) == wanted and not path.is_file():
            return  # the station's own file is that recipe
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted:
            if self._ran.get(product) != wanted:
                self.renew.set()
            return
        if len(self._settings.views) > 1:
            raise RecipeError(f"recipe {entry.name} has several views; replace its files by hand")
        data = store.recipes.file(wanted)
        if hashlib.sha256(data).hexdigest() != wanted:
            raise RecipeError("its file is damaged in the store. Register it again")
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".check.onnx")
        try:
            write_atomically(new, data)
            # As the inspection worker will: what is not signed, withdrawn, or of another product never gets there.
            key, release = self._settings.public_key, Release(product, entry.created_since, self._settings.withdrawn)
            Inspector(new, 1, self._settings.engine, self._settings.precision, key, release)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
        LOG.info("recipe %s was rolled out: it is run after the next pause", wanted[:12])
        self.renew.set()
