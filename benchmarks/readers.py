"""Other ways to read the same maps, beside the memory bank as it is: python benchmarks/readers.py

Each set of `generalise.py` is dealt as there and its maps are computed once, so that a way to read them costs seconds
and not a training. What is read here is the bank alone, without synthetic defects, alignment or stretching: rows
compare with each other, not with `generalise.md`. A reader is adopted where its mean gain over the sets exceeds two
standard errors, and then only after `generalise.py` has said the same of the whole product.

    python benchmarks/readers.py                                # all readers on all sets
    python benchmarks/readers.py --sets tire board --detail 0.7 # at another input size
"""

import argparse
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from generalise import SETS, deal
from numpy.typing import NDArray

from sightline.evaluate.metrics.image import image_auroc
from sightline.models.arrays import enlarge, smooth
from sightline.models.backbone import backbone
from sightline.models.memory_bank import gaussian, level_features, nearest, over_bank, top_count
from sightline.train import plans
from sightline.train.anomaly.memory_bank import farthest_points, principal_directions
from sightline.train.backbone.extractor import OnnxExtractor
from sightline.train.images.loader import ImageLoader, accept
from sightline.train.settings import TrainSettings
from sightline.train.units import find_units, group_keys

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "readers.json", HERE / "readers.md"
PATCHES, FITTED, BANK = 90_000, 30_000, {"fine": 4096, "coarse": 2048}
Floats = NDArray[np.float32]
Heat = dict[str, Floats]  # side -> (n, 1, h, w): "good" held out from the bank by unit, "test"
Metric = Callable[[Floats, NDArray[np.int64]], Floats]  # keys (P, d), units (P,) -> matrix (d, d) on the keys


