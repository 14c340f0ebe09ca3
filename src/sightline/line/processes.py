"""How the line starts its processes: from a server that has imported everything once, so that a restart is quick.

The server has neither threads nor sessions, so a fork of it is as clean as a new process, a second or two sooner.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import BaseContext

JUDGE = ("sightline.line.judge", "sightline.runtime.inspector", "onnxruntime")
STATION = ("sightline.line.supervisor", "sightline.line.gear", "sightline.line.port", "sightline.line.station")


def context_for(modules: tuple[str, ...]) -> BaseContext:
    """A way to start processes that have `modules` imported already. Where there is no fork, they import them."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    return context
