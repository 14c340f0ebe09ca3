"""What the readers make of good parts and of drawn defects, all held out: what is chosen and calibrated by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sightline.models.discriminator import Discriminator
from sightline.models.memory import MemoryReader
from sightline.models.place import Place
from sightline.train.choice import fit_scales
from sightline.train.discriminate import MIN_DRAWINGS, MOST_GOOD, deal_units, teach_discriminators
from sightline.train.drawn import Drawn, cells_to_teach, discriminated, draw_defects
from sightline.train.freed import release_memory
from sightline.train.held_out import Comparer, Known, again, known_distances
from sightline.train.intake import Intake, Part, warn
from sightline.train.patches import Maps, Progress, Samples
from sightline.train.places import MIN_PARTS, SIZE, HeldOutPlaces, parts_that_fit
from sightline.train.settings import TrainSettings
from sightline.train.suspects import Suspect

Cells = tuple[Tensor, Tensor]  # features (P, C) and the unit (P,) that each comes from


@dataclass(frozen=True)
class Shown:
    """What the readers make of good parts and of drawn defects, all held out."""

    compare: Comparer
    places: HeldOutPlaces | None
    drawn: Drawn | None
    known: Known

    def others(self) -> tuple[Place | None, Discriminator | None]:
        """The readers beside the memory, of all parts."""
        taught = self.compare.discriminators
        place = None if self.places is None else self.places.place()
        return place, None if taught is None else taught.joined()


def show(
    maps_of: Maps,
    reader: MemoryReader,
    owners: dict[str, Tensor],
    intake: Intake,
    ignored: Tensor | None,
    settings: TrainSettings,
    progress: Progress,
    parts: Sequence[Part],
    good: Cells | None,
    everyone: Sequence[Part] | None = None,
) -> Shown:
    """Learn places and discriminators, and compare every one of `parts` and drawing with what does not know it.

    Places are learned from `everyone`, where that is given, else from the parts.
    """
    places = _places(maps_of, reader, intake, parts if everyone is None else everyone, settings, progress)
    compare = Comparer(maps_of, reader, owners, places)
    folds = {} if good is None else deal_units([part.unit for part in parts], settings.seed)
    if settings.discriminator_weight and good is not None and not folds:
        warn("discriminator_weight has no effect: too few parts or groups to hold any out. Add good parts")
    fine = reader.levels["fine"]
    drawn = draw_defects(compare, intake, parts, settings.drawings, settings.seed, folds, fine.names, progress)
    if drawn is not None and folds and good is not None:
        progress("learning what sets defects apart", 0, 1)
        release_memory()
        defective, beside = cells_to_teach(drawn, fine, settings.seed)
        compare.discriminators = teach_discriminators(good, defective, beside, folds, settings.seed, ignored)
        drawn = discriminated(drawn, fine, compare.discriminators)
    known = known_distances(compare, intake, parts, progress)
    fit_scales(reader, known)
    return Shown(compare, places, drawn, known)


def good_cells(samples: Samples, settings: TrainSettings, generator: torch.Generator) -> Cells | None:
    """Some of the sampled patches, to teach discriminators with; None where none are wanted or too little is drawn."""
    if settings.discriminator_weight == 0 or settings.drawings < MIN_DRAWINGS:
        if settings.discriminator_weight:
            warn(f"discriminator_weight has no effect with {settings.drawings} synthetic defects: at least "
                 f"{MIN_DRAWINGS} are needed. Set synthetic={MIN_DRAWINGS} or more")  # fmt: skip
        return None
    features, units = samples.take()
    pick = torch.randperm(len(features), generator=generator)[:MOST_GOOD].to(features.device)
    return features[pick], units[pick]


def cells_without(good: Cells, suspects: Iterable[Suspect]) -> Cells:
    """The cells of good parts that do not come from suspects."""
    units = torch.tensor(sorted({suspect.part.unit for suspect in suspects}))
    keep = ~torch.isin(good[1].cpu(), units).to(good[1].device)
    return good[0][keep], good[1][keep]


@torch.inference_mode()
def _places(
    maps_of: Maps,
    reader: MemoryReader,
    intake: Intake,
    parts: Sequence[Part],
    settings: TrainSettings,
    progress: Progress,
) -> HeldOutPlaces | None:
    """What is usual at each place; None where places mean nothing (tiles), are not wanted, or are too few parts'."""
    if (
        intake.size.overlap is not None
        or settings.place_weight == 0
        or not (settings.drawings or settings.place_weight)
    ):
        return None
    cells = (intake.size.height // maps_of.source.stride_px) * (intake.size.width // maps_of.source.stride_px)
    spread = np.linspace(0, len(parts) - 1, min(len(parts), parts_that_fit(cells))).astype(int)
    keys: Tensor | None = None
    units: list[int] = []
    fine = next(iter(reader.levels.values()))
    for turn, index in enumerate(spread):
        progress("learning places", turn, len(spread))
        found, _ = fine.keys(maps_of(again(intake, parts[index]).images[0], parts[index].hash))
        if keys is None:  # one block, not a list that is stacked: the largest thing here would exist twice
            keys = found.new_empty(len(spread), len(found), min(SIZE, found.shape[1]))
        keys[turn] = found[:, :SIZE]
        units.append(parts[index].unit)
    if keys is None or len(keys) < MIN_PARTS or len(set(units)) < 2:
        return None
    return HeldOutPlaces(keys, torch.tensor(units, device=keys.device))
