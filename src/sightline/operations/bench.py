"""The bench: a person shows parts by hand to a device's camera, and a recipe of the store inspects them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sightline.core.card import Card
from sightline.core.errors import ConflictError, InputError, NotFoundError, StoreError
from sightline.core.result import SEVERITY, Verdict
from sightline.imaging.image import Image, read_encoded
from sightline.imaging.png import with_resolution
from sightline.operations.browser_runtime import refusals
from sightline.operations.judges import Judges
from sightline.runtime.handheld import Placement, Presented, State, state_by_looks
from sightline.runtime.inspection import Inspection
from sightline.runtime.marker import Marker, draw_marker
from sightline.store.embeddings import pack
from sightline.store.inspections import Record
from sightline.store.retention import Origin, collect
from sightline.store.store import Store

MOST_PX = 4096  # of a frame's side: what cameras of phones stream
PICTURES = 5  # good parts that tell where in the view a part lies
PLACEMENTS = 16  # of recipes that are remembered
VIEW, SOURCE = "hand", "bench"
WHY = {
    State.NONE: "no part is in view",
    State.SEVERAL: "several parts are in view",
    State.CUT: "the part lies partly outside of the picture",
    State.FAR: "the part is too far away",
    State.DARK: "the picture is too dark",
    State.BRIGHT: "the picture is too bright",
    State.BLURRED: "the picture is not sharp",
    State.TURNED: "the part is turned or tilted",
    State.UNMARKED: "the marker is not in view",
    State.AWAY: "the part does not lie where it was shown beside the marker",
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One part that was shown: `key` names it for good, `station` the bench, `attempt` counts how often it was shown
    (more than once after rework), `seconds` is how long that took. `device` is what judged it on the device itself:
    its verdict and score, None where the server alone judges. `marker` is where the part lies beside a marker.
    """

    key: str
    station: str
    author: str
    recipe: str
    attempt: int = 1
    seconds: float | None = None
    serial: str | None = None
    device: tuple[Verdict, float] | None = None
    triggered: datetime | None = None
    marker: Marker | None = None


def bench_marker(output: Path, number: int = 0, size_mm: float = 40.0) -> dict[str, Any]:
    """Write marker `number` of `size_mm` a side as a PNG that knows its size in print. Raises InputError."""
    if output.suffix.lower() != ".png":
        raise InputError(f"{output}: the marker is written as PNG, which knows its size in print. Use a name with .png")
    output.write_bytes(marker_sheet(number, size_mm))
    return {"marker": str(output), "number": number, "size_mm": size_mm}


def marker_sheet(number: int, size_mm: float) -> bytes:
    """A marker to print: the bytes of a PNG that knows its size in print. Raises InputError."""
    sheet, px_per_mm = draw_marker(number, size_mm)
    return with_resolution(cv2.imencode(".png", sheet)[1].tobytes(), px_per_mm * 1000)


