"""Packages that are also verbs: `sightline.train(...)` calls, `sightline.train.settings` is a module."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


def open_door(package: str, module: str, verb: str) -> None:
    """Make calling `package` call `verb` of `module`, which is imported on the first call.

    Python puts a submodule's name into its parent on import, so a function of the same name in the parent
    would be there or not depending on what was imported before. The package itself answers the call instead.
    """

    class Door(ModuleType):
        def __call__(self, *args: Any, **options: Any) -> Any:
            return getattr(import_module(module), verb)(*args, **options)

    sys.modules[package].__class__ = Door
