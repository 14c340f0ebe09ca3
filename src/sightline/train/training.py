"""From a dataset to a recipe."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from sightline.core.card import Card, OutOfDistribution, Provenance, Tiles
from sightline.core.errors import InputError, MissingExtraError
from sightline.core.progress import Progress, unwatched
from sightline.core.result import NEVER, Band
from sightline.core.sample import TRAIN, Sample, readable_name
from sightline.evaluate.statistics.intervals import rate
from sightline.evaluate.thresholds import Targets, calibrate, calibrate_known
from sightline.models.backbone import Backbone, backbone
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import TOLERANCE
from sightline.train.anomaly.fitting import FittedModel, HeldOut
from sightline.train.anomaly.held_out_distances import Outlier, again
from sightline.train.anomaly.memory_bank import check_enough
from sightline.train.appearance import how_it_looks
from sightline.train.backbone.blas import one_thread
from sightline.train.backbone.extractor import FeatureExtractor, backbone_onnx, has_torch
from sightline.train.export.graph import recipe_model, with_card
from sightline.train.export.memory_crops import gather_explanation
from sightline.train.export.parity import IMAGES, check_parity
from sightline.train.images.loader import ImageLoader, Part, accept, release_memory, warn
from sightline.train.labels.targets import vocabulary
from sightline.train.plans import fit_best, offer_plans
from sightline.train.settings import TrainSettings
from sightline.train.units import find_units, group_keys, shared_weights, worst_of_each

if TYPE_CHECKING:
    from sightline.train.classify.validation import Learned

GATED_TILES = 2  # of a part, that the parity gate sees
NAMED = 5  # parts that a warning names
MIN_TO_NAME = 8  # held-out parts; of fewer, each sets everything
MIN_TYPES = 2  # to learn from without good parts: one type alone is told from nothing
MIN_LOWEST = 20  # held-out parts, with fewer their lowest score is not a bound of what good parts may score


def train(
    samples: Iterable[Sample],
    settings: TrainSettings | None = None,
    *,
    progress: Progress | bool | None = None,
    **options: object,
) -> Recipe:
    """Learn a recipe from the training part of a dataset (good parts are enough, at least 5).

    Without any good part, types and places are learned from the known defects, and the recipe never says OK.

    Settings are given as one object or by name, for instance `effort="quick"`; `progress(stage, done, of)` is
    called as the work goes on; as `sightline.train`, True shows a bar, False none, and without it there is one in a
    terminal or notebook.
    Labelled defective parts of the training part set the thresholds. Test samples are never read. Files that
    cannot be used are left out with a warning. Raises InputError where too little is left, RecipeError where
    the parity gate fails.
    """
    if settings is not None and options:
        raise InputError(f"settings are given as an object and by name ({', '.join(options)}). Give one of the two")
    settings = settings or TrainSettings.parse(options)
    report: Progress = progress if callable(progress) else unwatched
    with one_thread():
        return _train(samples, settings, report)


def _train(samples: Iterable[Sample], settings: TrainSettings, report: Progress) -> Recipe:
    name = str(getattr(samples, "name", "product"))
    good, known, by_unit, units = _parts([sample for sample in samples if sample.split in (TRAIN, None)], settings)
    if not has_torch():
        _tell_what_needs_torch(good, known, settings)
    plans, reasons = offer_plans(good, settings)
    reasons |= {"units": units} if units else {}
    best = fit_best(good, plans, settings, report, known)
    plan, fitted, loader, extractor = best.plan, best.fitted, best.loader, best.extractor
    defects, source = best.defects, backbone(settings.backbone)
    _tell(fitted.outliers, settings)
    learned = _learned(extractor, source, (loader, defects), settings, report, by_unit)
    if good[0].sample.defective and (learned is None or not learned.label_map.types):
        raise InputError("no good parts, and no type with at least 2 examples. Add good parts, or more of each type")
    frozen = FittedModel(source, extractor, best.int8, best.int8 is not None, fitted, learned)
    fitted_model, why = _on_what(frozen, (loader, defects), settings, report, by_unit)
    scores, caught = _known_defects(fitted_model, defects, report)
    card = _card(name, settings, fitted_model, (scores, caught), loader, defects, by_unit)
    _tell_of_escapes(card, scores, caught, _scored(fitted_model, defects))
    report("exporting", 0, 1)
    golden = None if plan.golden is None else plan.golden.card()
    named, told = _named(fitted_model.learned)
    card = card.model_copy(update={"golden": golden, "choices": reasons | card.choices | told | why} | named)
    return _export(fitted_model, card, loader, defects)


def _tell_what_needs_torch(good: Sequence[Part], known: Sequence[Part], settings: TrainSettings) -> None:
    """Say before the work what is left out without torch. Raises MissingExtraError where nothing would be left."""
    if good[0].sample.defective or settings.backbone_training == "fine-tuned":
        raise MissingExtraError("torch", "train")
    said = "torch is not installed: memory bank, discriminator and thresholds are fitted without it. Left out: "
    label_map = vocabulary([*good, *known])
    names = (*label_map.types, *label_map.grades) if settings.classify else ()
    what = f"known defects are not named ({', '.join(names[:NAMED])}), and " if names else ""
    warn(f"{said}{what}types, grades, boxes, fine-tuning, a GPU and other backbones than lite0 to lite2. "
         "For them, install 'sightline[train]'")  # fmt: skip


def _learned(
    extractor: FeatureExtractor,
    source: Backbone,
    loaders: Sequence[ImageLoader],
    settings: TrainSettings,
    report: Progress,
    by_unit: bool,
) -> Learned | None:
    if not has_torch() or not settings.classify:
        return None
    label_map = vocabulary([part for loader in loaders for part in loader.parts])
    if not label_map.types and not label_map.grades:
        return None
    from sightline.train.classify.validation import learn_labelled_defects

    return learn_labelled_defects(extractor, source, loaders, settings, report, by_unit)


def _on_what(
    frozen: FittedModel, loaders: Sequence[ImageLoader], settings: TrainSettings, report: Progress, by_unit: bool
) -> tuple[FittedModel, dict[str, str]]:
    """The model on its frozen backbone, or on a fine-tuned one where that is wanted and better; and why."""
    if settings.backbone_training == "frozen":
        return frozen, {}
    from sightline.train.finetune.selection import choose_backbone

    return choose_backbone(frozen, loaders, settings, report, by_unit)


def _tell(outliers: Iterable[Outlier], settings: TrainSettings) -> None:
    for outlier in outliers:
        done = "left out" if settings.outliers == "leave out" else "an outlier"
        kind = "known" if outlier.part.sample.defective else "good"
        name = outlier.part.sample.name or outlier.part.sample.path
        warn(f"{done}: {name} looks like no other {kind} part: {outlier.robust_z:.1f} robust standard deviations above "
             f"the median. Is it {kind}? Remove it if it is not")  # fmt: skip


def _named(learned: Learned | None) -> tuple[dict[str, object], dict[str, str]]:
    """What the card says of known types and grades, and what was chosen about them."""
    if learned is None:
        return {}, {}
    named: dict[str, object] = {
        "types": learned.label_map.types,
        "grades": learned.label_map.grades,
        "recognition": learned.card,
    }
    return named, learned.reasons


def _card(
    name: str,
    settings: TrainSettings,
    fitted_model: FittedModel,
    known: tuple[NDArray[np.float64], NDArray[np.bool_]],
    loader: ImageLoader,
    defects: ImageLoader,
    by_unit: bool,
) -> Card:
    targets = Targets(settings.overkill_target, settings.escape_target, settings.review_target)
    # The exported graph may score a known defect lower by this much: it must not slip under its own threshold.
    sure = known[0] - TOLERANCE * np.maximum(1.0, np.abs(known[0]))
    fitted, held_out = fitted_model.fitted, fitted_model.fitted.held_out
    scores, peaks, distances = held_out.of_parts
    if all(part.sample.defective for part in loader.parts):
        band, calibration = calibrate_known(scores, peaks, targets, by_unit)
    else:
        pictures, outside = len(held_out.parts), distances > 1
        each = (held_out.scores, shared_weights(held_out.parts))
        band, calibration = calibrate(scores, sure, peaks, targets, by_unit, pictures, outside, known[1], each)
        calibration = calibration.model_copy(
            update={"limits": tuple(_who_sets_limits(held_out, sure, known[1], band, targets))}
        )
    parts = [*loader.parts, *defects.parts]
    return Card(
        product=settings.product or name,
        backbone=settings.backbone,
        width=loader.size.width,
        height=loader.size.height,
        scale=loader.size.scale,
        tiles=_tiles(loader),
        stretch=loader.aspects if loader.size.stretch else None,
        border=loader.border,
        bank=max(len(level.bank) for level in fitted.head.levels.values()),
        band=band,
        calibration=calibration,
        ood=_out_of_distribution(held_out),
        mm_per_px=settings.mm_per_px,
        full_scale=parts[0].full_scale,
        roi=settings.roi,
        trained_on=tuple(sorted(part.hash for part in parts)),
        outliers=tuple(map(str, fitted.outliers)),
        appearance=how_it_looks(loader, held_out),
        choices={**fitted.reasons},
        provenance=_provenance(parts, settings).model_copy(update={"tuning": fitted_model.tuning}),
    )


def _who_sets_limits(
    held_out: HeldOut, defective: NDArray[np.float64], caught: NDArray[np.bool_], band: Band, targets: Targets
) -> list[str]:
    """Which good parts lie above the NG limit, which part sets each limit, and where that would lie without it."""
    if len(held_out.of_parts.scores) == 1:
        return []
    above = [i for i in np.argsort(-held_out.scores) if held_out.scores[i] > band.high][:NAMED]
    said = [
        f"{_named_file(held_out.parts[i])} scores above the NG limit: {band.high:.2f}, it has "
        f"{held_out.scores[i]:.2f}. Look at it: confirm it as good, or remove it"
        for i in above
    ]
    for limit, name, what in ((band.high, "NG", "high"), (band.low, "OK", "low")):
        if len({part.counted for part in held_out.parts}) < MIN_TO_NAME or (what == "low" and limit == band.high):
            continue
        nearest = int(np.abs(held_out.scores - limit).argmin())
        if abs(held_out.scores[nearest] - limit) > 1e-9:
            continue  # a known defect sets it
        part = held_out.parts[nearest]
        others = [index for index, other in enumerate(held_out.parts) if other.counted != part.counted]
        rest = [held_out.parts[index] for index in others]
        left, each = worst_of_each(held_out.scores[others], rest), (held_out.scores[others], shared_weights(rest))
        without, _ = calibrate(left, defective, left, targets, caught=caught, pictures=each)
        said.append(
            f"{_named_file(part)} sets the {name} limit: without it {getattr(without, what):.2f} instead of "
            f"{limit:.2f}. Look at it: confirm it as good, or remove it"
        )
    return said


def _named_file(part: Part) -> str:
    return readable_name(part.sample.name or f"{part.sample.path.parent.name}/{part.sample.path.name}")


def _out_of_distribution(held_out: HeldOut) -> OutOfDistribution:
    """The card's account of the test for pictures that do not show the product."""
    (scores, _, distances), lowest = held_out.of_parts, NEVER
    if len(scores) >= MIN_LOWEST:
        lowest = float(2 * scores.min() - np.median(scores))
    return OutOfDistribution(
        parts=len(distances),
        median=float(np.median(held_out.distances)),
        outside=rate(int((distances > 1).sum()), len(distances)),
        lowest_score=lowest,
    )


