"""A restart budget: what fails again and again is not started for ever."""

from __future__ import annotations

import time
from collections import deque

RESTARTS, WITHIN_S = 5, 60.0


class RestartBudget:
    """At most `restarts` within `within_s` seconds, on the monotonic clock."""

    def __init__(self, restarts: int = RESTARTS, within_s: float = WITHIN_S) -> None:
        self._restarts, self._within_s = restarts, within_s
        self._spent: deque[float] = deque()

    def spend(self) -> bool:
        """Whether one more restart is allowed now; it is counted if so."""
        now = time.monotonic()
        while self._spent and now - self._spent[0] > self._within_s:
            self._spent.popleft()
        if len(self._spent) >= self._restarts:
            return False
        self._spent.append(now)
        return True

    def renew(self) -> None:
        """Forget what was spent: a person has reset the station."""
        self._spent.clear()
