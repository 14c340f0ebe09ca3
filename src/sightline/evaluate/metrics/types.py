"""Defect types: how well each is recognised, and which images were taken for which type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.evaluate.statistics.intervals import (
    Interval,
    Rate,
    Statistic,
    Weights,
    bootstrap,
    exact_rate,
    mean_of_all_right,
)

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TypeScore(Figures):
    """One type. `precision`: of parts predicted to show it, those that do; `recall`: of those that do, those predicted.

    `f1` with an exact interval: given the parts that show the type or are predicted to, the share J that both show
    it and are predicted to is a binomial rate, and F1 = 2 J / (1 + J) rises with it. `ap`: average precision; None
    without scores or without a part of this type. A rate over no parts has no value.
    """

    name: str
    precision: Rate
    recall: Rate
    f1: Interval
    ap: float | None

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        found = Figures.to_json(self)
        return {"type": found.pop("name"), **found}


@dataclass(frozen=True, slots=True)
class TypeScores(Figures):
    """All types together. Means run over the types that some part shows (`f1`: or is predicted to show).

    `accuracy`: parts with everything predicted right. `balanced_accuracy`: single-label the mean recall, multi-label
    the mean over types of (recall + specificity) / 2, over types that some parts show and others do not. The
    balanced accuracy and macro F1 come with bootstrap intervals; a resample without a type averages over the rest.
    Where one of several types is right on every part, the balanced accuracy has its exact interval.
    """

    types: tuple[TypeScore, ...]
    accuracy: Rate
    macro_precision: float | None
    macro_recall: float | None
    macro_f1: Interval
    macro_ap: float | None
    balanced_accuracy: Interval


@dataclass(frozen=True, slots=True)
class Confusion:
    """Which images of which type were taken for which; rows are the truth, columns what was predicted."""

    names: tuple[str, ...]
    cells: Mapping[tuple[str, str], tuple[str, ...]]

    def cell(self, truth: str, predicted: str) -> tuple[str, ...]:
        """The names of the images of type `truth` predicted to be `predicted`. Raises KeyError for an unknown type."""
        for name in (truth, predicted):
            if name not in self.names:
                raise KeyError(f"there is no type {name!r}. Choose from: {', '.join(self.names)}.")
        return self.cells.get((truth, predicted), ())

    @property
    def counts(self) -> NDArray[np.int64]:
        """(K, K) int64, in the order of `names`."""
        rows = [[len(self.cells.get((truth, predicted), ())) for predicted in self.names] for truth in self.names]
        return np.array(rows, np.int64).reshape(len(self.names), len(self.names))

    def to_json(self) -> dict[str, Any]:
        """Counts, and the images behind each cell that is not empty."""
        filled = [{"truth": a, "predicted": b, "images": list(images)} for (a, b), images in self.cells.items()]
        return {"names": list(self.names), "counts": self.counts.tolist(), "cells": filled}


def confusion(truth: Sequence[str], predicted: Sequence[str], images: Sequence[str]) -> Confusion:
    """The confusion of N images: true type, predicted type and image name each. Types come by name.

    No images: no types. Raises ValueError for unequal lengths.
    """
    if not len(truth) == len(predicted) == len(images):
        lengths = f"{len(truth)} true types, {len(predicted)} predicted ones and {len(images)} images"
        raise ValueError(f"{lengths} do not match. Give one of each per image.")
    cells: dict[tuple[str, str], list[str]] = {}
    for actual, flagged, image in zip(truth, predicted, images, strict=True):
        cells.setdefault((actual, flagged), []).append(image)
    filled = {pair: tuple(cells[pair]) for pair in sorted(cells)}
    return Confusion(tuple(sorted({*truth, *predicted})), filled)


def single_label(
    truth: Sequence[str],
    predicted: Sequence[str],
    names: Sequence[str],
    scores: ArrayLike | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
) -> TypeScores:
    """Figures where each of N parts shows one of K `names` and is predicted to show one.

    `scores` (N, K) float, higher = rather this type, columns as `names`, for average precision; `groups` (N,),
    such as lots, are resampled whole. Raises InputError for a type that is not among `names` or a score that
    is not a number, ValueError for unequal lengths.
    """
    actual, flagged = _one_hot(truth, names), _one_hot(predicted, names)
    _check(actual, flagged, scores)

    def balanced(weights: Weights) -> float | None:
        return _mean(_divide(*_recalled(actual, flagged, weights)))

    found = bootstrap(balanced, len(truth), groups=groups)
    if found.value == 1.0:
        found = _all_right(truth, groups, found)
    macro = bootstrap(_macro_f1(actual, flagged), len(truth), groups=groups)
    return _scores(actual, flagged, names, scores, macro, found)


def multi_label(
    truth: ArrayLike,
    predicted: ArrayLike,
    names: Sequence[str],
    scores: ArrayLike | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
) -> TypeScores:
    """Figures where each of N parts shows any number of K `names`: `truth` and `predicted` are (N, K) bool.

    Everything else as in `single_label`.
    """
    actual, flagged = _flags(truth, names), _flags(predicted, names)
    _check(actual, flagged, scores)

    def balanced(weights: Weights) -> float | None:
        sensitive = _divide(*_recalled(actual, flagged, weights))
        specific = _divide(*_recalled(~actual, ~flagged, weights))
        return _mean((sensitive + specific) / 2.0)

    found = bootstrap(balanced, len(actual), groups=groups)
    macro = bootstrap(_macro_f1(actual, flagged), len(actual), groups=groups)
    return _scores(actual, flagged, names, scores, macro, found)


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float | None:
    """The mean over the positives of the precision at their score; equal scores make one step.

    `scores` (N,) float, `positive` (N,) bool; None without a positive. Raises InputError for a NaN.
    """
    given, labels = np.asarray(scores, np.float64).ravel(), np.asarray(positive, bool).ravel()
    if np.isnan(given).any():
        raise InputError("a score of a defect type is not a number. Check the recipe, or leave its image out.")
    if not labels.any():
        return None
    ranks = np.unique(-given, return_inverse=True)[1]
    flagged = np.bincount(ranks).cumsum()
    new = np.bincount(ranks, weights=labels)
    return float((new * new.cumsum() / flagged).sum() / labels.sum())


def _scores(
    actual: Flags,
    flagged: Flags,
    names: Sequence[str],
    scores: ArrayLike | None,
    macro_f1: Interval,
    balanced: Interval,
) -> TypeScores:
    ranked = None if scores is None else np.asarray(scores, np.float64)
    kinds = tuple(
        _score(name, actual[:, k], flagged[:, k], None if ranked is None else ranked[:, k])
        for k, name in enumerate(names)
    )
    there = [kind for kind in kinds if kind.recall.of]
    right = int((actual == flagged).all(axis=1).sum())
    return TypeScores(
        types=kinds,
        accuracy=exact_rate(right, len(actual)),
        # A type that occurs but is never predicted has no precision; it must not lift the mean by dropping out.
        macro_precision=_mean(np.array([kind.precision.value or 0.0 for kind in there])),
        macro_recall=_mean(np.array([kind.recall.value for kind in there], np.float64)),
        macro_f1=macro_f1,
        macro_ap=_mean(np.array([kind.ap for kind in there], np.float64)) if ranked is not None else None,
        balanced_accuracy=balanced,
    )


def _all_right(truth: Sequence[str], groups: Sequence[Hashable] | None, found: Interval) -> Interval:
    """The exact interval where every part is right, so that resamples agree; a group is one trial of its type."""
    trials = Counter(kind for kind, _ in set(zip(truth, range(len(truth)) if groups is None else groups, strict=True)))
    return replace(found, lower=mean_of_all_right(list(trials.values()), found.confidence), upper=1.0)


def _score(name: str, actual: Flags, flagged: Flags, ranked: NDArray[np.float64] | None) -> TypeScore:
    hits, either = int((actual & flagged).sum()), int((actual | flagged).sum())
    overlap = exact_rate(hits, either)
    limits = (overlap.value, overlap.lower, overlap.upper) if either else (None, None, None)
    value, lower, upper = (None if x is None else 2.0 * x / (1.0 + x) for x in limits)
    return TypeScore(
        name=name,
        precision=exact_rate(hits, int(flagged.sum())),
        recall=exact_rate(hits, int(actual.sum())),
        f1=Interval(value=value, lower=lower, upper=upper, of=either, confidence=overlap.confidence),
        ap=None if ranked is None else average_precision(ranked, actual),
    )


def _macro_f1(actual: Flags, flagged: Flags) -> Statistic:
    def macro_f1(weights: Weights) -> float | None:
        hits, of = _recalled(actual, flagged, weights)
        return _mean(_divide(2.0 * hits, of + (weights @ flagged)))

    return macro_f1


def _recalled(actual: Flags, flagged: Flags, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per type (K,): parts that show it and are predicted to, and parts that show it."""
    return np.asarray(weights @ (actual & flagged), np.float64), np.asarray(weights @ actual, np.float64)


