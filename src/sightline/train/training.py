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
from sightline.evaluate.calibration import Targets, calibrate, calibrate_known
from sightline.models.backbone import backbone
from sightline.runtime.recipe import Recipe
from sightline.train.atlas import gather_evidence
from sightline.train.best_plan import fit_best
from sightline.train.freed import release_memory
from sightline.train.graph import recipe_model, with_card
from sightline.train.intake import Intake, Part, accept, warn
from sightline.train.parity import IMAGES, TOLERANCE, check_parity
from sightline.train.patches import Progress, check_enough
from sightline.train.plans import offer_plans
from sightline.train.reader import part_score
from sightline.train.recognition import Learned, learn_known
from sightline.train.settings import TrainSettings
from sightline.train.suspects import Suspect
from sightline.train.trunk import trunk_onnx
from sightline.train.tuning.basis import Basis, choose_trunk

GATED_TILES = 2  # of a part, that the parity gate sees
MIN_TYPES = 2  # to learn from without good parts: one type alone is told from nothing
MIN_UNITS = 5  # with fewer groups, one group is too much of the bank to hold out


def train(
    samples: Iterable[Sample],
    settings: TrainSettings | None = None,
    *,
    progress: Progress | None = None,
    **options: object,
) -> Recipe:
    """Learn a recipe from the training part of a dataset (good parts are enough, at least 5).

    Without any good part, types and places are learned from the known defects, and the recipe never says OK.

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
    good, known, by_unit = _parts([sample for sample in samples if sample.split in (TRAIN, None)], settings)
    plans, reasons = offer_plans(good, settings)
    best = fit_best(good, plans, settings, progress)
    plan, fitted, intake, trunk = best.plan, best.fitted, best.intake, best.trunk
    _tell(fitted.suspects, settings)
    defects, source = Intake(known, plan.size, settings.roi, plan.golden), backbone(settings.backbone)
    learned = learn_known(trunk, source, (intake, defects), settings, progress, by_unit)
    if good[0].sample.defective and (learned is None or not learned.words.types):
        raise InputError("no good parts, and no type with at least 2 examples. Add good parts, or more of each type")
    frozen = Basis(source, trunk, best.int8, best.int8 is not None, fitted, learned)
    basis, why = choose_trunk(frozen, (intake, defects), settings, progress, by_unit)
    card = _card(name, settings, basis, _scores(basis, defects, progress), intake, defects, by_unit)
    progress("exporting", 0, 1)
    golden = None if plan.golden is None else plan.golden.card()
    words, told = _words(basis.learned)
    card = card.model_copy(update={"golden": golden, "choices": reasons | card.choices | told | why} | words)
    return _export(basis, card, intake, defects)


def _tell(suspects: Iterable[Suspect], settings: TrainSettings) -> None:
    for suspect in suspects:
        done = "left out" if settings.suspects == "leave out" else "a suspect"
        kind = "known" if suspect.part.sample.defective else "good"
        warn(f"{done}: {suspect.part.sample.path} looks like no other {kind} part: {suspect.spreads:.1f} robust "
             f"spreads above the median. Is it {kind}? Remove it if it is not")  # fmt: skip


def _words(learned: Learned | None) -> tuple[dict[str, object], dict[str, str]]:
    """What the card says of known types and grades, and what was chosen about them."""
    if learned is None:
        return {}, {}
    words: dict[str, object] = {
        "types": learned.words.types,
        "grades": learned.words.grades,
        "recognition": learned.card,
    }
    return words, learned.reasons


def _card(
    name: str,
    settings: TrainSettings,
    basis: Basis,
    defect_scores: NDArray[np.float64],
    intake: Intake,
    defects: Intake,
    by_unit: bool,
) -> Card:
    targets = Targets(settings.overkill_target, settings.escape_target, settings.review_target)
    # The exported graph may score a known defect lower by this much: it must not slip under its own threshold.
    sure = defect_scores - TOLERANCE * np.maximum(1.0, np.abs(defect_scores))
    fitted, held_out = basis.fitted, basis.fitted.held_out
    if all(part.sample.defective for part in intake.parts):
        band, calibration = calibrate_known(held_out.scores, held_out.peaks, targets, by_unit)
    else:
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
        provenance=_provenance(parts, settings).model_copy(update={"tuning": basis.tuning}),
    )


def _tiles(intake: Intake) -> Tiles | None:
    if intake.size.overlap is None:
        return None
    return Tiles(overlap_px=intake.size.overlap, least=min(intake.counts), most=max(intake.counts))


def _parts(samples: Sequence[Sample], settings: TrainSettings) -> tuple[list[Part], list[Part], bool]:
    """Good parts, known defects, and whether groups or lots are held out together.

    Without good parts the known defects stand in for them: the memory then tells what is known from strangers.
    """
    good = [sample for sample in samples if sample.defective is False]
    if not good:
        good, samples = _instead(samples, settings), []
    units = {sample.group or sample.lot for sample in good}
    by_unit = None not in units and len(units) >= MIN_UNITS
    parts = accept([*good, *(sample for sample in samples if sample.defective)], by_unit)
    if not samples:
        check_enough(parts)
        return parts, [], by_unit
    usable = [part for part in parts if not part.sample.defective]
    check_enough(usable)
    return usable, [part for part in parts if part.sample.defective], by_unit


def _instead(samples: Sequence[Sample], settings: TrainSettings) -> list[Sample]:
    """Known defects where there are no good parts. Raises InputError where they cannot stand in for them."""
    known = [sample for sample in samples if sample.defective]
    remedy = "Put photos of good parts into a folder named 'good', or label them 'good' in the table"
    if len({name for sample in known for name in sample.types}) < MIN_TYPES:
        raise InputError(f"the training part has no good parts. {remedy}. Without any, two defect types are needed")
    if not settings.recognise or settings.tile_px is not None:
        why = "with tiles, types are not learned yet" if settings.tile_px is not None else "recognise is off"
        raise InputError(f"the training part has no good parts, so types must be learned, but {why}. {remedy}")
    warn(
        "no good parts: types are learned from the known defects, the recipe never says OK, and nothing can be "
        f"promised about overkill. {remedy}"
    )
    return known


def _scores(basis: Basis, intake: Intake, progress: Progress) -> NDArray[np.float64]:
    """Scores of the known defects; of those only that a fine-tuned trunk has not learned from."""
    scores = []
    parts = [part for part in intake.parts if basis.unseen is None or part.hash in basis.unseen]
    for index, part in enumerate(parts):
        progress("scoring known defects", index, len(parts))
        prepared = intake(part)
        if prepared is not None:
            scores.append(part_score(basis.trunk, basis.fitted.reader, prepared))
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


def _export(basis: Basis, card: Card, intake: Intake, defects: Intake) -> Recipe:
    reader, held_out, learned = basis.fitted.reader, basis.fitted.held_out, basis.learned
    size = (card.height, card.width)
    basis.trunk.rest()
    release_memory()
    trunk = basis.exported or trunk_onnx(card.backbone, size)
    scores, embedding = held_out.scores.astype(np.float32), basis.source.embedding
    net, boxes = (None, None) if learned is None else (learned.net, learned.boxes)
    model = recipe_model(trunk, reader, scores, size, embedding, net, boxes)
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
    int8 = basis.exported if basis.int8 else None
    release_memory()
    parity = check_parity(model.SerializeToString(), basis.source, reader, images, card.band, int8, net, boxes)
    final = card.model_copy(update={"parity": parity})
    release_memory()
    evidence = gather_evidence(basis.trunk, basis.fitted, (intake, defects), net)
    return Recipe(with_card(model, final, evidence), final)
