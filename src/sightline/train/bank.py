"""Choosing the bank: which patches of good parts to remember."""

from __future__ import annotations

import torch
from torch import Tensor

from sightline.train.light import without

PER_ROUND = 32
CANDIDATES = 256
ROWS = 4096  # features that are centred at a time


def principal_directions(features: Tensor, size: int, ignored: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """PCA without whitening of features (P, C): mean (C,) and directions (C, min(size, C)).

    Whitening would give the weak, noisy directions the weight of the strong ones. What lies along the orthonormal
    directions `ignored` (C, k) plays no part.
    """
    mean = features.mean(0)
    second = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64, device=features.device)
    for rows in features.split(ROWS):  # few at a time: a copy of all features would be the training's largest array
        centred = without(rows - mean, ignored)
        second += centred.T @ centred
    _, vectors = torch.linalg.eigh(second / len(features))
    kept = vectors[:, -size:].flip(1).to(features.dtype)
    return mean, without(kept.T, ignored).T.contiguous()


def projected(features: Tensor, mean: Tensor, directions: Tensor) -> Tensor:
    """Keys (P, d) of features (P, C), without a copy of them."""
    keys = features.new_empty(len(features), directions.shape[1])
    for rows, own in zip(features.split(ROWS), keys.split(ROWS), strict=True):
        torch.mm(rows - mean, directions, out=own)
    return keys


def farthest_points(keys: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Indices (min(size, P),) of keys (P, d) that cover all others as closely as possible.

    Farthest-point sampling (Gonzalez 1985) in rounds: the `CANDIDATES` farthest points are ranked greedily among
    themselves, up to `PER_ROUND` of them are taken, then all distances are updated by one matrix product. The
    covering radius equals that of one-by-one selection to within a fraction of a percent.
    """
    count = len(keys)
    if count <= size:
        return torch.arange(count, device=keys.device)
    norms = keys.square().sum(1)
    first = int(torch.randint(count, (1,), generator=generator))
    chosen = [first]
    distance = (keys - keys[first]).square().sum(1)
    while len(chosen) < size:
        # Few at a time while few are chosen: one round's candidates all lie on the side that is farthest so far.
        take = min(PER_ROUND, max(1, len(chosen) // 4), size - len(chosen))
        picked = _round(keys, distance, take)
        chosen += picked
        new = keys[picked]
        squared = torch.addmm(new.square().sum(1), keys, new.T, alpha=-2).amin(1) + norms
        distance = torch.minimum(distance, squared.clamp_min_(0))
    return torch.tensor(chosen, device=keys.device)


def _round(keys: Tensor, distance: Tensor, take: int) -> list[int]:
    far = distance.topk(min(CANDIDATES, len(keys)))
    among, left = keys[far.indices], far.values.clone()
    apart = torch.cdist(among, among).square()
    picked = []
    for _ in range(take):
        best = int(left.argmax())
        picked.append(int(far.indices[best]))
        left = torch.minimum(left, apart[best])
    return picked
