"""Good parts that may not be good: found by their held-out scores, left out, and listed for a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sightline.models.memory import ImageScore, MemoryReader
from sightline.train.held_out import Known
from sightline.train.intake import Part

FAR = 4.5  # robust spreads above the median
MOST = 0.3  # of the parts; beyond, the parts differ, and no majority says which are good
MIN_PARTS = 10


@dataclass(frozen=True)
class Suspect:
    """A part labelled good that looks like none of the others, and how far: robust spreads above the median."""

    part: Part
    spreads: float

    def __str__(self) -> str:
        return f"{self.part.sample.path.name} ({self.spreads:.1f} spreads above the median)"


@torch.inference_mode()
def find_suspects(reader: MemoryReader, known: Known) -> tuple[Suspect, ...]:
    """Parts whose held-out score lies far above the others', farthest first.

    Median and median absolute deviation, so that a fifth of strangers does not hide itself (Iglewicz and Hoaglin,
    "How to Detect and Handle Outliers", 1993, use 3.5 for single outliers of a normal sample; scores have a longer
    tail).
    """
    if len(known.parts) < MIN_PARTS:
        return ()
    heat = reader.fuse(known.distances)
    score = ImageScore(reader.score.fractions).to(heat.device)
    score.fit(heat)
    scores = np.array([float(score(tiles).amax()) for tiles in heat.split(known.counts)])
    median = np.median(scores)
    spread = max(1.4826 * float(np.median(np.abs(scores - median))), 1e-6)
    far = (scores - median) / spread
    order = [index for index in np.argsort(-far) if far[index] > FAR][: int(MOST * len(scores))]
    return tuple(Suspect(known.parts[index], float(far[index])) for index in order)
