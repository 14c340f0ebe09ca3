"""The coverage meter: which lots, shifts, light, looks and defects a dataset shows, and what it lacks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.sample import Sample
from sightline.data.curation.diverse import pick
from sightline.data.curation.neighbours import compact
from sightline.data.curation.signs import Signs

THIN = 0.25  # of the median share: less is said to be under-represented
ENOUGH = {"label": 30, "lot": 10, "shift": 10, "brightness": 5, "look": 3}  # images below which a share cannot be full
BANDS = 4
MOST_LOOKS = 12
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
class Coverage:
    """What a dataset shows, axis by axis, and in words what to photograph next, the most needed first."""

    images: int
    axes: dict[str, tuple[Share, ...]]
    advice: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The coverage as plain JSON values."""
        return asdict(self)


def cover(signs: Signs) -> Coverage:
    """The coverage of a set whose signs are known; looks need embeddings, shifts a time in the metadata."""
    names = {"label": signs.labels, "lot": [sample.lot or "" for sample in signs.samples]}
    names["shift"] = [shift_of(sample) for sample in signs.samples]
    names["brightness"] = _bands(signs.measure("brightness"))
    if signs.embeddings.shape[1]:
        names["look"] = _looks(signs.embeddings)
    axes = {axis: _shares(signs, axis, values) for axis, values in names.items() if any(values)}
    return Coverage(len(signs), axes, tuple(_advice(axes, names)))


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
    words = [f"mean grey {edges[k]:.0f} to {edges[k + 1]:.0f}" for k in range(BANDS)]
    return [words[k] for k in np.clip(np.searchsorted(edges, brightness, "right") - 1, 0, BANDS - 1)]


def _looks(embeddings: NDArray[np.float32]) -> list[str]:
    """Clusters of appearance (poses, makes, backgrounds): k-means from the most diverse images."""
    count = int(np.clip((len(embeddings) / 8) ** 0.5, 1, MOST_LOOKS))
    points = compact(embeddings, 32)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-6)
    centres = points[list(pick(points, count).indices)]
    for _ in range(ROUNDS):
        own = (points @ centres.T - 0.5 * (centres**2).sum(axis=1)).argmax(axis=1)
        centres = np.stack([points[own == k].mean(0) if (own == k).any() else centres[k] for k in range(count)])
    sizes = Counter(own.tolist())
    rank = {cluster: place for place, (cluster, _) in enumerate(sizes.most_common(), start=1)}
    return [f"look {rank[cluster]:02}" for cluster in own.tolist()]


def _shares(signs: Signs, axis: str, values: Sequence[str]) -> tuple[Share, ...]:
    members: dict[str, list[int]] = defaultdict(list)
    for index, value in enumerate(values):
        for name in filter(None, value.split(";") if axis == "label" else [value]):
            members[name].append(index)
    middle = float(np.median([len(rows) for rows in members.values()]))
    return tuple(
        Share(
            name,
            len(rows),
            len(rows) < ENOUGH[axis] and (len(members) > 1 or axis == "label") and _few(axis, len(rows), middle),
            tuple(signs.names[i] for i in rows[:NAMED]),
        )
        for name, rows in sorted(members.items())
    )


def _few(axis: str, count: int, middle: float) -> bool:
    return axis == "label" or count < THIN * middle or count < ENOUGH[axis] / 2


def _advice(axes: dict[str, tuple[Share, ...]], names: dict[str, list[str]]) -> Iterator[str]:
    for share in sorted((s for s in axes.get("label", ()) if s.thin), key=lambda s: s.count):
        yield (
            f"Photograph {ENOUGH['label'] - share.count} or more further parts with '{share.name}': "
            f"{share.count} image{'s' * (share.count != 1)} so far."
        )
    yield from _gaps(axes, names)
    for axis, words in (
        ("lot", "Photograph more of lot '{}': {} images, far fewer than of the others."),
        ("shift", "Photograph in the {}: {} images so far."),
        ("brightness", "Photograph with the light at {}: {} images so far. Vary the lamp as the line will."),
    ):
        for share in axes.get(axis, ()):
            if share.thin:
                yield words.format(share.name, share.count)
    missing = [word for _, word in SHIFTS if word not in {share.name for share in axes.get("shift", ())}]
    if "shift" in axes:
        yield from (f"Photograph in the {word}: no image so far." for word in missing)
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
    seen: dict[str, set[str]] = defaultdict(set)
    for label, lot in zip(names["label"], names["lot"], strict=True):
        for name in filter(None, label.split(";") if lot else []):
            seen[name].add(lot)
    for name, found in sorted(seen.items()):
        absent = [lot for lot in lots if lot not in found]
        if absent and len(found) <= len(lots) / 2:
            more = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
            some = ", ".join(absent[:NAMED]) + more
            yield f"Photograph '{name}' in other lots, such as {some}: {len(found)} of {len(lots)} lots show it."
