"""Recipes of a store at work for people's own pictures: a few open at a time, a few pictures at a time."""

from __future__ import annotations

import base64
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from sightline.core.errors import BusyError, InputError
from sightline.core.files import cache_folder
from sightline.runtime.drawing import heat_bytes, scale_of
from sightline.store.store import Store

if TYPE_CHECKING:
    from sightline.runtime.inspection import Inspection
    from sightline.runtime.inspector import Inspector

MAX_WAITING = 8  # pictures that wait for their turn
PATIENCE_S = 30.0
QUALITY = 85  # of the JPEG
LARGEST_SIDE = 1600  # px of a picture that is sent back
HEATS_BYTES = 32_000_000  # of heat maps that are remembered: a few thousand of them


class Judges:
    """Inspectors by the hash of their recipe, the least used of which is closed when there are too many."""

    def __init__(self, store: Store, most: int, at_once: int, threads: int) -> None:
        self._store, self._most, self._threads = store, most, threads
        self._open: OrderedDict[str, Inspector] = OrderedDict()
        self._heats: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock, self._waiting = threading.Lock(), 0
        self._turns = threading.BoundedSemaphore(at_once)

    def inspect(self, recipe: str, image: bytes, pictures: bool = False) -> dict[str, Any]:
        """What a recipe of the store says of an encoded image, as plain JSON values.

        With `pictures`, `overlay` is the image with heat and outlines, as a data URI of a JPEG. Raises InputError for
        an image that cannot be read, NotFoundError for a recipe that is not there, BusyError where too many wait.
        """
        if not image:
            raise InputError("no image was sent. Send the bytes of an image file as the body")
        with self.using(recipe) as inspector:
            result = inspector.inspect(image)
        told = result.to_json() | {"recipe": inspector.digest, "image": None}
        return {**told, "overlay": _overlay(result)} if pictures else told

    def heat(self, recipe: str, image: str) -> bytes:
        """The heat that a recipe, by its hash, sees in an image of the store: an 8-bit PNG, a pixel for each cell, 128
        where outlines begin.

        The last ones are remembered. Raises as `inspect`, and StoreError where the image is not there.
        """
        key = recipe, image
        with self._lock:
            if key in self._heats:
                self._heats.move_to_end(key)
                return self._heats[key]
        data = self._store.images.read(image)
        with self.using(recipe) as inspector:
            heat = inspector.inspect(data).heat
        cells = heat_bytes(heat, scale_of(inspector.card))
        png = cv2.imencode(".png", cells)[1].tobytes()
        with self._lock:
            self._heats[key] = png
            while sum(map(len, self._heats.values())) > HEATS_BYTES:
                self._heats.popitem(last=False)
        return png

    @contextmanager
    def using(self, recipe: str) -> Iterator[Inspector]:
        """An inspector of the store's recipe, in one's turn. Raises BusyError, NotFoundError."""
        with self._turn():
            yield self._inspector(recipe)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """A place among those who inspect at the same time. Raises BusyError where too many wait."""
        with self._lock:
            if self._waiting >= MAX_WAITING:
                raise BusyError(f"{self._waiting} pictures are already waiting. Try again in a few seconds", 3.0)
            self._waiting += 1
        try:
            if not self._turns.acquire(timeout=PATIENCE_S):
                raise BusyError("the pictures ahead of this one take too long. Try again in a few seconds", 5.0)
        finally:
            with self._lock:
                self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    def _inspector(self, recipe: str) -> Inspector:
        from sightline.runtime.inspector import Inspector

        digest = self._store.recipes.find(recipe).hash
        with self._lock:
            if digest in self._open:
                self._open.move_to_end(digest)
                return self._open[digest]
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as desk:
            file = Path(desk) / f"{digest}.onnx"
            file.write_bytes(self._store.recipes.file(digest))
            opened = Inspector(file, self._threads)  # which reads the file as one of strangers
        with self._lock:
            self._open[digest] = opened
            while len(self._open) > self._most:
                self._open.popitem(last=False)
        return opened


def _overlay(result: Inspection) -> str:
    picture = result.overlay().image
    shrink = min(1.0, LARGEST_SIDE / max(picture.shape[:2]))
    if shrink < 1:
        sides = max(1, round(picture.shape[1] * shrink)), max(1, round(picture.shape[0] * shrink))
        picture = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA).astype(np.uint8)
    data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
