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
from onnx import numpy_helper

from sightline.core.card import Card, Provenance, Tiles
from sightline.core.errors import InputError
from sightline.core.sample import TRAIN, Sample
from sightline.evaluate.calibration import Targets, calibrate
from sightline.models.backbone import backbone
from sightline.models.memory import MemoryReader
from sightline.runtime.recipe import Recipe
from sightline.train.graph import recipe_model, with_card
from sightline.train.intake import InputSize, Intake, Part, accept, warn
from sightline.train.parity import IMAGES, TOLERANCE, check_parity
from sightline.train.patches import Maps, Progress, check_enough
from sightline.train.plans import Plan, offer_plans
from sightline.train.reader import Fitted, HeldOut, fit_reader, part_score
from sightline.train.recognition import Learned, learn_known
from sightline.train.settings import TrainSettings
from sightline.train.trunk import Trunk, open_trunk, trunk_onnx

GATED_TILES = 2  # of a part, that the parity gate sees
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
    good, known, by_unit = _parts(usable)
    plans, reasons = offer_plans(good, settings)
    plan, fitted, intake, trunk, int8 = _fit_best(good, plans, settings, progress)
    for suspect in fitted.suspects:
        done = "left out" if settings.suspects == "leave out" else "a suspect"
        warn(f"{done}: {suspect.part.sample.path} looks like no other good part: {suspect.spreads:.1f} robust "
             "spreads above the median. Is it good? Remove it if it is not")  # fmt: skip
    defects = Intake(known, plan.size, settings.roi, plan.golden)
    defect_scores = _scores(trunk, defects, fitted.reader, progress)
    learned = learn_known(trunk, backbone(settings.backbone), (intake, defects), settings, progress, by_unit)
    progress("exporting", 0, 1)
    card = _card(name, settings, fitted, defect_scores, intake, defects, by_unit)
    golden = None if plan.golden is None else plan.golden.card()
    reasons |= {} if learned is None else learned.reasons
    card = card.model_copy(update={"golden": golden, "choices": reasons | card.choices} | _words(learned))
    return _export(fitted.reader, card, fitted.held_out, intake, defects, int8, learned)


def _words(learned: Learned | None) -> dict[str, object]:
    """What the card says of known types and grades."""
    if learned is None:
        return {}
    return {"types": learned.words.types, "grades": learned.words.grades, "recognition": learned.card}


def _fit_best(
    good: list[Part], plans: Sequence[Plan], settings: TrainSettings, progress: Progress
) -> tuple[Plan, Fitted, Intake, Trunk, bytes | None]:
    """Fit every plan; the first stays unless another tells synthetic defects better by its lead."""
    best = None
    merits: dict[str, float] = {}
    told: set[str] = set()
    for plan in plans:
        intake = Intake(good, plan.size, settings.roi, plan.golden, told)
        int8 = _int8(settings, intake, progress)
        trunk = open_trunk(settings.backbone, settings.threads, int8)
        fitted = fit_reader(Maps(trunk, backbone(settings.backbone)), intake, settings, progress)
        merits[plan.name] = fitted.merit
        if best is None or fitted.merit > best[1].merit + best[0].lead:
            best = plan, fitted, intake, trunk, int8
    assert best is not None
    others = ", ".join(f"{name} {merit:.3f}" for name, merit in merits.items() if name != best[0].name)
    why = f"{best[0].name}, {_why_size(best[0].size)}"
    why += f"; AUROC and AUPRO on synthetic defects {best[1].merit:.3f}, {others}" if others else ""
    best[1].reasons["input"] = why
    return best


def _int8(settings: TrainSettings, intake: Intake, progress: Progress) -> bytes | None:
    if settings.precision != "int8":
        return None
    from sightline.train.quantise import int8_trunk  # most trainings need no quantiser

    progress("quantising the trunk", 0, 1)
    return int8_trunk(settings, intake)


