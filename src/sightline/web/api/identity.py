"""Who asks: by session cookie or by token; and what a route demands of them."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from sightline.core.errors import ForbiddenError
from sightline.operations.people import Identity, identify_session, identify_token
from sightline.web.api.shield import SAFE
from sightline.web.api.site import Here, Site

COOKIE, CSRF = "sightline_session", "X-CSRF-Token"
HOST_COOKIE = "__Host-sightline_session"  # browsers take it by TLS only, and from this host alone


def cookie_name(site: Site) -> str:
    """What the session's cookie is called here."""
    return HOST_COOKIE if site.settings.secure else COOKIE


def identify(connection: HTTPConnection, site: Site) -> Identity | None:
    """Who asks, None where that is not said. Raises ForbiddenError for a change by a cookie that no page of ours sent.

    It is found out once for each request.
    """
    if not hasattr(connection.state, "identity"):
        connection.state.identity = _identify(connection, site)
    found = connection.state.identity
    assert found is None or isinstance(found, Identity)
    return found


def _identify(connection: HTTPConnection, site: Site) -> Identity | None:
    kind, _, secret = connection.headers.get("authorization", "").partition(" ")
    if kind:
        return identify_token(site.store, secret.strip()) if kind.lower() == "bearer" else None
    cookie = connection.cookies.get(cookie_name(site), "")
    if not cookie:
        return None
    settings = site.settings
    found = identify_session(site.store, cookie, settings.idle_minutes * 60, settings.session_hours * 3600)
    if found is not None:
        _check_origin(connection, found)
    return found


def _check_origin(connection: HTTPConnection, identity: Identity) -> None:
    """A cookie comes along from every site's page; the token in the header, or the origin, only from our own."""
    if not isinstance(connection, Request):  # a WebSocket, for which browsers send no header of ours
        if "origin" not in connection.headers:  # which the shield has compared
            raise ForbiddenError("a WebSocket by cookie needs an Origin. Open it from a page of this server")
        return
    given = connection.headers.get(CSRF, "")
    if connection.method not in SAFE and not hmac.compare_digest(given.encode(), identity.csrf.encode()):
        raise ForbiddenError(f"a change by cookie needs the header {CSRF}. GET /api/v1/session tells its value")


class Permission:
    """What a route demands: at least this role, and of a token this scope. As a dependency, it gives who asks."""

    def __init__(self, role: str, scope: str) -> None:
        self.role, self.scope = role, scope

    def __call__(self, connection: HTTPConnection, site: Here) -> Identity:
        found = identify(connection, site)
        if found is None:
            raise ForbiddenError("nobody is logged in. Log in, or send a token: Authorization: Bearer ...", known=False)
        found.check(self.role, self.scope)
        return found


# Who may call a route; named after what is done.
Reading = Annotated[Identity, Depends(Permission("operator", "read"))]
Inspecting = Annotated[Identity, Depends(Permission("operator", "inspect"))]
Labelling = Annotated[Identity, Depends(Permission("reviewer", "label"))]
Engineering = Annotated[Identity, Depends(Permission("engineer", "lab"))]
Operating = Annotated[Identity, Depends(Permission("engineer", "line"))]
Attending = Annotated[Identity, Depends(Permission("operator", "line"))]
Administering = Annotated[Identity, Depends(Permission("administrator", "admin"))]
Sending = Annotated[Identity, Depends(Permission("operator", "station"))]