def _tiles(loader: ImageLoader) -> Tiles | None:
    if loader.size.overlap is None:
        return None
    return Tiles(overlap_px=loader.size.overlap, least=min(loader.counts), most=max(loader.counts))


def _parts(samples: Sequence[Sample], settings: TrainSettings) -> tuple[list[Part], list[Part], bool, str]:
    """Good parts, known defects, whether all have a group or lot to be held out with, and what else was found.

    Without good parts the known defects stand in for them: the memory then tells what is known from strangers.
    """
    good = [sample for sample in samples if sample.defective is False]
    if not good:
        good, samples = _instead(samples, settings), []
    listed = [*good, *(sample for sample in samples if sample.defective)]
    keys = group_keys(good)
    by_unit = None not in keys
    parts = accept(listed, [*keys, *(s.group or (s.lot if by_unit else None) for s in listed[len(good) :])])
    usable = [part for part in parts if not part.sample.defective] if samples else parts
    check_enough(usable)
    usable, found = find_units(usable)
    check_enough(usable)
    return usable, [part for part in parts if part.sample.defective] if samples else [], by_unit, found


def _instead(samples: Sequence[Sample], settings: TrainSettings) -> list[Sample]:
    """Known defects where there are no good parts. Raises InputError where they cannot stand in for them."""
    known = [sample for sample in samples if sample.defective]
    remedy = "Put photos of good parts into a folder named 'good', or label them 'good' in the table"
    if len({name for sample in known for name in sample.types}) < MIN_TYPES:
        raise InputError(f"the training part has no good parts. {remedy}. Without any, two defect types are needed")
    if not settings.classify or settings.tile_px is not None:
        why = "with tiles, types are not learned yet" if settings.tile_px is not None else "recognise is off"
        raise InputError(f"the training part has no good parts, so types must be learned, but {why}. {remedy}")
    warn(
        "no good parts: types are learned from the known defects, the recipe never says OK, and nothing can be "
        f"promised about overkill. {remedy}"
    )
    return known


