"""Whether made defects are learned from: where held-out real parts are named better with them, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.models.recogniser import Recogniser
from sightline.train.labelled import Labelled
from sightline.train.labels import Vocabulary
from sightline.train.made_defects import may_help
from sightline.train.settings import TrainSettings

MARGIN = 0.005  # of balanced accuracy: less is no reason to learn from what is made
CHOICE = "made defects"


@dataclass(frozen=True)
class HeldOut:
    """A recogniser, and what such ones said of parts that they had not seen, NaN of all others: logits (parts, K + 1)
    and expected grades (parts,).
    """

    net: Recogniser
    logits: NDArray[np.float64]
    grades: NDArray[np.float64]


def choose_made(
    labelled: Sequence[Labelled], words: Vocabulary, settings: TrainSettings, learn: Callable[[TrainSettings], HeldOut]
) -> tuple[TrainSettings, HeldOut, dict[str, str]]:
    """The settings with the choice made, what was held out with them, and the reason; `learn` holds parts out."""
    way = settings.made_defects
    # Twice the fits, for a gain that few products show (decision 21): for those who have the time.
    if way != "auto" or settings.effort != "max" or not words.types or not may_help(labelled, words):
        way = "always" if way == "always" else "never"
        settings = settings.model_copy(update={"made_defects": way})
        return settings, learn(settings), {}
    found = {one: learn(settings.model_copy(update={"made_defects": one})) for one in ("never", "always")}
    merits = {one: naming(labelled, said.logits, words) for one, said in found.items()}
    best = "always" if merits["always"] > merits["never"] + MARGIN else "never"
    defects = sum(bool(x.part.sample.defective) for x in _judged(labelled, found[best].logits))
    reason = (
        f"{'learned from' if best == 'always' else 'not learned from'}; balanced accuracy "
        f"{merits['always']:.3f} with, {merits['never']:.3f} without, on {defects} held-out real defective parts"
    )
    return settings.model_copy(update={"made_defects": best}), found[best], {CHOICE: reason}


def naming(labelled: Sequence[Labelled], logits: NDArray[np.float64], words: Vocabulary) -> float:
    """Balanced accuracy of held-out parts; where a part may carry several types, the mean over types of each."""
    known = [i for i, x in enumerate(labelled) if x.classes is not None and np.isfinite(logits[i, 0])]
    truth = np.array([labelled[i].classes for i in known], bool).reshape(len(known), len(words.types) + 1)
    if words.exclusive:
        said = np.eye(len(words.types) + 1, dtype=bool)[logits[known].argmax(1)]
        return float(np.mean([said[truth[:, k], k].mean() for k in range(truth.shape[1]) if truth[:, k].any()] or [0]))
    said = logits[known] > 0
    rates = [
        (said[own, k].mean() + (~said[~own, k]).mean()) / 2
        for k, own in enumerate(truth.T)
        if k and own.any() and not own.all()
    ]
    return float(np.mean(rates or [0]))


def _judged(labelled: Sequence[Labelled], logits: NDArray[np.float64]) -> list[Labelled]:
    return [x for x, row in zip(labelled, logits, strict=True) if np.isfinite(row[0])]
