"""The classifier: which known defects a part carries, where, and how good it is, from the backbone's maps.

A pyramid of 1x1 convolutions (Lin et al., CVPR 2017, reduced) brings every map to the finest grid, one 3x3 convolution
mixes it, and a 1x1 convolution gives a class map. The type of the whole part comes from the class map's hottest cells,
from the maps' means and deviations, and from the evidence of single cells: linear discriminants with one covariance
(Fisher, Annals of Eugenics 7, 1936), which a few marked examples are enough for. The grade comes from the means and
deviations: linearly while the backbone learns with it, and else by a kernel over labelled parts. The backbone stays
as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sightline.models.arrays import enlarge
from sightline.models.losses import ordered_thresholds
from sightline.models.memory_bank import top_count

HOTTEST = (0.005, 0.1)  # shares of cells: a small defect, and one all over the part
EVIDENT = (0.005, 0.1)  # shares of cells that evidence is read from
CLEAR = 1.3  # evidence (asinh of 1.7 deviations above good parts) from which on it speaks for a type
TRUST = 2.0  # in the evidence of the hottest cells, before anything is learned
EPS = 1e-5


@dataclass(frozen=True)
class Recognised:
    """Logits of the classes (N, K + 1), class 0 being good; class map logits (N, K + 1, h, w); what a grade's
    thresholds are compared with (N,), None without grades.
    """

    types: Tensor
    class_map: Tensor
    quality: Tensor | None


class Standardised(nn.Module):
    """Mean and standard deviation of features over the training parts, fitted once: (N, C) or (N, C, h, w) -> same."""

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def fit(self, values: Tensor) -> None:
        """Values (P, C)."""
        self.mean = values.mean(0)
        self.scale = values.std(0, correction=0).clamp_min(EPS + 1e-2 * values.std())

    def forward(self, values: Tensor) -> Tensor:
        shape = (1, -1) + (1,) * (values.ndim - 2)
        return (values - self.mean.view(shape)) / self.scale.view(shape)


class Classifier(nn.Module):
    """Backbone maps {name: (N, C, h, w)} -> Recognised. `names` from the finest map to the coarsest, `channels` of
    each.

    `types` is K, the number of defect types; `grades` the number of grades, 0 for none. `exclusive` says that a part
    carries one type at most, so that types compete with each other and with good. `temperature` divides the logits of
    the types, `thresholds` (grades - 1,) split the quality into grades. `default` and `scale` are those of the
    LDA scores of good parts, `trust` what each share of cells counts; `centre` and `inverse` are those of good cells,
    from which the LDA of one more type can be found. `kernel_ordinal`, once there is one, gives the quality and
    its thresholds.
    """

    temperature: Tensor
    default: Tensor
    scale: Tensor
    centre: Tensor
    inverse: Tensor
    kernel_ordinal: KernelOrdinal | None

    def __init__(
        self, names: tuple[str, ...], channels: tuple[int, ...], types: int, grades: int, exclusive: bool, width: int
    ) -> None:
        super().__init__()
        self.names, self.channels, self.exclusive = names, channels, exclusive
        self.standard = nn.ModuleList(Standardised(count) for count in channels)
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.classes = nn.Conv2d(width, types + 1, 1)
        pooled = 2 * sum(channels)
        self.pooled = Standardised(pooled)
        self.whole = nn.Linear(pooled, types + 1)
        self.hottest = nn.Linear(len(HOTTEST) * (types + 1), types + 1, bias=False)
        for layer in (self.whole, self.hottest):  # evidence speaks first, for it is what few parts can teach
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.whole.bias)
        self.quality = nn.Linear(pooled, 1, bias=False) if grades else None
        self.kernel_ordinal = None
        self.lda = nn.ModuleList(nn.Conv2d(count, types, 1, bias=False) for count in channels if types)
        for direction in self.lda.requires_grad_(False).parameters():
            nn.init.zeros_(direction)
        self.register_buffer("default", torch.zeros(len(EVIDENT) * types))
        self.register_buffer("scale", torch.ones(len(EVIDENT) * types))
        self.register_buffer("centre", torch.zeros(sum(channels)))
        self.register_buffer("inverse", torch.eye(sum(channels)))
        self.trust = nn.Parameter(torch.tensor([TRUST, *[0.0] * (len(EVIDENT) - 1)]))
        self.steps = nn.Parameter(torch.tensor([0.0, *[1.0] * (grades - 2)][: max(0, grades - 1)]))
        self.register_buffer("temperature", torch.ones(()))

    @property
    def standards(self) -> list[Standardised]:
        """What standardises each map, in the maps' order."""
        return [module for module in self.standard if isinstance(module, Standardised)]

    @property
    def thresholds(self) -> Tensor:
        """Ordered thresholds (grades - 1,) of `models.losses.ordered_thresholds`."""
        return ordered_thresholds(self.steps) if self.kernel_ordinal is None else self.kernel_ordinal.thresholds

    def describe(self, maps: dict[str, Tensor]) -> Tensor:
        """Means and standard deviations of every map (N, 2 * sum of C), as they are."""
        return torch.cat([part for name in self.names for part in _moments(maps[name])], dim=1)

    @property
    def base(self) -> str:
        """The map whose grid evidence is read on: the second finest, for the finest is mostly texture."""
        return self.names[min(1, len(self.names) - 1)]

    def evident(self, maps: dict[str, Tensor]) -> Tensor:
        """Evidence for each type in the maps' hottest cells (N, shares * K): asinh of deviations above good parts.

        The asinh keeps the order and lets no single value outweigh all that is learned.
        """
        if not len(self.lda):
            return self.default.new_zeros(len(maps[self.base]), 0)
        levels = zip(self.names, self.standard, self.lda, strict=True)
        found = [enlarge(direction(standard(maps[name])), maps[self.base]) for name, standard, direction in levels]
        return self.compare(hottest(torch.stack(found).sum(0), EVIDENT))

    def compare(self, hot: Tensor) -> Tensor:
        """Hottest cells (N, shares * K) -> evidence, against that of good parts."""
        return torch.asinh((hot - self.default) / self.scale)

    def lda_logits(self, evident: Tensor) -> Tensor:
        """Evidence (N, shares * K) -> what it adds to the classes' logits (N, K + 1)."""
        shares = evident.view(len(evident), len(self.trust), self.whole.out_features - 1) - CLEAR
        return F.pad((self.trust[:, None] * shares).sum(1), (1, 0))

    def forward(self, maps: dict[str, Tensor], drop: float = 0.0, evident: Tensor | None = None) -> Recognised:
        """`drop` is the share of the pooled features that are left out at random, while training.

        `evident` stands in for what the maps say, where it was found without the part itself.
        """
        mixed = top_down(maps, self.names, self.standard, self.lateral)
        class_map = self.classes(F.relu(mixed + self.mix(mixed)))
        pooled = F.dropout(self.pooled(self.describe(maps)), drop, self.training)
        types = self.whole(pooled) + self.hottest(hottest(class_map))
        types = types + self.lda_logits(self.evident(maps) if evident is None else evident)
        return Recognised(types, class_map, self._quality(pooled))

    def _quality(self, pooled: Tensor) -> Tensor | None:
        if self.kernel_ordinal is not None:
            return self.kernel_ordinal.forward(pooled)
        return None if self.quality is None else self.quality(pooled)[:, 0]

    def type_logits(self, types: Tensor) -> Tensor:
        """Class logits (N, K + 1) -> calibrated logits of each type (N, K), against good where types are exclusive."""
        return (types[:, 1:] - types[:, :1] if self.exclusive else types[:, 1:]) / self.temperature

    def grade(self, quality: Tensor) -> Tensor:
        """Expected grade (N,): the sum of the probabilities that the grade lies above each threshold."""
        return torch.sigmoid(quality[:, None] - self.thresholds).sum(1)


