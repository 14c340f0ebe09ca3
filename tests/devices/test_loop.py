"""A loop that is closed leaves nothing open behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import warnings

from sightline.devices.loop import Loop


def test_connections_that_nobody_closed_end_with_the_loop() -> None:
    loop, held = Loop("test"), []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        writer.write(b"there")

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(hold, "127.0.0.1", 0)

    server = loop.run(serve(), 5)
    with socket.create_connection(server.sockets[0].getsockname(), timeout=5) as client:
        assert client.recv(5) == b"there"
        server.get_loop().call_soon_threadsafe(server.close)
        loop.close()
        with contextlib.suppress(ConnectionResetError):  # as good: the connection is over
            assert client.recv(1) == b""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        held.clear()
        del server
        gc.collect()
    assert [one for one in told if issubclass(one.category, ResourceWarning)] == []
