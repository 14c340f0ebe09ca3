"""Coverage: which lots, shifts, light, looks and defects a dataset shows, what it lacks, and a diverse subset of it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.core.sample import Sample
from sightline.data.curation.image_statistics import ImageStatistics
from sightline.data.curation.neighbours import compact

THIN = 0.25  # of the median share: less is said to be under-represented
ENOUGH = {"label": 30, "lot": 10, "shift": 10, "brightness": 5, "look": 3}  # images below which a share cannot be full
BANDS = 4
MAX_LOOKS = 12
ROUNDS = 10
TIMES = ("time", "timestamp", "datetime", "date_time", "captured", "trigger_time")  # metadata that tells when
SHIFTS = ((6, "early shift (6 to 14 h)"), (14, "late shift (14 to 22 h)"), (22, "night shift (22 to 6 h)"))
NAMED = 3  # examples, and lots, that are named


@dataclass(frozen=True, slots=True)
class Share:
    """One part of an axis: its images, `thin` where they are few beside the others, and examples by name."""

    name: str
    count: int
    thin: bool
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage(Figures):
    """What a dataset shows, axis by axis, and in words what to photograph next, the most needed first."""

    images: int
    axes: dict[str, tuple[Share, ...]]
    advice: tuple[str, ...]


def cover(statistics: ImageStatistics) -> Coverage:
    """The coverage of a set whose images have been read; looks need embeddings, shifts a time in the metadata."""
    names = {"label": statistics.labels, "lot": [sample.lot or "" for sample in statistics.samples]}
    names["shift"] = [shift_of(sample) for sample in statistics.samples]
    names["brightness"] = _bands(statistics.measure("brightness"))
    if statistics.embeddings.shape[1]:
        names["look"] = _looks(statistics.embeddings)
    axes = {axis: _shares(statistics, axis, values) for axis, values in names.items() if any(values)}
    return Coverage(len(statistics), axes, tuple(_advice(axes, names)))


def shift_of(sample: Sample) -> str:
    """The shift in which an image was taken, from the first time in its metadata; "" where there is none."""
    for key in TIMES:
        try:
            hour = datetime.fromisoformat(sample.metadata.get(key, "")).hour
        except ValueError:
            continue
        return next((name for start, name in reversed(SHIFTS) if hour >= start), SHIFTS[-1][1])
    return ""


def _bands(brightness: NDArray[np.float32]) -> list[str]:
    """Equal bands of mean grey between the set's extremes; no bands where all images are as bright."""
    low, high = np.quantile(brightness, (0.01, 0.99))
    if high - low < 8:
        return [""] * len(brightness)
    edges = np.linspace(low, high, BANDS + 1)
    names = [f"mean grey {edges[k]:.0f} to {edges[k + 1]:.0f}" for k in range(BANDS)]
    return [names[k] for k in np.clip(np.searchsorted(edges, brightness, "right") - 1, 0, BANDS - 1)]


def _looks(embeddings: NDArray[np.float32]) -> list[str]:
    """Clusters of appearance (poses, makes, backgrounds): k-means from the most diverse images."""
    count = int(np.clip((len(embeddings) / 8) ** 0.5, 1, MAX_LOOKS))
    points = compact(embeddings, 32)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-6)
    centres = points[list(pick(points, count).indices)]
    for _ in range(ROUNDS):
        own = (points @ centres.T - 0.5 * (centres**2).sum(axis=1)).argmax(axis=1)
        centres = np.stack([points[own == k].mean(0) if (own == k).any() else centres[k] for k in range(count)])
    sizes = Counter(own.tolist())
    rank = {cluster: index for index, (cluster, _) in enumerate(sizes.most_common(), start=1)}
    return [f"look {rank[cluster]:02}" for cluster in own.tolist()]


def _shares(statistics: ImageStatistics, axis: str, values: Sequence[str]) -> tuple[Share, ...]:
    members: dict[str, list[int]] = defaultdict(list)
    for index, value in enumerate(values):
        for name in filter(None, value.split(";") if axis == "label" else [value]):
            members[name].append(index)
    middle = float(np.median([len(rows) for rows in members.values()]))
    # A label that is missing is missed however few images there are; other axes need something to compare with.
    few = ENOUGH[axis] if axis == "label" else max(THIN * middle, ENOUGH[axis] / 2) if len(members) > 1 else 0
    return tuple(
        Share(
            name,
            len(rows),
            len(rows) < min(few, ENOUGH[axis]),
            tuple(statistics.names[i] for i in rows[:NAMED]),
        )
        for name, rows in sorted(members.items(), key=lambda member: in_order(member[0]))
    )


