"""Fitting the memory reader: sample patches as images stream by, choose the bank, score good parts held-out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.core.errors import InputError
from sightline.models.memory import LEVELS, Level, MemoryReader, level_features
from sightline.train.bank import farthest_points, principal_directions
from sightline.train.intake import MIN_GOOD, Intake, Part, brightened
from sightline.train.settings import TrainSettings
from sightline.train.trunk import Trunk

Progress = Callable[[str, int, int], None]
NEAR = 0.1  # of the centre: nearer than this, all patches are equally good, and rounding is not amplified
SPREAD_FLOOR = 1e-3  # of the centre: identical training images must not divide by zero


@dataclass(frozen=True)
class HeldOut:
    """Scores (n,) and hottest cells (n,) of good parts that were kept out of the bank they were compared with."""

    scores: NDArray[np.float64]
    peaks: NDArray[np.float64]
    parts: tuple[Part, ...]


def fit_reader(
    trunk: Trunk, intake: Intake, settings: TrainSettings, progress: Progress
) -> tuple[MemoryReader, HeldOut]:
    """The reader fitted on the intake's good parts, and their held-out scores. Raises InputError."""
    generator = torch.Generator().manual_seed(settings.seed)
    samples = _sample_patches(trunk, intake, settings, generator, progress)
    probe = trunk(np.zeros((1, 64, 64, 3), np.uint8))
    levels, owners = {}, {}
    for step, name in enumerate(LEVELS):
        progress("choosing the bank", step, len(LEVELS))
        features, units = samples.pop(name).take()
        mean, directions = principal_directions(features, settings.key_size)
        keys = (features - mean) @ directions
        # The coarse grid has a quarter of the cells and smoother keys: half of the entries cover it as well.
        entries = settings.bank_size if name == "fine" else settings.bank_size // 2
        chosen = farthest_points(keys, entries, generator)
        first = probe[LEVELS[name][0]].shape[1]
        levels[name] = Level(mean, directions, keys[chosen], first).to(trunk.device)
        owners[name] = units[chosen]
    reader = MemoryReader(levels, settings.sigma_cells, settings.top_fractions).to(trunk.device).eval()
    return reader, _hold_out(trunk, intake, reader, owners, settings, progress)


class _Samples:
    """Patches of one level, kept in one block: small tensors between large passing ones would fragment the heap."""

    def __init__(self, rows: int, like: Tensor) -> None:
        self._features = torch.empty(rows, like.shape[1], device=like.device)
        self._units = torch.empty(rows, dtype=torch.long, device=like.device)
        self._filled = 0

    def add(self, features: Tensor, unit: int) -> None:
        end = self._filled + len(features)
        self._features[self._filled : end] = features
        self._units[self._filled : end] = unit
        self._filled = end

    def take(self) -> tuple[Tensor, Tensor]:
        """Features (P, C) and the owning unit (P,) of each."""
        return self._features[: self._filled], self._units[: self._filled]


@torch.inference_mode()
def _sample_patches(
    trunk: Trunk, intake: Intake, settings: TrainSettings, generator: torch.Generator, progress: Progress
) -> dict[str, _Samples]:
    """Random patches of every image and its brightness copies, by level."""
    step = settings.brightness
    factors = (1.0, 1 - step, 1 + step) if step else (1.0,)
    parts = list(intake.parts)
    quota = max(1, settings.sample_patches // (len(parts) * len(factors)))
    samples: dict[str, _Samples] = {}
    for index, part in enumerate(parts):
        progress("learning good parts", index, len(parts))
        prepared = intake(part)
        if prepared is None:
            continue
        image, placement = prepared
        for factor in factors:
            maps = trunk((image if factor == 1.0 else brightened(image, placement, factor))[None])
            for name in LEVELS:
                flat = level_features(maps, name)[0].flatten(1).T
                pick = torch.randperm(len(flat), generator=generator)[:quota].to(flat.device)
                if name not in samples:
                    samples[name] = _Samples(len(parts) * len(factors) * len(pick), flat)
                samples[name].add(flat[pick], part.unit)
    check_enough(intake.parts)
    return samples


def check_enough(parts: Sequence[Part]) -> None:
    """Raises InputError where there are too few different good parts to learn from."""
    if len(parts) < MIN_GOOD:
        raise InputError(
            f"{len(parts)} different readable images of good parts, at least {MIN_GOOD} are needed. "
            f"Photograph {MIN_GOOD - len(parts)} more; 20 to 50 make a useful recipe"
        )
    if len({part.unit for part in parts}) < 2:
        raise InputError("all good parts belong to one group or lot, so none can be held out. Add another group")


@torch.inference_mode()
def _hold_out(
    trunk: Trunk,
    intake: Intake,
    reader: MemoryReader,
    owners: dict[str, Tensor],
    settings: TrainSettings,
    progress: Progress,
) -> HeldOut:
    """Score good parts against the bank without their own unit's entries, and fit the reader's scales to that."""
    rng = np.random.default_rng(settings.seed)
    order = sorted(rng.permutation(len(intake.parts))[: settings.calibration_images])
    parts = tuple(intake.parts[index] for index in order)
    distances: dict[str, Tensor] = {}  # in one block per level, for the same reason as _Samples
    for index, part in enumerate(parts):
        progress("scoring held-out parts", index, len(parts))
        prepared = intake(part)
        if prepared is None:
            raise InputError(f"{part.sample.path}: became unreadable during the training. Start it again")
        maps = trunk(prepared[0][None])
        for name, level in reader.levels.items():
            banned = owners[name] == part.unit
            found = level.distances(level_features(maps, name), banned)[0]
            if name not in distances:
                distances[name] = found.new_empty(len(parts), *found.shape)
            distances[name][index] = found
    for name, level in reader.levels.items():
        finite = distances[name][distances[name].isfinite()]
        level.centre = finite.mean()
        level.floor = NEAR * level.centre
        level.spread = torch.maximum(finite.std(), SPREAD_FLOOR * level.centre.clamp_min(SPREAD_FLOOR))
    heat = reader.fuse(distances)
    reader.score.fit(heat)
    peaks = heat.flatten(1).amax(1)
    return HeldOut(reader.score(heat).double().cpu().numpy(), peaks.double().cpu().numpy(), parts)
