"""Packages of the optional extra, loaded on first use."""

from __future__ import annotations

import importlib
from typing import Any

from sightline.core.errors import MissingExtraError


def require(module: str, package: str) -> Any:
    """The imported `module` of the distribution `package`.

    Raises MissingExtraError, naming the extra "train", where the package is not installed. A package that is
    there but broken inside raises its own error: "install it" would be the wrong remedy.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == module.split(".", maxsplit=1)[0]:
            raise MissingExtraError(package, "train") from error
        raise
