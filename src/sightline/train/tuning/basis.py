"""What a recipe stands on: the pretrained trunk, or one that was fine-tuned and is better without losing the guard."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sightline.core.card import Tuning
from sightline.models.backbone import Backbone
from sightline.models.recogniser import Recogniser
from sightline.train.boxes import learn_boxes
from sightline.train.evidence import fit_evidence
from sightline.train.intake import Intake, warn
from sightline.train.kept_maps import KeptMaps
from sightline.train.labelled import Labelled
from sightline.train.labels import Vocabulary
from sightline.train.likeness import fit_grades
from sightline.train.patches import Maps, Progress
from sightline.train.reader import Fitted, fit_reader
from sightline.train.recognise import fit_recogniser
from sightline.train.recognition import LEAST_GOOD, Learned, answer_of, judge_known, labelled_parts
from sightline.train.replay import replay
from sightline.train.settings import TrainSettings
from sightline.train.trunk import OnnxTrunk, TorchTrunk, Trunk, export_trunk
from sightline.train.tuning.figure import Figure, figure_of
from sightline.train.tuning.loop import Course, fine_tune
from sightline.train.tuning.split import Split, split_parts
from sightline.train.tuning.views import Views
from sightline.train.tuning.whole import Whole

GUARD_LOSS = 0.02  # of the mean of AUROC and AUPRO on drawn defects, that is more than noise: the guard comes first


@dataclass(frozen=True)
class Basis:
    """Trunk, guard and recogniser of a recipe.

    `exported` is the trunk's ONNX where it is not the cached one, `int8` whether that is quantised. `unseen` are the
    hashes of the parts that the trunk has not learned from, None where it has learned from none.
    """

    source: Backbone
    trunk: Trunk
    exported: bytes | None
    int8: bool
    fitted: Fitted
    learned: Learned | None
    unseen: frozenset[str] | None = None
    tuning: Tuning | None = None


@dataclass(frozen=True)
class _Attempt:
    """A fine-tuned network, how it went, and the figures of the judging parts after it and before."""

    net: Whole
    course: Course
    tuned: Figure
    frozen: Figure

    @property
    def story(self) -> str:
        """What was done, in words."""
        best, figure = self.course.best, "mean recall" if self.net.boxes is None else "mean of recall and boxes' mAP50"
        return (
            f"{len(self.course.figures) - 1} epochs of fine-tuning, the best is number {self.course.best_epoch} with a "
            f"{figure} of {best.value:.3f} on {best.parts} parts; on {self.tuned.parts} others "
            f"{self.tuned.value:.3f}, frozen {self.frozen.value:.3f}"
        )


def choose_trunk(
    frozen: Basis, intakes: Sequence[Intake], settings: TrainSettings, progress: Progress, by_unit: bool
) -> tuple[Basis, dict[str, str]]:
    """The frozen basis, or a fine-tuned one where that calls unseen groups better; and why. Raises TrainingError.

    `intakes` are those of the good parts and of the known defects.
    """
    if settings.trunk == "frozen":
        return frozen, {}
    if frozen.learned is None:
        warn("the trunk stays frozen: fine-tuning learns from defect types or grades, and the labels name none")
        return frozen, {"trunk": "frozen: no labels to fine-tune with"}
    if not by_unit and any(part.sample.group or part.sample.lot for intake in intakes for part in intake.parts):
        warn("the trunk stays frozen: some good parts have no group or lot, or there are too few of them, so twins "
             "could stand on both sides. Give every part its group")  # fmt: skip
        return frozen, {"trunk": "frozen: groups are given for some parts only, or too few"}
    labelled = labelled_parts(frozen.trunk, frozen.source, intakes, frozen.learned.words)
    split = split_parts(labelled, settings.seed)
    if split is None or _few_good(labelled, split):
        warn("the trunk stays frozen: too few parts or groups to hold some out from fine-tuning. Label more parts")
        return frozen, {"trunk": "frozen: too few parts or groups to hold some out from fine-tuning"}
    attempt = _attempt(frozen, frozen.learned, labelled, split, settings, progress)
    if attempt.course.best_epoch == 0 or attempt.tuned.value <= attempt.frozen.value:
        return frozen, {"trunk": f"frozen: fine-tuned is no better; {attempt.story}"}
    unseen = frozenset(labelled[index].part.hash for index in split.stopping + split.judging)
    source, trunk, exported = _runnable(frozen, attempt.net, intakes[0], settings)
    before = fit_reader(Maps(frozen.trunk, frozen.source), _own(intakes[0]), settings, progress, unseen).merit
    fitted = fit_reader(Maps(trunk, source), _own(intakes[0]), settings, progress, unseen)
    guard = f"AUROC and AUPRO of the guard on drawn defects {fitted.merit:.3f}, frozen {before:.3f}"
    guard = guard if settings.drawings else "the guard was not compared: no defects were drawn"
    if fitted.merit < before - GUARD_LOSS:
        return frozen, {"trunk": f"frozen: the guard would lose; {attempt.story}; {guard}"}
    maps_of = KeptMaps(trunk, source)
    learned = _learned(frozen.learned, attempt.net.heads, maps_of, labelled, split, settings, by_unit)
    learned = learned.with_boxes(attempt.net.boxes)
    tuning = _tuning(attempt, (before, fitted.merit) if settings.drawings else None)
    basis = Basis(source, trunk, exported, frozen.int8, fitted, learned, unseen, tuning)
    return basis, {"trunk": f"fine-tuned: {attempt.story}; {guard}"}


def _few_good(labelled: list[Labelled], split: Split) -> bool:
    """Whether too few good parts judge; sets without any decide without them (docs/decisions/0019)."""
    good = [not x.part.sample.defective for x in labelled]
    return any(good) and sum(good[index] for index in split.judging) < LEAST_GOOD


def _own(intake: Intake) -> Intake:
    """The same parts in a list of their own: what an attempt leaves out stays in the recipe's account."""
    made = copy.copy(intake)
    made.parts = list(intake.parts)
    return made


