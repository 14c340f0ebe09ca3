"""Findings about images of the same part: copies, near-duplicates, two labels for one picture, and leakage."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from sightline.core.sample import TEST, TRAIN
from sightline.data.curation.finding import Action, Finding, Kind, Severity, Verb
from sightline.data.curation.pairs import Pair, clusters
from sightline.data.curation.signs import Signs


def duplicate_findings(signs: Signs, pairs: Sequence[Pair]) -> Iterator[Finding]:
    """One finding for each cluster of like images, and one for each group or lot on both sides of the split."""
    exact = [pair for pair in pairs if pair.exact]
    for cluster in clusters(exact, len(signs)):
        yield _copies(signs, cluster)
    strength = _strengths(pairs)
    for cluster in clusters(pairs, len(signs)):
        yield from _cluster(signs, cluster, min(strength[index] for index in cluster))
    yield from _shared(signs, "group", [sample.group for sample in signs.samples])
    yield from _shared(signs, "lot", [sample.lot for sample in signs.samples])


def _strengths(pairs: Sequence[Pair]) -> dict[int, float]:
    """How alike each image is to the one that it is most alike to."""
    best: dict[int, float] = defaultdict(float)
    for pair in pairs:
        for index in (pair.first, pair.second):
            best[index] = max(best[index], pair.likeness)
    return best


def _copies(signs: Signs, cluster: Sequence[int]) -> Finding:
    names = _names(signs, cluster)
    return Finding(
        Kind.COPY,
        Severity.MEDIUM,
        names,
        f"{len(cluster)} files are equal, byte by byte.",
        "Keep one. A copy counts a part twice and makes every bound look better than it is.",
        Action(Verb.REMOVE, names[1:]),
        strength=len(cluster),
    )


def _cluster(signs: Signs, cluster: Sequence[int], likeness: float) -> Iterator[Finding]:
    names = _names(signs, cluster)
    labels = {signs.labels[index] for index in cluster} - {""}
    sides = Counter(signs.samples[index].split for index in cluster)
    if len(labels) > 1:
        yield _contradiction(signs, cluster, likeness)
    if sides[TRAIN] and sides[TEST]:
        yield _across(signs, cluster, likeness)
        return
    groups = {signs.samples[index].group for index in cluster}
    if len(groups) == 1 and None not in groups:
        return  # they are kept together already
    if len({signs.digests[index] for index in cluster}) == 1:
        return  # said as copies
    name = min(filter(None, groups), default="") or f"same-{hashlib.sha256(names[0].encode()).hexdigest()[:6]}"
    yield Finding(
        Kind.NEAR,
        Severity.LOW,
        names,
        f"{len(cluster)} images show the same part (likeness {likeness:.2f} or more)"
        + (f", under {len(groups)} group names." if None not in groups else ", and no group holds them together."),
        "Give them one group, so that no split puts them on both sides; or keep only one of them.",
        Action(Verb.GROUP, names, name),
        strength=len(cluster) + likeness,
    )


def _contradiction(signs: Signs, cluster: Sequence[int], likeness: float) -> Finding:
    counts = Counter(signs.labels[index] for index in cluster if signs.labels[index])
    (usual, most), *others = counts.most_common()
    rare = [index for index in cluster if signs.labels[index] not in {"", usual}]
    order = [*rare, *(index for index in cluster if index not in set(rare))]
    decided = bool(others) and most > others[0][1]
    said = ", ".join(f"{count} x {label}" for label, count in counts.most_common())
    return Finding(
        Kind.CONTRADICTION,
        Severity.HIGH,
        _names(signs, order),
        f"Images of the same part have different labels: {said} (likeness {likeness:.2f} or more).",
        "Look at them side by side. If the part is the same, one label is wrong.",
        Action(Verb.RELABEL, _names(signs, rare), usual) if decided else Action(),
        strength=likeness,
    )


def _across(signs: Signs, cluster: Sequence[int], likeness: float) -> Finding:
    return _leak(
        signs,
        cluster,
        f"Images of the same part are in training and in test (likeness {likeness:.2f} or more).",
        strength=1 + likeness,
    )


def _shared(signs: Signs, what: str, values: Sequence[str | None]) -> Iterator[Finding]:
    members: dict[str, list[int]] = defaultdict(list)
    for index, value in enumerate(values):
        if value is not None:
            members[value].append(index)
    for value, indices in members.items():
        sides = Counter(signs.samples[index].split for index in indices)
        if sides[TRAIN] and sides[TEST]:
            reason = f"The {what} '{value}' has {sides[TRAIN]} images in training and {sides[TEST]} in test."
            yield _leak(signs, indices, reason, strength=1.0, about=f"{what}:{value}")


def _leak(signs: Signs, indices: Sequence[int], reason: str, strength: float, about: str = "") -> Finding:
    """The smaller side moves; where both are equal, to training: a test part must not know anything."""
    sides = {side: [i for i in indices if signs.samples[i].split == side] for side in (TRAIN, TEST)}
    to = TEST if len(sides[TEST]) > len(sides[TRAIN]) else TRAIN
    moved = sides[TEST if to == TRAIN else TRAIN]
    return Finding(
        Kind.LEAKAGE,
        Severity.HIGH,
        _names(signs, [*moved, *sides[to]]),
        reason,
        "Put them on one side. A recipe that knows a test part by heart shows figures that the line will not reach.",
        Action(Verb.SPLIT, _names(signs, moved), to),
        strength=strength,
        about=about,
    )


def _names(signs: Signs, indices: Iterable[int]) -> tuple[str, ...]:
    return tuple(signs.names[index] for index in indices)
