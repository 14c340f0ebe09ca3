"""The loop of trials: take one, judge its folds, tell the study; until there are enough or time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sightline.core.errors import SightlineError
from sightline.core.progress import Progress, unwatched
from sightline.evaluate.prices import Prices
from sightline.runtime.cluster import Cluster, Lost
from sightline.train.search.cost import cheapest
from sightline.train.search.folds import Bench, portable
from sightline.train.search.result import SearchTrial, State
from sightline.train.search.selection import dominated
from sightline.train.search.space import Space
from sightline.train.search.study import BASE, FAILED, REASON, SCORES, TIMES, done, quietly, take, withdraw
from sightline.train.search.trial import Outcome, run_folds

FOLD_SECONDS = "fold_seconds"
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
}  # fmt: skip


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
    ended, note = lambda: _finished(study), trial.set_user_attr
    state, values = _evaluate(job, trial.params, ended, _quickest(study), note, progress, stop)
    study.tell(trial, values, state)


def _evaluate(
    job: Job,
    params: Mapping[str, Any],
    ended: Callable[[], list[tuple[int, Outcome]]],
    quickest: float,
    note: Callable[[str, Any], None],
    progress: Progress,
    stop: Callable[[], bool],
) -> tuple[TrialState, list[float] | None]:
    """What the study is to be told of these settings; `note` hears what is known of them after each fold.

    `ended` are the trials that this one is compared with, `quickest` the shortest fold so far in s. Raises OutOfTime.
    """
    seconds: list[float] = []

    def before(fold: int) -> None:
        # A fold that will not fit is not begun: the trial would be cut all the same, and the budget overrun.
        expected = sum(seconds) / len(seconds) if seconds else quickest
        if stop() or time.time() + expected >= job.deadline:
            raise OutOfTime
        progress("folds of this trial", fold, job.bench.count)
        seconds.append(-time.perf_counter())

    def after(outcome: Outcome, folds: int) -> None:
        seconds[-1] += time.perf_counter()
        note(FOLD_SECONDS, seconds)
        note(SCORES, outcome.scores)
        note(TIMES, outcome.times_ms)
        if folds < job.bench.count and (worse := dominated(outcome, ended(), job.bench, job.prices)):
            raise optuna.TrialPruned(f"stopped after {folds} of {job.bench.count} folds: {worse[1]}")

    try:
        outcome = run_folds(job.bench, job.space.settings(params), before, after)
        cost = cheapest(outcome.scores, job.bench.defective(), job.prices)
    except optuna.TrialPruned as reason:
        note(REASON, str(reason))
        return TrialState.PRUNED, None
    except SightlineError as error:
        note(FAILED, str(error))
        return TrialState.FAIL, None
    return TrialState.COMPLETE, [cost.value, outcome.ms]


# Trials as tasks of several processes, here or on a cluster; one that dies takes only its trial with it.


@dataclass(frozen=True)
class Asked:
    """A trial to be run elsewhere, and what it is compared with."""

    number: int
    params: dict[str, Any]
    ended: tuple[tuple[int, Outcome], ...]
    quickest: float


@dataclass(frozen=True)
class Answered:
    """What the study is to be told of a trial; `state` None: it ran out of time."""

    state: TrialState | None
    values: list[float] | None
    noted: dict[str, Any]


def run_trial(job: Job, asked: Asked) -> Answered:
    """One trial in a process of its own."""
    noted: dict[str, Any] = {}
    with quietly():
        try:
            ended, quickest = (lambda: list(asked.ended)), asked.quickest
            answer = _evaluate(job, asked.params, ended, quickest, noted.__setitem__, unwatched, lambda: False)
        except OutOfTime:
            return Answered(None, None, noted)
    return Answered(*answer, noted)


def work_together(study: optuna.Study, job: Job, cluster: Cluster, progress: Progress) -> bool:
    """As `work`, trials at once in the processes of a cluster; an interrupt ends them all."""
    running: dict[int, optuna.Trial] = {}

    def tasks() -> Iterator[Asked]:
        while time.time() < job.deadline:
            trial = take(study, job.space, job.trials, job.seed)
            if trial is None:
                return
            running[trial.number] = trial
            yield Asked(trial.number, dict(trial.params), tuple(_finished(study)), _quickest(study))

    try:
        for asked, answer in cluster.map(run_trial, replace(job, path=None, bench=portable(job.bench)), tasks()):
            _hear(study, running.pop(asked.number), answer)
            progress("trials", min(len(done(study)), job.trials), job.trials)
    except BaseException as error:
        for trial in running.values():
            withdraw(study, trial, f"ended by {type(error).__name__}")
        raise
    return len(done(study)) >= job.trials


def _hear(study: optuna.Study, trial: optuna.Trial, answer: Answered | Lost) -> None:
    if isinstance(answer, Lost):
        trial.set_user_attr(FAILED, f"{answer.reason}. Search in fewer processes, or where there is more memory")
        study.tell(trial, state=TrialState.FAIL)
        return
    for name, value in answer.noted.items():
        trial.set_user_attr(name, value)
    if answer.state is None:
        withdraw(study, trial, "the budget was spent")
    else:
        study.tell(trial, answer.values, answer.state)


def _quickest(study: optuna.Study) -> float:
    """The shortest fold of all trials that have ended, in s; 0 where there is none."""
    return min((second for trial in done(study) for second in trial.user_attrs.get(FOLD_SECONDS, ())), default=0.0)


def records(study: optuna.Study, job: Job) -> tuple[SearchTrial, ...]:
    """Every trial that counts and has ended, in order."""
    return tuple(_record(trial, job) for trial in done(study))


def fold_seconds(study: optuna.Study) -> float | None:
    """How long a fold took on average, withdrawn trials included; None where none was finished."""
    taken = [second for trial in study.get_trials(deepcopy=False) for second in trial.user_attrs.get(FOLD_SECONDS, ())]
    return sum(taken) / len(taken) if taken else None


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
        default=bool(trial.user_attrs.get(BASE)),
        scores=outcome.scores,
    )
