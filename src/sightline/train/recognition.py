"""Known defects in a recipe: learned from all labelled parts, and judged on parts that were held out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
from sightline.models.recogniser import Recogniser
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
    """A recogniser, its words, what they are worth, what the recipe keeps of labelled parts, and what was chosen."""

    net: Recogniser
    words: Vocabulary
    card: Recognition | None
    kept: dict[str, NDArray[np.generic]]
    reasons: dict[str, str]


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
    size = intakes[0].size
    grid = trunk(np.zeros((1, size.height, size.width, 3), np.uint8))[source.maps[0]].shape[2:]
    labelled = label_parts(intakes, words, (grid[0], grid[1]))
    maps_of = KeptMaps(trunk, source)  # one for all fits: the trunk sees each part once
    net, found, reasons = learn_labelled(maps_of, labelled, words, settings, progress)
    card = _judge(net, labelled, found.logits, words, settings, by_unit) if words.types else None
    return Learned(net, words, card, replay(net, maps_of, labelled, found.logits) if words.types else {}, reasons)


def learn_labelled(
    maps_of: KeptMaps, labelled: list[Labelled], words: Vocabulary, settings: TrainSettings, progress: Progress
) -> tuple[Recogniser, HeldOut, dict[str, str]]:
    """A recogniser with all that is chosen on held-out parts, what was said of those, and what was chosen."""
    few = sum(bool(x.part.sample.defective) for x in labelled) <= FEW
    folds = _folds(labelled, words, FEW_FOLDS if few else FOLDS, settings.seed)
    turns = range(max(folds) + 1 if few else 1)
    settings, found, reasons = choose_made(
        labelled, words, settings, lambda tried: _held_out(maps_of, labelled, folds, turns, words, tried, progress)
    )
    net = fit_recogniser(maps_of, labelled, words, settings, progress) if few else found.net
    return net, found, reasons


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
            logits[index], grades[index] = _say(net, maps_of, labelled[index])
    assert net is not None
    return HeldOut(net, logits, grades)


def _folds(labelled: Sequence[Labelled], words: Vocabulary, count: int, seed: int) -> NDArray[np.int64]:
    """A fold of each part: groups stay together, and every class is spread as evenly as they allow."""
    units = [x.part.unit for x in labelled]
    labels = [_label(x, words) for x in labelled]
    for name in words.types:
        if len({unit for unit, label in zip(units, labels, strict=True) if name in label}) < 2:
            warn(f"type '{name}' is shown by one group of parts only: how often it is missed, nobody can say")
    if len(set(units)) < 2:
        raise InputError("all labelled parts are of one group, so none can be held out. Add parts of other groups")
    return grouped_folds(labels, units, min(count, len(set(units))), seed, strict=False)


def _label(x: Labelled, words: Vocabulary) -> tuple[str, ...]:
    """What is said about a part, for dealing: its types, and its grade."""
    types = () if x.classes is None else tuple(np.array(["good", *words.types])[x.classes])
    return (*types, *([f"grade {x.grade}"] if x.grade >= 0 else []))


@torch.inference_mode()
def _say(net: Recogniser, maps_of: KeptMaps, x: Labelled) -> tuple[NDArray[np.float64], float]:
    """Logits (K + 1,) and expected grade of one part."""
    said = net(maps_of.batch([(x.part.hash, x.image, False)]))
    grade = np.nan if said.quality is None else float(net.grade(said.quality)[0])
    return np.asarray(said.types[0].double().numpy()), grade


def _judge(
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
