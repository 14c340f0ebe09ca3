"""Control charts of one view of a station with one recipe: a few numbers that each part moves on, and that alarm.

Every measure has a two-sided CUSUM chart (E. S. Page, "Continuous Inspection Schemes", Biometrika 41 (1954) 100-115) of
its deviation from the good parts of the training, in their standard deviations, and an exponentially weighted mean
(S. W. Roberts, "Control Chart Tests Based on Geometric Moving Averages", Technometrics 1 (1959) 239-250) that says
where it is now. Conformal p-values have a betting chart: the capital of a conformal test martingale (V. Vovk, I. Petej,
I. Nouretdinov and others, "Retrain or not Retrain: Conformal Test Martingales for Change-Point Detection", 2021), kept
above 1 as Page's chart keeps its sum above 0.

Few training parts know their mean badly, and parts of a line resemble their neighbours. So a deviation counts only
beyond an effect that matters plus what the mean may be wrong by, a single part counts four deviations at most, and the
limits are high: benchmarks/drift.md has the rates of false alarms.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.core.card import MEASURES, PLACES, Card
from sightline.evaluate.statistics.intervals import upper_bound

Values = NDArray[np.float64]

CHARTED = (*MEASURES, "score", "distance")
PLACE, P_VALUE = "places", "p_value"
NAMES = (*CHARTED, PLACE, P_VALUE)  # of charts, as people see them: that of places is the worst of a hundred
SIZE = len(CHARTED) + PLACES**2
EFFECT = 1.0  # deviations: what is less does not matter
SURE = 3.0  # standard errors of the training's mean that count as no drift
WIDER = 2.0  # standard errors of the training's deviation, by which it is taken to be larger
FARTHEST = 4.0  # deviations that one part counts at most
LIMIT = 40.0  # of a sum, in deviations
STAKES = 20.0  # of the logarithm of the capital
UNSURE = 1e-3  # the share of recipes whose calibration may be worse than its margin
FAR = 20.0  # deviations that it counts at most where it is asked how far, not whether
NEWEST = 0.04  # weight of the newest part in the exponentially weighted mean
NEWEST_BEFORE = 0.003  # in the mean that says how it was before
WAIT = 40  # parts from crossing a limit to the alarm, so that all charts have seen the change when its cause is named
WAIT_LONG = 100  # where only what the network says has crossed: that nothing else has moved takes longer to say
OF_NETWORK = ("score", "distance", "p_value")
QUIET = 200  # parts after an alarm without another
LEARNED = 200  # OK parts of the line that stand in for the training's, where a card says nothing of them
INDEPENDENT = 4  # of so many neighbours on a line, one counts
FIRST, LAST = 500, 8000  # parts of a recipe at a station, whose share that was not OK is what is usual there
MOST = 0.5  # of them: where more parts are not OK than are, no more can be looked for
MORE = 4.0  # times the usual odds: what more parts that are not OK are looked for
FALSE_ALARM = 1 / 20_000  # of a part, at most, where as many are not OK as usual
EVERY, POINTS = 10, 120  # parts to a point of what is shown, and how many of these are kept
FINEST = {  # deviations below these, in each measure's unit, are no drift whatever the training says
    **{"brightness": 0.01, "contrast": 0.01, "sharpness": 0.03, "noise": 0.05, "red": 0.004, "blue": 0.004},
    **{"shift_x": 0.15, "shift_y": 0.15, "turn": 0.1, "scale": 0.15, "score": 0.01, "distance": 0.01},
}
FINEST_PLACE = 1.0
LOWEST = np.array([*(FINEST[name] for name in CHARTED), *[FINEST_PLACE] * PLACES**2])


@dataclass(frozen=True)
class Seen:
    """What a record says of a part: `number` of the inspection, `values` (112,) by `CHARTED` and then by place, NaN
    where something was not measured, the conformal p-value, NaN where there is none, and whether the verdict was OK.
    """

    number: int
    values: Values
    p_value: float
    ok: bool


@dataclass(frozen=True)
class Usual:
    """Where good parts lie: mean, standard deviation and number of parts (112,), and whose parts those are.

    `calibrated` is the number of held-out parts that the p-values rest on, 0 where that is not known.
    """

    mean: Values
    scale: Values
    of: Values
    source: Literal["training", "production"]
    calibrated: int = 0

    @property
    def unit(self) -> Values:
        """One deviation (112,), taken to be as large as it may be."""
        return np.asarray(np.maximum(self.scale, LOWEST) * (1 + WIDER / np.sqrt(2 * self.of)), np.float64)

    @property
    def allowance(self) -> Values:
        """Deviations (112,) that are no drift."""
        return np.asarray(EFFECT + SURE / np.sqrt(self.of), np.float64)

    @classmethod
    def of_card(cls, card: Card) -> Usual | None:
        """What a recipe's card says; None where it says nothing."""
        told = card.appearance
        if told is None:
            return None
        spreads = [*(told.measures[name] for name in MEASURES), told.score, told.distance]
        measured = spreads[0].of
        return cls(
            np.array([*(one.mean for one in spreads), *(mean for mean, _ in told.places)]),
            np.array([*(one.scale for one in spreads), *(scale for _, scale in told.places)]),
            np.array([*(one.of for one in spreads), *[measured] * PLACES**2], np.float64),
            "training",
            card.calibration.good,
        )