def _attempt(
    frozen: Basis,
    learned: Learned,
    labelled: list[Labelled],
    split: Split,
    settings: TrainSettings,
    progress: Progress,
) -> _Attempt:
    """Heads on the frozen trunk and both together, judged on the same parts."""
    learning, stopping, judging = (
        [labelled[index] for index in side] for side in (split.learning, split.stopping, split.judging)
    )
    settings = learned.settings or settings
    maps_of = KeptMaps(frozen.trunk, frozen.source)
    before, net, course = tune(maps_of, frozen.source, learned.words, (learning, stopping), settings, progress)
    counts = Views(learning, settings).counts(net.heads.classes.out_channels)
    was = figure_of(before, judging, counts)
    return _Attempt(net, course, figure_of(net, judging, counts), was)


def tune(
    maps_of: KeptMaps,
    source: Backbone,
    words: Vocabulary,
    sides: tuple[list[Labelled], list[Labelled]],
    settings: TrainSettings,
    progress: Progress,
) -> tuple[Whole, Whole, Course]:
    """Heads on the frozen trunk `source`, then both together, from the same parts; and how that went.

    `sides` are the parts that are learned from and those that say when to stop. Raises TrainingError.
    """
    learning, stopping = sides
    heads = fit_recogniser(maps_of, learning, words, settings, progress)
    boxes = learn_boxes(maps_of, learning, words, source, settings, progress)
    evident = _evidence(heads, maps_of, learning, settings)
    net, course = fine_tune(source, heads, learning, stopping, settings, progress, evident, boxes)
    net = net.cpu()
    if course.best_epoch:
        tuned = tuned_backbone(source, net.trunk.net)
        maps_of = KeptMaps(TorchTrunk(tuned), tuned)
        _evidence(net.heads, maps_of, learning, settings)
        fit_grades(net.heads.eval(), maps_of, learning, settings.seed)
    return Whole(source, heads, boxes).eval(), net, course


def _evidence(
    heads: Recogniser, maps_of: KeptMaps, learning: list[Labelled], settings: TrainSettings
) -> dict[str, Tensor]:
    """Finds the evidence of the heads on a trunk; gives, by hash, that of each part without its own marks."""
    found = fit_evidence(heads, maps_of, learning, settings.mirror, np.random.default_rng(settings.seed))
    return {x.part.hash: values[0].clone() for x, values in zip(learning, found, strict=True)}


def _runnable(
    frozen: Basis, net: Whole, intake: Intake, settings: TrainSettings
) -> tuple[Backbone, Trunk, bytes | None]:
    """The fine-tuned trunk as a backbone, as what runs here, and as ONNX."""
    source = tuned_backbone(frozen.source, net.trunk.net)
    exported = export_trunk(source, None if source.any_size else (intake.size.height, intake.size.width))
    if frozen.int8:
        from sightline.train.quantise import int8_trunk  # most trainings need no quantiser

        exported = int8_trunk(settings, intake, exported)
    elif torch.cuda.is_available():
        return source, TorchTrunk(source, "cuda"), exported
    return source, OnnxTrunk(source, settings.threads, exported), exported


def tuned_backbone(source: Backbone, net: nn.Module) -> Backbone:
    """A backbone whose network is a copy of this one, told from others by its weights."""
    kept = copy.deepcopy(net).eval().requires_grad_(False)
    total = hashlib.sha256()
    for value in kept.state_dict().values():
        total.update(value.cpu().numpy().tobytes())
    identity = f"{source.identity}-tuned-{total.hexdigest()[:12]}"
    return source._replace(load=lambda: copy.deepcopy(kept), identity=identity)


def _learned(
    before: Learned,
    heads: Recogniser,
    maps_of: KeptMaps,
    labelled: list[Labelled],
    split: Split,
    settings: TrainSettings,
    by_unit: bool,
) -> Learned:
    """What the heads are worth on the fine-tuned trunk, by the parts that neither taught nor stopped it."""
    words = before.words
    if not words.types:
        return Learned(heads, words, None, {}, {}, before.settings)
    logits = np.full((len(labelled), len(words.types) + 1), np.nan)
    for index in split.judging:
        logits[index], _ = answer_of(heads, maps_of, labelled[index])
    card = judge_known(heads, labelled, logits, words, settings, by_unit)
    return Learned(heads, words, card, replay(heads, maps_of, labelled, logits), before.reasons, before.settings)


def _tuning(attempt: _Attempt, guard: tuple[float, float] | None) -> Tuning:
    best, before = attempt.course.best, attempt.frozen
    return Tuning(
        epochs=len(attempt.course.figures) - 1,
        best_epoch=attempt.course.best_epoch,
        stopping=best.value,
        stopping_parts=best.parts,
        recall=attempt.tuned.value,
        recall_frozen=before.value,
        parts=before.parts,
        guard=None if guard is None else guard[1],
        guard_frozen=None if guard is None else guard[0],
    )
