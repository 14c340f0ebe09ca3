"""Fitting the memory reader: bank, held-out distances, suspects, choices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.models.memory import Level, MemoryReader
from sightline.train.bank import farthest_points, principal_directions
from sightline.train.choice import choose
from sightline.train.held_out import Comparer, Known, again, drawn_distances, known_distances
from sightline.train.intake import Intake, Part, Prepared
from sightline.train.patches import Maps, Progress, Samples, check_enough, light_step, sample_patches
from sightline.train.settings import TrainSettings
from sightline.train.suspects import Suspect, find_suspects
from sightline.train.trunk import Trunk

NEAR = 0.1  # of the centre: nearer than this, all patches are equally good, and rounding is not amplified
SPREAD_FLOOR = 1e-3  # of the centre: identical training images must not divide by zero


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
    reader, owners = _with_banks(maps_of, samples, settings, generator, progress)
    compare = Comparer(maps_of, reader, owners)
    rng = np.random.default_rng(settings.seed)
    order = sorted(rng.permutation(len(intake.parts))[: settings.calibration_images])
    known = known_distances(compare, intake, [intake.parts[index] for index in order], progress)
    fit_scales(reader, known)
    suspects = find_suspects(reader, known)
    if suspects and settings.suspects == "leave out":
        forget(reader, owners, intake, suspects)
        known = known_distances(compare, intake, [p for p in known.parts if p in intake.parts], progress)
        fit_scales(reader, known)
    drawn = drawn_distances(compare, intake, known.parts, settings.drawings, settings.seed, progress)
    chosen = choose(reader, known, drawn, settings)
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
        entries = settings.bank_size if name == "fine" else settings.bank_size // 2
        chosen = farthest_points(keys, entries, generator)
        levels[name] = Level(names, block.channels, source.pooled, mean, directions, keys[chosen]).to(device)
        owners[name] = units[chosen]
    return MemoryReader(levels, settings.sigma_cells, settings.top_fractions).to(device), owners


def fit_scales(reader: MemoryReader, known: Known) -> None:
    """Centre, spread and floor of every level, from held-out good patches."""
    for name, level in reader.levels.items():
        finite = known.distances[name][known.distances[name].isfinite()]
        level.centre = finite.mean()
        level.floor = NEAR * level.centre
        level.spread = torch.maximum(finite.std(), SPREAD_FLOOR * level.centre.clamp_min(SPREAD_FLOOR))


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