def _divide(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None


def _one_hot(given: Sequence[str], names: Sequence[str]) -> Flags:
    _distinct(names)
    column = {name: number for number, name in enumerate(names)}
    if unknown := sorted({name for name in given if name not in column}):
        raise InputError(f"the type {unknown[0]!r} is not among {', '.join(names)}. Rename it, or add it to the types.")
    return np.eye(len(names), dtype=bool)[np.array([column[name] for name in given], np.intp)]


def _flags(given: ArrayLike, names: Sequence[str]) -> Flags:
    _distinct(names)
    flags = np.asarray(given, bool)
    if flags.size and (flags.ndim != 2 or flags.shape[1] != len(names)):
        raise ValueError(f"labels {flags.shape} do not fit {len(names)} types. Give (N, {len(names)}) bool.")
    return flags.reshape(-1, len(names))


def _distinct(names: Sequence[str]) -> None:
    if not names or len(set(names)) != len(names):
        raise InputError(f"the types {list(names)} are none or not distinct. Give each type once.")


def _check(actual: Flags, flagged: Flags, scores: ArrayLike | None) -> None:
    if actual.shape != flagged.shape:
        lengths = f"{len(actual)} true and {len(flagged)} predicted parts"
        raise ValueError(f"{lengths} do not match. Give one of each per part.")
    if scores is not None and np.shape(scores) != actual.shape:
        raise ValueError(f"scores {np.shape(scores)} do not fit parts and types {actual.shape}. Give (N, K) scores.")
