"""A client of the API: logs in, keeps the CSRF token, follows pages, and raises what the server says as errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any
from uuid import uuid4

import httpx

from sightline.core.errors import BusyError, ConflictError, ForbiddenError, NotFoundError, SightlineError

PREFIX = "/api/v1"
CSRF = "X-CSRF-Token"
TIMEOUT_S = 30.0


class ApiError(SightlineError):
    """What the server answered instead of a result, where no other error says it; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """One user or program at one server. Use it as a context manager, or close it.

    `token` is a program's; without one, `log_in` opens a session. Every call raises NotFoundError, ConflictError,
    ForbiddenError, BusyError or ApiError with the server's words.
    """

    def __init__(self, url: str, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=url.rstrip("/") + PREFIX, headers=headers, timeout=timeout_s)

    # -- who

    def set_up(self, token: str, name: str, password: str) -> dict[str, Any]:
        """Make the first user with the token that the server's console shows."""
        return dict(self.post("/setup", {"token": token, "name": name, "password": password}, once=False))

    def log_in(self, name: str, password: str) -> dict[str, Any]:
        """Open a session."""
        return self._opened(self.post("/session", {"name": name, "password": password}, once=False))

    def switch(self, name: str, pin: str) -> dict[str, Any]:
        """Hand a shared screen over to an operator."""
        return self._opened(self.post("/session/switch", {"name": name, "pin": pin}, once=False))

    def log_out(self) -> None:
        """End the session."""
        self.call("DELETE", "/session")

    def add_user(self, name: str, role: str, password: str) -> dict[str, Any]:
        """Make a user."""
        return dict(self.post("/users", {"name": name, "role": role, "password": password}, once=False))

    def add_token(self, name: str, scopes: list[str]) -> str:
        """Make a token; its secret."""
        return str(self.post("/tokens", {"name": name, "scopes": scopes}, once=False)["secret"])

    # -- any noun

    def get(self, path: str, **query: Any) -> Any:
        """What is at a path below /api/v1: JSON as Python values, other kinds as bytes."""
        return self.call("GET", path, query=query)

    def items(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        while True:
            page = self.get(path, **query)
            yield from page["items"]
            if page["next"] is None:
                return
            query["after"] = page["next"]

    def post(self, path: str, values: Mapping[str, Any] | None = None, *, once: bool = True, **query: Any) -> Any:
        """Post JSON. With `once`, the request carries a key, so that sending it again does nothing again."""
        headers = {"Idempotency-Key": str(uuid4())} if once else {}
        return self.call("POST", path, json=dict(values or {}), query=query, headers=headers)

    def patch(self, path: str, values: Mapping[str, Any], etag: str | None = None) -> Any:
        """Change something; with `etag`, only while it is what it was."""
        return self.call("PATCH", path, json=dict(values), headers={"If-Match": etag} if etag else {})

    def send(self, path: str, content: bytes, kind: str = "application/octet-stream", **query: Any) -> Any:
        """Post bytes, for instance an image."""
        return self.call("POST", path, content=content, query=query, headers={"Content-Type": kind})

    def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, **how: Any
    ) -> Any:  # JSON has any form
        """One request, and its answer's content."""
        wanted = {name: value for name, value in (query or {}).items() if value is not None}
        answer = self.http.request(method, path, params=wanted, **how)
        if answer.status_code >= 400:
            raise error_of(answer)
        if not answer.content:
            return None
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.content

    def close(self) -> None:
        """Close all connections."""
        self.http.close()

    def _opened(self, session: dict[str, Any]) -> dict[str, Any]:
        self.http.headers[CSRF] = session["csrf_token"]
        return session

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def error_of(answer: httpx.Response) -> SightlineError:
    """A problem as the error that it is."""
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"{answer.request.url}: the server answered {answer.status_code}. Is it a Sightline server?"
    if answer.status_code in {401, 403}:
        return ForbiddenError(detail, known=answer.status_code == 403)
    if answer.status_code == 404:
        return NotFoundError(detail)
    if answer.status_code in {409, 412}:
        return ConflictError(detail, stale=answer.status_code == 412)
    if answer.status_code == 429:
        return BusyError(detail, float(answer.headers.get("retry-after", 1)))
    return ApiError(detail, answer.status_code)
