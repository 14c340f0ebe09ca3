"""Error codes: the numbers by which the machine learns what is wrong."""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """What kept a part from being judged. 0 is no error; new codes get new numbers, old ones keep theirs."""

    NONE = 0
    CAMERA_TIMEOUT = 1
    CAMERA_LOST = 2
    CAMERA_BAD_FRAME = 3
    CAMERA_STALE = 4
    LATE = 10
    INSPECTION_FAILED = 11
    NOT_READY = 20
    TRIGGER_OVERRUN = 21
    NO_ACKNOWLEDGE = 22
    UNKNOWN_RECIPE = 30
    RECIPE_NOT_USABLE = 31
    BLOCKED = 40
    RECORD_FAILED = 50
    INTERNAL = 99
