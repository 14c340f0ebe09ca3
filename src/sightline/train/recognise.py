"""Learning to recognise known defects on the frozen trunk: a plain loop over labelled parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sightline.models.recogniser import Recognised, Recogniser
from sightline.train.intake import Intake, Part
from sightline.train.kept_maps import KeptMaps
from sightline.train.labels import Vocabulary, place_map
from sightline.train.patches import Progress
from sightline.train.settings import TrainSettings

BATCH = 16
LEAST_STEPS = 200  # a handful of parts is seen often, thousands a dozen times
EPOCHS = {"quick": 5, "normal": 12, "max": 30}
GOOD_SHARE = 8  # parts that count towards the steps, for each defective one
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 1e-4
WARM_UP = 0.15  # of the steps
DROP = 0.3  # of the pooled features, at random
MARKED_WEIGHT = 4.0  # of a marked cell beside an unmarked one: marks are small
BALANCE = 0.5  # power of the class counts that parts are drawn by: 0 as they come, 1 every class equally often
MOST_MOMENTS = 512  # parts that means and spreads of features are taken from


@dataclass(frozen=True)
class Labelled:
    """One part as the recogniser learns it: image (H, W, 3) uint8, classes (K + 1,) bool, None where nobody has said,
    cells (K + 1, h, w), None where nothing is marked, and grade, -1 where there is none.
    """

    part: Part
    image: NDArray[np.uint8]
    classes: NDArray[np.bool_] | None
    cells: NDArray[np.float32] | None
    grade: int


def label_parts(intakes: Iterable[Intake], words: Vocabulary, grid: tuple[int, int]) -> list[Labelled]:
    """The intakes' readable parts with their labels; `grid` (h, w) is that of the trunk's finest map."""
    found = []
    for intake, part in [(source, part) for source in intakes for part in source.parts]:
        prepared = intake(part)
        if prepared is None:
            continue
        cells = place_map(part.sample, prepared.placements[0], words, grid)
        grade = part.sample.grade if words.grades and part.sample.grade is not None else -1
        found.append(Labelled(part, prepared.images[0], words.classes(part.sample), cells, grade))
    return found


def fit_recogniser(
    maps_of: KeptMaps, labelled: list[Labelled], words: Vocabulary, settings: TrainSettings, progress: Progress
) -> Recogniser:
    """A recogniser of the types and grades in `words`, learned from these parts, the trunk untouched."""
    rng = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)
    net, prior = _start(maps_of, labelled, words, settings)
    steps = max(LEAST_STEPS, EPOCHS[settings.effort] * pass_size(labelled) // BATCH)
    flips = 0.0 if "flip" in settings.augment_without else 0.5
    optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=WARM_UP)
    net.train()
    for step, batch in enumerate(_batches(labelled, steps, rng)):
        progress("learning known defects", step, steps)
        mirrored = rng.random(len(batch)) < flips
        said = net(maps_of.batch([(x.part.hash, x.image, bool(m)) for x, m in zip(batch, mirrored, strict=True)]), DROP)
        loss = known_loss(net, said, batch, mirrored, prior)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def pass_size(labelled: list[Labelled]) -> int:
    """Parts in one pass: all of them, but good parts beyond a few per defect need not come every time."""
    defects = sum(bool(x.part.sample.defective) for x in labelled)
    graded = sum(x.grade >= 0 for x in labelled)
    return min(len(labelled), max(GOOD_SHARE * defects, graded))


def _start(
    maps_of: KeptMaps, labelled: list[Labelled], words: Vocabulary, settings: TrainSettings
) -> tuple[Recogniser, Tensor]:
    """An untrained recogniser that knows the features' means and spreads, and the log of the classes' shares."""
    spread = np.linspace(0, len(labelled) - 1, min(len(labelled), MOST_MOMENTS)).astype(int)
    found = [maps_of(labelled[i].part.hash, labelled[i].image, False) for i in spread]
    channels = tuple(found[0][name].shape[1] for name in maps_of.names)
    net = Recogniser(
        maps_of.names, channels, len(words.types), len(words.grades), words.exclusive, settings.recogniser_width
    )
    for name, standard in zip(maps_of.names, net.standards, strict=True):
        # Every eleventh cell: neighbours say the same.
        standard.fit(torch.cat([maps[name].float().flatten(2)[0, :, ::11].T for maps in found]))
    net.pooled.fit(torch.cat([net.describe({name: x.float() for name, x in maps.items()}) for maps in found]))
    counts = _counts(labelled, words)
    return net, torch.from_numpy(np.log(counts**BALANCE / (counts**BALANCE).sum())).float()


def _counts(labelled: list[Labelled], words: Vocabulary) -> NDArray[np.float64]:
    """How many parts carry each class, at least a half."""
    said = [x.classes for x in labelled if x.classes is not None]
    return np.maximum(np.sum(said, axis=0, dtype=np.float64), 0.5) if said else np.ones(len(words.types) + 1)


def _batches(labelled: list[Labelled], steps: int, rng: np.random.Generator) -> Iterator[list[Labelled]]:
    classes = [None if x.classes is None else tuple(x.classes) for x in labelled]
    counts = {said: classes.count(said) for said in set(classes)}
    share = np.array([counts[said] ** -BALANCE for said in classes])
    share /= share.sum()
    for _ in range(steps):
        yield [labelled[index] for index in rng.choice(len(labelled), BATCH, p=share)]


def known_loss(
    net: Recogniser, said: Recognised, batch: list[Labelled], mirrored: NDArray[np.bool_], prior: Tensor
) -> Tensor:
    """The sum of what can be said about each part: its types, its places, its grade; on the device of what was `said`.

    `mirrored` (N,) tells parts whose image was mirrored from left to right, and whose cells are not yet.
    """
    device = said.types.device
    total = said.types.sum() * 0
    known = [index for index, x in enumerate(batch) if x.classes is not None]
    if known:
        truth = torch.from_numpy(np.array([batch[index].classes for index in known])).float().to(device)
        total = total + _type_loss(said.types[known], truth, prior, net.exclusive)
    marked = [index for index, x in enumerate(batch) if x.cells is not None]
    if marked:
        cells = [batch[i].cells[..., ::-1] if mirrored[i] else batch[i].cells for i in marked]  # type: ignore[index]
        total = total + _place_loss(said.places[marked], torch.from_numpy(np.ascontiguousarray(cells)).to(device))
    graded = [index for index, x in enumerate(batch) if x.grade >= 0]
    if graded and said.quality is not None:
        grade = torch.tensor([batch[index].grade for index in graded], device=device)
        above = (grade[:, None] > torch.arange(len(net.thresholds), device=device)).float()
        total = total + F.binary_cross_entropy_with_logits(said.quality[graded][:, None] - net.thresholds, above)
    return total


def _type_loss(logits: Tensor, truth: Tensor, prior: Tensor, exclusive: bool) -> Tensor:
    if not exclusive:
        return F.binary_cross_entropy_with_logits(logits[:, 1:], truth[:, 1:])
    # Logit adjustment (Menon et al., ICLR 2021): rare classes are not bought off by frequent ones.
    return F.cross_entropy(logits + prior, truth / truth.sum(1, keepdim=True).clamp_min(1), label_smoothing=0.02)


def _place_loss(logits: Tensor, cells: Tensor) -> Tensor:
    """Cross-entropy per cell, marked ones weighted up, and soft Dice (Milletari et al., 3DV 2016) of the whole mark."""
    logits = F.interpolate(logits, size=cells.shape[-2:], mode="bilinear", align_corners=False)
    marked = 1 - cells[:, 0]
    entropy = -(cells * F.log_softmax(logits, 1)).sum(1) * (1 + MARKED_WEIGHT * marked)
    seen = 1 - logits.softmax(1)[:, 0]
    overlap = (2 * (seen * marked).sum((1, 2)) + 1) / (seen.sum((1, 2)) + marked.sum((1, 2)) + 1)
    some = marked.amax((1, 2)) > 0
    return entropy.mean() + (0.5 * (1 - overlap[some]).mean() if some.any() else 0.0)