class Maps:
    """The backbone's maps of a set's good and test pictures, as half floats, and what is known of each picture."""

    def __init__(self, name: str, detail: float) -> None:
        plans.DETAIL = detail
        settings = TrainSettings.parse({"threads": 1, "align": "never"})
        good, test = deal(name, 0, 0)
        parts, _ = find_units(accept(good, group_keys(good)))
        plan = plans.offer_plans(parts, settings)[0][0]
        self.input, source, extractor = plan.size, backbone("lite0"), OnnxExtractor("lite0", 2)
        self.maps: dict[str, list[dict[str, Any]]] = {}
        self.levels, kept = source.levels, {}
        for side, some in (("good", parts), ("test", accept(test))):
            loader = ImageLoader(some, plan.size, settings.roi, None, set())
            ready = [(part, picture) for part in some if (picture := loader(part)) is not None]
            self.maps[side] = [
                {key: maps.astype(np.float16) for key, maps in extractor(next(picture.some(1))[0][None]).items()}
                for _, picture in ready
            ]
            kept[side] = [part for part, _ in ready]
        self.units = np.array([part.unit for part in kept["good"]])
        self.defective = np.array([bool(part.sample.defective) for part in kept["test"]])

    def features(self, side: str, index: int, level: str) -> tuple[Floats, tuple[int, int]]:
        """Raw features (h * w, C) of one picture, and its grid."""
        maps = self.maps[side][index]
        found = level_features([maps[name].astype(np.float32) for name in self.levels[level]], True)[0]
        return found.reshape(len(found), -1).T, found.shape[1:]

    def patches(self, level: str, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
        """Random patches of all good pictures (P, C), and the unit of each."""
        quota, rows, units = -(-PATCHES // len(self.units)), [], []
        for index, unit in enumerate(self.units):
            flat, _ = self.features("good", index, level)
            rows.append(flat[rng.permutation(len(flat))[:quota]])
            units.append(np.full(len(rows[-1]), unit))
        return np.concatenate(rows), np.concatenate(units)


def bank_heat(
    maps: Maps, level: str, key: int = 64, metric: Metric | None = None, neighbours: int = 1, by_place: bool = False
) -> Heat:
    """Distances to a bank of patches. `metric` bends the keys' space, the nearest and the `neighbours`-th are
    averaged, and `by_place` divides by how far held-out good patches lie from the same entry.
    """
    rng = np.random.default_rng(0)
    rows, units = maps.patches(level, rng)
    mean, directions = principal_directions(rows[rng.permutation(len(rows))[:FITTED]], key)
    if metric is not None:
        directions = (directions @ metric((rows - mean) @ directions, units)).astype(np.float32)
    keys = ((rows - mean) @ directions).astype(np.float32)
    chosen = farthest_points(keys, BANK[level], rng)
    bank, owners = keys[chosen], units[chosen]
    scale = entry_scales(keys, units, bank, owners, rng) if by_place else None
    heat: dict[str, list[Floats]] = {"good": [], "test": []}
    for side, found in heat.items():
        for index in range(len(maps.maps[side])):
            flat, grid = maps.features(side, index, level)
            query = ((flat - mean) @ directions).astype(np.float32)
            usable = owners != maps.units[index] if side == "good" else np.ones(len(bank), bool)
            found.append(_distance(query, bank[usable], neighbours, None if scale is None else scale[usable], grid))
    return {side: np.stack(found) for side, found in heat.items()}


def _distance(query: Floats, bank: Floats, neighbours: int, scale: Floats | None, grid: tuple[int, int]) -> Floats:
    if neighbours > 1:
        lengths = (query * query).sum(axis=1)[:, None]
        best = over_bank(query, bank, lambda x: -np.partition(-x, neighbours - 1, axis=1)[:, neighbours - 1])
        last = np.sqrt((lengths[:, 0] - 2 * best).clip(min=0))
        return np.asarray(0.5 * (last + nearest(query, bank)), np.float32).reshape(1, *grid)
    distance = nearest(query, bank)
    if scale is not None:
        distance = distance / scale[over_bank(query, bank, lambda x: x.argmax(axis=1), "int64")]
    return np.asarray(distance, np.float32).reshape(1, *grid)


def entry_scales(
    keys: Floats, units: NDArray[np.int64], bank: Floats, owners: NDArray[np.int64], rng: np.random.Generator
) -> Floats:
    """How far good patches of other units lie from each entry, over the mean; few patches lean on that mean."""
    total, count = np.zeros(len(bank)), np.zeros(len(bank))
    pick = rng.permutation(len(keys))[:FITTED]
    for unit in np.unique(units[pick]):
        query, usable = keys[pick[units[pick] == unit]], np.flatnonzero(owners != unit)
        entry = usable[over_bank(query, bank[usable], lambda x: x.argmax(axis=1), "int64")]
        np.add.at(total, entry, nearest(query, bank[usable]))
        np.add.at(count, entry, 1)
    mean = total.sum() / count.sum()
    return np.asarray((total + 5 * mean) / (count + 5) / mean, np.float32)


def whitened(keys: Floats, units: NDArray[np.int64]) -> Floats:
    """Half-way whitening: each direction over the square root of its deviation."""
    return np.diag(keys.var(axis=0) ** -0.25)


def residuals(keys: Floats, units: NDArray[np.int64]) -> Floats:
    """Whitening of the differences between good patches and their nearest ones of other units: what varies
    between alike patches counts less.
    """
    order = np.random.default_rng(1).permutation(len(keys))
    asked, others, rows = order[:4000], order[4000 : 4000 + FITTED], []
    for unit in np.unique(units[asked]):
        query, rest = keys[asked[units[asked] == unit]], keys[others[units[others] != unit]]
        rows.append(query - rest[over_bank(query, rest, lambda x: x.argmax(axis=1), "int64")])
    joined = np.concatenate(rows)
    values, vectors = np.linalg.eigh(joined.T @ joined / len(joined))
    return np.asarray(vectors * (0.9 * values + 0.1 * values.mean()) ** -0.5, np.float32)


def linear_autoencoder(maps: Maps, cells: int = 24, size: int = 24) -> Heat:
    """The whole picture's coarse keys as one vector: what its main directions over good parts leave, standardised
    by what they leave of good parts that were held out in two halves.
    """
    rng = np.random.default_rng(0)
    rows, _ = maps.patches("coarse", rng)
    mean, directions = principal_directions(rows[rng.permutation(len(rows))[:FITTED]], size)

    def whole(side: str, index: int) -> Floats:
        flat, grid = maps.features(side, index, "coarse")
        keys = ((flat - mean) @ directions).reshape(*grid, size).astype(np.float32)
        return cv2.resize(keys, (cells, cells)).transpose(2, 0, 1).ravel()

    good, test = (np.stack([whole(side, i) for i in range(len(maps.maps[side]))]) for side in ("good", "test"))
    rank = 5 if len(good) <= 25 else 8 if len(good) <= 45 else 20

    def left(vectors: Floats, learned: Floats) -> Floats:
        centre = learned.mean(axis=0)
        main = np.linalg.svd(learned - centre, full_matrices=False)[2][:rank]
        return (vectors - centre) - (vectors - centre) @ main.T @ main

    units = np.unique(maps.units)
    half = np.isin(maps.units, units[: len(units) // 2])
    held_out = np.empty_like(good)
    for side in (half, ~half):
        held_out[~side] = left(good[~side], good[side])
    deviation = np.sqrt((held_out**2).mean(axis=0))
    deviation += 0.3 * deviation.mean()

    def heat(vectors: Floats) -> Floats:
        return np.sqrt(((vectors / deviation).reshape(len(vectors), size, cells, cells) ** 2).mean(axis=1))[:, None]

    return {"good": heat(held_out), "test": heat(left(test, good))}


def fused(heats: list[tuple[float, Heat]]) -> Heat:
    """Sum of standardised heats on the first one's grid, smoothed as the product does it."""
    total: Heat = {}
    for weight, heat in heats:
        centre, deviation = heat["good"].mean(), heat["good"].std()
        for side, values in heat.items():
            ready = weight * (values - centre) / deviation
            total[side] = ready if side not in total else total[side] + enlarge(ready, total[side])
    return {side: smooth(values.astype(np.float32), gaussian(0.7)) for side, values in total.items()}


def along_lines(heat: Heat, cells: int = 5) -> Heat:
    """The largest mean of `cells` cells along eight directions, for cracks."""
    kernels = []
    for angle in np.arange(8) * np.pi / 8:
        kernel = np.zeros((cells, cells), np.float32)
        steps = np.linspace(-(cells // 2), cells // 2, 4 * cells + 1)
        kernel[np.rint(steps * np.sin(angle)).astype(int) + cells // 2,
               np.rint(steps * np.cos(angle)).astype(int) + cells // 2] = 1  # fmt: skip
        kernels.append(kernel / kernel.sum())
    return {
        side: np.stack([np.max([cv2.filter2D(x[0].copy(), -1, k) for k in kernels], axis=0)[None] for x in values])
        for side, values in heat.items()
    }


def auroc(parts: list[tuple[Heat, float]], defective: NDArray[np.bool_]) -> float:
    """Of the averaged, standardised means of the hottest fractions of heats."""
    total = np.zeros(len(defective))
    for heat, fraction in parts:
        means = {}
        for side, values in heat.items():
            flat = values.reshape(len(values), -1)
            count = top_count(fraction, flat.shape[1])
            means[side] = -np.partition(-flat, count - 1, axis=1)[:, :count].mean(axis=1)
        total += (means["test"] - means["good"].mean()) / max(means["good"].std(), 1e-2)
    found = image_auroc(total, defective)
    assert found is not None, "a set without good or without defective parts"
    return found


def read(name: str, detail: float) -> dict[str, float]:
    """Image AUROC of every reader on one set."""
    maps, found = Maps(name, detail), {}

    def usual(heat: Heat) -> float:
        return auroc([(heat, 0.003), (heat, 0.03)], maps.defective)

    fine, coarse = bank_heat(maps, "fine"), bank_heat(maps, "coarse")
    base = fused([(1, fine), (0.5, coarse)])
    found["as it is"] = usual(base)
    found["fine level alone"], found["coarse level alone"] = usual(fused([(1, fine)])), usual(fused([(1, coarse)]))
    for fraction in (0.001, 0.003):
        found[f"hottest {fraction:.1%} alone"] = auroc([(base, fraction)], maps.defective)
    found["0.3 %, 3 % and 30 %"] = auroc([(base, x) for x in (0.003, 0.03, 0.3)], maps.defective)
    found["0.3 % along lines, 3 %"] = auroc([(along_lines(base), 0.003), (base, 0.03)], maps.defective)
    whole = linear_autoencoder(maps)
    found["linear autoencoder beside it"] = usual(fused([(1, fine), (0.5, coarse), (0.5, whole)]))
    ways: dict[str, dict[str, Any]] = {
        "keys of 128": {"key": 128},
        "nearest and fifth": {"neighbours": 5},
        "half whitened": {"metric": whitened},
        "whitened by residuals": {"metric": residuals},
        "over each entry's own distance": {"by_place": True},
    }
    for way, options in ways.items():
        found[way] = usual(
            fused([(w, bank_heat(maps, level, **options)) for level, w in (("fine", 1), ("coarse", 0.5))])
        )
    return found


def page(rows: dict[str, dict[str, float]]) -> str:
    """The table as Markdown: image AUROC, and the mean gain over the sets with its standard error."""
    names = list(rows)
    text = ["# Other ways to read the same maps", "", str(__doc__).split("\n\n")[1], ""]
    text += [f"| reader | {' | '.join(names)} | mean | gain | standard error |", "|---" * (len(names) + 4) + "|"]
    first = np.array([rows[name]["as it is"] for name in names])
    for reader in rows[names[0]]:
        values = np.array([rows[name][reader] for name in names])
        gain = values - first
        error = gain.std(ddof=1) / math.sqrt(len(gain)) if len(gain) > 1 else math.nan
        cells = " | ".join(f"{value:.3f}" for value in values)
        text.append(f"| {reader} | {cells} | {values.mean():.3f} | {gain.mean():+.4f} | {error:.4f} |")
    return "\n".join(text) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--detail", type=float, default=plans.DETAIL, help="input px per image px, at least")
    parser.add_argument("--dry", action="store_true", help="print, and leave the stored table as it is")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rows: dict[str, dict[str, float]] = {}
    for name in asked.sets:
        rows[name] = {reader: round(value, 4) for reader, value in read(name, asked.detail).items()}
        print(name, rows[name], flush=True)
        if not asked.dry:
            RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
            PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
