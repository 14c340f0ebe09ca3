"""Packages that are also verbs: `sightline.train(...)` calls, `sightline.train.settings` is a module."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from sightline.core.errors import MissingExtraError


def open_door(package: str, module: str, verb: str) -> None:
    """Make calling `package` call `verb` of `module`, which is imported on the first call.

    Python puts a submodule's name into its parent on import, so a function of the same name in the parent
    would be there or not depending on what was imported before. The package itself answers the call instead.
    A package of the extra [train] that is not installed becomes a MissingExtraError.
    """

    class Door(ModuleType):
        def __call__(self, *args: Any, **options: Any) -> Any:
            try:
                action = getattr(import_module(module), verb)
            except ModuleNotFoundError as error:
                raise MissingExtraError(str(error.name), "train") from error
            return action(*args, **options)

    sys.modules[package].__class__ = Door
