"""A package that is also a verb stays a package, whatever was imported first."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sightline

DOOR = "from sightline.core.door import open_door\nopen_door(__name__, '{name}.work', 'double')\n"
WORK = "def double(value, *, twice=False):\n    return value * (4 if twice else 2)\n"


def _package(folder: Path, name: str) -> None:
    package = folder / name
    package.mkdir()
    (package / "__init__.py").write_text(DOOR.format(name=name))
    (package / "work.py").write_text(WORK)
    (package / "double.py").write_text("MARK = 'a module of the same name as the verb'\n")


def test_calling_the_package_calls_its_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package(tmp_path, "door_one")
    monkeypatch.syspath_prepend(tmp_path)
    package = import_module("door_one")
    assert "door_one.work" not in sys.modules  # imported on the first call, not before
    assert package(3) == 6
    assert package(3, twice=True) == 12


def test_a_module_of_the_verbs_name_does_not_break_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package(tmp_path, "door_two")
    monkeypatch.syspath_prepend(tmp_path)
    package = import_module("door_two")
    assert import_module("door_two.double").MARK.startswith("a module")
    assert package(5) == 10
    assert package.double is sys.modules["door_two.double"]


def test_the_public_verbs_are_callable_packages() -> None:
    settings = import_module("sightline.train.settings")
    assert sightline.train.settings is settings  # type: ignore[attr-defined]
    assert callable(sightline.train)
    assert callable(sightline.evaluate)


def test_opening_the_doors_loads_nothing_heavy() -> None:
    code = "import sys, sightline; sightline.train; sightline.evaluate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
