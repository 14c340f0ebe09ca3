"""From a dataset to a recipe."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.core.card import Card, Provenance
from sightline.core.errors import InputError
from sightline.core.sample import TRAIN, Sample
from sightline.evaluate.calibration import Targets, calibrate
from sightline.models.memory import MemoryReader
from sightline.runtime.recipe import Recipe
from sightline.train.graph import recipe_model, with_card
from sightline.train.intake import Intake, Part, accept, choose_size, image_shapes
from sightline.train.parity import IMAGES, TOLERANCE, check_parity
from sightline.train.reader import HeldOut, Progress, check_enough, fit_reader
from sightline.train.settings import TrainSettings
from sightline.train.trunk import Trunk, open_trunk

MIN_UNITS = 5  # with fewer groups, one group is too much of the bank to hold out


def train(
    samples: Iterable[Sample],
    settings: TrainSettings | None = None,
    *,
    progress: Progress | None = None,
    **options: object,
) -> Recipe:
    """Learn a recipe from the training part of a dataset (good parts are enough, at least 5).

    Settings are given as one object or by name, for instance `effort="quick"`; `progress(stage, done, of)` is
    called as the work goes on.
    Labelled defective parts of the training part set the thresholds. Test samples are never read. Files that
    cannot be used are left out with a warning. Raises InputError where too little is left, RecipeError where
    the parity gate fails.
    """
    if settings is not None and options:
        raise InputError(f"settings are given as an object and by name ({', '.join(options)}). Give one of the two")
    settings = settings or TrainSettings.parse(options)
    progress = progress or (lambda stage, done, of: None)
    torch.set_num_threads(settings.threads)
    name = str(getattr(samples, "name", "product"))
    usable = [sample for sample in samples if sample.split in (TRAIN, None)]
    good, by_unit = _good_parts(usable)
    shapes = image_shapes(good, np.random.default_rng(settings.seed))
    size = choose_size(shapes, settings.area_px, settings.roi, capped=settings.side_px is None)
    trunk = open_trunk(settings.backbone, settings.threads)
    intake = Intake(good, size, settings.roi)
    reader, held_out = fit_reader(trunk, intake, settings, progress)
    defects = Intake(accept([s for s in usable if s.defective], by_unit=False), size, settings.roi)
    defect_scores = _scores(trunk, defects, reader, progress)
    progress("exporting", 0, 1)
    card = _card(name, settings, reader, held_out, defect_scores, intake, defects, by_unit)
    return _export(reader, card, held_out, intake, defects)


def _card(
    name: str,
    settings: TrainSettings,
    reader: MemoryReader,
    held_out: HeldOut,
    defect_scores: NDArray[np.float64],
    intake: Intake,
    defects: Intake,
    by_unit: bool,
) -> Card:
    targets = Targets(settings.overkill_target, settings.escape_target, settings.review_target)
    # The exported graph may score a known defect lower by this much: it must not slip under its own threshold.
    sure = defect_scores - TOLERANCE * np.maximum(1.0, np.abs(defect_scores))
    band, calibration = calibrate(held_out.scores, sure, held_out.peaks, targets, by_unit)
    parts = [*intake.parts, *defects.parts]
    return Card(
        product=settings.product or name,
        backbone=settings.backbone,
        width=intake.size.width,
        height=intake.size.height,
        scale=intake.size.scale,
        border=intake.border,
        bank=max(len(level.bank) for level in reader.levels.values()),
        band=band,
        calibration=calibration,
        mm_per_px=settings.mm_per_px,
        roi=settings.roi,
        trained_on=tuple(sorted(part.hash for part in parts)),
        provenance=_provenance(parts, settings),
    )


def _good_parts(samples: Sequence[Sample]) -> tuple[list[Part], bool]:
    good = [sample for sample in samples if sample.defective is False]
    if not good:
        raise InputError(
            "the training part has no good parts. Put photos of good parts into a folder named 'good', "
            "or label them 'good' in the table"
        )
    units = {sample.group or sample.lot for sample in good}
    by_unit = None not in units and len(units) >= MIN_UNITS
    parts = accept(good, by_unit)
    check_enough(parts)
    return parts, by_unit


@torch.inference_mode()
def _scores(trunk: Trunk, intake: Intake, reader: MemoryReader, progress: Progress) -> NDArray[np.float64]:
    scores = []
    parts = list(intake.parts)
    for index, part in enumerate(parts):
        progress("scoring known defects", index, len(parts))
        prepared = intake(part)
        if prepared is not None:
            scores.append(float(reader(trunk(prepared[0][None]))[1]))
    return np.array(scores, np.float64)


def _provenance(parts: Sequence[Part], settings: TrainSettings) -> Provenance:
    packages = ("numpy", "onnx", "onnxruntime", "opencv-python-headless", "sightline", "torch")
    values = {
        key: value if isinstance(value, str | int | float | bool) or value is None else str(value)
        for key, value in settings.model_dump().items()
    }
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        dataset=hashlib.sha256("".join(sorted(part.hash for part in parts)).encode()).hexdigest()[:16],
        settings=values,
        seed=settings.seed,
        versions={"python": platform.python_version()} | {package: version(package) for package in packages},
    )


def _export(reader: MemoryReader, card: Card, held_out: HeldOut, intake: Intake, defects: Intake) -> Recipe:
    model = recipe_model(card.backbone, reader, held_out.scores.astype(np.float32), (card.height, card.width))
    # Good parts spread over the held-out scores, and known defects: the gate sees the whole range of scores.
    ranks = np.linspace(0, len(held_out.parts) - 1, min(IMAGES, len(held_out.parts))).astype(int)
    chosen = [(intake, held_out.parts[i]) for i in np.argsort(held_out.scores)[ranks]]
    chosen += [(defects, part) for part in defects.parts[:: max(1, len(defects.parts) // IMAGES)][:IMAGES]]
    images = (prepared[0] for source, part in chosen if (prepared := source(part)) is not None)
    parity = check_parity(model.SerializeToString(), card.backbone, reader, images, card.band)
    final = card.model_copy(update={"parity": parity})
    return Recipe(with_card(model, final), final)
