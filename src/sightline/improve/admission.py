"""Which patches of new parts join the memory banks: bounded, supported by other parts, and never those of a defect.

A patch of one odd part is an anomaly; one that many parts share is how parts look now (mutual support, after MuSc,
Li et al., ICLR 2024). Whoever learns from what it has judged itself could learn a defect as normal, so three guards
stand before the canary (`improve.canary`): only parts that are surely OK are read, of these only cells below the limit
at which a region is outlined, and none that lies nearer to a patch of a known defect than to a good one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.improve.patches import Keys, Level, PatchedPart, nearest
from sightline.runtime.adaptation import OWN, Adaptation


@dataclass(frozen=True)
class Bounds:
    """How much may be learned.

    A patch is new where its distance exceeds the usual one of good patches by `new` scales; it joins where at least
    `support` other parts have a patch nearer to it than `near` times that distance, and its part's heat there is below
    `heat_limit`. One round adds at most `round_share` of the recipe's own entries, all rounds together `quota`; beyond,
    the oldest learned ones give way, never an own one.
    """

    new: float = 1.0
    near: float = 0.9
    support: int = 3
    heat_limit: float = math.inf
    round_share: float = 0.05
    quota: float = 0.25
    candidates: int = 96  # new patches of one part that are looked at, the farthest


@dataclass(frozen=True)
class Admitted:
    """The adaptation with what joined, and how many entries did; `unsupported` and `near_defect` were refused."""

    adaptation: Adaptation
    added: Mapping[str, int]
    unsupported: int
    near_defect: int


def defect_patches(parts: Sequence[PatchedPart], heat_limit: float, levels: Mapping[str, Level]) -> dict[str, Keys]:
    """The patches that make known defective parts defective, by name of the bank: (K, d).

    They are the cells that are outlined, or the hottest where none is: it is a defect all the same.
    """
    found: dict[str, list[Keys]] = {name: [] for name in levels}
    for part in parts:
        limit = min(heat_limit, float(part.heat.max()))
        for name in levels:
            found[name].append(part.keys[name][_on_grid(part.heat, part.grids[name]) >= limit])
    return {name: np.concatenate(keys) if keys else np.zeros((0, levels[name].bank.shape[1]), np.float32)
            for name, keys in found.items()}  # fmt: skip


def admit(
    parts: Sequence[PatchedPart],
    current: Adaptation,
    levels: Mapping[str, Level],
    defects: Mapping[str, Keys],
    change: int,
    bounds: Bounds,
) -> Admitted:
    """What good `parts`, read with the `current` adaptation, have in common that is new joins under `change`."""
    banks, origins, added = dict(current.banks), dict(current.origins), {}
    unsupported = near_defect = 0
    for name, level in levels.items():
        chosen, lone, bad = _supported(parts, name, level, defects[name], bounds)
        unsupported, near_defect = unsupported + lone, near_defect + bad
        own = int((origins[name] == OWN).sum())
        new = _farthest(chosen, banks[name], max(1, int(bounds.round_share * own)), level.scale)
        banks[name], origins[name] = _join(banks[name], origins[name], new, change, int(bounds.quota * own))
        added[name] = len(new)
    return Admitted(
        Adaptation(current.recipe, banks, origins, current.gain, current.offset), added, unsupported, near_defect
    )


def admit_cells(
    part: PatchedPart, current: Adaptation, levels: Mapping[str, Level], inside: NDArray[np.bool_], change: int,
    bounds: Bounds,
) -> Adaptation:  # fmt: skip
    """A person has said that what is `inside` (h, w of the heat) of one part is harmless: its new patches join."""
    banks, origins = dict(current.banks), dict(current.origins)
    for name, level in levels.items():
        cells = _on_grid(inside.astype(np.float32), part.grids[name]) > 0
        keys = part.keys[name][cells & (part.distances[name] > level.centre)]
        own = int((origins[name] == OWN).sum())
        new = _farthest(keys, banks[name], max(1, int(bounds.round_share * own)), 0.0)
        banks[name], origins[name] = _join(banks[name], origins[name], new, change, int(bounds.quota * own))
    return Adaptation(current.recipe, banks, origins, current.gain, current.offset)


def prune(new: Adaptation, change: int, current: Adaptation, defective: Sequence[PatchedPart]) -> Adaptation:
    """`new` without those entries of `change` that took known defects their heat.

    `defective` were read with the `current` adaptation: an entry that is nearer to one of their hottest twentieth of
    patches than anything in the current banks is one that hides it.
    """
    banks, origins = dict(new.banks), dict(new.origins)
    for name, bank in new.banks.items():
        mine = np.flatnonzero(origins[name] == change)
        hides = np.zeros(len(mine), np.bool_)
        for part in defective if len(mine) else ():
            hot = _on_grid(part.heat, part.grids[name]) >= float(np.quantile(part.heat, 0.95))
            keys, far = part.keys[name][hot], nearest(part.keys[name][hot], current.banks[name])
            for number, entry in enumerate(bank[mine]):
                hides[number] |= bool((np.sqrt(np.square(keys - entry).sum(1)) < far).any())
        stays = np.ones(len(bank), np.bool_)
        stays[mine[hides]] = False
        banks[name], origins[name] = bank[stays], origins[name][stays]
    return Adaptation(new.recipe, banks, origins, new.gain, new.offset)


def _on_grid(values: NDArray[np.float32], grid: tuple[int, int]) -> NDArray[np.float32]:
    """The largest value of (h, w) in each cell of a grid of its size or coarser: (cells,)."""
    rows, columns = (np.arange(side) * count // side for side, count in zip(values.shape, grid, strict=True))
    found = np.full(grid, -np.inf, np.float32)
    np.maximum.at(found, (rows[:, None], columns[None, :]), values)
    return found.reshape(-1)


def _supported(
    parts: Sequence[PatchedPart], name: str, level: Level, defects: Keys, bounds: Bounds
) -> tuple[Keys, int, int]:
    """New patches that enough other parts share; how many none shared, and how many look like a known defect."""
    chosen: list[Keys] = []
    lone = bad = 0
    for index, part in enumerate(parts):
        distances, quiet = part.distances[name], _on_grid(part.heat, part.grids[name]) < bounds.heat_limit
        cells = np.flatnonzero(quiet & (distances > level.centre + bounds.new * level.scale))
        cells = cells[np.argsort(-distances[cells])][: bounds.candidates]
        if not len(cells):
            continue
        keys, far = part.keys[name][cells], distances[cells]
        others = [other.keys[name] for number, other in enumerate(parts) if number != index]
        votes = np.zeros(len(keys), np.int64)
        for other in others if bounds.support else ():
            votes += nearest(keys, other) < bounds.near * far
        enough = votes >= bounds.support
        harmless = nearest(keys, defects) > far
        lone, bad = lone + int((~enough).sum()), bad + int((enough & ~harmless).sum())
        chosen.append(keys[enough & harmless])
    empty = np.zeros((0, level.bank.shape[1]), np.float32)
    return (np.concatenate(chosen) if chosen else empty), lone, bad


def _farthest(keys: Keys, bank: Keys, count: int, gap: float) -> Keys:
    """Up to `count` of the keys, each time the one farthest from the bank and those taken, while farther than `gap`."""
    taken: list[Keys] = []
    distance = nearest(keys, bank)
    while len(taken) < count and len(keys):
        best = int(np.argmax(distance))
        if distance[best] <= gap:
            break
        taken.append(keys[best])
        distance = np.minimum(distance, np.sqrt(np.square(keys - keys[best]).sum(1)))
    return np.asarray(taken, np.float32).reshape(-1, bank.shape[1])


def _join(bank: Keys, origins: NDArray[np.int32], new: Keys, change: int, quota: int) -> tuple[Keys, NDArray[np.int32]]:
    """The bank with the new entries; of learned ones beyond the quota, the oldest go."""
    bank = np.concatenate([bank, new])
    origins = np.concatenate([origins, np.full(len(new), change, np.int32)])
    learned = np.flatnonzero(origins != OWN)
    stays = np.ones(len(bank), np.bool_)
    stays[learned[: max(0, len(learned) - quota)]] = False
    return bank[stays], origins[stays]
