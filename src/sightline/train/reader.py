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
from sightline.train.held_out import Comparer, Known, again, drawn_distances, known_distances
from sightline.train.intake import Intake, Part, Prepared
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


def fit_reader(
    maps_of: Maps,
    intake: Intake,
    settings: TrainSettings,
    progress: Progress,
    unseen: frozenset[str] | None = None,
) -> Fitted:
    """The reader fitted on the intake's good parts, and their held-out scores. Raises InputError.

    Where the trunk has learned from some of them, the hashes `unseen` name the others: only those are scored.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    light, why = light_step(intake, settings.brightness)
    samples = sample_patches(maps_of, intake, settings.sample_patches, light, generator, progress)
    reader, owners = _with_banks(maps_of, samples, settings, generator, progress)
    rng = np.random.default_rng(settings.seed)
    usable = [part for part in intake.parts if unseen is None or part.hash in unseen]
    order = sorted(rng.permutation(len(usable))[: settings.calibration_images])
    parts = [usable[index] for index in order]
    places = _places(maps_of, reader, intake, parts if unseen is None else intake.parts, settings, progress)
    compare = Comparer(maps_of, reader, owners, places)
    known = known_distances(compare, intake, parts, progress)
    fit_scales(reader, known)
    suspects = find_suspects(reader, known)
    if suspects and settings.suspects == "leave out":
        forget(reader, owners, intake, suspects)
        parts = [part for part in parts if part in intake.parts]
        places = _places(maps_of, reader, intake, parts if unseen is None else intake.parts, settings, progress)
        compare = Comparer(maps_of, reader, owners, places)
        known = known_distances(compare, intake, parts, progress)
    drawn = drawn_distances(compare, intake, known.parts, settings.drawings, settings.seed, progress)
    reader.place = None if places is None else places.place()
    chosen = choose(reader, known, drawn, settings, aligned=intake.golden is not None)
    held_out = _held_out(reader, compare, intake, known, chosen.heat, progress)
    reasons = {"light": why, **chosen.reasons}
    return Fitted(reader.eval(), held_out, reasons, suspects, chosen.merit)


def _with_banks(
    maps_of: Maps, samples: dict[str, Samples], settings: TrainSettings, generator: torch.Generator, progress: Progress
) -> tuple[MemoryReader, dict[str, Tensor]]:
    """A reader whose levels know their banks but not yet their scales, and the unit that owns each entry."""
    levels, owners = {}, {}
    source, device = maps_of.source, maps_of.trunk.device
    for step, (name, names) in enumerate(source.levels.items()):
        progress("choosing the bank", step, len(source.levels))
        block = samples.pop(name)
        features, units = block.take()
        mean, directions = principal_directions(features, settings.key_size)
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


def forget(reader: MemoryReader, owners: dict[str, Tensor], intake: Intake, suspects: tuple[Suspect, ...]) -> None:
    """Remove the suspects' entries from the banks and their images from the good parts."""
    units = torch.tensor(sorted({suspect.part.unit for suspect in suspects}))
    for name, level in reader.levels.items():
        keep = ~torch.isin(owners[name].cpu(), units).to(owners[name].device)
        level.bank, owners[name] = level.bank[keep], owners[name][keep]
    gone = {suspect.part.hash for suspect in suspects}
    intake.parts = [part for part in intake.parts if part.hash not in gone]
    check_enough(intake.parts)


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
