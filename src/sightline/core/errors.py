"""Errors a user can act on: every message says what was wrong, where, and what to do."""

from __future__ import annotations


class SightlineError(Exception):
    """Base of every error that Sightline raises on purpose."""


class InputError(SightlineError):
    """An image, folder, table or setting that cannot be used as it is."""


class SettingError(InputError):
    """A setting that does not exist or is out of its bounds."""


class RecipeError(SightlineError):
    """A recipe file that is damaged, foreign, too new, or failed its parity gate."""


class TrainingError(SightlineError):
    """A training that cannot go on: numbers that are none, or not enough memory for a single image."""


class WeightsError(SightlineError):
    """Pretrained weights that are missing or are not the expected ones."""


class CameraError(SightlineError):
    """No frame that may be judged. `reason` says why, in one word.

    "timeout": none came; "disconnected": the camera is gone; "incomplete": part of it is missing; "unreadable": it is
    no image; "stale": it is too old; "frozen": it repeats the one before; "size": it has another size; "end": there
    are no more; "closed": the camera was closed.
    """

    def __init__(self, message: str, reason: str = "disconnected") -> None:
        super().__init__(message)
        self.reason = reason


class SinkError(SightlineError):
    """A signal that a sink cannot take or keep."""


class StoreError(SightlineError):
    """A database or an image folder that cannot be used: too new, full, locked, gone, or not one of ours."""


class MissingExtraError(SightlineError):
    """A package that belongs to an optional extra is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"the package '{package}' is not installed. Install it with: pip install 'sightline[{extra}]'")
        self.package = package
        self.extra = extra
