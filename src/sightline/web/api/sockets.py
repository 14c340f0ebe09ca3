"""WebSockets: open as long as whoever opened them is there and logged in."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from sightline.core.errors import SightlineError
from sightline.web.api.identity import identify
from sightline.web.api.site import Site

LOOK_S = 10.0  # between two looks whether the session is still open
SEND_S = 20.0  # so long a message may take; then the viewer has gone
LOGGED_OUT = 4401


async def serve(
    socket: WebSocket,
    site: Site,
    sending: Coroutine[Any, Any, None],
    newest: asyncio.Queue[bytes] | None = None,
) -> None:
    """Send until the other side has gone or is logged out. Of what it says, `newest` has the last binary message."""
    await socket.accept()
    tasks = [
        asyncio.create_task(sending),
        asyncio.create_task(_listen(socket, newest)),
        asyncio.create_task(_look(socket, site)),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[2].done() and not tasks[1].done():
            with suppress(RuntimeError, WebSocketDisconnect):
                await socket.close(LOGGED_OUT, "logged out")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def send(socket: WebSocket, message: bytes | str) -> None:
    """Send a message. Raises TimeoutError where the other side does not take it."""
    sent = socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message)
    await asyncio.wait_for(sent, SEND_S)


async def _listen(socket: WebSocket, newest: asyncio.Queue[bytes] | None) -> None:
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        if newest is not None and message.get("bytes"):
            with suppress(asyncio.QueueEmpty):
                newest.get_nowait()
            newest.put_nowait(message["bytes"])


async def _look(socket: WebSocket, site: Site) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        del socket.state.identity  # it was found out when the socket was opened
        try:
            if await run_in_threadpool(identify, socket, site) is None:
                return
        except SightlineError:
            return
