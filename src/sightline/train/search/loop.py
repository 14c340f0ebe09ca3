"""The loop of trials: take one, judge its folds, tell the study; until there are enough or time is up."""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.process import parent_process
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from sightline.core.errors import SightlineError
from sightline.core.progress import Progress
from sightline.evaluate.prices import Prices
from sightline.train.search.cost import cheapest
from sightline.train.search.folds import Bench, portable
from sightline.train.search.result import SearchTrial, State
from sightline.train.search.selection import dominated
from sightline.train.search.space import Space
from sightline.train.search.study import BASE, FAILED, REASON, SCORES, TIMES, done, open_study, quietly, take, withdraw
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
    seconds: list[float] = []

    quickest = min((second for trial in done(study) for second in trial.user_attrs.get(FOLD_SECONDS, ())), default=0.0)

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


# Several processes on one study; one that dies takes only its trial with it.

LOOK_S = 0.5  # between two looks at the study


def work_together(study: optuna.Study, job: Job, processes: int, progress: Progress) -> bool:
    """As `loop.work`, in `processes` processes; an interrupt ends them all.

    The study must be in a file. Raises SightlineError where every process died without being asked to.
    """
    # Spawned, not forked: torch and onnxruntime hold threads, which a fork would leave half alive.
    context = multiprocessing.get_context("spawn")
    sent = replace(job, bench=portable(job.bench))
    team = [context.Process(target=_member, args=(sent, number), daemon=True) for number in range(processes)]
    try:
        for member in team:
            member.start()
        while any(member.is_alive() for member in team):
            progress("trials", min(len(done(study)), job.trials), job.trials)
            time.sleep(LOOK_S)
    finally:
        for member in team:
            if member.pid is not None:
                member.terminate()
                member.join()
    if all(member.exitcode for member in team):
        raise SightlineError(
            f"all {processes} processes of the search ended with an error, written above. Finished trials are kept "
            "in the study; try again with processes=1, or with less memory in use"
        )
    return len(done(study)) >= job.trials


def _member(job: Job, number: int) -> None:
    # An interrupt at the terminal reaches every process of its group; only the first one answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    with quietly():
        study = open_study(job.path, None)
        work(study, job, lambda stage, at, of: None, lambda: parent is None or not parent.is_alive(), number)
