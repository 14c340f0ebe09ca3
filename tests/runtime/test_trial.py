"""A recipe's trial in a process of its own: on every machine, and with nothing of the working folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.core.errors import RecipeError
from sightline.runtime import trial
from sightline.runtime.recipe import read_recipe


@pytest.fixture(autouse=True)
def untried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The cache folder of a machine that has seen no recipe yet."""
    monkeypatch.setattr(trial, "_passed", set())
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("module", ["json", "numpy", "sightline"])
def test_no_file_of_the_working_folder_is_run(
    module: str, recipe_file: Path, untried: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    read_recipe(recipe_file.absolute())
    assert not (tmp_path / "run").exists()
    assert len(list((untried / "tried").iterdir())) == 1


def test_a_machine_without_a_usable_cache_tries_a_recipe_each_time(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / ("x" * 300)))  # whose mark cannot even be looked for
    assert read_recipe(recipe_file) == recipe_file.read_bytes()
    trial._passed.clear()
    for name in ("SIGHTLINE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)  # a user of a container, without a home
    assert read_recipe(recipe_file) == recipe_file.read_bytes()


@pytest.mark.parametrize("limit", ["(resource.RLIMIT_CPU, (50, 50))", "(resource.RLIMIT_DATA, (3 << 30, 3 << 30))"])
def test_lower_limits_of_the_machine_are_kept(limit: str, recipe_file: Path) -> None:
    words = "import resource, sys; resource.setrlimit" + limit
    words += "; from sightline.runtime.recipe import read_recipe; read_recipe(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", words, recipe_file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_ends_the_trial_for_another_reason_is_said(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program").write_text("#!/bin/sh\necho no such option: -P >&2\nexit 3\n")
    (tmp_path / "program").chmod(0o755)
    for program, told in ((tmp_path / "program", r"ended with 3 \(no such option: -P\)"), (shutil.which("true"), "0")):
        monkeypatch.setattr(sys, "executable", os.fspath(program or ""))
        with pytest.raises(RecipeError, match=rf"could not be tried out, so it is not opened.*{told}") as error:
            read_recipe(recipe_file)
        assert "takes more than" not in str(error.value)


@pytest.mark.parametrize("executable", [None, ""])
def test_where_no_python_can_be_started_a_warning_says_that_there_was_no_trial(
    executable: str | None, recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.warns(UserWarning, match="opened without a trial"):
        assert read_recipe(recipe_file) == recipe_file.read_bytes()


def test_a_frozen_program_starts_no_second_one_of_itself(recipe_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.warns(UserWarning, match="opened without a trial"):
        assert read_recipe(recipe_file) == recipe_file.read_bytes()