def top_down(maps: dict[str, Tensor], names: Sequence[str], standard: nn.ModuleList, lateral: nn.ModuleList) -> Tensor:
    """Maps {name: (N, C, h, w)}, standardised and reduced, added from the coarsest to the finest: (N, width, h, w) on
    the finest grid.
    """
    mixed: Tensor | None = None
    for name, standardise, reduce in reversed(list(zip(names, standard, lateral, strict=True))):
        values: Tensor = reduce(standardise(maps[name]))
        mixed = values if mixed is None else F.relu(enlarge(mixed, values) + values)
    assert mixed is not None
    return mixed


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the grid: (N, C, h, w) -> two of (N, C)."""
    mean = values.mean((2, 3))
    return mean, (values.square().mean((2, 3)) - mean.square()).clamp_min(EPS).sqrt()


def hottest(class_map: Tensor, shares: tuple[float, ...] = HOTTEST) -> Tensor:
    """Class map (N, K, h, w) -> mean of each class's hottest cells, for each share (N, shares * K)."""
    flat = class_map.flatten(2)
    counts = [top_count(share, flat.shape[2]) for share in shares]
    ranked = flat.topk(max(counts), dim=2).values
    return torch.cat([ranked[..., :count].mean(2) for count in counts], dim=1)


# Kernel ordinal regression: how much a part is like parts whose grade is known.
#
# Grades follow no single direction in feature space: a finger that is broken and a cell that is cracked are both
# worse, in different ways. A Gaussian kernel machine lets each known part speak for what is like it (Schoelkopf and
# Smola, Learning with Kernels, 2002), under the same ordered thresholds as a linear quality (docs/decisions/0030).


class KernelOrdinal(nn.Module):
    """Standardised pooled features (N, D) -> quality (N,), larger is worse.

    `centres` (S, D) are known parts, `weights` (S,) what similarity to each adds, `narrowness` () divides distances: a
    part counts exp(-narrowness * |x - centre|^2). `thresholds` (grades - 1,) split the quality into grades.
    """

    centres: Tensor
    weights: Tensor
    thresholds: Tensor
    narrowness: Tensor

    def __init__(self, centres: Tensor, weights: Tensor, thresholds: Tensor, narrowness: float) -> None:
        super().__init__()
        self.register_buffer("centres", centres)
        self.register_buffer("weights", weights)
        self.register_buffer("thresholds", thresholds)
        self.register_buffer("narrowness", torch.tensor(narrowness))

    def forward(self, pooled: Tensor) -> Tensor:
        return alike(pooled, self.centres, float(self.narrowness)) @ self.weights


def alike(values: Tensor, centres: Tensor, narrowness: float) -> Tensor:
    """exp(-narrowness * |x - s|^2) of values (N, D) and centres (S, D): (N, S), 1 where they are the same."""
    halves = 0.5 * centres.square().sum(1)
    near = torch.addmm(-halves, values, centres.T) - 0.5 * values.square().sum(1, keepdim=True)
    return (2 * narrowness * near).clamp_max(0).exp()
