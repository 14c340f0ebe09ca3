"""Findings about how pictures were taken: focus, motion, exposure, glare and size, each beside the rest of the set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sightline.data.curation.finding import Action, Finding, Kind, Severity, Verb
from sightline.data.curation.quality import DETAIL
from sightline.data.curation.signs import Signs
from sightline.data.curation.spread import FAR, MIN_IMAGES, spreads

# Beside being far from the others, a difference has to matter: in a very even set, nothing would be "far" otherwise.
BLURRED = -1.2  # of the logarithm of sharpness: less than a third of the median
MOVED = -0.8  # of the logarithm of detail along one direction
ONE_SIDED = 0.6  # by which the best direction has more of it; a lens out of focus takes it from all
CLIPPED = 0.03  # share of the image
GLARING = 0.004
MIRROR = 0.1  # share of white above which the whole picture is too bright
ONE_SIZE = 0.8  # share of images with the same size that makes it the set's size
TIMES = 2.0  # as long or as short as the median side, where sizes vary


def photo_findings(signs: Signs) -> Iterator[Finding]:
    """What stands out among the set's pictures. Sets of fewer than ten images only have their sizes compared."""
    motion = _moved(signs)
    yield from _blur(signs, motion)
    yield from _motion(signs, motion)
    yield from _exposure(signs)
    yield from _glare(signs)
    yield from _sizes(signs)


def _moved(signs: Signs) -> NDArray[np.bool_]:
    """Pictures that lack fine detail along one direction and have it along the others."""
    detail = np.stack([signs.measure(name) for name in DETAIL], axis=1).astype(np.float64)
    away = detail - np.median(detail, axis=0)
    least, most = away.min(axis=1), away.max(axis=1)
    return np.asarray((spreads(least) < -FAR) & (least < MOVED) & (most - least > ONE_SIDED))


def _blur(signs: Signs, motion: NDArray[np.bool_]) -> Iterator[Finding]:
    sharp = signs.measure("sharpness")
    below, far = sharp - np.median(sharp), spreads(sharp)
    for i in np.flatnonzero((far < -FAR) & (below < BLURRED) & ~motion):
        yield _one(
            signs,
            int(i),
            Kind.BLUR,
            f"It has {np.exp(below[i]):.0%} of the set's median sharpness.",
            "Take it again in focus: check the lens, its ring and the distance. Leave it out if the part is gone.",
            float(-far[i]),
        )


def _motion(signs: Signs, motion: NDArray[np.bool_]) -> Iterator[Finding]:
    detail = np.stack([signs.measure(name) for name in DETAIL], axis=1)
    away = detail - np.median(detail, axis=0)
    for i in np.flatnonzero(motion):
        yield _one(
            signs,
            int(i),
            Kind.MOTION,
            f"Along one direction it has {np.exp(away[i].min()):.0%} of the set's fine detail, along another "
            f"{np.exp(away[i].max()):.0%}: the part or the camera moved.",
            "Shorten the exposure, add light, or trigger when the part stands still; then take it again.",
            float(-away[i].min()),
        )


def _mirrors(signs: Signs) -> NDArray[np.bool_]:
    """Pictures whose white is mostly that of a few wide spots: a lamp is seen, the exposure may be right."""
    bright, spots = signs.measure("bright"), signs.measure("glare")
    return np.asarray((spots > 0.5 * bright) & (bright < MIRROR))


def _exposure(signs: Signs) -> Iterator[Finding]:
    mirrors = _mirrors(signs)
    for name, words, remedy in (
        ("dark", "black", "Open the exposure, or light the part: what is black cannot be inspected."),
        (
            "bright",
            "white",
            "Shorten the exposure or lower the gain: what is white cannot be inspected.",
        ),
    ):
        share = signs.measure(name)
        usual, far = float(np.median(share)), spreads(share)
        odd = (far > FAR) & (share > usual + CLIPPED) & (share > 2 * usual)
        for i in np.flatnonzero(odd & ~(mirrors & (name == "bright"))):
            yield _one(
                signs,
                int(i),
                Kind.CLIPPING,
                f"{share[i]:.1%} of it is pure {words}; the set's median is {usual:.1%}.",
                remedy,
                float(share[i] - usual),
            )


def _glare(signs: Signs) -> Iterator[Finding]:
    share = signs.measure("glare")
    usual, far = float(np.median(share)), spreads(share)
    for i in np.flatnonzero((far > FAR) & (share > usual + GLARING) & _mirrors(signs)):
        yield _one(
            signs,
            int(i),
            Kind.GLARE,
            f"Saturated spots cover {share[i]:.1%} of it; the set's median is {usual:.1%}.",
            "Turn the lamp or the part, or use a diffuser or crossed polarisers; then take it again.",
            float(share[i] - usual),
        )


def _sizes(signs: Signs) -> Iterator[Finding]:
    sizes = [(int(height), int(width)) for height, width in signs.sizes]
    (height, width), count = Counter(sizes).most_common(1)[0]
    if count >= ONE_SIZE * len(sizes):
        odd = [i for i, size in enumerate(sizes) if size != (height, width)]
        usual = f"{count} of {len(sizes)} images have {width} x {height} px"
    else:
        # Crops of varying size: only what is of another order stands out.
        sides = np.sqrt(np.prod(signs.sizes.astype(np.float64), axis=1))
        ratio, far = sides / np.median(sides), np.abs(spreads(np.log(sides)))
        odd = [int(i) for i in np.flatnonzero((far > FAR) & ((ratio > TIMES) | (ratio < 1 / TIMES)))]
        usual = f"the median side is {np.median(sides):.0f} px"
    if len(sizes) < MIN_IMAGES and count < 2:
        return
    for i in odd:
        yield _one(
            signs,
            i,
            Kind.SIZE,
            f"It is {sizes[i][1]} x {sizes[i][0]} px; {usual}.",
            "Take it with the line's camera and region, or leave it out: a resized picture shows other details.",
            abs(float(np.log(sizes[i][0] * sizes[i][1] / (height * width)))),
        )


def _one(signs: Signs, index: int, kind: Kind, reason: str, remedy: str, strength: float) -> Finding:
    name = signs.names[index]
    severity = Severity.LOW if kind is Kind.SIZE else Severity.MEDIUM
    return Finding(kind, severity, (name,), reason, remedy, Action(Verb.REMOVE, (name,)), strength)
