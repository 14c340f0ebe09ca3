"""Fitting the memory reader: bank, held-out distances, suspects, choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.models.memory import Level, MemoryReader
from sightline.train.bank import farthest_points, principal_directions
from sightline.train.choice import choose, fit_scales
from sightline.train.discriminate import MIN_DRAWINGS, MOST_GOOD, deal_folds, teach_discriminators
from sightline.train.drawn import Drawn, cells_to_teach, discriminated, draw_defects
from sightline.train.held_out import Comparer, Known, again, known_distances
from sightline.train.intake import Intake, Part, Prepared
from sightline.train.light import light_directions
from sightline.train.patches import Maps, Progress, Samples, check_enough, light_step, sample_patches
from sightline.train.places import MIN_PARTS, SIZE, HeldOutPlaces, parts_that_fit
from sightline.train.settings import TrainSettings
from sightline.train.suspects import Suspect, find_suspects
from sightline.train.trunk import Trunk

MOST_ENTRIES = 4096  # of the fine level's bank, where the choice is not set


@dataclass(frozen=True)
class HeldOut:
    """Scores (n,) and hottest cells (n,) of good parts that were kept out of the bank they were compared with."""

    scores: NDArray[np.float64]
    peaks: NDArray[np.float64]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Fitted:
    """A fitted reader, the held-out scores of its good parts, what was chosen and why, and who does not belong.

    `merit` is the mean of image AUROC and AUPRO on held-out synthetic defects, 0 where none were drawn.
    """

    reader: MemoryReader
    held_out: HeldOut
    reasons: dict[str, str]
    suspects: tuple[Suspect, ...]
    merit: float


def fit_reader(maps_of: Maps, intake: Intake, settings: TrainSettings, progress: Progress) -> Fitted:
    """The reader fitted on the intake's good parts, and their held-out scores. Raises InputError."""
    generator = torch.Generator().manual_seed(settings.seed)
    light, why = light_step(intake, settings.brightness)
    samples = sample_patches(maps_of, intake, settings.sample_patches, light, generator, progress)
    good = _good_cells(samples["fine"], settings, generator)
    ignored = light_directions(maps_of, intake, settings.light_directions, generator)
    reader, owners = _with_banks(maps_of, samples, ignored, settings, generator, progress)
    rng = np.random.default_rng(settings.seed)
    order = sorted(rng.permutation(len(intake.parts))[: settings.calibration_images])
    parts = [intake.parts[index] for index in order]
    shown = _show(maps_of, reader, owners, intake, parts, good, ignored.get("fine"), settings, progress)
    suspects = find_suspects(reader, shown.known)
    if suspects and settings.suspects == "leave out":
        good = forget(reader, owners, intake, suspects, good)
        parts = [part for part in parts if part in intake.parts]
        shown = _show(maps_of, reader, owners, intake, parts, good, ignored.get("fine"), settings, progress)
    reader.place = None if shown.places is None else shown.places.place()
    if shown.compare.discriminators is not None:
        reader.discriminator = shown.compare.discriminators.joined()
    chosen = choose(reader, shown.known, shown.drawn, settings, aligned=intake.golden is not None)
    held_out = _held_out(reader, shown.compare, intake, shown.known, chosen.heat, progress)
    left_out = f"; {settings.light_directions} directions that light moves features along are left out"
    reasons = {"light": why + (left_out if ignored else ""), **chosen.reasons}
    return Fitted(reader.eval(), held_out, reasons, suspects, chosen.merit)


Cells = tuple[Tensor, Tensor]  # features (P, C) and the unit (P,) that each comes from


@dataclass(frozen=True)
class _Shown:
    """What the readers make of good parts and of drawn defects, all held out."""

    compare: Comparer
    places: HeldOutPlaces | None
    drawn: Drawn | None
    known: Known


def _show(
    maps_of: Maps,
    reader: MemoryReader,
    owners: dict[str, Tensor],
    intake: Intake,
    parts: Sequence[Part],
    good: Cells | None,
    ignored: Tensor | None,
    settings: TrainSettings,
    progress: Progress,
) -> _Shown:
    """Learn places and discriminators, and compare every part and drawing with what does not know it."""
    places = _places(maps_of, reader, intake, parts, settings, progress)
    compare = Comparer(maps_of, reader, owners, places)
    folds = {} if good is None else deal_folds([part.unit for part in parts], settings.seed)
    fine = reader.levels["fine"]
    drawn = draw_defects(compare, intake, parts, settings.drawings, settings.seed, folds, fine.names, progress)
    if drawn is not None and folds and good is not None:
        progress("learning what sets defects apart", 0, 1)
        defective, beside = cells_to_teach(drawn, fine, settings.seed)
        compare.discriminators = teach_discriminators(good, defective, beside, folds, settings.seed, ignored)
        drawn = discriminated(drawn, fine, compare.discriminators)
    known = known_distances(compare, intake, parts, progress)
    fit_scales(reader, known)
    return _Shown(compare, places, drawn, known)


