"""Patience with a network: try again, wait longer each time, and say in the end what was tried."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sightline.core.errors import StoreError

TRIES = 5
FIRST_WAIT_S = 0.2  # doubled after each try
HOPELESS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
Answer = TypeVar("Answer")


def patiently(action: Callable[[], Answer], what: str) -> Answer:
    """The action's answer; a connection that fails is tried again up to five times over about 3 s.

    Raises StoreError after that, and whatever is not the connection's fault at once.
    """
    for tried in range(1, TRIES + 1):
        try:
            return action()
        except HOPELESS:
            raise
        except _connection_errors() as error:
            if tried == TRIES:
                raise StoreError(
                    f"{what}: the connection failed {TRIES} times ({error or type(error).__name__}). "
                    "What was acknowledged is kept; check the network and run the same command again"
                ) from error
            time.sleep(FIRST_WAIT_S * 2 ** (tried - 1))
    raise AssertionError("unreachable")


def _connection_errors() -> tuple[type[Exception], ...]:
    try:
        from botocore.exceptions import BotoCoreError
    except ModuleNotFoundError:
        return (OSError,)
    return (OSError, BotoCoreError)
