"""Attribute agreement analysis of people and machines alike, by the AIAG's manual.

Source: AIAG, "Measurement Systems Analysis", 4th edition, 2010, chapter III section C: effectiveness, miss rate, false
alarm rate and Cohen's kappa with their limits. Intervals are added here. Effectiveness is counted by parts, so its
interval is Clopper-Pearson's. Readings of one part resemble each other: the intervals of miss and false-alarm rates are
those of as many readings as there are parts (rounded outwards), and kappas have bootstrap intervals over whole parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.evaluate.metrics.agreement import cohen_kappa, fleiss_kappa
from sightline.evaluate.statistics.intervals import (
    CONFIDENCE,
    Interval,
    Rate,
    Weights,
    bootstrap,
    clopper_pearson,
    exact_rate,
)

OK, NG, MISSING = 0, 1, -1
Judgement = Literal["acceptable", "marginal", "undecided", "unacceptable"]
JUDGEMENTS: tuple[Judgement, ...] = ("acceptable", "marginal", "undecided", "unacceptable")  # from the best on
# AIAG MSA 4: (acceptable, marginal) limits; beyond the second it is unacceptable.
EFFECTIVENESS, MISS, FALSE_ALARM = (0.90, 0.80), (0.02, 0.05), (0.05, 0.10)
Readings = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Appraiser(Figures):
    """One appraiser. `within`: Fleiss' kappa between their own trials, `reference`: Cohen's kappa of their readings
    against the reference; None where there are fewer than two trials, or no reference.

    `effectiveness` counts parts that were read rightly (without a reference: alike) in every trial, `miss` readings of
    defective parts as OK, `false_alarm` readings of good parts as NG. Where the study holds no defective part, or no
    good one, one of the two is unknown: at best, the judgement is then undecided.
    """

    name: str
    trials: int
    effectiveness: Rate
    miss: Rate | None
    false_alarm: Rate | None
    within: Interval | None
    reference: Interval | None
    judgement: Judgement | None

    @property
    def proven(self) -> bool:
        """Whether the bounds, and not only the estimates, are within what is acceptable."""
        if self.miss is None or self.false_alarm is None:
            return False
        met = self.effectiveness.lower >= EFFECTIVENESS[0], self.miss.upper <= MISS[0]
        return all(met) and self.false_alarm.upper <= FALSE_ALARM[0]


@dataclass(frozen=True, slots=True)
class Between(Figures):
    """Two appraisers: `table` counts their readings as [[OK OK, OK NG], [NG OK, NG NG]], the first one's in rows."""

    first: str
    second: str
    table: tuple[tuple[int, int], tuple[int, int]]
    kappa: Interval


@dataclass(frozen=True, slots=True)
class Agreement(Figures):
    """What an attribute study says. `all_agree` counts the parts on which every reading of everybody is the same,
    `all_right` those on which it is also that of the reference. `judgement` is the worst of the appraisers'.
    """

    parts: int
    defective: int | None
    appraisers: tuple[Appraiser, ...]
    between: tuple[Between, ...]
    all_agree: Rate
    all_right: Rate | None
    judgement: Judgement | None


def attribute_agreement(
    readings: Mapping[str, ArrayLike], reference: ArrayLike | None = None, *, rounds: int = 1000
) -> Agreement:
    """Analyse readings, by appraiser an array (P, T) of 0 OK, 1 NG; `reference` (P,) alike.

    Appraisers may have different numbers of trials. Raises InputError for no parts, other values, or unequal lengths.
    """
    given = {name: _checked(name, values) for name, values in readings.items()}
    if not given:
        raise InputError("nobody has read all parts once. A study needs one complete trial at least")
    parts = len(next(iter(given.values())))
    truth = None if reference is None else _checked("reference", np.reshape(reference, (-1, 1)))[:, 0]
    if any(len(values) != parts for values in given.values()) or (truth is not None and len(truth) != parts):
        raise InputError("appraisers and reference differ in their number of parts. Give all of them the same parts")
    appraisers = tuple(_appraiser(name, values, truth, rounds) for name, values in given.items())
    between = tuple(_between(one, given[one], other, given[other], rounds) for one, other in combinations(given, 2))
    everything = np.concatenate(list(given.values()), axis=1)
    alike = (everything == everything[:, :1]).all(axis=1)
    right = None if truth is None else alike & (everything[:, 0] == truth)
    judged = [one.judgement for one in appraisers if one.judgement is not None]
    return Agreement(
        parts, None if truth is None else int(truth.sum()), appraisers, between, exact_rate(int(alike.sum()), parts),
        None if right is None else exact_rate(int(right.sum()), parts), worst(judged) if judged else None,
    )  # fmt: skip