def _good_cells(samples: Samples, settings: TrainSettings, generator: torch.Generator) -> Cells | None:
    """Some of the sampled patches, to teach discriminators with; None where none are wanted or too little is drawn."""
    if settings.discriminator_weight == 0 or settings.drawings < MIN_DRAWINGS:
        return None
    features, units = samples.take()
    pick = torch.randperm(len(features), generator=generator)[:MOST_GOOD].to(features.device)
    return features[pick], units[pick]


def _with_banks(
    maps_of: Maps,
    samples: dict[str, Samples],
    ignored: dict[str, Tensor],
    settings: TrainSettings,
    generator: torch.Generator,
    progress: Progress,
) -> tuple[MemoryReader, dict[str, Tensor]]:
    """A reader whose levels know their banks but not yet their scales, and the unit that owns each entry."""
    levels, owners = {}, {}
    source, device = maps_of.source, maps_of.trunk.device
    for step, (name, names) in enumerate(source.levels.items()):
        progress("choosing the bank", step, len(source.levels))
        block = samples.pop(name)
        features, units = block.take()
        mean, directions = principal_directions(features, settings.key_size, ignored.get(name))
        keys = (features - mean) @ directions
        # The coarse grid has fewer cells and smoother keys: half of the entries cover it as well.
        most = settings.bank_size or MOST_ENTRIES
        entries = most if name == "fine" else most // 2
        chosen = farthest_points(keys, entries, generator)
        levels[name] = Level(names, block.channels, source.pooled, mean, directions, keys[chosen]).to(device)
        owners[name] = units[chosen]
    return MemoryReader(levels, settings.sigma_cells, settings.top_fractions).to(device), owners


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
    keys, units = [], []
    fine = next(iter(reader.levels.values()))
    for turn, index in enumerate(spread):
        progress("learning places", turn, len(spread))
        found, _ = fine.keys(maps_of(again(intake, parts[index]).images[0], parts[index].hash))
        keys.append(found[:, :SIZE].clone())
        units.append(parts[index].unit)
    if len(keys) < MIN_PARTS or len(set(units)) < 2:
        return None
    return HeldOutPlaces(torch.stack(keys), torch.tensor(units, device=keys[0].device))


def forget(
    reader: MemoryReader,
    owners: dict[str, Tensor],
    intake: Intake,
    suspects: tuple[Suspect, ...],
    good: Cells | None = None,
) -> Cells | None:
    """Remove the suspects' entries from the banks and their images from the good parts; `good` without their cells."""
    units = torch.tensor(sorted({suspect.part.unit for suspect in suspects}))
    for name, level in reader.levels.items():
        keep = ~torch.isin(owners[name].cpu(), units).to(owners[name].device)
        level.bank, owners[name] = level.bank[keep], owners[name][keep]
    gone = {suspect.part.hash for suspect in suspects}
    intake.parts = [part for part in intake.parts if part.hash not in gone]
    check_enough(intake.parts)
    if good is None:
        return None
    keep = ~torch.isin(good[1].cpu(), units).to(good[1].device)
    return good[0][keep], good[1][keep]


@torch.inference_mode()
def _held_out(
    reader: MemoryReader, compare: Comparer, intake: Intake, known: Known, heat: Tensor, progress: Progress
) -> HeldOut:
    """A part scores as its worst tile does, as on the line.

    Where all tiles are among those that the scales were fitted on, their heat is at hand; else every part is scored
    in a second pass, tile by tile, and no map is kept.
    """
    found = [_worst(reader, tiles) for tiles in heat.split(known.counts)]
    if not known.complete:
        found = []
        for index, part in enumerate(known.parts):
            progress("scoring every tile", index, len(known.parts))
            tiles = [reader.fuse(compare(image, part.unit)) for image in again(intake, part).images]
            found.append(_worst(reader, torch.cat(tiles)))
    return HeldOut(np.array([score for score, _ in found]), np.array([peak for _, peak in found]), known.parts)


def _worst(reader: MemoryReader, heat: Tensor) -> tuple[float, float]:
    """The highest score and the hottest cell of a part's tiles, heat (K, 1, h, w)."""
    return float(reader.score(heat).amax()), float(heat.amax())


@torch.inference_mode()
def part_score(trunk: Trunk, reader: MemoryReader, prepared: Prepared) -> float:
    """Score of a part that the bank does not know: that of its worst tile."""
    return float(np.max([float(reader(trunk(image[None]))[1]) for image in prepared.images]))  # NaN stays NaN
