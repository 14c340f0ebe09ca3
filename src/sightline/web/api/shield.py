"""What stands before every request: the Host's name, the size of the body, and headers that keep browsers careful."""

from __future__ import annotations

import re
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.web.api.problems import problem
from sightline.web.settings import WebSettings

POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "style-src 'self' 'unsafe-inline'",  # pages set sizes of pictures by style
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
# Of scripts that run in a worker of their own and compile WebAssembly; the pages themselves may not.
COMPILING = f"{POLICY}; script-src 'self' 'wasm-unsafe-eval'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",  # with it, a recipe in the browser may use several threads
    "Cross-Origin-Resource-Policy": "same-origin",
}
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
IMPORTS = "/api/v1/imports"  # whose bodies are archives


class Shield:
    """Middleware around the whole app."""

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what has a foreign Host or a body that is too large; put the headers on everything else."""
        if scope["type"] not in {"http", "websocket"}:
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        name = re.sub(r":\d*$", "", headers.get("host", "")).lower()
        if name not in self._settings.hosts:
            return await self._refuse(
                scope, receive, send, HTTPStatus.MISDIRECTED_REQUEST,
                f"this server does not have the name {name!r}. Use one of its names, or start it with --allow-host",
            )  # fmt: skip
        if not _is_ours(headers, scope):
            told = "a page of another site sent this. Send it from a page of this server, or without Origin"
            return await self._refuse(scope, receive, send, HTTPStatus.FORBIDDEN, told)
        if scope["type"] == "websocket":
            return await self._app(scope, receive, send)
        imports = scope["path"] == IMPORTS
        most = int((self._settings.import_mb if imports else self._settings.body_mb) * 1e6)
        told = headers.get("content-length", "")
        if told.isdigit() and int(told) > most:
            return await self._refuse(scope, receive, send, *_too_large(most))
        return await self._pass(scope, receive, send, most)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(*_too_large(most))
            return message

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._dress(MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, counted, dressed)

    def _dress(self, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")
        if self._settings.secure:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: HTTPStatus, detail: str) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        answer = problem(status, detail, {"Connection": "close"})
        self._dress(answer.headers)
        return await answer(scope, receive, send)


def _is_ours(headers: Headers, scope: Scope) -> bool:
    """Whether a change, or a WebSocket, comes from a page of this server, or from a program, which names no page."""
    origin = headers.get("origin")
    if origin is None or (scope["type"] == "http" and scope["method"] in SAFE):
        return True
    return origin.partition("://")[2].lower() == headers.get("host", "").lower()


def _too_large(most: int) -> tuple[HTTPStatus, str]:
    told = f"the request is larger than the {most / 1e6:g} MB that it may have. Send less, or raise the limit"
    return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told
