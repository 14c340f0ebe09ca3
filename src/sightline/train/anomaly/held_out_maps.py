"""Held-out distance maps of good parts and of synthetic defects: what the choice and the calibration rest on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sightline.core.progress import Progress
from sightline.models.anomaly import Discriminator
from sightline.models.arrays import Array
from sightline.models.memory_bank import AnomalyHead
from sightline.train.anomaly.discriminator import MAX_GOOD, MIN_DRAWINGS, Cells, deal_units, teach_discriminators
from sightline.train.anomaly.held_out_distances import (
    Comparer,
    HeldOutDistances,
    Outlier,
    Owners,
    held_out_distances,
)
from sightline.train.anomaly.marked import MIN_MARKED, deal_marked, has_mark, read_marked_defects
from sightline.train.anomaly.memory_bank import Maps, Samples
from sightline.train.anomaly.selection import fit_scales
from sightline.train.anomaly.synthetic import DefectMaps, cells_to_teach, discriminated, synthesize_defects
from sightline.train.images.loader import ImageLoader, Part, release_memory, warn
from sightline.train.settings import TrainSettings


@dataclass(frozen=True)
class HeldOutMaps:
    """Held-out distance maps of good parts, of synthetic defects, and of those that people marked, with their parts."""

    compare: Comparer
    synthetic: DefectMaps | None
    held_out: HeldOutDistances
    marked: DefectMaps | None = None
    marked_parts: tuple[Part, ...] = ()

    def discriminator(self) -> Discriminator | None:
        """The discriminator that has learned from all parts, where there is one."""
        taught = self.compare.discriminators
        return None if taught is None else taught.joined()


def compute_held_out_maps(
    maps_of: Maps,
    head: AnomalyHead,
    owners: dict[str, Owners],
    loaders: tuple[ImageLoader, ImageLoader | None],
    ignored: Array | None,
    settings: TrainSettings,
    progress: Progress,
    parts: Sequence[Part],
    good: Cells | None,
) -> HeldOutMaps:
    """Teach discriminators, and compare every one of `parts` and every defect with what does not know it.

    `loaders` are those of the good parts and, where there are any, of the known defects: where enough of those are
    marked, they are what is taught, and synthetic ones are not.
    """
    compare = Comparer(maps_of, head, owners)
    loader, known = loaders
    folds = {} if good is None else deal_units([part.unit for part in parts], settings.seed)
    if settings.discriminator_weight and good is not None and not folds:
        warn("discriminator_weight has no effect: too few parts or groups to hold any out. Add good parts")
    read = read_marked_defects(compare, known, settings.seed, progress) if folds and known is not None else None
    marked, marked_parts = read or (None, ())
    if marked is not None:
        folds = deal_marked(marked, folds, settings.seed)
    elif settings.drawings < MIN_DRAWINGS:
        folds = {}  # no marks can be used, and drawings alone are too few to learn from
    synthetic = synthesize_defects(compare, loader, parts, settings.drawings, settings.seed, folds, progress)
    defects = marked or synthetic
    if folds and good is not None and defects is not None:
        progress("learning what sets defects apart", 0, 1)
        release_memory()
        defective, beside = cells_to_teach(defects, compare.fine, settings.seed)
        compare.discriminators = teach_discriminators(good, defective, beside, folds, settings.seed, ignored)
        synthetic, marked = (
            None if some is None else discriminated(some, compare.fine, compare.discriminators)
            for some in (synthetic, marked)
        )
    held_out = held_out_distances(compare, loader, parts, progress)
    fit_scales(head, held_out)
    return HeldOutMaps(compare, synthetic, held_out, marked, marked_parts)


def good_cells(
    samples: Samples, settings: TrainSettings, rng: np.random.Generator, defects: ImageLoader | None
) -> Cells | None:
    """Some of the sampled patches, to teach discriminators with; None where none are wanted, or there are too few
    defects to learn from, drawn or marked."""
    marked = 0 if defects is None else sum(map(has_mark, defects.parts))
    if settings.discriminator_weight == 0 or (settings.drawings < MIN_DRAWINGS and marked < MIN_MARKED):
        if settings.discriminator_weight:
            warn(f"discriminator_weight has no effect with {settings.drawings} synthetic defects: at least "
                 f"{MIN_DRAWINGS} are needed. Set synthetic={MIN_DRAWINGS} or more")  # fmt: skip
        return None
    features, units = samples.take()
    pick = rng.permutation(len(features))[:MAX_GOOD]
    return features[pick], units[pick]


def cells_without(good: Cells, outliers: Iterable[Outlier]) -> Cells:
    """The cells of good parts that do not come from outliers."""
    keep = ~np.isin(good[1], [outlier.part.unit for outlier in outliers])
    return good[0][keep], good[1][keep]
