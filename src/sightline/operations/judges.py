"""Recipes of a store at work for pictures that are sent: a few open at a time, pictures of all callers in batches."""

from __future__ import annotations

import base64
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from sightline.core.errors import BusyError, InputError, LateError, SightlineError
from sightline.core.files import cache_folder
from sightline.imaging.image import Image, read_image
from sightline.operations.batching import Batcher, Limits
from sightline.runtime.drawing import heat_bytes, scale_of
from sightline.store.store import Store

if TYPE_CHECKING:
    from sightline.runtime.inspection import Inspection
    from sightline.runtime.inspector import Inspector

PATIENCE_S = 30.0  # where no deadline is given
GRACE_S = 0.2  # beyond the deadline, for the answer that says so
QUALITY = 85  # of the JPEG
LARGEST_SIDE = 1600  # px of a picture that is sent back
HEATS_BYTES = 32_000_000  # of heat maps that are remembered: a few thousand of them


class Judges:
    """Inspectors by the hash of their recipe, the least used of which is closed when there are too many.

    `at_once` batches run at the same time, of different recipes.
    """

    def __init__(self, store: Store, most: int, at_once: int, threads: int, limits: Limits | None = None) -> None:
        self._store, self._most, self._threads, self._limits = store, most, threads, limits
        self._open: OrderedDict[str, tuple[Inspector, Batcher]] = OrderedDict()
        self._heats: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(at_once)

    def inspect(
        self, recipe: str, image: bytes, pictures: bool = False, deadline_s: float | None = None,
        came: float | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """What a recipe of the store says of an encoded image, as plain JSON values.

        With `pictures`, `overlay` is the image with heat and outlines, as a data URI of a JPEG. Raises InputError for
        an image that cannot be read, NotFoundError for a recipe that is not there, BusyError where too many wait, and
        LateError where there is no verdict within `deadline_s` since it `came`, a `time.monotonic`, by default now.
        """
        if not image:
            raise InputError("no image was sent. Send the bytes of an image file as the body")
        end = _end(came, deadline_s)
        result, digest = self._judged(recipe, image, end)
        told = _told(result, digest)
        return {**told, "overlay": _overlay(result)} if pictures else told

    def inspect_many(
        self, recipe: str, images: Sequence[bytes], deadline_s: float | None = None, came: float | None = None
    ) -> list[dict[str, Any] | SightlineError]:
        """The same of several images, in order. One that is damaged, late or too many is refused by itself: its error
        stands in its place. Raises NotFoundError for a recipe that is not there.
        """
        end = _end(came, deadline_s)
        inspector, batcher = self._opened(recipe)
        asked: list[tuple[Future[Inspection], tuple[str, ...]] | SightlineError] = []
        for image in images:
            try:
                asked.append(_submit(inspector, batcher, image, end))
            except SightlineError as error:
                asked.append(error)
        found: list[dict[str, Any] | SightlineError] = []
        for one in asked:
            try:
                found.append(one if isinstance(one, SightlineError) else _told(_wait(*one, end), inspector.digest))
            except SightlineError as error:
                found.append(error)
        return found

    @contextmanager
    def using(self, recipe: str) -> Iterator[Inspector]:
        """An inspector of the store's recipe, in one's turn. Raises BusyError, NotFoundError."""
        inspector, _ = self._opened(recipe)
        if not self._turns.acquire(timeout=PATIENCE_S):
            raise BusyError("the pictures ahead of this one take too long. Try again in a few seconds", 5.0)
        try:
            yield inspector
        finally:
            self._turns.release()

    def _judged(self, recipe: str, image: bytes, end: float) -> tuple[Inspection, str]:
        inspector, batcher = self._opened(recipe)
        return _wait(*_submit(inspector, batcher, image, end), end), inspector.digest

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
        inspector, batcher = self._opened(recipe)
        end = time.monotonic() + PATIENCE_S
        heat = _wait(*_submit(inspector, batcher, data, end), end).heat
        cells = heat_bytes(heat, scale_of(inspector.card))
        png = cv2.imencode(".png", cells)[1].tobytes()
        with self._lock:
            self._heats[key] = png
            while sum(map(len, self._heats.values())) > HEATS_BYTES:
                self._heats.popitem(last=False)
        return png

    def _opened(self, recipe: str) -> tuple[Inspector, Batcher]:
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
            inspector = Inspector(file, self._threads)  # which reads the file as one of strangers
        inspector.warm_up()  # the first picture is no slower than the others
        with self._lock:
            if digest not in self._open:
                most = 1 if self._limits is None else self._limits.most
                judge = partial(_judge, inspector, most)
                self._open[digest] = inspector, Batcher(judge, self._limits, self._turns)
            opened = self._open[digest]
            closing = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - self._most)]
        for _, batcher in closing:
            batcher.close()
        return opened


def _end(came: float | None, deadline_s: float | None) -> float:
    return (time.monotonic() if came is None else came) + (deadline_s or PATIENCE_S)


def _judge(inspector: Inspector, most: int, images: Sequence[Image]) -> list[Inspection]:
    return list(inspector.inspect_many(images, most))


def _submit(
    inspector: Inspector, batcher: Batcher, image: bytes, end: float
) -> tuple[Future[Inspection], tuple[str, ...]]:
    """The verdict to come of an encoded image, and what was noticed while it was read."""
    pixels, notes = read_image(image, inspector.card.full_scale)
    return batcher.submit(pixels, end), notes


def _wait(answer: Future[Inspection], notes: tuple[str, ...], end: float) -> Inspection:
    try:
        found = answer.result(max(0.0, end - time.monotonic()) + GRACE_S)
    except TimeoutError as error:
        raise LateError("no verdict in time: take the part as not inspected, never as OK. Allow more time") from error
    return replace(found, warnings=notes + found.warnings)


def _told(result: Inspection, digest: str) -> dict[str, Any]:
    return result.to_json() | {"recipe": digest, "image": None}


def _overlay(result: Inspection) -> str:
    picture = result.overlay().image
    shrink = min(1.0, LARGEST_SIDE / max(picture.shape[:2]))
    if shrink < 1:
        sides = max(1, round(picture.shape[1] * shrink)), max(1, round(picture.shape[0] * shrink))
        picture = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA).astype(np.uint8)
    data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