def _scored(fitted_model: FittedModel, loader: ImageLoader) -> list[Part]:
    """The known defects; of those only that a fine-tuned backbone has not learned from."""
    return [part for part in loader.parts if fitted_model.unseen is None or part.hash in fitted_model.unseen]


def _known_defects(
    fitted_model: FittedModel, loader: ImageLoader, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores (m,) of the known defects, and which of them the recipe keeps out of OK by their type.

    The score of a defect that the discriminator has learned from is what it would have without that.
    """
    scores, caught, parts = [], [], _scored(fitted_model, loader)
    learned = fitted_model.learned
    for index, part in enumerate(parts):
        progress("scoring known defects", index, len(parts))
        worst, type_logit, held_out = [], -np.inf, fitted_model.fitted.marked.get(part.hash)
        for image in again(loader, part).images:  # one tile's maps at a time, for the memory and for the types
            maps = fitted_model.extractor(image[None])
            worst.append(float(fitted_model.fitted.head(maps)[1][0]) if held_out is None else held_out)
            type_logit = max(type_logit, -np.inf if learned is None else learned.strongest(maps))
        scores.append(np.max(worst))  # NaN stays NaN
        caught.append(learned is not None and learned.catches(type_logit))
    return np.array(scores, np.float64), np.array(caught, bool)


def _tell_of_escapes(card: Card, scores: NDArray[np.float64], caught: NDArray[np.bool_], parts: Sequence[Part]) -> None:
    """Name the known defects that the recipe would call OK all the same: before it is written, not after."""
    missed = np.flatnonzero((scores <= card.band.low) & ~caught)
    if len(missed):
        names = ", ".join(str(parts[index].sample.path) for index in missed[:NAMED])
        more = f" and {len(missed) - NAMED} more" if len(missed) > NAMED else ""
        warn(f"{len(missed)} of {len(scores)} known defective parts look like good ones and would be judged OK: {names}"
             f"{more}. Check their labels; where the defect can be seen, mark its place or take a larger input "
             "(effort=max, tile_px)")  # fmt: skip


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
        versions={"python": platform.python_version()}
        | {name: found for name in packages if (found := _version(name))},
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _export(fitted_model: FittedModel, card: Card, loader: ImageLoader, defects: ImageLoader) -> Recipe:
    head, held_out, learned = fitted_model.fitted.head, fitted_model.fitted.held_out, fitted_model.learned
    size = (card.height, card.width)
    fitted_model.extractor.rest()
    release_memory()
    extractor = fitted_model.exported or backbone_onnx(card.backbone, size)
    scores = held_out.of_parts.scores.astype(np.float32)
    embedding = fitted_model.source.embedding
    net, boxes = (None, None) if learned is None else (learned.net, learned.boxes)
    model = recipe_model(extractor, head, scores, size, embedding, net, boxes)
    for key, values in ({} if learned is None else learned.kept).items():
        model.graph.initializer.append(numpy_helper.from_array(values, key))
    # Good parts spread over the held-out scores, and known defects: the gate sees the whole range of scores.
    ranks = np.linspace(0, len(held_out.parts) - 1, min(IMAGES, len(held_out.parts))).astype(int)
    chosen = [(loader, held_out.parts[i]) for i in np.argsort(held_out.scores)[ranks]]
    chosen += [(defects, part) for part in defects.parts[:: max(1, len(defects.parts) // IMAGES)][:IMAGES]]
    images = (
        image
        for source, part in chosen
        if (prepared := source(part)) is not None
        for image, _ in prepared.some(GATED_TILES)
    )
    int8 = fitted_model.exported if fitted_model.int8 else None
    release_memory()
    parity = check_parity(model.SerializeToString(), fitted_model.source, head, images, card.band, int8, net, boxes)
    final = card.model_copy(update={"parity": parity})
    release_memory()
    explanation = gather_explanation(fitted_model.extractor, fitted_model.fitted, (loader, defects), net)
    return Recipe(with_card(model, final, explanation), final)
