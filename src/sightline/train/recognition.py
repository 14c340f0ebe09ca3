"""Known defects in a recipe: learned from all labelled parts, and judged on parts that were held out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.core.band import Band
from sightline.core.card import Bounded, Calibration, Recognition
from sightline.core.errors import InputError
from sightline.evaluate.bounds import rate
from sightline.evaluate.calibration import Targets, calibrate
from sightline.evaluate.confidence import fit_temperature
from sightline.models.backbone import Backbone
from sightline.models.boxes import BoxHead
from sightline.models.recogniser import Recogniser
from sightline.train.boxes import learn_boxes
from sightline.train.intake import Intake, warn
from sightline.train.kept_maps import KeptMaps
from sightline.train.labelled import Labelled, label_parts
from sightline.train.labels import Vocabulary, vocabulary
from sightline.train.made_choice import HeldOut, choose_made
from sightline.train.patches import Progress
from sightline.train.recognise import fit_recogniser
from sightline.train.replay import replay
from sightline.train.sampling import grouped_folds
from sightline.train.settings import TrainSettings
from sightline.train.trunk import Trunk

FEW = 150  # labelled defects: so few are all needed for learning, and are held out fold by fold
FEW_FOLDS, FOLDS = 3, 5  # with many, one fold of five is held out
TEMPERATURES = 0.25, 4.0  # where every held-out part is right, none is determined
LEAST_GOOD = 10  # held-out good parts, for a threshold on the evidence for known types


@dataclass(frozen=True)
class Learned:
    """A recogniser, its words, what they are worth, what the recipe keeps of labelled parts, and what was chosen,
    in words and as settings.
    """

    net: Recogniser
    words: Vocabulary
    card: Recognition | None
    kept: dict[str, NDArray[np.generic]]
    reasons: dict[str, str]
    settings: TrainSettings | None = None
    boxes: BoxHead | None = None

    def with_boxes(self, boxes: BoxHead | None) -> Learned:
        """The same with what draws boxes, None where nothing does."""
        card = None if self.card is None else self.card.model_copy(update={"boxes": boxes is not None})
        return replace(self, boxes=boxes, card=card)


def learn_known(
    trunk: Trunk,
    source: Backbone,
    intakes: Sequence[Intake],
    settings: TrainSettings,
    progress: Progress,
    by_unit: bool,
) -> Learned | None:
    """What the labels of the intakes' parts teach; None where they name no type and no grade."""
    if not settings.recognise:
        return None
    words = vocabulary([part for intake in intakes for part in intake.parts])
    if not words.types and not words.grades:
        return None
    if intakes[0].size.overlap is not None:
        warn("defect types and grades are not learned from tiles yet: parts of this recipe are only called anomalous")
        return None
    labelled = labelled_parts(trunk, source, intakes, words)
    maps_of = KeptMaps(trunk, source)  # one for all fits: the trunk sees each part once
    net, found, reasons, settings = learn_labelled(maps_of, labelled, words, settings, progress)
    card = judge_known(net, labelled, found.logits, words, settings, by_unit) if words.types else None
    kept = replay(net, maps_of, labelled, found.logits) if words.types else {}
    boxes = learn_boxes(maps_of, labelled, words, source, settings, progress)
    return Learned(net, words, card, kept, reasons, settings).with_boxes(boxes)


def labelled_parts(trunk: Trunk, source: Backbone, intakes: Sequence[Intake], words: Vocabulary) -> list[Labelled]:
    """The intakes' parts with their labels, on the grid of the trunk's finest map."""
    size = intakes[0].size
    grid = trunk(np.zeros((1, size.height, size.width, 3), np.uint8))[source.maps[0]].shape[2:]
    return label_parts(intakes, words, (grid[0], grid[1]))


def learn_labelled(
    maps_of: KeptMaps, labelled: list[Labelled], words: Vocabulary, settings: TrainSettings, progress: Progress
) -> tuple[Recogniser, HeldOut, dict[str, str], TrainSettings]:
    """A recogniser with all that is chosen on held-out parts, what was said of those, and what was chosen."""
    few = sum(bool(x.part.sample.defective) for x in labelled) <= FEW
    _check_groups(labelled, words)
    folds = deal_folds(labelled, FEW_FOLDS if few else FOLDS, settings.seed)
    turns = range(max(folds) + 1 if few else 1)
    settings, found, reasons = choose_made(
        labelled, words, settings, lambda tried: _held_out(maps_of, labelled, folds, turns, words, tried, progress)
    )
    net = fit_recogniser(maps_of, labelled, words, settings, progress) if few else found.net
    return net, found, reasons, settings


