"""Recipes that are rolled out to the station, as the store or the site has them: fetched, proven, kept beside the
recipes' copies, and run in place of those of the station's file from its next start on, which comes in the next pause.

The files are there whole or not at all, and outlive the store: a station that starts without it runs what it ran.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sightline.core.errors import RecipeError, SightlineError, StoreError
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


class Source(Protocol):
    """Whoever says what is rolled out to a station, and hears what it runs: its store, or its site."""

    def wanted(self) -> Mapping[str, Wanted] | None:
        """By product, what is to be run in place of the station's own recipe; None where that is not known yet."""

    def report(self, product: str, running: str | None, fault: str) -> None:
        """Say what is run for a product, and why it is not what is wanted."""

    def file(self, hash: str) -> bytes:
        """The file of a recipe. Raises SightlineError."""

    def close(self) -> None:
        """Ask no more."""


@dataclass(frozen=True)
class StoreRecipes:
    """What is rolled out to a station, as its store has it."""

    store: Store
    station: str

    def wanted(self) -> Mapping[str, Wanted]:
        """As `Source`."""
        return self.store.rollouts.wanted(self.station)

    def report(self, product: str, running: str | None, fault: str) -> None:
        """As `Source`."""
        self.store.rollouts.report(self.station, product, running, fault)

    def file(self, hash: str) -> bytes:
        """As `Source`."""
        return self.store.recipes.file(hash)

    def close(self) -> None:
        """As `Source`."""
        self.store.close()


class Assigned:
    """What is rolled out to a station. `renew` is set while something else is to be run than what is run now, `urgent`
    where that was taken back.
    """

    def __init__(self, settings: StationSettings, open_source: Callable[[], Source]) -> None:
        self._settings, self._open = settings, open_source
        self._folder = settings.folder / "assigned"
        self._entries = {entry.product or entry.name: entry for entry in settings.recipes}
        self._refused = self._read_refused()
        self._ran: dict[str, str] = {}
        self._own = set(self._entries)  # products whose recipe in the station's file is run
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
        self._ran = self.by_product(running)
        self._own = {product for product in self._entries if not self._path(product).is_file()}
        self._thread = threading.Thread(target=self._follow, name="assigned", daemon=True)
        self._thread.start()

    def by_product(self, running: Mapping[RecipeKey, str]) -> dict[str, str]:
        """What is run by product, of hashes by recipe and view."""
        view = self._settings.views[0].name
        return {product: running[entry.name, view] for product, entry in self._entries.items()}

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
        source: Source | None = None
        try:
            while not self._stopping.is_set():
                try:
                    source = source or self._open()
                    self._look(source)
                    self.fault = ""
                except Exception as error:  # noqa: BLE001  # whatever it is: the thread looks again
                    if str(error) != self.fault:
                        LOG.error("what is rolled out cannot be read: %s", error, extra={"cause": str(error)})
                    self.fault = str(error)
                self._stopping.wait(EVERY_S)
        finally:
            if source is not None:
                source.close()

    def _look(self, source: Source) -> None:
        """Bring the files to what is wanted, and say what is run."""
        all_wanted = source.wanted()
        if all_wanted is None:
            return
        if gone := set(self._refused) - {one.recipe_hash for one in all_wanted.values()}:
            for digest in gone:  # asked for once more, it is tried once more
                del self._refused[str(digest)]
            self._keep_refused()
        needed = {}
        for product, wanted in all_wanted.items():
            running = self._ran.get(product)
            needed[product], fault = self._try(source, product, wanted)
            if self._reported.get(product) != (wanted, running, fault):
                source.report(product, running, fault)
                self._reported[product] = wanted, running, fault
        self.urgent = any(need and all_wanted[product].urgent for product, need in needed.items())
        if any(needed.values()):
            self.renew.set()
        else:
            self.renew.clear()

    def _try(self, source: Source, product: str, wanted: Wanted) -> tuple[bool, str]:
        """Bring one product's file; whether the station has to start anew, and what speaks against the recipe."""
        entry = self._entries.get(product)
        if entry is None:
            return False, f"no recipe of this station is for {product}"
        if wanted.recipe_hash in self._refused:
            return False, self._refused[str(wanted.recipe_hash)]
        try:
            return self._bring(source, product, entry, wanted.recipe_hash), ""
        except StoreError:
            raise  # what cannot be reached now says nothing against the recipe
        except (SightlineError, OSError) as error:
            return False, str(error)

    def _bring(self, source: Source, product: str, entry: RecipeEntry, wanted: str | None) -> bool:
        """Bring one product's file to what is wanted; whether the station has to start anew to run that.

        Raises RecipeError for a recipe that may not be run here.
        """
        path, own = self._path(product), product in self._own
        if wanted is None or (own and self._ran.get(product) == wanted):
            path.unlink(missing_ok=True)
            return not own
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
            self._fetch(source, path, product, entry, wanted)
        return self._ran.get(product) != wanted

    def _fetch(self, source: Source, path: Path, product: str, entry: RecipeEntry, wanted: str) -> None:
        if len(self._settings.views) > 1:
            raise RecipeError(f"recipe {entry.name} has several views; replace its files by hand")
        data = source.file(wanted)
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
