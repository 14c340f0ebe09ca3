"""What a recipe stands on: the pretrained backbone, or one that was fine-tuned and is better without losing the
guard.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sightline.core.card import Tuning
from sightline.core.progress import Progress
from sightline.models.backbone import Backbone
from sightline.models.classifier import Classifier
from sightline.train.anomaly.fitting import FittedModel, fit_anomaly_head
from sightline.train.anomaly.memory_bank import Maps
from sightline.train.backbone.cache import CachedMaps
from sightline.train.backbone.extractor import FeatureExtractor, OnnxExtractor
from sightline.train.backbone.torch_extractor import TorchExtractor, export_backbone
from sightline.train.classify.classifier import fit_classifier
from sightline.train.classify.detector import learn_boxes
from sightline.train.classify.grades import fit_kernel_ordinal
from sightline.train.classify.lda import fit_lda
from sightline.train.classify.validation import MIN_GOOD, Learned, answer_of, labelled_parts, validate_labelled_defects
from sightline.train.finetune.batches import Split, Views, split_parts
from sightline.train.finetune.loop import Course, fine_tune
from sightline.train.finetune.network import JointNetwork
from sightline.train.finetune.validation import ValidationScore, validation_score_of
from sightline.train.images.loader import ImageLoader, warn
from sightline.train.labels.targets import Labelled, LabelMap
from sightline.train.settings import TrainSettings
from sightline.train.teach.replay import replay

GUARD_LOSS = 0.02  # of the mean of AUROC and AUPRO on synthetic defects, that is more than noise: the guard comes first


@dataclass(frozen=True)
class _Attempt:
    """A fine-tuned network, how it went, and the figures of the judging parts after it and before."""

    net: JointNetwork
    course: Course
    tuned: ValidationScore
    frozen: ValidationScore

    @property
    def story(self) -> str:
        """What was done, in words."""
        best, figure = self.course.best, "mean recall" if self.net.boxes is None else "mean of recall and boxes' mAP50"
        return (
            f"{len(self.course.figures) - 1} epochs of fine-tuning, the best is number {self.course.best_epoch} with a "
            f"{figure} of {best.value:.3f} on {best.parts} parts; on {self.tuned.parts} others "
            f"{self.tuned.value:.3f}, frozen {self.frozen.value:.3f}"
        )


def choose_backbone(
    frozen: FittedModel, loaders: Sequence[ImageLoader], settings: TrainSettings, progress: Progress, by_unit: bool
) -> tuple[FittedModel, dict[str, str]]:
    """The frozen basis, or a fine-tuned one where that calls unseen groups better; and why. Raises TrainingError.

    `loaders` are those of the good parts and of the known defects.
    """
    if settings.backbone_training == "frozen":
        return frozen, {}
    if frozen.learned is None:
        warn("the backbone stays frozen: fine-tuning learns from defect types or grades, and the labels name none")
        return frozen, {"backbone": "frozen: no labels to fine-tune with"}
    if not by_unit and any(part.sample.group or part.sample.lot for loader in loaders for part in loader.parts):
        warn("the backbone stays frozen: some good parts have no group or lot, or there are too few of them, so twins "
             "could stand on both sides. Give every part its group")  # fmt: skip
        return frozen, {"backbone": "frozen: groups are given for some parts only, or too few"}
    labelled = labelled_parts(frozen.extractor, frozen.source, loaders, frozen.learned.label_map)
    split = split_parts(labelled, settings.seed)
    if split is None or _few_good(labelled, split):
        warn("the backbone stays frozen: too few parts or groups to hold some out from fine-tuning. Label more parts")
        return frozen, {"backbone": "frozen: too few parts or groups to hold some out from fine-tuning"}
    attempt = _attempt(frozen, frozen.learned, labelled, split, settings, progress)
    if attempt.course.best_epoch == 0 or attempt.tuned.value <= attempt.frozen.value:
        return frozen, {"backbone": f"frozen: fine-tuned is no better; {attempt.story}"}
    unseen = frozenset(labelled[index].part.hash for index in split.stopping + split.judging)
    source, extractor, exported = _runnable(frozen, attempt.net, loaders[0], settings)
    before = fit_anomaly_head(
        Maps(frozen.extractor, frozen.source), _own(loaders[0]), settings, progress, unseen
    ).validation_score
    fitted = fit_anomaly_head(Maps(extractor, source), _own(loaders[0]), settings, progress, unseen)
    guard = f"AUROC and AUPRO of the guard on synthetic defects {fitted.validation_score:.3f}, frozen {before:.3f}"
    guard = guard if settings.drawings else "the guard was not compared: no defects were drawn"
    if fitted.validation_score < before - GUARD_LOSS:
        return frozen, {"backbone": f"frozen: the guard would lose; {attempt.story}; {guard}"}
    maps_of = CachedMaps(extractor, source)
    learned = _learned(frozen.learned, attempt.net.heads, maps_of, labelled, split, settings, by_unit)
    learned = learned.with_boxes(attempt.net.boxes)
    tuning = _tuning(attempt, (before, fitted.validation_score) if settings.drawings else None)
    fitted_model = FittedModel(source, extractor, exported, frozen.int8, fitted, learned, unseen, tuning)
    return fitted_model, {"backbone": f"fine-tuned: {attempt.story}; {guard}"}


def _few_good(labelled: list[Labelled], split: Split) -> bool:
    """Whether too few good parts judge; sets without any decide without them (docs/decisions/0019)."""
    good = [not x.part.sample.defective for x in labelled]
    return any(good) and sum(good[index] for index in split.judging) < MIN_GOOD


def _own(loader: ImageLoader) -> ImageLoader:
    """The same parts in a list of their own: what an attempt leaves out stays in the recipe's account."""
    copied = copy.copy(loader)
    copied.parts = list(loader.parts)
    return copied