def _held_out(
    maps_of: KeptMaps,
    labelled: list[Labelled],
    folds: NDArray[np.int64],
    turns: Iterable[int],
    words: Vocabulary,
    settings: TrainSettings,
    progress: Progress,
) -> HeldOut:
    """The last turn's recogniser, and what is said of every part that a turn holds out."""
    logits, grades = np.full((len(labelled), len(words.types) + 1), np.nan), np.full(len(labelled), np.nan)
    net: Recogniser | None = None
    for fold in turns:
        seen = [x for x, other in zip(labelled, folds, strict=True) if other != fold]
        net = fit_recogniser(maps_of, seen, words, settings, progress)
        for index in np.flatnonzero(folds == fold):
            logits[index], grades[index] = answer_of(net, maps_of, labelled[index])
    assert net is not None
    return HeldOut(net, logits, grades)


def deal_folds(labelled: Sequence[Labelled], count: int, seed: int) -> NDArray[np.int64]:
    """A fold of each part: groups stay together, and every class is spread as evenly as they allow."""
    units = [x.part.unit for x in labelled]
    return grouped_folds([_label(x) for x in labelled], units, min(count, len(set(units))), seed, strict=False)


def _check_groups(labelled: Sequence[Labelled], words: Vocabulary) -> None:
    """Warns of types that cannot be held out. Raises InputError where nothing can."""
    if len({x.part.unit for x in labelled}) < 2:
        raise InputError("all labelled parts are of one group, so none can be held out. Add parts of other groups")
    for kind, name in enumerate(words.types, start=1):
        if len({x.part.unit for x in labelled if x.classes is not None and x.classes[kind]}) < 2:
            warn(f"type '{name}' is shown by one group of parts only: how often it is missed, nobody can say")


def _label(x: Labelled) -> tuple[str, ...]:
    """What is said about a part, for dealing: its classes, and its grade."""
    classes = () if x.classes is None else tuple(f"class {kind}" for kind in np.flatnonzero(x.classes))
    return (*classes, *([f"grade {x.grade}"] if x.grade >= 0 else []))


@torch.inference_mode()
def answer_of(net: Recogniser, maps_of: KeptMaps, x: Labelled) -> tuple[NDArray[np.float64], float]:
    """Logits (K + 1,) and expected grade of one part."""
    said = net(maps_of.batch([(x.part.hash, x.image, False)]))
    grade = np.nan if said.quality is None else float(net.grade(said.quality)[0])
    return np.asarray(said.types[0].double().numpy()), grade


def judge_known(
    net: Recogniser,
    labelled: list[Labelled],
    logits: NDArray[np.float64],
    words: Vocabulary,
    settings: TrainSettings,
    by_unit: bool,
) -> Recognition:
    """Temperature, thresholds and error rates from parts that the recogniser had not seen; sets the temperature."""
    known = [
        i for i, x in enumerate(labelled) if x.classes is not None and x.classes.any() and np.isfinite(logits[i, 0])
    ]
    classes = np.array([labelled[i].classes for i in known])
    held_out = logits[known]
    if words.exclusive and known:
        found = fit_temperature(held_out, classes.argmax(1))
        net.temperature = torch.tensor(float(np.clip(found.value, *TEMPERATURES)))
    with torch.inference_mode():
        evidence = net.type_logits(torch.from_numpy(held_out).float()).amax(1).double().numpy()
    band, calibration = _band(evidence, classes, settings, by_unit)
    return Recognition(
        exclusive=words.exclusive, band=band, calibration=calibration, held_out=_errors(held_out, classes, words)
    )


def _band(
    evidence: NDArray[np.float64], classes: NDArray[np.bool_], settings: TrainSettings, by_unit: bool
) -> tuple[Band | None, Calibration | None]:
    good, defective = evidence[classes[:, 0]], evidence[~classes[:, 0]]
    if not len(good):
        return None, None  # no good parts at all: such a recipe decides by the types' names (docs/decisions/0019)
    if len(good) < LEAST_GOOD:
        warn(
            f"{len(good)} held-out good parts are too few for a threshold on known types: they name, but decide nothing"
        )
        return None, None
    targets = Targets(settings.overkill_target, settings.escape_target, settings.review_target)
    return calibrate(good, defective, good, targets, by_unit)


def _errors(logits: NDArray[np.float64], classes: NDArray[np.bool_], words: Vocabulary) -> dict[str, Bounded]:
    """By type, how many held-out parts of it were not called it."""
    said = logits.argmax(1) if words.exclusive else None
    found: dict[str, Bounded] = {}
    for index, name in enumerate(words.types, start=1):
        own = classes[:, index]
        missed = (said != index) if said is not None else logits[:, index] <= 0
        if own.any():
            found[name] = rate(int((missed & own).sum()), int(own.sum()))
    return found
