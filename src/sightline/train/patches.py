"""Patches of good parts: sampled as images stream by, to choose a bank from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sightline.core.errors import InputError
from sightline.models.backbone import Backbone
from sightline.models.memory import level_features
from sightline.runtime.image import Image
from sightline.train.intake import MIN_GOOD, Intake, Part, brightened
from sightline.train.trunk import Trunk

Progress = Callable[[str, int, int], None]
SAMPLED_TILES = 32  # of a part, per light: a training on large images must end
KEPT_BYTES = 96 * 2**20  # of maps that are kept for the second look at the same images
LIGHT_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  # of the grey values
LIGHT_SPREAD = 0.05  # relative spread of the parts' light above which copies in other light are learned too
LIGHT_REACH = 2.0  # spreads that the copies reach to either side
LIGHT_MOST = 0.2
LIGHT_PARTS = 50  # as many parts show their light themselves


class Maps:
    """A trunk that remembers: the maps a reader needs, {name: (1, C, h, w)}, kept while there is room."""

    def __init__(self, trunk: Trunk, source: Backbone) -> None:
        self.trunk = trunk
        self.source = source
        self._wanted = sorted(set().union(*source.levels.values()))
        self._kept: dict[str, dict[str, Tensor]] = {}
        self._room = KEPT_BYTES

    def __call__(self, image: Image, key: str | None = None) -> dict[str, Tensor]:
        """Maps of one image (H, W, 3) uint8; `key` names the image where it comes again."""
        if key is not None and key in self._kept:
            return self._kept[key]
        every = self.trunk(image[None])
        maps = {name: every[name] for name in self._wanted}
        size = sum(values.nbytes for values in maps.values())
        if key is not None and size <= self._room:
            self._kept[key] = maps
            self._room -= size
        return maps


class Samples:
    """Patches of one level, kept in one block: small tensors between large passing ones would fragment the heap."""

    def __init__(self, rows: int, channels: tuple[int, ...], device: torch.device) -> None:
        self.channels = channels
        self._features = torch.empty(rows, sum(channels), device=device)
        self._units = torch.empty(rows, dtype=torch.long, device=device)
        self._origins = torch.empty(rows, 4, dtype=torch.int32)
        self._filled = 0

    def add(self, features: Tensor, unit: int, origin: tuple[int, int, int], cells: Tensor) -> None:
        """Features (P, C) of `cells` (P,) of one image; `origin` is part, turn and number of `Prepared.some`."""
        end = self._filled + len(features)
        self._features[self._filled : end] = features
        self._units[self._filled : end] = unit
        self._origins[self._filled : end, :3] = torch.tensor(origin, dtype=torch.int32)
        self._origins[self._filled : end, 3] = cells
        self._filled = end

    @property
    def origins(self) -> Tensor:
        """Where each patch comes from (P, 4) int32: part, turn, number of the image in that turn, cell."""
        return self._origins[: self._filled]

    def take(self) -> tuple[Tensor, Tensor]:
        """Features (P, C) and the owning unit (P,) of each."""
        return self._features[: self._filled], self._units[: self._filled]


@torch.inference_mode()
def sample_patches(
    maps_of: Maps, intake: Intake, most: int, light: float, generator: torch.Generator, progress: Progress
) -> dict[str, Samples]:
    """About `most` random patches of all parts at the first level, and half as many at others, which have fewer cells;
    with copies `light` darker and brighter where it is not 0.
    """
    factors = (1.0, 1 - light, 1 + light) if light else (1.0,)
    source, parts = maps_of.source, list(intake.parts)
    quota = max(1, most // (len(parts) * len(factors)))
    quotas = {name: quota if turn == 0 else -(-quota // 2) for turn, name in enumerate(source.levels)}
    samples: dict[str, Samples] = {}
    for index, part in enumerate(parts):
        progress("learning good parts", index, len(parts))
        prepared = intake(part)
        if prepared is None:
            continue
        for turn, factor in enumerate(factors):
            tiles = list(prepared.some(SAMPLED_TILES, index * len(factors) + turn))
            for number, (image, placement) in enumerate(tiles):
                key = part.hash if factor == 1.0 and len(prepared) == 1 else None
                maps = maps_of(image if factor == 1.0 else brightened(image, placement, factor), key)
                for name, names in source.levels.items():
                    flat = level_features([maps[n] for n in names], source.pooled)[0].flatten(1).T
                    cells = torch.randperm(len(flat), generator=generator)[: -(-quotas[name] // len(tiles))]
                    if name not in samples:
                        most_rows = min(quotas[name] + SAMPLED_TILES, SAMPLED_TILES * len(flat))
                        rows = len(parts) * len(factors) * most_rows
                        samples[name] = Samples(rows, tuple(maps[n].shape[1] for n in names), flat.device)
                    origin = (index, index * len(factors) + turn, number)
                    samples[name].add(flat[cells.to(flat.device)], part.unit, origin, cells)
    check_enough(intake.parts)
    return samples


def check_enough(parts: Sequence[Part]) -> None:
    """Raises InputError where there are too few different parts to learn from."""
    kind = "known" if any(part.sample.defective for part in parts) else "good"
    if len(parts) < MIN_GOOD:
        raise InputError(
            f"{len(parts)} different readable images of {kind} parts, at least {MIN_GOOD} are needed. "
            f"Photograph {MIN_GOOD - len(parts)} more; 20 to 50 make a useful recipe"
        )
    if len({part.unit for part in parts}) < 2:
        raise InputError(f"all {kind} parts belong to one group or lot, so none can be held out. Add another group")


def light_step(intake: Intake, given: float | None) -> tuple[float, str]:
    """How much darker and brighter copies to learn, and why: what the parts themselves show, unless `given`."""
    if given is not None:
        return given, f"copies {given:.0%} darker and brighter, as set" if given else "no copies in other light, as set"
    if len(intake.parts) >= LIGHT_PARTS:
        return 0.0, f"no copies in other light: {len(intake.parts)} parts show it themselves"
    levels = []
    for part in list(intake.parts):
        prepared = intake(part)
        if prepared is not None:
            image, placement = next(prepared.some(1))
            left, top, wide, high = placement.inner
            levels.append(np.quantile(image[top : top + high : 4, left : left + wide : 4], LIGHT_QUANTILES))
    # Light moves every quantile of the grey values; a part that lies elsewhere or is larger moves some of them.
    spread = float(np.log(np.maximum(levels, 4.0)).std(axis=0).min()) if levels else 0.0
    if spread < LIGHT_SPREAD:
        return 0.0, f"no copies in other light: all of the parts' grey values vary by {spread:.1%} together"
    step = min(LIGHT_MOST, LIGHT_REACH * spread)
    return step, f"copies {step:.0%} darker and brighter: all of the parts' grey values vary by {spread:.1%}"
