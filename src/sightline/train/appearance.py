"""How the good parts of a training looked: what `sightline.improve` measures a drift against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.core.card import MEASURES, AppearanceCard, Spread
from sightline.runtime.appearance import Reference, mean_picture, measure
from sightline.train.anomaly.fitting import HeldOut
from sightline.train.images.loader import ImageLoader

MAD, INTERDECILE = (
    1.4826,
    2.5631,
)  # deviations: per median deviation, between deciles (normal distribution)
FAR = 3.0  # deviations: what lies farther counts as if it lay there


def how_it_looks(loader: ImageLoader, held_out: HeldOut) -> AppearanceCard | None:
    """The card's section, of good parts that lie within their distribution; None where no part is good."""
    good = [part for part in loader.parts if not part.sample.defective and part.hash in loader.looks]
    if not good:
        return None
    looks = [loader.looks[part.hash] for part in good]
    picture = mean_picture(looks)
    reference = Reference.of(picture)
    found = [measure(one, reference) for one in looks]
    units = len({part.counted for part in good})
    measures = np.array([one.measures for one in found])
    places = np.array([one.places.ravel() for one in found], np.float64)
    return AppearanceCard(
        picture=picture,
        measures={name: spread_of(measures[:, index], units) for index, name in enumerate(MEASURES)},
        places=tuple((one.mean, one.scale) for one in (spread_of(column, units) for column in places.T)),
        score=spread_of(held_out.scores, len({part.counted for part in held_out.parts})),
        distance=spread_of(held_out.distances, len({part.counted for part in held_out.parts})),
    )


def spread_of(values: NDArray[np.float64], units: int) -> Spread:
    """Where values (n,) of `units` parts lie, whatever a few strays among them do.

    The deviation is the larger of those by the median deviation and by the deciles: the first does not see a second
    cluster of parts, which a line sends as well. The mean is that of the values with strays drawn in to 3 deviations.
    """
    some = values[np.isfinite(values)]
    if not len(some):
        return Spread(mean=0.0, scale=0.0, of=1)
    middle = float(np.median(some))
    low, high = np.quantile(some, (0.1, 0.9))
    scale = max(MAD * float(np.median(np.abs(some - middle))), float(high - low) / INTERDECILE)
    mean = float(np.clip(some, middle - FAR * scale, middle + FAR * scale).mean())
    return Spread(mean=round(mean, 5), scale=round(scale, 5), of=max(1, units))
