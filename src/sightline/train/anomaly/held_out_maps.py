"""Held-out distance maps of good parts and of synthetic defects: what the choice and the calibration rest on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.core.progress import Progress
from sightline.models.anomaly import Discriminator
from sightline.models.memory_bank import AnomalyHead
from sightline.train.anomaly.discriminator import MAX_GOOD, MIN_DRAWINGS, deal_units, teach_discriminators
from sightline.train.anomaly.held_out_distances import (
    Comparer,
    HeldOutDistances,
    Outlier,
    Owners,
    held_out_distances,
)
from sightline.train.anomaly.memory_bank import Maps, Samples
from sightline.train.anomaly.selection import fit_scales
from sightline.train.anomaly.synthetic import SyntheticParts, cells_to_teach, discriminated, synthesize_defects
from sightline.train.images.loader import ImageLoader, Part, release_memory, warn
from sightline.train.settings import TrainSettings

Cells = tuple[Tensor, Tensor]  # features (P, C) and the unit (P,) that each comes from


@dataclass(frozen=True)
class HeldOutMaps:
    """Held-out distance maps of good parts and of synthetic defects."""

    compare: Comparer
    synthetic: SyntheticParts | None
    held_out: HeldOutDistances

    def discriminator(self) -> Discriminator | None:
        """The discriminator that has learned from all parts, where there is one."""
        taught = self.compare.discriminators
        return None if taught is None else taught.joined()


def compute_held_out_maps(
    maps_of: Maps,
    head: AnomalyHead,
    owners: dict[str, Owners],
    loader: ImageLoader,
    ignored: Tensor | None,
    settings: TrainSettings,
    progress: Progress,
    parts: Sequence[Part],
    good: Cells | None,
) -> HeldOutMaps:
    """Teach discriminators, and compare every one of `parts` and drawing with what does not know it."""
    compare = Comparer(maps_of, head, owners)
    folds = {} if good is None else deal_units([part.unit for part in parts], settings.seed)
    if settings.discriminator_weight and good is not None and not folds:
        warn("discriminator_weight has no effect: too few parts or groups to hold any out. Add good parts")
    fine = head.levels["fine"]
    synthetic = synthesize_defects(
        compare, loader, parts, settings.drawings, settings.seed, folds, fine.names, progress
    )
    if synthetic is not None and folds and good is not None:
        progress("learning what sets defects apart", 0, 1)
        release_memory()
        defective, beside = cells_to_teach(synthetic, fine, settings.seed)
        compare.discriminators = teach_discriminators(good, defective, beside, folds, settings.seed, ignored)
        synthetic = discriminated(synthetic, fine, compare.discriminators)
    held_out = held_out_distances(compare, loader, parts, progress)
    fit_scales(head, held_out)
    return HeldOutMaps(compare, synthetic, held_out)


def good_cells(samples: Samples, settings: TrainSettings, generator: torch.Generator) -> Cells | None:
    """Some of the sampled patches, to teach discriminators with; None where none are wanted or too little is drawn."""
    if settings.discriminator_weight == 0 or settings.drawings < MIN_DRAWINGS:
        if settings.discriminator_weight:
            warn(f"discriminator_weight has no effect with {settings.drawings} synthetic defects: at least "
                 f"{MIN_DRAWINGS} are needed. Set synthetic={MIN_DRAWINGS} or more")  # fmt: skip
        return None
    features, units = samples.take()
    pick = torch.randperm(len(features), generator=generator)[:MAX_GOOD].to(features.device)
    return features[pick], units[pick]


def cells_without(good: Cells, outliers: Iterable[Outlier]) -> Cells:
    """The cells of good parts that do not come from outliers."""
    units = torch.tensor(sorted({outlier.part.unit for outlier in outliers}))
    keep = ~torch.isin(good[1].cpu(), units).to(good[1].device)
    return good[0][keep], good[1][keep]