def _attempt(
    frozen: FittedModel,
    learned: Learned,
    labelled: list[Labelled],
    split: Split,
    settings: TrainSettings,
    progress: Progress,
) -> _Attempt:
    """Heads on the frozen backbone and both together, judged on the same parts."""
    learning, stopping, judging = (
        [labelled[index] for index in side] for side in (split.learning, split.stopping, split.judging)
    )
    settings = learned.settings or settings
    maps_of = CachedMaps(frozen.extractor, frozen.source)
    before, net, course = tune(maps_of, frozen.source, learned.label_map, (learning, stopping), settings, progress)
    counts = Views(learning, settings).counts(net.heads.classes.out_channels)
    was = validation_score_of(before, judging, counts)
    return _Attempt(net, course, validation_score_of(net, judging, counts), was)


def tune(
    maps_of: CachedMaps,
    source: Backbone,
    label_map: LabelMap,
    sides: tuple[list[Labelled], list[Labelled]],
    settings: TrainSettings,
    progress: Progress,
) -> tuple[JointNetwork, JointNetwork, Course]:
    """Heads on the frozen backbone `source`, then both together, from the same parts; and how that went.

    `sides` are the parts that are learned from and those that say when to stop. Raises TrainingError.
    """
    learning, stopping = sides
    heads = fit_classifier(maps_of, learning, label_map, settings, progress)
    boxes = learn_boxes(maps_of, learning, label_map, source, settings, progress)
    evident = _lda_features(heads, maps_of, learning, settings)
    net, course = fine_tune(source, heads, learning, stopping, settings, progress, evident, boxes)
    net = net.cpu()
    if course.best_epoch:
        tuned = tuned_backbone(source, net.extractor.net)
        maps_of = CachedMaps(TorchExtractor(tuned), tuned)
        _lda_features(net.heads, maps_of, learning, settings)
        fit_kernel_ordinal(net.heads.eval(), maps_of, learning, settings.seed)
    return JointNetwork(source, heads, boxes).eval(), net, course


def _lda_features(
    heads: Classifier, maps_of: CachedMaps, learning: list[Labelled], settings: TrainSettings
) -> dict[str, Tensor]:
    """Finds the evidence of the heads on a backbone; gives, by hash, that of each part without its own marks."""
    found = fit_lda(heads, maps_of, learning, settings.mirror, np.random.default_rng(settings.seed))
    return {x.part.hash: values[0].clone() for x, values in zip(learning, found, strict=True)}


def _runnable(
    frozen: FittedModel, net: JointNetwork, loader: ImageLoader, settings: TrainSettings
) -> tuple[Backbone, FeatureExtractor, bytes | None]:
    """The fine-tuned backbone as a backbone, as what runs here, and as ONNX."""
    source = tuned_backbone(frozen.source, net.extractor.net)
    exported = export_backbone(source, None if source.any_size else (loader.size.height, loader.size.width))
    if frozen.int8:
        from sightline.train.backbone.quantise import int8_backbone  # most trainings need no quantiser

        exported = int8_backbone(settings, loader, exported)
    elif torch.cuda.is_available():
        return source, TorchExtractor(source, "cuda"), exported
    return source, OnnxExtractor(source, settings.threads, exported), exported


def tuned_backbone(source: Backbone, net: nn.Module) -> Backbone:
    """A backbone whose network is a copy of this one, told from others by its weights."""
    snapshot = copy.deepcopy(net).eval().requires_grad_(False)
    total = hashlib.sha256()
    for value in snapshot.state_dict().values():
        total.update(value.cpu().numpy().tobytes())
    identity = f"{source.identity}-tuned-{total.hexdigest()[:12]}"
    return source._replace(load=lambda: copy.deepcopy(snapshot), identity=identity)


def _learned(
    before: Learned,
    heads: Classifier,
    maps_of: CachedMaps,
    labelled: list[Labelled],
    split: Split,
    settings: TrainSettings,
    by_unit: bool,
) -> Learned:
    """What the heads are worth on the fine-tuned backbone, by the parts that neither taught nor stopped it."""
    label_map = before.label_map
    if not label_map.types:
        return Learned(heads, label_map, None, {}, {}, before.settings)
    logits = np.full((len(labelled), len(label_map.types) + 1), np.nan)
    for index in split.judging:
        logits[index], _ = answer_of(heads, maps_of, labelled[index])
    card = validate_labelled_defects(heads, labelled, logits, label_map, settings, by_unit)
    return Learned(heads, label_map, card, replay(heads, maps_of, labelled, logits), before.reasons, before.settings)


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
