"""Known defects in a recipe: learned from all labelled parts, and judged on parts that were held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.core.card import Bounded, Calibration, Recognition
from sightline.core.errors import InputError
from sightline.core.progress import Progress
from sightline.core.result import Band, Verdict
from sightline.evaluate.metrics.probabilities import fit_temperature
from sightline.evaluate.statistics.intervals import rate
from sightline.evaluate.thresholds import Targets, calibrate
from sightline.models.arrays import Array
from sightline.models.backbone import Backbone
from sightline.models.classifier import Classifier
from sightline.models.detector import BoxHead
from sightline.train.backbone.cache import CachedMaps, as_tensors
from sightline.train.backbone.extractor import FeatureExtractor
from sightline.train.classify.classifier import fit_classifier
from sightline.train.classify.detector import learn_boxes
from sightline.train.images.loader import ImageLoader, Part, warn
from sightline.train.labels.sampling import grouped_folds
from sightline.train.labels.synthetic import may_help
from sightline.train.labels.targets import Labelled, LabelMap, label_parts, vocabulary
from sightline.train.settings import TrainSettings
from sightline.train.teach.replay import replay
from sightline.train.units import worst_of_each

FEW = 150  # labelled defects: so few are all needed for learning, and are held out fold by fold
FEW_FOLDS, FOLDS = 3, 5  # with many, one fold of five is held out
TEMPERATURES = 0.25, 4.0  # where every held-out part is right, none is determined
MIN_GOOD = 10  # held-out good parts, for a threshold on the evidence for known types


@dataclass(frozen=True)
class Learned:
    """A classifier, its label map, its error rates, what the recipe keeps of labelled parts, and what was chosen, as
    reasons and as settings.
    """

    net: Classifier
    label_map: LabelMap
    card: Recognition | None
    kept: dict[str, NDArray[np.generic]]
    reasons: dict[str, str]
    settings: TrainSettings | None = None
    boxes: BoxHead | None = None

    @torch.inference_mode()
    def strongest(self, maps: dict[str, Array]) -> float:
        """The highest calibrated logit of a type that the backbone's maps give."""
        return float(self.net.type_logits(self.net(as_tensors(maps)).types).amax())

    def catches(self, logit: float) -> bool:
        """Whether the evidence for known types alone keeps a part out of OK."""
        return self.card is not None and self.card.band is not None and self.card.band.decide(logit) is not Verdict.OK

    def with_boxes(self, boxes: BoxHead | None) -> Learned:
        """The same with what draws boxes, None where nothing does."""
        card = None if self.card is None else self.card.model_copy(update={"boxes": boxes is not None})
        return replace(self, boxes=boxes, card=card)


def learn_labelled_defects(
    extractor: FeatureExtractor,
    source: Backbone,
    loaders: Sequence[ImageLoader],
    settings: TrainSettings,
    progress: Progress,
    by_unit: bool,
) -> Learned | None:
    """What the labels of the loaders' parts teach; None where they name no type and no grade."""
    torch.set_num_threads(settings.threads)
    label_map = vocabulary([part for loader in loaders for part in loader.parts])
    if not label_map.types and not label_map.grades:
        return None
    if loaders[0].size.overlap is not None:
        warn("defect types and grades are not learned from tiles yet: parts of this recipe are only called anomalous")
        return None
    labelled = labelled_parts(extractor, source, loaders, label_map)
    maps_of = CachedMaps(extractor, source)  # one for all fits: the backbone sees each part once
    net, found, reasons, settings = learn_labelled(maps_of, labelled, label_map, settings, progress)
    card = (
        validate_labelled_defects(net, labelled, found.logits, label_map, settings, by_unit)
        if label_map.types
        else None
    )
    kept = replay(net, maps_of, labelled, found.logits) if label_map.types else {}
    boxes = learn_boxes(maps_of, labelled, label_map, source, settings, progress)
    return Learned(net, label_map, card, kept, reasons, settings).with_boxes(boxes)


def labelled_parts(
    extractor: FeatureExtractor, source: Backbone, loaders: Sequence[ImageLoader], label_map: LabelMap
) -> list[Labelled]:
    """The loaders' parts with their labels, on the grid of the backbone's finest map."""
    size = loaders[0].size
    grid = extractor(np.zeros((1, size.height, size.width, 3), np.uint8))[source.maps[0]].shape[2:]
    return label_parts(loaders, label_map, (grid[0], grid[1]))


