"""Findings about how pictures were taken: focus, motion, exposure, glare and size, each beside the rest of the set.

And about what a recipe could learn instead of defects: light or a lot that goes along with the label.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sightline.data.curation.findings import Action, Finding, Kind, Severity, Verb
from sightline.data.curation.image_statistics import DETAIL, GOOD, ImageStatistics
from sightline.data.curation.robust import FAR, MIN_IMAGES, robust_z

# Beside being far from the others, a difference has to matter: in a very even set, nothing would be "far" otherwise.
BLURRED = -1.2  # of the logarithm of sharpness: less than a third of the median
MOVED = -0.8  # of the logarithm of detail along one direction
ONE_SIDED = 0.6  # by which the best direction has more of it; a lens out of focus takes it from all
CLIPPED = 0.03  # share of the image
GLARING = 0.004
MIRROR = 0.1  # share of white above which the whole picture is too bright
ONE_SIZE = 0.8  # share of images with the same size that makes it the set's size
TIMES = 2.0  # as long or as short as the median side, where sizes vary

# Light and lots that tell the label.
TELLS = 0.80  # the area under the ROC curve whose lower bound must lie above this
Z = 2.576  # 99 %, two-sided: several measures and types are tried
MIN_PER_SIDE = 8  # good and defective images
LOT_SIZE = 4
CHANCE = 0.01  # probability that a lot has one class by chance, at the set's shares
MAX_EXAMPLES = 6


def photo_findings(statistics: ImageStatistics) -> Iterator[Finding]:
    """What stands out among the set's pictures. Sets of fewer than ten images only have their sizes compared."""
    detail = np.stack([statistics.measure(name) for name in DETAIL], axis=1).astype(np.float64)
    away = detail - np.median(detail, axis=0)
    least, most = away.min(axis=1), away.max(axis=1)
    # Pictures that lack fine detail along one direction and have it along the others.
    motion = np.asarray((robust_z(least) < -FAR) & (least < MOVED) & (most - least > ONE_SIDED))
    yield from _blur(statistics, motion)
    yield from _motion(statistics, motion)
    yield from _exposure(statistics)
    yield from _glare(statistics)
    yield from _sizes(statistics)


def _blur(statistics: ImageStatistics, motion: NDArray[np.bool_]) -> Iterator[Finding]:
    sharp = statistics.measure("sharpness")
    below, far = sharp - np.median(sharp), robust_z(sharp)
    for i in np.flatnonzero((far < -FAR) & (below < BLURRED) & ~motion):
        yield _one(
            statistics,
            int(i),
            Kind.BLUR,
            f"It has {np.exp(below[i]):.0%} of the set's median sharpness.",
            "Take it again in focus: check the lens, its ring and the distance. Leave it out if the part is gone.",
            float(-far[i]),
        )


def _motion(statistics: ImageStatistics, motion: NDArray[np.bool_]) -> Iterator[Finding]:
    detail = np.stack([statistics.measure(name) for name in DETAIL], axis=1)
    away = detail - np.median(detail, axis=0)
    for i in np.flatnonzero(motion):
        yield _one(
            statistics,
            int(i),
            Kind.MOTION,
            f"Along one direction it has {np.exp(away[i].min()):.0%} of the set's fine detail, along another "
            f"{np.exp(away[i].max()):.0%}: the part or the camera moved.",
            "Shorten the exposure, add light, or trigger when the part stands still; then take it again.",
            float(-away[i].min()),
        )


def _mirrors(statistics: ImageStatistics) -> NDArray[np.bool_]:
    """Pictures whose white is mostly that of a few wide spots: a lamp is seen, the exposure may be right."""
    bright, spots = statistics.measure("bright"), statistics.measure("glare")
    return np.asarray((spots > 0.5 * bright) & (bright < MIRROR))


def _exposure(statistics: ImageStatistics) -> Iterator[Finding]:
    mirrors = _mirrors(statistics)
    for name, colour, remedy in (
        ("dark", "black", "Open the exposure, or light the part: what is black cannot be inspected."),
        (
            "bright",
            "white",
            "Shorten the exposure or lower the gain: what is white cannot be inspected.",
        ),
    ):
        share = statistics.measure(name)
        median, far = float(np.median(share)), robust_z(share)
        odd = (far > FAR) & (share > median + CLIPPED) & (share > 2 * median)
        for i in np.flatnonzero(odd & ~(mirrors & (name == "bright"))):
            yield _one(
                statistics,
                int(i),
                Kind.CLIPPING,
                f"{share[i]:.1%} of it is pure {colour}; the set's median is {median:.1%}.",
                remedy,
                float(share[i] - median),
            )


def _glare(statistics: ImageStatistics) -> Iterator[Finding]:
    share = statistics.measure("glare")
    median, far = float(np.median(share)), robust_z(share)
    for i in np.flatnonzero((far > FAR) & (share > median + GLARING) & _mirrors(statistics)):
        yield _one(
            statistics,
            int(i),
            Kind.GLARE,
            f"Saturated spots cover {share[i]:.1%} of it; the set's median is {median:.1%}.",
            "Turn the lamp or the part, or use a diffuser or crossed polarisers; then take it again.",
            float(share[i] - median),
        )