def judge(value: float, limits: tuple[float, float], *, at_least: bool) -> Judgement:
    """A figure by its (acceptable, marginal) limits; `at_least` where more is better."""
    sign = 1 if at_least else -1
    met = [sign * value >= sign * limit for limit in limits]
    return JUDGEMENTS[met.index(True)] if any(met) else "unacceptable"


def worst(judgements: Sequence[Judgement]) -> Judgement:
    """The worst of several."""
    return max(judgements, key=JUDGEMENTS.index)


def rate_over_parts(count: int, readings: int, parts: int, confidence: float = CONFIDENCE) -> Rate:
    """A rate of readings whose interval takes all readings of a part as one: exact where they all agree, wider than
    needed where they do not, never narrower.
    """
    share = count * parts / readings if readings else 0.0
    low = clopper_pearson(int(share), parts, confidence)[0]
    high = clopper_pearson(min(parts, int(np.ceil(share))), parts, confidence)[1]
    return Rate(count=count, of=readings, lower=low, upper=high, confidence=confidence)


def _checked(name: str, values: ArrayLike) -> Readings:
    found = np.asarray(values)
    if found.ndim != 2 or not found.size or not np.isin(found, (OK, NG)).all():  # before a cast makes 0.9 an OK
        raise InputError(f"{name}: readings are a table of parts by trials, each 0 (OK) or 1 (NG). Correct them")
    return found.astype(np.int8)


def _appraiser(name: str, values: Readings, truth: Readings | None, rounds: int) -> Appraiser:
    parts, trials = values.shape
    consistent = (values == (values[:, :1] if truth is None else truth[:, None])).all(axis=1)
    effectiveness = exact_rate(int(consistent.sum()), parts)
    within = None
    if trials > 1:
        table = np.stack([(values == one).sum(axis=1) for one in (OK, NG)], axis=1)
        within = bootstrap(lambda weights: fleiss_kappa(table, weights), parts, rounds=rounds)
    if truth is None:
        return Appraiser(name, trials, effectiveness, None, None, within, None, None)
    bad, good = values[truth == NG], values[truth == OK]
    miss = rate_over_parts(int((bad == OK).sum()), bad.size, len(bad))
    alarm = rate_over_parts(int((good == NG).sum()), good.size, len(good))
    against = _kappa(values, np.repeat(truth[:, None], trials, axis=1), rounds)
    judged = [judge(effectiveness.count / parts, EFFECTIVENESS, at_least=True)]
    for rate, limits in ((miss, MISS), (alarm, FALSE_ALARM)):
        judged.append("undecided" if rate.value is None else judge(rate.value, limits, at_least=False))
    return Appraiser(name, trials, effectiveness, miss, alarm, within, against, worst(judged))


def _between(one: str, first: Readings, other: str, second: Readings, rounds: int) -> Between:
    """Trial by trial, those that both have."""
    trials = min(first.shape[1], second.shape[1])
    a, b = first[:, :trials], second[:, :trials]
    count = [[int(((a == x) & (b == y)).sum()) for y in (OK, NG)] for x in (OK, NG)]
    table = ((count[0][0], count[0][1]), (count[1][0], count[1][1]))
    return Between(one, other, table, _kappa(a, b, rounds))


def _kappa(first: Readings, second: Readings, rounds: int) -> Interval:
    """Cohen's kappa of (P, T) readings each, resampled by parts."""
    pair = 2 * first.astype(np.int64) + second
    cells = np.stack([(pair == one).sum(axis=1) for one in range(4)], axis=1)

    def kappa(weights: Weights) -> float | None:
        return cohen_kappa([0, 0, 1, 1], [0, 1, 0, 1], weights @ cells)

    return bootstrap(kappa, len(first), rounds=rounds)