@dataclass(frozen=True)
class Drift:
    """An alarm: the inspection that the change began at, as far as the chart that alarmed first can tell, which charts
    have crossed their limits, and in deviations (112,) where each measure is now and how far it has moved, lately or
    for good; `scattered` (112,) by how much its variance has grown.
    """

    since: int
    number: int
    crossed: tuple[str, ...]
    deviations: Values
    moved: Values
    scattered: Values


@dataclass(frozen=True)
class Surplus:
    """More parts that are not OK than usual: `since` the inspection at which it began, `of` parts since, `not_ok` of
    these, and the `usual` share of the first parts, as high as it may be by its exact bound.
    """

    since: int
    number: int
    not_ok: int
    of: int
    usual: float


@dataclass
class Charts:
    """The charts' state. Parts come in the order of their records; of each, nothing else is kept.

    `up`, `down`: sums (112,); `now` and `before`: exponentially weighted means, of the newest parts and of many;
    `begun`: inspections that the sums began at (2, 112); `capital`: its logarithm, which began at inspection `staked`.
    `settled`: parts since the last changeover; `accepted`: the inspection at which a person has accepted how it is.
    `not_ok`: parts that were judged otherwise, and their share of the newest ones. Of the `first` parts `first_not_ok`
    were not, so that `usual` is their share, as high as it may be, 0 while they are too few. `surplus`: the sum of the
    chart for these, `counted` parts since it was last 0, `defects` of them not OK, and `counted_since` the inspection
    that it began at. `total`, `square`, `learned`: what is learned of the line where no card says what is usual.
    `history` (points, 14, 2): sums down and up by their limits.
    """

    parts: int = 0
    last: int = 0
    settled: int = 0
    accepted: int = 0
    not_ok: int = 0
    lately: float = 0.0
    first: int = 0
    first_not_ok: int = 0
    usual: float = 0.0
    surplus: float = 0.0
    counted: int = 0
    defects: int = 0
    counted_since: int = 0
    up: Values = field(default_factory=lambda: np.zeros(SIZE))
    down: Values = field(default_factory=lambda: np.zeros(SIZE))
    now: Values = field(default_factory=lambda: np.zeros(SIZE))
    before: Values = field(default_factory=lambda: np.zeros(SIZE))
    scatter: Values = field(default_factory=lambda: np.ones(SIZE))
    scatter_before: Values = field(default_factory=lambda: np.ones(SIZE))
    begun: Values = field(default_factory=lambda: np.zeros((2, SIZE)))
    capital: float = 0.0
    staked: int = 0
    total: Values = field(default_factory=lambda: np.zeros(SIZE))
    square: Values = field(default_factory=lambda: np.zeros(SIZE))
    learned: Values = field(default_factory=lambda: np.zeros(SIZE))
    waited: int = -1
    since: int = 0
    quiet: int = 0
    history: Values = field(default_factory=lambda: np.zeros((0, len(NAMES), 2)))

    def usual_here(self) -> Usual | None:
        """What the line's own first parts say; None while there are too few."""
        if self.learned.max() < LEARNED:
            return None
        count = np.maximum(self.learned, 1)
        mean = self.total / count
        scale = np.sqrt(np.maximum(self.square / count - mean**2, 0))
        return Usual(mean, scale, np.maximum(count / INDEPENDENT, 1), "production")

    def learn(self, seen: Seen) -> None:
        """Take a part that was judged OK as one of those that say what is usual."""
        self._count(seen)
        if seen.ok:
            there = np.isfinite(seen.values)
            values = np.where(there, seen.values, 0.0)
            self.total, self.square, self.learned = self.total + values, self.square + values**2, self.learned + there

    def add(self, seen: Seen, usual: Usual) -> Drift | None:
        """Move the charts on by a part; what they alarm of, if they do."""
        self._count(seen)
        there = np.isfinite(seen.values) & (usual.of > 0)
        away = np.where(there, (seen.values - usual.mean) / usual.unit, 0.0)
        far = np.clip(away, -FAR, FAR)
        off = np.where(there, far - self.now, 0.0)
        self.now = self.now + NEWEST * off
        self.before = self.before + np.where(there, NEWEST_BEFORE * (far - self.before), 0.0)
        self.scatter = self.scatter + np.where(there, NEWEST * (off**2 - self.scatter), 0.0)
        wider = np.where(there, NEWEST_BEFORE * (self.scatter - self.scatter_before), 0.0)
        self.scatter_before = self.scatter_before + wider
        if self.quiet > 0:
            self.quiet -= 1
            return None
        away, step = np.clip(away, -FARTHEST, FARTHEST), np.where(there, usual.allowance, 0.0)
        for side, (sums, moved) in enumerate(((self.up, away - step), (self.down, -away - step))):
            self.begun[side][sums == 0] = seen.number
            np.maximum(sums + moved, 0.0, out=sums)
        self._bet(seen, usual)
        if self.parts % EVERY == 0:
            self.history = np.concatenate([self.history, self.standing()[None]])[-POINTS:]
        return self._alarm(seen, usual)

    def _count(self, seen: Seen) -> None:
        self.parts, self.last, self.not_ok = self.parts + 1, seen.number, self.not_ok + (not seen.ok)
        self.lately += NEWEST * ((not seen.ok) - self.lately)

    def count_defects(self, seen: Seen) -> Surplus | None:
        """Count whether a part was OK, before `add` or `learn`; more that are not OK than usual, if it is that.

        The CUSUM of the likelihood ratio between the usual odds and four times these. With a threshold of log(n), the
        mean time to a false alarm is n parts or more (G. Lorden, "Procedures for Reacting to a Change in Distribution",
        Annals of Mathematical Statistics 42 (1971) 1897-1908).
        """
        if self.first < LAST:
            self.first, self.first_not_ok = self.first + 1, self.first_not_ok + (not seen.ok)
            # Its bound is looked at anew at each doubling: the share is known the better, the more parts have come.
            if self.first % FIRST == 0 and (self.first // FIRST).bit_count() == 1:
                self.usual = upper_bound(self.first_not_ok, self.first)
        usual = self.usual
        if usual == 0 or usual > MOST:
            return None
        unusual = MORE * usual / (1 - usual + MORE * usual)
        if self.surplus == 0:
            self.counted = self.defects = 0
            self.counted_since = seen.number
        ratio = (1 - unusual) / (1 - usual) if seen.ok else unusual / usual
        self.surplus = max(0.0, self.surplus + math.log(ratio))
        self.counted, self.defects = self.counted + 1, self.defects + (not seen.ok)
        if self.surplus < -math.log(FALSE_ALARM):
            return None
        self.surplus = 0.0
        return Surplus(self.counted_since, seen.number, self.defects, self.counted, usual)

    def standing(self) -> Values:
        """Each chart's sums (14, 2), down and up, by their limits: 1 is the limit."""
        sums = np.stack([self.down, self.up], axis=1) / LIMIT
        worst = sums[len(CHARTED) :].max(axis=0)
        return np.concatenate([sums[: len(CHARTED)], worst[None], [[0.0, self.capital / STAKES]]])

    def _bet(self, seen: Seen, usual: Usual) -> None:
        """Stake on small p-values; they are taken to be as large as a calibration on so few parts may make them."""
        if not usual.calibrated or not math.isfinite(seen.p_value):
            return
        if self.capital == 0:
            self.staked = seen.number
        margin = math.sqrt(math.log(1 / UNSURE) / (2 * usual.calibrated))
        self.capital = max(0.0, self.capital + math.log(1.5 - min(1.0, seen.p_value + margin)))

    def _alarm(self, seen: Seen, usual: Usual) -> Drift | None:
        crossed = self.standing().max(axis=1) >= 1
        if self.waited < 0 and not crossed.any():
            return None
        if self.waited < 0:
            self.since = self._began()
        self.waited += 1
        names = tuple(name for name, over in zip(NAMES, crossed, strict=True) if over)
        if not names:  # it has come back by itself
            self.waited = -1
            return None
        if self.waited < (WAIT_LONG if set(names) <= set(OF_NETWORK) else WAIT):
            return None
        found = Drift(
            self.since, seen.number, names, self.now.copy(), self._moved(usual), self.scatter - self.scatter_before
        )
        self.restart()
        self.quiet = QUIET
        return found

    def _moved(self, usual: Usual) -> Values:
        """How far each measure has moved from where it was; or, of one that has stayed away for long, how much farther
        than its allowance it lies from what is usual.
        """
        lately = self.now - self.before
        beyond = np.sign(self.now) * np.maximum(np.abs(self.now) - usual.allowance, 0.0)
        return np.where(np.abs(lately) >= np.abs(beyond), lately, beyond)

    def _began(self) -> int:
        """Page's estimate: where the sum that crosses its limit was last 0."""
        sums = np.stack([self.up, self.down])
        if sums.max() >= LIMIT:
            return int(self.begun.ravel()[sums.argmax()])
        return self.staked

    def restart(self) -> None:
        """Begin all sums anew; what is known of the line stays."""
        self.up, self.down, self.capital, self.waited = np.zeros(SIZE), np.zeros(SIZE), 0.0, -1

    def to_json(self) -> dict[str, Any]:
        """For the store; arrays as base64, to the last bit, so that going on equals beginning again."""
        return {
            one.name: base64.b64encode(np.ascontiguousarray(value, "<f8").tobytes()).decode()
            if isinstance(value := getattr(self, one.name), np.ndarray)
            else value
            for one in fields(self)
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Charts:
        """From the store; anything unreadable begins anew."""
        made = cls()
        for one in fields(cls):
            value, usual = told.get(one.name), getattr(made, one.name)
            if isinstance(usual, np.ndarray) and isinstance(value, str):
                try:
                    array = np.frombuffer(base64.b64decode(value), "<f8").copy()
                    shape = (-1, *usual.shape[1:]) if one.name == "history" else usual.shape
                    setattr(made, one.name, array.reshape(shape))
                except ValueError:
                    return cls()
            elif isinstance(value, int | float) and not isinstance(usual, np.ndarray):
                setattr(made, one.name, value)
        return made
