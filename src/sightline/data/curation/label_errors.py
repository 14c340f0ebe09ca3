"""Labels that may be wrong, classes with too few parts, and images that look like no other of the set.

Labels are judged by confident learning (C. Northcutt, L. Jiang, I. Chuang: "Confident Learning: Estimating Uncertainty
in Dataset Labels", JAIR 70, 2021) on scores of a multinomial logistic regression over standardised embeddings; images
of the same part are held out together, or it would know the answer.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import MissingExtraError
from sightline.data.curation.findings import Action, Finding, Kind, Severity, Verb
from sightline.data.curation.image_statistics import ImageStatistics
from sightline.data.curation.neighbours import Neighbourhood, compact
from sightline.data.curation.robust import robust_z
from sightline.data.formats.label import is_good

FOLDS = 5
STRENGTH = 10.0  # over the number of images: the inverse of the penalty on weights, the same for sets of any size
MIN = 6  # parts of a class; fewer teach nothing, and are said to be few
MANY, MANY_DIMENSIONS = 20_000, 256  # a larger set is learned from fewer dimensions, or it would take hours
SURE = -0.9  # margin below which a label is hardly right

# Outliers: another product, an empty station, a hand in the picture.
NEAREST = 3  # others whose mean distance counts: two outliers that look alike are still outliers
TIMES = 1.25  # as far as nineteen of twenty
FAR = 6.0  # robust standard deviations; distances have a longer tail than measures of light


@dataclass(frozen=True)
class Suspicion:
    """How far each label is to be doubted: `margin` (N,) in -1..1, the lowest first to be looked at.

    The margin is the held-out probability of the given label less that of the best other one; NaN where a label could
    not be judged. `other` is that best other label. `doubted` (N,) are the off-diagonal cells of the confident joint.
    """

    margin: NDArray[np.float64]
    other: tuple[str, ...]
    doubted: NDArray[np.bool_]


def suspicion(
    embeddings: NDArray[np.float32], labels: Sequence[str], units: Sequence[int], seed: int = 0
) -> Suspicion | None:
    """Suspicion of labels (N,) given embeddings (N, E); images with the same of `units` (N,) are held out together.

    None where fewer than two classes have enough parts. Raises MissingExtraError without scikit-learn.
    """
    given, parts = np.asarray(labels), np.asarray(units)
    classes = [name for name in sorted(set(labels) - {""}) if len(set(parts[given == name])) >= MIN]
    if len(classes) < 2:
        return None
    if len(labels) > MANY:
        embeddings = compact(embeddings, MANY_DIMENSIONS, seed)
    rows = np.flatnonzero(np.isin(given, classes))
    own = np.searchsorted(classes, given[rows])
    probability = _held_out(embeddings[rows], own, parts[rows], len(classes), seed)
    confidence = probability[np.arange(len(rows)), own]
    rivals = probability.copy()
    rivals[np.arange(len(rows)), own] = -1.0
    margin = np.full(len(labels), np.nan)
    margin[rows] = confidence - rivals.max(axis=1)
    doubted = np.zeros(len(labels), bool)
    doubted[rows] = _confident(probability, own) != own
    other = [""] * len(labels)
    for row, best in zip(rows, rivals.argmax(axis=1), strict=True):
        other[row] = classes[best]
    return Suspicion(margin, tuple(other), doubted & (margin < 0))


def _held_out(
    embeddings: NDArray[np.float32], own: NDArray[np.int64], units: NDArray[Any], classes: int, seed: int
) -> NDArray[np.float64]:
    """Probabilities (n, classes) of each image from a classifier that has not seen its part."""
    fold = _folds(own, units, seed)
    probability = np.full((len(own), classes), 1e-9)
    for turn in range(FOLDS):
        test, train = np.flatnonzero(fold == turn), np.flatnonzero(fold != turn)
        if not len(test):
            continue
        mean, deviation = embeddings[train].mean(axis=0), embeddings[train].std(axis=0) + 1e-6
        model = _fit((embeddings[train] - mean) / deviation, own[train])
        probability[np.ix_(test, model.classes_)] = model.predict_proba((embeddings[test] - mean) / deviation)
    return probability


def _fit(values: NDArray[np.float32], own: NDArray[np.int64]) -> Any:
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ModuleNotFoundError as error:
        raise MissingExtraError("scikit-learn", "train") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly there ranks as well
        return LogisticRegression(C=STRENGTH / len(own), max_iter=300).fit(values, own)


def _folds(own: NDArray[np.int64], units: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """A fold for each image: whole parts, dealt in turn within the classes, so that each fold has each class."""
    first: dict[Any, int] = {}
    for unit, label in zip(units, own, strict=True):
        first.setdefault(unit, int(label))
    order = list(first)
    order = [order[i] for i in np.random.default_rng(seed).permutation(len(order))]
    order.sort(key=lambda unit: first[unit])  # stable: random within a class
    fold = {unit: index % FOLDS for index, unit in enumerate(order)}
    return np.array([fold[unit] for unit in units], np.int64)


def _confident(probability: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class that each image is confidently counted to: among those at or above their own mean confidence."""
    classes = probability.shape[1]
    mean = np.array([probability[own == k, k].mean() if (own == k).any() else 2.0 for k in range(classes)])
    above = np.where(probability >= mean, probability, -1.0)
    return np.where(above.max(axis=1) < 0, own, above.argmax(axis=1))


