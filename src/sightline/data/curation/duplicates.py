"""Findings about images of the same part: copies, near-duplicates, two labels for one picture, and leakage."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from sightline.core.sample import TEST, TRAIN
from sightline.data.curation.findings import Action, Finding, Kind, Severity, Verb
from sightline.data.curation.image_statistics import ImageStatistics
from sightline.data.curation.near_duplicates import Pair, clusters


def duplicate_findings(statistics: ImageStatistics, pairs: Sequence[Pair]) -> Iterator[Finding]:
    """One finding for each cluster of like images, and one for each group or lot on both sides of the split."""
    exact = [pair for pair in pairs if pair.exact]
    for cluster in clusters(exact, len(statistics)):
        yield _copies(statistics, cluster)
    strength = _strengths(pairs)
    for cluster in clusters(pairs, len(statistics)):
        yield from _cluster(statistics, cluster, min(strength[index] for index in cluster))
    yield from _shared(statistics, "group", [sample.group for sample in statistics.samples])
    yield from _shared(statistics, "lot", [sample.lot for sample in statistics.samples])


def _strengths(pairs: Sequence[Pair]) -> dict[int, float]:
    """How alike each image is to the one that it is most alike to."""
    best: dict[int, float] = defaultdict(float)
    for pair in pairs:
        for index in (pair.first, pair.second):
            best[index] = max(best[index], pair.similarity)
    return best


def _copies(statistics: ImageStatistics, cluster: Sequence[int]) -> Finding:
    names = _names(statistics, cluster)
    return Finding(
        Kind.COPY,
        Severity.MEDIUM,
        names,
        f"{len(cluster)} files are equal, byte by byte.",
        "Keep one. A copy counts a part twice and makes every bound look better than it is.",
        Action(Verb.REMOVE, names[1:]),
        strength=len(cluster),
    )


def _cluster(statistics: ImageStatistics, cluster: Sequence[int], similarity: float) -> Iterator[Finding]:
    names = _names(statistics, cluster)
    labels = {statistics.labels[index] for index in cluster} - {""}
    sides = Counter(statistics.samples[index].split for index in cluster)
    if len(labels) > 1:
        yield _contradiction(statistics, cluster, similarity)
    if sides[TRAIN] and sides[TEST]:
        yield _leak(
            statistics,
            cluster,
            f"Images of the same part are in training and in test (similarity {similarity:.2f} or more).",
            strength=1 + similarity,
        )
        return
    groups = {statistics.samples[index].group for index in cluster}
    if len(groups) == 1 and None not in groups:
        return  # one group holds them together already
    if len({statistics.digests[index] for index in cluster}) == 1:
        return  # reported as copies
    name = min(filter(None, groups), default="") or f"same-{hashlib.sha256(names[0].encode()).hexdigest()[:6]}"
    held = f"under {len(groups)} group names" if None not in groups else "and no group holds them together"
    yield Finding(
        Kind.NEAR,
        Severity.LOW,
        names,
        f"{len(cluster)} images show the same part (similarity {similarity:.2f} or more), {held}.",
        "Give them one group, so that no split puts them on both sides; or keep only one of them.",
        Action(Verb.GROUP, names, name),
        strength=len(cluster) + similarity,
    )


def _contradiction(statistics: ImageStatistics, cluster: Sequence[int], similarity: float) -> Finding:
    counts = Counter(statistics.labels[index] for index in cluster if statistics.labels[index])
    (commonest, most), *others = counts.most_common()
    rare = [index for index in cluster if statistics.labels[index] not in {"", commonest}]
    order = [*rare, *(index for index in cluster if index not in set(rare))]
    decided = bool(others) and most > others[0][1]
    listed = ", ".join(f"{count} x {label}" for label, count in counts.most_common())
    return Finding(
        Kind.CONTRADICTION,
        Severity.HIGH,
        _names(statistics, order),
        f"Images of the same part have different labels: {listed} (similarity {similarity:.2f} or more).",
        "Look at them side by side. If the part is the same, one label is wrong.",
        Action(Verb.RELABEL, _names(statistics, rare), commonest) if decided else Action(),
        strength=similarity,
    )


def _shared(statistics: ImageStatistics, what: str, values: Sequence[str | None]) -> Iterator[Finding]:
    members: dict[str, list[int]] = defaultdict(list)
    for index, value in enumerate(values):
        if value is not None:
            members[value].append(index)
    for value, indices in members.items():
        sides = Counter(statistics.samples[index].split for index in indices)
        if sides[TRAIN] and sides[TEST]:
            reason = f"The {what} '{value}' has {sides[TRAIN]} images in training and {sides[TEST]} in test."
            yield _leak(statistics, indices, reason, strength=1.0, about=f"{what}:{value}")


def _leak(
    statistics: ImageStatistics, indices: Sequence[int], reason: str, strength: float, about: str = ""
) -> Finding:
    """The smaller side moves; where both are equal, to training: a test part must not know anything."""
    sides = {side: [i for i in indices if statistics.samples[i].split == side] for side in (TRAIN, TEST)}
    to = TEST if len(sides[TEST]) > len(sides[TRAIN]) else TRAIN
    moved = sides[TEST if to == TRAIN else TRAIN]
    return Finding(
        Kind.LEAKAGE,
        Severity.HIGH,
        _names(statistics, [*moved, *sides[to]]),
        reason,
        "Put them on one side. A recipe that has memorised a test part shows figures that the line will not reach.",
        Action(Verb.SPLIT, _names(statistics, moved), to),
        strength=strength,
        about=about,
    )


def _names(statistics: ImageStatistics, indices: Iterable[int]) -> tuple[str, ...]:
    return tuple(statistics.names[index] for index in indices)