def in_order(name: str) -> list[tuple[bool, float, str]]:
    """What to sort names by, so that 9 comes before 10 and "mean grey 57 to 102" before "mean grey 102 to 147"."""
    pieces = re.split(r"(\d+(?:\.\d+)?)", name)
    return [(True, float(piece), "") if index % 2 else (False, 0.0, piece) for index, piece in enumerate(pieces)]


def _advice(axes: dict[str, tuple[Share, ...]], names: dict[str, list[str]]) -> Iterator[str]:
    for share in sorted((s for s in axes.get("label", ()) if s.thin), key=lambda s: s.count):
        yield (
            f"Photograph {ENOUGH['label'] - share.count} or more further parts with '{share.name}': "
            f"{share.count} image{'s' * (share.count != 1)} so far."
        )
    yield from _gaps(axes, names)
    for axis, template in (
        ("lot", "Photograph more of lot '{}': {} images, far fewer than of the others."),
        ("shift", "Photograph in the {}: {} images so far."),
        ("brightness", "Photograph with the light at {}: {} images so far. Vary the lamp as the line will."),
    ):
        for share in axes.get(axis, ()):
            if share.thin:
                yield template.format(share.name, share.count)
    missing = [shift for _, shift in SHIFTS if shift not in {share.name for share in axes.get("shift", ())}]
    if "shift" in axes:
        yield from (f"Photograph in the {shift}: no image so far." for shift in missing)
    for share in axes.get("look", ()):
        if share.thin:
            yield f"Photograph more parts that look like {', '.join(share.examples)}: {share.count} such images so far."
    if not axes.get("lot"):
        yield "Name the lot of each image: without it, nobody can tell whether one lot stands for all."


def _gaps(axes: dict[str, tuple[Share, ...]], names: dict[str, list[str]]) -> Iterator[str]:
    """Defect types that only some of the lots show."""
    lots = [share.name for share in axes.get("lot", ())]
    if len(lots) < 2:
        return
    lots_of: dict[str, set[str]] = defaultdict(set)
    for label, lot in zip(names["label"], names["lot"], strict=True):
        for name in filter(None, label.split(";") if lot else []):
            lots_of[name].add(lot)
    for name, found in sorted(lots_of.items()):
        absent = [lot for lot in lots if lot not in found]
        if absent and len(found) <= len(lots) / 2:
            more = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
            some = ", ".join(absent[:NAMED]) + more
            yield f"Photograph '{name}' in other lots, such as {some}: {len(found)} of {len(lots)} lots show it."


@dataclass(frozen=True)
class Picked:
    """Chosen images in the order of choice, and how far each was from those before it; `radius` is what is left."""

    indices: tuple[int, ...]
    distances: tuple[float, ...]
    radius: float


def pick(embeddings: NDArray[np.float32], count: int, given: Sequence[int] = ()) -> Picked:
    """`count` images of embeddings (N, E), besides those that are `given`, each the farthest from all before it.

    Greedy k-centre (O. Sener, S. Savarese: "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
    ICLR 2018): the radius is at most twice the best possible. Without given ones, the most central image is the
    first. Raises InputError where fewer than `count` are left, or a given one does not exist.
    """
    total = len(embeddings)
    if any(not 0 <= index < total for index in given):
        raise InputError(f"an image to start from is not among the {total} of the set. Check the list")
    if not 1 <= count <= total - len(set(given)):
        raise InputError(
            f"{count} images cannot be picked of {total - len(set(given))}. Give a number from 1 to that one"
        )
    points = compact(embeddings)
    away = np.full(total, np.inf)
    for index in given:
        away = np.minimum(away, np.linalg.norm(points - points[index], axis=1))
    away[list(given)] = -1.0  # never again, also where two images are the same
    chosen: list[int] = []
    distances: list[float] = []
    for _ in range(count):
        central = not given and not chosen
        index = int(np.linalg.norm(points, axis=1).argmin() if central else away.argmax())
        distances.append(0.0 if central else float(away[index]))
        chosen.append(index)
        away = np.where(away < 0, away, np.minimum(away, np.linalg.norm(points - points[index], axis=1)))
        away[index] = -1.0
    return Picked(tuple(chosen), tuple(distances), max(float(away.max()), 0.0))
