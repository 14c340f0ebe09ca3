"""A station that sends to a site: its real journal and forwarder, without camera and machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightline.line.forwarding import Forwarder
from sightline.line.journal import Journal, Ledger, open_store
from sightline.line.settings import StationSettings
from sightline.operations import fleet
from sightline.store.store import Store

HASH = "a" * 64


def settings_of(folder: Path, url: str, token: str, name: str = "desk", **site: Any) -> StationSettings:
    """A station's settings with a site; `site` are more settings of that."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text(token)
    site = {"every_s": 0.1, "backoff": {"first_ms": 50, "longest_ms": 200}, **site}
    return StationSettings.model_validate({
        "name": name, "folder": folder, "controller": {"kind": "fake"},
        "views": [{"name": "top", "camera": {"kind": "fake"}}],
        "recipes": [{"name": "plates", "id": 1, "file": "plates.onnx"}],
        "site": {"url": url, "token": {"file": folder / "token"}, **site},
    })  # fmt: skip


def part(
    number: int, verdict: str = "OK", name: str = "desk", hash: str = HASH, at: float | None = None
) -> dict[str, Any]:
    """The journal's entry of a part, as `sightline.line.recorder` has it."""
    at = time.time() if at is None else at
    return {
        "kind": "part", "key": f"{name}-{number}", "station": name, "line": "line-1", "product": "plates", "lot": None,
        "serial": f"S{number:07}", "triggered": at, "captured": at + 0.01, "verdict": verdict, "score": 0.5,
        "p_value": 0.2, "types": {}, "grade": None, "recipe_hash": hash, "inferred": at + 0.03, "signalled": at + 0.04,
        "late": False, "error": None, "shadow": False,
        "details": {"recipe": "plates", "mode": "production", "purpose": "production", "source": "", "frames": [number],
                    "stages_ms": {"grab": 10.123, "inspect": 20.456, "record": 0.2, "signal": 0.1, "total": 31.2},
                    "views": [{"view": "top", "verdict": verdict, "score": 0.5, "p_value": 0.2, "recipe_hash": hash,
                               "defects": [], "times_ms": {"decode": 1.0, "run": 19.0}, "warnings": [], "reason": "",
                               "ood_distance": 0.4, "size": [640, 480], "appearance": {"light": 0.1, "focus": 0.2}}]},
    }  # fmt: skip


class Box:
    """A station's computer: what it records, and what goes to the site."""

    def __init__(self, settings: StationSettings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings)
        assert settings.site is not None
        size = int(settings.site.most_mb * 1e6)
        self.journal = Journal(settings.folder / "journal.db", self.ledger.write, site_bytes=size)
        self.forwarder = Forwarder(settings, self.journal, lambda: open_store(settings))

    def record(self, numbers: range, **more: Any) -> None:
        """Parts of these numbers."""
        for number in numbers:
            self.journal.append(part(number, name=self.settings.name, **more))

    def close(self) -> None:
        self.forwarder.close()
        self.journal.close(0.2)
        self.ledger.close()


@contextmanager
def box(settings: StationSettings) -> Iterator[Box]:
    one = Box(settings)
    try:
        yield one
    finally:
        one.close()


def join(store: Store, name: str = "desk") -> str:
    """A token for a station."""
    return str(fleet.token(store, name)["token"])


def until(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
