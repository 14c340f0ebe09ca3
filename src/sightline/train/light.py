"""Directions in feature space that a change of light moves features along, to be left out of the keys.

A lamp that ages makes every patch of a good part a little strange in the same few directions. They are found by
comparing copies of good parts in other light with the parts themselves, and cost nothing afterwards: the PCA is fitted
on what is left, and is a projection anyway (docs/decisions/0023).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sightline.models.memory import level_features
from sightline.train.intake import Intake, brightened
from sightline.train.patches import Maps

FACTORS = (0.8, 1.25)  # darker and brighter
MOST_PARTS = 5  # light does the same to all parts
MOST_CELLS = 256  # of a copy


@torch.inference_mode()
def light_directions(maps_of: Maps, intake: Intake, count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Orthonormal directions (C, count) of each level's raw features, the strongest first.

    The leading right singular vectors of the differences that a change of light makes, not centred: their mean is
    the most important part of them.
    """
    moved: dict[str, list[Tensor]] = {name: [] for name in maps_of.source.levels}
    step = max(1, len(intake.parts) // MOST_PARTS)
    for part in list(intake.parts)[::step][:MOST_PARTS] if count else ():
        prepared = intake(part)
        if prepared is None:
            continue
        image, placement = next(prepared.some(1))
        plain = maps_of(image, part.hash if len(prepared) == 1 else None)
        copies = [maps_of(brightened(image, placement, factor)) for factor in FACTORS]
        for name, names in maps_of.source.levels.items():
            own = _rows(plain, names, maps_of.source.pooled)
            pick = torch.randperm(len(own), generator=generator)[:MOST_CELLS].to(own.device)
            moved[name] += [_rows(copy, names, maps_of.source.pooled)[pick] - own[pick] for copy in copies]
    return {name: _leading(torch.cat(rows), count) for name, rows in moved.items() if rows}


def _rows(maps: dict[str, Tensor], names: Sequence[str], pooled: bool) -> Tensor:
    return level_features([maps[name] for name in names], pooled)[0].flatten(1).T


def _leading(rows: Tensor, count: int) -> Tensor:
    """Eigenvectors (C, count) of the rows' second moments with the largest eigenvalues."""
    _, vectors = torch.linalg.eigh(rows.T @ rows)
    return vectors[:, -count:].flip(1).contiguous()


def without(rows: Tensor, directions: Tensor | None) -> Tensor:
    """Features (P, C) with what lies along orthonormal directions (C, k) taken out."""
    return rows if directions is None else rows - (rows @ directions) @ directions.T
