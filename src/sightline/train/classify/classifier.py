"""Learning to recognise known defects on the frozen backbone: a plain loop over labelled parts; grades are solved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sightline.core.progress import Progress
from sightline.models.classifier import Classifier, Recognised
from sightline.models.losses import LOSSES, asymmetric_loss, cumulative_link_loss, logit_adjusted_cross_entropy
from sightline.train.backbone.cache import CachedMaps
from sightline.train.classify.grades import fit_kernel_ordinal
from sightline.train.classify.lda import fit_lda
from sightline.train.labels.synthetic import make_copies, make_synthetic_defects
from sightline.train.labels.targets import Labelled, LabelMap
from sightline.train.settings import TrainSettings

MIN_STEPS = 200  # a handful of parts is seen often, thousands a dozen times
QUICK_SHARE = 0.3  # of them, with effort quick
EPOCHS = {"quick": 5, "normal": 12, "max": 30}
GOOD_SHARE = 8  # parts that count towards the steps, for each defective one
WEIGHT_DECAY = 1e-4
WARM_UP = 0.15  # of the steps
DROP = 0.3  # of the pooled features, at random
BALANCE = 0.5  # power of the class counts that parts are drawn by: 0 as they come, 1 every class equally often
ENOUGH = 10  # examples of a type from which on what was learned counts by half and more
MAX_MOMENTS = 512  # parts that means and spreads of features are taken from


def fit_classifier(
    maps_of: CachedMaps, labelled: list[Labelled], label_map: LabelMap, settings: TrainSettings, progress: Progress
) -> Classifier:
    """A classifier of the types and grades in `label_map`, learned from these parts, the backbone untouched.

    Synthetic defects are learned from only where the settings say `always`: whether they help, `learn_labelled_defects`
    finds out.
    """
    rng = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)
    net = _start(maps_of, labelled, label_map, settings)
    if label_map.types:  # else there are grades alone, which are solved, not learned step by step
        synthetic = make_synthetic_defects(labelled, label_map, rng) if settings.synthetic_defects == "always" else []
        synthetic += make_copies(labelled, settings.augment, settings.augment_without, rng)
        evident = fit_lda(net, maps_of, labelled, settings.mirror, rng, synthetic)
        _learn(net, maps_of, [*labelled, *synthetic], evident, settings, rng, progress)
        _moderate(net, torch.from_numpy(_counts(labelled, len(label_map.types) + 1)[1:]).float())
    fit_kernel_ordinal(net.eval(), maps_of, labelled, settings.seed)
    return net


def _learn(
    net: Classifier,
    maps_of: CachedMaps,
    labelled: Sequence[Labelled],
    evident: Tensor,
    settings: TrainSettings,
    rng: np.random.Generator,
    progress: Progress,
) -> None:
    counts = torch.from_numpy(_counts(labelled, net.classes.out_channels) ** (1 - BALANCE))
    steps, rate = _steps(labelled, settings), settings.classifier_rate
    learned = [values for values in net.parameters() if values.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=WARM_UP)
    net.train()
    for step, chosen in enumerate(_draws(labelled, steps, settings.classifier_batch, rng)):
        progress("learning known defects", step, steps)
        batch = [labelled[index] for index in chosen]
        mirrored = rng.random(len(batch)) < (0.5 if settings.mirror else 0.0)
        maps = maps_of.batch([(x.part.hash, x.image, bool(m)) for x, m in zip(batch, mirrored, strict=True)])
        predicted = net(maps, DROP, evident[torch.from_numpy(chosen), torch.from_numpy(mirrored.astype(int))])
        loss = objective(net, predicted, batch, mirrored, counts, settings.loss)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _steps(labelled: Sequence[Labelled], settings: TrainSettings) -> int:
    least = round(MIN_STEPS * (QUICK_SHARE if settings.effort == "quick" else 1))
    return max(least, EPOCHS[settings.effort] * pass_size(labelled) // settings.classifier_batch)


@torch.no_grad()
def _moderate(net: Classifier, examples: Tensor) -> None:
    """What was learned of a type counts by how many examples (K,) taught it, beside its evidence, which needs few."""
    share = (examples**3 / (examples**3 + ENOUGH**3))[:, None]
    for layer in (net.whole, net.hottest):
        good = layer.weight[:1] if net.exclusive else torch.zeros_like(layer.weight[:1])
        layer.weight[1:] = good + share * (layer.weight[1:] - good)
    good = net.whole.bias[:1] if net.exclusive else torch.zeros(1)
    net.whole.bias[1:] = good + share[:, 0] * (net.whole.bias[1:] - good)


def pass_size(labelled: Sequence[Labelled]) -> int:
    """Parts in one pass: all of them, but good parts beyond a few per defect need not come every time."""
    defects = sum(bool(x.part.sample.defective) for x in labelled)
    graded = sum(x.grade >= 0 for x in labelled)
    return min(len(labelled), max(GOOD_SHARE * defects, graded))


def _start(
    maps_of: CachedMaps, labelled: Sequence[Labelled], label_map: LabelMap, settings: TrainSettings
) -> Classifier:
    """An untrained classifier that knows the features' means and spreads."""
    spread = np.linspace(0, len(labelled) - 1, min(len(labelled), MAX_MOMENTS)).astype(int)
    found = [maps_of(labelled[i].part.hash, labelled[i].image, False) for i in spread]
    channels = tuple(found[0][name].shape[1] for name in maps_of.names)
    net = Classifier(
        maps_of.names,
        channels,
        len(label_map.types),
        len(label_map.grades),
        label_map.exclusive,
        settings.classifier_width,
    )
    for name, standard in zip(maps_of.names, net.standards, strict=True):
        # Every eleventh cell: neighbours say the same.
        standard.fit(torch.cat([maps[name].float().flatten(2)[0, :, ::11].T for maps in found]))
    net.pooled.fit(torch.cat([net.describe({name: x.float() for name, x in maps.items()}) for maps in found]))
    return net


