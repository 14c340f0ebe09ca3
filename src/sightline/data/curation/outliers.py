"""Images that look like no other of the set: another product, an empty station, a hand in the picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sightline.data.curation.finding import Action, Finding, Kind, Severity, Verb
from sightline.data.curation.neighbours import Neighbourhood
from sightline.data.curation.signs import Signs
from sightline.data.curation.spread import spreads

NEAREST = 3  # others whose mean distance counts: two strangers that recur together are still strange
TIMES = 1.25  # as far as nineteen of twenty
FAR = 6.0  # robust spreads; distances have a longer tail than measures of light


def outlier_findings(signs: Signs, near: Neighbourhood) -> Iterator[Finding]:
    """Images far from their nearest others, each measured against a set that it is not part of."""
    if near.index.shape[1] < 2:
        return
    distance = near.distances(NEAREST)
    far = spreads(distance)
    edge = float(np.quantile(distance, 0.95))
    for i in np.flatnonzero((far > FAR) & (distance > TIMES * edge)):
        name = signs.names[i]
        yield Finding(
            Kind.OUTLIER,
            Severity.MEDIUM,
            (name,),
            f"It lies {far[i]:.1f} robust spreads farther from its nearest images than the set's median.",
            "Look at it. If it is another product, an empty station or a spoilt picture, leave it out; if it is a rare "
            "but real part, take more pictures like it.",
            Action(Verb.REMOVE, (name,)),
            strength=float(far[i]),
        )
