"""Studies: kept, resumed, shared, and refused where they belong to something else."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import optuna
import pytest

from sightline.core.errors import InputError, SettingError
from sightline.data.dataset import Dataset
from sightline.train.search.folds import Bench
from sightline.train.search.result import SearchResult
from sightline.train.search.searching import SearchWarning, parse_budget
from sightline.train.search.study import PROCESS, counted, done, open_study, quietly, sweep
from sightline.train.search.trial import Outcome
from sightline.train.settings import TrainSettings

Judge = Callable[[Bench, TrainSettings, int], Outcome]
JudgeBy = Callable[[Judge], None]
Search = Callable[..., SearchResult]


def tried(result: SearchResult) -> list[Any]:
    return [(trial.params, trial.cost, trial.state) for trial in result.trials]


def ends_at(judge: Judge, fold: int, error: BaseException) -> Judge:
    """Judge until the n-th fold, which raises."""
    calls = count()

    def judged(bench: Bench, settings: TrainSettings, own: int) -> Outcome:
        if next(calls) == fold:
            raise error
        return judge(bench, settings, own)

    return judged


def test_the_default_settings_come_first_and_the_same_seed_tries_the_same(find: Search, trained: list[Any]) -> None:
    first, second = find(), find()
    assert tried(first) == tried(second)
    assert len(first.trials) == 4 and first.ended == "trials"
    assert first.trials[0].default and first.trials[0].params["key_size"] == 64
    assert tried(find(seed=1))[1:] != tried(first)[1:]
    assert trained[0] == first.settings


def test_an_interrupted_search_goes_on_as_if_nothing_had_been(
    find: Search, judge_by: JudgeBy, judged: Judge, tmp_path: Path
) -> None:
    whole = find(trials=5)
    judge_by(ends_at(judged, 5, KeyboardInterrupt()))  # in the second fold of the third trial
    halted = find(trials=5, study=tmp_path / "study.db")
    assert halted.ended == "interrupted" and len(halted.trials) == 2
    assert any("interrupted" in note for note in halted.notes)
    judge_by(judged)
    resumed = find(trials=5, study=tmp_path / "study.db")
    assert resumed.ended == "trials"
    assert tried(resumed) == tried(whole)


def test_an_interrupt_before_anything_was_done_ends_the_search(
    find: Search, judge_by: JudgeBy, judged: Judge, tmp_path: Path
) -> None:
    judge_by(ends_at(judged, 1, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        find(study=tmp_path / "study.db")
    judge_by(judged)
    assert [trial.default for trial in find(study=tmp_path / "study.db").trials] == [True, False, False, False]


def test_a_killed_trial_does_not_count_and_one_that_runs_elsewhere_does(find: Search, tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    find(trials=2, study=path)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with quietly():
        study = open_study(path, None)
        for host, pid in ((socket.gethostname(), gone.pid), ("another-machine", 1)):
            trial = study.ask()
            trial.set_user_attr(PROCESS, [host, pid])
        assert len(counted(study)) == 4
        sweep(study)
        assert [trial.number for trial in counted(study)] == [0, 1, 3]
        assert len(done(study)) == 2
    result = find(trials=4, study=path)  # one is the other machine's
    assert [trial.number for trial in result.trials] == [0, 1, 4]


def test_a_finished_study_is_not_searched_again(find: Search, judge_by: JudgeBy, judged: Judge, tmp_path: Path) -> None:
    first = find(study=tmp_path / "study.db")
    judge_by(ends_at(judged, 0, AssertionError("a fold was judged")))
    again = find(study=tmp_path / "study.db")
    assert tried(again) == tried(first) and again.settings == first.settings


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"escape_price": 51.0}, "prices"), ({"folds": 3}, "folds"), ({"key_size": 32}, "settings")],
)
def test_a_study_of_something_else_is_refused(
    find: Search, tmp_path: Path, changed: dict[str, object], named: str
) -> None:
    find(trials=1, study=tmp_path / "study.db")
    with pytest.raises(InputError, match=f"{named}.*name another file"):
        find(trials=2, study=tmp_path / "study.db", **changed)


def test_a_study_of_another_dataset_is_refused(find: Search, parts: Dataset, tmp_path: Path) -> None:
    find(trials=1, study=tmp_path / "study.db")
    with pytest.raises(InputError, match="other images or labels"):
        find([replace(s, split=None) for s in parts], trials=2, study=tmp_path / "study.db")


def test_a_file_that_is_no_study_of_ours_is_refused_and_left_alone(find: Search, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all, but long enough to look at " * 10)
    with pytest.raises(InputError, match=r"notes\.txt: cannot be used as a study"):
        find(study=text)
    assert text.read_text().startswith("not a database")
    other = tmp_path / "other.db"
    with quietly():
        optuna.create_study(study_name="sightline", storage=f"sqlite:///{other}").ask()
    with pytest.raises(InputError, match="not of sightline search"):
        find(study=other)
    table = tmp_path / "shop.db"
    with sqlite3.connect(table) as database:
        database.execute("create table version_info (a)")
    database.close()
    with pytest.raises(InputError, match="Name another file"):
        find(study=table)


def test_a_budget_that_is_too_short_says_so_and_the_default_settings_stand(
    find: Search, trained: list[TrainSettings], tmp_path: Path
) -> None:
    with pytest.warns(SearchWarning, match="before one trial was finished"):
        result = find(budget="0.000001s", study=tmp_path / "study.db")
    assert (result.chosen, result.trials, result.ended) == (None, (), "budget")
    assert trained == [TrainSettings(side_px=256, threads=1)] == [result.settings]
    assert "None" not in str(result)
    assert len(find(trials=2, study=tmp_path / "study.db").trials) == 2


def test_the_budget_is_kept_between_folds(
    find: Search, judge_by: JudgeBy, judged: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(1000)
    monkeypatch.setattr("sightline.train.search.loop.time.time", lambda: 0.0)
    calls: list[int] = []

    def slow(bench: Bench, settings: TrainSettings, fold: int) -> Outcome:
        calls.append(fold)
        if len(calls) == 3:
            monkeypatch.setattr("sightline.train.search.loop.time.time", lambda: 1e12 + next(clock))
        return judged(bench, settings, fold)

    judge_by(slow)
    result = find(budget="1h")
    assert calls == [0, 1, 0]
    assert result.ended == "budget" and len(result.trials) == 1


def test_a_fold_that_will_not_fit_is_not_begun(
    find: Search, judge_by: JudgeBy, judged: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("sightline.train.search.loop.time.time", lambda: now[0])
    monkeypatch.setattr("sightline.train.search.loop.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("sightline.train.search.searching.time.time", lambda: now[0])

    def slow(bench: Bench, settings: TrainSettings, fold: int) -> Outcome:
        now[0] += 20.0
        return judged(bench, settings, fold)

    judge_by(slow)
    assert len(find(budget="95s").trials) == 2
    assert now[0] == 80.0


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), (" 1.5 h", 5400)])
def test_budgets(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["10", "m", "0s", "-5m", "10 days", ""])
def test_a_budget_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="for instance 90s"):
        parse_budget(text)


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(find: Search, judge_by: JudgeBy, judged: Judge) -> None:
    judge_by(ends_at(judged, 2, InputError("the lens cap is on. Take it off")))
    result = find()
    assert [trial.state for trial in result.trials] == ["finished", "failed", "finished", "finished"]
    assert result.trials[1].reason == "the lens cap is on. Take it off"
    assert result.count("failed") == 1


def test_a_search_in_which_everything_fails_says_why(find: Search, judge_by: JudgeBy) -> None:
    def fails(bench: Bench, settings: TrainSettings, fold: int) -> Outcome:
        raise InputError("the lens cap is on. Take it off.")

    judge_by(fails)
    with pytest.raises(InputError, match=r"all 4 trials failed.*lens cap"):
        find()


def test_what_nobody_expected_is_raised_and_its_trial_does_not_count(
    find: Search, judge_by: JudgeBy, judged: Judge, tmp_path: Path
) -> None:
    judge_by(ends_at(judged, 2, ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        find(study=tmp_path / "study.db")
    with quietly():
        assert len(counted(open_study(tmp_path / "study.db", None))) == 1


def test_a_hopeless_trial_is_stopped_after_its_first_fold(find: Search, parts: Dataset, judge_by: JudgeBy) -> None:
    good = [replace(s, split=None) for s in parts if s.defective is False]  # synthetic defects: enough to be sure

    def worse(bench: Bench, settings: TrainSettings, fold: int) -> Outcome:
        default = settings == TrainSettings(side_px=settings.side_px, threads=1) and settings.side_px == 256
        pictures = bench.held_out(fold)
        scores = tuple(float(p.defective if default else not p.defective) for p in pictures)
        return Outcome(scores, (10.0 if default else 99.0,))

    judge_by(worse)
    result = find(good)
    assert [trial.state for trial in result.trials] == ["finished", "pruned", "pruned", "pruned"]
    assert "stopped after 1 of 2 folds" in result.trials[1].reason
    assert len(result.trials[1].scores) < len(result.trials[0].scores)
    assert result.chosen is result.trials[0]


def test_optunas_own_words_come_back_afterwards(find: Search) -> None:
    level = optuna.logging.get_verbosity()
    find(trials=1)
    assert optuna.logging.get_verbosity() == level