def _counts(labelled: Sequence[Labelled], classes: int) -> NDArray[np.float64]:
    """How many parts carry each class, at least a half."""
    predicted = [x.classes for x in labelled if x.classes is not None]
    return np.maximum(np.sum(predicted, axis=0, dtype=np.float64), 0.5) if predicted else np.ones(classes)


def _draws(
    labelled: Sequence[Labelled], steps: int, size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Indices (size,) of the parts of each batch."""
    classes = [None if x.classes is None else tuple(x.classes) for x in labelled]
    counts = {predicted: classes.count(predicted) for predicted in set(classes)}
    share = np.array([counts[predicted] ** -BALANCE for predicted in classes])
    share /= share.sum()
    for _ in range(steps):
        yield rng.choice(len(labelled), size, p=share)


# What a classifier is taught by: the sum of what can be said about each part, its types, its places, its grade.

MARKED_WEIGHT = 4.0  # of a marked cell beside an unmarked one: marks are small


def objective(
    net: Classifier,
    predicted: Recognised,
    batch: Sequence[Labelled],
    mirrored: NDArray[np.bool_],
    counts: Tensor,
    loss: str = "adjusted",
) -> Tensor:
    """The loss of a batch, on the device of what was `predicted`.

    `mirrored` (N,) tells parts whose image was mirrored from left to right, and whose cells are not yet. `counts`
    (K + 1,) are the training parts of each class, as often as they are drawn; `loss` is that of the types, by name.
    """
    device, total = predicted.types.device, predicted.types.sum() * 0
    typed = [index for index, x in enumerate(batch) if x.classes is not None]
    if typed:
        truth = torch.from_numpy(np.array([batch[index].classes for index in typed])).to(device)
        total = total + _type_loss(predicted.types[typed], truth, counts, net.exclusive, loss)
    marked = [index for index, x in enumerate(batch) if x.cells is not None]
    if marked:
        cells = [batch[i].cells[..., ::-1] if mirrored[i] else batch[i].cells for i in marked]  # type: ignore[index]
        total = total + _map_loss(predicted.class_map[marked], torch.from_numpy(np.ascontiguousarray(cells)).to(device))
    graded = [index for index, x in enumerate(batch) if x.grade >= 0]
    if graded and predicted.quality is not None:
        grade = torch.tensor([batch[index].grade for index in graded], device=device)
        total = total + cumulative_link_loss(predicted.quality[graded], net.steps, grade)
    return total


def _type_loss(logits: Tensor, truth: Tensor, counts: Tensor, exclusive: bool, name: str) -> Tensor:
    """A part whose only type is not learned carries no class, and says nothing."""
    if not exclusive:
        if name == "asymmetric":
            return asymmetric_loss(logits[:, 1:], truth[:, 1:].float())
        return F.binary_cross_entropy_with_logits(logits[:, 1:], truth[:, 1:].float())
    some = truth.any(1)
    if not some.any():
        return logits.sum() * 0
    logits, labels = logits[some], truth[some].int().argmax(1)
    # Drawn as often as the root of their counts, classes have that prior; the rest of it is taken out by the loss.
    loss = logit_adjusted_cross_entropy if name == "asymmetric" else LOSSES[name]
    return loss(logits, labels, counts)


def _map_loss(logits: Tensor, cells: Tensor) -> Tensor:
    """Cross-entropy per cell, marked ones weighted up, and soft Dice (Milletari et al., 3DV 2016) of the whole mark."""
    logits = F.interpolate(logits, size=cells.shape[-2:], mode="bilinear", align_corners=False)
    marked = 1 - cells[:, 0]
    entropy = -(cells * F.log_softmax(logits, 1)).sum(1) * (1 + MARKED_WEIGHT * marked)
    defect = 1 - logits.softmax(1)[:, 0]
    overlap = (2 * (defect * marked).sum((1, 2)) + 1) / (defect.sum((1, 2)) + marked.sum((1, 2)) + 1)
    some = marked.amax((1, 2)) > 0
    return entropy.mean() + (0.5 * (1 - overlap[some]).mean() if some.any() else 0.0)
