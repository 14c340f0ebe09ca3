"""Which trial to take, and which to stop: costs compared on the same parts, differences weighed by their noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from sightline.evaluate.prices import Prices
from sightline.evaluate.report.text import milliseconds
from sightline.train.search.cost import cheapest, losses, noise
from sightline.train.search.folds import Bench
from sightline.train.search.result import SearchTrial, money
from sightline.train.search.trial import Outcome

NEAR = 1.0  # standard errors within which a cost is as good as the cheapest (Breiman et al., CART, 1984: the 1-SE rule)
CLEAR = 2.0  # standard errors that a trial must cost more to be stopped
CLEAR_PARTS = 3  # and so many more parts judged wrongly: the noise of one or two cannot be estimated
SLOWER = 1.1  # times; less is the noise of the clock
SAME_TIME = 1.05  # times the fastest that count as equally fast


def pareto_front(trials: Iterable[SearchTrial]) -> tuple[SearchTrial, ...]:
    """The finished trials that no other beats in cost and time, the fastest first; of equals the earliest."""
    front: list[SearchTrial] = []
    finished = [(t.ms, t.cost.value, t.number, t) for t in trials if t.cost is not None and t.ms is not None]
    for _, value, _, trial in sorted(finished, key=lambda row: row[:3]):
        if not front or front[-1].cost is None or value < front[-1].cost.value:
            front.append(trial)
    return tuple(front)


def choose(trials: Sequence[SearchTrial], bench: Bench, prices: Prices) -> tuple[SearchTrial, str]:
    """The fastest of those that cost no more than the cheapest within the noise of the difference, and why."""
    finished = [(t, t.cost.value, t.ms) for t in trials if t.cost is not None and t.ms is not None]
    best, least, _ = min(finished, key=lambda row: (row[1], row[2], row[0].number))
    gaps = {t.number: _difference(t.scores, best.scores, bench, prices) for t, _, _ in finished}
    near = [row for row in finished if gaps[row[0].number][0] <= NEAR * gaps[row[0].number][1]]
    fastest = min(ms for _, _, ms in near)
    chosen, value, ms = min(
        (row for row in near if row[2] <= SAME_TIME * fastest), key=lambda row: (row[1], row[2], row[0].number)
    )
    head = f"Trial {chosen.number} is chosen: errors cost {money(value)} per 1,000 parts, {milliseconds(ms)} per image"
    if chosen is best:
        others = len(near) - 1
        why = f"{head}. It is the cheapest"
        why += ", and none that cannot be told from it is clearly faster" if others else ""
    else:
        why = (
            f"{head}. Trial {best.number} costs {money(least)}, which is not distinguishable on these parts "
            f"(standard error of the difference {money(gaps[chosen.number][1])}), and takes {milliseconds(best.ms)}"
        )
    return chosen, f"{why}. {_against_default(chosen, trials)}".strip()


def dominated(
    outcome: Outcome, finished: Iterable[tuple[int, Outcome]], bench: Bench, prices: Prices
) -> tuple[int, str] | None:
    """A finished trial that clearly beats what this one has shown so far, in cost and time: its number, and why."""
    pictures = len(outcome.scores)
    for number, other in finished:
        if outcome.ms < SLOWER * other.ms:
            continue
        more, error, parts = _compare(outcome.scores, other.scores[:pictures], bench, prices)
        if parts >= CLEAR_PARTS and more > CLEAR * error:
            return number, (
                f"on the same {pictures} pictures errors cost {money(more)} more per 1,000 parts than in trial "
                f"{number} (standard error {money(error)}), and an image takes {milliseconds(outcome.ms)} against "
                f"{milliseconds(other.ms)}"
            )
    return None


def _difference(scores: Sequence[float], best: Sequence[float], bench: Bench, prices: Prices) -> tuple[float, float]:
    more, error, _ = _compare(scores, best, bench, prices)
    return more, error


def _compare(
    scores: Sequence[float], others: Sequence[float], bench: Bench, prices: Prices
) -> tuple[float, float, int]:
    """How much more the scores cost than the others on the same pictures, its standard error, and how many more err."""
    bad, units = bench.defective(len(scores)), bench.judged_units(len(scores))
    costs = cheapest(scores, bad, prices), cheapest(others, bad, prices)
    lost = losses(scores, bad, costs[0], prices), losses(others, bad, costs[1], prices)
    error = noise(lost[0] - lost[1], bad, units, prices, bench.seed)
    return costs[0].value - costs[1].value, error, int((lost[0] > 0).sum()) - int((lost[1] > 0).sum())


def _against_default(chosen: SearchTrial, trials: Sequence[SearchTrial]) -> str:
    default = next((t for t in trials if t.default), None)
    if default is None or default.cost is None:
        return ""
    if default is chosen:
        return "These are the default settings."
    return f"The default settings cost {money(default.cost.value)} at {milliseconds(default.ms)}."


# Which settings matter: the share of a figure's spread over the finished trials that each explains.
#
# Source: F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML
# 2014 (functional analysis of variance).

MIN = 10  # finished trials: of fewer, a forest makes stories out of noise
OBJECTIVES = ("cost", "ms")


def importances(study: optuna.Study, seed: int) -> dict[str, dict[str, float]]:
    """For "cost" and "ms": setting -> share, the largest first. Without an entry where nothing can be said."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(finished) < MIN:
        return {}
    found = {}
    for index, name in enumerate(OBJECTIVES):

        def value(trial: FrozenTrial, at: int = index) -> float:
            return float(trial.values[at])

        values = np.array([value(trial) for trial in finished])
        if np.ptp(values) <= 1e-9 * max(1.0, float(np.abs(values).max())):
            continue  # all alike: nothing to explain
        shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed), target=value)
        found[name] = {setting: float(share) for setting, share in shares.items()}
    return found
