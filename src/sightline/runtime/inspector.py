"""The inspector: a recipe at work. Image in, result out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Card, Tiles
from sightline.core.errors import RecipeError
from sightline.core.result import Box, Defect, Verdict
from sightline.imaging.image import Image, Source, read_image
from sightline.runtime.adaptation import Adaptation
from sightline.runtime.alignment import Aligned, Golden, align, heat_back, unmoved
from sightline.runtime.appearance import Appearance, Reference, look, measure
from sightline.runtime.engine_choice import EngineSetting, open_engine
from sightline.runtime.inspection import Inspection, find_defects
from sightline.runtime.letterbox import Letterbox, fit_letterbox, heat_to_image, prepare
from sightline.runtime.recipe import Recipe, parse_card, read_recipe
from sightline.runtime.recognition import Predictions, back, decide, name_defects, read_boxes, read_predictions
from sightline.runtime.session import Precision
from sightline.runtime.signature import Release, verify
from sightline.runtime.tiling import Reading, at_once, cut, lay_tiles, onto_canvas, read_tiles

ODD_COUNT = 1.5  # times more, or fewer, tiles than any training image had are worth a warning
ODD_BORDER = 0.15  # more border than any training image had, by this share of the input, is worth a warning
ODD_ASPECT = 1.25  # times narrower or wider than any training image is worth a warning, where images are stretched
NEEDED_OUTPUTS = frozenset(("score", "p_value", "heatmap", "embedding", "ood"))


class Inspector:
    """Judges images with one recipe; safe to share between threads.

    `recipe` is a path or a Recipe; `threads` the processor threads that one inspection may use; `engine` what runs
    the graph, and `precision` what it computes in (docs/how-to/faster.md). With a `public_key` (PEM file), a recipe
    that it has not signed is refused, as is one that is no `release` for this place.
    Raises RecipeError for a file that is not a usable recipe, SettingError for an engine or precision that is not to
    be had here, MissingExtraError where the engine is not installed. `digest` is the SHA-256 of what was loaded,
    `engine` what runs it: with "auto", the fastest whose results equal onnxruntime's (`engine_choice`).
    """

    def __init__(
        self,
        recipe: str | Path | Recipe,
        threads: int = 2,
        engine: EngineSetting = "onnxruntime",
        precision: Precision = "f32",
        public_key: str | Path | None = None,
        release: Release | None = None,
    ) -> None:
        name = "recipe" if isinstance(recipe, Recipe) else str(recipe)
        data = recipe.data if isinstance(recipe, Recipe) else read_recipe(recipe, public_key)
        if isinstance(recipe, Recipe) and public_key is not None:
            verify(data, Path(public_key), name)
        self.digest = hashlib.sha256(data).hexdigest()
        self._session, self.engine = open_engine(data, threads, engine, precision, name)
        self.card: Card = parse_card(self._session.metadata, name)
        if release is not None:
            release.check(self.card, data, name)
        size = (self.card.height, self.card.width)
        kind, shape = self._session.inputs.get("image", ("", ()))
        if kind != "tensor(uint8)" or shape[1:] != (*size, 3):
            raise RecipeError(f"{name}: the graph does not take the uint8 images of its card. Train it again")
        missing = _promised(self.card) - set(self._session.outputs)
        if missing:
            raise RecipeError(
                f"{name}: the graph lacks the outputs {sorted(missing)} that its card promises. Train it again"
            )
        self._size = size
        # An export may take a fixed number of images at a time; a recipe takes any.
        self._at_most = shape[0] if isinstance(shape[0], int) else None
        self._golden = None if self.card.golden is None else Golden.of(self.card.golden)
        self._usual = None if self.card.appearance is None else Reference.of(self.card.appearance.picture)
        self._adaptation: Adaptation | None = None

    def adapt(self, adaptation: Adaptation | None) -> None:
        """Inspect with what was learned since the recipe was made, from the next image on; None: with the recipe alone.

        Raises RecipeError where it belongs to another recipe, or does not fit into this one's graph; then nothing
        changes.
        """
        if adaptation is not None:
            if adaptation.recipe != self.digest:
                raise RecipeError(
                    f"the adaptation is of recipe {adaptation.recipe[:12]}, not of {self.digest[:12]}. Learn it again"
                )
            try:
                self._session.run({"image": np.zeros((1, *self._size, 3), np.uint8), **adaptation.banks})
            except Exception as error:  # whatever the engine says of a bank that does not fit
                raise RecipeError(f"the adaptation does not fit into the recipe's graph ({error})") from error
        self._adaptation = adaptation

    def warm_up(self) -> None:
        """Run one black image, so that the first part does not pay for memory and thread start."""
        self._session.run({"image": np.zeros((1, *self._size, 3), np.uint8)})

    def inspect(self, source: Source) -> Inspection:
        """Judge one image: a path, encoded bytes, a PIL image or an array (RGB).

        Raises InputError where there is nothing to judge; there is no verdict without an inspected image.
        """
        return self._inspect_batch([source])[0]

    def inspect_many(self, sources: Iterable[Source], batch: int = 8) -> Iterator[Inspection]:
        """Judge images in order, `batch` at a time. Raises InputError at the first that cannot be read.

        A recipe with tiles takes one image at a time, whatever `batch` says: several large ones fill the memory.
        """
        group: list[Source] = []
        for source in sources:
            group.append(source)
            if len(group) == min(batch, self._at_most or batch) or self.card.tiles is not None:
                yield from self._inspect_batch(group)
                group = []
        if group:
            yield from self._inspect_batch(group)

    def inputs(self, source: Source) -> NDArray[np.uint8]:
        """What the graph sees of an image, (N, height, width, 3) uint8 RGB: the whole of it, or its tiles.

        Raises InputError as `inspect`.
        """
        image = self._pose(read_image(source, self.card.full_scale)[0]).image
        card = self.card
        if card.tiles is not None:
            tiling = lay_tiles(image.shape[:2], self._size, card.tiles.overlap_px, card.roi, card.scale)
            return cut(onto_canvas(image, tiling), tiling, range(len(tiling)))
        return prepare(image, self._placed(image))[None]

    def _inspect_batch(self, sources: list[Source]) -> list[Inspection]:
        if self.card.tiles is not None:
            return [self._inspect_tiles(source, self.card.tiles) for source in sources]
        start = time.perf_counter()
        decoded = [read_image(source, self.card.full_scale) for source in sources]
        after_decode = time.perf_counter()
        poses = [self._pose(image) for image, _ in decoded]
        placed = [self._placed(pose.image) for pose in poses]
        adaptation = self._adaptation
        camera = inputs = [prepare(pose.image, p) for pose, p in zip(poses, placed, strict=True)]
        if adaptation is not None and adaptation.changes_light:
            inputs = [adaptation.apply_light(image, p.inner) for image, p in zip(camera, placed, strict=True)]
        batch = np.stack(inputs)
        after_prepare = time.perf_counter()
        outputs = self._session.run({"image": batch, **({} if adaptation is None else adaptation.banks)})
        times = _times(start, after_decode, after_prepare, time.perf_counter(), len(sources))
        predictions = [read_predictions(outputs, i, self.card) for i in range(len(sources))]
        return [
            self._result(
                _reading(outputs, i, placed[i]),
                decoded[i],
                poses[i],
                placed[i],
                _name(sources[i]),
                times,
                measure(look(camera[i], placed[i].inner), self._usual),
                adaptation,
                predictions[i],
            )
            for i in range(len(sources))
        ]

    def _inspect_tiles(self, source: Source, tiles: Tiles) -> Inspection:
        start = time.perf_counter()
        image, notes = read_image(source, self.card.full_scale)
        after_decode = time.perf_counter()
        pose = self._pose(image)
        tiling = lay_tiles(image.shape[:2], self._size, tiles.overlap_px, self.card.roi, self.card.scale)
        canvas = onto_canvas(pose.image, tiling)
        adaptation, camera = self._adaptation, canvas
        if adaptation is not None and adaptation.changes_light:
            canvas = adaptation.apply_light(canvas, tiling.whole.inner)
        banks = {} if adaptation is None else adaptation.banks
        after_prepare = time.perf_counter()
        together = self._at_most or at_once(self._size, self.card.bank)
        reading = read_tiles(lambda batch: self._session.run({"image": batch, **banks}), canvas, tiling, together)
        times = _times(start, after_decode, after_prepare, time.perf_counter(), 1)
        decoded = image, notes + _odd_count(len(tiling), tiles, tiling.whole)
        seen = measure(look(camera, tiling.whole.inner), self._usual)
        return self._result(reading, decoded, pose, tiling.whole, _name(source), times, seen, adaptation)

    def _placed(self, image: Image) -> Letterbox:
        card = self.card
        return fit_letterbox(image.shape[:2], self._size, card.roi, card.scale, card.stretch is not None)

    def _pose(self, image: Image) -> Aligned:
        """The image as the graph sees it: aligned where the recipe has a golden part."""
        return unmoved(image) if self._golden is None else align(image, self._golden)

    def _result(
        self,
        reading: Reading,
        decoded: tuple[Image, tuple[str, ...]],
        pose: Aligned,
        letterbox: Letterbox,
        source: str,
        times: dict[str, float],
        appearance: Appearance,
        adaptation: Adaptation | None,
        predictions: Predictions | None = None,
    ) -> Inspection:
        start = time.perf_counter()
        image, warnings = decoded
        verdict, reason = decide(reading.score, reading.distance, predictions, self.card)
        limit = self.card.calibration.heat_threshold
        heat = heat_back(reading.heat, pose)
        defects = () if verdict is Verdict.OK else self._defects(reading.score, heat, pose, letterbox, predictions)
        regions_ms = (time.perf_counter() - start) * 1e3
        times = {**times, "regions": regions_ms, "total": sum(times.values()) + regions_ms}
        return Inspection(
            verdict=verdict,
            score=reading.score,
            p_value=reading.p_value,
            reason=reason,
            ood_distance=reading.distance,
            defects=defects,
            types={} if predictions is None else predictions.types,
            grade=None if predictions is None else predictions.grade,
            boxes=_boxes(predictions, self.card, letterbox, pose),
            source=source,
            warnings=warnings + pose.notes + _odd_shape(letterbox, self.card),
            times_ms=times,
            image=image,
            heat=heat,
            heat_threshold=limit,
            embedding=reading.embedding,
            appearance=appearance,
            adaptation="" if adaptation is None else adaptation.name,
            defect_share=None
            if predictions is None or not predictions.types
            else _over_image(predictions.shares.sum(0), letterbox, pose),
            class_maps=None
            if predictions is None or not predictions.types
            else partial(_shares_over_image, predictions.shares, letterbox, pose),
        )

    def _defects(
        self,
        score: float,
        heat: NDArray[np.float32],
        pose: Aligned,
        letterbox: Letterbox,
        predictions: Predictions | None,
    ) -> tuple[Defect, ...]:
        """Regions of a part that is not OK, with their types where the recipe knows any."""
        limit, scale = self.card.calibration.heat_threshold, self.card.mm_per_px
        # Without good parts the heat is what is unlike every known part: on a known one it marks nothing.
        default = Verdict.REVIEW if self.card.without_good else Verdict.OK
        strange = self.card.band.decide(score) is not default
        found = find_defects(heat, letterbox.image_size, limit, scale) if strange else ()
        if predictions is not None:
            found = name_defects(
                found,
                predictions,
                lambda share: _over_image(share, letterbox, pose),
                letterbox.image_size,
                scale,
                self.card.exclusive,
            )
        # A person always sees where to look, even where only the part as a whole is said to be defective.
        return found or find_defects(heat, letterbox.image_size, limit, scale)


def _promised(card: Card) -> set[str]:
    """The outputs without which a recipe would be silent where its card says that it speaks."""
    needed = set(NEEDED_OUTPUTS)
    if card.types or card.recognition is not None:
        needed |= {"type_logits", "defect_map"}
    if card.recognition is not None and card.recognition.boxes:
        needed |= {"boxes", "box_scores"}
    return needed | ({"grade"} if card.grades else set())


def _boxes(predictions: Predictions | None, card: Card, letterbox: Letterbox, pose: Aligned) -> tuple[Box, ...]:
    """Boxes of known types on the image that came; of a turned part, the upright ones around them."""
    if predictions is None or predictions.boxes is None:
        return ()
    scores, corners = predictions.boxes
    # A type that was taught later has no boxes yet.
    return back(read_boxes(scores, corners, card.types[: len(scores)], letterbox), pose.warp)


def _over_image(share: NDArray[np.float32], letterbox: Letterbox, pose: Aligned) -> NDArray[np.float32]:
    """A map over the recipe's input (h, w) -> over the image that came."""
    return heat_back(heat_to_image(share, letterbox), pose)