class Bench:
    """Frames of people's cameras, looked at and kept. Safe to share between threads."""

    def __init__(self, store: Store, judges: Judges) -> None:
        self._store, self._judges = store, judges
        self._placements: OrderedDict[str, Placement] = OrderedDict()
        self._lock = threading.Lock()

    def look(self, recipe: str, frame: bytes, marker: Marker | None = None) -> dict[str, Any]:
        """What a recipe says of a frame (an encoded image), as plain JSON values, places in px of the frame.

        `state` is a `runtime.handheld.State`; `verdict` is null unless it is "ready". `marker` is where the part lies
        beside a marker; without one, it is found by its outline. Raises InputError, NotFoundError, BusyError.
        """
        image = _read(frame)
        with self._judges.using(recipe) as inspector:
            presented, result = self._inspect(inspector, image, marker)
        return _told(presented, result) | {"recipe": inspector.digest}

    def learn_marker(self, recipe: str, frame: bytes, size_mm: float) -> Marker:
        """Where the part in a frame lies beside the marker in it, which has `size_mm` a side. Raises InputError,
        NotFoundError.
        """
        return self.placement(recipe)[0].learn(_read(frame), size_mm)

    def keep(self, shown: Shown, frame: bytes) -> dict[str, Any]:
        """Inspect a frame for the record, and keep both; a part whose key is there already is not recorded again.

        The server judges by itself, whatever the device has found; the graver verdict counts. What a recipe that is not
        promoted finds is a trial, and in no figures. Raises InputError, ConflictError where the frame does not count,
        where `station` has parts of its own or `key` names another part, NotFoundError, BusyError, StoreError.
        """
        image = _read(frame)
        self._check_name(shown.station)
        begun = datetime.now(UTC)
        with self._judges.using(shown.recipe) as inspector:
            presented, result = self._inspect(inspector, image, shown.marker)
            digest, product = inspector.digest, inspector.card.product
        if result is None or presented.state is not State.READY:
            raise ConflictError(f"not inspected: {WHY[presented.state]}. Show the part again")
        verdict = result.verdict
        if shown.device is not None and SEVERITY[shown.device[0]] > SEVERITY[verdict]:
            verdict = shown.device[0]
        assert presented.picture is not None
        # What was inspected is kept, without loss: whoever asks for its heat later gets the same.
        png = cv2.imencode(".png", presented.picture[..., ::-1])[1].tobytes()
        picture = self._store.images.put(png, f"part {shown.key}")
        record = Record.of(
            result,
            station=shown.station,
            triggered=shown.triggered or begun,
            captured=begun,
            inferred=datetime.now(UTC),
            product=product,
            serial=shown.serial,
            recipe_hash=digest,
            image_hash=picture.hash,
            key=shown.key,
            details=_details(shown, presented, result, digest) | {"purpose": self._purpose(digest)},
        )
        number = self._store.inspections.record(replace(record, verdict=verdict))
        kept = self._store.inspections.get(number)
        if (kept.station, kept.recipe_hash, kept.image_hash) != (shown.station, digest, picture.hash):
            raise ConflictError(f"the key {shown.key} names another part already. Show the part again")
        origin = Origin(
            product=product,
            name=f"{shown.station}/{shown.key}.png",
            reason="bench",
            verdict=str(verdict),
            station=shown.station,
            serial=shown.serial,
            recipe_hash=digest,
            triggered=record.triggered,
            details={"view": VIEW, "part": shown.key},
        )
        collect(self._store.database, picture, origin)
        self._store.embeddings.keep(shown.key, VIEW, picture.hash, digest, pack(result.embedding))
        return _told(presented, result) | {
            "recipe": digest,
            "verdict": str(kept.verdict),
            "inspection": number,
            "purpose": kept.details["purpose"],
        }

    def _inspect(self, inspector: Any, image: Image, marker: Marker | None) -> tuple[Presented, Inspection | None]:
        presented = self._placement(inspector.digest, inspector.card).present(image, inspector.card, marker)
        if presented.picture is None:
            return presented, None
        result = inspector.inspect(presented.picture)
        if presented.state is State.READY and result.appearance is not None:
            presented = replace(presented, state=state_by_looks(result.appearance, inspector.card))
        return presented, result

    def _check_name(self, station: str) -> None:
        """Nobody writes by hand into a station's record. Its oldest and newest part tell: reading all takes long."""
        with suppress(NotFoundError):
            raise _taken(self._store.stations.get(station).name)
        if any(one.details.get("source") != SOURCE for one in self._store.inspections.ends(station)):
            raise _taken(station)

    def _purpose(self, digest: str) -> str:
        return "production" if self._store.recipes.find(digest).state == "promoted" else "trial"

    def placement(self, recipe: str) -> tuple[Placement, tuple[str, ...]]:
        """How the pictures of a recipe show their part, and what it needs that browsers lack. Raises NotFoundError."""
        found = self._store.recipes.find(recipe)
        card = Card.model_validate(found.card)
        return self._placement(found.hash, card), refusals(card)

    def _placement(self, digest: str, card: Card) -> Placement:
        with self._lock:
            if digest in self._placements:
                self._placements.move_to_end(digest)
                return self._placements[digest]
        made = Placement.of(card, self._good_pictures(digest))
        with self._lock:
            self._placements[digest] = made
            while len(self._placements) > PLACEMENTS:
                self._placements.popitem(last=False)
        return made

    def _good_pictures(self, digest: str) -> list[Image]:
        """A few of the good parts that a recipe has learned from, or of its product as it is now."""
        recipe = self._store.recipes.find(digest)
        good = self._store.catalogue.page(recipe.product, version=recipe.version, label="good", limit=PICTURES)
        pictures = []
        for sample in good:
            with suppress(StoreError, InputError):
                pictures.append(read_encoded(self._store.images.read(sample.hash), sample.name)[0])
        return pictures


