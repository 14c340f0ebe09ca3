"""Writes that may be sent twice: with an Idempotency-Key, the second one gets the first one's answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from sightline.core.errors import InputError
from sightline.web.api.identity import identify
from sightline.web.api.shield import SAFE
from sightline.web.api.site import Site

KEY = "Idempotency-Key"
MAX_KEY = 128
KEPT = ("content-type", "location", "etag")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Route(APIRoute):
    """A route whose writes are done once for each Idempotency-Key of a user."""

    def get_route_handler(self) -> Handler:
        """The handler, which looks for the key first."""
        handler = super().get_route_handler()

        async def once(request: Request) -> Response:
            key = request.headers.get(KEY)
            site = request.app.state.site
            if key is None or request.method in SAFE:
                return await handler(request)
            if not 0 < len(key) <= MAX_KEY:
                raise InputError(f"{KEY}: must have 1 to {MAX_KEY} characters. A UUID will do")
            identity = await run_in_threadpool(identify, request, site)
            if identity is None:
                return await handler(request)
            name = _digest(identity.name, request.method, request.url.path, request.url.query, key)
            return await _answer_once(site, request, name, handler)

        return once


async def _answer_once(site: Site, request: Request, name: str, handler: Handler) -> Response:
    store = site.store
    content = _digest(request.headers.get("content-type", ""), await request.body())
    kept = await run_in_threadpool(store.replies.begin, name, content)
    if kept is not None:
        return Response(kept.body, kept.status, {**kept.headers, "Idempotency-Replayed": "true"})
    try:
        answer = await handler(request)
    except BaseException:
        await run_in_threadpool(store.replies.forget, name)
        raise
    if answer.status_code >= 400 or not hasattr(answer, "body"):
        await run_in_threadpool(store.replies.forget, name)
    else:
        headers = {header: answer.headers[header] for header in KEPT if header in answer.headers}
        await run_in_threadpool(store.replies.keep, name, answer.status_code, headers, bytes(answer.body))
    return answer


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
