"""The recipes of a station: which one is active, what the machine calls them, and the copies that are run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sightline.core.errors import RecipeError
from sightline.line.inspection_worker import RecipeKey
from sightline.line.settings import SHADOW, RecipeEntry, StationSettings
from sightline.runtime.signature import Release


class Recipes:
    """The active recipe, and changeover by name, number or barcode. None is active after a request for an unknown one.

    `before` is the one that was active when the station before died, whose link and machine outlived it: "" for none.
    `calls` has everything that calls for a recipe with its name, `changes` counts the changeovers.
    """

    def __init__(self, settings: StationSettings, before: str | None = None) -> None:
        self._views = [view.name for view in settings.views]
        self._entries = settings.recipes
        self._signed, self._withdrawn = settings.public_key is not None, settings.withdrawn
        self._called = {call: entry for entry in settings.recipes for call in entry.calls()}
        self.calls = {call: entry.name for call, entry in self._called.items()}
        self.changes = 0
        self.active: RecipeEntry | None = settings.recipes[0] if before is None else self.find(before)

    @property
    def name(self) -> str:
        """Of the active recipe; "" where none is."""
        return "" if self.active is None else self.active.name

    def find(self, requested: str) -> RecipeEntry | None:
        """The recipe of that name, number or barcode."""
        return self._called.get(requested)

    def change(self, requested: str) -> bool:
        """Make the requested recipe the active one; an unknown one leaves none active: none is used by mistake."""
        self.active = self.find(requested)
        self.changes += self.active is not None
        return self.active is not None

    def give_up(self, requested: str = "") -> str:
        """Leave no recipe active, unless it is another one than `requested` ("": any); what was done, in words."""
        if self.active is not None and requested not in ("", *self.active.calls()):
            return f"the machine gives up {requested!r}, but {self.name} is active: it stays"
        self.active = None
        return "the machine has given up the recipe"

    def keys(self) -> list[RecipeKey]:
        """What the inspection worker calls the active recipe, by view."""
        assert self.active is not None
        return [(self.active.name, view) for view in self._views]

    def shadow_keys(self) -> list[RecipeKey]:
        """What the inspection worker calls the active recipe's shadow, by view; none where there is none."""
        if self.active is None or self.active.shadow is None:
            return []
        return [(shadow_name(self.active.name), view) for view in self._views]

    def releases(self) -> dict[RecipeKey, Release]:
        """Which recipes may be used, by the same names: those of the entry's product, where files are signed."""
        found: dict[RecipeKey, Release] = {}
        for entry in self._entries:
            product = entry.product or (entry.name if self._signed else None)
            release = Release(product, entry.created_since, self._withdrawn)
            for view in self._views:
                found[entry.name, view] = found[shadow_name(entry.name), view] = release
        return found

    def files(self) -> dict[RecipeKey, str]:
        """All recipe files that the inspection worker has to load."""
        found: dict[RecipeKey, str] = {}
        for entry in self._entries:
            for view in self._views:
                found[entry.name, view] = str(entry.of(view))
                if entry.shadow is not None:
                    found[shadow_name(entry.name), view] = str(entry.shadow)
        return found


def shadow_name(recipe: str) -> str:
    """What the inspection worker calls the shadow of a recipe."""
    return f"{recipe}{SHADOW}"


class Loaded:
    """A station's own copies of its recipes: what runs is what was loaded and recorded.

    A file that is replaced on the disk changes nothing until the station is started again; then it is a changeover.
    `files` are the copies and `hashes` their SHA-256, by recipe and view; `changes` says in words which recipes have
    another hash than at the last start.

    Raises RecipeError for a file that cannot be read, or not be copied into `folder`.
    """

    def __init__(self, folder: Path, files: Mapping[RecipeKey, str]) -> None:
        self._folder = folder / "recipes"
        copies = {path: self._copy(Path(path)) for path in sorted(set(files.values()))}
        self.files = {key: str(copies[path][0]) for key, path in files.items()}
        self.hashes = {key: copies[path][1] for key, path in files.items()}
        self.changes = self._compare()
        used = {Path(path) for path in self.files.values()}
        for path in self._folder.glob("*.onnx*"):
            if path not in used:
                with suppress(OSError):
                    path.unlink()

    def _copy(self, path: Path) -> tuple[Path, str]:
        """The copy of a recipe file, and its hash: that of the copy, whatever happens to the file meanwhile."""
        new = self._folder / f"{path.stem}.onnx.new"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, new)
            with new.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            copy = self._folder / f"{path.stem}-{digest[:16]}.onnx"
            new.replace(copy)
        except OSError as error:
            raise RecipeError(
                f"{path}: cannot be copied into {self._folder} ({error.strerror}). Check the path and the disk"
            ) from error
        return copy, digest

    def _compare(self) -> list[str]:
        """What has changed since the last start; the hashes are kept for the next."""
        path = self._folder / "loaded.json"
        now = {f"{name}, view {view}": digest for (name, view), digest in self.hashes.items()}
        before: dict[str, str] = {}
        with suppress(OSError, ValueError):
            before = dict(json.loads(path.read_text(encoding="utf-8")))
        new = path.with_suffix(".new")
        try:
            new.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
            new.replace(path)
        except OSError as error:
            raise RecipeError(f"{path}: cannot be written ({error.strerror}). Check the disk") from error
        return [
            f"recipe {key}: its file was replaced, {before[key][:16]} before and {digest[:16]} now"
            for key, digest in now.items()
            if before.get(key, digest) != digest
        ]