def _shares_over_image(shares: NDArray[np.float32], letterbox: Letterbox, pose: Aligned) -> NDArray[np.float32]:
    """Class shares (K, h, w) over the recipe's input -> over the image that came."""
    return np.stack([_over_image(share, letterbox, pose) for share in shares])


def _reading(outputs: dict[str, NDArray[Any]], index: int, letterbox: Letterbox) -> Reading:
    score, p_value = float(outputs["score"][index]), float(outputs["p_value"][index])
    distance = float(np.linalg.norm(outputs["ood"][index]))
    heat = heat_to_image(outputs["heatmap"][index], letterbox)
    return Reading(score, p_value, heat, outputs["embedding"][index], distance)


def _times(start: float, decoded: float, prepared: float, inferred: float, count: int) -> dict[str, float]:
    """Milliseconds per image of each stage, from the moments at which the stages ended."""
    spans = {"decode": decoded - start, "prepare": prepared - decoded, "infer": inferred - prepared}
    return {stage: seconds * 1e3 / count for stage, seconds in spans.items()}


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | Path) else ""


def _odd_shape(letterbox: Letterbox, card: Card) -> tuple[str, ...]:
    high, wide = letterbox.image_size
    if card.stretch is not None and not card.stretch[0] / ODD_ASPECT <= wide / high <= card.stretch[1] * ODD_ASPECT:
        return (
            f"the image's shape ({wide} x {high} px) is far from those of the training, so it was stretched as none of "
            "them was. Check the camera, or train a recipe for this view",
        )
    if letterbox.padded <= card.border + ODD_BORDER:
        return ()
    return (
        f"the image's shape ({wide} x {high} px) is far from the recipe's: {letterbox.padded:.0%} of the input is "
        "border. Check the camera, or train a recipe for this view",
    )


def _odd_count(count: int, tiles: Tiles, whole: Letterbox) -> tuple[str, ...]:
    """The highest of many tiles scores higher than that of few: far from the calibration, its rates do not hold."""
    if tiles.least / ODD_COUNT <= count <= tiles.most * ODD_COUNT:
        return ()
    high, wide = whole.image_size
    trained = f"{tiles.least}" if tiles.least == tiles.most else f"{tiles.least} to {tiles.most}"
    return (
        f"the image ({wide} x {high} px) makes {count} tile{'s' * (count != 1)}, those of the training made {trained}, "
        "so the stated rates do not hold for it. Check the camera, or train a recipe for this view",
    )
