"""Every command is one operation, and below the doors nothing prints: any other door may call the same."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from sightline.cli import app

SRC = Path(__file__).parents[2] / "src" / "sightline"
BELOW = sorted(path for path in SRC.rglob("*.py") if path.relative_to(SRC).parts[0] not in {"cli", "__main__.py"})
DOORS = ("sightline.operations", "sightline.web")
# The bar that `progress=True` shows in Python, too.
BAR = SRC / "core" / "progress.py"


def commands(group: typer.Typer, name: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """All commands of the command line with their names, those of its groups as well."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield f"{name}{command.callback.__name__}", command.callback
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from commands(below.typer_instance, f"{name}{below.name} ")


def operations(command: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The public functions of `sightline.operations` (or `sightline.web`, another door) that a command's body calls."""
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(command))).body
    assert isinstance(function, ast.FunctionDef)
    tree = ast.Module(function.body, [])
    known: dict[str, ModuleType] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(DOORS):
            assert node.module in DOORS, f"{command.__name__}: import the module, not its functions"
            known |= {alias.asname or alias.name: import_module(f"{node.module}.{alias.name}") for alias in node.names}
    found = [
        getattr(known[node.func.value.id], node.func.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if isinstance(node.func.value, ast.Name) and node.func.value.id in known
    ]
    return [called for called in found if inspect.isfunction(called)]  # not the values that it is given


COMMANDS = dict(commands(app))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_calls_one_operation_of_its_name(name: str) -> None:
    called = operations(COMMANDS[name])
    assert [function.__name__ for function in called] == [name.rsplit(maxsplit=1)[-1]]
    assert inspect.getdoc(called[0]), name


def test_all_commands_are_looked_at() -> None:
    assert len(COMMANDS) > 30 and {"train", "data check", "store add", "labels suggest", "run"} <= set(COMMANDS)


@pytest.mark.parametrize("path", BELOW, ids=lambda path: str(path.relative_to(SRC)))
def test_nothing_below_the_doors_prints(path: Path) -> None:
    banned = {"typer"} if path == BAR else {"typer", "rich"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not [n for n in names if n.split(".")[0] in banned or n.startswith("sightline.cli")], path
        elif isinstance(node, ast.Call):
            assert not (isinstance(node.func, ast.Name) and node.func.id == "print"), path