def label_findings(statistics: ImageStatistics, units: Sequence[int], seed: int = 0) -> Iterator[Finding]:
    """Labels that a classifier of the other parts contradicts, the surest contradiction first."""
    labels = statistics.labels
    found = suspicion(statistics.embeddings, labels, units, seed)
    if found is None:
        return
    for i in np.flatnonzero(found.doubted):
        name, margin = statistics.names[i], float(found.margin[i])
        yield Finding(
            Kind.LABEL,
            Severity.HIGH if margin < SURE else Severity.MEDIUM,
            (name,),
            f"It is labelled '{labels[i]}', but looks like '{found.other[i]}' to a classifier that has learned from "
            f"the other parts (margin {margin:.2f}).",
            f"Look at it. If it is '{found.other[i]}', correct the label; if not, dismiss this finding.",
            Action(Verb.RELABEL, (name,), found.other[i]),
            strength=-margin,
        )


def class_findings(statistics: ImageStatistics, units: Sequence[int]) -> Iterator[Finding]:
    """Classes that so few parts show that neither learning nor testing can rely on them."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(statistics.labels):
        for name in filter(None, label.split(";")):
            members[name].append(index)
    counts = Counter({name: len({units[i] for i in rows}) for name, rows in members.items()})
    for name, count in counts.items():
        if count < MIN:
            yield Finding(
                Kind.TINY,
                Severity.MEDIUM,
                tuple(statistics.names[i] for i in members[name]),
                f"'{name}' is shown by {count} {'part' if count == 1 else 'parts'}.",
                _more_of(name, MIN - count),
                strength=-count,
                about=f"class:{name}",
            )


def _more_of(name: str, missing: int) -> str:
    if is_good(name):
        return f"Photograph {missing} or more other good parts; thirty give a first honest figure."
    return (
        f"Photograph {missing} or more other parts with '{name}'; thirty give a first honest figure. "
        "Until then, merge it with a similar type or teach it with a few examples."
    )


def outlier_findings(statistics: ImageStatistics, near: Neighbourhood) -> Iterator[Finding]:
    """Images far from their nearest others, each measured against a set that it is not part of."""
    if near.index.shape[1] < 2:
        return
    distance = near.distances(NEAREST)
    far = robust_z(distance)
    edge = float(np.quantile(distance, 0.95))
    for i in np.flatnonzero((far > FAR) & (distance > TIMES * edge)):
        name = statistics.names[i]
        yield Finding(
            Kind.OUTLIER,
            Severity.MEDIUM,
            (name,),
            f"It lies {far[i]:.1f} robust standard deviations farther from its nearest images than the set's median.",
            "Look at it. If it is another product, an empty station or a spoilt picture, leave it out; if it is a rare "
            "but real part, take more pictures like it.",
            Action(Verb.REMOVE, (name,)),
            strength=float(far[i]),
        )
