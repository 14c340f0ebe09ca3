"""How far the work is: told in a terminal, a log and a notebook, by one mechanism."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

import sightline
from sightline.core import progress
from sightline.core.errors import SightlineError
from sightline.core.sample import Sample
from sightline.data.curation.check import check


def test_without_a_terminal_a_line_tells_that_the_work_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.progress(quiet=False) as report:
        for step in range(31):
            now[0] = float(step)
            report("learning good parts", step, 31)
    lines = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in lines] == [
        f"{second} s: learning good parts, {second} of 31" for second in (10, 20, 30)
    ]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.time, "monotonic", iter(range(0, 10_000, 100)).__next__)
    with progress.progress(quiet=True) as report:
        report("learning good parts", 1, 2)
    assert capsys.readouterr().err == ""


def _work(wanted: Any, stage: str = "") -> None:
    with progress.reporting(wanted, stage) as report:
        for done in (1, 2):
            report(*(() if stage else ("learning",)), done, 2)


def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")


def test_a_terminal_has_a_bar_unless_it_is_not_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _terminal(monkeypatch)
    for wanted in (None, True):
        _work(wanted)
        told = capsys.readouterr()
        assert "learning" in told.err and "2/2" in told.err and told.out == ""
    _work(None, "inspecting")
    assert "inspecting" in capsys.readouterr().err
    _work(False)
    assert capsys.readouterr() == ("", "")


def test_nobody_is_told_where_nobody_watches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.time, "monotonic", iter(range(0, 10_000, 100)).__next__)
    _work(None)
    assert capsys.readouterr() == ("", "")
    _work(True)  # asked for: a log, as on the command line
    assert "learning, 2 of 2" in capsys.readouterr().err


def test_a_notebook_has_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    _work(None)
    drawn = capsys.readouterr().err.split("\r")
    assert drawn[1].split()[0] == "learning" and drawn[1].split()[-1] == "1/2" and drawn[2].split()[-1] == "2/2"
    assert drawn[1].count("█") * 2 == drawn[2].count("█") and drawn[2].endswith("\n")
    _work(False)
    assert capsys.readouterr() == ("", "")


def test_a_function_of_ones_own_is_called() -> None:
    told: list[Any] = []
    _work(lambda *step: told.append(step))
    assert told == [("learning", 1, 2), ("learning", 2, 2)]


def test_the_verbs_show_it(
    recipe_file: Any,
    parts: Any,
    draw: Any,
    write: Any,
    tmp_path: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _terminal(monkeypatch)
    sightline.evaluate(recipe_file, parts.test, threads=1)
    assert "inspecting" in capsys.readouterr().err
    sightline.evaluate(recipe_file, parts.test, threads=1, progress=False)
    assert capsys.readouterr().err == ""
    samples = [Sample(write(tmp_path / f"{seed}.png", draw(seed)[0]), None) for seed in range(3)]
    check(samples)
    assert "looking at images" in capsys.readouterr().err
    with pytest.raises(SightlineError, match="good parts"):  # a flag is not taken for a function
        sightline.train([], progress=True)
    with pytest.raises(SightlineError, match="good parts"):
        sightline.search([], progress=True)