def learn_labelled(
    maps_of: CachedMaps, labelled: list[Labelled], label_map: LabelMap, settings: TrainSettings, progress: Progress
) -> tuple[Classifier, HeldOut, dict[str, str], TrainSettings]:
    """A classifier with all that is chosen on held-out parts, its predictions for those, and what was chosen."""
    few = sum(bool(x.part.sample.defective) for x in labelled) <= FEW
    _check_groups(labelled, label_map)
    folds = deal_folds(labelled, FEW_FOLDS if few else FOLDS, settings.seed)
    turns = range(max(folds) + 1 if few else 1)
    settings, found, reasons = choose_synthetic(
        labelled,
        label_map,
        settings,
        lambda tried: _held_out(maps_of, labelled, folds, turns, label_map, tried, progress),
    )
    net = fit_classifier(maps_of, labelled, label_map, settings, progress) if few else found.net
    return net, found, reasons, settings


def _held_out(
    maps_of: CachedMaps,
    labelled: list[Labelled],
    folds: NDArray[np.int64],
    turns: Iterable[int],
    label_map: LabelMap,
    settings: TrainSettings,
    progress: Progress,
) -> HeldOut:
    """The last turn's classifier, and the predictions for every part that a turn holds out."""
    logits, grades = np.full((len(labelled), len(label_map.types) + 1), np.nan), np.full(len(labelled), np.nan)
    net: Classifier | None = None
    for fold in turns:
        learned_from = [x for x, other in zip(labelled, folds, strict=True) if other != fold]
        net = fit_classifier(maps_of, learned_from, label_map, settings, progress)
        for index in np.flatnonzero(folds == fold):
            logits[index], grades[index] = answer_of(net, maps_of, labelled[index])
    assert net is not None
    return HeldOut(net, logits, grades)


def deal_folds(labelled: Sequence[Labelled], count: int, seed: int) -> NDArray[np.int64]:
    """A fold of each part: groups stay together, and every class is spread as evenly as they allow."""
    units = [x.part.unit for x in labelled]
    return grouped_folds([_label(x) for x in labelled], units, min(count, len(set(units))), seed, strict=False)


def _check_groups(labelled: Sequence[Labelled], label_map: LabelMap) -> None:
    """Warns of types that cannot be held out. Raises InputError where nothing can."""
    if len({x.part.unit for x in labelled}) < 2:
        raise InputError("all labelled parts are of one group, so none can be held out. Add parts of other groups")
    for kind, name in enumerate(label_map.types, start=1):
        if len({x.part.unit for x in labelled if x.classes is not None and x.classes[kind]}) < 2:
            warn(f"type '{name}' is shown by one group of parts only: how often it is missed is unknown")


def _label(x: Labelled) -> tuple[str, ...]:
    """A part's labels, for dealing: its classes, and its grade."""
    classes = () if x.classes is None else tuple(f"class {kind}" for kind in np.flatnonzero(x.classes))
    return (*classes, *([f"grade {x.grade}"] if x.grade >= 0 else []))


@torch.inference_mode()
def answer_of(net: Classifier, maps_of: CachedMaps, x: Labelled) -> tuple[NDArray[np.float64], float]:
    """Logits (K + 1,) and expected grade of one part."""
    predicted = net(maps_of.batch([(x.part.hash, x.image, False)]))
    grade = np.nan if predicted.quality is None else float(net.grade(predicted.quality)[0])
    return np.asarray(predicted.types[0].double().numpy()), grade


def validate_labelled_defects(
    net: Classifier,
    labelled: list[Labelled],
    logits: NDArray[np.float64],
    label_map: LabelMap,
    settings: TrainSettings,
    by_unit: bool,
) -> Recognition:
    """Temperature, thresholds and error rates from parts that the classifier had not seen; sets the temperature."""
    typed = [
        i for i, x in enumerate(labelled) if x.classes is not None and x.classes.any() and np.isfinite(logits[i, 0])
    ]
    classes = np.array([labelled[i].classes for i in typed])
    held_out = logits[typed]
    if label_map.exclusive and typed:
        found = fit_temperature(held_out, classes.argmax(1))
        net.temperature = torch.tensor(float(np.clip(found.value, *TEMPERATURES)))
    with torch.inference_mode():
        type_logits = net.type_logits(torch.from_numpy(held_out).float()).amax(1).double().numpy()
    parts = [labelled[i].part for i in typed]
    band, calibration = _band(type_logits, classes, parts, settings, by_unit)
    return Recognition(
        exclusive=label_map.exclusive,
        band=band,
        calibration=calibration,
        held_out=_errors(held_out, classes, parts, label_map),
    )


