"""Grades by kernel ordinal regression: proportional odds on a Gaussian kernel, a convex problem that is solved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sightline.models.classifier import Classifier, KernelOrdinal, alike
from sightline.models.losses import cumulative_link_loss, ordered_thresholds
from sightline.train.backbone.cache import CachedMaps
from sightline.train.labels.targets import Labelled

MAX_CENTRES = 1024  # parts that speak for others; more are learned from all the same
PENALTY, LINE_PENALTY = 0.01, 0.1  # of the function's squared norm, per part
FLAT = 1e-8  # of the largest eigenvalue: directions in which the centres do not differ
STEPS = 200


@torch.no_grad()
def fit_kernel_ordinal(net: Classifier, maps_of: CachedMaps, labelled: Sequence[Labelled], seed: int) -> None:
    """Give the network what tells grades, from the parts that have one: a kernel ordinal regression, and the straight
    line that fine-tuning starts from. Nothing happens where grades are not learned or all parts have the same.
    """
    graded = [x for x in labelled if x.grade >= 0]
    if net.quality is None or len({x.grade for x in graded}) < 2:
        return
    found = [{n: m.float() for n, m in maps_of(x.part.hash, x.image, False).items()} for x in graded]
    pooled = torch.cat([net.pooled(net.describe(maps)) for maps in found]).double()
    grades, scale = torch.tensor([x.grade for x in graded]), pooled.shape[1] ** -0.5
    weights, steps = _solve(pooled * scale, grades, len(net.steps), LINE_PENALTY)
    net.quality.weight.copy_(scale * weights)
    net.steps.copy_(steps)
    net.kernel_ordinal = _kernel_ordinal(pooled, grades, len(net.steps), seed)


def _kernel_ordinal(pooled: Tensor, grades: Tensor, count: int, seed: int) -> KernelOrdinal:
    """Kernel proportional odds on features (N, D) float64 and grades (N,) with `count` thresholds.

    The cumulative link loss of a function in the kernel's space, its squared norm held down. Beyond `MAX_CENTRES`
    parts it is spanned by as many of them (Williams and Seeger, NIPS 2000).
    """
    order = np.random.default_rng(seed).permutation(len(pooled))[:MAX_CENTRES]
    centres, narrowness = pooled[torch.from_numpy(np.sort(order))], 1 / pooled.shape[1]
    values, vectors = torch.linalg.eigh(alike(centres, centres, narrowness))
    some = values > FLAT * values[-1]
    root = vectors[:, some] / values[some].sqrt()
    weights, steps = _solve(alike(pooled, centres, narrowness) @ root, grades, count, PENALTY)
    return KernelOrdinal(centres.float(), (root @ weights).float(), ordered_thresholds(steps).float(), narrowness)


@torch.enable_grad()
def _solve(features: Tensor, grades: Tensor, count: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights (D,) and free numbers (count,) of the thresholds for features (N, D) float64 and grades (N,)."""
    weights = features.new_zeros(features.shape[1], requires_grad=True)
    steps = features.new_tensor([0.0, *[1.0] * (count - 1)], requires_grad=True)
    solver = torch.optim.LBFGS([weights, steps], max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-6)

    def loss() -> Tensor:
        solver.zero_grad()
        total = cumulative_link_loss(features @ weights, steps, grades)
        total = total + penalty * weights.square().sum() / len(features)
        total.backward()
        return total

    solver.step(loss)
    return weights.detach(), steps.detach()
