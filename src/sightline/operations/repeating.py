"""What the worker looks after for as long as it runs, beside its jobs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sightline.core.errors import StoreError
from sightline.store.store import Store

Look = Callable[[Store], object]


def repeat(
    look: Look, store: Store, every_s: float, stopping: threading.Event, log: logging.Logger, failed: str
) -> None:
    """Look every so many seconds until `stopping` is set. A store that cannot be used is waited for."""
    while not stopping.wait(every_s):
        try:
            look(store)
        except StoreError as error:
            log.error("%s: %s", failed, error)
        except Exception:  # whatever it was: the next look may be fine, and the log has the place
            log.exception(failed)
