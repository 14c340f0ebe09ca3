"""The loop of trials: take one, judge its folds, tell the study; until there are enough or time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from sightline.core.errors import SightlineError
from sightline.train.search.choice import dominated
from sightline.train.search.cost import Prices, cheapest
from sightline.train.search.folds import Bench
from sightline.train.search.result import SearchTrial, State
from sightline.train.search.space import Space
from sightline.train.search.study import FAILED, REASON, SCORES, TIMES, USUAL, done, take, withdraw
from sightline.train.search.trial import Outcome, run_folds

FOLD_SECONDS = "fold_seconds"
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
}  # fmt: skip

Progress = Callable[[str, int, int], None]


class OutOfTime(Exception):
    """The budget is spent: a trial ends, and nothing is wrong."""


@dataclass(frozen=True)
class Job:
    """Everything a process needs to take part in a search. `deadline` is in seconds since the epoch."""

    path: Path | None
    bench: Bench
    space: Space
    prices: Prices
    trials: int
    deadline: float
    seed: int


def work(study: optuna.Study, job: Job, progress: Progress, stop: Callable[[], bool], worker: int = 0) -> bool:
    """Run trials until enough are taken (True), or the deadline has passed or `stop()` says so (False).

    A trial that time cuts short, or that an interrupt ends, is withdrawn: it does not count and is tried again later.
    """
    progress("folds of this trial", 0, job.bench.count)
    while True:
        progress("trials", min(len(done(study)), job.trials), job.trials)
        if stop() or time.time() >= job.deadline:
            return False
        trial = take(study, job.space, job.trials, job.seed, worker)
        if trial is None:
            return True
        try:
            _attempt(study, trial, job, progress, stop)
        except OutOfTime:
            withdraw(study, trial, "the budget was spent")
            return False
        except BaseException as error:
            withdraw(study, trial, f"ended by {type(error).__name__}")
            raise


def _attempt(study: optuna.Study, trial: optuna.Trial, job: Job, progress: Progress, stop: Callable[[], bool]) -> None:
    """One trial from its settings to what the study is told."""
    seconds: list[float] = []

    quickest = _quickest_fold(study)

    def before(fold: int) -> None:
        # A fold that will not fit is not begun: the trial would be cut all the same, and the budget overrun.
        expected = sum(seconds) / len(seconds) if seconds else quickest
        if stop() or time.time() + expected >= job.deadline:
            raise OutOfTime
        progress("folds of this trial", fold, job.bench.count)
        seconds.append(-time.perf_counter())

    def after(outcome: Outcome, folds: int) -> None:
        seconds[-1] += time.perf_counter()
        trial.set_user_attr(FOLD_SECONDS, seconds)
        trial.set_user_attr(SCORES, outcome.scores)
        trial.set_user_attr(TIMES, outcome.times_ms)
        if folds < job.bench.count and (worse := dominated(outcome, _finished(study), job.bench, job.prices)):
            raise optuna.TrialPruned(f"stopped after {folds} of {job.bench.count} folds: {worse[1]}")

    try:
        outcome = run_folds(job.bench, job.space.settings(trial.params), before, after)
        cost = cheapest(outcome.scores, job.bench.defective(), job.prices)
    except optuna.TrialPruned as reason:
        trial.set_user_attr(REASON, str(reason))
        study.tell(trial, state=TrialState.PRUNED)
    except SightlineError as error:
        trial.set_user_attr(FAILED, str(error))
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, [cost.value, outcome.ms])


def records(study: optuna.Study, job: Job) -> tuple[SearchTrial, ...]:
    """Every trial that counts and has ended, in order."""
    return tuple(_record(trial, job) for trial in done(study))


def fold_seconds(study: optuna.Study) -> float | None:
    """How long a fold took on average, withdrawn trials included; None where none was finished."""
    taken = [second for trial in study.get_trials(deepcopy=False) for second in trial.user_attrs.get(FOLD_SECONDS, ())]
    return sum(taken) / len(taken) if taken else None


def _quickest_fold(study: optuna.Study) -> float:
    """Seconds of the quickest fold so far; 0 where none was finished."""
    return min((second for trial in done(study) for second in trial.user_attrs.get(FOLD_SECONDS, ())), default=0.0)


def _finished(study: optuna.Study) -> list[tuple[int, Outcome]]:
    return [(trial.number, _outcome(trial)) for trial in done(study) if trial.state == TrialState.COMPLETE]


def _outcome(trial: FrozenTrial) -> Outcome:
    return Outcome(tuple(trial.user_attrs.get(SCORES, ())), tuple(trial.user_attrs.get(TIMES, ())))


def _record(trial: FrozenTrial, job: Job) -> SearchTrial:
    outcome = _outcome(trial)
    complete = trial.state == TrialState.COMPLETE
    cost = cheapest(outcome.scores, job.bench.defective(), job.prices) if complete else None
    return SearchTrial(
        number=trial.number,
        state=STATES[trial.state],
        params=dict(trial.params),
        cost=cost,
        ms=outcome.ms if outcome.times_ms else None,
        seconds=math.fsum(trial.user_attrs.get(FOLD_SECONDS, ())),
        reason=str(trial.user_attrs.get(FAILED) or trial.user_attrs.get(REASON) or ""),
        usual=bool(trial.user_attrs.get(USUAL)),
        scores=outcome.scores,
    )
