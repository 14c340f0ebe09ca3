"""Packages that are also verbs: `sightline.train(...)` calls, `sightline.train.settings` is a module."""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

from sightline.core.errors import missing_extra
from sightline.core.progress import reporting


def open_door(package: str, module: str, verb: str, dataset: str = "", stage: str | None = None) -> None:
    """Make calling `package` call `verb` of `module`, which is imported on the first call.

    Python puts a submodule's name into its parent on import, so a function of the same name in the parent
    would be there or not depending on what was imported before. The package itself answers the call instead.
    `dataset` is the argument in which the path of a dataset stands for its samples: who has a path should not need to
    know first which class opens it, and `module` may lie too low in the house to open it itself.
    Where `stage` is given, `progress` of the call may be a function, True, False or left out (`progress.reporting`).
    A package of the extra [train] that is not installed becomes a MissingExtraError.
    """

    class Door(ModuleType):
        def __call__(self, *args: Any, **options: Any) -> Any:
            try:
                action = getattr(import_module(module), verb)
            except ModuleNotFoundError as error:
                raise missing_extra(error) or error from error
            if dataset:
                args, options = _opened(action, dataset, args, options)
            if stage is None:
                return action(*args, **options)
            with reporting(options.pop("progress", None), stage) as report:
                return action(*args, progress=report, **options)

    sys.modules[package].__class__ = Door


def _opened(action: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The arguments of a call with the dataset opened where only its path is given."""
    try:
        given = signature(action).bind(*args, **options)
    except TypeError:
        return args, options  # the call itself says best what is wrong with it
    if isinstance(given.arguments.get(name), str | Path):
        given.arguments[name] = import_module("sightline.data.dataset").Dataset.open(given.arguments[name])
    return given.args, given.kwargs
