"""Evidence for each type in single cells: linear discriminants whose covariance comes from the many good parts.

Every cell of a good part is an example of what is usual, so the covariance is known well; a type's direction then needs
the mean of its marked cells only, which five examples give. Where nobody has marked a defect, the cells that are least
like good ones stand in. Within the class of Gaussians with one covariance this is the best there is (Fisher 1936).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sightline.models.arrays import enlarge
from sightline.models.classifier import EPS, EVIDENT, Classifier, hottest
from sightline.models.memory_bank import top_count
from sightline.train.backbone.cache import CachedMaps
from sightline.train.labels.targets import Labelled

MAX_PARTS, CELLS = 256, 80  # good parts, and cells of each, that the covariance is taken from
MAX_DEFAULT = 400  # good parts that reference evidence is taken from
SHRINK = 0.3  # of the covariance, towards equal and independent: few directions are known from few parts
STRANGEST = 0.02  # share of cells of an unmarked defect
FEW = 20  # examples of a type: so few are looked at upside down, too


@torch.inference_mode()
def fit_lda(
    net: Classifier,
    maps_of: CachedMaps,
    labelled: Sequence[Labelled],
    mirror: bool,
    rng: np.random.Generator,
    synthetic: Sequence[Labelled] = (),
) -> Tensor:
    """Sets the evidence of a net whose features are standardised already.

    Gives evidence (parts, 2, shares * K) of every part, plain and mirrored, without its own marks.
    `synthetic` parts follow the labelled ones in what is found, and teach nothing: they repeat what others have shown.
    """
    good = [i for i, x in enumerate(labelled) if x.classes is None or not x.classes[1:].any()]
    centre, inverse = _good_cells(net, maps_of, [labelled[i] for i in good] or list(labelled), rng)
    types = net.classes.out_channels - 1
    if not types:
        return torch.zeros(len(labelled) + len(synthetic), 2, 0)
    own = _directions(net, maps_of, labelled, centre, inverse, mirror)
    means = [torch.stack([row for _, row in rows]).mean(0) if rows else torch.zeros_like(centre) for rows in own]
    directions = torch.stack(means)
    for conv, part in zip(net.lda, directions.split(list(net.channels), 1), strict=True):
        conv.weight.copy_(part[:, :, None, None])  # type: ignore[operator]
    without: dict[tuple[int, int], Tensor] = {}
    for kind, rows in enumerate(own):
        for index, row in rows if len(rows) > 1 else []:
            without[index, kind] = (means[kind] * len(rows) - row) / (len(rows) - 1)
    found = torch.stack(
        [_both(net, maps_of, x, i, directions, without, mirror) for i, x in enumerate([*labelled, *synthetic])]
    )
    reference = found[good[:: max(1, len(good) // MAX_DEFAULT)], 0] if good else found[:, 0]
    net.default.copy_(reference.mean(0))
    net.scale.copy_(reference.std(0, correction=0).clamp_min(EPS + 1e-2 * reference.std(correction=0)))
    net.centre.copy_(centre)
    net.inverse.copy_(inverse)
    return net.compare(found)


def _directions(
    net: Classifier,
    maps_of: CachedMaps,
    labelled: Sequence[Labelled],
    centre: Tensor,
    inverse: Tensor,
    mirror: bool,
) -> list[list[tuple[int, Tensor]]]:
    """By type, the index and the own direction (F,) of every part that carries it."""
    typed = [(index, x, x.classes) for index, x in enumerate(labelled) if x.classes is not None]
    counts = np.sum([classes for _, _, classes in typed], axis=0)
    own: list[list[tuple[int, Tensor]]] = [[] for _ in counts[1:]]
    for index, x, classes in typed:
        for kind in np.flatnonzero(classes[1:]).tolist():
            mean = _marked(net, maps_of, x, kind + 1, centre, inverse, mirror, counts[kind + 1] < FEW)
            own[kind].append((index, inverse @ (mean - centre)))
    return own


def cell_features(net: Classifier, maps: dict[str, Tensor]) -> Tensor:
    """Standardised features of one part's cells (P, F) on the grid of evidence, all maps joined."""
    like = maps[net.base]
    ready = [enlarge(s(maps[name].float()), like) for name, s in zip(net.names, net.standards, strict=True)]
    return torch.cat(ready, 1).flatten(2)[0].T