def _band(
    type_logits: NDArray[np.float64],
    classes: NDArray[np.bool_],
    parts: Sequence[Part],
    settings: TrainSettings,
    by_unit: bool,
) -> tuple[Band | None, Calibration | None]:
    """Thresholds and bounds from parts: of a good one the most evident picture counts, of a defective one the least."""
    photos = int(classes[:, 0].sum())
    good = worst_of_each(type_logits[classes[:, 0]], [x for x, own in zip(parts, classes[:, 0], strict=True) if own])
    defective = -worst_of_each(
        -type_logits[~classes[:, 0]], [x for x, own in zip(parts, classes[:, 0], strict=True) if not own]
    )
    if not len(good):
        return None, None  # no good parts at all: such a recipe decides by the types' names (docs/decisions/0019)
    if len(good) < MIN_GOOD:
        warn(
            f"{len(good)} held-out good parts are too few for a threshold on known types: they are "
            "named, but do not decide"
        )
        return None, None
    targets = Targets(settings.overkill_target, settings.escape_target, settings.review_target)
    return calibrate(good, defective, good, targets, by_unit, photos)


def _errors(
    logits: NDArray[np.float64], classes: NDArray[np.bool_], parts: Sequence[Part], label_map: LabelMap
) -> dict[str, Bounded]:
    """By type, how many held-out parts of it were not called it, in one of their pictures at least."""
    predicted = logits.argmax(1) if label_map.exclusive else None
    found: dict[str, Bounded] = {}
    for index, name in enumerate(label_map.types, start=1):
        own = classes[:, index]
        missed = (predicted != index) if predicted is not None else logits[:, index] <= 0
        if own.any():
            pictures = [part for part, its in zip(parts, own, strict=True) if its]
            worst = worst_of_each(missed[own].astype(np.float64), pictures)
            found[name] = rate(int(worst.sum()), len(worst))
    return found


# Whether synthetic defects are learned from: where held-out real parts are named better with them, and nowhere else.

MARGIN = 0.005  # of balanced accuracy: less is no reason to learn from what is made
CHOICE = "synthetic defects"


@dataclass(frozen=True)
class HeldOut:
    """A classifier, and what such ones said of parts that they had not seen, NaN of all others: logits (parts, K + 1)
    and expected grades (parts,).
    """

    net: Classifier
    logits: NDArray[np.float64]
    grades: NDArray[np.float64]


def choose_synthetic(
    labelled: Sequence[Labelled],
    label_map: LabelMap,
    settings: TrainSettings,
    learn: Callable[[TrainSettings], HeldOut],
) -> tuple[TrainSettings, HeldOut, dict[str, str]]:
    """The settings with the choice made, what was held out with them, and the reason; `learn` holds parts out."""
    way = settings.synthetic_defects
    # Twice the fits, for a gain that few products show (decision 21): for those who have the time.
    if way != "auto" or settings.effort != "max" or not label_map.types or not may_help(labelled, label_map):
        way = "always" if way == "always" else "never"
        settings = settings.model_copy(update={"synthetic_defects": way})
        return settings, learn(settings), {}
    found = {one: learn(settings.model_copy(update={"synthetic_defects": one})) for one in ("never", "always")}
    balanced = {one: naming(labelled, predicted.logits, label_map) for one, predicted in found.items()}
    best = "always" if balanced["always"] > balanced["never"] + MARGIN else "never"
    judged = np.isfinite(found[best].logits[:, 0])
    defects = sum(bool(x.part.sample.defective) for x, one in zip(labelled, judged, strict=True) if one)
    reason = (
        f"{'learned from' if best == 'always' else 'not learned from'}; balanced accuracy "
        f"{balanced['always']:.3f} with, {balanced['never']:.3f} without, on {defects} held-out real defective parts"
    )
    return settings.model_copy(update={"synthetic_defects": best}), found[best], {CHOICE: reason}


def naming(labelled: Sequence[Labelled], logits: NDArray[np.float64], label_map: LabelMap) -> float:
    """Balanced accuracy of held-out parts; where a part may carry several types, the mean over types of each."""
    typed = [i for i, x in enumerate(labelled) if x.classes is not None and np.isfinite(logits[i, 0])]
    truth = np.array([labelled[i].classes for i in typed], bool).reshape(len(typed), len(label_map.types) + 1)
    if label_map.exclusive:
        predicted = np.eye(len(label_map.types) + 1, dtype=bool)[logits[typed].argmax(1)]
        return float(
            np.mean([predicted[truth[:, k], k].mean() for k in range(truth.shape[1]) if truth[:, k].any()] or [0])
        )
    predicted = logits[typed] > 0
    rates = [
        (predicted[own, k].mean() + (~predicted[~own, k]).mean()) / 2
        for k, own in enumerate(truth.T)
        if k and own.any() and not own.all()
    ]
    return float(np.mean(rates or [0]))
