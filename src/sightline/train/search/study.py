"""The study: trials in a database, so that several processes share them and nothing done is lost."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from sightline.core.errors import InputError
from sightline.evaluate.prices import Prices
from sightline.train.search.folds import Bench
from sightline.train.search.space import Space

NAME = "sightline"
FORMAT = 1
STARTUP = 6  # trials drawn evenly before the sampler has enough to learn from
WAIT_S = 60.0  # for another process' write
STARTING_S = 60.0  # a trial that has not said who runs it for longer is nobody's
IDENTITY, WITHDRAWN, FAILED, REASON, BASE = "sightline", "withdrawn", "failed", "reason", "usual"
START = "start"  # the number of a trial that was put first
SCORES, TIMES, PROCESS = "scores", "times_ms", "process"

Identity = Mapping[str, Any]


@contextmanager
def quietly() -> Iterator[None]:
    """Optuna without its lines about every trial; a caller's own level comes back."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def identity(bench: Bench, space: Space, prices: Prices) -> dict[str, Any]:
    """What trials must have in common to be compared, by what a person can change."""
    fixed = {name: str(value) for name, value in sorted(space.fixed.items())}
    return {
        "format": FORMAT,
        "images or labels": bench.fingerprint,
        "prices": [prices.defect_rate, prices.escape, prices.overkill, prices.review],
        "folds": bench.count,
        "fixed settings": fixed,
        "searched settings": {name: json.loads(distribution_to_json(d)) for name, d in sorted(space.searched.items())},
    }


def open_study(path: Path | None, wanted: Identity | None) -> optuna.Study:
    """The study in a SQLite file, made where there is none; in memory without a path.

    Raises InputError for a file that is no study, or the study of something else; `wanted` None asks nothing.
    """
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            study_name=NAME, storage=_storage(path), directions=["minimize", "minimize"], load_if_exists=True
        )
        _check(study, path, wanted)
    except (SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: cannot be used as a study ({first}). Name another file; it will be created"
        ) from error
    return study


def _storage(path: Path | None) -> optuna.storages.BaseStorage:
    if path is None:
        return optuna.storages.InMemoryStorage()
    url = f"sqlite:///{path.resolve()}"
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": WAIT_S}})


def _check(study: optuna.Study, path: Path | None, wanted: Identity | None) -> None:
    if wanted is None:
        return
    found = study.user_attrs.get(IDENTITY)
    if found is None and not study.trials and len(study.directions) == 2:
        study.set_user_attr(IDENTITY, dict(wanted))
        return
    if not isinstance(found, dict):
        raise InputError(f"{path}: is a study, but not of sightline search. Name another file; it will be created")
    different = [name for name in wanted if found.get(name) != wanted[name]]
    if different:
        raise InputError(
            f"{path}: this study was made with other {' and other '.join(different)}, and its trials cannot be "
            "compared with new ones. Give the same data and options as then, or name another file"
        )


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count: those that wait, run or ended by themselves; a killed or withdrawn one does not."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state != TrialState.FAIL or FAILED in trial.user_attrs]


def done(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have ended and count, in order."""
    return [trial for trial in counted(study) if trial.state.is_finished()]


def sweep(study: optuna.Study) -> None:
    """Withdraw trials whose process is gone: they were killed, and will be tried again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not _alive(trial):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def withdraw(study: optuna.Study, trial: optuna.Trial, why: str) -> None:
    """End a running trial so that it does not count."""
    trial.set_user_attr(WITHDRAWN, why)
    study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)


def offer_first(study: optuna.Study, space: Space) -> None:
    """Put the space's first trials first, unless they are there: every other trial is compared with them."""
    there = {trial.user_attrs.get(START) for trial in counted(study)}
    for number, params in enumerate(space.first()):
        if number not in there:
            study.enqueue_trial(params, user_attrs={START: number, BASE: number == 0})


def take(study: optuna.Study, space: Space, total: int, seed: int, worker: int = 0) -> optuna.Trial | None:
    """The next trial, or None where `total` are taken.

    The sampler is seeded by how many trials were taken before, so a resumed search goes on as if never interrupted.
    """
    taken = sum(trial.state != TrialState.WAITING for trial in counted(study))
    if taken >= total:
        return None
    state = np.random.SeedSequence([seed, taken, worker]).generate_state(1)[0]
    study.sampler = optuna.samplers.TPESampler(seed=int(state), n_startup_trials=STARTUP)
    trial = study.ask(dict(space.searched))
    trial.set_user_attr(PROCESS, [socket.gethostname(), os.getpid()])
    # Two processes may both have seen room for one more: the later number gives way.
    if sum(other.number < trial.number for other in counted(study)) >= total:
        withdraw(study, trial, "another process had the last trial")
        return None
    return trial


def _alive(trial: FrozenTrial) -> bool:
    host, pid = trial.user_attrs.get(PROCESS, (None, None))
    if pid is None:
        started = trial.datetime_start or datetime.now()
        return time.time() - started.timestamp() < STARTING_S
    if host != socket.gethostname():
        return True  # another machine's: only that one can know
    if pid == os.getpid():
        return False  # this process has not begun a trial yet
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
