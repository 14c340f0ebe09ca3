"""The server at work: the app in uvicorn, over TLS or on loopback."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from sightline.core.errors import MissingExtraError, SettingError
from sightline.core.progress import Tell
from sightline.store.database import VARIABLE as DATABASE
from sightline.store.images import VARIABLE as IMAGES
from sightline.store.store import Store
from sightline.web.settings import WebSettings

if TYPE_CHECKING:
    import uvicorn

STOP_S = 5  # for requests that are under way when the server is to end
IDLE_S = 30  # a connection may be: stations send every few seconds, and a new one by TLS costs both sides
QUEUE = 1024  # connections that are not yet accepted: a plant's stations come back at once
FRAME_BYTES = 2_000_000  # of a message to a WebSocket: a frame of a bench's camera; other viewers send next to nothing
LOOK_S, RESTART_S = 0.5, 2.0  # between two looks at the worker, and before it is started again
WORKER_STOP_S = 15.0
LOG = logging.getLogger("sightline.web")


def make_server(store: Store, settings: WebSettings) -> uvicorn.Server:
    """The server over an open store, not yet started; `server.config.app` is the app.

    Raises MissingExtraError where the extra [web] is not installed.
    """
    try:
        import uvicorn

        from sightline.web.api.app import create_app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "sightline":
            raise
        raise MissingExtraError(error.name or "fastapi", "web") from error
    return uvicorn.Server(
        uvicorn.Config(
            create_app(store, settings),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=settings.behind_proxy,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.private_key,
            timeout_graceful_shutdown=STOP_S,
            timeout_keep_alive=IDLE_S,
            ws_max_size=FRAME_BYTES,
            ws_max_queue=2,
        )
    )


def listen(settings: WebSettings) -> socket.socket:
    """A socket on the settings' address. Raises SettingError where it cannot be had."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        place = socket.create_server((settings.host, settings.port), family=family, backlog=QUEUE)
        # Connections inherit it. Without, the second part of an answer waits for the receipt of the first, up to 40 ms.
        place.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return place
    except OSError as error:
        raise SettingError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}). Choose another --host or --port"
        ) from error


class Worker:
    """A worker process beside the server: started, started again where it dies, ended with the server."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._command = [sys.executable, "-m", "sightline", "worker", "--with-parent", "--folder", str(folder)]
        # Not as arguments, which every user of the machine can read: a database's address may hold its password.
        self._environment = {**os.environ, **dict(zip((DATABASE, IMAGES), store.location, strict=True))}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="worker", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            # A group of its own: Ctrl-C in the terminal is for the server, which ends the worker in order.
            process = subprocess.Popen(self._command, env=self._environment, start_new_session=True)  # noqa: S603 - our own program
            while process.poll() is None and not self._stopping.wait(LOOK_S):
                pass
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(WORKER_STOP_S)
                process.kill()
                process.wait()
            elif not self._stopping.wait(RESTART_S):
                LOG.error("the worker has ended (exit code %s) and is started again", process.returncode)

    def close(self) -> None:
        """End it; a job that is under way goes back to the queue."""
        self._stopping.set()
        self._thread.join(WORKER_STOP_S + 5)


def serve(
    place: tuple[str | None, str | None], values: dict[str, object], *, tell: Tell, browser: bool = False
) -> None:
    """Serve a store until Ctrl-C or SIGTERM. `place` is the database and the images, `values` are WebSettings.

    `browser`: the app is opened in this machine's browser once it answers.
    Raises SettingError, StoreError, MissingExtraError.
    """
    settings = WebSettings.parse(values)
    with Store.open(*place) as store:
        working = Worker(store, settings.folder) if settings.worker else None
        try:
            _serve(store, settings, tell, browser)
        finally:
            if working is not None:
                working.close()


def _serve(store: Store, settings: WebSettings, tell: Tell, browser: bool) -> None:
    """Serve an open store. `tell` hears the address, with the set-up token in it while there is no user."""
    server = make_server(store, settings)

    def stop(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    # For the moments before uvicorn listens to signals itself, and after: it ends, and then hands them on.
    signal.signal(signal.SIGTERM, stop)
    with listen(settings) as place:
        scheme = "https" if settings.tls else "http"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"{scheme}://{host}:{place.getsockname()[1]}"
        tell(f"Sightline is on {address}")
        token = server.config.app.state.site.setup_token  # type: ignore[union-attr]
        if token:
            address = f"{address}/setup#{token}"  # what follows # is never sent: no log of a proxy has it
            tell(f"There is no user yet. Create the first one, while the server runs, at {address}")
        if browser:  # the socket listens already: what comes before the server is ready waits a moment
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        server.run(sockets=[place])