def discriminant(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (F,) and inverse of the shrunk covariance (F, F) of cells (P, F)."""
    centre = cells.mean(0)
    covariance = (cells - centre).T @ (cells - centre) / max(1, len(cells) - 1)
    level = covariance.diagonal().mean().clamp_min(EPS)
    shrunk = (1 - SHRINK) * covariance + SHRINK * level * torch.eye(len(centre))
    return centre, torch.linalg.inv(shrunk)


def strangeness(cells: Tensor, centre: Tensor, inverse: Tensor) -> Tensor:
    """Squared Mahalanobis distance (P,) of cells (P, F) from good ones."""
    offset = cells - centre
    return ((offset @ inverse) * offset).sum(1)


def _good_cells(
    net: Classifier, maps_of: CachedMaps, parts: Sequence[Labelled], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    chosen = np.linspace(0, len(parts) - 1, min(len(parts), MAX_PARTS)).astype(int)
    each = max(CELLS, MAX_PARTS * CELLS // 8 // max(1, len(chosen)))
    found = []
    for index in chosen:
        cells = cell_features(net, maps_of(parts[index].part.hash, parts[index].image, False))
        found.append(cells[torch.from_numpy(rng.permutation(len(cells))[:each])])
    return discriminant(torch.cat(found))


def _marked(
    net: Classifier,
    maps_of: CachedMaps,
    x: Labelled,
    kind: int,
    centre: Tensor,
    inverse: Tensor,
    mirror: bool,
    upside_down: bool,
) -> Tensor:
    """Mean features (F,) of the cells that carry the defect, over the part's views."""
    views = [(False, False), *([(True, False)] if mirror else []), *([(False, True)] if mirror and upside_down else [])]
    found = []
    for across, down in views:
        maps = maps_of(x.part.hash, x.image, across, down)
        cells = cell_features(net, maps)
        grid = maps[net.base].shape[2:]
        found.append(cells[_where(x, kind, cells, (grid[0], grid[1]), across, down, centre, inverse)].mean(0))
    return torch.stack(found).mean(0)


def _where(
    x: Labelled,
    kind: int,
    cells: Tensor,
    grid: tuple[int, int],
    across: bool,
    down: bool,
    centre: Tensor,
    inverse: Tensor,
) -> Tensor:
    """Indices of the cells that carry the defect: as marked, else the strangest."""
    if x.cells is not None and x.cells[kind].max() > 0:
        share = torch.from_numpy(x.cells[kind].copy())[None, None]
        share = F.adaptive_avg_pool2d(share, grid)[0, 0]
        share = share.flip(1) if across else share.flip(0) if down else share
        # A defect smaller than half a cell still belongs to the cell that has most of it.
        return torch.nonzero(share.flatten() >= min(0.5, 0.999 * float(share.max())))[:, 0]
    return strangeness(cells, centre, inverse).topk(top_count(STRANGEST, len(cells))).indices


def _both(
    net: Classifier,
    maps_of: CachedMaps,
    x: Labelled,
    index: int,
    directions: Tensor,
    without: dict[tuple[int, int], Tensor],
    mirror: bool,
) -> Tensor:
    """Hottest evidence (2, shares * K) of a part and of its mirror image."""
    rows = directions.clone()
    for kind in range(len(rows)):
        if (index, kind) in without:
            rows[kind] = without[index, kind]
    found = [hottest(lda_map(net, maps_of(x.part.hash, x.image, side), rows), EVIDENT)[0]
             for side in ((False, True) if mirror else (False,))]  # fmt: skip
    return torch.stack([found[0], found[-1]])


def lda_map(net: Classifier, maps: dict[str, Tensor], directions: Tensor) -> Tensor:
    """Evidence (1, K, h, w) of one part's maps for directions (K, F)."""
    like, total = maps[net.base], torch.zeros(())
    for name, standard, part in zip(net.names, net.standards, directions.split(list(net.channels), 1), strict=True):
        total = total + enlarge(F.conv2d(standard(maps[name].float()), part[:, :, None, None]), like)
    return total
