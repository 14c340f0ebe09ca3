"""What a drift comes from: a table of causes, each with the charts that it moves and those that it leaves alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.improve.charts import CHARTED, OF_NETWORK, PLACE, Drift

MOVED = 0.6  # deviations: where a chart has alarmed, this much of a measure is a trace of its cause
FEW = 0.2  # of all places: dirt lies at some, light and parts are everywhere
ALIKE = 0.5  # of the largest change, for one the other way to count
SOME = 0.5  # of a change's square: a variance that grows by more is that of a change to some parts and not to others
EDGES = 2.5  # deviations that a place moves for one of the pose, where the camera does: something leaves it or comes in


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause: its name, what it looks like, and what to do about it."""

    name: str
    what: str
    remedy: str


CAMERA = Cause(
    "camera",
    "the picture has shifted, turned or changed its scale: camera or fixture have moved",
    "Compare the two pictures. Tighten camera and fixture, and bring them back to where they were. If the new place "
    "is to stay, train a recipe from pictures of it",
)
DIRT = Cause(
    "dirt",
    "the same few places of all pictures have become darker or brighter: dirt on the lens or its window",
    "Clean lens and window, then look at the same place again. If it stays, look for a shadow or a reflection there",
)
COLOUR = Cause(
    "colour",
    "the colours have moved against each other: the lamp's colour, the white balance, or the product's own colour",
    "Fix the camera's white balance, and check whether a lamp was changed or is failing. "
    "If neither, compare the material",
)
LENS = Cause(
    "lens",
    "pictures have become softer or sharper: the focus, or a film over the lens",
    "Focus the lens on a golden part and fix its ring. Check the working distance, and clean the lens",
)
LIGHT = Cause(
    "light",
    "pictures have become darker or brighter, or have lost contrast: lamp, exposure or gain, or light from outside",
    "Check lamp, exposure, gain, aperture, and daylight that reaches the part. Set them as they were when the recipe "
    "was trained",
)
PRODUCT = Cause(
    "product",
    "parts look less like the good ones, and light, lens and camera are as they were: the product or its supplier",
    "Look at the newest parts beside the older ones. If they are good, label some of them and train the recipe anew",
)
DEFECTS = Cause(
    "defects",
    "more parts are not OK than usual, while light, lens and camera are as they were: perhaps a new defect type",
    "Look at what these parts have in common. If it is a new defect type, name it, and teach it to the recipe. "
    "If they are good, call them so in review, and train the recipe anew",
)
CAUSES = {one.name: one for one in (CAMERA, DIRT, COLOUR, LENS, LIGHT, PRODUCT, DEFECTS)}
SHOWN_BY = {
    CAMERA: ("shift_x", "shift_y", "turn", "scale"),
    COLOUR: ("red", "blue"),
    LENS: ("sharpness",),
    LIGHT: ("brightness", "contrast"),
}


def name_cause(drift: Drift) -> Cause:
    """The cause whose own measures have moved farthest, in deviations.

    Every cause moves measures of others, too, but less: a brighter picture turns whites into another colour, dirt
    takes a little of all light. Where no measure of the picture has crossed its limit or moved, what has changed is
    what the picture shows.
    """
    steady = drift.scattered <= SOME * (drift.moved**2 + 1)
    changes = np.where(steady, drift.moved, 0.0)
    moved = dict(zip(CHARTED, np.abs(changes).tolist(), strict=False))
    evidence = {cause: max(moved[name] for name in names) for cause, names in SHOWN_BY.items()}
    places = changes[len(CHARTED) :]
    farthest = float(np.abs(places).max())
    if is_dirt(places):
        evidence[DIRT] = farthest / EDGES if evidence[CAMERA] >= MOVED else farthest
    elif both_ways(places):
        evidence[CAMERA] = max(evidence[CAMERA], farthest / 2)
    else:
        evidence[LIGHT] = max(evidence[LIGHT], farthest / 2)
    cause = max(evidence, key=lambda one: evidence[one])
    of_all = {name for name, same in zip(CHARTED, steady, strict=False) if same}
    if steady[len(CHARTED) + int(np.abs(drift.moved[len(CHARTED) :]).argmax())]:
        of_all.add(PLACE)
    if evidence[cause] >= MOVED or of_all.intersection(drift.crossed) - {*OF_NETWORK, "noise"}:
        return cause
    return LIGHT if moved["noise"] >= MOVED else PRODUCT


def is_dirt(places: NDArray[np.float64]) -> bool:
    """Whether a few places have moved, and one way: what lies on a lens is darker, or brighter, than what it hides."""
    farthest = float(np.abs(places).max())
    strong = np.abs(places) > farthest / 2
    return bool(0 < np.count_nonzero(strong) <= FEW * places.size and not both_ways(places))


def both_ways(places: NDArray[np.float64]) -> bool:
    """Whether some places have become brighter and others darker: what lies there has moved."""
    return min(float(places.max()), -float(places.min())) > ALIKE * float(np.abs(places).max())