def _taken(station: str) -> ConflictError:
    return ConflictError(f"{station} is a station of the line. Give the bench a name of its own")


def _read(frame: bytes) -> Image:
    if not frame:
        raise InputError("no frame was sent. Send the bytes of a JPEG or PNG")
    image = read_encoded(frame, "frame")[0]
    if max(image.shape[:2]) > MOST_PX:
        raise InputError(f"the frame has {image.shape[1]} x {image.shape[0]} px. Send at most {MOST_PX} px a side")
    return image


def _details(shown: Shown, presented: Presented, result: Inspection, digest: str) -> dict[str, Any]:
    found = result.to_json() | {"defects": _in_mm(result, presented)}
    high, wide = result.image.shape[:2]
    seen = {name: found[name] for name in ("verdict", "score", "p_value", "defects", "warnings", "reason", "times_ms")}
    view = {"view": VIEW, "recipe_hash": digest, "size": [wide, high], "ood_distance": found["ood_distance"], **seen}
    if presented.lock is not None:
        view |= {"marker": str(shown.marker), "mm_per_px": round(presented.lock.mm_per_px, 6)}
    device = None if shown.device is None else {"verdict": str(shown.device[0]), "score": shown.device[1]}
    return {
        "source": SOURCE,
        "inspected_by": shown.author,
        "attempt": shown.attempt,
        "seconds": shown.seconds,
        "device": device,
        "views": [view],
    }


def _in_mm(result: Inspection, presented: Presented) -> list[dict[str, Any]]:
    """The defects as plain JSON values; by a marker, with their area and the sides of their box in mm."""
    plain = [one.to_json() for one in result.defects]
    if presented.lock is None:
        return plain
    scale = presented.lock.mm_per_px
    for one in plain:
        sides = [round(side * scale, 2) for side in one["box"][2:]]
        one |= {"area_mm2": round(one["area_px"] * scale**2, 4), "size_mm": sides}
    return plain


def _told(presented: Presented, result: Inspection | None) -> dict[str, Any]:
    high, wide = presented.size
    lock = presented.lock
    marker = None if lock is None else {
        "corners": lock.corners.round(1).tolist(), "onto_frame": lock.onto_frame.tolist(), "mm_per_px": lock.mm_per_px
    }  # fmt: skip
    told: dict[str, Any] = {
        "state": str(presented.state),
        "size": [wide, high],
        "parts": [{"outline": part.contour.tolist(), "box": list(part.box)} for part in presented.parts],
        "view": presented.view,
        "marker": marker,
        **dict.fromkeys(("verdict", "score", "p_value")),
        **{"reason": "", "defects": []},
    }
    if result is None:
        return told
    found = result.to_json()
    ready = presented.state is State.READY
    defects = []
    for defect, plain in zip(result.defects, _in_mm(result, presented), strict=True):
        x, y, w, h = defect.box
        corners = presented.onto_frame(np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)]))
        outline = np.rint(presented.onto_frame(defect.contour)).astype(int).tolist()
        box = [round(value) for value in (*corners.min(axis=0), *np.ptp(corners, axis=0))]
        defects.append({**plain, "contour": outline, "box": box})
    return told | {
        "verdict": str(result.verdict) if ready else None,
        "score": found["score"],
        "p_value": found["p_value"],
        "reason": result.reason,
        "warnings": found["warnings"],
        "times_ms": found["times_ms"],
        "defects": defects,
    }
