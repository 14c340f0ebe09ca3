"""Several processes on one study; one that dies takes only its trial with it."""

from __future__ import annotations

import multiprocessing
import signal
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess, parent_process

import optuna

from sightline.core.errors import SightlineError
from sightline.train.search.folds import portable
from sightline.train.search.loop import Job, Progress, work
from sightline.train.search.study import done, open_study, quietly

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
            _end(member)
    if all(member.exitcode for member in team):
        raise SightlineError(
            f"all {processes} processes of the search ended with an error, written above. Finished trials are kept "
            "in the study; try again with processes=1, or with less memory in use"
        )
    return len(done(study)) >= job.trials


def _end(member: BaseProcess) -> None:
    if member.pid is not None:
        member.terminate()
        member.join()


def _member(job: Job, number: int) -> None:
    # An interrupt at the terminal reaches every process of its group; only the first one answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    with quietly():
        study = open_study(job.path, None)
        work(study, job, lambda stage, at, of: None, lambda: parent is None or not parent.is_alive(), number)
