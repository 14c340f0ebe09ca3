"""Every route and every role: who may, who may not, and that nobody may without being logged in."""

from __future__ import annotations

import re

import pytest
from tests.web.conftest import Serve

from sightline.store.users import RANK, ROLES
from sightline.web.api.app import PREFIX, permissions

OPEN = {
    ("GET", "/health"),
    ("POST", "/setup"),
    ("POST", "/session"),
    ("POST", "/session/join"),
    ("POST", "/session/link"),
}
ROUTES = [(method, path.removeprefix(PREFIX), wanted) for method, path, wanted in permissions()]


def test_only_these_routes_are_open_to_all() -> None:
    assert {(method, path) for method, path, wanted in ROUTES if wanted is None} <= OPEN


# By a station's own token alone, whatever a person may do.
FOR_STATIONS = {
    "/stations/{name}/ingest",
    "/stations/{name}/pictures",
    "/stations/{name}/recipes/{hash}/file",
}


@pytest.mark.parametrize("role", [None, *ROLES])
def test_every_route_is_refused_to_whom_it_is_not_for(serve: Serve, role: str | None) -> None:
    served = serve(logins_per_minute=1000)
    with served.client(role or "") as client:
        wrong = []
        for method, path, wanted in ROUTES:
            if wanted is None or method == "WEBSOCKET":
                continue
            if (method, path) == ("DELETE", "/session") and role is not None:
                continue  # its own test logs out
            # Forms are left out on purpose: whoever may call is told so by 404 or 422, and nothing is changed.
            answer = client.http.request(method, re.sub(r"\{\w+\}", "987654321", path))
            refused = path in FOR_STATIONS or (role is not None and RANK[role] < RANK[wanted.role])
            expected = 401 if role is None else 403 if refused else None
            fine = answer.status_code == expected if expected else answer.status_code not in {401, 403, 500}
            if not fine:
                wrong.append((method, path, answer.status_code, answer.text[:200]))
        assert wrong == []
