"""Errors as problem details (RFC 9457): `detail` says what was wrong, where, and what to do."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from sightline.core import errors

LOG = logging.getLogger("sightline.web")
MEDIA_TYPE = "application/problem+json"
FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
# The first that fits counts.
STATUS: tuple[tuple[type[errors.SightlineError], HTTPStatus], ...] = (
    (errors.NotFoundError, HTTPStatus.NOT_FOUND),
    (errors.ConflictError, HTTPStatus.CONFLICT),
    (errors.ForbiddenError, HTTPStatus.FORBIDDEN),
    (errors.BusyError, HTTPStatus.TOO_MANY_REQUESTS),
    (errors.LateError, HTTPStatus.GATEWAY_TIMEOUT),
    (errors.FullError, HTTPStatus.INSUFFICIENT_STORAGE),
    (errors.StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.MissingExtraError, HTTPStatus.NOT_IMPLEMENTED),
    (errors.SightlineError, HTTPStatus.UNPROCESSABLE_ENTITY),
)


class Problem(BaseModel):
    """What went wrong with a request."""

    type: str = "about:blank"
    title: str = Field(description="the status in words")
    status: int
    detail: str = Field(description="what was wrong, where, and what to do")
    errors: list[dict[str, Any]] = Field(default=[], description="by field, if a request is not valid")


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, wrong: list[dict[str, Any]] | None = None
) -> JSONResponse:
    """The answer for something that went wrong."""
    told = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=wrong or [])
    content = told.model_dump(exclude_defaults=False)
    return JSONResponse(content, status, dict(headers or {}), media_type=MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Have every error answered as a problem."""
    app.add_exception_handler(errors.SightlineError, _told)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _of_the_form)
    app.add_exception_handler(HTTPException, _of_the_frame)
    app.add_exception_handler(OSError, _of_the_disk)
    app.add_exception_handler(Exception, _unexpected)


async def _told(connection: HTTPConnection, error: Exception) -> JSONResponse | None:
    answer = _of_ours(error)
    if isinstance(connection, WebSocket):
        await connection.send_denial_response(answer)
        return None
    return answer


def _of_ours(error: Exception) -> JSONResponse:
    assert isinstance(error, errors.SightlineError)
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    headers = {}
    if isinstance(error, errors.ConflictError) and error.stale:
        status = HTTPStatus.PRECONDITION_FAILED
    if isinstance(error, errors.ForbiddenError) and not error.known:
        status, headers = HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.BusyError):
        headers = {"Retry-After": str(max(1, round(error.wait_s)))}
    return problem(status, str(error), headers)


def _of_the_form(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Without `input`, which pydantic adds: it may be a password.
    wrong = [{"field": ".".join(map(str, one["loc"])), "message": str(one["msg"])} for one in error.errors()]
    told = "; ".join(f"{one['field']}: {one['message']}" for one in wrong[:5])
    detail = f"the request is not as described ({told}). Correct it"
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, None, wrong)


def _of_the_frame(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    told = {
        HTTPStatus.NOT_FOUND: f"{request.url.path}: there is nothing here. See /api/v1/openapi.json",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible here. See /api/v1/openapi.json",
    }
    status = HTTPStatus(error.status_code)
    return problem(status, told.get(status, str(error.detail)), error.headers)


def _of_the_disk(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OSError)
    if error.errno not in FULL:
        raise error
    LOG.error("%s %s: %s", request.method, request.url.path, error)
    told = "the server's disk is full: nothing of this was kept. Free space there, then send it again"
    return problem(HTTPStatus.INSUFFICIENT_STORAGE, told)


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    LOG.error("%s %s failed", request.method, request.url.path)  # the traceback follows from the server itself
    told = (
        "an internal error of the server; see its log. Try again; if it happens again, report it "
        "with the lines of the log"
    )
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, told, {"X-Content-Type-Options": "nosniff"})


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problems that a route may answer with, for the description of the API."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