def _card(
    name: str,
    settings: TrainSettings,
    fitted: Fitted,
    defect_scores: NDArray[np.float64],
    intake: Intake,
    defects: Intake,
    by_unit: bool,
) -> Card:
    targets = Targets(settings.overkill_target, settings.escape_target, settings.review_target)
    # The exported graph may score a known defect lower by this much: it must not slip under its own threshold.
    sure = defect_scores - TOLERANCE * np.maximum(1.0, np.abs(defect_scores))
    held_out = fitted.held_out
    band, calibration = calibrate(held_out.scores, sure, held_out.peaks, targets, by_unit)
    parts = [*intake.parts, *defects.parts]
    return Card(
        product=settings.product or name,
        backbone=settings.backbone,
        width=intake.size.width,
        height=intake.size.height,
        scale=intake.size.scale,
        tiles=_tiles(intake),
        stretch=intake.aspects if intake.size.stretch else None,
        border=intake.border,
        bank=max(len(level.bank) for level in fitted.reader.levels.values()),
        band=band,
        calibration=calibration,
        mm_per_px=settings.mm_per_px,
        roi=settings.roi,
        trained_on=tuple(sorted(part.hash for part in parts)),
        suspects=tuple(map(str, fitted.suspects)),
        choices={**fitted.reasons},
        provenance=_provenance(parts, settings),
    )


def _why_size(size: InputSize) -> str:
    if size.overlap is not None:
        return f"tiles of {size.width} x {size.height} px, as set"
    return f"{size.width} x {size.height} px, {size.scale:.2f} input px per image px"


def _tiles(intake: Intake) -> Tiles | None:
    if intake.size.overlap is None:
        return None
    return Tiles(overlap_px=intake.size.overlap, least=min(intake.counts), most=max(intake.counts))


def _parts(samples: Sequence[Sample]) -> tuple[list[Part], list[Part], bool]:
    """Good parts, known defects, and whether groups or lots are held out together."""
    good = [sample for sample in samples if sample.defective is False]
    if not good:
        raise InputError(
            "the training part has no good parts. Put photos of good parts into a folder named 'good', "
            "or label them 'good' in the table"
        )
    units = {sample.group or sample.lot for sample in good}
    by_unit = None not in units and len(units) >= MIN_UNITS
    parts = accept([*good, *(sample for sample in samples if sample.defective)], by_unit)
    usable = [part for part in parts if not part.sample.defective]
    check_enough(usable)
    return usable, [part for part in parts if part.sample.defective], by_unit


def _scores(trunk: Trunk, intake: Intake, reader: MemoryReader, progress: Progress) -> NDArray[np.float64]:
    scores = []
    parts = list(intake.parts)
    for index, part in enumerate(parts):
        progress("scoring known defects", index, len(parts))
        prepared = intake(part)
        if prepared is not None:
            scores.append(part_score(trunk, reader, prepared))
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


def _export(
    reader: MemoryReader,
    card: Card,
    held_out: HeldOut,
    intake: Intake,
    defects: Intake,
    int8: bytes | None,
    learned: Learned | None,
) -> Recipe:
    size = (card.height, card.width)
    trunk = int8 or trunk_onnx(card.backbone, size)
    scores, embedding = held_out.scores.astype(np.float32), backbone(card.backbone).embedding
    net = None if learned is None else learned.net
    model = recipe_model(trunk, reader, scores, size, embedding, net)
    for key, values in ({} if learned is None else learned.kept).items():
        model.graph.initializer.append(numpy_helper.from_array(values, key))
    # Good parts spread over the held-out scores, and known defects: the gate sees the whole range of scores.
    ranks = np.linspace(0, len(held_out.parts) - 1, min(IMAGES, len(held_out.parts))).astype(int)
    chosen = [(intake, held_out.parts[i]) for i in np.argsort(held_out.scores)[ranks]]
    chosen += [(defects, part) for part in defects.parts[:: max(1, len(defects.parts) // IMAGES)][:IMAGES]]
    images = (
        image
        for source, part in chosen
        if (prepared := source(part)) is not None
        for image, _ in prepared.some(GATED_TILES)
    )
    parity = check_parity(model.SerializeToString(), card.backbone, reader, images, card.band, int8, net)
    final = card.model_copy(update={"parity": parity})
    return Recipe(with_card(model, final), final)
