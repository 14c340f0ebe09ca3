"""Fitting the memory reader: bank, held-out distances, suspects, choices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.models.memory import Level, MemoryReader
from sightline.train.bank import farthest_points, principal_directions, projected
from sightline.train.choice import choose
from sightline.train.freed import release_memory
from sightline.train.held_out import Comparer, Known, again
from sightline.train.intake import Intake, Part, Prepared
from sightline.train.light import light_directions
from sightline.train.patches import Maps, Progress, Samples, check_enough, light_step, sample_patches
from sightline.train.settings import TrainSettings
from sightline.train.shown import cells_without, good_cells, show
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

    `merit` is the mean of image AUROC and AUPRO on held-out synthetic defects, 0 where none were drawn. `origins`
    (M, 4) int32 says where the first level's entries come from (`patches.Samples.origins`), in terms of `sampled`.
    """

    reader: MemoryReader
    held_out: HeldOut
    reasons: dict[str, str]
    suspects: tuple[Suspect, ...]
    merit: float
    origins: Tensor
    sampled: tuple[Part, ...]


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
    sampled = tuple(intake.parts)
    samples = sample_patches(maps_of, intake, settings.sample_patches, light, generator, progress)
    good = good_cells(samples["fine"], settings, generator)
    ignored = light_directions(maps_of, intake, settings.light_directions, generator)
    release_memory()
    reader, owners, origins = _with_banks(maps_of, samples, ignored, settings, generator, progress)
    release_memory()
    parts = _parts_to_score(intake, settings, unseen)
    compared = partial(show, maps_of, reader, owners, intake, ignored.get("fine"), settings, progress)
    shown = compared(parts, good, None if unseen is None else intake.parts)
    suspects = find_suspects(reader, shown.known)
    if suspects and settings.suspects == "leave out":
        origins = origins[forget(reader, owners, intake, suspects)]
        good = None if good is None else cells_without(good, suspects)
        parts = [part for part in parts if part in intake.parts]
        shown = compared(parts, good, None if unseen is None else intake.parts)
    reader.place, reader.discriminator = shown.others()
    release_memory()
    chosen = choose(reader, shown.known, shown.drawn, settings, aligned=intake.golden is not None)
    held_out = _held_out(reader, shown.compare, intake, shown.known, chosen.heat, progress)
    reasons = {"light": f"{why}; directions left out of the keys: {settings.light_directions}", **chosen.reasons}
    origins = origins[: len(next(iter(reader.levels.values())).bank)]  # the choice may keep the first entries only
    return Fitted(reader.eval(), held_out, reasons, suspects, chosen.merit, origins, sampled)


def _parts_to_score(intake: Intake, settings: TrainSettings, unseen: frozenset[str] | None) -> list[Part]:
    """A bounded, random choice of the parts that may be scored, in the intake's order."""
    usable = [part for part in intake.parts if unseen is None or part.hash in unseen]
    order = np.random.default_rng(settings.seed).permutation(len(usable))[: settings.calibration_images]
    return [usable[index] for index in sorted(order)]


def _with_banks(
    maps_of: Maps,
    samples: dict[str, Samples],
    ignored: dict[str, Tensor],
    settings: TrainSettings,
    generator: torch.Generator,
    progress: Progress,
) -> tuple[MemoryReader, dict[str, Tensor], Tensor]:
    """A reader whose levels know their banks but not yet their scales, the unit that owns each entry, and where the
    first level's entries come from.
    """
    levels, owners, origins = {}, {}, []
    source, device = maps_of.source, maps_of.trunk.device
    for step, (name, names) in enumerate(source.levels.items()):
        progress("choosing the bank", step, len(source.levels))
        block = samples.pop(name)
        features, units = block.take()
        mean, directions = principal_directions(features, settings.key_size, ignored.get(name))
        keys = projected(features, mean, directions)
        # The coarse grid has fewer cells and smoother keys: half of the entries cover it as well.
        most = settings.bank_size or MOST_ENTRIES
        entries = most if name == "fine" else most // 2
        chosen = farthest_points(keys, entries, generator)
        levels[name] = Level(names, block.channels, source.pooled, mean, directions, keys[chosen]).to(device)
        owners[name] = units[chosen]
        origins.append(block.origins[chosen.cpu()])
    return MemoryReader(levels, settings.sigma_cells, settings.top_fractions).to(device), owners, origins[0]


def forget(reader: MemoryReader, owners: dict[str, Tensor], intake: Intake, suspects: tuple[Suspect, ...]) -> Tensor:
    """Remove the suspects' entries from the banks and their images from the good parts.

    Returns which entries of the first level stay, (M,) bool.
    """
    units = torch.tensor(sorted({suspect.part.unit for suspect in suspects}))
    stay = ~torch.isin(owners[next(iter(reader.levels))].cpu(), units)
    for name, level in reader.levels.items():
        keep = ~torch.isin(owners[name].cpu(), units).to(owners[name].device)
        level.bank, owners[name] = level.bank[keep], owners[name][keep]
    gone = {suspect.part.hash for suspect in suspects}
    intake.parts = [part for part in intake.parts if part.hash not in gone]
    check_enough(intake.parts)
    return stay


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