def _sizes(statistics: ImageStatistics) -> Iterator[Finding]:
    sizes = [(int(height), int(width)) for height, width in statistics.sizes]
    (height, width), count = Counter(sizes).most_common(1)[0]
    if count >= ONE_SIZE * len(sizes):
        odd = [i for i, size in enumerate(sizes) if size != (height, width)]
        rest = f"{count} of {len(sizes)} images have {width} x {height} px"
    else:
        # Crops of varying size: only what is of another order stands out.
        sides = np.sqrt(np.prod(statistics.sizes.astype(np.float64), axis=1))
        ratio, far = sides / np.median(sides), np.abs(robust_z(np.log(sides)))
        odd = [int(i) for i in np.flatnonzero((far > FAR) & ((ratio > TIMES) | (ratio < 1 / TIMES)))]
        rest = f"the median side is {np.median(sides):.0f} px"
    if len(sizes) < MIN_IMAGES and count < 2:
        return
    for i in odd:
        yield _one(
            statistics,
            i,
            Kind.SIZE,
            f"It is {sizes[i][1]} x {sizes[i][0]} px; {rest}.",
            "Take it with the line's camera and region, or leave it out: a resized picture shows other details.",
            abs(float(np.log(sizes[i][0] * sizes[i][1] / (height * width)))),
        )


def _one(statistics: ImageStatistics, index: int, kind: Kind, reason: str, remedy: str, strength: float) -> Finding:
    name = statistics.names[index]
    severity = Severity.LOW if kind is Kind.SIZE else Severity.MEDIUM
    return Finding(kind, severity, (name,), reason, remedy, Action(Verb.REMOVE, (name,)), strength)


def confound_findings(statistics: ImageStatistics) -> Iterator[Finding]:
    """Light that tells defective from good, and lots that have parts of one class only."""
    yield from _light(statistics)
    yield from _lots(statistics)


def _light(statistics: ImageStatistics) -> Iterator[Finding]:
    defective = np.array([sample.defective for sample in statistics.samples], object)
    good, bad = np.flatnonzero(defective == False), np.flatnonzero(defective == True)  # noqa: E712 - None is neither
    for measure in ("brightness", "contrast"):
        values = statistics.measure(measure)
        area, lower = auc(values[good], values[bad])
        if min(len(good), len(bad)) < MIN_PER_SIDE or lower < TELLS:
            continue
        more = "more" if np.median(values[bad]) > np.median(values[good]) else "less"
        middle = (float(np.median(values[good])), float(np.median(values[bad])))
        order = bad[np.argsort(values[bad] if more == "less" else -values[bad])]
        yield Finding(
            Kind.LIGHTING,
            Severity.MEDIUM,
            tuple(statistics.names[i] for i in (*order[: MAX_EXAMPLES // 2], *good[: MAX_EXAMPLES // 2])),
            f"Defective images have {more} {measure} than good ones: {middle[1]:.0f} against {middle[0]:.0f} of 255 in "
            f"the median. {measure.capitalize()} alone tells them apart with an AUROC of {area:.2f} (at least "
            f"{lower:.2f} at 99 %).",
            "Photograph good and defective parts in turn under the same light. If the defects themselves change the "
            "light, dismiss this; if not, a recipe learns the lamp and not the defect.",
            strength=lower,
            about=f"light:{measure}",
        )


def auc(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[float, float]:
    """Area under the ROC curve of two samples, whichever is larger counted as 0.5 or more, and its lower 99 % bound.

    0.5 and 0 where a sample is empty.
    """
    if not len(one) or not len(other):
        return 0.5, 0.0
    ranked = np.sort(one)
    below, upto = np.searchsorted(ranked, other, "left"), np.searchsorted(ranked, other, "right")
    area = float((below + upto).mean() / 2 / len(one))
    area = max(area, 1 - area)
    # Of samples that do not overlap, the formula would be certain; one image less on the wrong side is not.
    error = max(auc_error(area, len(one), len(other)), 1 / min(len(one), len(other)) / 4)
    return area, area - Z * error


def auc_error(area: float, positives: int, negatives: int) -> float:
    """Standard error of an area under the ROC curve (J. Hanley and B. McNeil, Radiology 143, 1982)."""
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (first - area**2) + (negatives - 1) * (second - area**2)
    return math.sqrt(max(0.0, variance) / (positives * negatives))


def _lots(statistics: ImageStatistics) -> Iterator[Finding]:
    members: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(statistics.samples):
        if sample.lot is not None and sample.defective is not None:
            members[sample.lot].append(index)
    total = Counter(statistics.samples[i].defective for rows in members.values() for i in rows)
    if len(members) < 2 or len(total) < 2:
        return
    for lot, rows in members.items():
        sides = {statistics.samples[i].defective for i in rows}
        if len(rows) < LOT_SIZE or len(sides) > 1:
            continue
        only = sides.pop()
        chance = (total[only] / total.total()) ** len(rows)
        if chance < CHANCE:
            name = "defective" if only else GOOD
            yield Finding(
                Kind.LOT,
                Severity.MEDIUM,
                tuple(statistics.names[i] for i in rows[:MAX_EXAMPLES]),
                f"All {len(rows)} images of lot '{lot}' are {name}; in the set, {total[only] / total.total():.0%} are.",
                f"Photograph {'good' if only else 'defective'} parts of this lot as well. Whatever else is "
                "particular to "
                "it (material, light, day) would be learned as the label.",
                strength=1 - chance,
                about=f"lot:{lot}",
            )
