"""Learning boxes from those that people drew: a plain loop over parts, on the frozen backbone's maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sightline.core.progress import Progress
from sightline.models.backbone import Backbone
from sightline.models.detector import BoxHead, BoxMaps
from sightline.train.backbone.cache import CachedMaps
from sightline.train.labels.targets import BoxTargets, Labelled, LabelMap
from sightline.train.settings import TrainSettings

MIN_BOXES = 100  # drawn in all: fewer do not teach where a box ends
BATCH = 16
EPOCHS = {"quick": 4, "normal": 10, "max": 24}
MIN_STEPS = 200
WIDTH = 64
LEARNING_RATE, WEIGHT_DECAY, WARM_UP = 2e-3, 1e-3, 0.1
MIDDLE, MIN_CELLS = 0.25, 1.5  # a cell answers for a box if it is this near its centre: share of its side, or cells
NONE = 1e9  # area of a box that a cell does not answer for
MAX_MOMENTS = 256


def learn_boxes(
    maps_of: CachedMaps,
    labelled: Sequence[Labelled],
    label_map: LabelMap,
    source: Backbone,
    settings: TrainSettings,
    progress: Progress,
) -> BoxHead | None:
    """A box head where people have drawn enough boxes and settings want one."""
    if not settings.boxes or not label_map.types:
        return None
    return fit_boxes(
        maps_of, [x for x in labelled if x.boxes is not None], source, len(label_map.types), settings, progress
    )


def fit_boxes(
    maps_of: CachedMaps,
    boxed: list[Labelled],
    source: Backbone,
    types: int,
    settings: TrainSettings,
    progress: Progress,
) -> BoxHead | None:
    """A box head learned from parts whose boxes are known, the backbone untouched; None where too few boxes are
    drawn.
    """
    if sum(len(labelled_boxes(x).types) for x in boxed) < MIN_BOXES:
        return None
    rng = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)
    net = _start(maps_of, boxed, source, types)
    steps = max(MIN_STEPS, EPOCHS[settings.effort] * len(boxed) // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=WARM_UP)
    net.train()
    for step in range(steps):
        progress("learning boxes", step, steps)
        batch = [boxed[i] for i in rng.choice(len(boxed), BATCH, replace=len(boxed) < BATCH)]
        mirrored = [bool(m) for m in rng.random(BATCH) < (0.5 if settings.mirror else 0.0)]
        views = [(x.part.hash, x.image, m) for x, m in zip(batch, mirrored, strict=True)]
        boxes = [
            labelled_boxes(x).mirrored(x.image.shape[1]) if m else labelled_boxes(x)
            for x, m in zip(batch, mirrored, strict=True)
        ]
        loss = box_loss(net, net(maps_of.batch(views)), boxes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def labelled_boxes(x: Labelled) -> BoxTargets:
    """The boxes of a part whose boxes are known."""
    assert x.boxes is not None
    return x.boxes


def _start(maps_of: CachedMaps, boxed: list[Labelled], source: Backbone, types: int) -> BoxHead:
    """An untrained head that knows the features' means and spreads."""
    # From the finest map of the memory's fine level on: finer ones speak of texture.
    names = source.maps[source.maps.index(source.levels["fine"][0]) :]
    spread = np.linspace(0, len(boxed) - 1, min(len(boxed), MAX_MOMENTS)).astype(int)
    found = [maps_of(boxed[i].part.hash, boxed[i].image, False) for i in spread]
    net = BoxHead(names, tuple(found[0][name].shape[1] for name in names), types, source.stride_px, WIDTH)
    for name, standard in zip(names, net.standards, strict=True):
        standard.fit(torch.cat([maps[name].float().flatten(2)[0, :, ::7].T for maps in found]))
    return net


def box_loss(net: BoxHead, predicted: BoxMaps, targets: Sequence[BoxTargets]) -> Tensor:
    """Focal loss of the types (Lin et al., ICCV 2017), GIoU of the boxes (Rezatofighi et al., CVPR 2019), and
    cross-entropy of the fit against the boxes' IoU, of a batch; on the device of what was `predicted`.
    """
    logits = predicted.types.flatten(2)
    device = logits.device
    centres = net.centres(*predicted.fit.shape[1:])
    rows = [_assign(centres, torch.from_numpy(x.corners), net.stride_px) for x in targets]
    truth = torch.zeros(logits.shape)
    for number, (x, (which, _)) in enumerate(zip(targets, rows, strict=True)):
        cells = torch.nonzero(which >= 0)[:, 0]
        truth[number, torch.from_numpy(x.types)[which[cells]], cells] = 1
    truth, sure = truth.to(device), torch.stack([which >= 0 for which, _ in rows]).to(device)
    count = max(1, int(sure.sum()))
    share = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    total = (torch.where(truth > 0, 0.25 * (1 - share) ** 2, 0.75 * share**2) * entropy).sum() / count
    if not sure.any():
        return total
    wanted = torch.stack([sides for _, sides in rows]).to(device)[sure]
    generalised, iou = _overlap(predicted.sides.flatten(2).transpose(1, 2)[sure], wanted)
    fit = F.binary_cross_entropy_with_logits(predicted.fit.flatten(1)[sure], iou.detach())
    return total + 2 * (1 - generalised).mean() + 0.5 * fit


def _assign(centres: Tensor, corners: Tensor, stride_px: int) -> tuple[Tensor, Tensor]:
    """Which box (cells,) each cell answers for, -1 for none, and the distances (cells, 4) to its sides.

    A cell must lie inside a box and near its centre; of several boxes the smallest counts.
    """
    x, y = centres[0][:, None], centres[1][:, None]
    if not len(corners):
        return torch.full((centres.shape[1],), -1), torch.zeros(centres.shape[1], 4)
    sides = torch.stack([x - corners[:, 0], y - corners[:, 1], corners[:, 2] - x, corners[:, 3] - y], dim=-1)
    size = corners[:, 2:] - corners[:, :2]
    reach = torch.clamp(MIDDLE * size, min=MIN_CELLS * stride_px)
    middle = (corners[:, 2:] + corners[:, :2]) / 2
    near = ((x - middle[:, 0]).abs() < reach[:, 0]) & ((y - middle[:, 1]).abs() < reach[:, 1])
    area = torch.where(near & (sides.amin(-1) > 0), size.prod(1), torch.tensor(NONE))
    smallest, which = area.min(1)
    which = torch.where(smallest < NONE, which, torch.tensor(-1))
    return which, sides[torch.arange(len(which)), which.clamp_min(0)]


def _overlap(predicted: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Generalised IoU and IoU (P,) of boxes given by distances (P, 4) from the same points."""
    shared = torch.minimum(predicted, wanted)
    around = torch.maximum(predicted, wanted)
    inner = (shared[:, 0] + shared[:, 2]) * (shared[:, 1] + shared[:, 3])
    union = _area(predicted) + _area(wanted) - inner
    hull = (around[:, 0] + around[:, 2]) * (around[:, 1] + around[:, 3])
    iou = inner / union
    return iou - (hull - union) / hull, iou


def _area(sides: Tensor) -> Tensor:
    return (sides[:, 0] + sides[:, 2]) * (sides[:, 1] + sides[:, 3])
